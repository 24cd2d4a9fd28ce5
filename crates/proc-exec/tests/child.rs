//! Tests for handles: waiting and killing from many threads, dropping, detaching, waiting for the first of many.

mod common;

use common::{assert_none_left, eventually, long_sleep, with_argument};
use proc_exec::{Child, Command, Input, KillScope, RunErrorKind, Sink, Stream, cmd, wait_any};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(8);
const SHORT: Duration = Duration::from_millis(50);

fn assert_shared<T: Clone + Send + Sync + AsFd + std::fmt::Debug>() {}

#[test]
fn smoke() {
    assert_shared::<Child>();
    let child = cmd!("sh", "-c", "exit 0").spawn().unwrap();
    assert!(child.wait().unwrap().status.success());
    assert!(child.wait().unwrap().status.success());
}

#[test]
fn wait_and_kill_from_eight_threads_at_once() {
    for _ in 0..20 {
        let child = cmd!("sh", "-c", format!("echo begun; exec sleep {}", long_sleep()))
            .stdout(Sink::capture())
            .spawn()
            .unwrap();
        // It is `sleep` by now, so it has written.
        let name = format!("/proc/{}/comm", child.id());
        eventually("it has begun", || {
            std::fs::read_to_string(&name).is_ok_and(|name| name.trim() == "sleep")
        });
        let threads: Vec<_> = (0..8)
            .map(|i| {
                let child = child.clone();
                std::thread::spawn(move || {
                    if i % 2 == 0 {
                        std::thread::sleep(Duration::from_millis(20));
                        child.kill().unwrap();
                    }
                    let error = child.wait().unwrap_err();
                    child.kill().unwrap();
                    (error.status().unwrap(), error.output().unwrap().stdout.clone())
                })
            })
            .collect();
        for thread in threads {
            let (status, stdout) = thread.join().unwrap();
            assert_eq!((status.signal(), &stdout[..]), (Some(9), &b"begun\n"[..]));
        }
    }
}

#[test]
fn a_wait_with_a_time_out_is_never_early_and_loses_nothing() {
    let mut shell = Command::shell("echo one; sleep 0.3; echo two");
    let child = shell.stdout(Sink::capture()).spawn().unwrap();
    assert!(child.try_wait().unwrap().is_none());
    let start = Instant::now();
    let mut turns = 0;
    let output = loop {
        let start = Instant::now();
        match child.wait_timeout(SHORT).unwrap() {
            Some(output) => break output,
            None => assert!(start.elapsed() >= SHORT),
        }
        turns += 1;
    };
    assert!(turns > 0 && start.elapsed() < SOON);
    assert_eq!(output.stdout, b"one\ntwo\n");
}

#[test]
fn a_waiter_gives_its_turn_to_another_when_its_time_is_over() {
    let child = cmd!("sh", "-c", "echo a; sleep 0.4; echo b").stdout(Sink::capture()).spawn().unwrap();
    let (one, two) = (child.clone(), child.clone());
    let short = std::thread::spawn(move || one.wait_timeout(SHORT).unwrap().is_none());
    let long = std::thread::spawn(move || two.wait().unwrap().stdout);
    assert!(short.join().unwrap());
    assert_eq!(long.join().unwrap(), b"a\nb\n");
}

#[test]
fn dropping_the_last_handle_kills_and_reaps() {
    let mark = long_sleep();
    let child = Command::shell(format!("sleep {mark} & sleep {mark}"))
        .kill_scope(KillScope::Group)
        .stdin(Input::null())
        .spawn()
        .unwrap();
    let other = child.clone();
    drop(child);
    eventually("all have started", || with_argument(&mark) == 3);
    let id = other.id();
    drop(other);
    assert!(std::fs::metadata(format!("/proc/{id}")).is_err(), "not reaped");
    assert_none_left(&mark);
}

#[test]
fn a_detached_program_goes_on_and_is_reaped_by_a_later_start() {
    let mark = long_sleep();
    let mut sleep = cmd!("sleep", &mark);
    sleep.stdin(Input::null()).kill_scope(KillScope::Group);
    let child = sleep.spawn().unwrap();
    let id = child.id();
    let other = child.clone();
    child.detach();
    assert_eq!(other.wait().unwrap_err().kind(), RunErrorKind::InvalidInput);
    drop(other);
    std::thread::sleep(SHORT);
    eventually("it runs", || with_argument(&mark) == 1);
    Command::new("kill").arg(id.to_string()).run().unwrap();
    eventually("it is reaped", || {
        cmd!("true").run().unwrap();
        std::fs::metadata(format!("/proc/{id}")).is_err()
    });
}

