//! Tests for taking back: `cancel` of what has not begun is exact, `kill` ends what runs, and nobody else is hit.

mod common;

use common::{double, nap, no_hang, pid, wait_until};
use proc_pool::{Pool, Task, TaskError};
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

proc_core::init_for_tests!();

#[test]
fn smoke() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let running = pool.submit(nap, 600_000);
        let queued = pool.submit(nap, 600_000);
        wait_until("it runs", || running.is_running());
        assert!(queued.cancel());
        assert!(running.kill());
        assert_eq!(queued.get().unwrap_err(), TaskError::Cancelled);
        assert_eq!(running.get().unwrap_err(), TaskError::Cancelled);
        assert_eq!(pool.apply(double, 1).unwrap(), 2);
    });
}

/// Leaves a mark: it ran.
fn mark(path: PathBuf) {
    fs::write(path, "").unwrap();
}

/// `true` means it never runs, `false` means it does: whatever the worker is about to do at that moment.
#[test]
fn a_cancel_that_says_so_is_exact() {
    no_hang(|| {
        let folder = common::Folder::new();
        let pool = Pool::new(2).unwrap();
        let n = 3000;
        let tasks: Vec<Task<()>> = (0..n).map(|i| pool.submit(mark, folder.file(&i.to_string()))).collect();
        // From both ends: some have run, some run now, most have not begun.
        let order = (0..n / 2).flat_map(|i| [i, n - 1 - i]);
        let taken: Vec<(usize, bool)> = order.map(|i| (i, tasks[i].cancel())).collect();
        let outcomes: Vec<_> = tasks.into_iter().map(Task::get).collect();
        pool.close();
        pool.join().unwrap();
        for (i, cancelled) in taken {
            let ran = folder.file(&i.to_string()).exists();
            assert_eq!(ran, !cancelled, "task {i}");
            assert_eq!(outcomes[i], if cancelled { Err(TaskError::Cancelled) } else { Ok(()) });
        }
    });
}

/// Cancelled while four threads submit and cancel and two wait.
#[test]
fn a_cancel_races_with_everything() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let threads: Vec<_> = (0..4_u64)
            .map(|n| {
                let pool = pool.clone();
                thread::spawn(move || {
                    let mut cancelled = 0;
                    for i in 0..500_u64 {
                        let task = pool.submit(double, n * 1000 + i);
                        if i % 3 == 0 {
                            thread::yield_now();
                        }
                        let taken = i % 2 == 0 && task.cancel();
                        match task.get() {
                            Ok(x) => assert!(!taken && x == (n * 1000 + i) * 2),
                            Err(e) => {
                                assert!(taken && e == TaskError::Cancelled, "{e}");
                                cancelled += 1;
                            }
                        }
                    }
                    cancelled
                })
            })
            .collect();
        let cancelled: u32 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert!(cancelled <= 1000);
        assert_eq!(pool.apply(double, 1).unwrap(), 2);
    });
}

#[test]
fn a_cancelled_task_is_told_at_once_though_its_worker_is_busy() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let running = pool.submit(nap, 600_000);
        let queued = pool.submit(nap, 1);
        wait_until("it runs", || running.is_running());
        let waiter = thread::spawn(move || {
            let id = queued.id();
            (queued.cancel(), queued.get(), id)
        });
        assert_eq!(waiter.join().unwrap().1, Err(TaskError::Cancelled));
        assert!(running.kill());
    });
}

#[test]
fn a_cancel_of_a_cancelled_task() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let running = pool.submit(nap, 600_000);
        wait_until("it runs", || running.is_running());
        let mut queued = pool.submit(nap, 1);
        assert!(queued.cancel());
        assert!(!queued.cancel());
        assert!(!queued.kill());
        assert_eq!(queued.try_get().unwrap_err(), TaskError::Cancelled);
        assert!(running.kill());
    });
}

/// What waits behind the killed one is neither lost nor failed, and runs once.
#[test]
fn a_kill_hits_only_its_own_task() {
    no_hang(|| {
        let folder = common::Folder::new();
        let pool = Pool::new(2).unwrap();
        for round in 0..5 {
            let long = pool.submit(nap, 600_000);
            let file = |i: u32| folder.file(&format!("{round}-{i}"));
            let others: Vec<_> = (0..100)
                .map(|i| {
                    let once =
                        |path: PathBuf| fs::File::create_new(path).map(drop).map_err(|e| e.to_string());
                    pool.submit(once, file(i))
                })
                .collect();
            wait_until("it runs", || long.is_running());
            assert!(long.kill());
            assert_eq!(long.get().unwrap_err(), TaskError::Cancelled);
            for task in others {
                task.get().unwrap().unwrap();
            }
        }
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 500);
    });
}

#[test]
fn the_worker_of_a_killed_task_is_replaced() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let before = pool.apply(pid, ()).unwrap();
        let long = pool.submit(nap, 600_000);
        wait_until("it runs", || long.is_running());
        assert!(long.kill());
        assert_eq!(long.get().unwrap_err(), TaskError::Cancelled);
        assert_ne!(pool.apply(pid, ()).unwrap(), before);
        wait_until("the old worker is gone", || !common::is_alive(before));
    });
}

