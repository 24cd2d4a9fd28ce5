//! Tests named for how other pools fail: Python's `Pool` and `ProcessPoolExecutor`, procspawn, ipc-channel. Each is one
//! that hangs, breaks whole, or loses something there.

mod common;

use common::{
    Folder, alone, crash, double, held, is_alive, is_first, nap, no_hang, pid, signal, sleep, wait_until,
};
use proc_core::{Fd, Process};
use proc_pool::{Pool, Task, TaskError, as_completed};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

proc_core::init_for_tests!();

#[test]
fn smoke() {
    assert_eq!(Pool::new(1).unwrap().apply(double, 1).unwrap(), 2);
}

// ------------------------------------------------------------ Python's Pool

/// gh-66587: the result never comes.
#[test]
fn a_worker_killed_at_its_task_fails_the_task() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let worker = pool.apply(pid, ()).unwrap();
        let task = pool.submit(nap, 600_000);
        wait_until("it runs", || task.is_running());
        signal(worker, libc::SIGKILL);
        match task.get() {
            Err(TaskError::WorkerDied { pid, status, .. }) => {
                assert_eq!((pid, status.signal()), (worker, Some(libc::SIGKILL)));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(pool.apply(double, 1).unwrap(), 2);
    });
}

/// gh-96062: it held the lock of the queue, so the others never get work again.
#[test]
fn idle_workers_killed_hold_no_lock() {
    no_hang(|| {
        let pool = Pool::new(3).unwrap();
        for _ in 0..10 {
            let mut workers = pool
                .map(
                    |()| {
                        nap(2);
                        std::process::id()
                    },
                    [(); 12],
                )
                .unwrap();
            workers.sort_unstable();
            workers.dedup();
            workers.iter().for_each(|pid| signal(*pid, libc::SIGKILL));
            wait_until("they are gone", || !workers.iter().any(|pid| is_alive(*pid)));
            assert_eq!(pool.retries(3).map(double, 0..50).unwrap().len(), 50);
        }
    });
}

/// gh-79492: the thread that reads results dies of it, and all later work hangs.
#[test]
fn a_value_that_can_not_be_decoded_fails_alone() {
    #[derive(Debug, Serialize)]
    struct Unread(u32);
    impl<'de> Deserialize<'de> for Unread {
        fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            Err(serde::de::Error::custom("not here"))
        }
    }
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        for _ in 0..20 {
            assert!(matches!(pool.apply(Unread, 1), Err(TaskError::Decode(_))));
            assert_eq!(pool.apply(double, 1).unwrap(), 2);
        }
    });
}

/// PR 101081: a worker that exits takes the result with it.
#[test]
fn an_exit_in_a_task_is_reported() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let outcomes: Vec<_> =
            pool.imap(|x: u32| if x == 1 { std::process::exit(0) } else { x }, 0..3).collect();
        assert!(
            matches!(&outcomes[1], Err(TaskError::WorkerDied { status, .. }) if status.code() == Some(0))
        );
        assert!(outcomes[0].is_ok() && outcomes[2].is_ok());
    });
}

/// gh-83371: a callback that raises ends the thread that brings results.
#[test]
fn a_callback_that_panics_does_not_stop_results() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        for _ in 0..20 {
            pool.submit(double, 1).on_done(|_| panic!("a callback's own panic"));
        }
        assert_eq!(pool.map(double, 0..100).unwrap().len(), 100);
    });
}

/// gh-73945, gh-78178, gh-96995: stopping deadlocks with what feeds the workers.
#[test]
fn a_terminate_while_tasks_are_fed_ends() {
    no_hang(|| {
        for round in 0..20 {
            let pool = Pool::new(2).unwrap();
            let feeding = pool.clone();
            let feeder =
                thread::spawn(move || feeding.map(|v: Vec<u8>| v, (0..10_000).map(|_| vec![0; 5000])));
            nap(round);
            pool.terminate();
            pool.join().unwrap();
            assert_eq!(feeder.join().unwrap().unwrap_err(), TaskError::Closed);
        }
    });
}

