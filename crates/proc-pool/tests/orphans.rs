//! Tests for the end of the program that owns the pool: workers go with it, busy or idle, however it ends; and for
//! Ctrl-C, which is the program's to answer.

mod common;

use common::{Folder, PATIENCE, double, is_alive, nap, pid, signal, wait_until};
use proc_core::{JoinError, Process, StartMethod};
use proc_pool::{Pool, Task};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

proc_core::init_for_tests!();

/// The most that workers may outlive their program, from when it was reaped; what it takes is milliseconds. The kernel
/// ends them, but only when they get a processor, so three times as long where more want one than there are.
fn soon() -> Duration {
    let load = fs::read_to_string("/proc/loadavg").unwrap();
    let load: f64 = load.split(' ').next().unwrap().parse().unwrap();
    let cpus = std::thread::available_parallelism().unwrap().get() as f64;
    Duration::from_secs(if load > cpus { 3 } else { 1 })
}

fn pids(path: &Path) -> Vec<u32> {
    fs::read_to_string(path).unwrap().split(' ').map(|pid| pid.parse().unwrap()).collect()
}

/// Writes whole or not at all.
fn publish(path: &Path, text: &str) {
    let half = path.with_extension("half");
    fs::write(&half, text).unwrap();
    fs::rename(half, path).unwrap();
}

#[track_caller]
fn all_end(pids: &[u32]) {
    let start = Instant::now();
    wait_until("the workers are gone", || !pids.iter().any(|pid| is_alive(*pid)));
    assert!(start.elapsed() < soon(), "{:?}", start.elapsed());
}

/// Deaf to everything that can be ignored, and busy.
fn spin(_: ()) {
    for number in 1..65 {
        // SAFETY: ignores a signal; those that can't be ignored refuse.
        unsafe { libc::signal(number, libc::SIG_IGN) };
    }
    loop {
        std::hint::spin_loop();
    }
}

/// A program with a pool: two busy workers and one that is idle, or all idle.
fn program((method, busy, report): (StartMethod, bool, PathBuf)) {
    let pool = Pool::builder().workers(3).start_method(method).build().unwrap();
    let mut ids = Vec::new();
    wait_until("three workers", || {
        ids = pool
            .map(
                |()| {
                    nap(20);
                    std::process::id()
                },
                [(); 9],
            )
            .unwrap();
        ids.sort_unstable();
        ids.dedup();
        ids.len() == 3
    });
    let tasks: Vec<Task<()>> =
        if busy { vec![pool.submit(spin, ()), pool.submit(nap, 600_000)] } else { vec![] };
    wait_until("they are busy", || tasks.iter().all(Task::is_running));
    publish(&report, &ids.iter().map(u32::to_string).collect::<Vec<_>>().join(" "));
    nap(600_000);
    drop(pool);
}

fn killed_program(method: StartMethod, busy: bool) {
    let folder = Folder::new();
    let report = folder.file("report");
    let mut process = Process::spawn(program, (method, busy, report.clone())).unwrap();
    wait_until("it reports", || report.exists());
    let workers = pids(&report);
    assert!(workers.iter().all(|pid| is_alive(*pid)));
    process.kill().unwrap();
    assert!(matches!(process.join_timeout(PATIENCE), Err(JoinError::Signaled { signal: libc::SIGKILL, .. })));
    all_end(&workers);
}

#[test]
fn smoke() {
    killed_program(StartMethod::Spawn, false);
}

#[test]
fn busy_ones_go_with_a_killed_program() {
    killed_program(StartMethod::Spawn, true);
}

#[test]
fn those_of_a_zygote_too() {
    killed_program(StartMethod::Zygote, false);
    killed_program(StartMethod::Zygote, true);
}

#[test]
fn those_of_a_fork_too() {
    killed_program(StartMethod::Fork, false);
    killed_program(StartMethod::Fork, true);
}

/// Pools inside of workers go the same way, one after the other.
#[test]
fn nested_ones_go_too() {
    fn outer(report: PathBuf) {
        let inner = Pool::new(1).unwrap();
        let below = inner.apply(pid, ()).unwrap();
        publish(&report, &format!("{} {below}", std::process::id()));
        nap(600_000);
    }
    let folder = Folder::new();
    let report = folder.file("report");
    let program = |report: PathBuf| Pool::new(1).unwrap().apply(outer, report).unwrap();
    let mut process = Process::<()>::spawn(program, report.clone()).unwrap();
    wait_until("it reports", || report.exists());
    let workers = pids(&report);
    process.kill().unwrap();
    assert!(process.join_timeout(PATIENCE).is_err());
    all_end(&workers);
}

