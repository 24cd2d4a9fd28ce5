//! A user's function in the worker: erased, fed with bytes.

use super::address::Address;
use super::entry::Entry;
use super::states::{Made, Sent, States};
use crate::bytes::LARGE;
use crate::parcel::same;
use proc_core::transfer::{self, Packed};
use proc_core::{Message, RemoteError};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::any::TypeId;
use std::borrow::Borrow;
use std::cell::RefCell;
use std::error::Error;
use std::marker::PhantomData;
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// What runs items of one function. A panic is the caller's to catch.
pub(crate) trait Work {
    /// Claims, decodes, calls, encodes and sends, until no item is left. After a panic it may be called again for the
    /// rest.
    fn run(&self, items: &mut Entry<'_>);
}

/// Why a task gave no value, short of a panic or a death.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Failure {
    /// The function returned an error.
    Failed(RemoteError),
    /// The value could not be encoded.
    Encode(String),
    /// The argument, or the state that goes with it, could not be decoded.
    Decode(String),
}

/// What a function is made of in the worker: its address, and the state that it is called with.
#[derive(Serialize, Deserialize)]
pub(crate) struct Recipe {
    pub(crate) address: Address,
    pub(crate) state: u64,
}

/// Makes the function from its recipe. Its address crosses, monomorphised for the function's types.
pub(crate) type Make = fn((Recipe, Shared)) -> Result<Box<dyn Work>, String>;

/// The worker's table of states.
pub(crate) type Shared = Rc<RefCell<States>>;

struct Typed<A, R, F> {
    call: F,
    types: PhantomData<fn(A) -> R>,
}

impl<A, R, F> Work for Typed<A, R, F>
where
    A: DeserializeOwned + 'static,
    R: Message,
    F: Fn(A) -> Result<R, Failure>,
{
    fn run(&self, items: &mut Entry<'_>) {
        while let Some((arg, fds)) = items.next() {
            let long = items.long.take();
            let result = self.one(arg, long, fds, items.value());
            items.finish(result);
        }
    }
}

impl<A, R, F> Typed<A, R, F>
where
    A: DeserializeOwned + 'static,
    R: Message,
    F: Fn(A) -> Result<R, Failure>,
{
    #[inline]
    fn one(
        &self,
        arg: &[u8],
        long: Option<Vec<u8>>,
        fds: Vec<OwnedFd>,
        out: &mut Packed,
    ) -> Result<(), Failure> {
        let arg = match long {
            None => decoded_arg(arg, fds)?,
            Some(long) => long_arg(long, fds)?,
        };
        let value = (self.call)(arg)?;
        if TypeId::of::<R>() == TypeId::of::<Vec<u8>>() {
            return bytes_out(value, out);
        }
        transfer::pack_into(&value, &mut out.bytes, &mut out.fds).map_err(|e| Failure::Encode(e.to_string()))
    }
}

#[inline]
fn decoded_arg<A: DeserializeOwned + 'static>(arg: &[u8], fds: Vec<OwnedFd>) -> Result<A, Failure> {
    transfer::unpack(arg, fds).map_err(|e| Failure::Decode(e.to_string()))
}

/// A vector of bytes is its own encoding, so the buffer itself becomes the argument.
fn long_arg<A: DeserializeOwned + 'static>(long: Vec<u8>, fds: Vec<OwnedFd>) -> Result<A, Failure> {
    if TypeId::of::<A>() != TypeId::of::<Vec<u8>>() {
        return decoded_arg(&long, fds);
    }
    same::<Vec<u8>, A>(long).or_else(|long| decoded_arg(&long, fds))
}

/// The same for the value.
fn bytes_out<R: Message>(value: R, out: &mut Packed) -> Result<(), Failure> {
    match same::<R, Vec<u8>>(value) {
        Ok(bytes) if bytes.len() >= LARGE => out.bytes = bytes,
        Ok(bytes) => out.bytes.extend_from_slice(&bytes),
        Err(_) => return Err(Failure::Encode("a vector of bytes is none".into())),
    }
    Ok(())
}

/// What stands for a function that can't be had here: each item says why.
pub(super) struct Missing(String);

pub(super) fn missing(why: &str) -> Missing {
    Missing(why.to_owned())
}

impl Work for Missing {
    fn run(&self, items: &mut Entry<'_>) {
        while items.next().is_some() {
            items.finish(Err(Failure::Decode(self.0.clone())));
        }
    }
}

