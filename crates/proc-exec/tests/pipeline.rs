//! Tests for pipelines: statuses of all stages, SIGPIPE, starts that fail, limits.

mod common;

use common::{assert_none_left, long_sleep};
use proc_exec::{Command, Pipeline, RunErrorKind, Sink, cmd};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(8);

#[test]
fn smoke() {
    let mut pipeline = cmd!("printf", r"b\na\nb\n").pipe(cmd!("sort"));
    assert_eq!(
        pipeline.pipe(cmd!("uniq", "-c")).read().unwrap().split_whitespace().collect::<String>(),
        "1a2b"
    );
    assert_eq!(pipeline.to_string(), r"printf 'b\na\nb\n' | sort | uniq -c");
}

#[test]
fn large_input_goes_through_all_stages() {
    let bytes = vec![b'x'; 10 << 20];
    let out = cmd!("cat").pipe(cmd!("cat")).pipe(cmd!("cat")).input(&bytes).run().unwrap();
    assert!(out.stdout == bytes);
    assert_eq!(out.stages.len(), 3);
}

#[test]
fn a_reader_that_leaves_is_no_failure_of_the_writer() {
    let out = cmd!("yes").pipe(cmd!("head", "-n", "1")).run().unwrap();
    assert_eq!(out.stdout, b"y\n");
    assert_eq!(out.stages[0].status.signal(), Some(13));
    assert!(out.status.success());
    let through_shell = Command::shell("yes; exit $?").pipe(cmd!("head", "-n", "1")).run().unwrap();
    assert_eq!(through_shell.stages[0].status.code(), Some(141));
}

#[test]
fn every_stage_is_checked_and_the_last_bad_one_told() {
    let error = cmd!("false").pipe(cmd!("true")).run().unwrap_err();
    assert_eq!((error.stage(), error.status().unwrap().code()), (Some(0), Some(1)));
    let stage = |code: i32| Command::shell(format!("cat; echo {code} >&2; exit {code}"));
    let error = stage(3).pipe(stage(4)).pipe(stage(0)).run().unwrap_err();
    assert_eq!((error.stage(), error.status().unwrap().code()), (Some(1), Some(4)));
    let output = error.output().unwrap();
    let codes: Vec<_> = output.stages.iter().map(|stage| stage.status.code().unwrap()).collect();
    assert_eq!(codes, [3, 4, 0]);
    assert_eq!(output.stderr, b"3\n4\n0\n");
    assert_eq!(output.stderr_of(1).unwrap(), b"4\n");
    assert_eq!(output.stderr_of(3), None);
    let text = error.to_string();
    assert!(text.contains("(stage 2 of 3) exited with code 4") && text.ends_with("stderr: 4"), "{text}");
    assert!(stage(3).pipe(stage(4)).unchecked().run().unwrap().status.code() == Some(4));
    assert!(stage(3).ok_codes([3]).pipe(stage(0)).run().is_ok());
}

#[test]
fn a_stage_that_cannot_be_started_kills_those_before_it_at_once() {
    let start = Instant::now();
    let mark = long_sleep();
    let error = cmd!("sleep", &mark).pipe(cmd!("cat")).pipe(cmd!("no-such-program")).run().unwrap_err();
    assert!(error.is_not_found() && error.stage() == Some(2), "{error}");
    assert!(start.elapsed() < SOON);
    assert_none_left(&mark);
}

#[test]
fn a_limit_ends_all_stages_and_they_are_one_group() {
    let mark = long_sleep();
    let group = || Command::shell(format!("ps -o pgid= -p $$ >&2; sleep {mark}"));
    let error = group().pipe(group()).pipe(group()).timeout(Duration::from_millis(500)).run().unwrap_err();
    assert!(error.is_timeout());
    let output = error.output().unwrap();
    let groups: Vec<_> = std::str::from_utf8(&output.stderr).unwrap().split_whitespace().collect();
    assert!(groups.len() == 3 && groups.iter().all(|group| *group == groups[0]), "{groups:?}");
    assert_none_left(&mark);
}

#[test]
fn two_inputs_of_bytes_are_refused() {
    let mut second = cmd!("cat");
    second.input("b");
    let error = cmd!("cat").input("a").pipe(&mut second).run().unwrap_err();
    assert_eq!((error.kind(), error.stage()), (RunErrorKind::InvalidInput, Some(1)), "{error}");
    // One is fine, wherever it goes.
    assert_eq!(cmd!("true").pipe(second).read().unwrap(), "b");
}

