//! Messages one after the other.

use std::{fmt, iter::FusedIterator};

use proc_core::Message;

use crate::{
    error::RecvError,
    typed::{self, RecvBytes, Until},
};

/// The messages of a receiving end, waiting for each; made by its `iter`.
///
/// It ends at a clean end only: when every sender was dropped or closed. The death of a peer is an item, the last one; a
/// message that can't be decoded is an item, and others follow.
pub struct Iter<'a, T> {
    from: &'a (dyn RecvBytes + Sync),
    ended: bool,
    /// Made where `T` was known to be a message, so that the iterator is one for any `T`.
    next: Next<T>,
}

/// [`Iter`] that owns the receiving end.
pub struct IntoIter<T> {
    from: Box<dyn RecvBytes + Send + Sync>,
    ended: bool,
    /// Made where `T` was known to be a message, so that the iterator is one for any `T`.
    next: Next<T>,
}

type Next<T> = fn(&dyn RecvBytes, &mut bool) -> Option<Result<T, RecvError>>;

impl<'a, T: Message> Iter<'a, T> {
    pub(crate) fn new(from: &'a (dyn RecvBytes + Sync)) -> Iter<'a, T> {
        Iter { from, ended: false, next }
    }
}

impl<T: Message> IntoIter<T> {
    pub(crate) fn new(from: impl RecvBytes + Send + Sync + 'static) -> IntoIter<T> {
        IntoIter { from: Box::new(from), ended: false, next }
    }
}

fn next<T: Message>(from: &dyn RecvBytes, ended: &mut bool) -> Option<Result<T, RecvError>> {
    if *ended {
        return None;
    }
    let result = typed::recv(from, Until::Time(None)).map(typed::waited);
    if let Err(e) = &result {
        *ended = e.is_final();
        if *e == RecvError::Disconnected {
            return None;
        }
    }
    Some(result)
}

impl<T> Iterator for Iter<'_, T> {
    type Item = Result<T, RecvError>;

    fn next(&mut self) -> Option<Result<T, RecvError>> {
        (self.next)(self.from, &mut self.ended)
    }
}

impl<T> Iterator for IntoIter<T> {
    type Item = Result<T, RecvError>;

    fn next(&mut self) -> Option<Result<T, RecvError>> {
        (self.next)(&*self.from, &mut self.ended)
    }
}

impl<T> FusedIterator for Iter<'_, T> {}
impl<T> FusedIterator for IntoIter<T> {}

impl<T> fmt::Debug for Iter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for IntoIter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntoIter").field("ended", &self.ended).finish_non_exhaustive()
    }
}
