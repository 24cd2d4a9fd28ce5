//! A number of permits.

use std::{
    fmt, io,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    LockError,
    deadline::{self, Slices},
    handle::{Handle, crosses},
    participants::{self, Identity, Seat},
    raw::{Bell, Section, SectionGuard},
    region::RegionOptions,
    sync::{
        AtomicU32, AtomicU64, AtomicUsize,
        Ordering::{Relaxed, SeqCst},
    },
};

/// A number of permits, of which each holder takes one.
///
/// It is a handle: clones and copies that crossed to other processes are the same semaphore. A permit comes back when it is
/// dropped. One that is [forgotten](Permit::forget) does not; [`release`](Semaphore::release) adds new ones, also from
/// another process, so that a semaphore can count what one process makes and another takes.
///
/// # When a holder dies
///
/// Its permits come back: it is known how many each process has, and those of the dead ones don't count. Whoever waits
/// sees a death at most a quarter of a second after the system has ended the process, sooner in the beginning. A thread
/// that ends without dropping its permit does not give it back, as it is its process's. Nor does a process that replaces
/// its program (`exec`): it keeps its permits until it ends.
///
/// # Limits
///
/// 512 processes can hold permits at a time, others get [`TooMany`](LockError::TooMany). Like the locks, it works within
/// one PID namespace.
///
/// The time limits are kept even if somebody is stopped (SIGSTOP) within the semaphore's own few instructions. A wait without
/// a limit, [`release`](Semaphore::release), [`forget`](Permit::forget) and the drop of a permit wait for that one.
///
/// # Hidden state
///
/// One descriptor and one mapping of 16 KiB, shared by all clones in a process. Waiters wake up four times a second and
/// look in `/proc` whether the holders live. Where `/proc` is hidden, a dead process counts as living until it is reaped.
///
/// # Examples
///
/// ```
/// use proc_shm::Semaphore;
///
/// let two = Semaphore::new(2)?;
/// let first = two.acquire()?;
/// let second = two.acquire()?;
/// assert!(two.try_acquire()?.is_none());
/// drop(first);
/// assert!(two.try_acquire()?.is_some());
/// # drop(second);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Semaphore {
    handle: Handle,
    local: Arc<Local>,
}

/// What one process knows.
struct Local {
    who: Identity,
    /// A hint: the number of the seat that was used last, any at first. What it names may be another's by now.
    seat: AtomicUsize,
    /// When somebody of this process last looked for the dead, asked or unasked.
    ///
    /// | value | meaning | changed by |
    /// |---|---|---|
    /// | 0 | nobody has | whoever looks |
    /// | n | n - 1 milliseconds after `epoch` | whoever looks |
    looked: AtomicU64,
    epoch: Instant,
}

/// What lies in the region. All is changed in the section, but for the bell and the number of waiters.
///
/// | field | meaning |
/// |---|---|
/// | `total` | permits that exist |
/// | `available` | `total` less what the seats count: kept for speed, computed anew after a death |
/// | `bound` | `total` must not be above; fixed |
/// | `waiters` | who sleeps on the bell, or more: the killed are not taken away |
#[repr(C)]
#[cfg_attr(loom, derive(Default))]
struct Core {
    section: Section,
    bell: Bell,
    waiters: AtomicU32,
    _pad: AtomicU32,
    total: AtomicU64,
    available: AtomicU64,
    bound: AtomicU64,
    seats: [Seat; participants::MOST],
}

/// Milliseconds between looks for the dead by those who don't wait: a look costs microseconds a process.
const LOOK_AGAIN: u64 = 10;

/// Between looks by those who wait and are woken again and again.
const LOOK_UNDER_TRAFFIC: u64 = 100;

