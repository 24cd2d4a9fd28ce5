//! `init`: where a new image turns into the function that it was started for.

use super::boundary::Boundary;
use super::{boot, exec};
use crate::process::{Reply, SpawnError, SpawnErrorKind};
use crate::sys::sockets::Peer;
use crate::sys::{auxv, signals, sockets, threads};
use std::io::Write;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// Whether processes can be started.
///
/// | value | meaning | leaves it by |
/// |---|---|---|
/// | 0 | `init` was not called | `init` |
/// | 1 | ready | never |
/// | 2 | the program is privileged (setuid, file capabilities): it starts nothing and obeys no marker | never |
/// | 3 | `init` was called when there were threads already | never |
/// | 4 | `init` was called, and the threads could not be counted: no `/proc` | never |
static STATE: AtomicU8 = AtomicU8::new(UNSET);
const UNSET: u8 = 0;
const READY: u8 = 1;
const PRIVILEGED: u8 = 2;
const LATE: u8 = 3;
const UNCOUNTED: u8 = 4;

/// How long the other end of the socket of a process whose parent has ended may stay open: the kernel closes it before
/// it gives the process another parent, but a child that another thread was just starting may have had a copy.
const HANG_UP_PATIENCE: Duration = Duration::from_millis(500);

/// Makes this program one that can start processes of itself. Call it as the first line of `main`.
///
/// In a process that [`Process::spawn`](crate::Process::spawn) has started, it runs the function that was asked for and
/// never returns. In any other it returns at once. It is what `if __name__ == "__main__"` is in Python; without it,
/// starting a process is an error, never an endless chain of processes.
///
/// Under an async runtime, write `fn main() { init(); serve() }` and start the runtime in `serve`: the function of a child
/// must not run beside the threads of a runtime that has nothing to do there.
///
/// # What it trusts
/// The variable `PROC_CORE_LINK` names a descriptor, and nothing else. It must be an inherited Unix packet socket that
/// was made by this process's parent, of the same user. A process whose parent has ended meanwhile can't compare the two
/// any more; then the other end of the socket must be closed, as its owner's death has done, and the message that waits
/// in the socket must say that it is from the process that made the socket. (Whoever can forge that is a process of the
/// same user that executes this program, and could as well run what it likes itself.) Otherwise the process says so on
/// standard error and exits with code 70. In a privileged program (setuid and the like) the variable is not looked at,
/// and starting is refused.
///
/// # Exit codes
/// A child that runs no function of yours leaves with 70: what it was started with is not from its parent, or its parent
/// was gone before it had sent the work. With 71: the function's value could not be delivered, or the work was refused.
/// With 101: the function panicked.
pub fn init() {
    if STATE.load(Ordering::Acquire) != UNSET {
        return;
    }
    if auxv::is_privileged() {
        STATE.store(PRIVILEGED, Ordering::Release);
        return;
    }
    let state = match threads::settled(super::fork::THREAD_PATIENCE) {
        Ok(1) => READY,
        Ok(_) => LATE,
        Err(_) => UNCOUNTED,
    };
    STATE.store(state, Ordering::Release);
    let Some(marker) = std::env::var_os(exec::MARKER) else { return };
    // What it is now is a child, which must not become another `main`.
    let _boundary = Boundary;
    let link = marker.to_str().and_then(|s| s.parse().ok()).ok_or("is no number").and_then(accept);
    let (link, parent) = match link {
        Ok(link) => link,
        Err(why) => {
            let what = "this process was not started by its parent's `Process::spawn`";
            let _ = writeln!(std::io::stderr(), "{} {why}: {what}", exec::MARKER);
            std::process::exit(boot::EXIT_NO_PARENT);
        }
    };
    if let Err(why) = require_state(state) {
        let _ = crate::process::reply(link.as_fd(), Reply::Refused(why.into()));
        std::process::exit(boot::EXIT_UNDELIVERED);
    }
    // SAFETY: there is one thread.
    unsafe { std::env::remove_var(exec::MARKER) };
    std::process::exit(boot::serve(link, parent, None));
}

/// Checks that descriptor `number` is the socket that our parent made for us, and takes it. Beside it, if that parent has
/// ended: its id, which the message in the socket has to repeat.
fn accept(number: i32) -> Result<(OwnedFd, Option<u32>), &'static str> {
    if number < 3 || !sockets::is_open(number) {
        return Err("names no open descriptor");
    }
    let peer = sockets::peer(number)?;
    // SAFETY: it is open, it is a socket that was put there for this process, and nobody has taken it before: this
    // runs once, before any other code.
    let link = unsafe { OwnedFd::from_raw_fd(number) };
    let parent = match peer {
        Peer::Parent => None,
        Peer::Other(_) if !sockets::hangs_up(link.as_fd(), HANG_UP_PATIENCE) => {
            return Err("names a socket that this process's parent did not make");
        }
        Peer::Other(pid) => Some(pid),
    };
    rustix::io::fcntl_setfd(&link, rustix::io::FdFlags::CLOEXEC)
        .map_err(|_| "names a descriptor that can't be kept")?;
    Ok((link, parent))
}

/// An error unless processes can be started.
pub(super) fn require() -> Result<(), SpawnError> {
    let refuse = |why: &str| Err(SpawnError::new(SpawnErrorKind::NotInitialized, why));
    if let Err(why) = require_state(STATE.load(Ordering::Acquire)) {
        return refuse(why);
    }
    // The kernel marks what they execute as privileged, and `init` obeys nobody there: it would run `main` instead.
    if !auxv::is_one_user() {
        return refuse(
            "the real and the effective user or group of this process differ, so a new process would count as \
             privileged and not run its function",
        );
    }
    Ok(())
}

fn require_state(state: u8) -> Result<(), &'static str> {
    Err(match state {
        READY => return Ok(()),
        PRIVILEGED => "a privileged program (setuid, file capabilities) does not start processes of itself",
        LATE => {
            "`init` was called after threads were started; make it the first line of `main`, before any runtime"
        }
        UNCOUNTED => {
            "`init` could not count the threads of this process: /proc is not mounted, or not readable"
        }
        _ => "`init()` was not called; make it the first line of `main`",
    })
}

/// What [`init_for_tests!`](crate::init_for_tests) calls before `main`.
#[doc(hidden)]
pub fn __init_before_main() {
    // As Rust's runtime would before `main`; a child sets it again to what its parent has.
    signals::ignore(libc::SIGPIPE);
    init();
}

/// Makes [`Process::spawn`](crate::Process::spawn) work in a program whose `main` is not yours: an integration test.
/// Write it once, anywhere in the file.
///
/// It puts [`init`](crate::init) among the functions that the loader calls before `main`. What is different there from
/// a call in `main`: Rust's runtime has not run yet, so the thread has no name, and an overflow of its stack is a plain
/// SIGSEGV, without the runtime's message. SIGPIPE is ignored, as the runtime would have it.
///
/// ```no_run
/// proc_core::init_for_tests!();
///
/// #[test]
/// fn adds() {
///     let p = proc_core::Process::spawn(|(a, b)| a + b, (1, 2)).unwrap();
///     assert_eq!(p.join().unwrap(), 3);
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! init_for_tests {
    () => {
        const _: () = {
            extern "C" fn before_main() {
                $crate::__init_before_main();
            }
            #[used]
            #[unsafe(link_section = ".init_array")]
            static BEFORE_MAIN: extern "C" fn() = before_main;
        };
    };
}
