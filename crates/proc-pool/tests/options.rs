//! Tests for what a pool can be told when it is built, and for what it says of itself.

mod common;

use common::{Folder, alone, double, nap, no_hang, pid, sleep, wait_until};
use proc_core::Zygote;
use proc_pool::{Pool, TaskError};
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

proc_core::init_for_tests!();

#[test]
fn smoke() {
    let pool = Pool::builder().workers(2).build().unwrap();
    assert_eq!((pool.workers(), pool.apply(double, 1).unwrap()), (2, 2));
}

#[test]
fn without_a_number_it_has_as_many_workers_as_cpus() {
    let pool = Pool::builder().build().unwrap();
    assert_eq!(pool.workers(), proc_core::available_parallelism().unwrap().get());
    // Those that this process may use: one is left.
    alone(|()| {
        // SAFETY: a set of CPUs is plain bits.
        let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        let size = size_of::<libc::cpu_set_t>();
        // SAFETY: reads the CPUs of this process into the set.
        assert_eq!(unsafe { libc::sched_getaffinity(0, size, &raw mut set) }, 0);
        // SAFETY: looks into the set.
        let first = (0..1024).find(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) }).unwrap();
        // SAFETY: as above.
        let mut one: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        // SAFETY: puts one into it.
        unsafe { libc::CPU_SET(first, &mut one) };
        // SAFETY: this process may use fewer CPUs from now on.
        assert_eq!(unsafe { libc::sched_setaffinity(0, size, &raw const one) }, 0);
        assert_eq!(Pool::builder().build().unwrap().workers(), 1);
    });
}

/// A task knows its worker's seat by two bytes, and has two for its retries and eight for its time limit.
#[test]
fn numbers_that_are_large_are_refused_or_as_good_as_the_largest() {
    no_hang(|| {
        for n in [65_537, usize::MAX] {
            let e = Pool::builder().workers(n).build().unwrap_err().to_string();
            assert!(e.contains("at most 65536 workers") && e.contains(&n.to_string()), "{e}");
        }
        let folder = Folder::new();
        let pool = Pool::builder().workers(1).crash_limit(100).build().unwrap();
        let dies_twice = |dir: PathBuf| {
            if (0..2).any(|i| common::is_first(&dir.join(i.to_string()))) {
                std::process::abort();
            }
            7
        };
        let patient = pool.retries(u32::MAX).timeout(Duration::MAX);
        assert_eq!(patient.apply(dies_twice, folder.0.clone()).unwrap(), 7);
        let nearly = pool.timeout(Duration::from_nanos(u64::MAX - 1));
        assert_eq!(nearly.apply(double, 4).unwrap(), 8);
        assert!(pool.timeout(Duration::ZERO).apply(sleep, 60_000).is_err());
    });
}

fn line_of(file: &str, key: &str) -> String {
    let status = std::fs::read_to_string(file).unwrap();
    status.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim().to_owned()
}

#[test]
fn its_workers_have_its_name() {
    let pool = Pool::builder().workers(2).name("resize").build().unwrap();
    let name = |()| {
        nap(10);
        std::fs::read_to_string("/proc/self/comm").unwrap().trim().to_owned()
    };
    let names: HashSet<String> = pool.map(name, [(); 20]).unwrap().into_iter().collect();
    assert!(names.iter().all(|name| name == "resize-0" || name == "resize-1"), "{names:?}");
}

#[test]
fn workers_are_tied_to_their_cpus() {
    let allowed = line_of("/proc/self/status", "Cpus_allowed_list:");
    let first: usize = allowed.split([',', '-']).next().unwrap().parse().unwrap();
    let last: usize = allowed.rsplit([',', '-']).next().unwrap().parse().unwrap();
    let pool = Pool::builder().workers(2).affinity([first, last]).name("tied").build().unwrap();
    let look = |()| {
        nap(10);
        let name = std::fs::read_to_string("/proc/self/comm").unwrap();
        (name.trim().to_owned(), line_of("/proc/self/status", "Cpus_allowed_list:"))
    };
    for (name, cpus) in pool.map(look, [(); 20]).unwrap() {
        let own = if name == "tied-0" { first } else { last };
        assert_eq!(cpus, own.to_string(), "{name}");
    }
}

