//! What the tests share: patience with an end, processes of a test's own, counts of what a process holds.
#![allow(dead_code, reason = "each file uses some of it")]

use proc_core::{Message, Process};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long nothing here takes, on a machine that is ten times slower and busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Runs `body` on a thread: one that hangs fails its own test instead of the whole run.
#[track_caller]
pub(crate) fn no_hang<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = channel();
    let thread = thread::spawn(move || {
        let value = body();
        let _ = sender.send(());
        value
    });
    assert!(receiver.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout), "it hangs");
    thread.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload))
}

/// Runs `body` in a process of its own: there it may count what it holds, change its limits, and die.
#[track_caller]
pub(crate) fn alone<R: Message>(body: fn(()) -> R) -> R {
    let mut process = Process::spawn(body, ()).unwrap();
    match process.join_timeout(PATIENCE) {
        Ok(Some(value)) => value,
        Ok(None) => {
            let _ = process.kill();
            panic!("it hangs")
        }
        Err(e) => panic!("{e}"),
    }
}

/// Waits until `is_so`.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        // Less than the patience with a whole test, so that this is what is told.
        assert!(start.elapsed() < PATIENCE / 2, "never: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Sends a signal.
pub(crate) fn signal(pid: u32, number: i32) {
    // SAFETY: a signal to a process of this test; one that has ended meanwhile does not mind.
    unsafe { libc::kill(pid as i32, number) };
}

/// Whether a process runs: a zombie does not.
pub(crate) fn is_alive(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    // The name, in parentheses, may hold anything; the state follows it.
    let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

/// The children of this process that have not been reaped: their ids and states.
pub(crate) fn children() -> Vec<(u32, char)> {
    let me = std::process::id();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some(rest) = stat.rsplit(") ").next() else { continue };
        let mut words = rest.split(' ');
        let state = words.next().and_then(|word| word.chars().next()).unwrap_or('?');
        if words.next().and_then(|word| word.parse().ok()) == Some(me) {
            found.push((pid, state));
        }
    }
    found
}

/// How many descriptors, threads, children (zombies too) and mappings this process has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) descriptors: usize,
    pub(crate) threads: usize,
    pub(crate) children: usize,
    pub(crate) mappings: usize,
}

pub(crate) fn held() -> Held {
    Held {
        descriptors: fs::read_dir("/proc/self/fd").unwrap().count() - 1,
        threads: fs::read_dir("/proc/self/task").unwrap().count(),
        children: children().len(),
        mappings: fs::read_to_string("/proc/self/maps").unwrap().lines().count(),
    }
}

/// A folder of a test's own, which goes with it.
#[derive(Debug)]
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("proc-pool-test-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Whether this is the first to come, of all processes.
pub(crate) fn is_first(mark: &std::path::Path) -> bool {
    fs::File::create_new(mark).is_ok()
}

// ------------------------------------------------------------ tasks

pub(crate) fn double(x: u64) -> u64 {
    x * 2
}

pub(crate) fn sleep(ms: u64) -> u64 {
    thread::sleep(Duration::from_millis(ms));
    ms
}

pub(crate) fn nap(ms: u64) {
    thread::sleep(Duration::from_millis(ms));
}

pub(crate) fn pid(_: ()) -> u32 {
    std::process::id()
}

/// Ends the process as a crash in a C library does.
pub(crate) fn crash() -> ! {
    // SAFETY: none: the address is not mapped, which is the point. The kernel ends the process.
    unsafe { libc::strlen(std::ptr::without_provenance(16)) };
    std::process::abort()
}