/// gh-82682, gh-78353: a program that forgets to close its pool hangs at its exit.
#[test]
fn a_program_that_forgets_its_pool_ends() {
    no_hang(|| {
        let workers = alone(|()| {
            let pool = Pool::new(2).unwrap();
            let workers = pool.map(pid, [(); 8]).unwrap();
            drop(pool.submit(nap, 600_000));
            std::mem::forget(pool);
            workers
        });
        wait_until("the workers are gone", || !workers.iter().any(|pid| is_alive(*pid)));
    });
}

/// gh-93580, gh-90622: workers forked from a program with threads hang on a lock that a thread held.
#[test]
fn workers_are_replaced_while_threads_hold_every_lock() {
    no_hang(|| {
        let over = Arc::new(AtomicBool::new(false));
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let over = over.clone();
                thread::spawn(move || {
                    let mut sum = 0;
                    while !over.load(Ordering::Relaxed) {
                        // The allocator's locks, the environment's, the output's.
                        sum += std::hint::black_box(vec![1_u8; 200_000]).len() + std::env::vars().count();
                        drop(std::io::stderr().lock());
                    }
                    sum
                })
            })
            .collect();
        for method in [proc_core::StartMethod::Spawn, proc_core::StartMethod::Zygote] {
            let pool =
                Pool::builder().workers(2).start_method(method).max_tasks_per_worker(2).build().unwrap();
            let print = |x: u64| {
                let _ = format!("{x} {:?}", std::env::var("PATH"));
                x
            };
            assert_eq!(pool.map(print, 0..60).unwrap().len(), 60);
        }
        over.store(true, Ordering::Relaxed);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

/// gh-64192, gh-74028: the whole input is taken before the first value is looked at.
#[test]
fn inputs_are_taken_as_values_are() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let taken = AtomicU64::new(0);
        let inputs = (0..300_000).inspect(|_| {
            taken.fetch_add(1, Ordering::SeqCst);
        });
        let mut values = pool.imap(double, inputs);
        assert!(values.next().is_some());
        nap(50);
        assert!(taken.load(Ordering::SeqCst) < 20_000);
    });
}

/// gh-89240: more than 60 workers hang, elsewhere.
#[test]
fn a_hundred_workers() {
    no_hang(|| {
        let pool = Pool::new(100).unwrap();
        assert_eq!(pool.map(double, 0..5000).unwrap().len(), 5000);
        let tasks: Vec<_> = (0..300).map(|x| pool.submit(double, x)).collect();
        assert!(tasks.into_iter().rev().all(|task| task.get().is_ok()));
        pool.close();
        pool.join().unwrap();
    });
}

/// By design of its generator: what comes behind an error in its chunk, and in all later ones, is lost.
#[test]
fn an_error_in_a_chunk_loses_nothing_behind_it() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let outcomes: Vec<_> = pool.imap(|x: u32| assert_ne!(x, 3), 0..100).collect();
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 99);
        assert!(outcomes[3].is_err());
    });
}

/// bpo-23992: a map whose first item failed runs all the others.
#[test]
fn a_map_that_fails_stops() {
    no_hang(|| {
        let folder = Folder::new();
        let pool = Pool::new(2).unwrap();
        let run = |(dir, x): (PathBuf, u32)| {
            fs::write(dir.join(x.to_string()), "").unwrap();
            nap(2);
            if x == 5 { Err("enough") } else { Ok(x) }
        };
        let items = (0..2000).map(|x| (folder.0.clone(), x));
        assert!(matches!(pool.try_map(run, items), Err(TaskError::Failed(_))));
        pool.apply(double, 1).unwrap();
        let begun = fs::read_dir(&folder.0).unwrap().count();
        nap(150);
        assert!(begun < 1000, "{begun}");
        assert!(fs::read_dir(&folder.0).unwrap().count() <= begun + 2, "it goes on");
    });
}

