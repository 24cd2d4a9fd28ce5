//! Tests at the edges of a call: how soon it returns, signals that interrupt it, streams that are handed on, descriptors
//! in every order, names that are no text.

mod common;

use common::{alone, eventually, long_sleep};
use proc_exec::{Command, Input, KillScope, RunErrorKind, Sink, StartErrorKind, Step, cmd};
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(60);

#[test]
fn smoke() {
    assert_eq!(cmd!("echo", "a").read().unwrap(), "a");
}

/// The shortest of some tries: a busy machine lengthens the others.
fn shortest(enough: Duration, mut call: impl FnMut()) -> Duration {
    let mut shortest = Duration::MAX;
    for _ in 0..10 {
        let start = Instant::now();
        call();
        shortest = shortest.min(start.elapsed());
        if shortest < enough {
            break;
        }
    }
    shortest
}

#[test]
fn a_limit_of_200_ms_is_over_soon_after_it() {
    let enough = Duration::from_millis(260);
    let took = shortest(enough, || {
        let error = cmd!("sleep", long_sleep()).timeout(Duration::from_millis(200)).run().unwrap_err();
        assert!(error.is_timeout());
    });
    assert!(took < enough, "{took:?}");
}

/// Trying again ends with the limit: without one it goes on for a quarter of a second.
#[test]
fn a_program_that_stays_open_for_writing_is_not_tried_beyond_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("busy");
    std::fs::copy("/bin/true", &path).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    let open = File::options().write(true).open(&path).unwrap();
    let enough = Duration::from_millis(150);
    let took = shortest(enough, || {
        let error = Command::new(&path).timeout(Duration::from_millis(40)).run().unwrap_err();
        assert!(error.start_error().is_some(), "{error}");
    });
    assert!(took < enough, "{took:?}");
    drop(open);
}

#[test]
fn a_grandchild_that_holds_the_pipe_costs_the_drain_grace_at_most() {
    let enough = Duration::from_millis(400);
    let took = shortest(enough, || {
        let out = Command::shell("sleep 2 & echo hi").run().unwrap();
        assert!(out.stdout == b"hi\n" && out.incomplete);
    });
    assert!((Duration::from_millis(250)..enough).contains(&took), "{took:?}");
}

#[test]
fn a_kill_is_followed_by_an_end_though_a_grandchild_holds_a_stream() {
    let mark = long_sleep();
    let mut shell = Command::shell(format!("sleep {mark} & exec sleep {mark}"));
    let child = shell.stdin(Input::null()).stderr(Sink::capture()).spawn().unwrap();
    eventually("both run", || common::with_argument(&mark) == 2);
    let start = Instant::now();
    child.kill().unwrap();
    let error = child.wait().unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(8));
    assert_eq!(error.status().unwrap().signal(), Some(9));
    assert!(error.output().unwrap().incomplete);
    cmd!("pkill", "-f", &mark).run().unwrap();
}

#[test]
fn a_grandchild_that_holds_the_input_holds_nobody_up() {
    let mark = long_sleep();
    let start = Instant::now();
    // Far more than a pipe holds, and nobody reads it.
    let line = format!("sleep {mark} <&0 >/dev/null 2>&1 & exit 0");
    cmd!("bash", "-c", line).input(vec![0; 1 << 20]).run().unwrap();
    assert!(start.elapsed() < Duration::from_secs(8));
    cmd!("pkill", "-f", &mark).run().unwrap();
}

static INTERRUPTIONS: AtomicU64 = AtomicU64::new(0);

extern "C" fn interrupt(_: i32) {
    INTERRUPTIONS.fetch_add(1, Ordering::Relaxed);
}

#[test]
fn a_handler_that_runs_each_millisecond_disturbs_no_call() {
    if alone("a_handler_that_runs_each_millisecond_disturbs_no_call") {
        let every = libc::timeval { tv_sec: 0, tv_usec: 1000 };
        let timer = libc::itimerval { it_interval: every, it_value: every };
        // SAFETY: the handler only counts, and is set without SA_RESTART; the structures live.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = interrupt as *const () as usize;
            assert_eq!(libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut()), 0);
            assert_eq!(libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()), 0);
        }
        let bytes = vec![b'x'; 3 << 20];
        for _ in 0..5 {
            assert!(cmd!("cat").input(&bytes).timeout(SOON).run().unwrap().stdout == bytes);
            let start = Instant::now();
            let limit = Duration::from_millis(50);
            assert!(cmd!("sleep", "1000").timeout(limit).run().unwrap_err().is_timeout());
            assert!(start.elapsed() >= limit);
            let child = cmd!("sleep", "0.05").spawn().unwrap();
            assert!(child.wait_timeout(Duration::from_millis(5)).unwrap().is_none());
            child.wait().unwrap();
            let mut cat = cmd!("cat").interactive().unwrap();
            cat.write_line("a").unwrap();
            assert_eq!(cat.read_line().unwrap().as_deref(), Some("a"));
            assert!(cat.communicate(&bytes, SOON).unwrap().stdout == bytes);
        }
        assert!(INTERRUPTIONS.load(Ordering::Relaxed) > 100);
    }
}

