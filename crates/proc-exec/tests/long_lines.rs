//! Tests for limits of the output where it is taken line by line: no line is glued to another's rest, none is endless.

use proc_exec::{Command, Overflow, cmd};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(200);

fn lines(script: &str, limit: usize, overflow: Overflow) -> Vec<String> {
    let mut shell = Command::shell(script);
    shell.output_limit(limit, overflow).lines().unwrap().map(Result::unwrap).collect()
}

#[test]
fn smoke() {
    assert_eq!(lines("echo a; echo bb", 1, Overflow::Truncate), ["a", "b"]);
}

#[test]
fn short_lines_pass_a_limit_that_all_of_them_exceed() {
    let all: Vec<String> = (1..=20_000).map(|i| i.to_string()).collect();
    for overflow in [Overflow::Fail, Overflow::Truncate, Overflow::HeadAndTail] {
        for limit in [5, 100, 100_000] {
            assert!(lines("seq 1 20000", limit, overflow) == all, "{limit} {overflow:?}");
        }
    }
}

#[test]
fn a_long_line_is_cut_and_the_next_one_is_whole() {
    // Ends of lines fall wherever the pieces end.
    for size in [400, 5000, 70_000, 300_000] {
        let long = |c: char| format!("head -c {size} /dev/zero | tr '\\0' {c}");
        let script = format!("echo one; {}; {}; echo; echo two; {}", long('a'), long('b'), long('c'));
        let of = |c: char, n| c.to_string().repeat(n);
        let cut = lines(&script, 100, Overflow::Truncate);
        assert_eq!(cut, ["one".to_owned(), of('a', 100), "two".to_owned(), of('c', 100)], "{size}");
        let ends = lines(&script, 100, Overflow::HeadAndTail);
        assert_eq!(ends, ["one".to_owned(), of('a', 50) + &of('b', 50), "two".to_owned(), of('c', 100)]);
    }
    assert_eq!(lines("echo abc; echo; echo def", 0, Overflow::Truncate), ["", "", ""]);
    assert_eq!(lines("echo abc; echo; echo def", 1, Overflow::HeadAndTail), ["c", "", "f"]);
}

#[test]
fn a_long_line_that_may_not_be_is_an_error_after_the_lines_before_it() {
    let mut shell = Command::shell("echo one; echo two; echo 1234567890; echo three; sleep 100");
    let mut lines = shell.output_limit(5, Overflow::Fail).lines().unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "one");
    assert_eq!(lines.next().unwrap().unwrap(), "two");
    let error = lines.next().unwrap().unwrap_err();
    assert!(error.is_output_limit(), "{error}");
    assert_eq!(error.output().unwrap().stdout, b"12345");
    assert!(lines.next().is_none());
    assert!(lines.finish().unwrap_err().is_output_limit());
}

#[test]
fn a_limit_of_a_conversation_is_told_without_an_end_of_a_line() {
    let mut shell = Command::shell("head -c 100 /dev/zero; sleep 100");
    let mut session = shell.output_limit(10, Overflow::Fail).interactive().unwrap();
    let error = session.read_line().unwrap_err();
    assert!(error.is_output_limit(), "{error}");
    assert_eq!(error.output().unwrap().stdout, [0; 10]);
}

#[test]
fn a_conversation_that_nobody_takes_loses_whole_lines() {
    let mut shell = Command::shell("seq -f %04.0f 1 1000; read go; seq -f %04.0f 2001 2100");
    let mut session = shell.output_limit(99, Overflow::Truncate).interactive().unwrap();
    assert_eq!(session.read_until("never", SHORT).unwrap(), None);
    let mut taken = Vec::new();
    while taken.len() < 10 {
        taken.push(session.read_line().unwrap().unwrap());
    }
    session.write_line("go").unwrap();
    taken.extend(session.lines().map(Result::unwrap));
    assert_eq!(taken[9], "0010");
    let whole: Vec<_> = taken.iter().filter(|line| line.len() == 4).collect();
    assert!(whole.is_sorted() && taken.len() - whole.len() <= 2, "{taken:?}");
    assert!(taken.iter().all(|line| line.len() <= 4), "{taken:?}");
    assert!(session.finish().unwrap().omitted > 0);
}

#[test]
fn lines_for_a_callback_are_bounded_too() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let watch = |script: &str, overflow| {
        let also = seen.clone();
        let mut shell = Command::shell(script);
        shell.keep_output(false).output_limit(10, overflow);
        let result = shell.on_line(move |line| also.lock().unwrap().push(line.to_owned())).run();
        (result, std::mem::take(&mut *seen.lock().unwrap()))
    };
    let script = "echo a; head -c 70000 /dev/zero | tr '\\0' x; printf 'y\\nb\\n'; echo 1234567890";
    let (result, lines) = watch(script, Overflow::Truncate);
    result.unwrap();
    assert_eq!(lines, ["a", "xxxxxxxxxx", "b", "1234567890"]);
    assert_eq!(watch(script, Overflow::HeadAndTail).1, ["a", "xxxxxxxxxy", "b", "1234567890"]);
    let (result, lines) = watch(script, Overflow::Fail);
    assert!(result.unwrap_err().is_output_limit());
    assert_eq!(lines, ["a"]);
    // It never ends, and has no end of a line.
    let (result, lines) = watch("cat /dev/zero", Overflow::Fail);
    assert!(result.unwrap_err().is_output_limit() && lines.is_empty());
}

#[test]
fn limits_of_zero() {
    assert!(cmd!("echo").output_limit(0, Overflow::Fail).run().unwrap_err().is_output_limit());
    assert!(cmd!("true").output_limit(0, Overflow::Fail).run().is_ok());
    let out = cmd!("echo", "a").output_limit(0, Overflow::Truncate).run().unwrap();
    assert_eq!((&out.stdout[..], out.omitted), (&b""[..], 2));
}

#[test]
fn lines_give_the_output_at_their_end() {
    let mut lines = Command::shell("echo a; echo b; echo why >&2; exit 3").unchecked().lines().unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "a");
    let output = lines.finish().unwrap();
    assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"b\n"[..], &b"why\n"[..]));
    assert_eq!(output.status.code(), Some(3));

    let mut lines = cmd!("seq", "3").lines().unwrap();
    assert_eq!(lines.by_ref().count(), 3);
    assert!(lines.finish().unwrap().stdout.is_empty());
    let mut lines = cmd!("false").lines().unwrap();
    let last = lines.next().unwrap().unwrap_err();
    assert_eq!(lines.finish().unwrap_err().status(), last.status());
    // All of it moves, whatever a pipe holds.
    assert_eq!(
        cmd!("head", "-c", "1000000", "/dev/zero").lines().unwrap().finish().unwrap().stdout.len(),
        1_000_000
    );
}
