//! A user's function as the pool sees it: erased, with an identity, and a recipe that each worker gets once.

use crate::engine::Engine;
use crate::lend::Lend;
use crate::worker::address::Address;
use crate::worker::states::{self, Init, MakeState, StateHead};
use crate::worker::work::{self, Make, Recipe};
use parking_lot::Mutex;
use proc_core::transfer::{self, Packed};
use proc_core::{Func, Message};
use serde::{Serialize, de::DeserializeOwned};
use std::error::Error;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// A function, the same for all its calls.
#[derive(Debug)]
pub(crate) struct Function {
    /// What it is called on the wire.
    pub(crate) id: u32,
    /// What an item costs, in nanoseconds, as workers measured it lately; 0: not measured yet. A hint: relaxed.
    cost: AtomicU64,
    /// The recipe, or why the function can't be sent.
    pub(crate) recipe: Result<Packed, String>,
    /// What must be in the worker before it.
    pub(crate) state: Option<Arc<State>>,
}

impl Function {
    pub(crate) fn cost(&self) -> u64 {
        self.cost.load(Ordering::Relaxed)
    }

    /// Takes a measurement in: a quarter of the difference, and no more than a quarter of what was known if it is greater.
    /// One item in a hundred that takes a hundred times as long would double the mean, and starve the workers behind it
    /// of the short ones; this is near what most items take.
    pub(crate) fn measured(&self, nanos: u64) {
        let old = self.cost();
        let new = if old == 0 { nanos } else { (old * 3 + nanos.min(old.saturating_mul(2))).div_ceil(4) };
        self.cost.store(new.max(1), Ordering::Relaxed);
    }
}

/// Which function it is: how it is made, where it is, and its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    make: usize,
    target: usize,
    state: u64,
}

/// State that calls share.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) id: u64,
    pub(crate) recipe: Result<Packed, String>,
}

/// What keeps a state in the workers: each handle with it, and all that was submitted by one. With the last of them the
/// workers are told to drop it.
pub(crate) struct Held {
    state: Arc<State>,
    engine: Weak<Engine>,
    /// The functions that were called with it, as the pool's table has them.
    keys: Mutex<Vec<Key>>,
}

impl Held {
    pub(crate) fn new(engine: &Arc<Engine>, state: State) -> Arc<Held> {
        Arc::new(Held { state: Arc::new(state), engine: Arc::downgrade(engine), keys: Mutex::default() })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(engine) = self.engine.upgrade() {
            engine.forget(Forgotten { state: self.state.id, keys: std::mem::take(self.keys.get_mut()) });
        }
    }
}

/// A state that nothing needs any more, and its functions.
#[derive(Debug)]
pub(crate) struct Forgotten {
    pub(crate) state: u64,
    pub(crate) keys: Vec<Key>,
}

/// A function before it is known whether the pool has seen it.
pub(crate) struct Candidate {
    make: Make,
    pointer: *const (),
    address: fn(*const ()) -> Address,
    /// What keeps its state in the workers: whoever has tasks of it keeps it too.
    pub(crate) held: Option<Arc<Held>>,
}

impl Candidate {
    /// `pointer` is an `F`.
    fn new<F>(make: Make, pointer: *const (), state: Option<&Arc<Held>>) -> Self {
        Candidate { make, pointer, address: Address::of::<F>, held: state.cloned() }
    }

    pub(crate) fn key(&self) -> Key {
        let state = self.held.as_ref().map_or(0, |held| held.state.id);
        Key { make: self.make as usize, target: self.pointer as usize, state }
    }

    /// Notes that the pool's table has it, for when its state goes.
    pub(crate) fn is_kept(&self) {
        if let Some(held) = &self.held {
            held.keys.lock().push(self.key());
        }
    }

    pub(crate) fn into_function(self, id: u32) -> Function {
        let key = self.key();
        let recipe = Recipe { address: (self.address)(self.pointer), state: key.state };
        let packed = transfer::pack(&(Func::new(self.make), recipe)).map_err(|e| e.to_string());
        let state = self.held.map(|held| held.state.clone());
        Function { id, cost: AtomicU64::new(0), recipe: packed, state }
    }
}

pub(crate) fn plain<A: Message, R: Message>(f: fn(A) -> R) -> Candidate {
    Candidate::new::<fn(A) -> R>(work::plain::<A, R>, f as *const (), None)
}

pub(crate) fn fallible<A: Message, R: Message, E: Into<Box<dyn Error + Send + Sync>>>(
    f: fn(A) -> Result<R, E>,
) -> Candidate {
    Candidate::new::<fn(A) -> Result<R, E>>(work::fallible::<A, R, E>, f as *const (), None)
}

pub(crate) fn lent<T: Lend + ?Sized + 'static, R: Message>(f: fn(&T) -> R) -> Candidate {
    Candidate::new::<fn(&T) -> R>(work::lent::<T, T::Owned, R>, f as *const (), None)
}