#[test]
fn what_is_inherited_arrives() {
    if std::env::var_os("PROC_EXEC_INHERIT").is_some() {
        assert!(Command::shell("echo by status; echo and beside >&2").status().unwrap().success());
        let child = Command::shell("cat; echo by spawn; echo and beside it >&2").spawn().unwrap();
        child.wait().unwrap();
        return;
    }
    let mut inner = Command::new(std::env::current_exe().unwrap());
    inner.args(["--exact", "what_is_inherited_arrives", "--nocapture", "--test-threads=1"]);
    let out = inner.env("PROC_EXEC_INHERIT", "1").input("input of ours\n").run().unwrap();
    let (text, beside) = (out.text_lossy(), out.stderr_lossy());
    assert!(text.contains("by status\ninput of ours\nby spawn\n"), "{text}");
    assert!(beside.contains("and beside\nand beside it\n"), "{beside}");
}

#[test]
fn a_parent_whose_limit_is_below_its_open_descriptors() {
    if alone("a_parent_whose_limit_is_below_its_open_descriptors") {
        let many: Vec<File> = (0..100).map(|_| File::open("/dev/null").unwrap()).collect();
        // Low numbers are free, and the highest that are open are beyond the limit.
        let high: Vec<File> = many.into_iter().skip(60).collect();
        let limit = libc::rlimit { rlim_cur: 40, rlim_max: 1024 };
        // SAFETY: a live structure.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
        let mut list = Command::shell("ls /proc/$$/fd; cat");
        assert_eq!(list.input("x").read().unwrap(), "0\n1\n2\nx");
        // The tie is one more.
        assert_eq!(list.timeout(SOON).read().unwrap().lines().count(), 5);
        assert_eq!(cmd!("echo", "a").pipe(cmd!("cat")).timeout(SOON).read().unwrap(), "a");
        drop(high);
    }
}

#[test]
fn empty_and_odd_elements_of_the_path() {
    let dir = tempfile::tempdir().unwrap();
    let tool = dir.path().join("proc-exec-odd");
    std::fs::write(&tool, "#!/bin/sh\necho found\n").unwrap();
    std::fs::set_permissions(&tool, PermissionsExt::from_mode(0o755)).unwrap();
    let at = dir.path().display();
    let plain = dir.path().join("plain");
    std::fs::write(&plain, "").unwrap();
    // Elements that are no directories, and such that are not there, are passed over.
    let path = format!("{}:/nowhere:{at}", plain.display());
    assert_eq!(cmd!("proc-exec-odd").env("PATH", path).read().unwrap(), "found");
    let error = cmd!("no-such-tool").env("PATH", plain.display().to_string()).run().unwrap_err();
    assert!(error.is_not_found(), "{error}");
    // An empty element is the working directory, for a shell as for us.
    for path in [":/nowhere", "/nowhere:", "/nowhere::/nowhere"] {
        let mut odd = cmd!("proc-exec-odd");
        odd.env("PATH", path).current_dir(dir.path());
        assert_eq!(odd.read().unwrap(), "found", "{path}");
    }
}

#[test]
fn names_and_values_that_are_no_text() {
    let odd = OsString::from_vec(b"odd \xff\xfe".to_vec());
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join(&odd);
    std::fs::copy("/bin/cat", &program).unwrap();
    assert_eq!(cmd!(&program).input("ran").read().unwrap(), "ran");
    let mut shell = Command::shell("printf %s \"$ODD\"");
    assert_eq!(shell.env("ODD", &odd).run().unwrap().stdout, b"odd \xff\xfe");
    let mut env = cmd!("/usr/bin/env");
    env.env_clear().env(&odd, "value");
    assert_eq!(env.run().unwrap().stdout, b"odd \xff\xfe=value\n");
    let error = cmd!("no\0program").run().unwrap_err();
    let start = error.start_error().unwrap();
    assert_eq!((error.kind(), start.kind()), (RunErrorKind::Start, StartErrorKind::InvalidInput), "{error}");
    assert_eq!(cmd!("true").current_dir("a\0b").run().unwrap_err().kind(), RunErrorKind::Start);
    assert_ne!(start.step(), Step::Exec);
}

#[test]
fn both_streams_into_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let mut shell = Command::shell("echo out; echo err >&2; echo out");
    shell.stdout(Sink::create(&log)).merge_stderr().run().unwrap();
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "out\nerr\nout\n");
    shell.stdout(Sink::append(&log)).run().unwrap();
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "out\nerr\nout\n".repeat(2));
    shell.stdout(Sink::merge()).stderr(Sink::create(&log)).run().unwrap();
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "out\nerr\nout\n");
}

#[test]
fn of_two_descriptors_for_one_number_the_last_counts() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| File::create(dir.path().join(name)).unwrap();
    let text = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    let mut shell = Command::shell("echo three >&3; echo one");
    shell.fd(3, file("first")).fd(3, file("last"));
    assert_eq!(shell.read().unwrap(), "one");
    assert_eq!((text("first"), text("last")), (String::new(), "three\n".to_owned()));
    // So it is with the streams.
    let mut shell = Command::shell("echo over one");
    shell.fd(1, file("stream"));
    assert_eq!(shell.read().unwrap(), "");
    assert_eq!(text("stream"), "over one\n");
}