/// `exit` runs no destructor of a pool that lies on the stack.
#[test]
fn a_program_that_exits_without_a_drop() {
    let folder = Folder::new();
    let report = folder.file("report");
    let program = |report: PathBuf| {
        let pool = Pool::new(2).unwrap();
        publish(&report, &pool.apply(pid, ()).unwrap().to_string());
        let _busy = pool.submit(spin, ());
        std::process::exit(0);
    };
    let mut process = Process::<()>::spawn(program, report.clone()).unwrap();
    assert!(matches!(process.join_timeout(PATIENCE), Err(JoinError::Exited(0))));
    all_end(&pids(&report));
}

static INTERRUPTS: AtomicU32 = AtomicU32::new(0);

extern "C" fn count(_: libc::c_int) {
    INTERRUPTS.fetch_add(1, Ordering::SeqCst);
}

/// Ctrl-C goes to everybody on the terminal. The program decides; its workers, busy or idle, are not hit.
#[test]
fn an_interrupt_of_the_group_is_the_programs() {
    fn program(report: PathBuf) -> (bool, u64, u32) {
        // SAFETY: the handler adds to an atomic.
        unsafe { libc::signal(libc::SIGINT, count as *const () as libc::sighandler_t) };
        let pool = Pool::new(2).unwrap();
        let mut before = pool
            .map(
                |()| {
                    nap(20);
                    std::process::id()
                },
                [(); 8],
            )
            .unwrap();
        let long = pool.submit(common::sleep, 1000);
        wait_until("it runs", || long.is_running());
        publish(&report, &std::process::id().to_string());
        wait_until("the interrupt came", || INTERRUPTS.load(Ordering::SeqCst) > 0);
        let value = long.get().unwrap();
        let after = pool
            .map(
                |()| {
                    nap(20);
                    std::process::id()
                },
                [(); 8],
            )
            .unwrap();
        before.extend(after);
        before.sort_unstable();
        before.dedup();
        (before.len() <= 2, value, INTERRUPTS.load(Ordering::SeqCst))
    }
    let folder = Folder::new();
    let report = folder.file("report");
    let mut process = Process::builder().process_group().spawn(program, report.clone()).unwrap();
    wait_until("it reports", || report.exists());
    // SAFETY: a signal to the group of the program, which leads it.
    assert_eq!(unsafe { libc::kill(-(process.id() as i32), libc::SIGINT) }, 0);
    let (same_workers, value, interrupts) = process.join_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!((same_workers, value, interrupts), (true, 1000, 1));
}

/// What a worker starts must be interruptible: an ignored signal would be inherited through exec.
#[test]
fn a_program_that_a_task_starts_does_not_ignore_the_interrupt() {
    fn ignored(_: ()) -> u64 {
        let status = Command::new("cat").arg("/proc/self/status").output().unwrap().stdout;
        let status = String::from_utf8(status).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap()
    }
    for method in [StartMethod::Spawn, StartMethod::Zygote] {
        let pool = Pool::builder().workers(1).start_method(method).build().unwrap();
        let mask = pool.apply(ignored, ()).unwrap();
        assert_eq!(mask & (1 << (libc::SIGINT - 1)), 0, "{method:?} {mask:x}");
    }
}

#[test]
fn a_task_that_waits_in_the_kernel_survives_the_interrupt() {
    fn read(_: ()) -> (bool, u64) {
        let start = Instant::now();
        nap(400);
        (start.elapsed() >= Duration::from_millis(400), double(1))
    }
    let pool = Pool::new(1).unwrap();
    let worker = pool.apply(pid, ()).unwrap();
    let task = pool.submit(read, ());
    wait_until("it runs", || task.is_running());
    for _ in 0..5 {
        signal(worker, libc::SIGINT);
        nap(10);
    }
    assert_eq!(task.get().unwrap(), (true, 2));
    assert_eq!(pool.apply(pid, ()).unwrap(), worker);
}
