//! Whether a process sleeps.

use crate::sys::Pid;
use std::fs;

/// Whether the kernel says that a process sleeps (state `S`). A traced one that stopped is in `t`, one that waits for
/// its turn or for a page is not in `S` either.
pub(crate) fn is_asleep(pid: Pid) -> bool {
    let stat = fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in parentheses may hold anything, parentheses included.
    let after = stat.iter().rposition(|&b| b == b')').map_or(&[][..], |at| &stat[at + 1..]);
    after.get(1) == Some(&b'S')
}
