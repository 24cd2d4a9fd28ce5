//! A pseudo-terminal: our end, and the program's.

use crate::pty::Window;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Our end and the program's, both close-on-exec. By descriptor, not by name: no other mount of `/dev/pts` can deceive us.
pub(crate) fn open(window: Window) -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ours = openpt(flags)?;
    unlockpt(&ours)?;
    let theirs = ioctl_tiocgptpeer(&ours, flags)?;
    tcsetwinsize(&theirs, size(window))?;
    if !window.echo {
        let mut modes = tcgetattr(&theirs)?;
        modes.local_modes -= LocalModes::ECHO;
        tcsetattr(&theirs, OptionalActions::Now, &modes)?;
    }
    Ok((ours, theirs))
}

pub(crate) fn resize(ours: BorrowedFd<'_>, window: Window) -> io::Result<()> {
    Ok(tcsetwinsize(ours, size(window))?)
}

fn size(window: Window) -> Winsize {
    Winsize { ws_row: window.rows, ws_col: window.columns, ws_xpixel: 0, ws_ypixel: 0 }
}
