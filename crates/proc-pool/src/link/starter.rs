//! How worker processes come to be.

use crate::worker::{self, Boot};
use proc_core::{Process, ProcessBuilder, SpawnError, StartMethod, Zygote};
use std::fmt;
use std::sync::Arc;

/// What starts a worker.
#[derive(Clone)]
pub(crate) enum Starter {
    Method(StartMethod),
    /// A zygote: the user's, which has something loaded, or a fork of this process.
    Zygote(Arc<Start>),
}

type Start = dyn Fn(ProcessBuilder, Boot) -> Result<Process<()>, SpawnError> + Send + Sync;

impl Starter {
    pub(crate) fn by_zygote<M: 'static>(zygote: Arc<Zygote<M>>) -> Starter {
        Starter::Zygote(Arc::new(move |builder, boot| builder.spawn_from(&zygote, worker::main, boot)))
    }

    /// As it is used: `Fork` copies this process once, before the pool has a thread, and the copy starts the workers.
    ///
    /// # Errors
    /// This process has more than one thread.
    pub(crate) fn ready(self) -> Result<Starter, SpawnError> {
        match self {
            Starter::Method(StartMethod::Fork) => Ok(Starter::by_zygote(Arc::new(Zygote::fork()?))),
            other => Ok(other),
        }
    }

    pub(super) fn start(&self, builder: ProcessBuilder, boot: Boot) -> Result<Process<()>, SpawnError> {
        match self {
            Starter::Method(method) => builder.start_method(*method).spawn(worker::main, boot),
            Starter::Zygote(start) => start(builder, boot),
        }
    }
}

impl fmt::Debug for Starter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Starter::Method(method) => method.fmt(f),
            Starter::Zygote(_) => f.write_str("Zygote(..)"),
        }
    }
}
