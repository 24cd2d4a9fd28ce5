//! Tests for what all locks have in common: exclusion, waiting, deadlines, and what a dead owner leaves.

mod common;

use std::{
    sync::atomic::{
        AtomicBool, AtomicU64,
        Ordering::{Relaxed, SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use common::{LONG, Lock, SHORT, eventually};
use proc_core::{JoinError, Process};
use proc_shm::{Array, Event, LockError, Value};

proc_core::init_for_tests!();

for_all_locks! {
    smoke
    excludes_threads_and_processes
    try_and_timeouts_do_not_wait_longer_nor_shorter
    durations_zero_and_max
    a_signal_does_not_end_a_wait
    a_killed_owner_poisons_until_repair
    a_killed_owner_wakes_who_waits
    a_killed_waiter_is_not_missed
    a_panic_poisons
    a_thread_that_ends_with_it_poisons
    a_thread_does_not_wait_for_itself
    kills_at_random_lose_no_lock
    a_repairer_that_dies_repairs_nothing
}

fn smoke<L: Lock>() {
    let lock = L::make();
    lock.add().unwrap();
    assert_eq!(lock.sum(), 1);
    assert!(!lock.is_poisoned());
    assert_eq!(lock.try_with(|| 5), Ok(Some(5)));
    assert_eq!(lock.timeout_with(LONG, || 6), Ok(Some(6)));
    assert_eq!(lock.deadline_with(Instant::now() + LONG, || 7), Ok(Some(7)));
    // Nothing is to be repaired.
    assert_eq!(lock.repair(), Ok(false));
}

fn excludes_threads_and_processes<L: Lock>() {
    fn work<L: Lock>((lock, inside): (L, Value<AtomicU64>)) -> Result<(), LockError> {
        thread::scope(|s| {
            for _ in 0..2 {
                s.spawn(|| {
                    for _ in 0..300 {
                        lock.add().unwrap();
                        lock.with(|| {
                            assert_eq!(inside.fetch_add(1, SeqCst), 0);
                            assert_eq!(inside.fetch_sub(1, SeqCst), 1);
                        })
                        .unwrap();
                    }
                });
            }
        });
        Ok(())
    }
    let lock = L::make();
    let inside = Value::new(AtomicU64::new(0)).unwrap();
    let children: Vec<_> =
        (0..3).map(|_| Process::spawn(work::<L>, (lock.clone(), inside.clone())).unwrap()).collect();
    work((lock.clone(), inside)).unwrap();
    for child in children {
        child.join().unwrap().unwrap();
    }
    assert_eq!(lock.sum(), 4 * 2 * 300);
}

/// Somebody else has `lock` while `f` runs.
fn while_locked<L: Lock>(lock: &L, f: impl FnOnce()) {
    let (locked, done) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|s| {
        s.spawn(|| {
            lock.with(|| {
                locked.store(true, SeqCst);
                eventually("the end of the test", || done.load(SeqCst));
            })
            .unwrap();
        });
        eventually("locking", || locked.load(SeqCst));
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f));
        done.store(true, SeqCst);
        result.unwrap();
    });
}

fn try_and_timeouts_do_not_wait_longer_nor_shorter<L: Lock>() {
    let lock = L::make();
    while_locked(&lock, || {
        assert_eq!(lock.try_with(|| ()), Ok(None));
        let start = Instant::now();
        assert_eq!(lock.timeout_with(SHORT, || ()), Ok(None));
        assert!(start.elapsed() >= SHORT);
        let deadline = Instant::now() + SHORT;
        assert_eq!(lock.deadline_with(deadline, || ()), Ok(None));
        assert!(Instant::now() >= deadline);
        assert!(start.elapsed() < LONG);
    });
    // The failed attempts left nothing.
    lock.add().unwrap();
}

