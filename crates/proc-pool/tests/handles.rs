//! Tests for task handles: joined in any order, dropped, kept, moved to other threads, and what each state answers.

mod common;

use common::{double, nap, no_hang, pid, sleep, wait_until};
use proc_pool::{Pool, Task, TaskError, TaskId};
use std::collections::HashSet;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

proc_core::init_for_tests!();

#[test]
fn smoke() {
    let pool = Pool::new(1).unwrap();
    let task = pool.submit(double, 4);
    assert_eq!(task.get().unwrap(), 8);
}

/// Elsewhere a finished task waits for its consumer, and three tasks on two workers deadlock when the last is joined first.
#[test]
fn the_last_may_be_joined_first() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let mut tasks: Vec<_> = (0..2000).map(|x| pool.submit(double, x)).collect();
        for x in (0..2000).rev() {
            assert_eq!(tasks.pop().unwrap().get().unwrap(), x * 2);
        }
    });
}

#[test]
fn in_any_order() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let mut tasks: Vec<_> = (0..1000_u64).map(|x| Some(pool.submit(double, x))).collect();
        for i in 0..1000 {
            let x = (i * 387) % 1000;
            assert_eq!(tasks[x].take().unwrap().get().unwrap(), x as u64 * 2);
        }
    });
}

#[test]
fn a_dropped_handle_lets_its_task_run() {
    no_hang(|| {
        let folder = common::Folder::new();
        let pool = Pool::new(1).unwrap();
        let before = pool.apply(pid, ()).unwrap();
        let write = |path: std::path::PathBuf| {
            nap(50);
            std::fs::write(path, "here").unwrap();
        };
        drop(pool.submit(write, folder.file("running")));
        for i in 0..20 {
            drop(pool.submit(write, folder.file(&i.to_string())));
        }
        assert_eq!(pool.apply(pid, ()).unwrap(), before, "nobody is killed for a dropped handle");
        pool.close();
        pool.join().unwrap();
        assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 21);
    });
}

#[test]
fn a_handle_that_is_kept_does_not_keep_the_pool() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let worker = pool.apply(pid, ()).unwrap();
        let mut done = pool.submit(double, 1);
        wait_until("it is done", || done.is_done());
        let running = pool.submit(nap, 600_000);
        let queued = pool.submit(double, 3);
        drop(pool);
        wait_until("the worker is gone", || !common::is_alive(worker));
        assert_eq!(done.try_get().unwrap(), Some(2));
        assert_eq!(running.get().unwrap_err(), TaskError::Closed);
        assert!(!queued.cancel() && !queued.kill() && queued.is_done() && !queued.is_running());
        assert_eq!(queued.get().unwrap_err(), TaskError::Closed);
        drop(done);
    });
}

#[test]
fn values_outlive_a_closed_pool() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let tasks: Vec<_> = (0..500).map(|x| pool.submit(double, x)).collect();
        let big = pool.submit(|n: usize| vec![7_u8; n], 3 << 20);
        pool.close();
        pool.join().unwrap();
        drop(pool);
        for (x, task) in tasks.into_iter().enumerate().rev() {
            assert_eq!(task.get().unwrap(), x as u64 * 2);
        }
        assert_eq!(big.get().unwrap().len(), 3 << 20);
    });
}

/// Python marks what waits in the worker's queue as running, so that it can't be cancelled.
#[test]
fn one_runs_and_the_others_do_not() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let tasks: Vec<_> = (0..5).map(|_| pool.submit(nap, 600_000)).collect();
        wait_until("the first runs", || tasks[0].is_running());
        nap(50);
        assert_eq!(
            tasks.iter().map(Task::is_running).collect::<Vec<_>>(),
            [true, false, false, false, false]
        );
        assert!(tasks.iter().all(|task| !task.is_done()));
        assert_eq!(tasks.iter().map(Task::cancel).collect::<Vec<_>>(), [false, true, true, true, true]);
        assert!(tasks[1..].iter().all(Task::is_done));
    });
}

#[test]
fn what_a_done_task_answers() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let mut task = pool.submit(double, 1);
        wait_until("it is done", || task.is_done());
        assert!(!task.is_running());
        assert!(!task.cancel());
        assert!(!task.kill());
        assert_eq!(task.get_timeout(Duration::ZERO).unwrap(), Some(2));
        assert!(task.is_done());
        assert_eq!(task.try_get().unwrap_err(), TaskError::Taken);
        assert_eq!(task.get_deadline(Instant::now()).unwrap_err(), TaskError::Taken);
        assert_eq!(task.get().unwrap_err(), TaskError::Taken);
        let mut failed = pool.submit(|()| panic!("asked to"), ()).get().map(|(): ()| ());
        assert!(matches!(failed, Err(TaskError::Panicked(_))));
        failed = pool.submit(|()| (), ()).get();
        assert!(failed.is_ok());
    });
}

