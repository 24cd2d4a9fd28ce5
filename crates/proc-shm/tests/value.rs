//! Tests for values: never torn, changed by one step, of any plain type.

mod common;

use std::{
    sync::atomic::{
        AtomicBool, AtomicI16, AtomicU8, AtomicU64, AtomicUsize,
        Ordering::{Relaxed, SeqCst},
    },
    thread,
    time::Duration,
};

use bytemuck::{Pod, Zeroable};
use common::{LONG, eventually};
use proc_core::{
    Process,
    transfer::{pack, unpack},
};
use proc_shm::{Event, LockError, Mutex, Value, shared};

proc_core::init_for_tests!();

#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct Sample {
    at: u64,
    values: [f32; 3],
    flags: u32,
}
shared!(Sample);

#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct Nothing;
shared!(Nothing);

#[test]
fn smoke() {
    let v = Value::new(5_u16).unwrap();
    assert_eq!(v.get(), 5);
    *v.lock().unwrap() += 1;
    assert_eq!(v.get(), 6);
    v.set(9).unwrap();
    assert_eq!(*v.lock().unwrap(), 9);
    let guard = v.lock_timeout(LONG).unwrap().unwrap();
    assert_eq!(format!("{guard:?} {guard}"), "9 9");
}

fn round_trip<T: proc_shm::Plain + PartialEq + std::fmt::Debug>(values: &[T]) {
    let v = Value::new(values[0]).unwrap();
    for value in values {
        v.set(*value).unwrap();
        assert_eq!(v.get(), *value);
        assert_eq!(*v.clone().lock().unwrap(), *value);
    }
}

#[test]
fn plain_types_of_all_sizes() {
    round_trip(&[u8::MAX, 0, 1]);
    round_trip(&[i8::MIN, 0, 1]);
    round_trip(&[i16::MIN, 7]);
    round_trip(&[i32::MIN, -1]);
    round_trip(&[u64::MAX, 1]);
    round_trip(&[i64::MIN, 1]);
    round_trip(&[u128::MAX, 1]);
    round_trip(&[usize::MAX, isize::MAX as usize]);
    round_trip(&[f32::MIN, 0.5]);
    round_trip(&[f64::MAX, -0.5]);
    round_trip(&[[1_u8, 2, 3], [4, 5, 6]]);
    round_trip(&[[1_u8; 13], [2; 13]]);
    round_trip(&[[1_u32; 0], []]);
    round_trip(&[[7_u64; 1000], [8; 1000]]);
    round_trip(&[Nothing]);
    round_trip(&[Sample { at: 1, values: [0.5, 1.5, f32::MAX], flags: 3 }, Sample::zeroed()]);
}

#[test]
fn atomics_need_no_lock() {
    let (a, b) =
        (Value::new(AtomicU8::new(250)).unwrap(), Value::new([const { AtomicI16::new(1) }; 3]).unwrap());
    let child = Process::spawn(
        |(a, b): (Value<AtomicU8>, Value<[AtomicI16; 3]>)| {
            a.fetch_add(10, SeqCst);
            b[2].store(-7, SeqCst);
        },
        (a.clone(), b.clone()),
    );
    child.unwrap().join().unwrap();
    assert_eq!(a.load(SeqCst), 4);
    assert_eq!(b.each_ref().map(|x| x.load(SeqCst)), [1, 1, -7]);
    assert!(!Value::new(AtomicBool::new(false)).unwrap().load(Relaxed));
    assert_eq!(Value::new(AtomicUsize::new(3)).unwrap().load(Relaxed), 3);
}

#[test]
fn readers_never_see_half_a_change() {
    fn write((v, stop): (Value<[u64; 20]>, Value<AtomicBool>)) {
        let mut n = 0;
        while !stop.load(Relaxed) {
            n += 1;
            v.set([n; 20]).unwrap();
        }
    }
    let v = Value::new([0_u64; 20]).unwrap();
    let stop = Value::new(AtomicBool::new(false)).unwrap();
    let writer = Process::spawn(write, (v.clone(), stop.clone())).unwrap();
    eventually("a write", || v.get()[0] > 0);
    let mut last = 0;
    for _ in 0..20_000 {
        let now = v.get();
        assert!(now.iter().all(|x| *x == now[0]), "torn: {now:?}");
        assert!(now[0] >= last);
        last = now[0];
    }
    stop.store(true, Relaxed);
    writer.join().unwrap();
}

