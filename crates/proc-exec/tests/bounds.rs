//! Tests for time limits, cancellation and limits of the output: they hold, keep what came, and leave nobody.

mod common;

use common::{assert_none_left, eventually, long_sleep, with_argument};
use proc_exec::{CancelToken, Command, Input, KillScope, Overflow, RunErrorKind, cmd};
use std::time::{Duration, Instant};

/// Enough for a shell to write a line on a busy machine.
const LIMIT: Duration = Duration::from_millis(500);
/// Far below any sleep, far above what a busy machine needs.
const SOON: Duration = Duration::from_secs(8);

#[test]
fn smoke() {
    let start = Instant::now();
    let error = cmd!("sleep", long_sleep()).timeout(LIMIT).run().unwrap_err();
    assert!(error.is_timeout() && !error.is_still_running(), "{error}");
    assert_eq!(error.status().unwrap().signal(), Some(15));
    assert!((LIMIT..SOON).contains(&start.elapsed()));
}

#[test]
fn a_limit_bounds_a_shell_with_children_keeps_the_output_and_leaves_no_survivor() {
    let mark = long_sleep();
    let start = Instant::now();
    let line = format!("echo started; echo why >&2; sleep {mark} & sleep {mark} & sleep {mark}");
    let error = Command::shell(line).timeout(LIMIT).run().unwrap_err();
    assert!(error.is_timeout());
    let output = error.output().unwrap();
    assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"started\n"[..], &b"why\n"[..]));
    assert!((LIMIT..SOON).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert_none_left(&mark);
}

#[test]
fn who_ignores_sigterm_is_killed_after_the_grace() {
    let mark = long_sleep();
    let line = format!("trap '' TERM; echo deaf; sleep {mark} & sleep {mark}");
    let start = Instant::now();
    let error = Command::shell(line).timeout(LIMIT).grace(Duration::from_millis(150)).run().unwrap_err();
    assert_eq!(error.status().unwrap().signal(), Some(9));
    assert_eq!(error.output().unwrap().stdout, b"deaf\n");
    assert!((Duration::from_millis(350)..SOON).contains(&start.elapsed()));
    assert_none_left(&mark);
}

#[test]
fn who_cleans_up_within_the_grace_is_heard() {
    let line = "trap 'echo cleaned; exit 7' TERM; echo ready; while :; do sleep 0.05; done";
    let error = Command::shell(line).timeout(LIMIT).grace(SOON).run().unwrap_err();
    assert_eq!(error.output().unwrap().stdout, b"ready\ncleaned\n");
    assert_eq!(error.status().unwrap().code(), Some(7));
    let text = error.to_string();
    assert!(text.contains("timed out and exited with code 7"), "{text}");
}

#[test]
fn a_grandchild_that_holds_the_pipe_cannot_stretch_the_call() {
    let start = Instant::now();
    let mark = long_sleep();
    let out = Command::shell(format!("sleep {mark} & echo hi")).run().unwrap();
    assert_eq!(out.stdout, b"hi\n");
    assert!(out.incomplete && out.status.success());
    assert!(start.elapsed() < SOON);
    // No bound, so no group: what it left in the background is its own business.
    eventually("it runs", || with_argument(&mark) == 1);
    Command::new("pkill").args(["-f", &mark]).run().unwrap();
}

#[test]
fn a_grandchild_that_escapes_its_group_cannot_stretch_a_limited_call() {
    let start = Instant::now();
    let mark = long_sleep();
    let line = format!("setsid sleep {mark} & echo hi; sleep {mark}");
    let error = Command::shell(line).timeout(LIMIT).run().unwrap_err();
    assert!(error.is_timeout() && start.elapsed() < SOON);
    assert_eq!(error.output().unwrap().stdout, b"hi\n");
    Command::new("pkill").args(["-f", &mark]).ok_codes([0, 1]).run().unwrap();
}

