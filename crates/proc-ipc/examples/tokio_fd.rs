//! Messages from another process in a program that lives on tokio, by `arm` and tokio's `AsyncFd`.
//!
//! Prints:
//!
//! ```text
//! 20.0 degrees
//! 20.1 degrees
//! 20.2 degrees
//! 20.3 degrees
//! 20.4 degrees
//! 20.5 degrees
//! 20.6 degrees
//! 20.7 degrees
//! 20.8 degrees
//! 20.9 degrees
//! 10 messages, and time for something else
//! ```
//!
//! `cargo run -p proc-ipc --example tokio_fd`

use std::{
    error::Error,
    os::fd::{AsFd, OwnedFd},
    thread,
    time::Duration,
};

use proc_core::Process;
use proc_ipc::{PipeReceiver, PipeSender, RecvError, one_way};
use tokio::io::{Interest, unix::AsyncFd};

/// Messages of one end as tokio waits for them.
struct Messages<'a, T> {
    from: &'a PipeReceiver<T>,
    bell: AsyncFd<OwnedFd>,
}

impl<'a, T: proc_core::Message> Messages<'a, T> {
    fn new(from: &'a PipeReceiver<T>) -> std::io::Result<Messages<'a, T>> {
        // A duplicate: the reactor may have it as long as it likes.
        let bell = from.arm()?.as_fd().try_clone_to_owned()?;
        // SAFETY: the `OwnedFd` belongs to the `AsyncFd` from here on, so it stays open and the same until that is dropped.
        let bell = unsafe { AsyncFd::register_with_interest(bell, Interest::READABLE)? };
        Ok(Messages { from, bell })
    }

    /// The next one. If the future is dropped, none is lost.
    async fn next(&self) -> Result<T, Box<dyn Error + Send + Sync>> {
        loop {
            if let Some(message) = self.from.try_recv()? {
                return Ok(message);
            }
            let armed = self.from.arm()?;
            if !armed.is_ready() {
                // Cleared before the next look, so whatever comes after it is seen.
                self.bell.readable().await?.clear_ready();
            }
        }
    }
}

fn thermometer(tx: PipeSender<f64>) {
    for n in 0..10 {
        if tx.send(20.0 + f64::from(n) / 10.0).is_err() {
            return; // nobody looks at it any more
        }
        thread::sleep(Duration::from_millis(10));
    }
}

async fn serve(rx: &PipeReceiver<f64>) -> Result<(), Box<dyn Error + Send + Sync>> {
    let messages = Messages::new(rx)?;
    let (mut count, mut ticks) = (0, 0);
    loop {
        tokio::select! {
            message = messages.next() => match message {
                Ok(degrees) => {
                    count += 1;
                    println!("{degrees:.1} degrees");
                }
                Err(e) if e.downcast_ref() == Some(&RecvError::Disconnected) => break,
                Err(e) => return Err(e),
            },
            () = tokio::time::sleep(Duration::from_millis(4)) => ticks += 1,
        }
    }
    println!("{count} messages, and time for {} else", if ticks > 0 { "something" } else { "nothing" });
    assert_eq!(count, 10);
    Ok(())
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    proc_core::init();
    let (tx, rx) = one_way()?;
    let child = Process::spawn(thermometer, tx)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve(&rx))?;
    child.join()?;
    Ok(())
}
