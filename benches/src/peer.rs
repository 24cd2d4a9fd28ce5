//! The other side of a measurement: a forked child that does its part until it is killed.

use crate::Setting;

/// A forked child, bound to the peer's CPU; killed and reaped when dropped, and when this process dies.
#[derive(Debug)]
pub struct Peer {
    child: libc::pid_t,
}

impl Peer {
    /// Forks a child that runs `part`. This process must have one thread.
    pub fn fork(setting: &Setting, part: impl FnOnce()) -> Self {
        // SAFETY: no other thread exists whose locks the child could find held.
        let child = unsafe { libc::fork() };
        assert!(child >= 0, "no child: {}", std::io::Error::last_os_error());
        if child == 0 {
            // SAFETY: a plain system call.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            setting.bind_peer();
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(part));
            // SAFETY: ends the child without running anything of the parent's.
            unsafe { libc::_exit(i32::from(ended.is_err())) };
        }
        Peer { child }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let mut status = 0;
        // SAFETY: our child, not yet reaped; `status` is valid for the call.
        unsafe {
            libc::kill(self.child, libc::SIGKILL);
            libc::waitpid(self.child, &raw mut status, 0);
        }
    }
}