/// Kills are the caller's will and no crash loop.
#[test]
fn many_kills_do_not_break_the_pool() {
    no_hang(|| {
        let pool = Pool::builder().workers(1).crash_limit(2).build().unwrap();
        for _ in 0..6 {
            let long = pool.submit(nap, 600_000);
            wait_until("it runs", || long.is_running());
            assert!(long.kill());
            assert_eq!(long.get().unwrap_err(), TaskError::Cancelled);
        }
        assert_eq!(pool.apply(double, 1).unwrap(), 2);
    });
}

/// A kill as early as can be: before the worker has begun, while it begins, or when it is done.
#[test]
fn a_kill_races_with_the_start_and_the_end() {
    no_hang(|| {
        let pool = Pool::builder().workers(1).crash_limit(2).build().unwrap();
        for i in 0..60_u64 {
            let task = pool.submit(nap, u64::from(i % 3 == 2) * 2);
            if i % 2 == 0 {
                thread::sleep(Duration::from_micros(i * 50));
            }
            let killed = task.kill();
            match task.get() {
                Ok(()) => {}
                Err(e) => assert!(killed && e == TaskError::Cancelled, "{e}"),
            }
            assert_eq!(pool.apply(double, i).unwrap(), i * 2, "the next one is not hit");
        }
    });
}

/// Waiters of other tasks are told too: nothing of a cancel is lost.
#[test]
fn as_completed_gives_cancelled_tasks_out() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let running = pool.submit(nap, 600_000);
        wait_until("it runs", || running.is_running());
        let tasks: Vec<_> = (0..10).map(|_| pool.submit(nap, 1)).collect();
        assert!(tasks.iter().all(Task::cancel));
        let mut done = proc_pool::as_completed(tasks);
        for _ in 0..10 {
            let task = done.next_timeout(common::PATIENCE).unwrap();
            assert_eq!(task.get().unwrap_err(), TaskError::Cancelled);
        }
        assert!(done.next().is_none());
        assert!(running.kill());
    });
}

/// Many threads kill and cancel tasks wherever they are: what they are told is what becomes of the task.
#[test]
fn what_a_kill_says_is_so() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        // Somebody who holds the collector's role most of the time.
        let (other, end) = (pool.clone(), over.clone());
        let collector = thread::spawn(move || {
            while !end.load(std::sync::atomic::Ordering::SeqCst) {
                let _ = other.apply(common::sleep, 3);
            }
        });
        let mut killed = 0;
        for round in 0..150_u64 {
            let tasks: Vec<_> =
                (0..4).map(|i| pool.submit(nap, if i % 2 == 0 { 600_000 } else { round % 3 })).collect();
            if round % 2 == 0 {
                wait_until("one runs", || tasks.iter().any(|task| task.is_running() || task.is_done()));
            }
            thread::sleep(Duration::from_micros(round * 30));
            for task in tasks {
                let so = if round % 4 == 3 { task.cancel() || task.kill() } else { task.kill() };
                match task.get() {
                    Ok(()) => assert!(!so, "it was said to be ended"),
                    Err(e) => assert!(so && e == TaskError::Cancelled, "{so} {e}"),
                }
                killed += u32::from(so);
            }
        }
        assert!(killed >= 300, "those that last are killed, each: {killed}");
        over.store(true, std::sync::atomic::Ordering::SeqCst);
        collector.join().unwrap();
    });
}

/// A task that spoils the word by which the pool knows that it runs is ended all the same.
#[test]
fn a_task_that_hides_is_killed_too() {
    no_hang(|| {
        fn hide(mark: PathBuf) {
            let maps = fs::read_to_string("/proc/self/maps").unwrap();
            for line in maps.lines().filter(|line| line.contains(" rw-s ")) {
                let Some((from, to)) = line.split(' ').next().and_then(|range| range.split_once('-')) else {
                    continue;
                };
                let from = usize::from_str_radix(from, 16).unwrap();
                let to = usize::from_str_radix(to, 16).unwrap();
                // The table of slots is the small mapping.
                if to - from <= 16 * 1024 {
                    for at in (from + 128..to).step_by(8) {
                        let word: *mut u64 = std::ptr::with_exposed_provenance_mut(at);
                        // SAFETY: mapped writable, as the kernel says, and of this process's own table.
                        unsafe { word.write_volatile(u64::MAX) };
                    }
                }
            }
            fs::write(mark, "").unwrap();
            nap(600_000);
        }
        let folder = common::Folder::new();
        let mark = folder.file("mark");
        let pool = Pool::new(1).unwrap();
        let task = pool.submit(hide, mark.clone());
        wait_until("it hides", || mark.exists());
        assert!(!task.is_running());
        assert!(task.kill());
        assert_eq!(task.get().unwrap_err(), TaskError::Cancelled);
        assert_eq!(pool.apply(double, 1).unwrap(), 2);
    });
}