/// A writer that is killed whenever leaves the value as it was before or after a change, and readers do not wait.
#[test]
fn a_killed_writer_leaves_the_old_value_or_the_new() {
    let v = Value::new([0_u64; 64]).unwrap();
    let mut last = 0;
    for round in 0..30_u64 {
        let child = Process::spawn(
            |v: Value<[u64; 64]>| {
                if v.is_poisoned() {
                    drop(v.repair(|_| ()).unwrap());
                }
                while v.get()[0] < u64::MAX {
                    let mut guard = v.lock().unwrap();
                    let next = guard[0] + 1;
                    guard.fill(next);
                }
            },
            v.clone(),
        )
        .unwrap();
        eventually("a change", || v.get()[0] > last);
        thread::sleep(Duration::from_micros(round * 7_919 % 1_009));
        child.kill().unwrap();
        child.join().unwrap_err();
        let now = v.get();
        assert!(now.iter().all(|x| *x == now[0]), "torn by a kill: {now:?}");
        assert!(now[0] >= last);
        last = now[0];
        assert!(matches!(v.try_lock(), Ok(Some(_)) | Err(LockError::OwnerDied)));
    }
}

#[test]
fn a_guard_changes_all_or_nothing() {
    let v = Value::new([1, 2]).unwrap();
    let mut guard = v.lock().unwrap();
    guard[0] = 9;
    // Not yet in place.
    assert_eq!(v.get(), [1, 2]);
    drop(guard);
    assert_eq!(v.get(), [9, 2]);
    let result = thread::scope(|s| {
        s.spawn(|| {
            let mut guard = v.lock().unwrap();
            guard[1] = 5;
            panic!("on purpose");
        })
        .join()
    });
    assert!(result.is_err());
    assert_eq!(v.get(), [9, 2]);
    assert_eq!(v.lock().unwrap_err(), LockError::OwnerDied);
    assert_eq!(v.set([0, 0]), Err(LockError::OwnerDied));
    assert_eq!(*v.repair(|v| v[1] = 3).unwrap(), [9, 3]);
    assert_eq!(v.get(), [9, 3]);
}

#[test]
fn a_locked_value_is_read_all_the_same() {
    let v = Value::new(4).unwrap();
    let _guard = v.lock().unwrap();
    assert_eq!(v.get(), 4);
    let child = Process::spawn(|v: Value<i32>| v.get(), v.clone()).unwrap();
    assert_eq!(child.join().unwrap(), 4);
}

#[test]
fn another_type_is_refused() {
    let packed = pack(&Value::new(1_u32).unwrap()).unwrap();
    let error = unpack::<Value<i32>>(&packed.bytes, packed.fds).unwrap_err();
    assert!(error.to_string().contains("another type"), "{error}");
    let packed = pack(&Mutex::new(1_u32).unwrap()).unwrap();
    let error = unpack::<Value<u32>>(&packed.bytes, packed.fds).unwrap_err();
    assert!(error.to_string().contains("another kind"), "{error}");
    let packed = pack(&Event::new().unwrap()).unwrap();
    unpack::<Value<u32>>(&packed.bytes, packed.fds).unwrap_err();
}

#[test]
fn two_values_are_two() {
    let (a, b) = (Value::new(1).unwrap(), Value::new(1).unwrap());
    let same = a.clone();
    a.set(2).unwrap();
    assert_eq!((same.get(), b.get()), (2, 1));
    drop(a);
    assert_eq!(same.get(), 2);
    let atomic = Value::new(AtomicU64::new(1)).unwrap();
    assert_eq!(atomic.clone().load(SeqCst), 1);
}