#[test]
fn a_worker_with_too_much_memory_is_replaced() {
    no_hang(|| {
        let resident: u64 =
            line_of("/proc/self/status", "VmRSS:").trim_end_matches("kB").trim().parse().unwrap();
        let limit = (resident * 1024).max(32 << 20) + (64 << 20);
        let pool = Pool::builder().workers(1).max_memory_per_worker(limit).build().unwrap();
        let before = pool.apply(pid, ()).unwrap();
        for _ in 0..20 {
            assert_eq!(pool.apply(pid, ()).unwrap(), before, "it has not grown");
        }
        // What is given back does not count.
        pool.apply(|n: usize| drop(vec![1_u8; n]), 1 << 20).unwrap();
        assert_eq!(pool.apply(pid, ()).unwrap(), before);
        let keep = |n: usize| std::mem::forget(std::hint::black_box(vec![1_u8; n]));
        pool.apply(keep, limit as usize).unwrap();
        let after = pool.apply(pid, ()).unwrap();
        assert_ne!(after, before);
        assert_eq!(pool.apply(pid, ()).unwrap(), after);
        // In a map too, and no item is lost or run twice.
        let grow = |x: u64| {
            if x % 10 == 9 {
                std::mem::forget(std::hint::black_box(vec![1_u8; 256 << 20]));
            }
            x
        };
        assert_eq!(pool.map(grow, 0..40).unwrap(), (0..40).collect::<Vec<_>>());
    });
}

/// No more inputs are taken ahead than it says, whatever they cost.
#[test]
fn the_look_ahead_is_what_it_says() {
    no_hang(|| {
        let pool = Pool::builder().workers(2).look_ahead(5).build().unwrap();
        pool.map(double, 0..2000).unwrap();
        let taken = AtomicU64::new(0);
        let inputs = (0..3000).inspect(|_| {
            taken.fetch_add(1, Ordering::SeqCst);
        });
        for (given, value) in pool.imap(double, inputs).enumerate() {
            assert_eq!(value.unwrap(), given as u64 * 2);
            let taken = taken.load(Ordering::SeqCst);
            assert!(taken <= given as u64 + 1 + 5, "{taken} inputs taken, {given} values given");
        }
        assert_eq!(taken.load(Ordering::SeqCst), 3000);
        assert_eq!(
            Pool::builder().workers(1).look_ahead(0).build().unwrap().map(double, 0..9).unwrap().len(),
            9
        );
    });
}

static TABLE: OnceLock<Vec<u64>> = OnceLock::new();

/// What its preload made is there in each worker, those that replace others too.
#[test]
fn workers_of_a_zygote_have_what_it_loaded() {
    no_hang(|| {
        let load = |n: u64| drop(TABLE.set((0..n).map(|x| x * x).collect()));
        let zygote = Arc::new(Zygote::preload(load, 1000).unwrap());
        let pools = [1, 2].map(|n| Pool::builder().workers(n).zygote(zygote.clone()).build().unwrap());
        for pool in pools {
            let look = |i: usize| TABLE.get().map(|table| table[i]);
            assert_eq!(pool.map(look, [3, 999]).unwrap(), [Some(9), Some(998_001)]);
            let e = pool.apply(|()| -> u64 { std::process::exit(3) }, ()).unwrap_err();
            assert!(matches!(e, TaskError::WorkerDied { .. }), "{e}");
            assert_eq!(pool.apply(look, 30).unwrap(), Some(900));
        }
        assert!(TABLE.get().is_none(), "not here");
    });
}

static ASKED: AtomicBool = AtomicBool::new(false);

extern "C" fn asked(_: libc::c_int) {
    ASKED.store(true, Ordering::SeqCst);
}

/// The soft limit: the task sees SIGTERM and ends in good order.
#[test]
fn a_grace_lets_a_task_end_by_itself() {
    fn tidy(mark: PathBuf) -> u64 {
        // SAFETY: the handler stores to an atomic.
        unsafe { libc::signal(libc::SIGTERM, asked as *const () as libc::sighandler_t) };
        while !ASKED.load(Ordering::SeqCst) {
            nap(1);
        }
        std::fs::write(mark, "in good order").unwrap();
        std::process::exit(0)
    }
    no_hang(|| {
        let folder = Folder::new();
        let pool = Pool::builder().workers(1).kill_grace(Duration::from_secs(60)).build().unwrap();
        let start = Instant::now();
        let mark = folder.file("limit");
        let e = pool.timeout(Duration::from_millis(100)).apply(tidy, mark.clone()).unwrap_err();
        assert_eq!(e, TaskError::TimedOut);
        assert!(mark.exists());
        let mark = folder.file("kill");
        let task = pool.submit(tidy, mark.clone());
        wait_until("it runs", || task.is_running());
        assert!(task.kill());
        assert_eq!(task.get().unwrap_err(), TaskError::Cancelled);
        wait_until("it has ended in good order", || mark.exists());
        assert_eq!(pool.apply(double, 1).unwrap(), 2);
        assert!(start.elapsed() < Duration::from_secs(30), "without the whole grace");
    });
}

/// One that does not listen is killed when the grace is over, and not before.
#[test]
fn after_the_grace_it_is_killed() {
    fn deaf(_: ()) {
        // SAFETY: ignores a signal.
        unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
        nap(600_000);
    }
    no_hang(|| {
        let grace = Duration::from_millis(400);
        let pool = Pool::builder().workers(1).kill_grace(grace).build().unwrap();
        let start = Instant::now();
        let e = pool.timeout(Duration::from_millis(100)).apply(deaf, ()).unwrap_err();
        assert_eq!(e, TaskError::TimedOut);
        assert!(start.elapsed() >= grace + Duration::from_millis(100), "{:?}", start.elapsed());
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
        assert_eq!(pool.apply(double, 1).unwrap(), 2);
    });
}

