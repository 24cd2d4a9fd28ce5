//! What can be waited on, and how each is watched.

use std::{
    fs::File,
    io,
    net::{TcpListener, TcpStream, UdpSocket},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::{UnixDatagram, UnixListener, UnixStream},
    },
    process::{ChildStderr, ChildStdout},
};

use proc_core::{Process, ProcessHandle};
use proc_shm::Event;

use crate::{Connection, Listener, PipeReceiver, Queue, Receiver, ring::Readiness};

/// What [`wait`](crate::wait()) can wait on: receiving ends, listeners, processes, events, descriptors.
///
/// Sealed: the bell of an end has to be armed before its descriptor means anything, in an order that loses no wake-up.
pub trait Waitable: sealed::Watched {}

/// How one thing is watched during a wait.
#[doc(hidden)]
#[allow(missing_debug_implementations)]
pub enum Watch<'a> {
    /// By its memory, and a bell that has to be armed.
    End(Box<dyn Readiness + Send + 'a>),
    /// By its descriptor alone.
    Fd(BorrowedFd<'a>),
}

pub(crate) mod sealed {
    use super::{Watch, io};

    pub trait Watched {
        #[doc(hidden)]
        fn watch(&self) -> io::Result<Watch<'_>>;
    }
}

macro_rules! ends {
    ($($end:ident<$($t:ident),+>),*) => {$(
        impl<$($t),+> Waitable for $end<$($t),+> {}

        impl<$($t),+> sealed::Watched for $end<$($t),+> {
            fn watch(&self) -> io::Result<Watch<'_>> {
                Ok(Watch::End(Box::new(self.readiness()?)))
            }
        }
    )*};
}

ends!(PipeReceiver<T>, Connection<S, R>, Receiver<T>, Queue<T>, Listener<S, R>);

macro_rules! pidfds {
    ($($process:ty $(, $t:ident)?);*) => {$(
        impl $(<$t>)? Waitable for $process {}

        impl $(<$t>)? sealed::Watched for $process {
            fn watch(&self) -> io::Result<Watch<'_>> {
                Ok(Watch::Fd(self.pidfd()?))
            }
        }
    )*};
}

pidfds!(Process<R>, R; ProcessHandle);

impl Waitable for Event {}

impl sealed::Watched for Event {
    fn watch(&self) -> io::Result<Watch<'_>> {
        Ok(Watch::Fd(self.fd()?))
    }
}

macro_rules! descriptors {
    ($($fd:ty),*) => {$(
        impl Waitable for $fd {}

        impl sealed::Watched for $fd {
            fn watch(&self) -> io::Result<Watch<'_>> {
                Ok(Watch::Fd(self.as_fd()))
            }
        }
    )*};
}

descriptors!(
    OwnedFd,
    BorrowedFd<'_>,
    File,
    TcpListener,
    TcpStream,
    UdpSocket,
    UnixListener,
    UnixStream,
    UnixDatagram,
    ChildStdout,
    ChildStderr
);
