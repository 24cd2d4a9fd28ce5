//! How a process ended.

use std::fmt;
use std::time::Duration;

/// How a process ended.
///
/// `Display` is a sentence without a full stop: `exited with code 3`, `killed by signal 9 (SIGKILL)`.
///
/// ```
/// use proc_core::ExitStatus;
///
/// let status = ExitStatus::Signaled { signal: 9, core: false };
/// assert!(!status.success());
/// assert_eq!(status.to_string(), "killed by signal 9 (SIGKILL)");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "functions", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum ExitStatus {
    /// It left by itself, with this code; 0 is success.
    Exited(i32),
    /// A signal ended it.
    Signaled {
        /// The signal's number.
        signal: i32,
        /// Whether a core dump was made.
        core: bool,
    },
    /// It ended, and nobody can say how: somebody else reaped it, on a kernel that keeps no record.
    Lost,
}

impl ExitStatus {
    /// Whether it left by itself with code 0.
    pub fn success(&self) -> bool {
        *self == ExitStatus::Exited(0)
    }

    /// The exit code, unless a signal ended it.
    pub fn code(&self) -> Option<i32> {
        match *self {
            ExitStatus::Exited(code) => Some(code),
            _ => None,
        }
    }

    /// The signal that ended it.
    pub fn signal(&self) -> Option<i32> {
        match *self {
            ExitStatus::Signaled { signal, .. } => Some(signal),
            _ => None,
        }
    }

    /// From the word that `wait` fills.
    pub(crate) fn from_wait(word: i32) -> ExitStatus {
        match word & 0x7f {
            0 => ExitStatus::Exited((word >> 8) & 0xff),
            signal => ExitStatus::Signaled { signal, core: word & 0x80 != 0 },
        }
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            ExitStatus::Exited(code) => write!(f, "exited with code {code}"),
            ExitStatus::Signaled { signal, core } => {
                write!(f, "killed by signal {signal}")?;
                if let Some(name) = signal_name(signal) {
                    write!(f, " ({name})")?;
                }
                if core { f.write_str(", core dumped") } else { Ok(()) }
            }
            ExitStatus::Lost => f.write_str("ended, but its status was lost"),
        }
    }
}

/// The name of a standard signal.
pub(crate) fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGSTKFLT => "SIGSTKFLT",
        libc::SIGCHLD => "SIGCHLD",
        libc::SIGCONT => "SIGCONT",
        libc::SIGSTOP => "SIGSTOP",
        libc::SIGTSTP => "SIGTSTP",
        libc::SIGTTIN => "SIGTTIN",
        libc::SIGTTOU => "SIGTTOU",
        libc::SIGURG => "SIGURG",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        libc::SIGVTALRM => "SIGVTALRM",
        libc::SIGPROF => "SIGPROF",
        libc::SIGWINCH => "SIGWINCH",
        libc::SIGIO => "SIGIO",
        libc::SIGPWR => "SIGPWR",
        libc::SIGSYS => "SIGSYS",
        _ => return None,
    })
}

/// What a process used, as the kernel counted it when it was reaped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Time on a CPU in user mode, of the process and of its children that it waited for.
    pub user: Duration,
    /// Time on a CPU in the kernel, likewise.
    pub system: Duration,
    /// The largest resident memory of any of them, in bytes.
    pub max_resident: u64,
}

/// A status, and what the process used where it was ours to reap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// What it used. `None` where somebody else reaped it.
    pub usage: Option<Usage>,
}
