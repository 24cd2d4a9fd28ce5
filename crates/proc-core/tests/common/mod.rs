//! What several tests need: a process to run a test in, and counts of what can leak.
#![allow(dead_code, unused_macros, unused_imports)]

use std::io::Read;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use proc_core::{Message, Process, StartMethod};

/// Makes each case three tests, one under each start method, in a process of its own.
macro_rules! suite {
    ($($case:ident)*) => {
        mod spawn { $(#[test] fn $case() { crate::common::inside(super::$case, proc_core::StartMethod::Spawn); })* }
        mod zygote { $(#[test] fn $case() { crate::common::inside(super::$case, proc_core::StartMethod::Zygote); })* }
        mod fork { $(#[test] fn $case() { crate::common::inside(super::$case, proc_core::StartMethod::Fork); })* }
    };
}
pub(crate) use suite;

/// Longer than anything here takes on a machine that is ten times slower and has other work.
pub(crate) const LONG: Duration = Duration::from_secs(120);

pub(crate) const METHODS: [StartMethod; 3] = [StartMethod::Spawn, StartMethod::Zygote, StartMethod::Fork];

/// Runs `body` in a process of its own, which has one thread, so that it can fork, and counts that are its own. What it
/// asserts is asserted.
#[track_caller]
pub(crate) fn inside<A: Message>(body: fn(A), arg: A) {
    let mut p = Process::builder().daemon(true).process_group().spawn(body, arg).unwrap();
    match p.join_timeout(LONG) {
        Ok(Some(())) => {}
        Ok(None) => panic!("it hangs"),
        Err(e) => panic!("{e}"),
    }
}

/// Starts `f(arg)` by `method`.
#[track_caller]
pub(crate) fn start<A: Message, R: Message>(method: StartMethod, f: fn(A) -> R, arg: A) -> Process<R> {
    Process::builder().start_method(method).spawn(f, arg).unwrap()
}

/// Waits until `condition` holds.
#[track_caller]
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LONG, "not even after {LONG:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn pipe() -> (std::fs::File, std::fs::File) {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    (read.into(), write.into())
}

/// Everything up to the end, which has to come.
#[track_caller]
pub(crate) fn read_to_end(mut from: std::fs::File) -> String {
    let mut text = String::new();
    let deadline = Instant::now() + LONG;
    let mut buffer = [0; 4096];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = rustix::event::Timespec { tv_sec: left.as_secs() as i64, tv_nsec: 0 };
        let mut fds = [rustix::event::PollFd::from_borrowed_fd(from.as_fd(), rustix::event::PollFlags::IN)];
        match rustix::event::poll(&mut fds, Some(&left)) {
            Ok(0) => panic!("somebody holds the other end; so far: {text:?}"),
            Err(rustix::io::Errno::INTR) => continue,
            other => assert!(other.unwrap() > 0),
        }
        match from.read(&mut buffer).unwrap() {
            0 => return text,
            n => text.push_str(std::str::from_utf8(&buffer[..n]).unwrap()),
        }
    }
}

/// The open descriptors of this process.
pub(crate) fn open_descriptors() -> Vec<(i32, String)> {
    let mut all: Vec<_> = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| {
            let path = entry.unwrap().path();
            let target = std::fs::read_link(&path).ok()?.to_string_lossy().into_owned();
            Some((path.file_name()?.to_str()?.parse().ok()?, target))
        })
        .filter(|(_, target)| !target.ends_with("/fd"))
        .collect();
    all.sort();
    all
}

/// The children of this process, those that have ended and were not reaped included.
pub(crate) fn children() -> Vec<i32> {
    let path = "/proc/self/task";
    let tasks = std::fs::read_dir(path).unwrap().map(|task| task.unwrap().path().join("children"));
    let all = tasks.filter_map(|path| std::fs::read_to_string(path).ok());
    all.flat_map(|s| s.split_whitespace().map(|n| n.parse().unwrap()).collect::<Vec<_>>()).collect()
}

pub(crate) fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

pub(crate) fn mappings() -> usize {
    std::fs::read_to_string("/proc/self/maps").unwrap().lines().count()
}
