//! A place where processes wait for each other.

mod core;
mod error;

pub use self::error::BarrierError;

use std::{
    fmt, io,
    sync::Arc,
    time::{Duration, Instant},
};

use self::core::Core;
use crate::{
    deadline::{self, Slices},
    handle::{Handle, crosses},
    participants::{Identity, Seat},
    region::RegionOptions,
    sync::{
        AtomicUsize,
        Ordering::{Relaxed, SeqCst},
    },
};

/// A place where a fixed number of threads, of any processes, wait until all of them are there; again and again.
///
/// It is a handle: clones and copies that crossed to other processes are the same barrier.
///
/// # When it breaks
///
/// If one of those who wait dies, if the time of one is up, or somebody [aborts](Barrier::abort) it, the barrier is
/// broken: all who wait, and all who come, get [`Broken`](BarrierError::Broken), until it is [reset](Barrier::reset). It
/// breaks as well if somebody waits and a process is dead that has waited here before and still had its handle: it would
/// not come. One that died before it ever came is not known; for that, wait with a time limit.
///
/// A death is seen at most a quarter of a second after the system has ended the process, and the last to come looks before
/// it lets anybody through: nobody passes together with the dead. (In Python the others block, even with a time limit, and
/// so does `abort`.)
///
/// A process that replaced its program (`exec`) is still there, and counts as living until it ends.
///
/// # Limits
///
/// Threads of 512 processes can wait. Like the locks, it works within one PID namespace. A party that is stopped in a wait
/// while the others come through 64 times may hear how a later round ended.
///
/// The time limits are kept even if somebody is stopped (SIGSTOP) within the barrier's own few instructions.
/// [`abort`](Barrier::abort), [`reset`](Barrier::reset), a wait without a limit and the drop of the last handle wait for
/// that one.
///
/// # Hidden state
///
/// One descriptor and one mapping of 16 KiB, shared by all clones in a process. Waiters wake up four times a second and
/// look in `/proc` whether the others live; the last to come asks the system once for each other process, about a
/// microsecond each, by a descriptor (pidfd) that it closes at once. Where `/proc` is hidden, a dead process counts as living until it is reaped.
///
/// # Compared with
///
/// `std::sync::Barrier` has no time limits and never breaks. Python's `wait` returns an index; this one says true to one
/// party, the last to come, and false to the others.
///
/// # Examples
///
/// ```
/// use proc_core::Process;
/// use proc_shm::Barrier;
///
/// # proc_core::init();
/// let start = Barrier::new(2)?;
/// let child = Process::spawn(|b: Barrier| b.wait().unwrap(), start.clone())?;
/// // One of them is told that it was the last.
/// assert!(start.wait()? != child.join()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Barrier {
    inner: Arc<Inner>,
}

/// What one process knows.
struct Inner {
    handle: Handle,
    who: Identity,
    /// The seat of this process, which it keeps until its handle is dropped. Changed in the section.
    ///
    /// | value | meaning | left by |
    /// |---|---|---|
    /// | [`NONE`] | it has none | its first arrival |
    /// | other | the number of one that was its own | an arrival that finds it taken away, by a reset after a false look |
    seat: AtomicUsize,
}

const NONE: usize = usize::MAX;

/// An arrival.
enum Arrived {
    /// Others are missing.
    Early,
    /// All are there; perhaps all of our own process.
    Last { alone: bool },
    /// All were there before: they are just being let go.
    Full,
    /// It did not arrive: all seats are taken.
    NoSeat,
}

impl Barrier {
    const OPTIONS: RegionOptions = RegionOptions::new(u32::from_ne_bytes(*b"barr")).holds_locks();

    /// A barrier of its own, for so many parties.
    ///
    /// # Errors
    ///
    /// - `parties` is 0 or above 2^31 (`InvalidInput`);
    /// - as for [`RegionOptions::create`]: no memory, no descriptor, no `/proc`.
    pub fn new(parties: usize) -> io::Result<Barrier> {
        let parties = u32::try_from(parties).ok().filter(|n| (1..=1 << 31).contains(n));
        let parties = parties.ok_or(io::ErrorKind::InvalidInput)?;
        let barrier =
            Barrier::of(Handle::new(Self::OPTIONS.create(size_of::<Core>())?, 0).constructed::<Core>())?;
        barrier.core().parties.store(parties, Relaxed);
        Ok(barrier)
    }

