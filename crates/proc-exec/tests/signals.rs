//! Tests for who hears of a signal, and how often: leaders, their groups and trees, later stages, what is stopped.

mod common;

use common::{assert_none_left, eventually, long_sleep, with_argument};
use proc_exec::{Child, Command, Input, KillScope, Sink, Stream, cmd};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const LIMIT: Duration = Duration::from_millis(300);
const SOON: Duration = Duration::from_secs(60);
/// A signal that queues: if it is sent twice, it comes twice.
const COUNTED: i32 = 40;

#[test]
fn smoke() {
    let child = cmd!("sleep", long_sleep()).spawn().unwrap();
    child.terminate().unwrap();
    assert_eq!(child.wait().unwrap_err().status().unwrap().signal(), Some(15));
}

/// This file's test `name` as a program, which does what it does where `PROC_EXEC_INSIDE` is set.
fn inside(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env("PROC_EXEC_INSIDE", "1");
    command
}

fn is_inside() -> bool {
    std::env::var_os("PROC_EXEC_INSIDE").is_some()
}

static HEARD: AtomicU32 = AtomicU32::new(0);

extern "C" fn hear(_: i32) {
    HEARD.fetch_add(1, Ordering::Relaxed);
}

/// Says how often it gets [`COUNTED`].
fn count() {
    // SAFETY: the handler does nothing but count.
    unsafe { libc::signal(COUNTED, hear as *const () as usize) };
    println!("\nready");
    eventually("it hears of it", || HEARD.load(Ordering::Relaxed) > 0);
    std::thread::sleep(LIMIT);
    println!("\nheard it {} times", HEARD.load(Ordering::Relaxed));
}

fn heard(child: &Child) -> String {
    let mut output = BufReader::new(File::from(child.take_output(Stream::Stdout).unwrap())).lines();
    output.find(|line| line.as_ref().unwrap() == "ready").unwrap().unwrap();
    child.signal(COUNTED).unwrap();
    output.find(|line| line.as_ref().unwrap().starts_with("heard")).unwrap().unwrap()
}

#[test]
fn each_process_hears_of_a_signal_once() {
    const NAME: &str = "each_process_hears_of_a_signal_once";
    if is_inside() {
        return count();
    }
    let below = || {
        let mut shell = Command::shell(format!(
            "'{}' --exact {NAME} --nocapture --test-threads=1 & wait",
            std::env::current_exe().unwrap().display()
        ));
        shell.env("PROC_EXEC_INSIDE", "1");
        shell
    };
    for scope in [KillScope::Child, KillScope::Group, KillScope::Tree] {
        let mut alone = inside(NAME);
        alone.stdin(Input::null()).stdout(Sink::capture()).kill_scope(scope);
        assert_eq!(heard(&alone.spawn().unwrap()), "heard it 1 times", "{scope:?}");
        let mut second = inside(NAME);
        second.stdout(Sink::capture());
        let mut pipeline = cmd!("sleep", long_sleep()).stdin(Input::null()).kill_scope(scope).pipe(second);
        assert_eq!(heard(&pipeline.spawn().unwrap()), "heard it 1 times", "{scope:?}");
        if scope != KillScope::Child {
            let mut below = below();
            below.stdin(Input::null()).stdout(Sink::capture()).kill_scope(scope);
            assert_eq!(heard(&below.spawn().unwrap()), "heard it 1 times", "{scope:?}");
        }
    }
}

#[test]
fn a_leader_that_moved_to_another_group_is_reached() {
    if is_inside() {
        // SAFETY: numbers only. Our parent's group is one that we may join: it is in the same session.
        unsafe { assert_eq!(libc::setpgid(0, libc::getpgid(libc::getppid())), 0) };
        println!("moved");
        std::thread::sleep(SOON);
        return;
    }
    for scope in [KillScope::Group, KillScope::Tree] {
        let mut mover = inside("a_leader_that_moved_to_another_group_is_reached");
        let error = mover.timeout(LIMIT * 2).kill_scope(scope).run().unwrap_err();
        assert!(error.is_timeout() && !error.is_still_running(), "{error}");
        assert!(error.output().unwrap().text_lossy().contains("moved"));
        assert_eq!(error.status().unwrap().signal(), Some(15), "{scope:?}");
        // Left alone by a kill as well it would be there for a minute.
        let mover = mover.stdin(Input::null()).stdout(Sink::null()).spawn().unwrap();
        std::thread::sleep(LIMIT);
        mover.kill().unwrap();
        assert_eq!(mover.wait().unwrap_err().status().unwrap().signal(), Some(9));
    }
}

