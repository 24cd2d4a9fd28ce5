//! Tests for the start methods: objects cross by all of them, and a forked child has those only that were named.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use proc_core::{Process, StartMethod, Zygote};
use proc_shm::{
    Array, Barrier, BarrierError, Condvar, Event, Frozen, LockError, Mutex, RecursiveMutex, RwLock,
    Semaphore, Value,
};
use serde::{Deserialize, Serialize};

proc_core::init_for_tests!();

#[derive(Clone, Serialize, Deserialize)]
struct All {
    value: Value<u64>,
    wide: Value<[u64; 3]>,
    atomic: Value<AtomicU32>,
    array: Array<u8>,
    atomics: Array<AtomicU32>,
    mutex: Mutex<u64>,
    recursive: RecursiveMutex<u64>,
    rwlock: RwLock<u64>,
    semaphore: Semaphore,
    condvar: Condvar,
    event: Event,
    barrier: Barrier,
    frozen: Frozen<[u8]>,
}

impl All {
    fn new() -> All {
        All {
            value: Value::new(0).unwrap(),
            wide: Value::new([0; 3]).unwrap(),
            atomic: Value::new(AtomicU32::new(0)).unwrap(),
            array: Array::zeroed(4).unwrap(),
            atomics: Array::zeroed(4).unwrap(),
            mutex: Mutex::new(0).unwrap(),
            recursive: RecursiveMutex::new(0).unwrap(),
            rwlock: RwLock::new(0).unwrap(),
            semaphore: Semaphore::new(5).unwrap(),
            condvar: Condvar::new().unwrap(),
            event: Event::new().unwrap(),
            barrier: Barrier::new(1).unwrap(),
            frozen: Frozen::new(&[1, 2, 3]).unwrap(),
        }
    }

    fn change(&self) {
        *self.value.lock().unwrap() += 1;
        self.wide.lock().unwrap()[1] += 1;
        self.atomic.fetch_add(1, SeqCst);
        self.array.lock().unwrap()[3] += 1;
        self.atomics[2].fetch_add(1, SeqCst);
        *self.mutex.lock().unwrap() += 1;
        self.recursive.lock().unwrap().update(|n| *n += 1);
        *self.rwlock.write().unwrap() += 1;
        self.semaphore.acquire().unwrap().forget();
        self.condvar.notify_all();
        self.event.set();
        self.barrier.wait().unwrap();
        assert_eq!(*self.frozen, [1, 2, 3]);
    }

    fn is_changed(&self, times: u8) {
        let n = u64::from(times);
        assert_eq!((self.value.get(), self.wide.get()), (n, [0, n, 0]));
        assert_eq!((self.atomic.load(SeqCst), self.atomics[2].load(SeqCst)), (n as u32, n as u32));
        assert_eq!(*self.array.lock().unwrap(), [0, 0, 0, times]);
        assert_eq!((*self.mutex.lock().unwrap(), self.recursive.lock().unwrap().get()), (n, n));
        assert_eq!(*self.rwlock.read().unwrap(), n);
        assert_eq!(self.semaphore.available(), 5 - n as usize);
        assert!(self.event.is_set());
    }
}

#[test]
fn smoke() {
    let all = All::new();
    all.change();
    all.is_changed(1);
}

#[test]
fn spawn_and_zygote() {
    let all = All::new();
    Process::spawn(|all: All| all.change(), all.clone()).unwrap().join().unwrap();
    all.is_changed(1);
    let zygote = Process::<()>::builder().start_method(StartMethod::Zygote);
    zygote.spawn(|all: All| all.change(), all.clone()).unwrap().join().unwrap();
    all.is_changed(2);
    // What was made in the zygote is handed to each child by name, too.
    let zygote = Zygote::preload(|all: All| Box::leak(Box::new(all)), all.clone()).unwrap();
    let child = zygote.spawn(
        |preloaded: &&mut All, named: All| {
            named.change();
            preloaded.mutex.lock().unwrap_err()
        },
        all.clone(),
    );
    assert_eq!(child.unwrap().join().unwrap(), LockError::NotInherited);
    all.is_changed(3);
}

// Forks need a process of one thread, which a test harness is not: hence the spawned process around them.

#[test]
fn fork_with_names() {
    fn forks(all: All) {
        Process::fork_with(all.clone(), |all| all.change()).unwrap().join().unwrap();
        all.is_changed(1);
        // A grandchild, from what the child was given.
        let child = Process::fork_with(all.clone(), |all| {
            Process::fork_with(all, |all| all.change()).unwrap().join().unwrap();
        });
        child.unwrap().join().unwrap();
        all.is_changed(2);
    }
    let all = All::new();
    Process::spawn(forks, all.clone()).unwrap().join().unwrap();
    all.is_changed(2);
}

