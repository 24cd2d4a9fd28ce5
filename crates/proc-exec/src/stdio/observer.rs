//! Who sees the output while it comes.

use super::lock;
use crate::engine::{Bound, Overflow, append};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

type Shared<T> = Arc<Mutex<T>>;
type BytesCall = dyn FnMut(&[u8]) + Send;
type LineCall = dyn FnMut(&str) + Send;

/// Sees the bytes of one stream as they are read, on the thread that waits for the program.
#[derive(Clone)]
pub(crate) enum Observer {
    /// A copy goes here.
    Tee(Shared<dyn Write + Send>),
    Bytes(Shared<BytesCall>),
    Lines {
        call: Shared<LineCall>,
        /// A line whose end has not come. Each start has its own.
        begun: Vec<u8>,
        /// What has begun is longer than may be.
        is_over: bool,
    },
}

impl Observer {
    pub(crate) fn lines(call: impl FnMut(&str) + Send + 'static) -> Self {
        Observer::Lines { call: Arc::new(Mutex::new(call)), begun: Vec::new(), is_over: false }
    }

    /// `false`: a line is longer than the limit, and the program is to be ended.
    pub(crate) fn see(&mut self, bytes: &[u8], limit: Option<Bound>) -> io::Result<bool> {
        match self {
            Observer::Tee(writer) => lock(writer).write_all(bytes).map(|()| true),
            Observer::Bytes(call) => {
                lock(call)(bytes);
                Ok(true)
            }
            Observer::Lines { call, begun, is_over } => {
                for piece in bytes.split_inclusive(|b| *b == b'\n') {
                    let (piece, ends) =
                        piece.strip_suffix(b"\n").map_or((piece, false), |piece| (piece, true));
                    let fits = limit.is_none_or(|(limit, _)| piece.len() <= limit);
                    if ends && begun.is_empty() && fits {
                        lock(call)(&text(piece));
                        continue;
                    }
                    let omitted = append(begun, 0, piece, ends, limit);
                    if omitted > 0 && limit.is_some_and(|(_, overflow)| overflow == Overflow::Fail) {
                        *is_over = true;
                        return Ok(false);
                    }
                    if ends {
                        let whole = std::mem::take(begun);
                        lock(call)(&text(&whole));
                    }
                }
                Ok(true)
            }
        }
    }

    /// The stream has ended: a last line without an end is a line, unless it is a piece of one beyond the limit.
    pub(crate) fn end(&mut self, limit: Option<Bound>) -> io::Result<()> {
        match self {
            Observer::Tee(writer) => lock(writer).flush(),
            Observer::Bytes(_) => Ok(()),
            Observer::Lines { call, begun, is_over } => {
                append(begun, 0, b"", true, limit);
                let last = std::mem::take(begun);
                if !last.is_empty() && !*is_over {
                    lock(call)(&text(&last));
                }
                Ok(())
            }
        }
    }
}

fn text(line: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line))
}