impl Core {
    /// Enters the section, however long that takes.
    fn enter(&self) -> SectionGuard<'_> {
        self.whole(self.section.lock())
    }

    /// Enters the section. `None`: the time is up, and somebody was inside for all of it and a moment more.
    fn enter_until(&self, deadline: Option<Instant>) -> Option<SectionGuard<'_>> {
        if deadline.is_none() {
            return Some(self.enter());
        }
        let inside = self.section.try_lock();
        let inside = inside.or_else(|| self.section.lock_deadline(deadline::with_grace(deadline)));
        inside.map(|inside| self.whole(inside))
    }

    #[inline]
    fn whole<'a>(&self, inside: SectionGuard<'a>) -> SectionGuard<'a> {
        if inside.recovered() {
            self.recount();
        }
        inside
    }

    /// In the section.
    #[cold]
    fn recount(&self) {
        let held: u64 =
            self.seats.iter().filter(|seat| seat.is_taken()).map(|seat| seat.count.load(Relaxed)).sum();
        self.available.store(self.total.load(Relaxed).saturating_sub(held), Relaxed);
    }

    /// Takes the permits of the dead away from them, and says whether there were any.
    #[cold]
    fn bury(&self, deadline: Option<Instant>) -> bool {
        let mut found = false;
        for seat in &self.seats {
            if let Some(who) = seat.dead() {
                let Some(_inside) = self.enter_until(deadline) else { break };
                if seat.is_of(who) {
                    seat.free();
                    self.recount();
                    found = true;
                }
            }
        }
        if found {
            self.announce(u32::MAX);
        }
        found
    }

    /// Wakes as many as can go on.
    fn announce(&self, permits: u32) {
        self.bell.ring();
        // A waiter counts itself before it goes to sleep: either it is seen here, or it sees the bell.
        if self.waiters.load(SeqCst) != 0 {
            if permits == 1 { self.bell.wake_one() } else { self.bell.wake_all() }
        }
    }
}

impl Semaphore {
    const OPTIONS: RegionOptions = RegionOptions::new(u32::from_ne_bytes(*b"sema")).holds_locks();

    /// A semaphore of its own with so many permits; more can be [released](Semaphore::release).
    ///
    /// # Errors
    ///
    /// As for [`RegionOptions::create`]: no memory, no descriptor, no `/proc`.
    pub fn new(permits: usize) -> io::Result<Semaphore> {
        Semaphore::with_bound(permits, u64::MAX >> 1)
    }

