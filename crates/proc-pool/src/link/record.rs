//! What is written into the rings: bytes, then a head of fixed size. The head comes last so that the bytes of a value are
//! the beginning of the buffer that it was received in. Between them may be padding, which the head counts.
//!
//! Down (pool to worker):
//!
//! | kind | head | bytes |
//! |---|---|---|
//! | `STATE` | count: 1 if it is long | the recipe of a state, or its length (`u64`) |
//! | `FUNCTION` | function | its recipe |
//! | `ENTRY` | slot, generation, function, first item, number of items | the arguments: one as it is, several each behind its length |
//! | `LONG` | the same, of one item | the argument's length (`u64`) |
//! | `PART` | | the next piece of what is long |
//! | `FORGET` | function, if count is 0 | a state's number (`u64`), if count is 1 |
//! | `END` | | |
//!
//! Up (worker to pool):
//!
//! | kind | head | bytes |
//! |---|---|---|
//! | `READY` | | |
//! | `REFUSED` | | why the worker can't work |
//! | `VALUE`, `FAILURE` | slot, generation, item, cost | the value, or why there is none |
//! | `LONG_VALUE` | the same | the value's length and sum: the value is the next record, which has no head |
//! | `SKIPPED` | slot, generation, item | (the worker came to an item that was taken back, and left the rest of its entry) |
//! | `ROOM` | | (the worker has taken every second `PART` out of its ring, or all that was there) |
//!
//! What is long goes up in one record, as the ring passes it in pieces and the worker can wait; the pool can't, so what
//! is long goes down in records of its own. A long value has no head so that it fits exactly into the memory that it is
//! received in, which is then the caller's.

/// A record's head, in either direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) kind: u8,
    /// Whether each argument has its length before it.
    pub(crate) is_run: bool,
    pub(crate) slot: u16,
    pub(crate) generation: u32,
    /// Down: the first item. Up: the item.
    pub(crate) item: u32,
    /// Down: how many items. Up: what an item costs in nanoseconds; 0: not measured.
    pub(crate) count: u32,
    pub(crate) function: u32,
}

/// Bytes of a head, its sum included.
pub(crate) const HEAD: usize = 24;

/// The longest piece of an argument that goes into one record: with the head it is below a quarter of the ring.
pub(crate) const PIECE: usize = 60 * 1024;

pub(crate) const STATE: u8 = 1;
pub(crate) const FUNCTION: u8 = 2;
pub(crate) const ENTRY: u8 = 3;
pub(crate) const LONG: u8 = 4;
pub(crate) const PART: u8 = 5;
pub(crate) const FORGET: u8 = 6;
pub(crate) const END: u8 = 7;
pub(crate) const READY: u8 = 8;
pub(crate) const REFUSED: u8 = 9;
pub(crate) const VALUE: u8 = 10;
pub(crate) const FAILURE: u8 = 11;
pub(crate) const ROOM: u8 = 12;
pub(crate) const SKIPPED: u8 = 13;
pub(crate) const LONG_VALUE: u8 = 14;

impl Head {
    pub(crate) fn of(kind: u8) -> Head {
        Head { kind, ..Head::default() }
    }

    /// The head that goes behind these bytes.
    #[inline]
    pub(crate) fn to_bytes(self, body: &[u8]) -> [u8; HEAD] {
        self.behind(body, 0)
    }

    /// Appends the head to the bytes that it belongs to, padded so that the record is a number of whole words: a short
    /// one is then copied and summed without a loop over single bytes.
    #[inline]
    pub(crate) fn append(self, record: &mut Vec<u8>) {
        let pad = record.len().wrapping_neg() % 8;
        record.extend_from_slice(&[0; 8][..pad]);
        let head = self.behind(record, pad as u8);
        record.extend_from_slice(&head);
    }