    /// For models: the handle of another process, which the calling thread plays.
    #[cfg(loom)]
    #[doc(hidden)]
    pub fn crossed(&self) -> io::Result<Barrier> {
        Barrier::of(self.inner.handle.clone())
    }

    fn of(handle: Handle) -> io::Result<Barrier> {
        let inner = Inner { handle, who: Identity::own()?, seat: AtomicUsize::new(NONE) };
        Ok(Barrier { inner: Arc::new(inner) })
    }

    /// Waits for the others, however long that takes. True for one of them: the last to come.
    ///
    /// # Errors
    ///
    /// - [`Broken`](BarrierError::Broken), see [above](Barrier#when-it-breaks);
    /// - [`TooMany`](BarrierError::TooMany): 512 other processes have waited here, and live;
    /// - [`NotInherited`](BarrierError::NotInherited): this is a forked child to which it was not given.
    pub fn wait(&self) -> Result<bool, BarrierError> {
        self.wait_until(None, None::<fn()>).map(crate::held::always)
    }

    /// Waits for the others; the last to come runs `action` before anybody goes on. If `action` panics, or its process
    /// dies, the barrier is broken. True for the one that ran it.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Barrier::wait).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::thread;
    /// use proc_shm::{Barrier, Value};
    ///
    /// let (barrier, rounds) = (Barrier::new(2)?, Value::new(0)?);
    /// thread::scope(|s| {
    ///     for _ in 0..2 {
    ///         s.spawn(|| {
    ///             barrier.wait_with(|| rounds.set(rounds.get() + 1).unwrap()).unwrap();
    ///             // It was done once, and before anybody came here.
    ///             assert_eq!(rounds.get(), 1);
    ///         });
    ///     }
    /// });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn wait_with(&self, action: impl FnOnce()) -> Result<bool, BarrierError> {
        self.wait_until(None, Some(action)).map(crate::held::always)
    }

    /// Waits for the others for `timeout` at most. `None`: the time is up, and the barrier is now broken for all. (Only who
    /// came when all parties were there before, and were just let go, breaks nothing: it was none of them.)
    ///
    /// # Errors
    ///
    /// As for [`wait`](Barrier::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<Option<bool>, BarrierError> {
        self.wait_until(deadline::after(timeout), None::<fn()>)
    }

    /// Waits for the others until `deadline` at most. `None`: as for [`wait_timeout`](Barrier::wait_timeout).
    ///
    /// # Errors
    ///
    /// As for [`wait`](Barrier::wait).
    pub fn wait_deadline(&self, deadline: Instant) -> Result<Option<bool>, BarrierError> {
        self.wait_until(Some(deadline), None::<fn()>)
    }

    /// Breaks the barrier.
    ///
    /// # Errors
    ///
    /// [`NotInherited`](BarrierError::NotInherited): this is a forked child to which it was not given.
    pub fn abort(&self) -> Result<(), BarrierError> {
        self.inner.handle.check()?;
        let core = self.core();
        {
            let _inside = core.section.lock();
            core.broken.store(1, SeqCst);
            core.end(core.generation.hear(), true);
        }
        core.generation.wake_all();
        Ok(())
    }

    /// Makes the barrier as new. Those who wait get [`Broken`](BarrierError::Broken), and the dead are forgotten.
    ///
    /// # Errors
    ///
    /// [`NotInherited`](BarrierError::NotInherited): this is a forked child to which it was not given.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use proc_shm::{Barrier, BarrierError};
    ///
    /// let barrier = Barrier::new(2)?;
    /// // The other does not come in time.
    /// assert_eq!(barrier.wait_timeout(Duration::from_millis(1)), Ok(None));
    /// assert_eq!(barrier.wait(), Err(BarrierError::Broken));
    /// barrier.reset()?;
    /// assert!(!barrier.is_broken());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reset(&self) -> Result<(), BarrierError> {
        self.inner.handle.check()?;
        let core = self.core();
        // Who waits sees the dead of before once more, unless their seats are free.
        let lost = core.lost();
        {
            let _inside = core.section.lock();
            Core::forget(&lost);
            core.end(core.generation.hear(), true);
            core.broken.store(0, SeqCst);
        }
        core.generation.wake_all();
        Ok(())
    }

    /// How many must come.
    pub fn parties(&self) -> usize {
        if self.inner.handle.check().is_err() { 0 } else { self.core().parties.load(Relaxed) as usize }
    }

    /// How many wait; out of date at once. 0 in a forked child to which it was not given.
    pub fn waiting(&self) -> usize {
        if self.inner.handle.check().is_err() {
            return 0;
        }
        let core = self.core();
        core.arrived(core.generation.hear()) as usize
    }

    /// Whether it is broken; out of date at once.
    pub fn is_broken(&self) -> bool {
        self.inner.handle.check().is_ok() && self.core().is_broken()
    }

    fn wait_until(
        &self,
        deadline: Option<Instant>,
        action: Option<impl FnOnce()>,
    ) -> Result<Option<bool>, BarrierError> {
        self.inner.handle.check()?;
        loop {
            // Without an arrival there is nothing to break.
            let Some((generation, arrived)) = self.arrive(deadline)? else { return Ok(None) };
            match arrived {
                Arrived::Early => return Ok(self.sleep(generation, deadline)?.then_some(false)),
                Arrived::Last { alone } => return self.open(generation, alone, deadline, action),
                Arrived::Full => {
                    if !self.sit_out(generation, deadline) {
                        return Ok(None);
                    }
                }
                Arrived::NoSeat => self.make_room(generation, deadline)?,
            }
        }
    }

    /// Comes to the barrier. `None`: somebody was in the section for all of the time.
    fn arrive(&self, deadline: Option<Instant>) -> Result<Option<(u32, Arrived)>, BarrierError> {
        let core = self.core();
        // An arrival is one store, so that a death inside leaves nothing half done.
        let Some(_inside) = core.enter(deadline) else { return Ok(None) };
        if core.is_broken() {
            return Err(BarrierError::Broken);
        }
        let generation = core.generation.hear();
        let parties = core.parties.load(Relaxed);
        let before = core.arrived(generation);
        let arrived = if before >= parties {
            Arrived::Full
        } else if let Some(seat) = self.seat() {
            let ours = core.arrive(seat, generation);
            if before + 1 == parties { Arrived::Last { alone: ours == parties } } else { Arrived::Early }
        } else {
            Arrived::NoSeat
        };
        Ok(Some((generation, arrived)))
    }

    /// Our seat, in the section. `None`: all are taken.
    fn seat(&self) -> Option<&Seat> {
        let core = self.core();
        let known = self.inner.seat.load(Relaxed);
        if let Some(seat) = core.seats.get(known).filter(|seat| seat.is_of(self.inner.who)) {
            return Some(seat);
        }
        let at = core.seats.iter().position(|seat| !seat.is_taken())?;
        core.seats[at].claim(self.inner.who);
        self.inner.seat.store(at, Relaxed);
        Some(&core.seats[at])
    }

    /// All seats are taken: perhaps by the dead. Where others are waited for, those would not come; where one party is all
    /// there is, they are only forgotten.
    #[cold]
    fn make_room(&self, generation: u32, deadline: Option<Instant>) -> Result<(), BarrierError> {
        let core = self.core();
        let lost = core.lost();
        if lost.is_empty() {
            return Err(BarrierError::TooMany);
        }
        if core.parties.load(Relaxed) > 1 {
            core.break_in(generation, deadline);
            return Err(BarrierError::Broken);
        }
        let _inside = core.enter(deadline).ok_or(BarrierError::TooMany)?;
        Core::forget(&lost);
        Ok(())
    }

    /// All were there before us: waits until they are gone, and it is no party to their generation, so that its own time
    /// limit breaks nothing. But they may be dead, all of them. False: the time is up.
    fn sit_out(&self, generation: u32, deadline: Option<Instant>) -> bool {
        let core = self.core();
        let mut slices = Slices::new();
        while core.generation.hear() == generation {
            let slice = slices.next(deadline);
            if let Some(slice) = slice {
                core.generation.nap(generation, slice);
            }
            if core.generation.hear() != generation {
                break;
            }
            if core.is_broken() || core.lost_one_in(generation, self.inner.who) {
                core.break_in(generation, deadline);
                break;
            }
            if slice.is_none() {
                return false;
            }
        }
        true
    }

    /// Lets all go on, unless one of them is dead. `None`: the time was up, and the barrier is broken.
    fn open(
        &self,
        generation: u32,
        alone: bool,
        deadline: Option<Instant>,
        action: Option<impl FnOnce()>,
    ) -> Result<Option<bool>, BarrierError> {
        struct OnPanic<'a>(&'a Core, u32);
        impl Drop for OnPanic<'_> {
            fn drop(&mut self) {
                self.0.break_in(self.1, None);
            }
        }
        let core = self.core();
        let look = || {
            if !alone && core.lost_one_in(generation, self.inner.who) {
                core.break_in(generation, deadline);
                return Err(BarrierError::Broken);
            }
            Ok(())
        };
        look()?;
        if let Some(action) = action {
            let on_panic = OnPanic(core, generation);
            action();
            std::mem::forget(on_panic);
            // It may have taken any time.
            look()?;
        }
        let Some(inside) = core.enter(deadline) else {
            core.break_in(generation, deadline);
            return Ok(None);
        };
        if core.generation.hear() != generation {
            // Somebody broke it since we came.
            return if core.failed_in(generation) { Err(BarrierError::Broken) } else { Ok(Some(true)) };
        }
        let broken = core.is_broken();
        core.end(generation, broken);
        drop(inside);
        core.generation.wake_all();
        if broken { Err(BarrierError::Broken) } else { Ok(Some(true)) }
    }

    /// Sleeps until the generation ends. False: the time was up, and the barrier is broken.
    fn sleep(&self, generation: u32, deadline: Option<Instant>) -> Result<bool, BarrierError> {
        let core = self.core();
        let mut slices = Slices::new();
        let mut timed_out = false;
        while core.generation.hear() == generation {
            match slices.next(deadline) {
                Some(slice) => core.generation.nap(generation, slice),
                None => {
                    timed_out = true;
                    core.break_in(generation, deadline);
                    break;
                }
            }
            let still = core.generation.hear() == generation;
            if still && (core.is_broken() || core.lost_one()) {
                core.break_in(generation, deadline);
            }
        }
        if core.generation.hear() == generation {
            // It is broken, though the one within the section keeps the generation from its end.
            return if timed_out { Ok(false) } else { Err(BarrierError::Broken) };
        }
        match core.failed_in(generation) {
            false => Ok(true),
            true if timed_out => Ok(false),
            true => Err(BarrierError::Broken),
        }
    }

    fn core(&self) -> &Core {
        self.inner.core()
    }

    fn give(&self) -> io::Result<u32> {
        self.inner.handle.region().give()
    }

    fn take(ticket: u32) -> io::Result<Barrier> {
        Barrier::of(Handle::take(Self::OPTIONS, ticket, 0, size_of::<Core>())?)
    }
}

