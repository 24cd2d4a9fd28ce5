//! From messages to bytes and back, and the methods that all ends have.

use std::{
    any::{Any, TypeId},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use proc_core::{
    Message,
    transfer::{pack_into, plain_bytes, unpack},
};

use crate::{
    error::{Cause, RecvError, SendError},
    given, scratch,
};

/// How long an operation may take.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// It may not wait.
    Now,
    /// It may wait until then; `None`: for ever.
    Time(Option<Instant>),
}

impl Until {
    /// A time so far away that the clock can't say it is never.
    pub(crate) fn after(timeout: Duration) -> Until {
        Until::Time(Instant::now().checked_add(timeout))
    }
}

/// What sends encoded messages.
pub(crate) trait SendBytes {
    fn send_raw(&self, bytes: &[u8], fds: &[BorrowedFd<'_>], until: Until) -> Result<(), Cause>;
}

/// What receives encoded messages.
pub(crate) trait RecvBytes {
    /// Replaces the content of `bytes`; `None` when nothing came in time.
    fn recv_raw(&self, bytes: &mut Vec<u8>, until: Until) -> Result<Option<Vec<OwnedFd>>, RecvError>;
}

/// Encodes `message` in private memory, and sends that.
#[inline]
pub(crate) fn send<T: Message>(
    to: &(impl SendBytes + ?Sized),
    message: T,
    until: Until,
) -> Result<(), SendError<T>> {
    let result = match plain_bytes(&message) {
        Some(bytes) => to.send_raw(bytes, &[], until),
        None => scratch::with(|scratch| {
            let ends = given::begin();
            if let Err(e) = pack_into(&message, &mut scratch.bytes, &mut scratch.fds) {
                ends.noted().take_back();
                return Err(Cause::Encode(e));
            }
            if scratch.fds.is_empty() {
                return to.send_raw(&scratch.bytes, &[], until);
            }
            let ends = ends.noted();
            let fds: Vec<BorrowedFd<'_>> = scratch.fds.iter().map(AsFd::as_fd).collect();
            to.send_raw(&scratch.bytes, &fds, until).inspect_err(|_| ends.take_back())
        }),
    };
    result.map_err(|cause| SendError::new(message, cause))
}

/// Receives into private memory, and decodes that.
#[inline]
pub(crate) fn recv<T: Message>(
    from: &(impl RecvBytes + ?Sized),
    until: Until,
) -> Result<Option<T>, RecvError> {
    if TypeId::of::<T>() == TypeId::of::<Vec<u8>>() {
        return recv_vec(from, until);
    }
    scratch::with(|scratch| match from.recv_raw(&mut scratch.bytes, until)? {
        Some(fds) => Ok(Some(unpack(&scratch.bytes, fds)?)),
        None => Ok(None),
    })
}

/// [`recv`] for a `T` that is `Vec<u8>`: the buffer is the value.
fn recv_vec<T: Message>(from: &(impl RecvBytes + ?Sized), until: Until) -> Result<Option<T>, RecvError> {
    let mut value = Some(Vec::new());
    match from.recv_raw(value.get_or_insert_default(), until)? {
        None => Ok(None),
        Some(fds) if fds.is_empty() => {
            Ok((&mut value as &mut dyn Any).downcast_mut::<Option<T>>().and_then(Option::take))
        }
        Some(fds) => Ok(Some(unpack(&value.unwrap_or_default(), fds)?)),
    }
}

/// Receives what may be no message, without its descriptors.
pub(crate) fn recv_bytes(
    from: &(impl RecvBytes + ?Sized),
    until: Until,
) -> Result<Option<Vec<u8>>, RecvError> {
    let mut bytes = Vec::new();
    Ok(from.recv_raw(&mut bytes, until)?.map(|_| bytes))
}

/// [`RecvBytes`] that waits for ever has something to show for it.
#[inline]
pub(crate) fn waited<T>(received: Option<T>) -> T {
    match received {
        Some(value) => value,
        None => unreachable!("a wait without a deadline ended without a message"),
    }
}

/// The sending methods of an end; `$to` says which part of `$self` does it.
macro_rules! sending {
    ($T:ident, $self:ident => $to:expr) => {
        /// Sends a message, waiting for room if there is none.
        ///
        /// When it returns, the message is there to be received, whatever happens to this process afterwards. Whether
        /// somebody does receive it is another matter: that all receivers were killed is noticed by one send in 256, or
        /// when there is no room. (That they were dropped is noticed at once.)
        ///
        /// Some 270 messages with descriptors that nobody has received are all that the kernel keeps: then there is no
        /// room for more of that kind.
        ///
        /// # Errors
        ///
        /// - nobody can receive it ([`is_disconnected`](SendError::is_disconnected));
        /// - it can't be encoded ([`is_encode`](SendError::is_encode));
        /// - this is a forked child that does not have the end, the shared memory is corrupted, or the system is out of
        ///   memory or descriptors.
        #[inline]
        pub fn send(&$self, message: $T) -> Result<(), SendError<$T>> {
            typed::send($to, message, Until::Time(None))
        }

        /// Sends a message if there is room for it now.
        ///
        /// # Errors
        ///
        /// As [`send`](Self::send); and there is no room ([`is_full`](SendError::is_full)), or the message is longer
        /// than the channel can hold at once.
        #[inline]
        pub fn try_send(&$self, message: $T) -> Result<(), SendError<$T>> {
            typed::send($to, message, Until::Now)
        }

        /// Sends a message, waiting for room for at most `timeout`. A timeout of [`Duration::MAX`] is for ever.
        ///
        /// # Errors
        ///
        /// As [`send`](Self::send); and there was no room in time ([`is_full`](SendError::is_full)).
        pub fn send_timeout(&$self, message: $T, timeout: Duration) -> Result<(), SendError<$T>> {
            typed::send($to, message, Until::after(timeout))
        }

        /// Sends a message, waiting for room until `deadline` at most.
        ///
        /// # Errors
        ///
        /// As [`send_timeout`](Self::send_timeout).
        pub fn send_deadline(&$self, message: $T, deadline: Instant) -> Result<(), SendError<$T>> {
            typed::send($to, message, Until::Time(Some(deadline)))
        }

        /// Sends bytes as they are, to be received by a `recv_bytes` or `recv_with`: nothing is encoded, and it is one
        /// copy.
        ///
        /// # Errors
        ///
        /// As [`send`](Self::send).
        #[inline]
        pub fn send_bytes(&$self, bytes: &[u8]) -> Result<(), SendError<()>> {
            SendBytes::send_raw($to, bytes, &[], Until::Time(None)).map_err(|cause| SendError::new((), cause))
        }

        /// [`send_bytes`](Self::send_bytes) without waiting.
        ///
        /// # Errors
        ///
        /// As [`try_send`](Self::try_send).
        #[inline]
        pub fn try_send_bytes(&$self, bytes: &[u8]) -> Result<(), SendError<()>> {
            SendBytes::send_raw($to, bytes, &[], Until::Now).map_err(|cause| SendError::new((), cause))
        }

        /// [`send_bytes`](Self::send_bytes) that waits for room for at most `timeout`.
        ///
        /// # Errors
        ///
        /// As [`send_timeout`](Self::send_timeout).
        pub fn send_bytes_timeout(&$self, bytes: &[u8], timeout: Duration) -> Result<(), SendError<()>> {
            SendBytes::send_raw($to, bytes, &[], Until::after(timeout))
                .map_err(|cause| SendError::new((), cause))
        }

        /// [`send_bytes`](Self::send_bytes) that waits for room until `deadline` at most.
        ///
        /// # Errors
        ///
        /// As [`send_timeout`](Self::send_timeout).
        pub fn send_bytes_deadline(&$self, bytes: &[u8], deadline: Instant) -> Result<(), SendError<()>> {
            SendBytes::send_raw($to, bytes, &[], Until::Time(Some(deadline)))
                .map_err(|cause| SendError::new((), cause))
        }
    };
}

/// The receiving methods of an end.
macro_rules! receiving {
    ($T:ident, $self:ident => $from:expr) => {
        /// Receives a message, waiting for one.
        ///
        /// # Errors
        ///
        /// - `Disconnected`, for a pipe also `PeerDied`: all that was sent has been received, and no more can come;
        /// - `Decode`: a message came that is no `T`; it is gone, the next one is not affected;
        /// - `Corrupted`, `NotInherited`, `Os`: see [`RecvError`].
        #[inline]
        pub fn recv(&$self) -> Result<$T, RecvError> {
            typed::recv($from, Until::Time(None)).map(typed::waited)
        }

        /// Receives a message if one is there.
        ///
        /// # Errors
        ///
        /// As [`recv`](Self::recv).
        #[inline]
        pub fn try_recv(&$self) -> Result<Option<$T>, RecvError> {
            typed::recv($from, Until::Now)
        }

        /// Receives a message, waiting for one for at most `timeout`; never shorter. A timeout of [`Duration::MAX`] is
        /// for ever.
        ///
        /// # Errors
        ///
        /// As [`recv`](Self::recv).
        pub fn recv_timeout(&$self, timeout: Duration) -> Result<Option<$T>, RecvError> {
            typed::recv($from, Until::after(timeout))
        }

        /// Receives a message, waiting for one until `deadline` at most.
        ///
        /// # Errors
        ///
        /// As [`recv`](Self::recv).
        pub fn recv_deadline(&$self, deadline: Instant) -> Result<Option<$T>, RecvError> {
            typed::recv($from, Until::Time(Some(deadline)))
        }

        /// Receives what `send_bytes` sent.
        ///
        /// It is the encoding of a message if it was a message; descriptors that came with it are closed.
        ///
        /// # Errors
        ///
        /// As [`recv`](Self::recv), but never `Decode`.
        pub fn recv_bytes(&$self) -> Result<Vec<u8>, RecvError> {
            let mut bytes = Vec::new();
            $self.recv_bytes_into(&mut bytes)?;
            Ok(bytes)
        }

        /// [`recv_bytes`](Self::recv_bytes) if a message is there.
        ///
        /// # Errors
        ///
        /// As [`recv_bytes`](Self::recv_bytes).
        pub fn try_recv_bytes(&$self) -> Result<Option<Vec<u8>>, RecvError> {
            typed::recv_bytes($from, Until::Now)
        }

        /// [`recv_bytes`](Self::recv_bytes) that waits for at most `timeout`; never shorter.
        ///
        /// # Errors
        ///
        /// As [`recv_bytes`](Self::recv_bytes).
        pub fn recv_bytes_timeout(&$self, timeout: Duration) -> Result<Option<Vec<u8>>, RecvError> {
            typed::recv_bytes($from, Until::after(timeout))
        }

        /// [`recv_bytes`](Self::recv_bytes) that waits until `deadline` at most.
        ///
        /// # Errors
        ///
        /// As [`recv_bytes`](Self::recv_bytes).
        pub fn recv_bytes_deadline(&$self, deadline: Instant) -> Result<Option<Vec<u8>>, RecvError> {
            typed::recv_bytes($from, Until::Time(Some(deadline)))
        }

        /// [`recv_bytes`](Self::recv_bytes) into a buffer that is used again: replaces its content, and allocates only
        /// when it is too small.
        ///
        /// # Errors
        ///
        /// As [`recv_bytes`](Self::recv_bytes).
        #[inline]
        pub fn recv_bytes_into(&$self, bytes: &mut Vec<u8>) -> Result<(), RecvError> {
            RecvBytes::recv_raw($from, bytes, Until::Time(None)).map(|_| ())
        }

        /// Receives what `send_bytes` sent, and lends it to `f`.
        ///
        /// The bytes are a private copy, in a buffer that this thread uses again: nobody can change them, and nothing is
        /// held up while `f` runs.
        ///
        /// # Examples
        ///
        /// ```
        /// let (tx, rx) = proc_ipc::channel::<u8>(4)?;
        /// tx.send_bytes(b"raw")?;
        /// assert_eq!(rx.recv_with(|bytes| bytes.len())?, 3);
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        ///
        /// # Errors
        ///
        /// As [`recv_bytes`](Self::recv_bytes).
        pub fn recv_with<U>(&$self, f: impl FnOnce(&[u8]) -> U) -> Result<U, RecvError> {
            scratch::with(|scratch| {
                RecvBytes::recv_raw($from, &mut scratch.bytes, Until::Time(None))?;
                Ok(f(&scratch.bytes))
            })
        }
    };
}

/// The iterators of a receiving end.
macro_rules! iterating {
    ($Type:ident<$T:ident>, $($params:ident),+) => {
        impl<$($params: Message),+> $Type<$($params),+> {
            /// The messages, waiting for each, until the end. See [`Iter`].
            pub fn iter(&self) -> Iter<'_, $T> {
                Iter::new(self)
            }
        }

        impl<'a, $($params: Message),+> IntoIterator for &'a $Type<$($params),+> {
            type Item = Result<$T, RecvError>;
            type IntoIter = Iter<'a, $T>;

            fn into_iter(self) -> Iter<'a, $T> {
                self.iter()
            }
        }

        impl<$($params: Message),+> IntoIterator for $Type<$($params),+> {
            type Item = Result<$T, RecvError>;
            type IntoIter = IntoIter<$T>;

            fn into_iter(self) -> IntoIter<$T> {
                IntoIter::new(self)
            }
        }
    };
}

pub(crate) use {iterating, receiving, sending};