    /// A semaphore that never has more permits than now: releasing more is an error.
    ///
    /// # Errors
    ///
    /// As for [`new`](Semaphore::new).
    ///
    /// # Examples
    ///
    /// ```
    /// use proc_shm::{LockError, Semaphore};
    ///
    /// let one = Semaphore::bounded(1)?;
    /// // A permit comes back by its drop; to release it as well would make two of it.
    /// drop(one.acquire()?);
    /// assert_eq!(one.release(1), Err(LockError::AboveBound));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn bounded(permits: usize) -> io::Result<Semaphore> {
        Semaphore::with_bound(permits, permits as u64)
    }

    fn with_bound(permits: usize, bound: u64) -> io::Result<Semaphore> {
        let semaphore =
            Semaphore::of(Handle::new(Self::OPTIONS.create(size_of::<Core>())?, 0).constructed::<Core>())?;
        let core = semaphore.core();
        core.total.store(permits as u64, Relaxed);
        core.available.store(permits as u64, Relaxed);
        core.bound.store(bound, Relaxed);
        Ok(semaphore)
    }

    /// For models: the handle of another process, which the calling thread plays.
    #[cfg(loom)]
    #[doc(hidden)]
    pub fn crossed(&self) -> io::Result<Semaphore> {
        Semaphore::of(self.handle.clone())
    }

    fn of(handle: Handle) -> io::Result<Semaphore> {
        let local = Local {
            who: Identity::own()?,
            seat: AtomicUsize::new(0),
            looked: AtomicU64::new(0),
            epoch: Instant::now(),
        };
        Ok(Semaphore { handle, local: Arc::new(local) })
    }

    /// Takes a permit, however long that takes.
    ///
    /// # Errors
    ///
    /// - [`TooMany`](LockError::TooMany): 512 other processes have permits, and live;
    /// - [`NotInherited`](LockError::NotInherited): this is a forked child to which it was not given.
    pub fn acquire(&self) -> Result<Permit<'_>, LockError> {
        self.acquire_until(None).map(crate::held::always)
    }

    /// Takes a permit if there is one.
    ///
    /// # Errors
    ///
    /// As for [`acquire`](Semaphore::acquire).
    pub fn try_acquire(&self) -> Result<Option<Permit<'_>>, LockError> {
        self.handle.check()?;
        let now = Some(Instant::now());
        match self.take_one(now)? {
            None if self.may_look(LOOK_AGAIN) && self.core().bury(now) => self.take_one(now),
            taken => Ok(taken),
        }
    }

    /// Takes a permit, or gives up after `timeout`, and not before.
    ///
    /// # Errors
    ///
    /// As for [`acquire`](Semaphore::acquire).
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<Option<Permit<'_>>, LockError> {
        self.acquire_until(deadline::after(timeout))
    }

    /// Takes a permit, or gives up at `deadline`, and not before.
    ///
    /// # Errors
    ///
    /// As for [`acquire`](Semaphore::acquire).
    pub fn acquire_deadline(&self, deadline: Instant) -> Result<Option<Permit<'_>>, LockError> {
        self.acquire_until(Some(deadline))
    }

    /// Adds permits.
    ///
    /// # Errors
    ///
    /// - [`AboveBound`](LockError::AboveBound): there would be more than its bound, or than can be counted; none is added;
    /// - [`NotInherited`](LockError::NotInherited): this is a forked child to which it was not given.
    ///
    /// # Examples
    ///
    /// One process makes what another takes:
    ///
    /// ```
    /// use proc_core::Process;
    /// use proc_shm::Semaphore;
    ///
    /// # proc_core::init();
    /// let made = Semaphore::new(0)?;
    /// let maker = Process::spawn(|made: Semaphore| made.release(3).unwrap(), made.clone())?;
    /// for _ in 0..3 {
    ///     // It is used up, and does not come back.
    ///     made.acquire()?.forget();
    /// }
    /// assert_eq!(made.available(), 0);
    /// # maker.join()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn release(&self, permits: usize) -> Result<(), LockError> {
        self.handle.check()?;
        let core = self.core();
        {
            let _inside = core.enter();
            let total = core.total.load(Relaxed).checked_add(permits as u64);
            let total = total.filter(|total| *total <= core.bound.load(Relaxed));
            core.total.store(total.ok_or(LockError::AboveBound)?, Relaxed);
            core.available.store(core.available.load(Relaxed) + permits as u64, Relaxed);
        }
        if permits > 0 {
            core.announce(permits.try_into().unwrap_or(u32::MAX));
        }
        Ok(())
    }

    /// How many permits can be taken; out of date at once. 0 in a forked child to which it was not given.
    pub fn available(&self) -> usize {
        if self.handle.check().is_err() {
            return 0;
        }
        if self.may_look(LOOK_AGAIN) {
            self.core().bury(Some(Instant::now()));
        }
        self.core().available.load(Relaxed).try_into().unwrap_or(usize::MAX)
    }

    fn acquire_until(&self, deadline: Option<Instant>) -> Result<Option<Permit<'_>>, LockError> {
        self.handle.check()?;
        let core = self.core();
        let mut slices = Slices::new();
        loop {
            let heard = core.bell.hear();
            if let Some(permit) = self.take_one(deadline)? {
                return Ok(Some(permit));
            }
            let Some(slice) = slices.next(deadline) else {
                return if core.bury(deadline) { self.take_one(deadline) } else { Ok(None) };
            };
            core.waiters.fetch_add(1, SeqCst);
            core.bell.nap(heard, slice);
            core.waiters.fetch_sub(1, Relaxed);
            // Where many come and go the bell rings in each sleep, and no wait is long: somebody looks now and then all the
            // same. Models have no clock.
            let quiet = core.bell.hear() == heard;
            if quiet || (!cfg!(loom) && self.may_look(LOOK_UNDER_TRAFFIC)) {
                core.bury(deadline);
            }
        }
    }

    /// Takes a permit if there is one, and `deadline` allows to enter the section.
    fn take_one(&self, deadline: Option<Instant>) -> Result<Option<Permit<'_>>, LockError> {
        match self.try_take(deadline) {
            // The dead may have all the seats.
            Err(LockError::TooMany) if self.core().bury(deadline) => self.try_take(deadline),
            taken => taken,
        }
    }

    #[inline]
    fn try_take(&self, deadline: Option<Instant>) -> Result<Option<Permit<'_>>, LockError> {
        let core = self.core();
        let Some(inside) = core.enter_until(deadline) else { return Ok(None) };
        let available = core.available.load(Relaxed);
        if available == 0 {
            return Ok(None);
        }
        let hint = self.local.seat.load(Relaxed);
        let at = participants::seat_for(&core.seats, self.local.who, Some(hint)).ok_or(LockError::TooMany)?;
        let seat = &core.seats[at];
        if !seat.is_taken() {
            seat.claim(self.local.who);
        }
        seat.count.store(seat.count.load(Relaxed) + 1, Relaxed);
        core.available.store(available - 1, Relaxed);
        drop(inside);
        self.local.seat.store(at, Relaxed);
        // Whoever was woken for a permit beside ours may have been killed.
        if available > 1 && core.waiters.load(SeqCst) != 0 {
            core.bell.wake_one();
        }
        Ok(Some(Permit { semaphore: self, seat: at }))
    }

    /// Ends a permit; it comes back, or is gone for good.
    fn give_back(&self, at: usize, for_good: bool) {
        if self.handle.check().is_err() {
            return;
        }
        let core = self.core();
        {
            let _inside = core.enter();
            let seat = &core.seats[at];
            let count = seat.count.load(Relaxed).saturating_sub(1);
            seat.count.store(count, Relaxed);
            if count == 0 {
                seat.free();
            }
            if for_good {
                core.total.store(core.total.load(Relaxed).saturating_sub(1), Relaxed);
            } else {
                core.available.store(core.available.load(Relaxed) + 1, Relaxed);
            }
        }
        if !for_good {
            core.announce(1);
        }
    }

    /// Whether nobody of this process has looked for so many milliseconds. If so, the caller is to look.
    fn may_look(&self, every: u64) -> bool {
        let now = u64::try_from(self.local.epoch.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1;
        let looked = self.local.looked.load(Relaxed);
        let due = looked == 0 || now >= looked.saturating_add(every);
        due && self.local.looked.compare_exchange(looked, now, Relaxed, Relaxed).is_ok()
    }

    #[inline]
    fn core(&self) -> &Core {
        // SAFETY: callers have checked; the core lies at the start, and is atomics.
        unsafe { self.handle.pointer::<Core>(0).as_ref() }
    }

    fn give(&self) -> io::Result<u32> {
        self.handle.region().give()
    }

    fn take(ticket: u32) -> io::Result<Semaphore> {
        Semaphore::of(Handle::take(Self::OPTIONS, ticket, 0, size_of::<Core>())?)
    }
}

