//! Tests for pools that are healthy though workers die or can't be started: what is no crash loop does not break them.

mod common;

use common::{Folder, alone, children, double, is_first, nap, no_hang, pid, signal, wait_until};
use proc_pool::{Pool, TaskError};
use std::path::PathBuf;
use std::time::{Duration, Instant};

proc_core::init_for_tests!();

fn living() -> Vec<u32> {
    children().into_iter().filter(|(_, state)| *state != 'Z').map(|(pid, _)| pid).collect()
}

#[test]
fn smoke() {
    let pool = Pool::new(1).unwrap();
    assert_eq!(pool.apply(double, 1).unwrap(), 2);
}

/// The kernel's out-of-memory killer, or an operator, may take all of them at once.
#[test]
fn idle_workers_that_are_killed_all_at_once_break_nothing() {
    alone(|()| {
        let pool = Pool::builder().workers(8).crash_limit(8).build().unwrap();
        for round in 0..4_u64 {
            let mut workers = Vec::new();
            wait_until("all are up", || {
                workers = pool.stats().workers.iter().filter_map(|worker| worker.pid).collect();
                workers.len() == 8 && pool.map(|()| nap(5), [(); 32]).is_ok()
            });
            let before: u64 = pool.stats().workers.iter().map(|worker| worker.ends).sum();
            workers.iter().for_each(|pid| signal(*pid, libc::SIGKILL));
            let ends = || pool.stats().workers.iter().map(|worker| worker.ends).sum::<u64>();
            // Nobody waits for anything meanwhile.
            wait_until("all are buried", || ends() >= before + 8);
            assert_eq!(pool.retries(3).apply(double, round).unwrap(), round * 2);
        }
    });
}

/// Busy ones too, if they have done something before: each of them is one task's death.
#[test]
fn busy_workers_that_are_killed_all_at_once_break_nothing() {
    alone(|()| {
        let pool = Pool::builder().workers(4).crash_limit(2).build().unwrap();
        let mut pids = Vec::new();
        wait_until("all have done something", || {
            pids = pool
                .map(
                    |()| {
                        nap(10);
                        std::process::id()
                    },
                    [(); 16],
                )
                .unwrap();
            pids.sort_unstable();
            pids.dedup();
            pids.len() == 4
        });
        let tasks: Vec<_> = (0..4).map(|_| pool.submit(nap, 600_000)).collect();
        wait_until("all are busy", || tasks.iter().all(proc_pool::Task::is_running));
        pids.iter().for_each(|pid| signal(*pid, libc::SIGKILL));
        for task in tasks {
            assert!(matches!(task.get(), Err(TaskError::WorkerDied { .. })));
        }
        assert_eq!(pool.apply(double, 1).unwrap(), 2);
    });
}

/// A task that fails is a task that is done: the worker did its work.
#[test]
fn failed_tasks_between_deaths_are_finished_tasks() {
    no_hang(|| {
        let pool = Pool::builder().workers(1).crash_limit(2).build().unwrap();
        let die = |()| -> u64 { std::process::exit(1) };
        for _ in 0..5 {
            assert!(matches!(pool.apply(die, ()), Err(TaskError::WorkerDied { .. })));
            let e = pool.try_submit(|()| Err::<u64, _>("no"), ()).get().unwrap_err();
            assert!(matches!(e, TaskError::Failed(_)), "{e}");
            assert!(matches!(pool.apply(die, ()), Err(TaskError::WorkerDied { .. })));
            let e = pool.apply(|()| -> u64 { panic!("no") }, ()).unwrap_err();
            assert!(matches!(e, TaskError::Panicked(_)), "{e}");
        }
    });
}

/// Sets how much of something this process may have; what it might before.
fn set_limit(what: libc::__rlimit_resource_t, most: u64) -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: reads a limit of this process.
    assert_eq!(unsafe { libc::getrlimit(what, &raw mut limit) }, 0);
    let before = limit.rlim_cur;
    limit.rlim_cur = most;
    // SAFETY: sets it.
    assert_eq!(unsafe { libc::setrlimit(what, &raw const limit) }, 0);
    before
}

/// The system has no descriptors for a while. The pool goes on with the worker that it has, and gets the other back.
#[test]
fn starts_that_fail_while_another_worker_lives() {
    alone(|()| {
        let pool = Pool::builder().workers(2).crash_limit(3).build().unwrap();
        wait_until("both are up", || living().len() == 2);
        assert_eq!(pool.map(double, 0..10).unwrap().len(), 10);
        let used = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
        let before = set_limit(libc::RLIMIT_NOFILE, used.saturating_sub(2));
        let one = living()[0];
        signal(one, libc::SIGKILL);
        // Nothing is finished meanwhile; then something is.
        nap(800);
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(500) {
            assert_eq!(pool.retries(2).apply(double, 4).unwrap(), 8);
            nap(5);
        }
        assert!(pool.stats().workers.iter().filter(|worker| worker.pid.is_some()).count() < 2);
        set_limit(libc::RLIMIT_NOFILE, before);
        wait_until("both are up again", || living().len() == 2);
        assert_eq!(pool.map(double, 0..10).unwrap().len(), 10);
    });
}

