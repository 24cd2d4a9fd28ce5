//! Records: a word that says what comes, then that.

/// What a record starts with. In memory it is one word: the length in the low half, above it the kind, above it whether
/// descriptors belong to the record. Bodies are padded to eight bytes, so a head is never cut by the end of the ring.
///
/// A body is: 16 bytes about descriptors if it has any (a ticket and their number), then for `First` 8 bytes with the
/// length of the whole message, then the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) has_fds: bool,
    /// Bytes of the body without padding.
    pub(super) len: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A message.
    Whole = 1,
    /// The first piece of a message longer than a record.
    First = 2,
    /// A piece between.
    Middle = 3,
    /// The last piece.
    Last = 4,
    /// The sender gave up on the message whose pieces came before.
    Abandoned = 5,
}

/// Bytes of a record's head.
pub(super) const HEAD: u64 = 8;
/// Bytes at the start of a body about its descriptors.
pub(super) const FDS: u64 = 16;
/// Bytes at the start of a first piece: the length of the message.
pub(super) const TOTAL: u64 = 8;

const WITH_FDS: u64 = 1 << 40;

impl Head {
    pub(super) fn word(self) -> u64 {
        debug_assert!(self.len <= u64::from(u32::MAX), "bodies are limited by the capacity");
        self.len | (self.kind as u64) << 32 | if self.has_fds { WITH_FDS } else { 0 }
    }

    /// What a word from shared memory says, if it is a head at all.
    #[inline]
    pub(super) fn parse(word: u64) -> Option<Head> {
        let kind = match word >> 32 & 0xff {
            1 => Kind::Whole,
            2 => Kind::First,
            3 => Kind::Middle,
            4 => Kind::Last,
            5 => Kind::Abandoned,
            _ => return None,
        };
        let len = word & u64::from(u32::MAX);
        let has_fds = word & WITH_FDS != 0;
        let sound = word >> 41 == 0
            && len >= prefix(kind, has_fds)
            && (!has_fds || matches!(kind, Kind::Whole | Kind::First))
            && (kind != Kind::Abandoned || len == 0);
        sound.then_some(Head { kind, has_fds, len })
    }
}

/// Bytes of a body before its payload.
#[inline]
pub(super) fn prefix(kind: Kind, has_fds: bool) -> u64 {
    (if has_fds { FDS } else { 0 }) + if kind == Kind::First { TOTAL } else { 0 }
}

/// Bytes that a record with such a body takes.
#[inline]
pub(super) fn size(body: u64) -> u64 {
    HEAD + ((body + 7) & !7)
}

/// The longest body of a record: a quarter of the ring with its head, so that writing, reading and what waits between
/// overlap when a message goes in pieces.
#[inline]
pub(super) fn max_body(capacity: u64) -> u64 {
    capacity / 4 - HEAD
}
