//! Tests for calls that don't block: by level, by edge, and on tokio.

#![cfg(feature = "async")]

mod common;

use common::{assert_none_left, long_sleep};
use proc_exec::asynchronous::Running;
use proc_exec::{CancelToken, Command, Overflow, RunError, cmd};
use rustix::event::{PollFd, PollFlags, epoll, poll};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Enough for a shell to write a line on a busy machine.
const LIMIT: Duration = Duration::from_millis(500);
const SOON: Duration = Duration::from_secs(8);

type Result = std::result::Result<proc_exec::Output, RunError>;

/// As a runtime does that waits by level.
fn by_level(mut running: Running) -> Result {
    loop {
        if let Some(result) = running.step() {
            assert!(running.step().is_none());
            return result;
        }
        poll(&mut [PollFd::new(&running, PollFlags::IN)], None).unwrap();
    }
}

/// As a runtime does that is told of changes only. A change that is missed is a test that never ends.
fn by_edge(mut running: Running) -> Result {
    let outer = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
    epoll::add(&outer, running.as_fd(), epoll::EventData::new_u64(0), flags).unwrap();
    loop {
        let mut events = Vec::with_capacity(4);
        epoll::wait(&outer, rustix::buffer::spare_capacity(&mut events), None).unwrap();
        if let Some(result) = running.step() {
            return result;
        }
    }
}

#[test]
fn smoke() {
    for drive in [by_level, by_edge] {
        let out = drive(cmd!("cat").input("hi").start_async().unwrap()).unwrap();
        assert_eq!(out.stdout, b"hi");
    }
}

#[test]
fn large_input_and_output_move_both_ways() {
    let bytes = vec![b'x'; 20 << 20];
    for drive in [by_level, by_edge] {
        let out = drive(cmd!("cat").input(&bytes).start_async().unwrap()).unwrap();
        assert!(out.stdout == bytes);
    }
}

#[test]
fn an_input_that_nobody_can_take_ends_at_once() {
    for drive in [by_level, by_edge] {
        let mut cat = cmd!("cat");
        cat.stdin(proc_exec::Input::pipe()).timeout(SOON);
        assert!(drive(cat.start_async().unwrap()).unwrap().stdout.is_empty());
    }
}

#[test]
fn a_pipeline_runs_without_waiting() {
    for drive in [by_level, by_edge] {
        let out = drive(cmd!("yes").pipe(cmd!("head", "-n", "3")).start_async().unwrap()).unwrap();
        assert_eq!(out.stdout, b"y\ny\ny\n");
    }
}

#[test]
fn limits_hold_and_leave_nobody() {
    for drive in [by_level, by_edge] {
        let mark = long_sleep();
        let line = format!("echo begun; trap '' TERM; sleep {mark} & sleep {mark}");
        let start = Instant::now();
        let error = drive(Command::shell(line).timeout(LIMIT).start_async().unwrap()).unwrap_err();
        assert!(error.is_timeout() && (LIMIT..SOON).contains(&start.elapsed()), "{error}");
        assert_eq!(error.output().unwrap().stdout, b"begun\n");
        assert_none_left(&mark);

        let mut firehose = cmd!("yes");
        firehose.timeout(LIMIT).output_limit(10, Overflow::Truncate);
        assert!(drive(firehose.start_async().unwrap()).unwrap_err().is_timeout());

        let token = CancelToken::new().unwrap();
        token.cancel();
        let mut sleep = cmd!("sleep", long_sleep());
        assert!(drive(sleep.cancel_with(&token).start_async().unwrap()).unwrap_err().is_cancelled());
    }
}

#[test]
fn dropping_it_kills_the_group() {
    let mark = long_sleep();
    let line = format!("sleep {mark} & sleep {mark}");
    let mut running = Command::shell(line).timeout(SOON).start_async().unwrap();
    assert!(running.step().is_none());
    common::eventually("all have started", || common::with_argument(&mark) == 3);
    drop(running);
    assert_none_left(&mark);
}

#[cfg(feature = "tokio")]
mod on_tokio {
    use super::*;

    fn block_on<F: Future>(future: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(future)
    }

    #[test]
    fn many_at_once_on_one_thread() {
        block_on(async {
            let tasks: Vec<_> = (0..20)
                .map(|i| tokio::spawn(cmd!("sh", "-c", format!("sleep 0.1; echo {i}")).run_async()))
                .collect();
            for (i, task) in tasks.into_iter().enumerate() {
                assert_eq!(task.await.unwrap().unwrap().text().unwrap(), format!("{i}\n"));
            }
        });
    }

    #[test]
    fn errors_limits_and_large_data() {
        block_on(async {
            assert!(cmd!("no-such-program").run_async().await.unwrap_err().is_not_found());
            assert_eq!(cmd!("false").run_async().await.unwrap_err().status().unwrap().code(), Some(1));
            let error = cmd!("sleep", long_sleep()).timeout(LIMIT).run_async().await.unwrap_err();
            assert!(error.is_timeout());
            let bytes = vec![b'x'; 20 << 20];
            let out = cmd!("cat").input(&bytes).pipe(cmd!("cat")).run_async().await.unwrap();
            assert!(out.stdout == bytes);
        });
    }

    #[test]
    fn a_dropped_future_kills_the_group() {
        let mark = long_sleep();
        let mark = &mark;
        block_on(async {
            let run = Command::shell(format!("sleep {mark} & sleep {mark}")).timeout(SOON).run_async();
            assert!(tokio::time::timeout(LIMIT, run).await.is_err());
        });
        assert_none_left(mark);
    }
}
