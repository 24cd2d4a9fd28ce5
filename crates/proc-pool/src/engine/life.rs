//! The life of a task that has a handle.

use super::batch::Outcome;
use super::signal::Signal;
use crate::bytes::Bytes;
use crate::completed::Done;
use crate::error::TaskError;
use crate::parcel::Parcel;
use parking_lot::Mutex;
use std::fmt;
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

/// How far a task is, and who is told of its end: a view of its batch, where the flag lies in a gap between other fields.
///
/// | `done` | meaning | leaves it by |
/// |---|---|---|
/// | false | queued or running: the engine's tables say where | `finish`, once, under the course's lock |
/// | true | the outcome is there, until it is taken | never |
#[derive(Clone, Copy)]
pub(crate) struct Life<'a> {
    done: &'a AtomicBool,
    course: &'a Mutex<Course>,
}

/// What changes as a task goes on.
pub(super) struct Course {
    body: Body,
    listener: Listener,
    place: Option<Place>,
}

impl Course {
    /// One that begins with these arguments.
    pub(super) fn new(args: Parcel) -> Course {
        Course { body: Body::Parcel(args), listener: Listener::Nobody, place: None }
    }
}

/// What a task has, one after the other: as small as can be, as a million of them may be queued. Two variants of the size
/// of a parcel would need a word that tells them apart, and `done` tells it already.
#[derive(Default)]
enum Body {
    /// The arguments before `done`, the value after.
    Parcel(Parcel),
    /// After `done`.
    Error(Box<TaskError>),
    #[default]
    Nothing,
}

/// Where a task was written to. Its generation is never 0, so that having no place needs no room of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) seat: u16,
    pub(crate) slot: u16,
    pub(crate) generation: NonZeroU32,
}

/// Who is told of the end. Most have nobody or a thread, so what is large is boxed.
pub(crate) enum Listener {
    Nobody,
    Thread(Arc<Signal>),
    Waker(Box<Waker>),
    Call(Box<Call>),
    /// The consumer of many tasks, by the number that it gave this one.
    Mark(Arc<Done>, u32),
}

/// A function of the user's that is called at the end.
pub(crate) type Call = Box<dyn FnOnce() + Send>;

impl Listener {
    /// Whether somebody must collect for it.
    pub(crate) fn needs_a_collector(&self) -> bool {
        matches!(self, Listener::Waker(_) | Listener::Call(_))
    }

    /// Whether telling runs code of the user: a waker's, or a function's for which no thread can be had.
    pub(crate) fn is_foreign(&self) -> bool {
        self.needs_a_collector()
    }

    /// Tells. A waker is foreign code: no lock may be held.
    pub(crate) fn tell(self) {
        match self {
            Listener::Nobody => {}
            Listener::Thread(signal) => signal.set(),
            // It runs in whichever thread took the result in, whom its panic must not end.
            Listener::Waker(waker) => drop(catch_unwind(AssertUnwindSafe(|| waker.wake()))),
            Listener::Call(call) => super::callbacks::run(*call),
            Listener::Mark(done, number) => done.add(number),
        }
    }
}

impl<'a> Life<'a> {
    #[inline]
    pub(super) fn new(done: &'a AtomicBool, course: &'a Mutex<Course>) -> Life<'a> {
        Life { done, course }
    }

    /// Calls `f` with the arguments, which are there until it ends; and then notes where they were written, if anywhere.
    #[inline]
    pub(super) fn with_args<R>(self, f: impl FnOnce(&Parcel) -> (R, Option<Place>)) -> R {
        static NOTHING: Parcel = Parcel::EMPTY;
        let mut course = self.course.lock();
        let (result, place) = f(match &course.body {
            Body::Parcel(args) if !self.is_done() => args,
            _ => &NOTHING,
        });
        if place.is_some() {
            course.place = place;
        }
        result
    }

    /// Takes the memory of its arguments, if they have any and it has not ended. It is to end at once.
    pub(super) fn take_args(self) -> Vec<u8> {
        let mut course = self.course.lock();
        match &mut course.body {
            Body::Parcel(Parcel { bytes: Bytes::Long(bytes), .. }) if !self.is_done() => {
                std::mem::take(bytes)
            }
            _ => Vec::new(),
        }
    }

    /// Ends it, if it has not ended; whoever is to be told, and the arguments if dropping them is worth a thought.
    pub(crate) fn finish(self, outcome: Outcome) -> Option<(Listener, Option<Parcel>)> {
        let mut course = self.course.lock();
        if self.is_done() {
            return None;
        }
        let body = match outcome {
            Ok(value) => Body::Parcel(value),
            Err(error) => Body::Error(error),
        };
        let args = match std::mem::replace(&mut course.body, body) {
            Body::Parcel(args) if args.fds.is_some() || args.bytes.len() > crate::bytes::SHORT => Some(args),
            _ => None,
        };
        course.place = None;
        let listener = std::mem::replace(&mut course.listener, Listener::Nobody);
        self.done.store(true, Ordering::Release);
        Some((listener, args))
    }

    #[inline]
    pub(crate) fn is_done(self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    /// What it ended with, once.
    pub(crate) fn take(self) -> Option<Outcome> {
        let mut course = self.course.lock();
        if !self.is_done() {
            return None;
        }
        match std::mem::take(&mut course.body) {
            Body::Parcel(value) => Some(Ok(value)),
            Body::Error(error) => Some(Err(error)),
            Body::Nothing => None,
        }
    }

    /// Has `listener` told of the end. `Err`: it has ended, and nobody will be. `Ok`: whom it told before.
    pub(crate) fn listen(self, listener: Listener) -> Result<Listener, Listener> {
        let mut course = self.course.lock();
        if self.is_done() {
            return Err(listener);
        }
        Ok(std::mem::replace(&mut course.listener, listener))
    }

    /// A thread that waited gives up: it is not told any more.
    pub(crate) fn forget_thread(self) {
        let mut course = self.course.lock();
        if matches!(course.listener, Listener::Thread(_)) {
            course.listener = Listener::Nobody;
        }
    }

    pub(crate) fn place(self) -> Option<Place> {
        self.course.lock().place
    }

    pub(crate) fn set_place(self, place: Option<Place>) {
        self.course.lock().place = place;
    }
}

impl fmt::Debug for Life<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Life").field("done", &self.is_done()).finish_non_exhaustive()
    }
}
