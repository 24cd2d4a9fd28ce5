//! Tests for `as_completed`: each task once, in the order of the ends, whatever the end.

mod common;

use common::{PATIENCE, crash, double, nap, no_hang, sleep, wait_until};
use proc_pool::{AsCompleted, Pool, Task, TaskError, as_completed};
use std::thread;
use std::time::{Duration, Instant};

proc_core::init_for_tests!();

#[test]
fn smoke() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let mut values: Vec<u64> =
            as_completed((0..100).map(|x| pool.submit(double, x))).map(|task| task.get().unwrap()).collect();
        values.sort_unstable();
        assert_eq!(values, (0..100).map(|x| x * 2).collect::<Vec<_>>());
    });
}

#[test]
fn in_the_order_of_the_ends() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let slow = pool.submit(sleep, 1500);
        let quick = pool.submit(sleep, 1);
        let order: Vec<_> = as_completed([slow, quick]).map(|task| task.get().unwrap()).collect();
        assert_eq!(order, [1, 1500]);
    });
}

#[test]
fn those_that_are_done_already_come_first() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let done = pool.submit(double, 1);
        wait_until("it is done", || done.is_done());
        let long = pool.submit(sleep, 600_000);
        let mut some = as_completed([long, done]);
        assert_eq!(some.next().unwrap().get().unwrap(), 2);
        assert_eq!(some.len(), 1);
        pool.terminate();
        assert_eq!(some.next().unwrap().get().unwrap_err(), TaskError::Closed);
        assert!(some.next().is_none());
        assert!(some.next().is_none());
    });
}

#[test]
fn none_in_time_is_no_end() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let mut some = as_completed([pool.submit(sleep, 400)]);
        let start = Instant::now();
        if some.next_timeout(Duration::from_millis(30)).is_none() {
            assert!(start.elapsed() >= Duration::from_millis(30));
            assert_eq!(some.len(), 1);
            assert!(some.next_timeout(Duration::ZERO).is_none() || some.is_empty());
            assert!(some.is_empty() || some.next_timeout(Duration::MAX).is_some());
        }
        assert!(some.next_timeout(Duration::MAX).is_none());
    });
}

#[test]
fn of_nothing() {
    let mut none: AsCompleted<u64> = as_completed([]);
    assert!(none.is_empty() && none.next().is_none() && none.next_timeout(PATIENCE).is_none());
    assert_eq!(none.size_hint(), (0, Some(0)));
}

#[test]
fn every_kind_of_end() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let strange = |x: u64| match x {
            1 => panic!("asked to"),
            2 => crash(),
            _ => x,
        };
        let mut tasks: Vec<Task<u64>> = (0..4).map(|x| pool.submit(strange, x)).collect();
        tasks.push(pool.timeout(Duration::from_millis(50)).submit(sleep, 600_000));
        let cancelled = pool.submit(sleep, 600_000);
        cancelled.kill();
        tasks.push(cancelled);
        let outcomes: Vec<_> = as_completed(tasks).map(Task::get).collect();
        let count = |is: fn(&TaskError) -> bool| {
            outcomes.iter().filter(|outcome| outcome.as_ref().is_err_and(is)).count()
        };
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 2);
        assert_eq!(count(|e| matches!(e, TaskError::Panicked(_))), 1);
        assert_eq!(count(|e| matches!(e, TaskError::WorkerDied { .. })), 1);
        assert_eq!(count(|e| *e == TaskError::TimedOut), 1);
        assert_eq!(count(|e| *e == TaskError::Cancelled), 1);
    });
}

#[test]
fn of_several_pools() {
    no_hang(|| {
        let pools = [Pool::new(1).unwrap(), Pool::new(1).unwrap(), Pool::new(1).unwrap()];
        let tasks: Vec<_> = (0..90).map(|x| pools[x % 3].submit(double, x as u64)).collect();
        let sum: u64 = as_completed(tasks).map(|task| task.get().unwrap()).sum();
        assert_eq!(sum, (0..90).map(|x| x * 2).sum());
        // One pool idles, one is busy, one has ended.
        let long = pools[0].submit(sleep, 600_000);
        pools[1].close();
        let mut some = as_completed([long, pools[1].submit(double, 1), pools[2].submit(double, 1)]);
        let two = [some.next().unwrap().get(), some.next().unwrap().get()];
        assert!(two.contains(&Ok(2)) && two.contains(&Err(TaskError::Closed)));
        drop(some);
    });
}

/// Whoever waits may be collecting for the pool of the long one, which nothing else wakes.
#[test]
fn a_pool_that_is_done_wakes_who_waits_for_another() {
    no_hang(|| {
        let (busy, quick) = (Pool::new(1).unwrap(), Pool::new(1).unwrap());
        let long = busy.submit(sleep, 600_000);
        wait_until("it runs", || long.is_running());
        let mut some = as_completed([long]);
        for _ in 0..20 {
            some.push(quick.submit(sleep, 10));
            assert_eq!(some.next().unwrap().get().unwrap(), 10);
        }
    });
}

#[test]
fn pushed_and_extended_meanwhile() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let mut some = as_completed([]);
        some.push(pool.submit(double, 1));
        some.extend((2..10).map(|x| pool.submit(double, x)));
        let mut sum = 0;
        let mut more = 100;
        while let Some(task) = some.next() {
            sum += task.get().unwrap();
            if more > 0 {
                more -= 1;
                some.push(pool.submit(double, 0));
            }
        }
        assert_eq!(sum, 90);
    });
}

/// The tasks of the rest run on; nobody waits for them.
#[test]
fn dropped_early() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let mut some = as_completed((0..50).map(|_| pool.submit(sleep, 2)));
        assert!(some.next().is_some());
        drop(some);
        assert_eq!(pool.apply(double, 1).unwrap(), 2);
    });
}

#[test]
fn given_to_another_thread() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let some = as_completed((0..20).map(|x| pool.submit(double, x)));
        assert_eq!(
            thread::spawn(move || some.map(|task| task.get().unwrap()).sum::<u64>()).join().unwrap(),
            380
        );
    });
}

#[test]
fn cancelled_by_another_thread_while_we_wait() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let long = pool.submit(nap, 600_000);
        wait_until("it runs", || long.is_running());
        let mut some = as_completed([pool.submit(nap, 1)]);
        let other = pool.clone();
        let end = thread::spawn(move || {
            nap(50);
            other.terminate();
        });
        assert_eq!(some.next().unwrap().get().unwrap_err(), TaskError::Closed);
        assert_eq!(long.get().unwrap_err(), TaskError::Closed);
        end.join().unwrap();
    });
}
