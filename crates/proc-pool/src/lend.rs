//! What can be lent to a task: a borrowed value here, a borrowed copy of it there.

use proc_core::Message;
use serde::{Serialize, de::DeserializeOwned};
use std::borrow::Borrow;
use std::path::{Path, PathBuf};

/// What [`Pool::map_ref`](crate::Pool::map_ref) can lend to a function that takes `&Self`: every
/// [`Message`], and `str`, `Path` and slices.
pub trait Lend: Serialize {
    /// What it is in the worker, where the reference is taken from.
    type Owned: DeserializeOwned + Borrow<Self> + 'static;
}

impl<T: Message> Lend for T {
    type Owned = T;
}

impl Lend for str {
    type Owned = String;
}

impl Lend for Path {
    type Owned = PathBuf;
}

impl<T: Message> Lend for [T] {
    type Owned = Vec<T>;
}
