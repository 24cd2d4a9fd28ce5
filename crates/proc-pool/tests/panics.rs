//! Tests for panics of tasks: the task's error with message and place, in a worker that lives, and cheap.

mod common;

use common::{double, no_hang, pid};
use proc_core::{Panic, Process};
use proc_pool::{Pool, TaskError};
use std::time::{Duration, Instant};

proc_core::init_for_tests!();

#[track_caller]
fn panic_of<T: std::fmt::Debug>(result: Result<T, TaskError>) -> Panic {
    match result {
        Err(TaskError::Panicked(panic)) => panic,
        other => panic!("{other:?}"),
    }
}

#[test]
fn smoke() {
    let pool = Pool::new(1).unwrap();
    let panic = panic_of(pool.apply(|x: u32| -> u32 { panic!("no {x} here") }, 7));
    assert_eq!(panic.message, "no 7 here");
    assert!(panic.location.unwrap().contains("panics.rs:"));
}

#[test]
fn the_worker_lives() {
    let pool = Pool::new(1).unwrap();
    let before = pool.apply(pid, ()).unwrap();
    for i in 0..200 {
        let panic = panic_of(pool.apply(|i: u32| -> u32 { panic!("{i}") }, i));
        assert_eq!(panic.message, i.to_string());
    }
    assert_eq!(pool.apply(pid, ()).unwrap(), before);
}

#[test]
fn whatever_the_payload_is() {
    struct Loud;
    impl Drop for Loud {
        fn drop(&mut self) {
            panic!("a panic in the drop of a panic's payload");
        }
    }
    let pool = Pool::new(1).unwrap();
    let before = pool.apply(pid, ()).unwrap();
    assert_eq!(panic_of(pool.apply(|()| -> u32 { panic!("plain") }, ())).message, "plain");
    assert!(!panic_of(pool.apply(|()| -> u32 { std::panic::panic_any(7_u8) }, ())).message.is_empty());
    panic_of(pool.apply(|()| -> u32 { std::panic::panic_any(Loud) }, ()));
    let quiet = |()| -> u32 { std::panic::resume_unwind(Box::new("without the hook".to_owned())) };
    assert_eq!(panic_of(pool.apply(quiet, ())).message, "without the hook");
    panic_of(pool.apply(|()| -> u32 { std::panic::resume_unwind(Box::new(1.5)) }, ()));
    let long = panic_of(pool.apply(|()| -> u32 { panic!("{}", "x".repeat(2 << 20)) }, ()));
    assert_eq!(long.message.len(), 2 << 20);
    assert_eq!(pool.apply(pid, ()).unwrap(), before);
}

#[test]
fn one_that_was_caught_in_the_task_is_no_error_and_is_forgotten() {
    let pool = Pool::new(1).unwrap();
    let caught = |x: u32| std::panic::catch_unwind(|| panic!("inner")).map_or(x, |()| 0);
    assert_eq!(pool.apply(caught, 3).unwrap(), 3);
    let quiet = |()| -> u32 { std::panic::resume_unwind(Box::new("the next")) };
    assert_eq!(panic_of(pool.apply(quiet, ())).message, "the next");
}

#[test]
fn one_in_a_thread_of_the_task_is_the_threads() {
    let pool = Pool::new(1).unwrap();
    let before = pool.apply(pid, ()).unwrap();
    let thread = |()| std::thread::spawn(|| panic!("in a thread")).join().is_err();
    assert!(pool.apply(thread, ()).unwrap());
    assert_eq!(pool.apply(pid, ()).unwrap(), before);
}

/// A panic while another unwinds aborts the process: that is a death like any other.
#[test]
fn a_double_panic_is_a_death() {
    struct Again;
    impl Drop for Again {
        fn drop(&mut self) {
            panic!("second");
        }
    }
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let twice = |()| -> u32 {
            let _again = Again;
            panic!("first")
        };
        match pool.apply(twice, ()) {
            Err(TaskError::WorkerDied { status, .. }) => assert_eq!(status.signal(), Some(libc::SIGABRT)),
            other => panic!("{other:?}"),
        }
        assert_eq!(pool.apply(double, 1).unwrap(), 2);
    });
}

#[test]
fn a_stack_that_overflows_is_a_death() {
    fn deeper(n: u64) -> u64 {
        let room = std::hint::black_box([n; 64]);
        if n == u64::MAX { 0 } else { deeper(n + 1) + room[(n % 64) as usize] }
    }
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        assert!(matches!(pool.apply(deeper, 0), Err(TaskError::WorkerDied { .. })));
        assert_eq!(pool.apply(double, 1).unwrap(), 2);
    });
}

/// A program may have its own hook in the workers; the task's error says what it can without ours.
#[test]
fn a_task_may_set_its_own_hook() {
    let pool = Pool::new(1).unwrap();
    pool.apply(|()| std::panic::set_hook(Box::new(|_| ())), ()).unwrap();
    assert_eq!(panic_of(pool.apply(|()| -> u32 { panic!("mine") }, ())).message, "mine");
    pool.apply(|()| drop(std::panic::take_hook()), ()).unwrap();
    assert_eq!(pool.apply(double, 1).unwrap(), 2);
}

/// Where a panic costs a process, or a stack that is resolved for nobody, it is 70 ms. Ours costs an unwinding.
#[test]
fn they_are_cheap_when_no_stack_is_wanted() {
    fn measure(_: ()) -> (Duration, Duration) {
        let pool = Pool::new(1).unwrap();
        let time = |f: fn(u64) -> u64| {
            let start = Instant::now();
            (0..1000).for_each(|x| drop(pool.apply(f, x)));
            start.elapsed()
        };
        let (pass, fail) = (|x: u64| x, |_: u64| -> u64 { panic!("asked to") });
        time(pass);
        // In turns, so that a busy moment of the machine hits both.
        let (mut good, mut bad): (Vec<_>, Vec<_>) = (0..7).map(|_| (time(pass), time(fail))).unzip();
        good.sort_unstable();
        bad.sort_unstable();
        (good[3], bad[3])
    }
    let builder = Process::builder().env_remove("RUST_BACKTRACE").env_remove("RUST_LIB_BACKTRACE");
    let mut process = builder.spawn(measure, ()).unwrap();
    let (good, bad) = process.join_timeout(common::PATIENCE).unwrap().unwrap();
    assert!(bad < good * 10, "{bad:?} against {good:?}");
}

#[test]
fn a_stack_is_there_when_it_is_wanted() {
    let builder = Process::builder().env("RUST_BACKTRACE", "1");
    let look = |()| {
        let pool = Pool::new(1).unwrap();
        panic_of(pool.apply(|()| -> u32 { panic!("asked to") }, ()))
    };
    let panic = builder.spawn(look, ()).unwrap().join().unwrap();
    assert!(panic.backtrace().unwrap().contains("panics::"));
}
