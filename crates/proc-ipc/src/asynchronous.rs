//! Receiving and sending without blocking a thread, on the reactor of async-io.

use std::{
    future::{Future as _, poll_fn},
    io,
    os::fd::{AsFd, BorrowedFd},
    pin::pin,
    task::Poll,
    time::Duration,
};

use async_io::{Async, Timer};
use proc_core::{Message, inherit::LocalFd, transfer::pack};

use crate::{
    Armed, Connection, PipeReceiver, PipeSender, Queue, Receiver, RecvError, SendError, Sender,
    channel::SLICE,
    error::Cause,
    given,
    typed::{self, RecvBytes, SendBytes, Until},
};

/// Between looks when a bell can't be armed: another task has it, or there is room, but not in one piece.
const PAUSE: Duration = Duration::from_millis(1);

/// Waits for the bell, for `most` at most. The descriptor is a duplicate: one can be in an epoll instance once, and ends
/// share theirs.
async fn rung(armed: &Armed<'_>, most: Option<Duration>) -> io::Result<()> {
    let bell = LocalFd::new(armed.as_fd().try_clone_to_owned()?);
    let bell = Async::new_nonblocking(bell)?;
    let mut readable = pin!(bell.readable());
    let Some(most) = most else { return readable.await };
    let mut slice = pin!(Timer::after(most));
    poll_fn(|context| match readable.as_mut().poll(context) {
        Poll::Pending => slice.as_mut().poll(context).map(|_| Ok(())),
        ready => ready,
    })
    .await
}

/// Waits for a bell that may be another task's, or may have nothing to ring for.
async fn wait(armed: io::Result<Armed<'_>>, may_be_ready: bool, most: Option<Duration>) -> io::Result<()> {
    match armed {
        Ok(armed) if !armed.is_ready() => rung(&armed, most).await,
        Ok(_) if may_be_ready => Ok(()),
        Err(e) if e.kind() != io::ErrorKind::ResourceBusy => Err(e),
        other => {
            drop(other);
            Timer::after(PAUSE).await;
            Ok(())
        }
    }
}

pub(crate) async fn recv<'a, T: Message>(
    from: &'a (impl RecvBytes + Sync),
    arm: impl Fn() -> io::Result<Armed<'a>>,
) -> Result<T, RecvError> {
    loop {
        if let Some(message) = typed::recv(from, Until::Now)? {
            return Ok(message);
        }
        wait(arm(), true, None).await?;
    }
}

pub(crate) async fn send<'a, T: Message>(
    to: &'a (impl SendBytes + Sync),
    message: T,
    arm: impl Fn(usize) -> io::Result<Armed<'a>>,
) -> Result<(), SendError<T>> {
    let ends = given::begin();
    let packed = pack(&message);
    let ends = ends.noted();
    let failed = |message, cause| {
        ends.take_back();
        SendError::new(message, cause)
    };
    let packed = match packed {
        Ok(packed) => packed,
        Err(e) => return Err(failed(message, Cause::Encode(e))),
    };
    // Room may come between the attempt and the arming; the second time it is room that is not in one piece.
    let mut at_once = false;
    loop {
        at_once = !at_once;
        let sent = {
            let fds: Vec<BorrowedFd<'_>> = packed.fds.iter().map(AsFd::as_fd).collect();
            to.send_raw(&packed.bytes, &fds, Until::Now)
        };
        match sent {
            Ok(()) => return Ok(()),
            Err(Cause::Full) => {}
            Err(cause) => return Err(failed(message, cause)),
        }
        // What a record with descriptors has before its bytes.
        let len = packed.bytes.len() + if packed.fds.is_empty() { 0 } else { 16 };
        if let Err(e) = wait(arm(len), at_once, Some(SLICE)).await {
            return Err(failed(message, Cause::Io(e)));
        }
    }
}

macro_rules! receive {
    ($($end:ident<$($t:ident),+> $name:ident -> $R:ident),*) => {$(
        impl<$($t: Message),+> $end<$($t),+> {
            /// Receives a message, as a future. It works under any executor.
            ///
            /// Dropping the future loses nothing: a message is taken in the poll that returns it. Of the tasks that
            /// wait for one end of a pipe, one sleeps on its bell and the others look every millisecond; a *blocking*
            /// receive from it meanwhile waits until the future is done or dropped.
            ///
            /// With feature `async`. The reactor is async-io's: one thread of the process, named `async-io`, started
            /// by the first wait and kept; a wait has one more descriptor.
            ///
            /// # Errors
            ///
            /// As the blocking form.
            pub async fn $name(&self) -> Result<$R, RecvError> {
                recv(self, || self.arm()).await
            }
        }
    )*};
}

receive!(PipeReceiver<T> recv_async -> T, Connection<S, R> recv_async -> R, Receiver<T> recv_async -> T);
receive!(Queue<T> get_async -> T);

macro_rules! transmit {
    ($($end:ident<$($t:ident),+> $name:ident($S:ident)),*) => {$(
        impl<$($t: Message),+> $end<$($t),+> {
            /// Sends a message, as a future that waits for room. It works under any executor.
            ///
            /// A future that is dropped before it is done has sent nothing. With feature `async`; the reactor is
            /// async-io's, a thread that the first wait starts.
            ///
            /// # Errors
            ///
            /// As the `try_` form, but never [full](SendError::is_full). So a message that the channel can't hold at
            /// once is refused: for a pipe one of more than about 255 KiB, which needs a blocking send. One of more than
            /// 64 KiB has no bell: room for it is looked for every millisecond.
            ///
            /// # Examples
            ///
            /// `block_on` stands for an executor.
            ///
            /// ```
            /// # fn block_on<T>(future: impl Future<Output = T>) -> T {
            /// #     let mut future = std::pin::pin!(future);
            /// #     let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            /// #     loop {
            /// #         match future.as_mut().poll(&mut context) {
            /// #             std::task::Poll::Ready(result) => return result,
            /// #             std::task::Poll::Pending => std::thread::yield_now(),
            /// #         }
            /// #     }
            /// # }
            /// # use std::future::Future;
            /// let (tx, rx) = proc_ipc::channel::<u32>(1)?;
            /// let sum = block_on(async {
            ///     tx.send_async(3).await?;
            ///     let three = rx.recv_async().await?;
            ///     Ok::<_, Box<dyn std::error::Error>>(three + 1)
            /// })?;
            /// assert_eq!(sum, 4);
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub async fn $name(&self, message: $S) -> Result<(), SendError<$S>> {
                send(self, message, |len| Armed::new(self.room(len)?)).await
            }
        }
    )*};
}

transmit!(PipeSender<T> send_async(T), Connection<S, R> send_async(S), Sender<T> send_async(T));
transmit!(Queue<T> put_async(T));
