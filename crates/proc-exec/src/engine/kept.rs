//! What is kept of one stream, within a limit.

use super::bounded_line::{self, Bound, Overflow};
use std::cell::Cell;
use std::ops::Range;

/// Room that is made for one read. Larger ones are slower (caches), smaller ones make more calls.
pub(super) const CHUNK: usize = 64 * 1024;

/// Room for the first read: below 1 KiB, where malloc has it without tidying up first.
const FIRST: usize = 960;

/// Bytes that were read: `buffer[taken..]` is there, and a limit may hold it short.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    buffer: Vec<u8>,
    /// What a reader of lines has taken already. Nothing is moved for it until it is worth it.
    taken: usize,
    /// No end of a line lies before this.
    searched: Cell<usize>,
    limit: Option<Bound>,
    /// The limit holds for each line, not for all that is there.
    by_line: bool,
    /// Of limits by line: where the line begins whose end has not come.
    line_start: usize,
    /// The last line was cut, and its end has not come: what comes up to there is left out.
    is_cut: bool,
    pub(super) omitted: u64,
}

impl Kept {
    pub(super) fn new(limit: Option<Bound>) -> Self {
        Kept { limit, ..Kept::default() }
    }

    pub(super) fn limit(&self) -> Option<Bound> {
        self.limit
    }

    /// Whether the limit holds for each line from now on.
    pub(crate) fn by_line(&mut self, yes: bool) {
        self.by_line = yes;
        let end = self.buffer[self.taken..].iter().rposition(|b| *b == b'\n');
        self.line_start = end.map_or(self.taken, |at| self.taken + at + 1);
    }

    /// A vector with room for a read behind its bytes.
    pub(super) fn room(&mut self) -> &mut Vec<u8> {
        if self.taken > CHUNK && self.taken * 2 > self.buffer.len() {
            self.buffer.drain(..self.taken);
            self.searched.set(self.searched.get() - self.taken);
            self.line_start = self.line_start.saturating_sub(self.taken);
            self.taken = 0;
        }
        // Most programs say little: room for that is had without a call to the system.
        let room = if self.buffer.is_empty() { FIRST } else { CHUNK };
        if self.buffer.capacity() - self.buffer.len() < room / 2 {
            self.buffer.reserve(room);
        }
        &mut self.buffer
    }

    /// The bytes that a read has just added.
    pub(super) fn last(&self, n: usize) -> &[u8] {
        &self.buffer[self.buffer.len() - n..]
    }

    /// Throws away the last `n` bytes: somebody saw them, and that was all.
    pub(super) fn forget(&mut self, n: usize) {
        self.buffer.truncate(self.buffer.len() - n);
        self.searched.set(self.searched.get().min(self.buffer.len()));
    }

    /// Holds the limit after a read of `n` bytes. `false`: the program is to be ended.
    pub(super) fn within_limit(&mut self, n: usize) -> bool {
        let Some((limit, overflow)) = self.limit else { return true };
        if self.by_line {
            return self.lines_within(n, (limit, overflow));
        }
        if self.is_cut {
            self.skip_cut_line(n, limit);
        }
        let len = self.len();
        if len <= limit {
            return true;
        }
        match overflow {
            Overflow::HeadAndTail => {
                // Moved once for each chunk or half, not for each read.
                if len > limit + limit.max(CHUNK) {
                    self.cut_middle(limit);
                }
                true
            }
            Overflow::Fail | Overflow::Truncate => {
                self.omitted += (len - limit) as u64;
                self.shorten(self.taken + limit);
                self.is_cut = true;
                overflow == Overflow::Truncate
            }
        }
    }

    /// Holds the limit for each line of the last `n` bytes.
    fn lines_within(&mut self, n: usize, bound: Bound) -> bool {
        let from = self.buffer.len() - n;
        if self.buffer.len() - self.line_start <= bound.0 {
            let end = self.buffer[from..].iter().rposition(|b| *b == b'\n');
            self.line_start = end.map_or(self.line_start, |at| from + at + 1);
            return true;
        }
        let fresh = self.buffer.split_off(from);
        self.searched.set(self.searched.get().min(self.line_start));
        for piece in fresh.split_inclusive(|b| *b == b'\n') {
            let (piece, ends) = piece.strip_suffix(b"\n").map_or((piece, false), |piece| (piece, true));
            let omitted = bounded_line::append(&mut self.buffer, self.line_start, piece, ends, Some(bound));
            self.omitted += omitted;
            if omitted > 0 && bound.1 == Overflow::Fail {
                return false;
            }
            if ends {
                self.buffer.push(b'\n');
                self.line_start = self.buffer.len();
            }
        }
        true
    }

