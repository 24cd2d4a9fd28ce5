//! Starting workers. It takes a millisecond or more each, so a thread of its own does it, for as long as some are missing.

use super::collect::Ears;
use super::collect::Wanted;
use super::core::{BootFailure, Core, Phase, Told};
use super::seat::{Seat, Stage};
use super::signal::Signal;
use super::{Config, Engine};
use crate::error::PoolError;
use crate::hook::Hooks;
use crate::link::{Link, StartError};
use crate::worker::Boot;
use parking_lot::Mutex;
use proc_core::Process;
use proc_core::inherit::Lineage;
use proc_ipc::ring::{Receiver, Waker};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// After a start that failed: a system that is out of processes or memory may recover. Twice as long after each that
/// fails too, up to a hundred times.
const PAUSE: Duration = Duration::from_millis(20);
const PAUSES: u32 = 100;

impl Engine {
    /// Makes a pool: the first worker is up when it returns, the others are on their way.
    pub(crate) fn start(mut config: Config, hooks: Hooks) -> Result<Arc<Engine>, PoolError> {
        config.starter = config
            .starter
            .ready()
            .map_err(|e| PoolError::new("this process could not be forked for workers").with_source(e))?;
        let bell = Waker::new().map_err(|e| Engine::error("the pool can't be woken").with_source(e))?;
        let core = Core::new(config.workers, config.max_tasks, config.max_memory, hooks);
        let engine = Arc::new_cyclic(|me| Engine {
            config,
            lineage: Lineage::current(),
            core: Mutex::new(core),
            ears: Mutex::new(Ears::default()),
            bell,
            nudge: Signal::default(),
            functions: Mutex::default(),
            forgotten: Mutex::default(),
            next_function: std::sync::atomic::AtomicU32::new(0),
            me: me.clone(),
        });
        let mut core = engine.core.lock();
        for index in 0..core.wanted {
            core.seats.push(Seat::new(index as u16));
        }
        drop(core);
        // The first worker is started and waited for here, so that what can't work is an error at once. One that was
        // killed is no proof of that, so there is another, up to the limit.
        while !engine.start_first()? {}
        let mut core = engine.core.lock();
        core.born = true;
        engine.start_missing(&mut core);
        drop(core);
        engine.start_thread()?;
        Ok(engine)
    }

    /// Starts the worker of the first seat; `false`: it died before it was up, and another may be tried.
    fn start_first(&self) -> Result<bool, PoolError> {
        struct First<'a>(&'a Engine);
        impl Wanted for First<'_> {
            fn is_there(&self) -> bool {
                matches!(self.0.core.lock().seats[0].stage, Stage::Up | Stage::Vacant)
            }
            fn call(&self, _: &Arc<Signal>) {}
        }
        let (link, ear) = self.start_worker(0).map_err(|e| match e {
            StartError::Spawn(e) => PoolError::new("the first worker could not be started").with_source(e),
            StartError::Io(e) => PoolError::new("the first worker could not be reached").with_source(e),
        })?;
        self.core.lock().install(0, link, ear);
        self.wait(&First(self), None);
        let mut core = self.core.lock();
        if core.seats[0].stage == Stage::Up {
            return Ok(true);
        }
        // Without a failure it was up, and was killed before this thread saw that.
        let up_once = BootFailure { why: String::new(), died: true };
        let failure = core.boot_failure.take().unwrap_or(up_once);
        if failure.died && core.phase == Phase::Open {
            return Ok(false);
        }
        core.phase = Phase::Ended;
        Err(PoolError::new(format!("the first worker did not come up: {}", failure.why)))
    }

    fn start_worker(&self, seat: usize) -> Result<(Link, Receiver), StartError> {
        let config = &self.config;
        let mut builder = Process::builder().name(format!("{}-{seat}", config.name));
        if !config.affinity.is_empty() {
            builder = builder.affinity([config.affinity[seat % config.affinity.len()]]);
        }
        let hooks = self.core.lock().hooks.clone();
        let calls = hooks.calls().map_err(|why| StartError::Io(std::io::Error::other(why)));
        let [initializer, exit_hook] = calls?;
        Link::start(builder, &config.starter, |rings, table| Boot {
            rings,
            table,
            depth: config.depth + 1,
            initializer,
            exit_hook,
        })
    }

    /// Waits for so many pauses, or until no worker is wanted any more.
    fn pause(&self, pauses: u32) {
        for _ in 0..pauses {
            std::thread::sleep(PAUSE);
            if !self.core.lock().wants_a_start() {
                return;
            }
        }
    }

    /// Has workers started for the seats that have none.
    pub(super) fn start_missing(&self, core: &mut Core) {
        if core.starting || !core.wants_a_start() {
            return;
        }
        let Some(me) = self.me.upgrade() else { return };
        core.starting = true;
        core.start_again = None;
        let starter = std::thread::Builder::new().name(format!("{}-start", self.config.name));
        if starter.spawn(move || me.start_all()).is_err() {
            // Whoever looks then asks again.
            core.starting = false;
            core.start_again = Instant::now().checked_add(PAUSE);
        }
    }

    fn start_all(&self) {
        let mut pauses = 1;
        loop {
            let mut core = self.core.lock();
            let Some(index) = core.next_start() else {
                core.starting = false;
                drop(core);
                self.ring_bell();
                return;
            };
            core.seats[index].stage = Stage::Starting;
            drop(core);
            let started = self.start_worker(index);
            let mut core = self.core.lock();
            match started {
                Ok((link, ear)) => {
                    pauses = 1;
                    if core.phase == Phase::Ended {
                        link.kill();
                    }
                    core.install(index, link, ear);
                    drop(core);
                    self.ring_bell();
                }
                Err(e) => {
                    core.seats[index].stage = Stage::Vacant;
                    let why = format!("a worker could not be started: {e}");
                    crate::events::not_started(&why);
                    // While another worker lives the pool goes on with fewer.
                    if !core.seats.iter().any(Seat::has_process) {
                        self.crashed(&mut core, &why);
                    }
                    let told = core.told();
                    drop(core);
                    Told::all(told);
                    self.ring_bell();
                    self.pause(pauses);
                    pauses = (pauses * 2).min(PAUSES);
                }
            }
        }
    }
}

impl Core {
    fn install(&mut self, index: usize, link: Link, ear: Receiver) {
        crate::events::worker_started(link.handle().id());
        self.seats[index].seat(link);
        if self.phase == Phase::Ended {
            self.seats[index].stage = Stage::Dying;
        }
        self.new_ears.push((index, ear));
    }

    pub(super) fn wants_a_start(&self) -> bool {
        let work = match self.phase {
            Phase::Open => self.born,
            Phase::Closed => !self.queue.is_empty(),
            _ => false,
        };
        work && (self.seats.len() < self.wanted
            || self.seats.iter().take(self.wanted).any(|seat| seat.stage == Stage::Vacant))
    }

    fn next_start(&mut self) -> Option<usize> {
        if !self.wants_a_start() {
            return None;
        }
        while self.seats.len() < self.wanted {
            self.seats.push(Seat::new(self.seats.len() as u16));
        }
        self.seats.iter().take(self.wanted).position(|seat| seat.stage == Stage::Vacant)
    }

    /// Whether the pool is at its end: no worker is left, and none will come.
    pub(super) fn has_ended(&self) -> bool {
        self.phase != Phase::Open
            && self.queue.is_empty()
            && !self.starting
            && self.seats.iter().all(|seat| !seat.has_process())
    }
}
