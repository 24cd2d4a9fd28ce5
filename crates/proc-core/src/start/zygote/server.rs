//! The zygote's own life: it takes requests, forks, and tells of ends.

use super::request::Request;
use crate::inherit::LocalFd;
use crate::process::{self, Reply};
use crate::start::boundary::never_return;
use crate::start::fork::{self, THREAD_PATIENCE};
use crate::start::{boot, detach};
use crate::status::ExitStatus;
use crate::sys::{clone, pidfd, signals, threads};
use crate::transfer::{self, packet};
use rustix::event::{PollFd, PollFlags};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Instant;

/// A child of the zygote: its pidfd, and its end of the link, for the status. The fork hook closes both in siblings.
struct Forked {
    pidfd: LocalFd,
    link: LocalFd,
}

/// Serves `control` until nobody can ask any more and the last child has ended.
pub(super) fn serve(control: BorrowedFd<'_>) {
    signals::set_default(libc::SIGCHLD);
    signals::set_no_op(libc::SIGINT);
    // What lies in a buffer now would be written by every child.
    let _ = io::stdout().flush();
    clone::flush_c_stdout();
    if process::reply(control, Reply::Ready).is_err() {
        return;
    }
    // No code of the user runs here from now on. SIGINT is not among them, here or in a child.
    let ignored = signals::ignored(signals::ALL);
    let mut forked: Vec<Forked> = Vec::new();
    let mut open = true;
    while open || !forked.is_empty() {
        let mut fds: Vec<PollFd<'_>> =
            forked.iter().map(|child| PollFd::from_borrowed_fd(child.pidfd.as_fd(), PollFlags::IN)).collect();
        if open {
            fds.push(PollFd::from_borrowed_fd(control, PollFlags::IN));
        }
        if pidfd::poll_many(&mut fds, None).is_err() {
            return;
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        let mut i = 0;
        forked.retain(|child| {
            i += 1;
            !(ready[i - 1] && report(child))
        });
        if open && ready.last() == Some(&true) {
            match packet::recv(control, Some(Instant::now())) {
                Ok(Some((bytes, fds))) => forked.extend(handle(&bytes, fds, ignored)),
                Ok(None) => open = false,
                Err(e) if matches!(e.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
                    open = false;
                }
                // That one request is lost, for want of descriptors or memory, and its sender sees the link closed. The
                // next one may find room again.
                Err(_) => {}
            }
        }
    }
}

/// Reaps a child and sends its status; `false` if it has not ended after all.
fn report(child: &Forked) -> bool {
    let status = match pidfd::reap(child.pidfd.as_fd()) {
        Ok(None) => return false,
        Ok(Some(ended)) => ended.status,
        Err(_) => ExitStatus::Lost,
    };
    let _ = process::reply(child.link.as_fd(), Reply::Status(status));
    true
}

/// Forks. A request that makes no sense closes what it carried, which its sender sees.
fn handle(bytes: &[u8], fds: Vec<OwnedFd>, ignored: signals::Set) -> Option<Forked> {
    let request: Request = transfer::unpack(bytes, fds).ok()?;
    let refuse = |link: BorrowedFd<'_>, why: String| {
        let _ = process::reply(link, Reply::NotForked(why));
        None
    };
    if !matches!(threads::settled(THREAD_PATIENCE), Ok(1)) {
        let why = "the zygote has more than one thread, so it can't fork safely";
        return refuse(request.link.0.as_fd(), why.into());
    }
    // The place of the child's pidfd, here and in the child: there is no turning back once it has begun.
    let place = match request.link.0.try_clone() {
        Ok(place) => place,
        Err(e) => return refuse(request.link.0.as_fd(), format!("the zygote has no descriptor left: {e}")),
    };
    // A signal to the new process must find its own dispositions, not ours: it waits until they are set.
    let mask = signals::set_mask(!0);
    // SAFETY: this process has one thread.
    let forked = unsafe { clone::fork() };
    drop(place);
    if let Ok(0) = forked {
        never_return(|| live(request, ignored));
    }
    signals::set_mask(mask);
    let link = request.link.0;
    let pid = match forked {
        Ok(pid) => pid,
        Err(e) => return refuse(link.as_fd(), format!("the zygote could not fork: {e}")),
    };
    match pidfd::open(pid) {
        Ok(pidfd) => Some(Forked { pidfd: LocalFd::new(pidfd), link: LocalFd::new(link) }),
        Err(e) => {
            clone::kill_and_reap(pid);
            refuse(link.as_fd(), format!("the zygote can get no pidfd of the new process: {e}"))
        }
    }
}

/// The life of a forked child. All signals are blocked until its first message has told its dispositions and its mask.
fn live(request: Request, ignored: signals::Set) -> i32 {
    let Request { link, description, streams, acknowledge } = request;
    // Of a detached process this is the one in between; the other one tells of itself.
    if !description.detached {
        if let Err(why) = detach::announce(link.0.as_fd()) {
            let _ = process::reply(link.0.as_fd(), Reply::NotForked(why));
            return boot::EXIT_UNDELIVERED;
        }
    }
    signals::set_default(libc::SIGINT);
    let raw = streams.iter().map(|(fd, number)| (fd.0.as_raw_fd(), *number)).collect();
    let code = match fork::settle_raw(&description, raw) {
        Err(why) => {
            let _ = process::reply(link.0.as_fd(), Reply::Refused(why));
            boot::EXIT_UNDELIVERED
        }
        Ok(()) => {
            drop(streams);
            if acknowledge {
                let _ = process::reply(link.0.as_fd(), Reply::Ready);
            }
            boot::serve(link.0, None, Some(ignored))
        }
    };
    let _ = io::stdout().flush();
    clone::flush_c_stdout();
    code
}
