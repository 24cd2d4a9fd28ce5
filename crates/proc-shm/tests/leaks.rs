//! Tests for what is left: no descriptor, no mapping. One test, as threads beside it would have some of their own.

use proc_shm::{
    Array, Barrier, Condvar, Event, Frozen, Mutex, RecursiveMutex, RwLock, Semaphore, SharedMemory, Value,
};

proc_core::init_for_tests!();

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn mappings() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().filter(|line| line.contains("/memfd:proc-shm") || line.contains("/dev/shm")).count()
}

/// Threads of this process, and its children.
fn helpers() -> (usize, usize) {
    let threads = std::fs::read_dir("/proc/self/task").unwrap().count();
    let own = format!(" {} ", std::process::id());
    let is_child = |stat: String| {
        // The parent is the second field behind the name.
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.get(1..).is_some_and(|rest| rest.starts_with(&own)))
    };
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let children = processes
        .filter_map(|process| std::fs::read_to_string(process.path().join("stat")).ok())
        .filter(|stat| is_child(stat.clone()))
        .count();
    (threads, children)
}

fn all_once(name: &str) {
    let array = Array::<u64>::zeroed(1_000).unwrap();
    let parts = array.parts(10);
    let mutex = Mutex::new(1).unwrap();
    let others = (
        Value::new(1).unwrap(),
        RecursiveMutex::new(1).unwrap(),
        RwLock::new(1).unwrap(),
        Semaphore::new(1).unwrap(),
        Barrier::new(1).unwrap(),
        Condvar::new().unwrap(),
        Event::new().unwrap(),
        Frozen::new(&[1, 2]).unwrap(),
        SharedMemory::create(name, 100).unwrap(),
    );
    let packed =
        proc_core::transfer::pack(&(mutex.clone(), parts[3].clone(), others.0.clone(), others.7.clone()))
            .unwrap();
    type Crossed = (Mutex<i32>, proc_shm::Part<u64>, Value<i32>, Frozen<[i32]>);
    let crossed: Crossed = proc_core::transfer::unpack(&packed.bytes, packed.fds).unwrap();
    assert_eq!(*crossed.0.lock().unwrap(), 1);
    // What does not decode leaves nothing either.
    let packed = proc_core::transfer::pack(&mutex).unwrap();
    proc_core::transfer::unpack::<Value<i32>>(&packed.bytes, packed.fds).unwrap_err();
    drop(array.lock().unwrap());
    others.4.wait().unwrap();
}

#[test]
fn smoke_nothing_is_left() {
    let name = format!("proc-shm-test-leaks-{}", std::process::id());
    all_once(&name);
    assert_eq!(mappings(), 0);
    let (before, alone) = (descriptors(), helpers());
    assert_eq!(alone.1, 0);
    let semaphore = Semaphore::new(1).unwrap();
    let held = (semaphore.acquire().unwrap(), Mutex::new(1).unwrap());
    let guard = held.1.lock().unwrap();
    // While objects are there and used, too.
    assert_eq!(helpers(), alone);
    drop(guard);
    drop(held);
    drop(semaphore);
    for _ in 0..50 {
        all_once(&name);
    }
    assert_eq!((descriptors(), mappings()), (before, 0));
    assert_eq!(helpers(), alone);

    // A guard that is leaked keeps its memory, as the kernel will look at it, and nothing else; other locks go on.
    let thread = std::thread::spawn(|| {
        let (leaked, other) = (Mutex::new(1).unwrap(), Mutex::new(2).unwrap());
        std::mem::forget(leaked.lock().unwrap());
        let part = Array::<u8>::zeroed(4).unwrap().parts(2).remove(1);
        std::mem::forget(part.lock().unwrap());
        drop((leaked, part));
        assert_eq!(mappings(), 3);
        let guard = other.lock().unwrap();
        std::mem::forget(other.clone().try_lock());
        drop(guard);
        drop(Mutex::new(3).unwrap().lock().unwrap());
        other
    });
    let other = thread.join().unwrap();
    assert_eq!(*other.lock().unwrap(), 2);
    drop(other);
    assert_eq!((descriptors(), mappings()), (before, 2));
}