#[test]
fn what_it_says_of_itself() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        wait_until("both are up", || pool.stats().workers.iter().filter(|w| w.pid.is_some()).count() == 2);
        let long = [pool.submit(nap, 600_000), pool.submit(nap, 600_000)];
        wait_until("both are busy", || long.iter().all(proc_pool::Task::is_running));
        let waits: Vec<_> = (0..3000).map(|x| pool.submit(double, x)).collect();
        let stats = pool.stats();
        assert_eq!(stats.queued + stats.with_workers, 3002);
        assert!(stats.queued > 0, "{stats:?}");
        assert!(
            stats.workers.iter().all(|worker| worker.is_busy && worker.resident_memory.unwrap() > 100_000)
        );
        assert!(stats.workers.iter().all(|worker| (worker.tasks, worker.starts, worker.ends) == (0, 1, 0)));
        assert!(long.iter().all(proc_pool::Task::kill));
        assert!(waits.into_iter().all(|task| task.get().is_ok()));
        wait_until("both are up again", || {
            let stats = pool.stats();
            stats.workers.iter().all(|worker| (worker.starts, worker.ends) == (2, 1) && !worker.is_busy)
        });
        let stats = pool.stats();
        assert_eq!((stats.queued, stats.with_workers), (0, 0));
        assert_eq!(stats.workers.iter().map(|worker| worker.tasks).sum::<u64>(), 3000);
        let pids: HashSet<u32> = stats.workers.iter().filter_map(|worker| worker.pid).collect();
        assert!(pids.contains(&pool.apply(pid, ()).unwrap()));
        pool.close();
        pool.join().unwrap();
        assert!(pool.stats().workers.iter().all(|worker| worker.pid.is_none() && worker.ends == 2));
    });
}

#[test]
fn the_progress_is_told_in_the_callers_thread() {
    type Told = Arc<Mutex<Vec<(u64, Option<u64>)>>>;
    let seen = Told::default();
    let (write, caller) = (seen.clone(), std::thread::current().id());
    let pool = Pool::new(2).unwrap();
    let watched = pool.on_progress(move |progress| {
        assert_eq!(std::thread::current().id(), caller);
        write.lock().unwrap().push((progress.done, progress.total));
    });
    let take = || std::mem::take(&mut *seen.lock().unwrap());
    watched.map(double, 0..500).unwrap();
    let told = take();
    assert_eq!(*told.last().unwrap(), (500, Some(500)));
    assert!(
        told.windows(2).all(|two| two[0].0 <= two[1].0) && told.iter().all(|(_, total)| *total == Some(500))
    );
    // An error is an item that is done.
    let odd = |x: u64| if x % 2 == 0 { panic!("even") } else { x };
    assert_eq!(watched.imap(odd, 0..20).filter(Result::is_ok).count(), 10);
    let told = take();
    assert_eq!(told.iter().map(|(done, _)| *done).collect::<Vec<_>>(), (1..=20).collect::<Vec<_>>());
    assert_eq!(told.last().unwrap().1, Some(20));
    assert_eq!(watched.imap_unordered(double, 0..20).count(), 20);
    assert_eq!(take().len(), 20);
    // The handle without a hook tells nothing.
    pool.map(double, 0..10).unwrap();
    assert!(take().is_empty());
}

#[test]
fn a_chunk_of_none_is_a_chunk_of_one() {
    let pool = Pool::new(2).unwrap().chunk(0);
    assert_eq!(pool.map(double, 0..50).unwrap().len(), 50);
    assert_eq!(pool.imap(double, 0..50).filter(Result::is_ok).count(), 50);
    assert_eq!(pool.chunk(usize::MAX).map(double, 0..5000).unwrap().len(), 5000);
}

#[test]
fn an_unordered_value_that_is_not_there_in_time() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let is_up = |()| {
            nap(20);
            std::process::id()
        };
        wait_until("both are up", || {
            pool.map(is_up, [(); 8]).unwrap().into_iter().collect::<HashSet<_>>().len() == 2
        });
        let mut values = pool.imap_unordered(sleep, [2500, 1]);
        assert_eq!(values.next_timeout(common::PATIENCE / 4).unwrap().unwrap().unwrap(), 1);
        let start = Instant::now();
        assert!(values.next_timeout(Duration::from_millis(50)).is_none());
        assert!(start.elapsed() >= Duration::from_millis(50));
        assert_eq!(values.next_timeout(common::PATIENCE / 4).unwrap().unwrap().unwrap(), 2500);
        assert!(values.next_timeout(Duration::from_millis(50)).unwrap().is_none(), "that is the end");
        assert!(values.next().is_none());
    });
}