/// gh-87129: `terminate` from an error's callback.
#[test]
fn a_terminate_from_an_errors_callback() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let long = pool.submit(nap, 600_000);
        let other = pool.clone();
        pool.submit(|()| panic!("asked to"), ()).on_done(move |outcome: Result<(), _>| {
            assert!(outcome.is_err());
            other.terminate();
        });
        assert_eq!(long.get().unwrap_err(), TaskError::Closed);
        pool.join().unwrap();
    });
}

// ------------------------------------------------------------ Python's executor

/// gh-115634, gh-119592: replaced workers are counted by tokens, and work is stranded.
#[test]
fn a_closed_pool_of_short_lived_workers_strands_nothing() {
    no_hang(|| {
        let pool = Pool::builder().workers(2).max_tasks_per_worker(2).build().unwrap();
        let tasks: Vec<_> = (0..40).map(|x| pool.submit(double, x)).collect();
        let last = pool.clone();
        pool.close();
        drop(pool);
        let values: Vec<u64> = tasks.into_iter().map(|task| task.get().unwrap()).collect();
        assert_eq!(values, (0..40).map(|x| x * 2).collect::<Vec<_>>());
        last.join().unwrap();
    });
}

/// gh-105829: the pipe that wakes the manager fills up.
#[test]
fn eight_threads_submit_and_nobody_reads() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let pool = pool.clone();
                thread::spawn(move || (0..5000).map(|x| pool.submit(double, x)).collect::<Vec<_>>())
            })
            .collect();
        let tasks: Vec<Vec<Task<u64>>> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        for (x, task) in tasks.into_iter().flat_map(|tasks| tasks.into_iter().enumerate()) {
            assert_eq!(task.get().unwrap(), x as u64 * 2);
        }
    });
}

/// gh-94440, gh-125451: a cancel just before the end.
#[test]
fn a_cancel_and_a_close_at_once() {
    no_hang(|| {
        for _ in 0..30 {
            let pool = Pool::new(1).unwrap();
            let tasks: Vec<_> = (0..10).map(|x| pool.submit(double, x)).collect();
            let cancelled: Vec<bool> = tasks.iter().map(Task::cancel).collect();
            pool.close();
            pool.join().unwrap();
            for (task, cancelled) in tasks.into_iter().zip(cancelled) {
                assert_eq!(task.get().is_err(), cancelled);
            }
        }
    });
}

/// gh-132969: a worker that is dead when the pool is closed.
#[test]
fn a_close_with_a_dead_worker() {
    no_hang(|| {
        for round in 0..10 {
            let pool = Pool::new(1 + round % 2).unwrap();
            let worker = pool.apply(pid, ()).unwrap();
            signal(worker, libc::SIGKILL);
            if round % 3 == 0 {
                wait_until("it is gone", || !is_alive(worker));
            }
            pool.close();
            pool.join().unwrap();
        }
    });
}

/// The same with work left: it is done by a new one.
#[test]
fn a_close_with_a_dead_worker_and_work_left() {
    no_hang(|| {
        for _ in 0..10 {
            let pool = Pool::new(1).unwrap();
            let worker = pool.apply(pid, ()).unwrap();
            let tasks: Vec<_> = (0..20).map(|x| pool.retries(1).submit(sleep, x % 2)).collect();
            signal(worker, libc::SIGKILL);
            pool.close();
            assert!(tasks.into_iter().all(|task| task.get().is_ok()));
            pool.join().unwrap();
        }
    });
}