/// A descriptor with this very number: whatever else has it is in the way.
fn numbered(file: &File, number: i32) -> OwnedFd {
    let fd = rustix::io::fcntl_dupfd_cloexec(file, number).unwrap();
    assert_eq!(std::os::fd::AsRawFd::as_raw_fd(&fd), number);
    fd
}

#[test]
fn descriptors_that_have_each_others_numbers() {
    if alone("descriptors_that_have_each_others_numbers") {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| File::create(dir.path().join(name)).unwrap();
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        // What is at 50 goes to 51, 51 to 52, 52 to 50; 53 stays where it is.
        for (number, target) in [(50, 51), (51, 52), (52, 50), (53, 53)] {
            file(&format!("at{number}")).write_all(format!("{number}->{target}\n").as_bytes()).unwrap();
        }
        let append = |name: String| File::options().append(true).open(dir.path().join(name)).unwrap();
        let mut bash = cmd!("bash", "-c", "for n in 50 51 52 53; do echo here $n >&$n; done");
        for (number, target) in [(50, 51), (51, 52), (52, 50), (53, 53)] {
            bash.fd(target, numbered(&append(format!("at{number}")), number));
        }
        bash.run().unwrap();
        for (number, target) in [(50, 51), (51, 52), (52, 50), (53, 53)] {
            assert_eq!(read(&format!("at{number}")), format!("{number}->{target}\nhere {target}\n"));
        }
    }
}

#[test]
fn streams_in_every_order_with_one_closed() {
    if alone("streams_in_every_order_with_one_closed") {
        let saved: Vec<OwnedFd> =
            [0, 1, 2].map(|fd| rustix::io::fcntl_dupfd_cloexec(borrow(fd), 100).unwrap()).into();
        let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        for order in orders {
            for closed in 0..3 {
                // Files of ours have the low numbers, so that each is in the way of another.
                (0..3).for_each(close);
                let file = || File::options().read(true).write(true).open("/dev/null").unwrap();
                let mut ends: Vec<Option<OwnedFd>> = (0..3).map(|_| Some(file().into())).collect();
                ends[closed] = None;
                let mut shell = Command::shell("test -e /proc/self/fd/0 && echo out; echo err >&2");
                for (number, at) in order.into_iter().enumerate() {
                    match (number, ends[at].take()) {
                        (0, Some(fd)) => drop(shell.stdin(fd)),
                        (1, Some(fd)) => drop(shell.stdout(fd)),
                        (_, Some(fd)) => drop(shell.stderr(fd)),
                        (_, None) => {}
                    }
                }
                let result = shell.unchecked().timeout(SOON).run();
                saved.iter().zip(0..).for_each(|(copy, fd)| restore(copy, fd));
                let out = result.unwrap();
                let is_captured = |number: usize| order[number] == closed;
                assert_eq!(out.stdout == b"out\n", is_captured(1), "{order:?} {closed} {out:?}");
                assert_eq!(out.stderr == b"err\n", is_captured(2), "{order:?} {closed} {out:?}");
            }
        }
    }
}

fn borrow(fd: i32) -> std::os::fd::BorrowedFd<'static> {
    // SAFETY: descriptors 0 to 2 are open when this is called, and are put back before anybody misses them.
    unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) }
}

fn close(fd: i32) {
    // SAFETY: the test runs alone in its process, and nobody owns these numbers.
    unsafe { libc::close(fd) };
}

fn restore(copy: &OwnedFd, fd: i32) {
    // SAFETY: as in `close`; what is at the number was put there by this test.
    unsafe { libc::dup2(std::os::fd::AsRawFd::as_raw_fd(copy), fd) };
}

#[test]
fn output_that_comes_with_the_end_is_not_lost() {
    // Its write, the close and our look at the pipe meet in every order.
    for i in 0..300 {
        let out = cmd!("/bin/echo", i.to_string()).run().unwrap();
        assert_eq!(out.text().unwrap(), format!("{i}\n"));
        let child =
            cmd!("/bin/echo", "late").stdout(Sink::capture()).kill_scope(KillScope::Child).spawn().unwrap();
        assert_eq!(child.into_output().unwrap().stdout, b"late\n");
    }
}

#[test]
fn a_held_pipe_is_no_end_for_a_look() {
    let child = cmd!("cat").stdin(Input::pipe()).stdout(Sink::capture()).spawn().unwrap();
    let mut input = File::from(child.take_stdin().unwrap());
    let mut output = File::from(child.take_output(proc_exec::Stream::Stdout).unwrap());
    for _ in 0..5 {
        assert!(child.try_wait().unwrap().is_none());
        input.write_all(b"a").unwrap();
        output.read_exact(&mut [0]).unwrap();
    }
    drop(input);
    eventually("it has ended", || child.try_wait().unwrap().is_some());
}
