//! With what rights this program runs.

/// Whether the program was given rights that its caller doesn't have: setuid, setgid, file capabilities.
pub(crate) fn is_privileged() -> bool {
    // SAFETY: getauxval reads the process's own vector.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Whether the real and the effective user are one, and the groups likewise.
pub(crate) fn is_one_user() -> bool {
    use rustix::process::{getegid, geteuid, getgid, getuid};
    getuid() == geteuid() && getgid() == getegid()
}