/// gh-136655: who waits is not told of a cancel.
#[test]
fn whoever_waits_is_told_of_a_cancel() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let running = pool.submit(nap, 600_000);
        wait_until("it runs", || running.is_running());
        let queued = Arc::new(pool.submit(nap, 600_000));
        let canceller = queued.clone();
        thread::spawn(move || {
            nap(50);
            assert!(canceller.cancel());
        });
        wait_until("only we have it", || Arc::strong_count(&queued) == 1);
        let mut waiting = as_completed([Arc::into_inner(queued).unwrap()]);
        assert_eq!(waiting.next().unwrap().get().unwrap_err(), TaskError::Cancelled);
        pool.terminate();
    });
}

/// Documented behaviour there: one death, and every future of the executor fails.
#[test]
fn one_death_does_not_break_the_pool() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let before: Vec<_> = (0..50).map(|x| pool.submit(double, x)).collect();
        let guilty = pool.submit(|()| crash(), ());
        let after: Vec<_> = (50..100).map(|x| pool.submit(double, x)).collect();
        assert!(matches!(guilty.get().map(|(): ()| ()), Err(TaskError::WorkerDied { .. })));
        for (x, task) in before.into_iter().chain(after).enumerate() {
            assert_eq!(task.get().unwrap(), x as u64 * 2);
        }
    });
}

/// loky#176: what runs can't be ended.
#[test]
fn what_runs_can_be_ended() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let task = pool.submit(nap, 600_000);
        wait_until("it runs", || task.is_running());
        assert!(!task.cancel() && task.kill());
        assert_eq!(task.get().unwrap_err(), TaskError::Cancelled);
    });
}

// ------------------------------------------------------------ pebble

/// #21, #33: cancelled tasks are started, and then killed.
#[test]
fn a_cancelled_task_is_not_started() {
    no_hang(|| {
        let folder = Folder::new();
        let pool = Pool::new(1).unwrap();
        let running = pool.submit(nap, 50);
        let write = |path: PathBuf| fs::write(path, "").unwrap();
        let tasks: Vec<_> = (0..20).map(|i| pool.submit(write, folder.file(&i.to_string()))).collect();
        let cancelled = tasks.iter().filter(|task| task.cancel()).count();
        let worker = pool.apply(pid, ()).unwrap();
        running.get().unwrap();
        pool.close();
        pool.join().unwrap();
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 20 - cancelled);
        assert!(worker > 0);
    });
}

// ------------------------------------------------------------ Rust's

/// procspawn: a worker stays taken until its value is asked for, so joining the last first deadlocks.
#[test]
fn three_tasks_on_two_workers_joined_in_reverse() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let [a, b, c] = [1, 2, 3].map(|x| pool.submit(double, x));
        assert_eq!((c.get().unwrap(), b.get().unwrap(), a.get().unwrap()), (6, 4, 2));
    });
}

/// procspawn: joining the pool with one handle that was not joined hangs.
#[test]
fn the_pool_is_joined_before_its_tasks() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let tasks: Vec<_> = (0..10).map(|x| pool.submit(double, x)).collect();
        pool.close();
        pool.join().unwrap();
        assert!(tasks.into_iter().all(|task| task.get().is_ok()));
    });
}

/// procspawn: four descriptors for each task, and a panic at the 339th.
#[test]
fn queued_tasks_cost_no_descriptors() {
    alone(|()| {
        let pool = Pool::new(2).unwrap();
        let busy = [pool.submit(nap, 600_000), pool.submit(nap, 600_000)];
        wait_until("both run", || busy.iter().all(Task::is_running));
        let before = held().descriptors;
        let tasks: Vec<_> = (0..5000).map(|x| pool.submit(double, x)).collect();
        assert_eq!(held().descriptors, before);
        busy.iter().for_each(|task| assert!(task.kill()));
        assert!(tasks.into_iter().all(|task| task.get().is_ok()));
    });
}

/// procspawn: an exit, an abort and a kill are one and the same text.
#[test]
fn an_exit_an_abort_and_a_kill_are_three_things() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let end = |how: u32| match how {
            0 => std::process::exit(7),
            1 => std::process::abort(),
            _ => signal(std::process::id(), libc::SIGKILL),
        };
        let ends: Vec<String> = (0..3).map(|how| pool.apply(end, how).unwrap_err().to_string()).collect();
        assert!(ends[0].contains("code 7"), "{}", ends[0]);
        assert!(ends[1].contains("SIGABRT"), "{}", ends[1]);
        assert!(ends[2].contains("SIGKILL"), "{}", ends[2]);
    });
}