pub(crate) fn with<S: Message, A: Message, R: Message>(state: &Arc<Held>, f: fn(&S, A) -> R) -> Candidate {
    Candidate::new::<fn(&S, A) -> R>(work::with::<S, A, R>, f as *const (), Some(state))
}

pub(crate) fn fallible_with<S, A, R, E>(state: &Arc<Held>, f: fn(&S, A) -> Result<R, E>) -> Candidate
where
    S: Message,
    A: Message,
    R: Message,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    Candidate::new::<fn(&S, A) -> Result<R, E>>(
        work::fallible_with::<S, A, R, E>,
        f as *const (),
        Some(state),
    )
}

pub(crate) fn local<W: 'static, A: Message, R: Message>(
    state: &Arc<Held>,
    f: fn(&mut W, A) -> R,
) -> Candidate {
    Candidate::new::<fn(&mut W, A) -> R>(work::local::<W, A, R>, f as *const (), Some(state))
}

pub(crate) fn fallible_local<W, A, R, E>(state: &Arc<Held>, f: fn(&mut W, A) -> Result<R, E>) -> Candidate
where
    W: 'static,
    A: Message,
    R: Message,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    Candidate::new::<fn(&mut W, A) -> Result<R, E>>(
        work::fallible_local::<W, A, R, E>,
        f as *const (),
        Some(state),
    )
}

impl State {
    /// A value that is sent to each worker once.
    pub(crate) fn sent<S: Message>(value: &S) -> State {
        let packed = transfer::pack(value);
        State::new(states::sent::<S>, packed.map_err(|e| e.to_string()))
    }

    /// A value that each worker makes for itself.
    pub(crate) fn made<P: Message + Clone, W: 'static>(init: fn(P) -> W, arg: P) -> State {
        State::of(states::made::<P, W>, init, arg)
    }

    /// A function that is called at the start or the end of one worker.
    pub(crate) fn called<P: Message + Clone>(f: fn(P), arg: P) -> State {
        State::of(states::called::<P>, f, arg)
    }

    fn of<P: Message, W: 'static>(make: MakeState, init: fn(P) -> W, arg: P) -> State {
        let init = Init { address: Address::of::<fn(P) -> W>(init as *const ()), arg };
        State::new(make, transfer::pack(&init).map_err(|e| e.to_string()))
    }

    fn new(make: MakeState, content: Result<Packed, String>) -> State {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let id = COUNT.fetch_add(1, Ordering::Relaxed);
        State { id, recipe: content.and_then(|content| with_head(&(Func::new(make), id), content)) }
    }
}

/// The content, with what makes the state of it.
fn with_head(head: &StateHead, content: Packed) -> Result<Packed, String> {
    let bytes = join(head, &content.bytes).map_err(|e| e.to_string())?;
    Ok(Packed { bytes, fds: content.fds })
}

/// A message: content, head, the head's length.
fn join<T: Serialize + 'static>(head: &T, content: &[u8]) -> io::Result<Vec<u8>> {
    let head = transfer::pack(head).map_err(io::Error::other)?;
    let mut bytes = Vec::with_capacity(content.len() + head.bytes.len() + 4);
    bytes.extend_from_slice(content);
    bytes.extend_from_slice(&head.bytes);
    bytes.extend_from_slice(&(head.bytes.len() as u32).to_ne_bytes());
    Ok(bytes)
}

/// The parts of a message.
pub(crate) fn split<T: DeserializeOwned + 'static>(
    mut bytes: Vec<u8>,
    fds: Vec<OwnedFd>,
) -> io::Result<(T, Packed)> {
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "a recipe is cut off");
    let end = bytes.len().checked_sub(4).ok_or_else(broken)?;
    let len = bytes[end..].first_chunk::<4>().map_or(0, |word| u32::from_ne_bytes(*word)) as usize;
    let start = end.checked_sub(len).ok_or_else(broken)?;
    let head = transfer::unpack(&bytes[start..end], Vec::new()).map_err(io::Error::other)?;
    bytes.truncate(start);
    Ok((head, Packed { bytes, fds }))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn function() -> Function {
        Function { id: 0, cost: AtomicU64::new(0), recipe: Ok(Packed::default()), state: None }
    }

    #[test]
    fn a_rare_long_item_hardly_changes_what_is_planned_with() {
        let function = function();
        for i in 0..1000 {
            function.measured(if i % 100 == 50 { 1_000_000 } else { 10_000 });
            assert!((10_000..=13_000).contains(&function.cost()), "{} after {i}", function.cost());
        }
    }

    #[test]
    fn what_all_items_take_is_learnt_both_ways() {
        let function = function();
        function.measured(1);
        (0..120).for_each(|_| function.measured(1_000_000));
        assert!((800_000..=1_000_000).contains(&function.cost()), "{}", function.cost());
        (0..60).for_each(|_| function.measured(5));
        assert!((1..=10).contains(&function.cost()), "{}", function.cost());
    }
}
