//! Ending a call from another thread.

use crate::sys::descriptors;
use proc_core::inherit::{LocalFd, NotInherited};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

/// Ends calls that are under way, from any thread: every command that was given a clone of it is ended as by its time
/// limit, and its error says so.
///
/// It owns one descriptor (an eventfd), which forked children don't have: there it does nothing. Once cancelled it stays
/// so: a command started with it later ends at once.
///
/// ```
/// use proc_exec::{CancelToken, cmd};
///
/// let token = CancelToken::new()?;
/// let stop = token.clone();
/// std::thread::spawn(move || stop.cancel());
/// let error = cmd!("sleep", "60").cancel_with(&token).run().unwrap_err();
/// assert!(error.is_cancelled());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct CancelToken(Arc<LocalFd>);

impl CancelToken {
    /// A token that is not cancelled.
    ///
    /// # Errors
    /// The limit of open descriptors is reached.
    pub fn new() -> io::Result<Self> {
        Ok(CancelToken(Arc::new(LocalFd::new(descriptors::flag()?))))
    }

    /// Ends every call that has a clone of it.
    pub fn cancel(&self) {
        if let Ok(flag) = self.0.get() {
            descriptors::set_flag(flag);
        }
    }

    pub(crate) fn get(&self) -> Result<BorrowedFd<'_>, NotInherited> {
        self.0.get()
    }
}

/// Readable once it is cancelled.
///
/// # Panics
/// In a forked child of the process that made it.
impl AsFd for CancelToken {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