/// procspawn: waits double their sleeps, so a task of 1.1 s took 2.05 s to be seen.
#[test]
fn a_wait_ends_with_its_task_and_not_with_its_limit() {
    no_hang(|| {
        /// The clock that all processes share, in nanoseconds.
        fn now() -> u64 {
            let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: writes the time.
            assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) }, 0);
            time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
        }
        let pool = Pool::new(1).unwrap();
        let end_of = |ms: u64| {
            nap(ms);
            now()
        };
        // Sleeps of 1, 2, 4, ... would be over after 255 and then after 511 ms. The best of several, as the machine may
        // be busy with something else.
        let late = (0..5).map(|_| {
            let end = pool.submit(end_of, 270).get_timeout(Duration::from_secs(90)).unwrap().unwrap();
            Duration::from_nanos(now() - end)
        });
        let best = late.min().unwrap();
        assert!(best < Duration::from_millis(50), "seen {best:?} after its end");
    });
}

/// ipc-channel: the descriptors of a message that could not be encoded ride on with the next one, to somebody else.
#[test]
fn descriptors_of_a_failed_message_do_not_ride_on() {
    #[derive(Debug, Deserialize)]
    struct Fails;
    impl Serialize for Fails {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("after the file"))
        }
    }
    let counts = alone(|()| {
        let pool = Pool::new(1).unwrap();
        let count = |()| held().descriptors;
        let file = || Fd(File::open("/dev/null").unwrap());
        pool.apply(|_: Fd<File>| (), file()).unwrap();
        let (there, here) = (pool.apply(count, ()).unwrap(), held().descriptors);
        for _ in 0..20 {
            let e = pool.apply(|_: (Fd<File>, Fails)| (), (file(), Fails)).unwrap_err();
            assert!(matches!(e, TaskError::Encode(_)), "{e}");
            let e = pool.apply(|()| (Fd(File::open("/dev/null").unwrap()), Fails), ()).unwrap_err();
            assert!(matches!(e, TaskError::Encode(_)), "{e}");
        }
        [(there, pool.apply(count, ()).unwrap()), (here, held().descriptors)]
    });
    for (before, after) in counts {
        assert_eq!(before, after);
    }
}

/// ipc-channel #261: a process that ends before it has said anything leaves its parent waiting.
#[test]
fn a_worker_that_ends_before_it_speaks() {
    no_hang(|| {
        let folder = Folder::new();
        let once = |mark: PathBuf| {
            if is_first(&mark) {
                // SAFETY: ends the process, without a word.
                unsafe { libc::_exit(0) }
            }
        };
        let pool = Pool::builder().workers(1).initializer(once, folder.file("mark")).build().unwrap();
        assert_eq!(pool.apply(double, 1).unwrap(), 2);
    });
}

/// Everywhere: what is left of a program that was killed.
#[test]
fn a_killed_program_leaves_no_worker() {
    let folder = Folder::new();
    let report = folder.file("report");
    let program = |report: PathBuf| {
        let pool = Pool::new(1).unwrap();
        let worker = pool.apply(pid, ()).unwrap();
        fs::write(report.with_extension("half"), worker.to_string()).unwrap();
        fs::rename(report.with_extension("half"), report).unwrap();
        pool.apply(nap, 600_000).unwrap();
    };
    let process = Process::<()>::spawn(program, report.clone()).unwrap();
    wait_until("it reports", || report.exists());
    let worker = fs::read_to_string(&report).unwrap().parse().unwrap();
    process.kill().unwrap();
    wait_until("the worker is gone", || !is_alive(worker));
}