#[test]
fn the_first_of_many_is_waited_for() {
    let slow = cmd!("sleep", long_sleep()).spawn().unwrap();
    let loud = cmd!("sh", "-c", "head -c 1000000 /dev/zero").stdout(Sink::capture()).spawn().unwrap();
    // It fills its pipe: only if its output moves does it end.
    assert_eq!(wait_any(&[&slow, &loud], None).unwrap(), Some(1));
    assert_eq!(loud.wait().unwrap().stdout.len(), 1_000_000);
    let start = Instant::now();
    assert_eq!(wait_any(&[&slow], SHORT).unwrap(), None);
    assert!(start.elapsed() >= SHORT);
    assert_eq!(wait_any(&[], None).unwrap(), None);

    let other = slow.clone();
    let waiter = std::thread::spawn(move || other.wait().unwrap_err().status().unwrap().signal());
    std::thread::sleep(SHORT);
    slow.terminate().unwrap();
    assert_eq!(wait_any(&[&slow], None).unwrap(), Some(0));
    assert_eq!(waiter.join().unwrap(), Some(15));
}

#[test]
fn two_programs_that_talk_to_each_other() {
    // Each reads what the other writes; their standard errors, which we capture, fill beyond a pipe.
    let (there, back) =
        (std::os::unix::net::UnixStream::pair().unwrap(), std::os::unix::net::UnixStream::pair().unwrap());
    let talk = "head -c 200000 /dev/zero >&2; read line; echo got $line >&2";
    let mut one = Command::shell(format!("echo hello; {talk}"));
    one.stdin(back.1).stdout(there.0).stderr(Sink::capture());
    let mut two = Command::shell(format!("{talk}; echo answer"));
    two.stdin(there.1).stdout(back.0).stderr(Sink::capture());
    let (one, two) = (one.spawn().unwrap(), two.spawn().unwrap());
    assert!(wait_any(&[&one, &two], SOON).unwrap().is_some());
    for (child, said) in [(one, "got answer\n"), (two, "got hello\n")] {
        assert!(child.wait().unwrap().stderr.ends_with(said.as_bytes()));
    }
}

#[test]
fn descriptors_can_be_taken() {
    let child = cmd!("cat").stdin(Input::pipe()).stdout(Sink::capture()).spawn().unwrap();
    let mut input = File::from(child.take_stdin().unwrap());
    let mut output = File::from(child.take_output(Stream::Stdout).unwrap());
    assert!(child.take_stdin().is_none() && child.take_output(Stream::Stderr).is_none());
    input.write_all(b"by hand").unwrap();
    drop(input);
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    assert_eq!(text, "by hand");
    assert!(child.wait().unwrap().stdout.is_empty());
}

#[test]
fn an_input_that_nobody_takes_hangs_no_verb() {
    let cat = || {
        let mut cat = cmd!("cat");
        cat.stdin(Input::pipe()).stdout(Sink::capture()).timeout(SOON);
        cat
    };
    assert!(cat().run().unwrap().stdout.is_empty());
    assert!(cat().output().unwrap().status.success());
    assert_eq!(cat().read().unwrap(), "");
    assert!(cat().stdout(Sink::null()).status().unwrap().success());
    assert_eq!(cat().lines().unwrap().count(), 0);
    assert!(cat().pipe(cmd!("cat")).run().unwrap().stdout.is_empty());
    // A handle could take it until it is waited for to the end.
    let child = cat().spawn().unwrap();
    assert!(child.wait_timeout(SHORT).unwrap().is_none() && child.try_wait().unwrap().is_none());
    child.wait().unwrap();
    cat().spawn().unwrap().into_output().unwrap();
    let child = cat().spawn().unwrap();
    assert!(child.wait_deadline(None).unwrap().is_some());
    // One that waits for a time does not keep another from the end.
    let child = cat().spawn().unwrap();
    let other = child.clone();
    let waiter = std::thread::spawn(move || other.wait_timeout(SOON).unwrap().is_some());
    std::thread::sleep(SHORT);
    child.wait().unwrap();
    assert!(waiter.join().unwrap());
    // One that was taken is its taker's.
    let child = cat().spawn().unwrap();
    let held = child.take_stdin();
    assert!(child.try_wait().unwrap().is_none());
    drop(held);
    child.wait().unwrap();
}

#[test]
fn descriptors_can_be_taken_while_another_waits() {
    let spawn = || {
        let mut cat = cmd!("cat");
        cat.stdin(Input::pipe()).stdout(Sink::capture()).timeout(SOON).spawn().unwrap()
    };
    type Wait = fn(&Child) -> bool;
    let waits: [Wait; 2] = [
        |child| child.wait_timeout(SOON).unwrap().is_some(),
        |child| wait_any(&[child], SOON).unwrap().is_some(),
    ];
    for wait in waits {
        let child = spawn();
        let other = child.clone();
        let waiter = std::thread::spawn(move || wait(&other));
        std::thread::sleep(SHORT);
        let mut input = File::from(child.take_stdin().unwrap());
        let mut output = File::from(child.take_output(Stream::Stdout).unwrap());
        assert!(child.take_stdin().is_none());
        input.write_all(b"by hand").unwrap();
        drop(input);
        let mut text = String::new();
        output.read_to_string(&mut text).unwrap();
        assert_eq!(text, "by hand");
        assert!(waiter.join().unwrap());
        assert!(child.wait().unwrap().stdout.is_empty());
    }
}