    #[inline]
    fn behind(self, body: &[u8], pad: u8) -> [u8; HEAD] {
        let flags = u64::from(self.is_run) | u64::from(pad) << 1;
        let words = [
            u64::from(self.kind) | flags << 8 | u64::from(self.slot) << 16 | u64::from(self.generation) << 32,
            u64::from(self.item) | u64::from(self.count) << 32,
            u64::from(self.function),
        ];
        let last = words[2] | u64::from(sum(body, words)) << 32;
        let mut bytes = [0; HEAD];
        bytes[..8].copy_from_slice(&words[0].to_ne_bytes());
        bytes[8..16].copy_from_slice(&words[1].to_ne_bytes());
        bytes[16..].copy_from_slice(&last.to_ne_bytes());
        bytes
    }

    /// Takes the head off the end of a record; `None` as for [`parse`](Head::parse).
    #[inline]
    pub(crate) fn strip(record: &mut Vec<u8>) -> Option<Head> {
        let (head, rest) = Head::parse(record)?;
        let len = rest.len();
        record.truncate(len);
        Some(head)
    }

    /// The head of a record, and what is before it; `None` if it has none, or its sum is not that of its bytes.
    #[inline]
    pub(crate) fn parse(record: &[u8]) -> Option<(Head, &[u8])> {
        let (rest, head) = record.split_last_chunk::<HEAD>()?;
        let [first, second, third] = [word(head), word(&head[8..]), word(&head[16..])];
        let function = third as u32;
        if (third >> 32) as u32 != sum(rest, [first, second, u64::from(function)]) {
            return None;
        }
        let flags = (first >> 8) as u8;
        let len = rest.len().checked_sub(usize::from(flags >> 1))?;
        let parsed = Head {
            kind: first as u8,
            is_run: flags & 1 != 0,
            slot: (first >> 16) as u16,
            generation: (first >> 32) as u32,
            item: second as u32,
            count: (second >> 32) as u32,
            function,
        };
        Some((parsed, &rest[..len]))
    }
}

/// What is said of a record without a head, in the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bare {
    len: u64,
    sum: u64,
}

impl Bare {
    pub(crate) fn of(body: &[u8]) -> Bare {
        Bare { len: body.len() as u64, sum: sum(body, [0; 3]).into() }
    }

    pub(crate) fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.len.to_ne_bytes());
        bytes[8..].copy_from_slice(&self.sum.to_ne_bytes());
        bytes
    }

    pub(crate) fn parse(bytes: &[u8]) -> Option<Bare> {
        let bytes: &[u8; 16] = bytes.try_into().ok()?;
        Some(Bare { len: word(bytes), sum: word(&bytes[8..]) })
    }

    /// How long it will be, by the word of its sender.
    pub(crate) fn len(self) -> usize {
        usize::try_from(self.len).unwrap_or(usize::MAX)
    }

    pub(crate) fn is(self, body: &[u8]) -> bool {
        self == Bare::of(body)
    }
}

/// A body above this is summed in samples: to read it all costs as much as to copy it.
const WHOLE: usize = 8 * 1024;

/// Of a longer one so many bytes are summed out of each [`STRIDE`], and its last ones.
const BLOCK: usize = 32;
const STRIDE: usize = 512;

/// A sum over a record, by which both sides see that a task has written over a ring: an argument or a value that was
/// hit would be a wrong result otherwise. It is no defence against somebody who means to deceive, and what the pool
/// believes of a worker does not rest on it.
///
/// Long bodies are sampled. What runs over a ring (a fill, a copy that goes too far) is seen there too; a single stray
/// word need not be, as it would not be in the same bytes a moment earlier, when they were the task's own.
#[inline]
fn sum(body: &[u8], head: [u64; 3]) -> u32 {
    // The three don't wait for each other.
    let mut h = (head[0] ^ body.len() as u64).wrapping_add(K).wrapping_mul(K)
        ^ head[1].wrapping_mul(0xd6e8_feb8_6659_fd93).rotate_left(21)
        ^ head[2].wrapping_mul(0xa076_1d64_78bd_642f).rotate_left(42);
    let mut rest = body;
    if body.len() >= BLOCK {
        (h, rest) = long_sum(h, body);
    }
    let mut words = rest.chunks_exact(8);
    for bytes in &mut words {
        h = mix(h, word(bytes));
    }
    if !words.remainder().is_empty() {
        h = mix(h, words.remainder().iter().fold(0, |rest, byte| rest << 8 | u64::from(*byte)));
    }
    (mix(h, h >> 32) >> 32) as u32
}