crosses!(Semaphore);

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore").field("available", &self.available()).finish_non_exhaustive()
    }
}

/// A permit of a [`Semaphore`]; dropping it gives it back. It may be dropped by another thread than took it.
#[must_use = "if it is not kept, the permit is given back at once"]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    seat: usize,
}

impl Permit<'_> {
    /// The permit does not come back: the semaphore has one less, until somebody [releases](Semaphore::release) one. A
    /// process that is killed after this takes nothing back.
    ///
    /// # Examples
    ///
    /// ```
    /// use proc_shm::Semaphore;
    ///
    /// let tickets = Semaphore::new(2)?;
    /// tickets.acquire()?.forget();
    /// assert_eq!(tickets.available(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn forget(self) {
        self.semaphore.give_back(self.seat, true);
        std::mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.semaphore.give_back(self.seat, false);
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::{sync::mpsc, thread};

    use super::*;

    /// Somebody is stopped in the section: a debugger can do that, and SIGSTOP.
    #[test]
    fn a_stopped_process_inside_stops_no_timed_wait() {
        let semaphore = Semaphore::new(1).unwrap();
        let (entered, inside) = mpsc::channel();
        let (leave, left) = mpsc::channel::<()>();
        thread::scope(|s| {
            let semaphore = &semaphore;
            s.spawn(move || {
                let _inside = semaphore.core().section.lock();
                entered.send(()).unwrap();
                let _ = left.recv_timeout(Duration::from_secs(30));
            });
            inside.recv().unwrap();
            let (start, limit) = (Instant::now(), Duration::from_millis(50));
            assert!(semaphore.try_acquire().unwrap().is_none());
            assert!(semaphore.acquire_timeout(Duration::ZERO).unwrap().is_none());
            assert!(semaphore.acquire_timeout(limit).unwrap().is_none());
            assert!(semaphore.acquire_deadline(Instant::now() + limit).unwrap().is_none());
            assert!(start.elapsed() >= 2 * limit);
            assert_eq!(semaphore.available(), 1);
            assert!(start.elapsed() < Duration::from_secs(20));
            leave.send(()).unwrap();
            drop(semaphore.acquire().unwrap());
        });
    }
}
