//! How far a `map` is.

/// How far a `map` or an `imap` is, for a function given to [`Pool::on_progress`](crate::Pool::on_progress).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Progress {
    /// Items that are done, in whatever way.
    pub done: u64,
    /// How many there are, as soon as that is known.
    pub total: Option<u64>,
}
