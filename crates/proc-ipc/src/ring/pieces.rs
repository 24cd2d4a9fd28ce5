//! A message in pieces, seen from its sender.

use super::record::{Kind, prefix};

/// The pieces of a message, and where in its parts the next one starts.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    parts: &'a [&'a [u8]],
    /// Bytes of the first of `parts` that are done with.
    done: usize,
    /// The first piece is behind us.
    started: bool,
    left: u64,
    pub(super) total: u64,
    pub(super) fds: usize,
    max: u64,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(parts: &'a [&'a [u8]], total: u64, fds: usize, max: u64) -> Cursor<'a> {
        Cursor { parts, done: 0, started: false, left: total, total, fds, max }
    }

    /// Kind and body of the next piece; `None` after the last. An empty message is a piece too.
    pub(super) fn next_piece(&self) -> Option<(Kind, u64)> {
        let kind = match self.started {
            true if self.left == 0 => return None,
            true if self.left <= self.max => Kind::Last,
            true => Kind::Middle,
            false if self.left + prefix(Kind::Whole, self.fds != 0) <= self.max => Kind::Whole,
            false => Kind::First,
        };
        Some((kind, (self.left + prefix(kind, self.has_fds(kind))).min(self.max)))
    }

    pub(super) fn has_fds(&self, kind: Kind) -> bool {
        self.fds != 0 && matches!(kind, Kind::Whole | Kind::First)
    }

    /// Counts a piece as written.
    pub(super) fn skip(&mut self, (kind, body): (Kind, u64)) {
        self.left -= body - prefix(kind, self.has_fds(kind));
        self.started = true;
    }

    /// Hands the next `n` bytes to `to`.
    pub(super) fn copy(&mut self, mut n: usize, mut to: impl FnMut(&[u8])) {
        while n > 0 {
            let part = &self.parts[0][self.done..];
            let some = part.len().min(n);
            to(&part[..some]);
            n -= some;
            self.done += some;
            if self.done == self.parts[0].len() {
                self.parts = &self.parts[1..];
                self.done = 0;
            }
        }
    }
}
