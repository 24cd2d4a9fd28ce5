//! Tests for `on_done`: one call for each task however it ends, on a thread that nobody else waits for.

mod common;

use common::{crash, double, nap, no_hang, sleep};
use proc_pool::{Pool, TaskError};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

proc_core::init_for_tests!();

/// Callbacks of all pools of a process come one after the other, so a test that blocks one has the process for itself.
fn one_at_a_time() -> impl Drop {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

fn next<T>(receiver: &Receiver<T>) -> T {
    receiver.recv_timeout(common::PATIENCE).unwrap()
}

#[test]
fn smoke() {
    let _alone = one_at_a_time();
    let pool = Pool::new(1).unwrap();
    let (sender, receiver) = channel();
    pool.submit(double, 4).on_done(move |value| sender.send(value).unwrap());
    assert_eq!(next(&receiver).unwrap(), 8);
}

#[test]
fn every_end_is_told() {
    let _alone = one_at_a_time();
    let pool = Pool::new(1).unwrap();
    let (sender, receiver) = channel();
    let tell = || {
        let sender = sender.clone();
        move |outcome: Result<(), TaskError>| sender.send(outcome).unwrap()
    };
    pool.submit(|()| panic!("asked to"), ()).on_done(tell());
    assert!(matches!(next(&receiver), Err(TaskError::Panicked(_))));
    pool.submit(|()| crash(), ()).on_done(tell());
    assert!(matches!(next(&receiver), Err(TaskError::WorkerDied { .. })));
    pool.try_submit(|()| Err("no"), ()).on_done(tell());
    assert!(matches!(next(&receiver), Err(TaskError::Failed(_))));
    pool.timeout(Duration::from_millis(50)).submit(nap, 600_000).on_done(tell());
    assert_eq!(next(&receiver), Err(TaskError::TimedOut));
    pool.submit(nap, 600_000).on_done(tell());
    pool.submit(|()| (), ()).on_done(tell());
    pool.terminate();
    assert_eq!(next(&receiver), Err(TaskError::Closed));
    assert_eq!(next(&receiver), Err(TaskError::Closed));
    pool.submit(|()| (), ()).on_done(tell());
    assert_eq!(next(&receiver), Err(TaskError::Closed));
}

#[test]
fn one_that_comes_late_is_called_too() {
    let _alone = one_at_a_time();
    let pool = Pool::new(1).unwrap();
    let task = pool.submit(double, 1);
    common::wait_until("it is done", || task.is_done());
    let (sender, receiver) = channel();
    task.on_done(move |value| sender.send(value).unwrap());
    assert_eq!(next(&receiver).unwrap(), 2);
}

#[test]
fn each_of_many_is_called_once() {
    let _alone = one_at_a_time();
    let pool = Pool::new(2).unwrap();
    let (sender, receiver) = channel();
    for x in 0..3000 {
        let sender = sender.clone();
        pool.submit(double, x).on_done(move |value| sender.send((x, value.unwrap())).unwrap());
    }
    drop(sender);
    let mut seen: Vec<_> = (0..3000).map(|_| next(&receiver)).collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..3000).map(|x| (x, x * 2)).collect::<Vec<_>>());
    assert!(receiver.recv_timeout(Duration::from_millis(20)).is_err());
}

/// With `concurrent.futures` it would be the thread that brings all results.
#[test]
fn nobody_waits_for_one_that_blocks() {
    let _alone = one_at_a_time();
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let (open, gate) = channel::<()>();
        let (sender, entered) = channel();
        pool.submit(double, 1).on_done(move |_| {
            sender.send(()).unwrap();
            let _ = gate.recv();
        });
        next(&entered);
        assert_eq!(pool.map(double, 0..1000).unwrap().len(), 1000);
        assert_eq!(pool.submit(double, 2).get().unwrap(), 4);
        pool.close();
        pool.join().unwrap();
        drop(open);
    });
}