#[test]
fn detaching_tells_those_who_wait() {
    let mark = long_sleep();
    for by_callback in [false, true] {
        let mut shell = Command::shell(format!("echo line; exec sleep {mark}"));
        shell.stdin(Input::null()).kill_scope(KillScope::Group);
        let handle = std::sync::Arc::new(std::sync::Mutex::new(None::<Child>));
        if by_callback {
            let handle = handle.clone();
            shell.on_line(move |_| {
                let child = handle.lock().unwrap().take().unwrap();
                assert!(child.take_stdin().is_none() && child.take_output(Stream::Stdout).is_none());
                child.detach();
            });
        }
        let child = shell.spawn().unwrap();
        *handle.lock().unwrap() = Some(child.clone());
        let id = child.id();
        let waiter = std::thread::spawn(move || child.wait_timeout(SOON).map(|_| ()).unwrap_err());
        if !by_callback {
            std::thread::sleep(SHORT);
            let child = handle.lock().unwrap().take().unwrap();
            child.detach();
        }
        assert_eq!(waiter.join().unwrap().kind(), RunErrorKind::InvalidInput);
        eventually("it runs", || with_argument(&mark) == 1);
        cmd!("kill", id.to_string()).run().unwrap();
        assert_none_left(&mark);
    }
}

#[test]
fn a_panic_in_one_callback_leaves_the_other_programs_alone() {
    let mark = long_sleep();
    let loud = Command::shell("sleep 0.1; echo line; sleep 60")
        .on_line(|_| panic!("on purpose"))
        .stdin(Input::null())
        .kill_scope(KillScope::Group)
        .spawn()
        .unwrap();
    let mut quiet = Command::shell(format!("sleep 0.5; echo well; : {mark}"));
    let quiet: Vec<_> = (0..2).map(|_| quiet.stdout(Sink::capture()).spawn().unwrap()).collect();
    let all = [&quiet[0], &loud, &quiet[1]];
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| wait_any(&all, None)));
    assert!(panicked.is_err());
    assert_eq!(loud.wait().unwrap_err().kind(), RunErrorKind::Io);
    for child in &quiet {
        assert_eq!(child.wait().unwrap().stdout, b"well\n");
    }
}

#[test]
fn what_was_left_is_reaped_though_a_sibling_runs_on() {
    if common::alone("what_was_left_is_reaped_though_a_sibling_runs_on") {
        let mark = long_sleep();
        let mut second = cmd!("true");
        let mut first = cmd!("sleep", &mark);
        let child = first.stdin(Input::null()).stderr(Sink::null()).pipe(&mut second).spawn().unwrap();
        let ids: Vec<_> = child.ids().collect();
        child.detach();
        eventually("the second is reaped", || {
            cmd!("true").run().unwrap();
            std::fs::metadata(format!("/proc/{}", ids[1])).is_err()
        });
        cmd!("kill", ids[0].to_string()).run().unwrap();
    }
}

#[test]
fn output_is_taken_without_a_copy_by_the_last_handle() {
    let mut seq = cmd!("seq", "100000");
    seq.stdout(Sink::capture());
    let child = seq.spawn().unwrap();
    assert_eq!(child.into_output().unwrap().stdout.len(), 588_895);
    let child = seq.spawn().unwrap();
    child.wait().unwrap();
    assert_eq!(child.into_output().unwrap().stdout.len(), 588_895);
}

#[test]
fn a_panicking_callback_ends_the_program_and_every_wait() {
    let mark = long_sleep();
    let child = Command::shell(format!("echo line; sleep {mark}"))
        .on_line(|_| panic!("on purpose"))
        .stdin(Input::null())
        .kill_scope(KillScope::Group)
        .spawn()
        .unwrap();
    let other = child.clone();
    assert!(std::thread::spawn(move || other.wait()).join().is_err());
    assert_eq!(child.wait().unwrap_err().kind(), RunErrorKind::Io);
    assert_none_left(&mark);
}

#[test]
fn readable_as_a_descriptor_once_ended() {
    let child = cmd!("true").spawn().unwrap();
    let mut fds = [rustix::event::PollFd::new(&child, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut fds, None).unwrap();
    assert!(child.has_ended().unwrap());
    child.wait().unwrap();
}
