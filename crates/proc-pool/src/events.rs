//! What happens to workers, for the program's log. Without the feature `log` nothing is said.

use proc_core::ExitStatus;

macro_rules! say {
    ($level:ident, $($arg:tt)*) => {
        #[cfg(feature = "log")]
        log::$level!(target: "proc_pool", $($arg)*);
        #[cfg(not(feature = "log"))]
        let _ = format_args!($($arg)*);
    };
}

pub(crate) fn worker_started(pid: u32) {
    say!(debug, "worker process {pid} started");
}

pub(crate) fn worker_ended(pid: u32, status: ExitStatus, asked_for: bool) {
    if asked_for {
        say!(debug, "worker process {pid} {status}, as it was asked to");
    } else {
        say!(warn, "worker process {pid} {status}");
    }
}

pub(crate) fn not_started(why: &str) {
    say!(warn, "{why}");
}

pub(crate) fn timed_out(task: u64) {
    say!(warn, "task {task} ran longer than its time limit; its worker is killed");
}

pub(crate) fn broken(why: &str) {
    say!(error, "the pool is broken: {why}");
}