fn boxed<A, R>(call: impl Fn(A) -> Result<R, Failure> + 'static) -> Box<dyn Work>
where
    A: DeserializeOwned + 'static,
    R: Message,
{
    Box::new(Typed { call, types: PhantomData })
}

/// Checks that the address is of this type. What is kept is the pointer, so that the types of a function's errors need not
/// outlive everything: only what is kept has to.
macro_rules! checked {
    ($address:expr, $type:ty) => {
        $address.pointer::<$type>()?
    };
}

macro_rules! function {
    ($pointer:expr, $type:ty) => {
        // SAFETY: the pointer was taken from an address that was checked against this very type by `checked`: it comes
        // from a pointer of that type in the same image, as `pointer` compares the type's name and decoding the address
        // has compared the image.
        unsafe { std::mem::transmute::<*const (), $type>($pointer) }
    };
}

type Args = (Recipe, Shared);

/// `fn(A) -> R`
pub(crate) fn plain<A: Message, R: Message>((recipe, _): Args) -> Result<Box<dyn Work>, String> {
    let pointer = checked!(recipe.address, fn(A) -> R);
    Ok(boxed(move |arg: A| Ok(function!(pointer, fn(A) -> R)(arg))))
}

/// `fn(A) -> Result<R, E>`
pub(crate) fn fallible<A, R, E>((recipe, _): Args) -> Result<Box<dyn Work>, String>
where
    A: Message,
    R: Message,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let pointer = checked!(recipe.address, fn(A) -> Result<R, E>);
    Ok(boxed(move |arg: A| function!(pointer, fn(A) -> Result<R, E>)(arg).map_err(failed)))
}

/// `fn(&T) -> R`
pub(crate) fn lent<T, O, R>((recipe, _): Args) -> Result<Box<dyn Work>, String>
where
    T: ?Sized + 'static,
    O: DeserializeOwned + Borrow<T> + 'static,
    R: Message,
{
    let pointer = checked!(recipe.address, fn(&T) -> R);
    Ok(boxed(move |arg: O| Ok(function!(pointer, fn(&T) -> R)(arg.borrow()))))
}

/// `fn(&S, A) -> R`
pub(crate) fn with<S: Message, A: Message, R: Message>(
    (recipe, states): Args,
) -> Result<Box<dyn Work>, String> {
    let pointer = checked!(recipe.address, fn(&S, A) -> R);
    let state = shared::<S>(&recipe, states)?;
    Ok(boxed(move |arg: A| {
        let state = state.get().map_err(Failure::Decode)?;
        Ok(function!(pointer, fn(&S, A) -> R)(state, arg))
    }))
}

/// `fn(&S, A) -> Result<R, E>`
pub(crate) fn fallible_with<S, A, R, E>((recipe, states): Args) -> Result<Box<dyn Work>, String>
where
    S: Message,
    A: Message,
    R: Message,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let pointer = checked!(recipe.address, fn(&S, A) -> Result<R, E>);
    let state = shared::<S>(&recipe, states)?;
    Ok(boxed(move |arg: A| {
        let state = state.get().map_err(Failure::Decode)?;
        function!(pointer, fn(&S, A) -> Result<R, E>)(state, arg).map_err(failed)
    }))
}

/// `fn(&mut W, A) -> R`
pub(crate) fn local<W: 'static, A: Message, R: Message>(
    (recipe, states): Args,
) -> Result<Box<dyn Work>, String> {
    let pointer = checked!(recipe.address, fn(&mut W, A) -> R);
    let state = made::<W>(&recipe, states)?;
    Ok(boxed(move |arg: A| {
        let f = function!(pointer, fn(&mut W, A) -> R);
        state.lend(|w| f(w, arg)).map_err(Failure::Decode)
    }))
}

/// `fn(&mut W, A) -> Result<R, E>`
pub(crate) fn fallible_local<W, A, R, E>((recipe, states): Args) -> Result<Box<dyn Work>, String>
where
    W: 'static,
    A: Message,
    R: Message,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let pointer = checked!(recipe.address, fn(&mut W, A) -> Result<R, E>);
    let state = made::<W>(&recipe, states)?;
    Ok(boxed(move |arg: A| {
        let f = function!(pointer, fn(&mut W, A) -> Result<R, E>);
        state.lend(|w| f(w, arg)).map_err(Failure::Decode)?.map_err(failed)
    }))
}

fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
    Failure::Failed(RemoteError::new(error))
}

fn shared<S: 'static>(recipe: &Recipe, states: Shared) -> Result<Rc<Sent<S>>, String> {
    RefCell::borrow(&states).get(recipe.state)
}

fn made<W: 'static>(recipe: &Recipe, states: Shared) -> Result<Rc<Made<W>>, String> {
    RefCell::borrow(&states).get(recipe.state)
}
