//! State that tasks are called with: sent to the worker once, or made in it.

use super::address::Address;
use proc_core::{Func, Message, transfer};
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// The states of a worker, by the number that the pool gave each.
#[derive(Default)]
pub(crate) struct States(HashMap<u64, Rc<dyn Any>>);

impl States {
    /// The state with this number, if it is of this type.
    pub(crate) fn get<T: 'static>(&self, id: u64) -> Result<Rc<T>, String> {
        let found = self.0.get(&id).cloned().and_then(|state| state.downcast().ok());
        found.ok_or_else(|| "the worker has no such state".to_owned())
    }

    pub(crate) fn remove(&mut self, id: u64) -> Option<Rc<dyn Any>> {
        self.0.remove(&id)
    }

    pub(crate) fn insert(&mut self, id: u64, state: Rc<dyn Any>) {
        self.0.insert(id, state);
    }
}

/// Makes a state from its bytes. Its address crosses.
pub(crate) type MakeState = fn((Vec<u8>, Vec<OwnedFd>)) -> Rc<dyn Any>;

/// What is sent with a state's bytes: how it is made, and its number.
pub(crate) type StateHead = (Func<(Vec<u8>, Vec<OwnedFd>), Rc<dyn Any>>, u64);

/// A value that was sent, decoded by the first item that asks for it. Not when it arrives: its `Deserialize` is the
/// user's, and what that does (it may panic, end the process, never return) is then done by an item that the worker has
/// claimed, which is the guilty one and whose time limit counts.
pub(crate) struct Sent<S> {
    content: RefCell<Option<(Vec<u8>, Vec<OwnedFd>)>>,
    value: OnceCell<Result<S, String>>,
    /// Other workers get the same message.
    shared: bool,
}

impl<S: Message> Sent<S> {
    fn new(content: (Vec<u8>, Vec<OwnedFd>), shared: bool) -> Sent<S> {
        Sent { content: RefCell::new(Some(content)), value: OnceCell::new(), shared }
    }

    /// The value; why not, if it could not be decoded: each task that needs it says so.
    #[inline]
    pub(crate) fn get(&self) -> Result<&S, String> {
        let value = match self.value.get() {
            Some(value) => value,
            None => self.decode(),
        };
        value.as_ref().map_err(Clone::clone)
    }

    #[cold]
    fn decode(&self) -> &Result<S, String> {
        let content = self.content.borrow_mut().take();
        let decoded = match content {
            Some((bytes, fds)) => {
                let counts = self.shared && !fds.is_empty();
                let decoded = transfer::unpack::<S>(&bytes, fds).map_err(|e| e.to_string());
                // A value with descriptors may count its copies, as the ends of a channel do: one for each message, less one
                // for each value that is dropped. This message is decoded in several workers, so each makes up for its
                // own copy by a message that goes nowhere. That counts for ever, as a killed process does.
                if let (true, Ok(value)) = (counts, &decoded) {
                    drop(transfer::pack(value));
                }
                decoded
            }
            // Its descriptors were taken by the call that did not come back, so it can't be tried again.
            None => Err("an earlier task panicked while it was decoded".into()),
        };
        self.value.get_or_init(|| decoded.map_err(|why| format!("the state of the pool: {why}")))
    }
}

pub(crate) fn sent<S: Message>(content: (Vec<u8>, Vec<OwnedFd>)) -> Rc<dyn Any> {
    Rc::new(Sent::<S>::new(content, true))
}

/// What a state that is made in the worker is made of.
#[derive(Serialize, Deserialize)]
pub(crate) struct Init<P> {
    pub(crate) address: Address,
    pub(crate) arg: P,
}

/// A value that is made when the first task asks for it.
pub(crate) struct Made<W> {
    make: Box<dyn Fn() -> Result<W, String>>,
    value: RefCell<Option<W>>,
}

impl<W> Made<W> {
    /// Calls `f` with the value, which is made first if there is none. After a panic there is none: what `f` left
    /// half-changed is dropped, and the next task gets a new one.
    pub(crate) fn lend<T>(&self, f: impl FnOnce(&mut W) -> T) -> Result<T, String> {
        let taken = self.value.borrow_mut().take();
        let mut value = match taken {
            Some(value) => value,
            None => (self.make)()?,
        };
        let result = f(&mut value);
        *self.value.borrow_mut() = Some(value);
        Ok(result)
    }
}

/// A value that is made here by the function that was sent. The function's argument is decoded by the first item too.
pub(crate) fn made<P: Message + Clone, W: 'static>(content: (Vec<u8>, Vec<OwnedFd>)) -> Rc<dyn Any> {
    made_of::<P, W>(Sent::new(content, true))
}

/// A function that is called once, with an argument that was encoded for this worker.
pub(crate) fn called<P: Message + Clone>(content: (Vec<u8>, Vec<OwnedFd>)) -> Rc<dyn Any> {
    made_of::<P, ()>(Sent::new(content, false))
}

fn made_of<P: Message + Clone, W: 'static>(init: Sent<Init<P>>) -> Rc<dyn Any> {
    let make = move || {
        let init = init.get()?;
        let pointer = init.address.pointer::<fn(P) -> W>()?;
        // SAFETY: as for the functions of tasks: same type, same image.
        let f = unsafe { std::mem::transmute::<*const (), fn(P) -> W>(pointer) };
        Ok(f(init.arg.clone()))
    };
    Rc::new(Made::<W> { make: Box::new(make), value: RefCell::new(None) })
}