#[test]
fn scope_tree_reaches_who_made_a_session() {
    let mark = long_sleep();
    let line = format!("setsid sh -c 'sleep {mark}; :' & setsid sleep {mark} & sleep {mark}");
    let error = Command::shell(line).timeout(LIMIT).kill_scope(KillScope::Tree).run().unwrap_err();
    assert!(error.is_timeout());
    assert_none_left(&mark);
}

#[test]
fn scope_child_leaves_the_others_alone() {
    let mark = long_sleep();
    let line = format!("sleep {mark} & exec sleep {mark}");
    let error = Command::shell(line).timeout(LIMIT).kill_scope(KillScope::Child).run().unwrap_err();
    assert!(error.is_timeout());
    eventually("it runs", || with_argument(&mark) == 1);
    Command::new("pkill").args(["-f", &mark]).run().unwrap();
}

#[test]
fn scope_cgroup_reaches_everybody() {
    // A folder that looks like a control group, so that this holds where none can be made.
    let folder = tempfile::tempdir().unwrap();
    for name in ["cgroup.procs", "cgroup.kill"] {
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    let error = cmd!("sleep", long_sleep())
        .timeout(LIMIT)
        .grace(Duration::ZERO)
        .cgroup(folder.path())
        .run()
        .unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(std::fs::read(folder.path().join("cgroup.procs")).unwrap(), b"0");
    assert_eq!(std::fs::read(folder.path().join("cgroup.kill")).unwrap(), b"1");

    let Some(real) = control_group() else { return };
    let mark = long_sleep();
    // Out of the group, the session, and the family.
    let line = format!("setsid sh -c 'sleep {mark} & :' ; sleep {mark}");
    let error = Command::shell(line).timeout(LIMIT).cgroup(&real).run().unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert_none_left(&mark);
    eventually("the group is empty", || std::fs::remove_dir(&real).is_ok());
}

/// A control group of version 2, where we may make one.
fn control_group() -> Option<std::path::PathBuf> {
    let name = format!("proc-exec-{}", std::process::id());
    let roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
    let root =
        roots.into_iter().find(|root| std::path::Path::new(root).join("cgroup.controllers").exists())?;
    let folder = std::path::Path::new(root).join(name);
    std::fs::create_dir(&folder).ok()?;
    Some(folder)
}

#[test]
fn what_the_group_left_is_killed_when_the_call_returns_well() {
    let mark = long_sleep();
    let out = Command::shell(format!("sleep {mark} >/dev/null 2>&1 & echo done")).timeout(SOON).read();
    assert_eq!(out.unwrap(), "done");
    assert_none_left(&mark);
}

#[test]
fn huge_zero_and_unreached_limits() {
    assert_eq!(cmd!("echo", "a").timeout(Duration::MAX).read().unwrap(), "a");
    assert_eq!(cmd!("echo", "a").timeout(SOON).read().unwrap(), "a");
    let mut ages = Command::shell("sleep 0.3 & echo a");
    ages.timeout(SOON).grace(Duration::MAX).drain_grace(Duration::MAX);
    assert_eq!(ages.read().unwrap(), "a");
    let error = cmd!("sleep", long_sleep()).timeout(LIMIT).grace(Duration::MAX).run().unwrap_err();
    assert!(error.is_timeout());
    let start = Instant::now();
    let error = cmd!("sleep", long_sleep()).timeout(Duration::ZERO).run().unwrap_err();
    assert!(error.is_timeout() && start.elapsed() < SOON);
    let child = cmd!("sleep", "0.05").spawn().unwrap();
    assert!(child.wait_timeout(Duration::MAX).unwrap().is_some());
}

#[test]
fn a_limit_covers_input_that_nobody_reads() {
    let start = Instant::now();
    let error = cmd!("sleep", long_sleep()).input(vec![0; 4 << 20]).timeout(LIMIT).run().unwrap_err();
    assert!(error.is_timeout() && start.elapsed() < SOON);
}

#[test]
fn a_stopped_program_hears_of_its_end() {
    let start = Instant::now();
    let mut shell = Command::shell("echo a; kill -STOP $$; echo b");
    let error = shell.timeout(LIMIT).grace(Duration::from_secs(60)).run().unwrap_err();
    assert!(error.is_timeout() && start.elapsed() < SOON);
    assert_eq!(error.status().unwrap().signal(), Some(15));
    assert_eq!(error.output().unwrap().stdout, b"a\n");
}

#[test]
fn a_firehose_keeps_to_the_limit() {
    let start = Instant::now();
    let error = cmd!("yes").timeout(LIMIT).output_limit(1000, Overflow::Truncate).run().unwrap_err();
    assert!(error.is_timeout() && start.elapsed() < SOON);
    assert_eq!(error.output().unwrap().stdout, b"y\n".repeat(500));
}

#[test]
fn cancelling_ends_a_call_of_another_thread() {
    let token = CancelToken::new().unwrap();
    let stop = token.clone();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        stop.cancel();
    });
    let start = Instant::now();
    let mut sleep = cmd!("sh", "-c", format!("echo so far; sleep {}", long_sleep()));
    let error = sleep.cancel_with(&token).kill_scope(KillScope::Group).run().unwrap_err();
    assert!(error.is_cancelled() && start.elapsed() < SOON, "{error}");
    assert_eq!(error.output().unwrap().stdout, b"so far\n");
    thread.join().unwrap();
    assert!(cmd!("sleep", long_sleep()).cancel_with(&token).run().unwrap_err().is_cancelled());
}

