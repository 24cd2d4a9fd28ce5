//! The locks that everything here is made of. This is for authors of structures in shared memory.
//!
//! Both outlive their owners: if a process is killed while it holds one, the kernel marks the lock, and the next to come
//! learns of it. Neither needs a helper, a name or a handler.
//!
//! | | [`Section`] | [`UserLock`] |
//! |---|---|---|
//! | for | a few instructions of ours, on a structure | user code, for as long as it likes |
//! | at once in a thread | one | 2,000 |
//! | in shared memory | 4 bytes | 64 bytes, with a node of the thread's list of robust futexes |
//! | after its owner's death | the next gets it and is told, each time until one leaves it whole | poisoned until it is repaired |
//! | user code, allocation or another lock inside | never | yes |
//!
//! # The word
//!
//! One futex word, whose bits are the kernel's:
//!
//! | word | meaning | left by |
//! |---|---|---|
//! | 0 | free | a locker |
//! | `WAITERS` | free, and somebody may sleep | a locker, who keeps the bit; an unlocker that woke nobody |
//! | `tid` | held by that thread | its unlock; its death, to `OWNER_DIED` |
//! | `tid \| WAITERS` | held, and somebody may sleep | its unlock, to `WAITERS` and one wake; its death, to `OWNER_DIED \| WAITERS` and one wake |
//! | `OWNER_DIED`, with or without `WAITERS` | the last owner died | `Section`: a locker. `UserLock`: a repairer |
//!
//! # Why nobody sleeps for ever
//!
//! A wake goes to one sleeper, and that one can be killed before it has made anything of it. So:
//!
//! - `WAITERS` stays when the lock is given up, and whoever takes it next keeps it: the next unlock wakes again. (Storing
//!   0, as the usual futex mutex does, strands the second sleeper if another takes the lock in between and the first one
//!   is killed then.)
//! - A thread that is about to take, or waits for, or just gives up a lock names the word in the pending slot of its robust
//!   list: if it dies while the lock has no owner, the kernel wakes one more.
//! - No sleep is longer than 250 ms. What remains (a bit that was cleared just when somebody set it, and a kill in that
//!   instant; a list that the kernel could not read when it ended a process for want of memory) is mended then: a sleeper
//!   looks again, and looks whether the owner still is.
//!
//! # A bound on waiting
//!
//! Whoever comes first takes a free lock, which is fast and could pass a sleeper over for ever. So a sleeper that has waited
//! for a millisecond says that it is hungry, and the next unlock that wakes one waits, for at most a millisecond or two,
//! until somebody has the lock.
//!
//! A look asks whether the thread is there (`tkill` without a signal), and reads `/proc` to tell a zombie. Where `/proc` is
//! hidden, or a filter of system calls is in the way, an owner counts as living until the kernel says that it is not there.
//!
//! # Signals
//!
//! None of this is for signal handlers: one that interrupts a lock or an unlock of its thread finds the pending slot in use.

mod bell;
mod section;
mod spin;
mod user;
mod word;

#[cfg(loom)]
#[doc(hidden)]
pub mod model;

pub use self::{
    bell::Bell,
    section::{Section, SectionGuard},
    user::{UserLock, UserLockError},
};

pub(crate) use self::user::thread_id;

/// For models: what the kernel does when the calling thread ends here and now. Its guards must be forgotten, and it must
/// return at once.
#[cfg(loom)]
pub fn end_thread() {
    crate::sys::robust::end_thread();
}
