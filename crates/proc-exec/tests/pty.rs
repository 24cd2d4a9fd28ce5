//! Tests for programs on a terminal of their own.

#![cfg(feature = "pty")]

mod common;

use common::{assert_none_left, long_sleep};
use proc_exec::pty::Window;
use proc_exec::{Command, KillScope, RunErrorKind, cmd};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(8);

#[test]
fn smoke() {
    let out = Command::shell("test -t 0 && test -t 1 && test -t 2 && echo yes").pty(Window::default()).run();
    // The end of a terminal is an error of the system, and no error here.
    assert_eq!(out.unwrap().stdout, b"yes\r\n");
}

#[test]
fn the_status_is_the_programs_and_no_output_is_lost_before_it() {
    for _ in 0..20 {
        let mut shell = Command::shell("seq 1 2000; exit 3");
        let out = shell.pty(Window::default()).unchecked().run().unwrap();
        assert_eq!(out.status.code(), Some(3));
        assert!(out.stdout.ends_with(b"\r\n2000\r\n") && !out.incomplete);
    }
}

#[test]
fn input_ends_with_its_bytes() {
    let mut cat = cmd!("cat");
    assert_eq!(cat.pty(Window::default()).input("a\nb\n").run().unwrap().stdout, b"a\r\nb\r\n");
    assert_eq!(cat.input("no end of a line").run().unwrap().stdout, b"no end of a line");
    let window = Window { echo: true, ..Window::default() };
    assert!(cat.pty(window).input("a\n").run().unwrap().stdout.starts_with(b"a\r\n"));
}

#[test]
fn a_conversation_with_what_holds_its_output_back_in_a_pipe() {
    let line = "printf 'name? '; read n; echo hello $n; stty size; read n; stty size";
    let mut shell = Command::shell(line).pty(Window::default()).interactive().unwrap();
    assert_eq!(shell.read_until("? ", SOON).unwrap().unwrap(), b"name? ");
    shell.write_line("Ann").unwrap();
    assert_eq!(shell.read_line().unwrap().as_deref(), Some("hello Ann"));
    assert_eq!(shell.read_line().unwrap().as_deref(), Some("24 80"));
    shell.resize(Window { rows: 10, columns: 40, ..Window::default() }).unwrap();
    shell.write_line("").unwrap();
    assert_eq!(shell.read_line().unwrap().as_deref(), Some("10 40"));
    assert!(shell.finish().unwrap().status.success());
}

#[test]
fn it_controls_the_program_and_a_session_alone_has_none() {
    let line = "if (: </dev/tty) 2>/dev/null; then echo yes; else echo no; fi";
    assert_eq!(Command::shell(line).pty(Window::default()).read().unwrap(), "yes");
    assert_eq!(Command::shell(line).session().read().unwrap(), "no");
}

#[test]
fn a_limit_holds_on_a_terminal() {
    let mark = long_sleep();
    let mut shell = Command::shell(format!("echo begun; sleep {mark} & sleep {mark}"));
    let error = shell.pty(Window::default()).timeout(Duration::from_millis(300)).run().unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert_eq!(error.output().unwrap().stdout, b"begun\r\n");
    assert_none_left(&mark);
}

#[test]
fn a_group_in_the_background_may_not_read_our_terminal() {
    if std::env::var_os("PROC_EXEC_ON_TERMINAL").is_some() {
        let mut cat = cmd!("cat");
        let error = cat.timeout(SOON).status().unwrap_err();
        assert_eq!(error.kind(), RunErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().contains("kill_scope"), "{error}");
        assert!(cmd!("true").timeout(SOON).kill_scope(KillScope::Child).status().unwrap().success());
        assert!(cmd!("true").timeout(SOON).run().is_ok());
        return;
    }
    let mut inner = Command::new(std::env::current_exe().unwrap());
    inner.args(["--exact", "a_group_in_the_background_may_not_read_our_terminal", "--test-threads=1"]);
    let out = inner.env("PROC_EXEC_ON_TERMINAL", "1").pty(Window::default()).unchecked().run().unwrap();
    assert!(out.status.success() && out.text_lossy().contains("1 passed"), "{}", out.text_lossy());
}

#[test]
fn a_group_in_the_background_that_may_not_write_is_ended_by_its_limit() {
    const NAME: &str = "a_group_in_the_background_that_may_not_write_is_ended_by_its_limit";
    if std::env::var_os("PROC_EXEC_ON_TERMINAL").is_some() {
        cmd!("stty", "tostop").stdin(proc_exec::Input::inherit()).run().unwrap();
        let mut echo = cmd!("sh", "-c", "echo never seen");
        echo.stdin(proc_exec::Input::null());
        // SIGTTOU stops it: only the limit ends that, and it hears of it.
        let error = echo.timeout(Duration::from_millis(300)).grace(SOON).status().unwrap_err();
        assert!(error.is_timeout() && !error.is_still_running(), "{error}");
        assert_eq!(error.status().unwrap().signal(), Some(15));
        // Captured, it writes to no terminal.
        assert_eq!(echo.read().unwrap(), "never seen");
        return;
    }
    let mut inner = Command::new(std::env::current_exe().unwrap());
    inner.args(["--exact", NAME, "--test-threads=1"]).env("PROC_EXEC_ON_TERMINAL", "1");
    let out = inner.pty(Window::default()).unchecked().run().unwrap();
    let text = out.text_lossy();
    assert!(out.status.success() && text.contains("1 passed") && !text.contains("seen"), "{text}");
}

#[cfg(feature = "async")]
#[test]
fn without_waiting() {
    let mut running = cmd!("cat").pty(Window::default()).input("a\n").start_async().unwrap();
    let out = loop {
        if let Some(result) = running.step() {
            break result.unwrap();
        }
        rustix::event::poll(&mut [rustix::event::PollFd::new(&running, rustix::event::PollFlags::IN)], None)
            .unwrap();
    };
    assert_eq!(out.stdout, b"a\r\n");
}

#[cfg(feature = "async")]
#[test]
fn without_waiting_it_costs_no_time_after_its_input() {
    if common::alone("without_waiting_it_costs_no_time_after_its_input") {
        let mut shell = Command::shell("read line; sleep 1; echo $line");
        let mut running = shell.pty(Window::default()).input("a\n").start_async().unwrap();
        let before = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let out = loop {
            if let Some(result) = running.step() {
                break result.unwrap();
            }
            let mut fds = [rustix::event::PollFd::new(&running, rustix::event::PollFlags::IN)];
            rustix::event::poll(&mut fds, None).unwrap();
        };
        assert_eq!(out.stdout, b"a\r\n");
        let after = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let millis = (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1_000_000;
        assert!(millis < 200, "{millis} ms on a CPU while it slept a second");
    }
}
