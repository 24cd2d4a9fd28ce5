//! Tests for those who are told of an end and do not wait in a thread: wakers and callbacks may be slow, or use the pool.

mod common;

use common::{double, nap, no_hang, sleep, wait_until};
use proc_pool::{Pool, Task};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

proc_core::init_for_tests!();

/// A waker that runs a function.
struct Calls<F>(F);

impl<F: Fn() + Send + Sync + 'static> Wake for Calls<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

/// Polls once: not done yet, so the waker will be woken.
#[track_caller]
fn watch(task: &mut Task<u64>, wake: impl Fn() + Send + Sync + 'static) {
    let waker = Waker::from(Arc::new(Calls(wake)));
    assert!(matches!(Pin::new(task).poll(&mut Context::from_waker(&waker)), Poll::Pending));
}

#[test]
fn smoke() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let woken = Arc::new(AtomicUsize::new(0));
        let count = woken.clone();
        let mut task = pool.submit(sleep, 50);
        watch(&mut task, move || {
            count.fetch_add(1, Ordering::SeqCst);
        });
        wait_until("it is woken", || woken.load(Ordering::SeqCst) == 1);
        assert_eq!(task.get().unwrap(), 50);
    });
}

/// Whoever happens to collect runs the waker, which waits for the pool that is collected for.
#[test]
fn a_waker_that_waits_for_the_same_pool() {
    no_hang(|| {
        for by_its_own_thread in [false, true] {
            let pool = Pool::new(2).unwrap();
            let (sum, inner) = (Arc::new(AtomicU64::new(0)), pool.clone());
            let value = sum.clone();
            let mut task = pool.submit(sleep, 50);
            watch(&mut task, move || {
                let more = inner.map(double, 0..100).unwrap();
                value.fetch_add(inner.apply(double, 21).unwrap() + more.len() as u64, Ordering::SeqCst);
            });
            if by_its_own_thread {
                wait_until("it is woken", || sum.load(Ordering::SeqCst) == 142);
            }
            // This thread collects, and then runs the waker.
            assert_eq!(pool.apply(sleep, 200).unwrap(), 200);
            wait_until("it is woken", || sum.load(Ordering::SeqCst) == 142);
            assert_eq!(task.get().unwrap(), 50);
        }
    });
}

/// A waker that takes its time holds nobody up who waits.
#[test]
fn a_slow_waker_holds_nobody_up() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let mut task = pool.submit(sleep, 20);
        let woken = Arc::new(AtomicUsize::new(0));
        let count = woken.clone();
        watch(&mut task, move || {
            nap(3000);
            count.fetch_add(1, Ordering::SeqCst);
        });
        // Several that wait: one of them may be the one that runs the waker.
        let waiters: Vec<_> = (0..4)
            .map(|_| {
                let pool = pool.clone();
                thread::spawn(move || {
                    let start = Instant::now();
                    for x in 0..200 {
                        assert_eq!(pool.apply(double, x).unwrap(), x * 2);
                    }
                    start.elapsed()
                })
            })
            .collect();
        let mut took: Vec<_> = waiters.into_iter().map(|waiter| waiter.join().unwrap()).collect();
        took.sort_unstable();
        assert!(took[2] < Duration::from_millis(2500), "{took:?}");
        wait_until("it is woken", || woken.load(Ordering::SeqCst) == 1);
        assert_eq!(task.get().unwrap(), 20);
    });
}

#[test]
fn a_waker_that_drops_the_pool() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let mut task = pool.submit(sleep, 30);
        let last = Mutex::new(Some(pool));
        watch(&mut task, move || drop(last.lock().unwrap().take()));
        wait_until("it is done", || task.is_done());
        assert_eq!(task.get().unwrap(), 30);
    });
}

/// It is called, with the error, whatever ends the task.
#[test]
fn the_callback_of_a_cancelled_task() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        let long = pool.submit(nap, 600_000);
        wait_until("it runs", || long.is_running());
        let queued: Vec<_> = (0..3).map(|x| pool.submit(double, x)).collect();
        assert!(queued.iter().all(Task::cancel));
        for task in queued {
            let sender = sender.clone();
            task.on_done(move |result| sender.send(result).unwrap());
        }
        // One whose callback is there before it is ended by the pool's end.
        let waits = pool.submit(double, 9);
        let last = sender.clone();
        waits.on_done(move |result| last.send(result).unwrap());
        for _ in 0..3 {
            let result = receiver.recv_timeout(common::PATIENCE / 2).unwrap();
            assert_eq!(result.unwrap_err(), proc_pool::TaskError::Cancelled);
        }
        pool.terminate();
        let result = receiver.recv_timeout(common::PATIENCE / 2).unwrap();
        assert_eq!(result.unwrap_err(), proc_pool::TaskError::Closed);
        drop(long);
    });
}

/// A small task is put on top of one that turns out to be long, while the thread that collects is asleep.
#[test]
fn a_small_task_behind_a_long_one_does_not_wait_for_the_collectors_next_look() {
    no_hang(|| {
        let pool = Pool::new(3).unwrap();
        // Measured as next to nothing, so that entries are put on top of each other.
        pool.map(sleep, [0; 1000]).unwrap();
        let mut took = Vec::new();
        for _ in 0..8 {
            let other = pool.submit(nap, 1200);
            wait_until("it runs", || other.is_running());
            let waits = thread::spawn(move || other.get().unwrap());
            nap(300);
            let start = Instant::now();
            let long = pool.submit(sleep, 700);
            let small = pool.submit(sleep, 0);
            // This thread does not collect.
            while !small.is_done() && start.elapsed() < Duration::from_millis(650) {
                thread::sleep(Duration::from_micros(500));
            }
            took.push(start.elapsed());
            assert!(long.kill() || long.is_done());
            waits.join().unwrap();
        }
        took.sort_unstable();
        assert!(took[5] < Duration::from_millis(150), "{took:?}");
    });
}

/// Times that the threads of this process gave the processor up, by the kernel's count.
fn sleeps_of(name: &str) -> u64 {
    let mut sum = 0;
    for thread in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let Ok(comm) = std::fs::read_to_string(thread.path().join("comm")) else { continue };
        if comm.trim() != name {
            continue;
        }
        let status = std::fs::read_to_string(thread.path().join("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        sum += line.unwrap().trim().parse::<u64>().unwrap();
    }
    sum
}

/// The pool's own thread has nothing to do while another sleeps with the role.
#[test]
fn the_pools_thread_is_quiet_while_another_waits() {
    no_hang(|| {
        let pool = Pool::builder().workers(1).name("quiet").build().unwrap();
        let task = pool.submit(sleep, 2500);
        let waits = thread::spawn(move || task.get().unwrap());
        nap(500);
        let before = sleeps_of("quiet-pool");
        nap(1500);
        let sleeps = sleeps_of("quiet-pool") - before;
        assert!(sleeps < 150, "{sleeps} in 1.5 s");
        // It is there at once when it is needed.
        assert_eq!(waits.join().unwrap(), 2500);
        let start = Instant::now();
        let task = pool.submit(double, 1);
        wait_until("it is done, though nobody waits", || task.is_done());
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    });
}
