//! Tests for arrays, and for their parts.

mod common;

use std::{
    io::ErrorKind,
    sync::atomic::{
        AtomicU32, AtomicU64,
        Ordering::{Relaxed, SeqCst},
    },
    thread,
};

use common::{LONG, SHORT, eventually};
use proc_core::{
    Process,
    transfer::{pack, unpack},
};
use proc_shm::{Array, Event, Guard, LockError, LockFree, Part, Shared, Value};

proc_core::init_for_tests!();

#[test]
fn smoke() {
    let a = Array::from_slice(&[1, 2, 3]).unwrap();
    assert_eq!((a.len(), a.is_empty()), (3, false));
    a.lock().unwrap()[1] = 20;
    assert_eq!(*a.lock().unwrap(), [1, 20, 3]);
    assert_eq!(a.lock().unwrap().iter().sum::<i32>(), 24);
    a.lock().unwrap()[..2].copy_from_slice(&[7, 8]);
    assert_eq!(a.to_vec().unwrap(), [7, 8, 3]);
    assert_eq!(*Array::<u64>::zeroed(4).unwrap().lock().unwrap(), [0; 4]);
    assert_eq!(*Array::from_fn(4, |i| i * i).unwrap().lock().unwrap(), [0, 1, 4, 9]);
}

#[test]
fn a_child_changes_it() {
    fn square(a: Array<f64>) {
        for x in &mut *a.lock().unwrap() {
            *x *= *x;
        }
    }
    let a = Array::from_fn(1_000, |i| i as f64).unwrap();
    Process::spawn(square, a.clone()).unwrap().join().unwrap();
    assert!(a.lock().unwrap().iter().enumerate().all(|(i, x)| *x == (i * i) as f64));
}

#[test]
fn lengths_zero_and_impossible() {
    let none = Array::<u32>::zeroed(0).unwrap();
    assert!(none.is_empty() && none.lock().unwrap().is_empty());
    assert!(Array::<AtomicU32>::zeroed(0).unwrap().is_empty());
    let packed = pack(&none).unwrap();
    assert!(unpack::<Array<u32>>(&packed.bytes, packed.fds).unwrap().is_empty());
    assert_eq!(none.parts(1).len(), 1);
    for len in [usize::MAX, usize::MAX / 4, isize::MAX as usize, 1 << 48] {
        assert!(Array::<u32>::zeroed(len).is_err(), "{len}");
    }
}

#[test]
fn all_lengths_cross() {
    for len in [1, 62, 63, 64, 65, 1_000, 70_000] {
        let a = Array::from_fn(len, |i| i as u16).unwrap();
        let packed = pack(&a).unwrap();
        let b: Array<u16> = unpack(&packed.bytes, packed.fds).unwrap();
        assert_eq!(b.to_vec(), a.to_vec());
        assert_eq!(b.len(), len);
    }
}

#[test]
fn atomics_need_no_lock() {
    let a = Array::from_fn(100, |_| AtomicU32::new(1)).unwrap();
    let children: Vec<_> = (0..2)
        .map(|_| {
            Process::spawn(|a: Array<AtomicU32>| a.iter().map(|x| x.fetch_add(1, SeqCst)).max(), a.clone())
                .unwrap()
        })
        .collect();
    for child in children {
        child.join().unwrap();
    }
    assert!(a.iter().all(|x| x.load(SeqCst) == 3));
}

#[test]
fn parts_are_all_of_it_and_disjoint() {
    for (len, count) in [(10, 3), (10, 10), (7, 1), (1_000, 999), (200_000, 50_000)] {
        let a = Array::<u16>::zeroed(len).unwrap();
        let parts = a.parts(count);
        let mut next = 0;
        for (i, part) in parts.iter().enumerate() {
            assert_eq!((part.index(), part.range().start, part.range().len()), (i, next, part.len()));
            assert!(part.len() == len / count || part.len() == len / count + 1);
            next = part.range().end;
            for x in &mut *part.lock().unwrap() {
                *x += 1;
            }
        }
        assert_eq!(next, len);
        assert!(a.lock().unwrap().iter().all(|x| *x == 1));
    }
}