#[test]
fn each_stage_has_its_directory_and_an_error_tells_the_right_one() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().canonicalize().unwrap();
    let mut pwd = Command::shell("cat; pwd");
    pwd.current_dir("/usr");
    let mut first = Command::shell("pwd");
    first.current_dir(&place);
    let text = first.pipe(&mut pwd).pipe(Command::shell("cat; pwd")).read().unwrap();
    let here = std::env::current_dir().unwrap();
    assert_eq!(text, format!("{}\n/usr\n{}", place.display(), here.display()));

    let mut fails = Command::shell("exit 3");
    fails.current_dir("/usr");
    let error = first.pipe(&mut fails).run().unwrap_err();
    assert_eq!((error.stage(), error.current_dir()), (Some(1), Some(std::path::Path::new("/usr"))));
    assert!(error.to_string().contains("(in `/usr`, after"), "{error}");
    // Where no stage is to blame, no directory is: they differ.
    let mut sleep = cmd!("sleep", long_sleep());
    sleep.current_dir("/usr");
    let error = first.pipe(&mut sleep).unchecked().timeout(Duration::from_millis(100)).run().unwrap_err();
    assert!(error.is_timeout() && error.current_dir().is_none(), "{error}");
    let error =
        sleep.clone().pipe(&mut sleep).unchecked().timeout(Duration::from_millis(100)).run().unwrap_err();
    assert_eq!(error.current_dir(), Some(std::path::Path::new("/usr")));
}

#[cfg(feature = "pty")]
#[test]
fn a_terminal_is_of_no_effect_in_a_pipeline() {
    let mark = long_sleep();
    let mut first = Command::shell(format!("test -t 1 && echo terminal; sleep {mark} & sleep {mark}"));
    let mut pipeline = first.pty(proc_exec::pty::Window::default()).pipe(cmd!("cat"));
    let error = pipeline.timeout(Duration::from_millis(300)).run().unwrap_err();
    assert!(error.is_timeout() && error.output().unwrap().stdout.is_empty(), "{error}");
    assert_none_left(&mark);
}

#[test]
fn the_shortest_limit_of_all_counts() {
    let start = Instant::now();
    let mut limited = cmd!("sleep", long_sleep());
    limited.timeout(Duration::from_millis(100));
    let error = cmd!("sleep", long_sleep()).timeout(SOON).pipe(limited).run().unwrap_err();
    assert!(error.is_timeout() && start.elapsed() < SOON);
}

#[test]
fn files_and_merged_streams_inside_a_pipeline() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let mut both = Command::shell("echo out; echo err >&2");
    both.merge_stderr();
    let mut sort = cmd!("sort");
    sort.stdout(Sink::create(&out));
    let result = both.pipe(sort).run().unwrap();
    assert!(result.stdout.is_empty() && result.stderr.is_empty());
    assert_eq!(std::fs::read_to_string(out).unwrap(), "err\nout\n");
    // What an earlier stage writes elsewhere leaves the next one without input.
    let elsewhere = cmd!("echo", "x").stdout(Sink::null()).pipe(cmd!("wc", "-c")).read().unwrap();
    assert_eq!(elsewhere, "0");
}

#[test]
fn lines_status_and_handles_of_a_pipeline() {
    let mut pipeline: Pipeline = cmd!("seq", "3").pipe(cmd!("cat"));
    let lines: Vec<_> = pipeline.lines().unwrap().map(Result::unwrap).collect();
    assert_eq!(lines, ["1", "2", "3"]);
    assert!(cmd!("true").pipe(cmd!("true")).status().unwrap().success());
    let mut last = cmd!("cat");
    last.stdout(Sink::capture());
    let child = cmd!("seq", "3").pipe(last).spawn().unwrap();
    assert_eq!(child.ids().len(), 2);
    assert_eq!(child.wait().unwrap().stdout, b"1\n2\n3\n");
    let mark = long_sleep();
    drop(cmd!("sleep", &mark).pipe(cmd!("sleep", &mark)).spawn().unwrap());
    assert_none_left(&mark);
}
