//! Ends of pipes that this thread has put into messages, until those are sent.

use std::{
    cell::RefCell,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

/// Whether another copy of an end may be the one that lives on.
///
/// | | meaning | changed by |
/// |---|---|---|
/// | false | dropping the end is the end of the stream | who uses the end; a send that failed |
/// | true | a message has it, so dropping this copy says nothing | who puts it into a message |
///
/// Whoever has the end changes it; it orders nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given(Arc<AtomicBool>);

thread_local! {
    static NOTED: RefCell<Vec<Weak<AtomicBool>>> = const { RefCell::new(Vec::new()) };
}

/// Above so many, those of ends that are no more are forgotten: nobody asks after what went along with a new process.
const MANY: usize = 32;

impl Given {
    /// It goes into a message.
    pub(crate) fn give(&self) {
        self.0.store(true, Relaxed);
        let _ = NOTED.try_with(|noted| {
            let mut noted = noted.borrow_mut();
            if noted.len() >= MANY {
                noted.retain(|end| end.strong_count() > 0);
            }
            noted.push(Arc::downgrade(&self.0));
        });
    }

    /// It is used: so it is still here.
    #[inline]
    pub(crate) fn keep(&self) {
        if self.0.load(Relaxed) {
            self.0.store(false, Relaxed);
        }
    }

    pub(crate) fn is_given(&self) -> bool {
        self.0.load(Relaxed)
    }
}

/// The ends in one message.
#[derive(Debug)]
#[must_use]
pub(crate) struct Ends(usize);

/// Before the message is encoded.
#[inline]
pub(crate) fn begin() -> Ends {
    Ends(NOTED.try_with(|noted| noted.borrow().len()).unwrap_or(0))
}

impl Ends {
    /// After it was encoded: the ends that went into it.
    #[cold]
    pub(crate) fn noted(self) -> Noted {
        let split = |noted: &mut Vec<_>| noted.split_off(self.0.min(noted.len()));
        Noted(NOTED.try_with(|noted| split(&mut noted.borrow_mut())).unwrap_or_default())
    }
}

/// Ends in a message that is on its way.
#[derive(Debug)]
pub(crate) struct Noted(Vec<Weak<AtomicBool>>);

impl Noted {
    /// It was not sent, so no other copy will ever be.
    #[cold]
    pub(crate) fn take_back(&self) {
        for end in self.0.iter().filter_map(Weak::upgrade) {
            end.store(false, Relaxed);
        }
    }
}