#[test]
fn output_limits_fail_truncate_or_keep_both_ends() {
    let numbers = || cmd!("seq", "1", "200000");
    let all = numbers().run().unwrap().stdout;
    let error = numbers().output_limit(1000, Overflow::Fail).run().unwrap_err();
    assert!(error.is_output_limit());
    assert_eq!(error.output().unwrap().stdout, all[..1000]);

    let out = numbers().output_limit(1000, Overflow::Truncate).run().unwrap();
    assert_eq!(out.stdout, all[..1000]);
    assert_eq!(out.omitted, (all.len() - 1000) as u64);

    for limit in [0, 1, 1000, 100_001, all.len() - 1, all.len(), all.len() + 1] {
        let out = numbers().output_limit(limit, Overflow::HeadAndTail).run().unwrap();
        let kept = limit.min(all.len());
        let (head, tail) = if kept == all.len() { (kept, 0) } else { (limit / 2, limit - limit / 2) };
        assert!(out.stdout[..head] == all[..head], "{limit}");
        assert!(out.stdout[head..] == all[all.len() - tail..], "{limit}");
        assert_eq!(out.omitted, (all.len() - kept) as u64, "{limit}");
    }
}

#[test]
fn a_line_of_a_hundred_megabytes_under_a_limit() {
    let line = "head -c 100000000 /dev/zero | tr '\\0' x; echo; echo next";
    let mut shell = Command::shell(line);
    let mut lines = shell.output_limit(1 << 20, Overflow::Fail).lines().unwrap();
    let error = lines.next().unwrap().unwrap_err();
    assert!(error.is_output_limit(), "{error}");
    assert!(lines.next().is_none());

    let lines: Vec<String> = Command::shell(line).lines().unwrap().map(Result::unwrap).collect();
    assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [100_000_000, 4]);
}

#[test]
fn eight_mebibytes_to_who_does_not_read_are_no_time_out() {
    for _ in 0..20 {
        for mut quick in [cmd!("true"), cmd!("head", "-c1"), cmd!("sh", "-c", "sleep .05")] {
            let result = quick.input(vec![0; 8 << 20]).timeout(Duration::from_secs(60)).run();
            assert!(result.is_ok(), "{}", result.unwrap_err());
        }
    }
}

#[test]
fn a_reader_that_fails_is_told() {
    struct Bad;
    impl std::io::Read for Bad {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("torn"))
        }
    }
    let error = cmd!("cat").input(Input::reader(Bad)).run().unwrap_err();
    assert_eq!(error.kind(), RunErrorKind::Io);
    assert!(error.to_string().contains("torn"), "{error}");
}