#[test]
fn waits_are_not_early_and_can_be_repeated() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let mut task = pool.submit(sleep, 400);
        for ms in [0, 1, 30] {
            let (start, wait) = (Instant::now(), Duration::from_millis(ms));
            match task.get_timeout(wait).unwrap() {
                None => assert!(start.elapsed() >= wait),
                // A machine that stood still for so long.
                Some(ms) => return assert_eq!(ms, 400),
            }
        }
        assert_eq!(task.get_deadline(Instant::now() - Duration::from_millis(1)).unwrap(), None);
        assert_eq!(task.get_timeout(Duration::MAX).unwrap(), Some(400));
    });
}

#[test]
fn no_two_tasks_have_one_number() {
    let pools = [Pool::new(1).unwrap(), Pool::new(1).unwrap()];
    let tasks: Vec<_> = (0..200).map(|i| pools[i % 2].submit(double, 1)).collect();
    let ids: HashSet<TaskId> = tasks.iter().map(Task::id).collect();
    assert_eq!(ids.len(), 200);
}

#[test]
fn a_handle_may_be_used_by_other_threads() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let tasks: Vec<_> = (0..64).map(|x| pool.submit(double, x)).collect();
        let threads: Vec<_> =
            tasks.into_iter().map(|task| thread::spawn(move || task.get().unwrap())).collect();
        let values: Vec<u64> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert_eq!(values, (0..64).map(|x| x * 2).collect::<Vec<_>>());

        let long = Arc::new(pool.submit(nap, 600_000));
        wait_until("it runs", || long.is_running());
        let other = long.clone();
        assert!(thread::spawn(move || other.kill()).join().unwrap());
        assert_eq!(Arc::into_inner(long).unwrap().get().unwrap_err(), TaskError::Cancelled);
    });
}

#[test]
fn a_pool_made_in_a_thread_and_used_from_eight() {
    no_hang(|| {
        let pool = thread::spawn(|| Pool::new(2).unwrap()).join().unwrap();
        let threads: Vec<_> = (0..8_u64)
            .map(|n| {
                let pool = pool.clone();
                thread::spawn(move || {
                    for round in 0..10 {
                        let base = n * 1000 + round * 100;
                        let tasks: Vec<_> = (0..20).map(|i| pool.submit(double, base + i)).collect();
                        let many = pool.map(double, base..base + 50).unwrap();
                        assert_eq!(many, (base..base + 50).map(|x| x * 2).collect::<Vec<_>>());
                        let lazy: Vec<_> = pool.imap(double, base..base + 20).map(Result::unwrap).collect();
                        assert_eq!(lazy, many[..20]);
                        for (i, task) in tasks.into_iter().enumerate() {
                            assert_eq!(task.get().unwrap(), (base + i as u64) * 2);
                        }
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        pool.close();
        pool.join().unwrap();
    });
}

/// The worker's lifeline hangs on the process, not on the thread that made it.
#[test]
fn workers_outlive_the_thread_that_made_them() {
    no_hang(|| {
        let pool = thread::spawn(|| Pool::new(2).unwrap()).join().unwrap();
        let before = pool.map(pid, [(); 20]).unwrap();
        nap(300);
        let known: HashSet<u32> = before.into_iter().collect();
        let now = pool.apply(pid, ()).unwrap();
        assert!(known.contains(&now) || known.len() == 1);
        assert!(known.iter().all(|pid| common::is_alive(*pid)));
    });
}

/// Arguments and values live as long as they are needed, not as long as the handle.
#[test]
fn a_task_keeps_no_descriptor_of_its_argument() {
    let counts = common::alone(|()| {
        let pool = Pool::new(1).unwrap();
        let look = |_: proc_core::Fd<std::fs::File>| ();
        let file = || proc_core::Fd(std::fs::File::open("/dev/null").unwrap());
        pool.apply(look, file()).unwrap();
        let before = common::held().descriptors;
        let tasks: Vec<_> = (0..30).map(|_| pool.submit(look, file())).collect();
        for task in &tasks {
            wait_until("it is done", || task.is_done());
        }
        // The pool may let go of an argument a moment after it has told the end.
        wait_until("descriptors are closed", || common::held().descriptors <= before);
        tasks.into_iter().filter(|task| task.is_done()).count()
    });
    assert_eq!(counts, 30);
}