/// Adds the blocks of a body to its sum; what is left of it for the caller.
fn long_sum(h: u64, body: &[u8]) -> (u64, &[u8]) {
    // Four at once, as each step waits for its multiplication.
    let mut lanes = [h, 1, 2, 3];
    let mut add = |block: &[u8]| {
        for (lane, bytes) in lanes.iter_mut().zip(block.chunks_exact(8)) {
            *lane = mix(*lane, word(bytes));
        }
    };
    let rest = if body.len() <= WHOLE {
        let mut blocks = body.chunks_exact(BLOCK);
        blocks.by_ref().for_each(&mut add);
        blocks.remainder()
    } else {
        body.chunks(STRIDE).filter_map(|stride| stride.get(..BLOCK)).for_each(&mut add);
        &body[body.len() - BLOCK..]
    };
    (lanes.into_iter().fold(0, mix), rest)
}

const K: u64 = 0x9e37_79b9_7f4a_7c15;

#[inline]
fn mix(h: u64, word: u64) -> u64 {
    (h ^ word).wrapping_mul(K).rotate_left(29)
}

/// The first eight bytes.
#[inline]
fn word(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes))
}

/// The length that announces what is long.
pub(crate) fn length(bytes: &[u8]) -> Option<usize> {
    let len: [u8; 8] = bytes.try_into().ok()?;
    usize::try_from(u64::from_ne_bytes(len)).ok()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn head() -> Head {
        Head { kind: VALUE, is_run: true, slot: 7, generation: 8, item: 9, count: 10, function: 11 }
    }

    #[test]
    fn smoke() {
        for len in (0..70).chain([4000, 8192, 8193, 60_000, 100_001]) {
            let body: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let mut record = body.clone();
            head().append(&mut record);
            assert_eq!(record.len() % 8, 0);
            assert_eq!(Head::strip(&mut record), Some(head()));
            assert_eq!(record, body);
            record.extend_from_slice(&head().to_bytes(&body));
            assert_eq!(Head::parse(&record), Some((head(), &body[..])));
        }
    }

    #[test]
    fn a_byte_that_was_changed_is_seen() {
        for len in [0, 1, 5, 8, 13, 31, 32, 33, 100, 5000] {
            let mut record = vec![0x5a; len];
            head().append(&mut record);
            for at in 0..record.len() {
                for bit in 0..8 {
                    record[at] ^= 1 << bit;
                    assert_eq!(Head::parse(&record), None, "bit {bit} of byte {at} of {len}");
                    record[at] ^= 1 << bit;
                }
            }
        }
    }

    #[test]
    fn what_runs_over_a_long_body_is_seen() {
        for len in [8193, 60_000, 1_000_003] {
            let mut record = vec![0x5a; len];
            head().append(&mut record);
            for at in (0..=len - STRIDE - BLOCK).step_by(len / 499) {
                let hit = at..at + STRIDE + BLOCK;
                record[hit.clone()].fill(0);
                assert_eq!(Head::parse(&record), None, "{at} of {len}");
                record[hit].fill(0x5a);
            }
        }
    }

    #[test]
    fn a_record_without_a_head_is_known_by_the_one_before() {
        let body: Vec<u8> = (0..30_000).map(|i| (i / 7) as u8).collect();
        let bare = Bare::parse(&Bare::of(&body).to_bytes()).unwrap();
        assert_eq!(bare.len(), body.len());
        assert!(bare.is(&body));
        assert!(!bare.is(&body[1..]));
        let mut hit = body.clone();
        hit[9_000..9_600].fill(0);
        assert!(!bare.is(&hit));
        assert_eq!(Bare::parse(&Bare::of(&body).to_bytes()[1..]), None);
        assert_eq!(Bare::parse(&[0; 17]), None);
    }

    #[test]
    fn padding_that_is_longer_than_the_record_is_nonsense() {
        let record = head().behind(&[], 9);
        assert_eq!(Head::parse(&record), None);
        assert_eq!(Head::parse(&record[1..]), None);
    }
}