#[test]
fn one_that_panics_harms_nobody() {
    let _alone = one_at_a_time();
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let (sender, receiver) = channel();
        for i in 0..20 {
            let sender = sender.clone();
            pool.submit(double, i).on_done(move |value| {
                assert_ne!(i % 2, 0, "the callback's own panic");
                sender.send(value.unwrap()).unwrap();
            });
        }
        let seen: Vec<_> = (0..10).map(|_| next(&receiver)).collect();
        assert_eq!(seen, (0..10).map(|i| (2 * i + 1) * 2).collect::<Vec<_>>());
        assert_eq!(pool.apply(double, 1).unwrap(), 2);
    });
}

#[test]
fn one_may_submit_and_wait() {
    let _alone = one_at_a_time();
    let pool = Pool::new(1).unwrap();
    let (sender, receiver) = channel();
    let again = pool.clone();
    pool.submit(double, 5).on_done(move |value| {
        let more = again.submit(double, value.unwrap()).get().unwrap();
        let many = again.map(double, [more; 10]).unwrap();
        sender.send(many[9]).unwrap();
    });
    assert_eq!(next(&receiver), 40);
}

#[test]
fn one_may_chain_a_thousand_tasks() {
    fn step(pool: Pool, left: u64, done: std::sync::mpsc::Sender<u64>) {
        let again = pool.clone();
        pool.submit(|x: u64| x - 1, left).on_done(move |left| match left.unwrap() {
            0 => done.send(0).unwrap(),
            left => step(again, left, done),
        });
    }
    let _alone = one_at_a_time();
    let pool = Pool::new(1).unwrap();
    let (sender, receiver) = channel();
    step(pool, 1000, sender);
    assert_eq!(next(&receiver), 0);
}

#[test]
fn one_may_terminate_the_pool_and_drop_its_last_handle() {
    let _alone = one_at_a_time();
    let pool = Pool::new(2).unwrap();
    let (sender, receiver) = channel();
    let last = pool.clone();
    let long = pool.submit(sleep, 600_000);
    let tell = sender.clone();
    pool.submit(double, 1).on_done(move |_| {
        last.terminate();
        last.join().unwrap();
        drop(last);
        tell.send("terminated").unwrap();
    });
    drop(pool);
    assert_eq!(next(&receiver), "terminated");
    assert_eq!(long.get().unwrap_err(), TaskError::Closed);

    let pool = Pool::new(1).unwrap();
    let held = Arc::new(Mutex::new(Some(pool.clone())));
    let task = pool.submit(sleep, 100);
    drop(pool);
    task.on_done({
        let held = held.clone();
        move |_| {
            drop(held.lock().unwrap().take());
            sender.send("dropped").unwrap();
        }
    });
    assert_eq!(next(&receiver), "dropped");
    assert!(held.lock().unwrap().is_none());
}

#[test]
fn the_value_of_a_callback_may_have_a_deserialize_that_panics() {
    #[derive(Debug, serde::Serialize)]
    struct Mine(u32);
    impl<'de> serde::Deserialize<'de> for Mine {
        fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
            let _ = u32::deserialize(d)?;
            panic!("not decoded here")
        }
    }
    let _alone = one_at_a_time();
    let pool = Pool::new(1).unwrap();
    let (sender, receiver) = channel();
    pool.submit(Mine, 1).on_done(|_| ());
    pool.submit(double, 1).on_done(move |value| sender.send(value.unwrap()).unwrap());
    assert_eq!(next(&receiver), 2);
}

#[test]
fn a_callback_is_dropped_with_what_it_captured() {
    struct Last(Arc<AtomicUsize>);
    impl Drop for Last {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let _alone = one_at_a_time();
    let (drops, called) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let pool = Pool::new(1).unwrap();
    let (last, seen) = (Last(drops.clone()), called.clone());
    pool.submit(double, 1).on_done(move |_| {
        let _last = &last;
        seen.store(true, Ordering::SeqCst);
    });
    common::wait_until("it was dropped", || drops.load(Ordering::SeqCst) == 1);
    assert!(called.load(Ordering::SeqCst));
}
