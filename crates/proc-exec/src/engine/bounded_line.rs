//! A line that is kept within a limit while it comes, piece by piece.

use super::kept::CHUNK;

/// What becomes of output beyond [`Command::output_limit`](crate::Command::output_limit).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Overflow {
    /// The program is ended, and the call fails with the first bytes up to the limit.
    #[default]
    Fail,
    /// The first bytes are kept, the rest is read and thrown away.
    Truncate,
    /// The first half of the limit and the last half are kept; what was between them is thrown away.
    HeadAndTail,
}

/// Bytes, and what becomes of more.
pub(crate) type Bound = (usize, Overflow);

/// Adds `piece` to the line that is `buffer[start..]`; `ends`: the line's end follows. Gives how many bytes were left
/// out. While a line comes, [`Overflow::HeadAndTail`] keeps more than the limit, so as not to move it at each piece.
pub(crate) fn append(
    buffer: &mut Vec<u8>,
    start: usize,
    piece: &[u8],
    ends: bool,
    bound: Option<Bound>,
) -> u64 {
    let Some((limit, overflow)) = bound else {
        buffer.extend_from_slice(piece);
        return 0;
    };
    if overflow != Overflow::HeadAndTail {
        let room = limit.saturating_sub(buffer.len() - start).min(piece.len());
        buffer.extend_from_slice(&piece[..room]);
        return (piece.len() - room) as u64;
    }
    buffer.extend_from_slice(piece);
    let len = buffer.len() - start;
    let slack = if ends { 0 } else { limit.max(CHUNK) };
    if len <= limit.saturating_add(slack) {
        return 0;
    }
    let head = limit / 2;
    buffer.drain(start + head..buffer.len() - (limit - head));
    (len - limit) as u64
}