    /// Of the last `n` bytes, leaves out what belongs to a line that was cut: no line is glued to another's rest.
    fn skip_cut_line(&mut self, n: usize, limit: usize) {
        let from = self.buffer.len() - n;
        let end = self.buffer[from..].iter().position(|b| *b == b'\n');
        match end.filter(|_| from - self.taken < limit) {
            Some(end) => {
                self.buffer.drain(from..from + end);
                self.omitted += end as u64;
                self.is_cut = false;
            }
            None => {
                self.omitted += n as u64;
                self.shorten(from);
            }
        }
    }

    fn shorten(&mut self, len: usize) {
        self.buffer.truncate(len);
        self.searched.set(self.searched.get().min(len));
    }

    fn cut_middle(&mut self, limit: usize) {
        let len = self.len();
        let head = limit / 2;
        let cut = self.taken + head..self.buffer.len() - (limit - head);
        self.omitted += (len - limit) as u64;
        self.searched.set(self.searched.get().min(cut.start));
        self.buffer.drain(cut);
    }

    /// The end of the first whole line, behind its `\n`.
    ///
    /// What was searched is not searched again: a line may come in thousands of reads.
    fn line_end(&self) -> Option<usize> {
        let from = self.searched.get();
        let found = self.buffer[from..].iter().position(|b| *b == b'\n');
        self.searched.set(found.map_or(self.buffer.len(), |at| from + at));
        found.map(|at| from + at + 1)
    }

    pub(crate) fn has_line(&self) -> bool {
        self.line_end().is_some()
    }

    /// The first whole line, without its end; with `rest`, also what is behind the last end.
    pub(crate) fn take_line(&mut self, rest: bool) -> Option<Vec<u8>> {
        let end = match self.line_end() {
            Some(end) => end,
            None if rest && self.taken < self.buffer.len() => {
                self.end_line();
                self.buffer.len()
            }
            None => return None,
        };
        let mut line = self.take(self.taken..end);
        if line.last() == Some(&b'\n') {
            line.pop();
            if line.last() == Some(&b'\r') {
                line.pop();
            }
        }
        Some(line)
    }

    /// Holds the limit for a last line without an end, of which more is kept while it grows.
    fn end_line(&mut self) {
        if self.by_line {
            self.omitted += bounded_line::append(&mut self.buffer, self.line_start, b"", true, self.limit);
        }
    }

    /// Where `needle` ends for the first time. It is not before `from`, which is moved on: what was searched is not
    /// searched again as more comes.
    pub(crate) fn find(&self, needle: &[u8], from: &Cell<(usize, u64)>) -> Option<usize> {
        let (mut start, omitted) = from.get();
        if omitted != self.omitted {
            // The middle was cut out, and what is before the cut may have another neighbour.
            start = 0;
        }
        let there = &self.buffer[self.taken..];
        let found = match needle.len() {
            0 => Some(0),
            len => there[start.min(there.len())..].windows(len).position(|window| window == needle),
        };
        from.set((there.len().saturating_sub(needle.len().saturating_sub(1)), self.omitted));
        found.map(|at| if needle.is_empty() { 0 } else { start + at + needle.len() })
    }

    /// The first `n` bytes, or as many as there are.
    pub(crate) fn take_first(&mut self, n: usize) -> Vec<u8> {
        let end = (self.taken + n).min(self.buffer.len());
        self.take(self.taken..end)
    }

    fn take(&mut self, range: Range<usize>) -> Vec<u8> {
        let bytes = self.buffer[range.clone()].to_vec();
        self.taken = range.end;
        self.searched.set(self.searched.get().max(range.end));
        if self.taken == self.buffer.len() {
            self.buffer.clear();
            self.taken = 0;
            self.line_start = 0;
            self.searched.set(0);
        }
        bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.buffer.len() - self.taken
    }

    /// A copy of what is there, for an error of a program that goes on.
    pub(crate) fn copy(&self) -> Vec<u8> {
        self.buffer[self.taken..].to_vec()
    }

    /// All that is left, in memory of about its size.
    pub(super) fn into_bytes(mut self) -> (Vec<u8>, u64) {
        if let Some((limit, Overflow::HeadAndTail)) = self.limit {
            if self.len() > limit && !self.by_line {
                self.cut_middle(limit);
            }
        }
        self.end_line();
        if self.taken > 0 {
            self.buffer.drain(..self.taken);
        }
        // A chunk was reserved for the first byte.
        if self.buffer.capacity() > 2 * self.buffer.len() {
            self.buffer.shrink_to_fit();
        }
        (self.buffer, self.omitted)
    }
}