crosses!(Barrier);

impl Inner {
    fn core(&self) -> &Core {
        // SAFETY: callers have checked; the core lies at the start, and is atomics.
        unsafe { self.handle.pointer::<Core>(0).as_ref() }
    }
}

/// A process that drops its handle is a party no more, and its end means nothing to the others.
impl Drop for Inner {
    fn drop(&mut self) {
        if self.handle.check().is_err() {
            return;
        }
        let core = self.core();
        let Some(seat) = core.seats.get(self.seat.load(Relaxed)) else { return };
        let _inside = core.section.lock();
        if seat.is_of(self.who) {
            seat.free();
        }
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier")
            .field("parties", &self.parties())
            .field("waiting", &self.waiting())
            .field("broken", &self.is_broken())
            .finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::{sync::mpsc, thread};

    use super::*;

    /// Somebody is stopped in the section: a debugger can do that, and SIGSTOP.
    #[test]
    fn a_stopped_process_inside_stops_no_timed_wait() {
        let barrier = Barrier::new(2).unwrap();
        let (entered, inside) = mpsc::channel();
        let (leave, left) = mpsc::channel::<()>();
        thread::scope(|s| {
            let barrier = &barrier;
            let start = Instant::now();
            // One is there, and its time is up while somebody is inside.
            let early = s.spawn(move || barrier.wait_timeout(Duration::from_secs(1)));
            while barrier.waiting() == 0 && !early.is_finished() {
                thread::yield_now();
            }
            s.spawn(move || {
                let _inside = barrier.core().section.lock();
                entered.send(()).unwrap();
                let _ = left.recv_timeout(Duration::from_secs(30));
            });
            inside.recv().unwrap();
            assert_eq!(early.join().unwrap(), Ok(None));
            assert!(barrier.is_broken());
            // Another can't even arrive.
            assert_eq!(barrier.wait_timeout(Duration::ZERO), Ok(None));
            assert!(start.elapsed() < Duration::from_secs(20), "it waited for the one inside");
            leave.send(()).unwrap();
        });
        assert_eq!(barrier.wait(), Err(BarrierError::Broken));
        barrier.reset().unwrap();
        assert!(!barrier.is_broken());
    }
}