fn durations_zero_and_max<L: Lock>() {
    let lock = L::make();
    assert_eq!(lock.timeout_with(Duration::ZERO, || 1), Ok(Some(1)));
    assert_eq!(lock.timeout_with(Duration::MAX, || 1), Ok(Some(1)));
    let past = Instant::now().checked_sub(SHORT).unwrap();
    assert_eq!(lock.deadline_with(past, || 1), Ok(Some(1)));
    while_locked(&lock, || {
        assert_eq!(lock.timeout_with(Duration::ZERO, || ()), Ok(None));
        assert_eq!(lock.deadline_with(past, || ()), Ok(None));
    });
    thread::scope(|s| {
        let waiter = lock.with(|| {
            let waiter = s.spawn(|| lock.timeout_with(Duration::MAX, || 2));
            thread::sleep(SHORT);
            waiter
        });
        assert_eq!(waiter.unwrap().join().unwrap(), Ok(Some(2)));
    });
}

fn a_signal_does_not_end_a_wait<L: Lock>() {
    extern "C" fn nothing(_: libc::c_int) {}
    // SAFETY: the handler does nothing, and no other test uses this signal.
    unsafe { libc::signal(libc::SIGUSR1, nothing as extern "C" fn(libc::c_int) as libc::sighandler_t) };
    let lock = L::make();
    let (id, done, ended) = (AtomicU64::new(0), AtomicBool::new(false), AtomicBool::new(false));
    while_locked(&lock, || {
        thread::scope(|s| {
            s.spawn(|| {
                // SAFETY: it has no arguments.
                id.store(unsafe { libc::pthread_self() }, SeqCst);
                let start = Instant::now();
                assert_eq!(lock.timeout_with(SHORT * 3, || ()), Ok(None));
                assert!(start.elapsed() >= SHORT * 3);
                done.store(true, SeqCst);
                eventually("the last signal", || ended.load(SeqCst));
            });
            eventually("the start", || id.load(SeqCst) != 0);
            while !done.load(SeqCst) {
                // SAFETY: the thread ends after the last signal only, or the test has failed.
                unsafe { libc::pthread_kill(id.load(SeqCst), libc::SIGUSR1) };
                thread::sleep(Duration::from_millis(1));
            }
            ended.store(true, SeqCst);
        });
    });
}

/// A process that has the lock, and dies when it is told to.
fn owner<L: Lock>(lock: &L) -> Process<()> {
    let locked = Event::new().unwrap();
    let child = Process::spawn(
        |(lock, locked): (L, Event)| {
            lock.with(|| {
                locked.set();
                thread::sleep(LONG);
            })
            .unwrap();
        },
        (lock.clone(), locked.clone()),
    )
    .unwrap();
    assert!(locked.wait_timeout(LONG).unwrap());
    child
}

fn kill(child: Process<()>) {
    child.kill().unwrap();
    assert!(matches!(child.join(), Err(JoinError::Signaled { .. })));
}

fn a_killed_owner_poisons_until_repair<L: Lock>() {
    let lock = L::make();
    let child = owner(&lock);
    assert_eq!(lock.try_with(|| ()), Ok(None));
    kill(child);
    assert!(lock.is_poisoned());
    for _ in 0..2 {
        assert_eq!(lock.with(|| ()), Err(LockError::OwnerDied));
        assert_eq!(lock.try_with(|| ()), Err(LockError::OwnerDied));
        assert_eq!(lock.timeout_with(LONG, || ()), Err(LockError::OwnerDied));
    }
    assert!(LockError::OwnerDied.is_poisoned());
    assert_eq!(lock.repair(), Ok(true));
    assert!(!lock.is_poisoned());
    assert_eq!(lock.repair(), Ok(false));
    lock.add().unwrap();
}

fn a_killed_owner_wakes_who_waits<L: Lock>() {
    let lock = L::make();
    let child = owner(&lock);
    thread::scope(|s| {
        let waiters: Vec<_> = (0..4).map(|_| s.spawn(|| lock.with(|| ()))).collect();
        thread::sleep(SHORT);
        assert!(waiters.iter().all(|w| !w.is_finished()));
        kill(child);
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), Err(LockError::OwnerDied));
        }
    });
}