#[test]
fn it_is_parted_once() {
    let a = Array::<u8>::zeroed(10).unwrap();
    for bad in [0, 11, usize::MAX] {
        assert_eq!(a.try_parts(bad).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    let parts = a.parts(4);
    assert_eq!(a.try_parts(5).unwrap_err().kind(), ErrorKind::InvalidInput);
    let again = Process::spawn(|a: Array<u8>| (a.try_parts(5).is_err(), a.parts(4).remove(2)), a.clone());
    let (refused, same) = again.unwrap().join().unwrap();
    assert!(refused);
    // It is the same part, with the same lock.
    let _guard = parts[2].lock().unwrap();
    assert_eq!(same.lock().unwrap_err(), LockError::Deadlock);
    assert_eq!(same.range(), parts[2].range());
}

#[test]
fn parts_are_locked_at_once_and_the_whole_excludes_them() {
    let a = Array::<u8>::zeroed(4).unwrap();
    let parts = a.parts(2);
    let first = parts[0].lock().unwrap();
    thread::scope(|s| {
        s.spawn(|| {
            assert!(parts[0].try_lock().unwrap().is_none());
            assert!(parts[0].lock_timeout(SHORT).unwrap().is_none());
            drop(parts[1].lock().unwrap());
            assert!(a.try_lock().unwrap().is_none());
            assert!(a.lock_timeout(SHORT).unwrap().is_none());
            drop(parts[1].lock().unwrap());
        });
    });
    // This thread would wait for itself.
    assert_eq!(a.lock().unwrap_err(), LockError::Deadlock);
    drop(first);
    let whole = a.lock().unwrap();
    thread::scope(|s| {
        s.spawn(|| {
            assert!(parts[1].try_lock().unwrap().is_none());
            assert!(parts[1].lock_timeout(SHORT).unwrap().is_none());
        });
    });
    assert_eq!(parts[1].lock().unwrap_err(), LockError::Deadlock);
    drop(whole);
    drop((parts[0].lock().unwrap(), parts[1].lock().unwrap()));
}

#[test]
fn the_whole_waits_for_who_takes_a_second_part() {
    let a = Array::<u8>::zeroed(3).unwrap();
    let parts = a.parts(3);
    let first = parts[0].lock().unwrap();
    thread::scope(|s| {
        let whole = s.spawn(|| a.lock().unwrap().to_vec());
        eventually("the whole", || s.spawn(|| parts[1].try_lock().unwrap().is_none()).join().unwrap());
        let mut second = parts[2].lock_timeout(LONG).unwrap().expect("who waits for the whole waits for us");
        drop(first);
        thread::sleep(SHORT);
        second[0] = 5;
        drop(second);
        assert_eq!(whole.join().unwrap(), [0, 0, 5]);
    });
}

#[test]
fn a_hammer_on_parts_and_whole() {
    fn work(a: Array<u64>) {
        let parts = a.parts(3);
        thread::scope(|s| {
            for part in &parts {
                s.spawn(|| (0..300).for_each(|_| part.lock().unwrap()[0] += 1));
            }
            s.spawn(|| {
                for _ in 0..100 {
                    a.lock().unwrap().iter_mut().for_each(|x| *x += 1);
                }
            });
        });
    }
    let a = Array::<u64>::zeroed(3).unwrap();
    let child = Process::spawn(work, a.clone()).unwrap();
    work(a.clone());
    child.join().unwrap();
    assert_eq!(*a.lock().unwrap(), [800; 3]);
}

/// A process that dies with part 1.
fn dies_with_a_part(part: &Part<u8>) {
    let has = Event::new().unwrap();
    let child = Process::spawn(
        |(part, has): (Part<u8>, Event)| {
            let mut guard = part.lock().unwrap();
            guard[0] = 66;
            has.set();
            thread::sleep(LONG);
        },
        (part.clone(), has.clone()),
    )
    .unwrap();
    assert!(has.wait_timeout(LONG).unwrap());
    child.kill().unwrap();
    child.join().unwrap_err();
}

#[test]
fn a_dead_owner_of_a_part_poisons_that_part_and_the_whole() {
    let a = Array::<u8>::zeroed(3).unwrap();
    let parts = a.parts(3);
    dies_with_a_part(&parts[1]);
    assert!(parts[1].is_poisoned() && !parts[0].is_poisoned());
    drop(parts[0].lock().unwrap());
    assert_eq!(parts[1].lock().unwrap_err(), LockError::OwnerDied);
    assert_eq!(a.lock().unwrap_err(), LockError::OwnerDied);
    // The failed attempt leaves all as it was.
    drop(parts[2].lock().unwrap());
    assert_eq!(parts[1].lock().unwrap_err(), LockError::OwnerDied);
    assert_eq!(*parts[1].repair(|part| part[0] += 1).unwrap(), [67]);
    assert_eq!(*a.lock().unwrap(), [0, 67, 0]);
    // Or all at once.
    dies_with_a_part(&parts[1]);
    assert_eq!(*a.repair(|all| all.fill(9)).unwrap(), [9; 3]);
    drop(parts[1].lock().unwrap());
}

#[test]
fn a_dead_owner_of_the_whole_poisons_the_parts() {
    let a = Array::<u8>::zeroed(3).unwrap();
    let parts = a.parts(3);
    thread::scope(|s| s.spawn(|| std::mem::forget(a.lock().unwrap())).join().unwrap());
    eventually("the end of the thread", || a.is_poisoned());
    assert_eq!(parts[0].lock().unwrap_err(), LockError::OwnerDied);
    assert_eq!(parts[0].try_lock().unwrap_err(), LockError::OwnerDied);
    assert_eq!(parts[0].repair(|_| ()).unwrap_err(), LockError::OwnerDied);
    drop(a.repair(|all| all.fill(1)).unwrap());
    assert_eq!(*parts[2].lock().unwrap(), [1]);
}

#[test]
fn guards_are_narrowed() {
    let a = Array::from_slice(&[[1, 2], [3, 4]]).unwrap();
    let mut row = Guard::map(a.lock().unwrap(), |all| &mut all[1]);
    row[0] = 30;
    assert_eq!(format!("{row:?}"), "[30, 4]");
    assert_eq!(a.try_lock().unwrap_err(), LockError::Deadlock);
    drop(row);
    let whole = Guard::filter_map(a.lock().unwrap(), |all| all.get_mut(7)).unwrap_err();
    assert_eq!(*whole, [[1, 2], [30, 4]]);
}

/// Counters of a user's own; they say nothing of forks.
#[repr(C)]
#[derive(Default)]
struct Counters {
    hits: AtomicU64,
    misses: AtomicU32,
    errors: AtomicU32,
}

// SAFETY: atomics, without padding, and any bytes are one.
unsafe impl Shared for Counters {}
// SAFETY: as above; all fields are atomic.
unsafe impl LockFree for Counters {}

#[test]
fn structs_of_atomics_need_no_lock() {
    let counters = Array::from_fn(3, |_| Counters::default()).unwrap();
    let single = Value::new(Counters::default()).unwrap();
    let child = Process::spawn(
        |(counters, single): (Array<Counters>, Value<Counters>)| {
            counters[1].hits.fetch_add(5, Relaxed);
            counters[2].errors.fetch_add(1, Relaxed);
            single.misses.fetch_add(7, Relaxed);
        },
        (counters.clone(), single.clone()),
    );
    child.unwrap().join().unwrap();
    assert_eq!(counters.iter().map(|c| c.hits.load(Relaxed)).collect::<Vec<_>>(), [0, 5, 0]);
    assert_eq!(counters[2].errors.load(Relaxed), 1);
    assert_eq!(single.misses.load(Relaxed), 7);
    // A forked child does not have such an array, and is told so rather than given somebody else's memory.
    let forked = Process::spawn(
        |counters: Array<Counters>| {
            let hits = || counters[0].hits.load(Relaxed);
            let named = Process::fork_with(counters.clone(), |c| c[1].hits.load(Relaxed)).unwrap().join();
            (named.ok(), Process::fork(hits).unwrap().join().is_err())
        },
        counters.clone(),
    );
    assert_eq!(forked.unwrap().join().unwrap(), (Some(5), true));
}

#[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Particle {
    position: [f32; 3],
    charge: i16,
    kind: u16,
}
proc_shm::shared!(Particle);

#[test]
fn structs_cross_to_a_child() {
    let array = Array::from_fn(4, |i| Particle { kind: i as u16, ..Particle::default() }).unwrap();
    let value = Value::new(Particle::default()).unwrap();
    let child = Process::spawn(
        |(array, value): (Array<Particle>, Value<Particle>)| {
            for particle in &mut *array.lock().unwrap() {
                particle.position[1] = f32::from(particle.kind) / 2.0;
            }
            value.lock().unwrap().charge = -3;
            value.get().charge
        },
        (array.clone(), value.clone()),
    );
    assert_eq!(child.unwrap().join().unwrap(), -3);
    assert_eq!(value.get(), Particle { charge: -3, ..Particle::default() });
    assert_eq!(array.lock().unwrap()[3], Particle { position: [0.0, 1.5, 0.0], charge: 0, kind: 3 });
}

/// A repair needs one lock more than there is room for in the thread.
#[test]
fn a_repair_that_fails_keeps_no_lock() {
    let array = Array::<u8>::zeroed(2).unwrap();
    let parts = array.parts(2);
    thread::scope(|s| s.spawn(|| std::mem::forget(parts[1].lock().unwrap())).join().unwrap());
    eventually("the end of the thread", || parts[1].is_poisoned());
    let many = Array::<u8>::zeroed(2_000).unwrap();
    let many = many.parts(2_000);
    thread::scope(|s| {
        s.spawn(|| {
            // All but one.
            let mut held: Vec<_> = many.iter().take(1_999).map(|part| part.lock().unwrap()).collect();
            assert_eq!(array.repair(|_| ()).unwrap_err(), LockError::TooMany);
            held.pop();
            // The poison is where it was, and no lock is held.
            assert!(parts[1].is_poisoned());
            assert_eq!(*array.repair(|all| all.fill(1)).unwrap(), [1, 1]);
        })
        .join()
        .unwrap();
    });
    assert_eq!(*array.lock_timeout(LONG).unwrap().unwrap(), [1, 1]);
}
