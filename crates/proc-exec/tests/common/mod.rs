//! What several tests need: unique marks, survivors, counts of what may leak.

#![allow(dead_code)]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Seconds for `sleep` that no other process has in its arguments: far longer than any test.
pub(crate) fn long_sleep() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("1{:07}.{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Processes that have `mark` in their arguments and are no zombies.
pub(crate) fn with_argument(mark: &str) -> usize {
    let pids = fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &u32| *pid != std::process::id())
        .filter(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let args = String::from_utf8_lossy(&line);
            args.contains(mark)
        })
        .count()
}

/// Waits until `done`, for a generous time.
pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Nobody with `mark` is left, after the moment that the kernel needs.
pub(crate) fn assert_none_left(mark: &str) {
    eventually("the survivors have ended", || with_argument(mark) == 0);
}

/// Open descriptors of this process.
pub(crate) fn descriptors() -> BTreeSet<PathBuf> {
    let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
    open.map(|e| e.path()).filter(|path| fs::read_link(path).is_ok()).collect()
}

/// Children of this process, zombies too.
pub(crate) fn children() -> usize {
    let mut count = 0;
    for task in fs::read_dir("/proc/self/task").unwrap().flatten() {
        let list = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        count += list.split_ascii_whitespace().count();
    }
    count
}

pub(crate) fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

/// Runs the named test of this binary again, alone, in a process of its own. For what counts
/// descriptors or changes the whole process. `true` in that process: go on with the test itself.
pub(crate) fn alone(name: &str) -> bool {
    if std::env::var_os("PROC_EXEC_ALONE").is_some_and(|which| which == name) {
        return true;
    }
    let out = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env("PROC_EXEC_ALONE", name)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout) + String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && text.contains("1 passed"), "{name}: {text}");
    false
}

/// Children of this process, zombies too, with this name.
pub(crate) fn children_named(name: &str) -> usize {
    let mut count = 0;
    for task in fs::read_dir("/proc/self/task").unwrap().flatten() {
        let list = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        let named = |pid: &&str| {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name)
        };
        count += list.split_ascii_whitespace().filter(named).count();
    }
    count
}