#[test]
fn an_unnamed_forked_child_is_refused() {
    fn refused(all: &All) {
        let no = LockError::NotInherited;
        assert_eq!(all.value.lock().unwrap_err(), no);
        assert_eq!(all.value.set(5), Err(no));
        assert_eq!(all.value.try_lock().unwrap_err(), no);
        assert_eq!(all.wide.repair(|_| ()).unwrap_err(), no);
        assert_eq!(all.array.lock().unwrap_err(), no);
        assert_eq!(all.array.try_parts(2).unwrap_err().kind(), std::io::ErrorKind::Unsupported);
        assert_eq!(all.mutex.lock().unwrap_err(), no);
        assert_eq!(all.mutex.try_lock().unwrap_err(), no);
        assert!(!all.mutex.is_poisoned());
        assert_eq!(all.recursive.lock().unwrap_err(), no);
        assert_eq!(all.rwlock.read().unwrap_err(), no);
        assert_eq!(all.rwlock.write().unwrap_err(), no);
        assert_eq!(all.semaphore.acquire().unwrap_err(), no);
        assert_eq!(all.semaphore.release(1), Err(no));
        assert_eq!(all.barrier.wait(), Err(BarrierError::NotInherited));
        assert_eq!(all.event.wait().unwrap_err().kind(), std::io::ErrorKind::Unsupported);
        all.condvar.notify_all();
        assert!(proc_core::transfer::pack(&all.mutex).is_err());
        assert!(proc_core::transfer::pack(&all.frozen).is_err());
        // What belongs to no process works.
        all.atomic.fetch_add(1, SeqCst);
        all.atomics[2].fetch_add(1, SeqCst);
        assert_eq!(all.value.get(), 0);
        assert_eq!(*all.frozen, [1, 2, 3]);
        // An object of the child's own is as good as any.
        let own = Mutex::new(1).unwrap();
        assert_eq!(*own.lock().unwrap(), 1);
    }
    fn forks(all: All) {
        // Locks are held here: the child neither has them nor gives them up.
        let guard = all.mutex.lock().unwrap();
        let value = all.value.lock().unwrap();
        let permit = all.semaphore.acquire().unwrap();
        let child = Process::fork(|| {
            refused(&All { mutex: all.mutex.clone(), ..all.clone() });
        });
        child.unwrap().join().unwrap();
        let child = Process::fork(|| drop((all.clone(), &guard, &value, &permit)));
        child.unwrap().join().unwrap();
        // SAFETY: this process has one thread.
        match unsafe { proc_core::fork() }.unwrap() {
            proc_core::Fork::Child => {
                // The child's copies of the guards end here.
                drop((guard, value, permit));
                drop(all);
                std::process::exit(0);
            }
            proc_core::Fork::Parent(child) => child.join().unwrap(),
        }
        assert_eq!(all.semaphore.available(), 4);
        let (mutex, of_value) = (all.mutex.clone(), all.value.clone());
        let busy = std::thread::spawn(move || {
            (mutex.try_lock().unwrap().is_none(), of_value.try_lock().unwrap().is_none())
        });
        assert_eq!(busy.join().unwrap(), (true, true));
    }
    let all = All::new();
    Process::spawn(forks, all.clone()).unwrap().join().unwrap();
    assert_eq!(all.atomic.load(SeqCst), 1);
    assert!(!all.mutex.is_poisoned());
    assert_eq!(all.semaphore.available(), 5);
}

/// What is mapped in a forked child where the data of a guard is in the parent may be anything.
#[test]
fn a_guard_that_a_forked_child_inherited_leads_to_no_memory() {
    fn forks(all: All) {
        fn refused<R: proc_core::Message>(use_it: impl FnOnce() -> R) {
            let error = Process::fork(use_it).unwrap().join().map(drop).unwrap_err().to_string();
            assert!(error.contains("forked"), "{error}");
        }
        let mut guard = all.mutex.lock().unwrap();
        refused(|| *guard);
        refused(|| *guard = 3);
        refused(|| format!("{guard:?}"));
        let array = all.array.lock().unwrap();
        refused(|| array[0]);
        let parted = proc_shm::Guard::map(array, |all| &mut all[..2]);
        refused(|| parted[0]);
        drop(parted);
        let reader = all.rwlock.read().unwrap();
        refused(|| *reader);
        drop(reader);
        let mut writer = all.rwlock.write().unwrap();
        refused(|| *writer = 3);
        let outer = all.recursive.lock().unwrap();
        refused(|| outer.depth());
        refused(|| outer.get());
        refused(|| outer.set(5));
        assert_eq!((outer.depth(), *guard), (1, 0));
    }
    Process::spawn(forks, All::new()).unwrap().join().unwrap();
}

/// The child has a condition variable, and guards of locks that it has not.
#[test]
fn a_forked_child_does_not_wait_with_its_parent_s_guards() {
    fn forks(all: All) {
        let mut guards =
            (all.mutex.lock().unwrap(), all.value.lock().unwrap(), all.recursive.lock().unwrap());
        *guards.1 = 77;
        let value = all.value.clone();
        // SAFETY: this process has one thread.
        match unsafe { proc_core::fork() }.unwrap() {
            proc_core::Fork::Child => {
                let no = LockError::NotInherited;
                // Its own, as that of the parent is not its.
                let condvar = Condvar::new().unwrap();
                let limit = std::time::Duration::from_secs(60);
                let start = std::time::Instant::now();
                let refused = condvar.wait_timeout(guards.0, limit).is_err_and(|e| e == no)
                    && condvar.wait_timeout(guards.1, limit).is_err_and(|e| e == no)
                    && condvar.wait_timeout(guards.2, limit).is_err_and(|e| e == no);
                // Nothing was put in place without the lock.
                let right = refused && value.get() == 0 && start.elapsed() < limit / 2;
                std::process::exit(i32::from(!right));
            }
            proc_core::Fork::Parent(child) => child.join().unwrap(),
        }
        drop(guards);
        assert_eq!(value.get(), 77);
    }
    Process::spawn(forks, All::new()).unwrap().join().unwrap();
}
