//! Handles whose functions get a state beside their argument.

use crate::error::TaskError;
use crate::feed::Feed;
use crate::function::{self, Held, State};
use crate::imap::{Imap, ImapUnordered};
use crate::pool::Pool;
use crate::task::Task;
use proc_core::Message;
use std::error::Error;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// A pool whose functions get a captured state, sent once to each worker. Made by [`Pool::with`].
///
/// The verbs are those of [`Pool`], over `fn(&S, A) -> R`; a method of `S` will do.
pub struct PoolWith<S> {
    pool: Pool,
    state: Arc<Held>,
    of: PhantomData<fn() -> S>,
}

/// A pool whose functions get a state that each worker made for itself. Made by [`Pool::with_init`].
///
/// The verbs are those of [`Pool`], over `fn(&mut W, A) -> R`.
pub struct PoolInit<W> {
    pool: Pool,
    state: Arc<Held>,
    of: PhantomData<fn() -> W>,
}

macro_rules! verbs {
    ($state:ty, $plain:path, $fallible:path) => {
        /// As [`Pool::map`].
        ///
        /// # Errors
        /// The first error that arrives.
        pub fn map<A, R, I>(&self, f: fn($state, A) -> R, items: I) -> Result<Vec<R>, TaskError>
        where
            A: Message,
            R: Message,
            I: IntoIterator<Item = A>,
        {
            self.pool.map_by($plain(&self.state, f), items, Feed::add)
        }

        /// As [`Pool::try_map`].
        ///
        /// # Errors
        /// The first error that arrives.
        pub fn try_map<A, R, E, I>(
            &self,
            f: fn($state, A) -> Result<R, E>,
            items: I,
        ) -> Result<Vec<R>, TaskError>
        where
            A: Message,
            R: Message,
            E: Into<Box<dyn Error + Send + Sync>>,
            I: IntoIterator<Item = A>,
        {
            self.pool.map_by($fallible(&self.state, f), items, Feed::add)
        }

        /// As [`Pool::imap`].
        pub fn imap<A, R, I>(&self, f: fn($state, A) -> R, items: I) -> Imap<R, I::IntoIter>
        where
            A: Message,
            R: Message,
            I: IntoIterator<Item = A>,
        {
            self.pool.imap_by($plain(&self.state, f), items)
        }

        /// As [`Pool::imap_unordered`].
        pub fn imap_unordered<A, R, I>(
            &self,
            f: fn($state, A) -> R,
            items: I,
        ) -> ImapUnordered<R, I::IntoIter>
        where
            A: Message,
            R: Message,
            I: IntoIterator<Item = A>,
        {
            self.pool.imap_unordered_by($plain(&self.state, f), items)
        }

        /// As [`Pool::submit`].
        pub fn submit<A: Message, R: Message>(&self, f: fn($state, A) -> R, arg: A) -> Task<R> {
            self.pool.submit_by($plain(&self.state, f), arg)
        }

        /// As [`Pool::try_submit`].
        pub fn try_submit<A, R, E>(&self, f: fn($state, A) -> Result<R, E>, arg: A) -> Task<R>
        where
            A: Message,
            R: Message,
            E: Into<Box<dyn Error + Send + Sync>>,
        {
            self.pool.submit_by($fallible(&self.state, f), arg)
        }

        /// As [`Pool::apply`].
        ///
        /// # Errors
        /// [`TaskError`]: why there is no value.
        pub fn apply<A: Message, R: Message>(&self, f: fn($state, A) -> R, arg: A) -> Result<R, TaskError> {
            self.submit(f, arg).get()
        }
    };
}

impl<S: Message> PoolWith<S> {
    pub(crate) fn new(pool: Pool, state: State) -> Self {
        PoolWith { state: Held::new(pool.engine(), state), pool, of: PhantomData }
    }

    verbs!(&S, function::with, function::fallible_with);
}

impl<W: 'static> PoolInit<W> {
    pub(crate) fn new(pool: Pool, state: State) -> Self {
        PoolInit { state: Held::new(pool.engine(), state), pool, of: PhantomData }
    }

    verbs!(&mut W, function::local, function::fallible_local);
}

impl<S> Clone for PoolWith<S> {
    fn clone(&self) -> Self {
        PoolWith { pool: self.pool.clone(), state: self.state.clone(), of: PhantomData }
    }
}

impl<W> Clone for PoolInit<W> {
    fn clone(&self) -> Self {
        PoolInit { pool: self.pool.clone(), state: self.state.clone(), of: PhantomData }
    }
}

impl<S> fmt::Debug for PoolWith<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolWith").field("pool", &self.pool).finish_non_exhaustive()
    }
}

impl<W> fmt::Debug for PoolInit<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolInit").field("pool", &self.pool).finish_non_exhaustive()
    }
}