fn a_killed_waiter_is_not_missed<L: Lock>() {
    let lock = L::make();
    let waiting = Event::new().unwrap();
    let waiter = lock
        .with(|| {
            let child = Process::spawn(
                |(lock, waiting): (L, Event)| {
                    waiting.set();
                    lock.with(|| ()).unwrap();
                },
                (lock.clone(), waiting.clone()),
            )
            .unwrap();
            assert!(waiting.wait_timeout(LONG).unwrap());
            thread::sleep(SHORT);
            kill(child);
            thread::scope(|s| s.spawn(|| lock.try_with(|| ())).join().unwrap())
        })
        .unwrap();
    assert_eq!(waiter, Ok(None));
    lock.add().unwrap();
}

fn a_panic_poisons<L: Lock>() {
    let lock = L::make();
    let result = thread::scope(|s| s.spawn(|| lock.with(|| panic!("on purpose"))).join());
    assert!(result.is_err());
    assert_eq!(lock.with(|| ()), Err(LockError::OwnerDied));
    assert_eq!(lock.repair(), Ok(true));
    // A guard that is taken and dropped while something else unwinds is no panic of its own.
    struct LocksInDrop<'a, L: Lock>(&'a L);
    impl<L: Lock> Drop for LocksInDrop<'_, L> {
        fn drop(&mut self) {
            self.0.add().unwrap();
        }
    }
    let result = thread::scope(|s| {
        s.spawn(|| {
            let _in_drop = LocksInDrop(&lock);
            panic!("on purpose");
        })
        .join()
    });
    assert!(result.is_err());
    assert_eq!(lock.sum(), 1);
}

fn a_thread_that_ends_with_it_poisons<L: Lock>() {
    let lock = L::make();
    thread::scope(|s| s.spawn(|| lock.leak()).join().unwrap());
    eventually("the end of the thread", || lock.is_poisoned());
    assert_eq!(lock.repair(), Ok(true));
    lock.add().unwrap();
}

fn a_thread_does_not_wait_for_itself<L: Lock>() {
    let lock = L::make();
    lock.with(|| {
        if L::RECURSIVE {
            lock.add().unwrap();
            assert_eq!(lock.try_with(|| 1), Ok(Some(1)));
        } else {
            assert_eq!(lock.with(|| ()), Err(LockError::Deadlock));
            assert_eq!(lock.try_with(|| ()), Err(LockError::Deadlock));
            assert_eq!(lock.timeout_with(LONG, || ()), Err(LockError::Deadlock));
            assert_eq!(lock.repair(), Err(LockError::Deadlock));
        }
    })
    .unwrap();
    lock.add().unwrap();
}

/// Processes lock in a loop and are killed whenever; the others go on, and each death is either seen or harmless.
fn kills_at_random_lose_no_lock<L: Lock>() {
    fn hammer<L: Lock>((lock, stop): (L, Value<AtomicBool>)) {
        while !stop.load(Relaxed) {
            match lock.add() {
                Ok(()) => {}
                Err(LockError::OwnerDied) => drop(lock.repair().unwrap()),
                Err(e) => panic!("{e}"),
            }
        }
    }
    let lock = L::make();
    let stop = Value::new(AtomicBool::new(false)).unwrap();
    let start = || Process::spawn(hammer::<L>, (lock.clone(), stop.clone())).unwrap();
    let mut children: Vec<_> = (0..2).map(|_| start()).collect();
    let rounds: u64 = std::env::var("PROC_SHM_KILLS").map_or(25, |n| n.parse().unwrap());
    for round in 0..rounds {
        // Times that are not multiples of one another, the same in each run.
        thread::sleep(Duration::from_micros(200 + round * 7_919 % 3_001));
        let child = children.remove(0);
        child.kill().unwrap();
        children.push(start());
        drop(child.join());
        // We are a survivor too.
        let got = lock.timeout_with(LONG, || ());
        match got {
            Ok(Some(())) => {}
            Err(LockError::OwnerDied) => drop(lock.repair().unwrap()),
            other => panic!("{other:?} after {round} kills"),
        }
    }
    stop.store(true, Relaxed);
    for child in children {
        child.join().unwrap();
    }
    if lock.is_poisoned() {
        lock.repair().unwrap();
    }
    assert!(lock.sum() > 0);
}