fn state_of(pid: u32) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(") ").next().unwrap()[..1].to_owned()
}

#[test]
fn what_is_told_to_stop_stays_so() {
    for scope in [KillScope::Child, KillScope::Group, KillScope::Tree] {
        for stop in [libc::SIGSTOP, libc::SIGTSTP] {
            // In a group of its own, with us outside: the kernel lets no orphaned group be stopped by SIGTSTP, and ours
            // is one under many a runner.
            let mut sleep = cmd!("sleep", long_sleep());
            let child = sleep.stdin(Input::null()).process_group(0).kill_scope(scope).spawn().unwrap();
            child.signal(stop).unwrap();
            eventually("it is stopped", || state_of(child.id()) == "T");
            std::thread::sleep(Duration::from_millis(30));
            assert_eq!(state_of(child.id()), "T", "{scope:?} {stop}");
            // A signal that it does not handle yet is no reason to go on.
            child.signal(libc::SIGWINCH).unwrap();
            std::thread::sleep(Duration::from_millis(30));
            assert_eq!(state_of(child.id()), "T", "{scope:?} {stop}");
            child.signal(libc::SIGCONT).unwrap();
            eventually("it goes on", || state_of(child.id()) == "S");
            child.terminate().unwrap();
            assert_eq!(child.wait().unwrap_err().status().unwrap().signal(), Some(15));
        }
    }
}

#[test]
fn later_stages_are_reached_whatever_the_first_leads() {
    let mark = long_sleep();
    let background = || Command::shell(format!("sleep {mark} & sleep {mark}"));
    let firsts: [fn(&mut Command) -> &mut Command; 3] =
        [|first| first.session(), |first| first.process_group(0), |first| first];
    for first in firsts {
        let mut begin = background();
        let error = first(&mut begin).pipe(background()).pipe(background()).timeout(LIMIT).run().unwrap_err();
        assert!(error.is_timeout() && !error.is_still_running(), "{error}");
        assert_none_left(&mark);
    }
}

#[test]
fn stages_join_the_group_of_the_first_or_one_of_their_own() {
    let groups = |first: &mut Command| -> Vec<u32> {
        let ps = || Command::shell("ps -o pgid= -p $$ >&2; cat");
        let out = first.args(["-c", "ps -o pgid= -p $$ >&2"]).pipe(ps()).pipe(ps()).run().unwrap();
        out.stderr_lossy().split_whitespace().map(|n| n.parse().unwrap()).collect()
    };
    let ours = rustix::process::getpgrp().as_raw_nonzero().get() as u32;
    assert_eq!(groups(&mut cmd!("sh")), [ours; 3]);
    let one = groups(cmd!("sh").process_group(0));
    assert!(one[0] != ours && one.iter().all(|group| *group == one[0]), "{one:?}");
    // Nobody can join the group of another session.
    let two = groups(cmd!("sh").session());
    assert!(two[0] != ours && two[1] != two[0] && two[1] != ours && two[1] == two[2], "{two:?}");
}

#[test]
fn what_a_session_left_is_killed_only_where_a_bound_was_asked_for() {
    let start = |change: fn(&mut Command) -> &mut Command| {
        let mark = long_sleep();
        let mut shell = Command::shell(format!("sleep {mark} >/dev/null 2>&1 & echo done"));
        assert_eq!(change(&mut shell).read().unwrap(), "done");
        mark
    };
    for unbounded in [start(|shell| shell.session()), start(|shell| shell.process_group(0))] {
        eventually("it runs", || with_argument(&unbounded) == 1);
        cmd!("pkill", "-f", &unbounded).run().unwrap();
    }
    for bounded in [
        start(|shell| shell.session().timeout(SOON)),
        start(|shell| shell.process_group(0).kill_scope(KillScope::Group)),
        start(|shell| shell.session().die_with_parent(true)),
    ] {
        assert_none_left(&bounded);
    }
}