/// The first worker comes up; those behind it can't be started. The pool works with one, and gets the others later.
#[test]
fn the_start_of_a_later_worker_fails() {
    alone(|()| {
        let up = |pool: &Pool| pool.stats().workers.iter().filter(|worker| worker.pid.is_some()).count();
        drop(Pool::new(1).unwrap());
        let used = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
        // As many descriptors as one worker needs to be started, and a few: not enough for four.
        let (before, pool) = (used + 5..used + 40)
            .find_map(|most| {
                let before = set_limit(libc::RLIMIT_NOFILE, most);
                let pool = Pool::builder().workers(4).build();
                let limited = pool.ok().filter(|pool| {
                    nap(300);
                    up(pool) < 4
                });
                if limited.is_none() {
                    set_limit(libc::RLIMIT_NOFILE, before);
                }
                limited.map(|pool| (before, pool))
            })
            .expect("some number is enough for one and not for four");
        assert_eq!(pool.map(double, 0..100).unwrap().len(), 100);
        nap(500);
        assert_eq!(pool.map(double, 0..100).unwrap().len(), 100);
        set_limit(libc::RLIMIT_NOFILE, before);
        wait_until("all are up", || up(&pool) == 4);
        assert_eq!(pool.map(double, 0..100).unwrap().len(), 100);
        pool.close();
        pool.join().unwrap();
    });
}

/// Bytes of address space that this process uses.
fn used() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').next().unwrap().parse::<u64>().unwrap() * 4096
}

/// The thread that starts workers can't be had for a while. It is asked for again.
#[test]
fn no_thread_to_start_a_worker_with() {
    alone(|()| {
        let pool = Pool::new(1).unwrap();
        let worker = pool.apply(pid, ()).unwrap();
        // Less than a thread's stack is left.
        let before = set_limit(libc::RLIMIT_AS, used() + (1 << 20));
        signal(worker, libc::SIGKILL);
        wait_until("it is gone", || !common::is_alive(worker));
        let task = pool.submit(pid, ());
        nap(300);
        set_limit(libc::RLIMIT_AS, before);
        assert_ne!(task.get().unwrap(), worker);
    });
}

/// Nor one for callbacks: the call is made by whoever has it.
#[test]
fn no_thread_to_call_back_with() {
    alone(|()| {
        let pool = Pool::new(1).unwrap();
        assert_eq!(pool.apply(double, 1).unwrap(), 2);
        let (sender, receiver) = std::sync::mpsc::channel();
        let again = sender.clone();
        let before = set_limit(libc::RLIMIT_AS, used() + (1 << 20));
        pool.submit(double, 2).on_done(move |result| sender.send(result).unwrap());
        let first = receiver.recv_timeout(common::PATIENCE / 2);
        set_limit(libc::RLIMIT_AS, before);
        assert_eq!(first.unwrap().unwrap(), 4);
        pool.submit(double, 3).on_done(move |result| again.send(result).unwrap());
        assert_eq!(receiver.recv_timeout(common::PATIENCE / 2).unwrap().unwrap(), 6);
    });
}

/// There is no memory for an argument in the worker: that is the argument's error, and the worker lives.
#[test]
fn an_argument_without_memory_for_it() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let limit = |()| {
            set_limit(libc::RLIMIT_AS, used() + (1 << 20));
            std::process::id()
        };
        let worker = pool.apply(limit, ()).unwrap();
        for _ in 0..3 {
            let e = pool.apply(|bytes: Vec<u8>| bytes.len(), vec![1; 64 << 20]).unwrap_err();
            assert!(matches!(&e, TaskError::Decode(why) if why.contains("no memory")), "{e}");
        }
        let e = pool.with(vec![1_u8; 64 << 20]).apply(|bytes: &Vec<u8>, ()| bytes.len(), ()).unwrap_err();
        assert!(matches!(e, TaskError::Decode(_)), "{e}");
        assert_eq!(pool.apply(pid, ()).unwrap(), worker);
    });
}

/// The first worker is up; those behind it never get out of their initializer. The end does not wait for them.
#[test]
fn the_end_does_not_wait_for_an_initializer() {
    no_hang(|| {
        let folder = Folder::new();
        let first_only = |mark: PathBuf| {
            if !is_first(&mark) {
                nap(600_000);
            }
        };
        let pool = Pool::builder().workers(3).initializer(first_only, folder.file("mark")).build().unwrap();
        let pids = || pool.stats().workers.iter().filter_map(|worker| worker.pid).count();
        wait_until("three processes", || pids() == 3);
        let tasks: Vec<_> = (0..20).map(|x| pool.submit(double, x)).collect();
        pool.close();
        pool.join().unwrap();
        assert!(tasks.into_iter().all(|task| task.get().is_ok()));
    });
}

/// Nor does a pool that shrinks keep them.
#[test]
fn a_smaller_pool_does_not_wait_for_an_initializer() {
    no_hang(|| {
        let folder = Folder::new();
        let first_only = |mark: PathBuf| {
            if !is_first(&mark) {
                nap(600_000);
            }
        };
        let pool = Pool::builder().workers(3).initializer(first_only, folder.file("mark")).build().unwrap();
        let pids = || pool.stats().workers.iter().filter_map(|worker| worker.pid).count();
        wait_until("three processes", || pids() == 3);
        pool.resize(1);
        wait_until("one process", || pids() == 1);
        assert_eq!(pool.apply(double, 1).unwrap(), 2);
        let ends: u64 = pool.stats().workers.iter().map(|worker| worker.ends).sum();
        assert_eq!(ends, 2);
    });
}
