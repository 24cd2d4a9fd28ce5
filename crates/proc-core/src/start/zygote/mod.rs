//! `Zygote`: a helper, started once, that forks on request.
//!
//! The zygote is itself started by `Spawn`, has one thread, and is a daemon of this process. A request is a packet on its
//! link with one end of a new link, in which the new process's first message already waits; the zygote does not look at the
//! work. It forks, and the child tells its id and its pidfd up the new link. When the child has ended the zygote reaps it
//! and sends the status the same way. There is no listening socket that others could connect to.

mod recipe;
mod request;
mod server;

use self::request::{Refusal, ask};
use super::work::{self, Work};
use super::{check, exec, fork, init, panics};
use crate::func::Func;
use crate::message::Message;
use crate::per_process::PerProcess;
use crate::process::{
    self, Description, Inner, Process, ProcessBuilder, Reply, SpawnError, SpawnErrorKind, Stdio,
};
use crate::status::ExitStatus;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

/// A template process: `preload` runs once in it, and every process that it forks sees the value copy-on-write.
///
/// The zygote is one more process with one thread, and dies with this one. If it is killed, its children go on, and the
/// next start brings up a new one, which runs `preload` again. Dropping the `Zygote` ends it once its last child has
/// ended.
///
/// In the zygote SIGINT does nothing, so that Ctrl-C leaves the decision to this process; its children have this process's
/// dispositions.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use proc_core::Zygote;
///
/// proc_core::init();
/// let zygote = Zygote::preload(|n: u64| (0..n).collect::<Vec<u64>>(), 1000)?;
/// let p = zygote.spawn(|table, i: usize| table[i] * 2, 21)?;
/// assert_eq!(p.join()?, 42);
/// # Ok(())
/// # }
/// ```
pub struct Zygote<M = ()> {
    /// How to start it, and start it again; `None` for a fork of this process, which can't be had twice.
    recipe: Option<Work>,
    running: Mutex<Option<Arc<Inner>>>,
    preloaded: PhantomData<fn() -> M>,
}

impl<M: 'static> Zygote<M> {
    /// Starts a zygote and waits until `f(arg)` has run in it.
    ///
    /// # Errors
    /// [`SpawnError`]: as for [`Process::spawn`]; or `f` panicked in the zygote, left threads running there (whose locks
    /// a fork would freeze), or ended it.
    pub fn preload<P: Message>(f: fn(P) -> M, arg: P) -> Result<Self, SpawnError> {
        init::require()?;
        let func = Func::new(f);
        let recipe = Work::with_entry::<(Func<P, M>, P), M>(
            recipe::zygote_entry::<P, M>,
            recipe::zygote_entry::<P, M> as *const (),
            &(func, arg),
        )?;
        let zygote = Zygote { recipe: Some(recipe), running: Mutex::new(None), preloaded: PhantomData };
        zygote.running()?;
        Ok(zygote)
    }

    /// Starts a process that runs `f(preloaded, arg)`.
    ///
    /// # Errors
    /// As [`Process::spawn`]; or the zygote had died and can't be started again.
    pub fn spawn<A: Message, R: Message>(
        &self,
        f: fn(&'static M, A) -> R,
        arg: A,
    ) -> Result<Process<R>, SpawnError> {
        self.spawn_with(Process::builder(), f, arg)
    }

    /// As [`spawn`](Self::spawn), for a process that dies with this one and when its handle is dropped.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    pub fn spawn_daemon<A: Message, R: Message>(
        &self,
        f: fn(&'static M, A) -> R,
        arg: A,
    ) -> Result<Process<R>, SpawnError> {
        self.spawn_with(Process::builder().daemon(true), f, arg)
    }

    /// As [`spawn`](Self::spawn), for a process that `builder` describes: name, environment, streams, limits. Its start
    /// method is not looked at.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use proc_core::{Process, Zygote};
    ///
    /// proc_core::init();
    /// let zygote = Zygote::preload(|()| vec![1, 2, 3], ())?;
    /// let reader = Process::builder().name("reader").nice(5);
    /// let p = zygote.spawn_with(reader, |table, i: usize| (table[i], proc_core::current().name().to_owned()), 1)?;
    /// assert_eq!(p.join()?, (2, "reader".to_owned()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn_with<A: Message, R: Message>(
        &self,
        builder: ProcessBuilder,
        f: fn(&'static M, A) -> R,
        arg: A,
    ) -> Result<Process<R>, SpawnError> {
        let (description, stdio) = builder.into_parts();
        let work = Work::with_entry::<A, R>(recipe::preloaded_entry::<M, A, R>, f as *const (), &arg)?;
        let inner = self.start(&description, &stdio, &work)?;
        Ok(Process::new(inner, description.daemon, Some(work::decode)))
    }

    /// The zygote process itself; `None` if it has died and no start has brought up a new one.
    pub fn handle(&self) -> Option<process::ProcessHandle> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.clone().map(process::ProcessHandle::from_inner).filter(process::ProcessHandle::is_alive)
    }

    /// The running zygote: the one there is, or a new one.
    fn running(&self) -> Result<Arc<Inner>, SpawnError> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(inner) = running.as_ref().filter(|inner| inner.is_ours()) {
            if inner.wait_deadline(Some(Instant::now())).is_ok_and(|status| status.is_none()) {
                return Ok(inner.clone());
            }
        }
        let Some(recipe) = &self.recipe else {
            let why = "the zygote was a fork of this process as it was, and has ended";
            return Err(SpawnError::new(SpawnErrorKind::Zygote, why));
        };
        init::require()?;
        let inner = exec::start(&description(), &[const { Stdio::Inherit }; 3], recipe)?;
        await_preload(&inner)?;
        *running = Some(inner.clone());
        Ok(inner)
    }

    fn start(
        &self,
        description: &Description,
        stdio: &[Stdio; 3],
        work: &Work,
    ) -> Result<Arc<Inner>, SpawnError> {
        check(description)?;
        match ask(&*self.running()?, description, stdio, work) {
            // It died between the look and the request, and has forked nothing: once more, with a new one.
            Err(Refusal::Died) => ask(&*self.running()?, description, stdio, work),
            other => other,
        }
        .map_err(|refusal| match refusal {
            Refusal::Died => {
                SpawnError::new(SpawnErrorKind::Zygote, "the zygote died twice before it could fork")
            }
            Refusal::Error(e) => e,
        })
    }
}

