//! Tests for what a pool holds and uses: descriptors, threads, processor time, and how soon it lets go.

mod common;

use common::{alone, double, held, nap, sleep};
use proc_pool::Pool;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

proc_core::init_for_tests!();

#[test]
fn smoke() {
    let (before, after) = alone(|()| {
        // A pool's thread ends a moment after the pool has.
        let settled = || {
            let start = Instant::now();
            while held().threads > 1 && start.elapsed() < Duration::from_secs(60) {
                nap(10);
            }
            let held = held();
            (held.descriptors, held.threads, held.children)
        };
        // The first pool leaves the library's own behind: a pidfd of this process.
        drop(Pool::new(2).unwrap());
        let before = settled();
        for _ in 0..5 {
            let pool = Pool::new(2).unwrap();
            pool.map(double, 0..100).unwrap();
            pool.close();
            pool.join().unwrap();
        }
        (before, settled())
    });
    assert_eq!(before, after);
}

/// procspawn is out of descriptors after 339 queued tasks.
#[test]
fn a_hundred_thousand_tasks_with_64_descriptors() {
    let sum = alone(|()| {
        let limit = libc::rlimit { rlim_cur: 64, rlim_max: 64 };
        // SAFETY: the structure is live.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
        let pool = Pool::new(2).unwrap();
        let tasks: Vec<_> = (0..100_000).map(|x| pool.submit(double, x)).collect();
        tasks.into_iter().map(|task| task.get().unwrap()).sum::<u64>()
    });
    assert_eq!(sum, 99_999 * 100_000);
}

/// The processor time of a process so far.
fn cpu_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let rest = stat.rsplit(") ").next().unwrap();
    let ticks: u64 = rest.split(' ').skip(11).take(2).map(|word| word.parse::<u64>().unwrap()).sum();
    // SAFETY: it only asks.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as u64;
    Duration::from_millis(ticks * 1000 / per_second)
}

#[test]
fn an_idle_pool_uses_no_processor() {
    let used = alone(|()| {
        let pool = Pool::new(2).unwrap();
        pool.map(double, 0..1000).unwrap();
        // Polled once and then waited for: nobody has to collect for it any more.
        let mut task = pool.submit(sleep, 1000);
        let polled = Pin::new(&mut task).poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
        assert_eq!(task.get().unwrap(), 1000);
        nap(500);
        let pids: Vec<u32> = pool.stats().workers.iter().filter_map(|worker| worker.pid).collect();
        let all = || cpu_time(std::process::id()) + pids.iter().map(|pid| cpu_time(*pid)).sum::<Duration>();
        let before = all();
        nap(2000);
        all() - before
    });
    // Ticks are 10 ms. A thread that looked in every millisecond would use 20 to 100 ms.
    assert!(used <= Duration::from_millis(10), "{used:?}");
}

#[test]
fn a_pool_dropped_with_a_million_tasks_queued_ends_soon() {
    let pool = Pool::new(2).unwrap();
    let tasks: Vec<_> = (0..1_000_000).map(|_| pool.submit(sleep, 60_000)).collect();
    let start = Instant::now();
    drop(pool);
    assert!(start.elapsed() < Duration::from_secs(30));
    assert!(tasks.iter().all(|task| task.is_done()));
}

/// States that no handle has any more are not kept in the workers.
#[test]
fn states_are_forgotten() {
    let pool = Pool::new(1).unwrap();
    let resident = |()| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap().trim().to_owned();
        line.trim_end_matches("kB").trim().parse::<u64>().unwrap()
    };
    let state = vec![1_u8; 4 << 20];
    pool.with(state.clone()).apply(|s, x: usize| s[x], 0).unwrap();
    let before = pool.apply(resident, ()).unwrap();
    for _ in 0..40 {
        assert_eq!(pool.with(state.clone()).apply(|s, x: usize| s[x], 7).unwrap(), 1);
    }
    let after = pool.apply(resident, ()).unwrap();
    // All of them would be 160 MiB.
    assert!(after < before + 60 * 1024, "{before} to {after} KiB");
}
