//! One entry in the worker: its items are claimed one after the other, and the result of each is out before the next
//! begins.

use super::answer::Answer;
use super::work::Failure;
use crate::bytes::LARGE;
use crate::link::record::{self, Bare, Head};
use crate::link::slots::Slots;
use proc_core::Panic;
use proc_core::inherit::Lineage;
use proc_core::transfer::Packed;
use proc_ipc::ring::{SendError, Sender};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

/// The items of an entry that are still to be run.
pub(crate) struct Entry<'a> {
    pub(super) slots: Slots<'a>,
    pub(super) up: &'a mut Sender,
    pub(super) head: Head,
    /// The arguments that were not taken.
    pub(super) rest: &'a [u8],
    pub(super) fds: Vec<OwnedFd>,
    /// The argument of a single item that came in pieces; then there is no rest.
    pub(super) long: Option<Vec<u8>>,
    /// The next item.
    pub(super) next: u32,
    /// Where values are encoded.
    pub(super) value: &'a mut Packed,
    /// Set if what the items cost is measured.
    pub(super) began: Option<Instant>,
    pub(super) lineage: Lineage,
    /// The first item was claimed when its argument was announced.
    pub(super) claimed: bool,
    /// Nobody hears us.
    pub(super) gone: bool,
}

impl<'a> Entry<'a> {
    fn end(&self) -> u32 {
        self.head.item + self.head.count
    }

    /// Claims the next item: its argument. `None`: all were run, or the rest was taken back.
    #[inline]
    pub(super) fn next(&mut self) -> Option<(&'a [u8], Vec<OwnedFd>)> {
        if self.next >= self.end() || self.gone {
            return None;
        }
        let Head { slot, generation, item, .. } = self.head;
        let claimed = if self.next == item {
            self.claimed || self.slots.begin(slot, generation, item)
        } else {
            self.slots.advance(slot, generation, self.next - 1)
        };
        if !claimed {
            return self.skip();
        }
        self.next += 1;
        let all = self.rest;
        if !self.head.is_run {
            self.rest = &[];
            return Some((all, std::mem::take(&mut self.fds)));
        }
        let (len, behind) = all.split_first_chunk()?;
        let (arg, rest) = behind.split_at_checked(u32::from_ne_bytes(*len) as usize)?;
        self.rest = rest;
        Some((arg, Vec::new()))
    }

    /// The rest was taken back, or so it looks: the pool knows whether it was.
    #[cold]
    fn skip(&mut self) -> Option<(&'a [u8], Vec<OwnedFd>)> {
        let head = Head { kind: record::SKIPPED, item: self.next, ..self.head };
        self.next = self.end();
        self.gone = self.up.send(&[&head.to_bytes(&[])], None).is_err();
        None
    }

    /// Where the value of the item that runs is encoded.
    #[inline]
    pub(super) fn value(&mut self) -> &mut Packed {
        self.value.bytes.clear();
        self.value.fds.clear();
        self.value
    }

    /// Sends the result of the item that ran.
    #[inline]
    pub(super) fn finish(&mut self, result: Result<(), Failure>) {
        match result {
            Ok(()) => self.send(record::VALUE),
            Err(failure) => self.fail(&Answer::Failure(failure)),
        }
    }

    #[cold]
    pub(super) fn panicked(&mut self, panic: Panic) {
        self.fail(&Answer::Panicked(panic));
    }

    #[cold]
    fn fail(&mut self, answer: &Answer) {
        self.value.fds.clear();
        self.value.bytes = answer.pack();
        self.send(record::FAILURE);
    }

    #[inline]
    fn send(&mut self, kind: u8) {
        if !self.lineage.is_current() {
            // The task forked, and its child has come back from it: this is not the worker.
            std::process::exit(0);
        }
        let item = self.next - 1;
        let Head { slot, generation, .. } = self.head;
        let mut head = Head { kind, slot, generation, item, ..Head::default() };
        if self.next == self.end() {
            self.slots.done(slot, generation, item);
            if let Some(began) = self.began {
                let each = began.elapsed().as_nanos() / u128::from(self.head.count.max(1));
                head.count = u32::try_from(each).unwrap_or(u32::MAX).max(1);
            }
        }
        if kind == record::VALUE && self.value.bytes.len() >= LARGE {
            head.kind = record::LONG_VALUE;
        }
        match self.write(head) {
            Ok(()) => {}
            // What the ring or the kernel will not carry (too many descriptors, no memory) is this item's error, in the
            // place of a value that may have been announced.
            Err(e @ (SendError::Io(_) | SendError::TooLong | SendError::Full)) => {
                let why = Answer::Failure(Failure::Encode(e.to_string())).pack();
                head.kind = record::FAILURE;
                self.gone = self.up.send(&[&why, &head.to_bytes(&why)], None).is_err();
            }
            Err(_) => self.gone = true,
        }
    }

    /// Writes the value, or why there is none.
    #[inline]
    fn write(&mut self, head: Head) -> Result<(), SendError> {
        let Packed { bytes, fds } = &mut *self.value;
        if head.kind == record::LONG_VALUE {
            let bare = Bare::of(bytes).to_bytes();
            let announcement: &[&[u8]] = &[&bare, &head.to_bytes(&bare)];
            // It is seen with what follows it, so that nobody is woken for it alone.
            match self.up.push(announcement) {
                Err(SendError::Full) => self.up.send(announcement, None)?,
                pushed => pushed?,
            }
        } else {
            head.append(bytes);
        }
        if fds.is_empty() {
            return self.up.send(&[bytes], None);
        }
        let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
        self.up.send_with_fds(&[bytes], &fds, None)
    }
}