impl Zygote {
    /// Makes a zygote of this process as it is now, by a fork: its children have all memory of this moment,
    /// copy-on-write. If it dies it can't be made again.
    ///
    /// Its processes are started by [`ProcessBuilder::spawn_from`](process::ProcessBuilder::spawn_from).
    ///
    /// # Errors
    /// As [`Process::fork`]: this process has more than one thread, or the system could not make another.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use proc_core::{Process, Zygote};
    /// use std::sync::OnceLock;
    ///
    /// static TABLE: OnceLock<Vec<u64>> = OnceLock::new();
    ///
    /// proc_core::init();
    /// TABLE.get_or_init(|| (0..1000).collect());
    /// let zygote = Zygote::fork()?;
    /// // From here on this process may have threads: they are not the zygote's.
    /// let p = Process::builder().spawn_from(&zygote, |i: usize| TABLE.get().map(|table| table[i]), 7)?;
    /// assert_eq!(p.join()?, Some(7));
    /// # Ok(())
    /// # }
    /// ```
    pub fn fork() -> Result<Zygote, SpawnError> {
        let serve = |()| {
            if let Some(control) = panics::link() {
                server::serve(control);
            }
        };
        let process = fork::fork_checked(&description(), &[const { Stdio::Inherit }; 3], (), serve)?;
        // The zygote ends with its lifeline, which the list of children keeps; not with this handle.
        let inner = process.into_inner();
        await_preload(&inner)?;
        Ok(Zygote { recipe: None, running: Mutex::new(Some(inner)), preloaded: PhantomData })
    }
}

fn description() -> Description {
    Description { name: Some("zygote".into()), daemon: true, ..Description::default() }
}

/// Starts a process by a zygote, without the value that it has preloaded.
pub(crate) fn start_from<M: 'static, A: Message, R: Message>(
    zygote: &Zygote<M>,
    description: &Description,
    stdio: &[Stdio; 3],
    f: fn(A) -> R,
    arg: &A,
) -> Result<Process<R>, SpawnError> {
    let inner = zygote.start(description, stdio, &Work::new(f, arg)?)?;
    Ok(Process::new(inner, description.daemon, Some(work::decode)))
}

impl<M> Drop for Zygote<M> {
    fn drop(&mut self) {
        let running = self.running.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) =
            running.as_ref().filter(|inner| inner.is_ours()).and_then(|inner| inner.link.as_ref())
        {
            // It sees the end of its requests, and ends after its last child. The list of children keeps its lifeline.
            let _ = rustix::net::shutdown(link.socket(), rustix::net::Shutdown::Write);
        }
    }
}

impl<M> fmt::Debug for Zygote<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zygote").field("preloaded", &std::any::type_name::<M>()).finish_non_exhaustive()
    }
}

/// Starts a process by the zygote that [`StartMethod::Zygote`](super::StartMethod::Zygote) means: one for this process,
/// started at the first use, without a preload.
pub(super) fn start_shared(
    description: &Description,
    stdio: &[Stdio; 3],
    work: &Work,
) -> Result<Arc<Inner>, SpawnError> {
    static SHARED: PerProcess<OnceLock<Zygote>> = PerProcess::new(OnceLock::new);
    let shared = SHARED.get();
    let zygote = match shared.get() {
        Some(zygote) => zygote,
        None => {
            let fresh = Zygote::preload(|()| (), ())?;
            shared.get_or_init(|| fresh)
        }
    };
    zygote.start(description, stdio, work)
}

fn await_preload(inner: &Inner) -> Result<(), SpawnError> {
    let failed = |what: String| Err(SpawnError::new(SpawnErrorKind::Zygote, what));
    let Some(link) = &inner.link else { return Ok(()) };
    loop {
        link.collect();
        match link.take_reply() {
            Some(Reply::Ready) => return Ok(()),
            Some(Reply::Panicked(panic)) => {
                return failed(format!("the preload function of the zygote {panic}"));
            }
            Some(Reply::Refused(why)) => return failed(format!("the zygote refused its work: {why}")),
            Some(_) => return failed("the zygote sent what it never should".into()),
            None if link.has_error() => {
                let why = link.take_error().map(|e| e.to_string()).unwrap_or_default();
                return failed(format!("the zygote could not be heard: {why}"));
            }
            None if link.is_closed() => {
                let status = inner.wait_deadline(None).ok().flatten().unwrap_or(ExitStatus::Lost);
                return failed(format!("the zygote {status} in its preload function"));
            }
            None => {
                link.collect_until(None).map_err(|e| SpawnError::io("the zygote could not be heard", e))?;
            }
        }
    }
}