fn a_repairer_that_dies_repairs_nothing<L: Lock>() {
    let lock = L::make();
    thread::scope(|s| s.spawn(|| lock.leak()).join().unwrap());
    eventually("the end of the thread", || lock.is_poisoned());
    // Here the repairer locks, which nobody but a repairer can, and is killed.
    let child = Process::spawn(
        |lock: L| {
            assert_eq!(lock.with(|| ()), Err(LockError::OwnerDied));
            assert_eq!(lock.repair(), Ok(true));
            lock.with(|| {
                rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
            })
            .unwrap()
            .unwrap();
        },
        lock.clone(),
    )
    .unwrap();
    assert!(matches!(child.join(), Err(JoinError::Signaled { .. })));
    assert_eq!(lock.with(|| ()), Err(LockError::OwnerDied));
    assert_eq!(lock.repair(), Ok(true));
}

#[test]
fn a_mender_that_panics_mends_nothing() {
    let array = Array::from_slice(&[1, 2]).unwrap();
    thread::scope(|s| s.spawn(|| std::mem::forget(array.lock().unwrap())).join().unwrap());
    eventually("the end of the thread", || array.is_poisoned());
    let result = thread::scope(|s| s.spawn(|| drop(array.repair(|_| panic!("on purpose")))).join());
    assert!(result.is_err());
    assert!(array.is_poisoned());
    assert_eq!(*array.repair(|all| all.fill(7)).unwrap(), [7, 7]);
}

#[test]
fn a_process_that_becomes_another_program_is_an_owner_that_died() {
    let lock = proc_shm::Mutex::new(1).unwrap();
    let child = Process::spawn(
        |lock: proc_shm::Mutex<i32>| {
            use std::os::unix::process::CommandExt;
            let _guard = lock.lock().unwrap();
            let error = std::process::Command::new("sleep").arg("60").exec();
            panic!("{error}");
        },
        lock.clone(),
    );
    let child: Process<()> = child.unwrap();
    eventually("the exec", || lock.is_poisoned());
    assert!(child.is_alive());
    child.kill().unwrap();
    drop(child.join());
    assert_eq!(*lock.repair(|x| *x = 2).unwrap(), 2);
}

/// Locks that a thread holds at once are all given up by its death, whatever their order.
#[test]
fn a_process_that_is_killed_with_several_locks() {
    type Locks = (proc_shm::Mutex<u8>, Value<u8>, Array<u8>, proc_shm::RwLock<u8>, Event);
    let locks: Locks = (
        proc_shm::Mutex::new(0).unwrap(),
        Value::new(0).unwrap(),
        Array::zeroed(1).unwrap(),
        proc_shm::RwLock::new(0).unwrap(),
        Event::new().unwrap(),
    );
    let child = Process::spawn(
        |(a, b, c, d, ready): Locks| {
            let first = a.lock().unwrap();
            let _others = (b.lock().unwrap(), c.lock().unwrap(), d.write().unwrap());
            drop(first);
            let _again = a.lock().unwrap();
            ready.set();
            thread::sleep(LONG);
        },
        locks.clone(),
    )
    .unwrap();
    assert!(locks.4.wait_timeout(LONG).unwrap());
    kill(child);
    assert_eq!(locks.0.lock().unwrap_err(), LockError::OwnerDied);
    assert_eq!(locks.1.lock().unwrap_err(), LockError::OwnerDied);
    assert_eq!(locks.2.lock().unwrap_err(), LockError::OwnerDied);
    assert_eq!(locks.3.read().unwrap_err(), LockError::OwnerDied);
}
