//! Tests for conversations and for lines.

mod common;

use common::{assert_none_left, long_sleep, with_argument};
use proc_exec::{Command, Encoding, Input, RunErrorKind, Session, cmd};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(8);
const SHORT: Duration = Duration::from_millis(50);

#[test]
fn smoke() {
    let mut cat = cmd!("cat").interactive().unwrap();
    for word in ["a", "b", ""] {
        cat.write_line(word).unwrap();
        assert_eq!(cat.read_line().unwrap().as_deref(), Some(word));
    }
    assert!(cat.finish().unwrap().stdout.is_empty());
}

#[test]
fn communicate_can_be_called_again_after_a_time_out_without_loss() {
    // It reads slowly, so most of the input is still ours when the first call gives up.
    let slow = Command::shell("echo begun; sleep 0.4; cat; echo end >&2").interactive().unwrap();
    let bytes = vec![b'x'; 300_000];
    let start = Instant::now();
    let error = slow.communicate(&bytes, SHORT).unwrap_err();
    assert!(start.elapsed() >= SHORT);
    assert!(error.is_timeout() && error.is_still_running() && error.status().is_none(), "{error}");
    assert_eq!(error.output().unwrap().stdout, b"begun\n");
    let again = slow.communicate("", Duration::ZERO).unwrap_err();
    assert!(again.is_timeout());
    let output = slow.communicate("", None).unwrap();
    assert_eq!(output.stdout.len(), 300_006);
    assert!(output.stdout.starts_with(b"begun\nxxx") && output.stderr == b"end\n");
}

#[test]
fn a_binding_that_is_not_mutable_serves_the_last_call() {
    let session = cmd!("cat").interactive().unwrap();
    assert_eq!(session.communicate("all of it", SOON).unwrap().stdout, b"all of it");
}

#[test]
fn more_input_after_the_end_of_the_input_is_refused_and_not_lost_in_silence() {
    // It reads all that it is given, and lives on: the input was written whole, and closed.
    let slow = Command::shell("cat; sleep 0.5").interactive().unwrap();
    assert!(slow.communicate("first ", SHORT * 3).unwrap_err().is_timeout());
    let error = slow.communicate("second", SOON).unwrap_err();
    assert_eq!(error.kind(), RunErrorKind::InvalidInput, "{error}");
    assert!(error.is_still_running() && error.to_string().contains("ended by an earlier call"), "{error}");
    assert_eq!(slow.communicate("", None).unwrap().stdout, b"first ");

    // It has not read yet: more can be added to what waits.
    let late = Command::shell("sleep 0.3; cat").interactive().unwrap();
    assert!(late.communicate(vec![b'a'; 200_000], SHORT).unwrap_err().is_timeout());
    let output = late.communicate("more", None).unwrap();
    assert!(output.stdout.len() == 200_004 && output.stdout.ends_with(b"more"));

    // A reader in the middle of its bytes is neither overtaken nor replaced.
    let late = Command::shell("sleep 0.3; cat").interactive().unwrap();
    let reader = Input::reader(std::io::Cursor::new(vec![b'a'; 300_000]));
    assert!(late.communicate(reader, SHORT).unwrap_err().is_timeout());
    let error = late.communicate("more", SHORT).unwrap_err();
    assert_eq!(error.kind(), RunErrorKind::InvalidInput, "{error}");
    assert_eq!(late.communicate("", None).unwrap().stdout.len(), 300_000);

    // Who has gone needs no input, and who closed it neither.
    let gone = Command::shell("exec <&-; sleep 0.2").interactive().unwrap();
    assert!(gone.communicate(vec![0; 200_000], SHORT * 2).unwrap_err().is_timeout());
    gone.communicate("more", None).unwrap();
}

#[test]
fn errors_tell_whether_the_program_runs() {
    let mut gone = Command::shell("exit 3").interactive().unwrap();
    assert_eq!(gone.read_line().unwrap(), None);
    let error = (0..).find_map(|_| {
        std::thread::sleep(SHORT);
        gone.write_line("x").err()
    });
    let error = error.unwrap();
    assert!(!error.is_still_running(), "{error}");
    assert_ne!(error.status().and_then(|status| status.code()), Some(0), "{error}");

    let mut lines = cmd!("printf", r"\377").lines().unwrap();
    let error = lines.next().unwrap().unwrap_err();
    assert_eq!(error.kind(), RunErrorKind::Decode);
    assert!(!error.is_still_running() && error.status().unwrap().success(), "{error:?}");
    let printf =
        Command::shell(r"printf '\377\n'; exec sleep 60").lines().unwrap().next().unwrap().unwrap_err();
    assert!(printf.is_still_running() && printf.status().is_none(), "{printf:?}");
}

#[test]
fn a_pattern_is_found_in_much_that_comes_in_pieces() {
    // Quadratic it would take minutes.
    let script = "i=0; while [ $i -lt 600 ]; do head -c 20000 /dev/zero; i=$((i+1)); done; printf 'ab'; sleep .1; printf c";
    let mut shell = Command::shell(script).interactive().unwrap();
    let start = Instant::now();
    assert_eq!(shell.read_until("abc", SOON * 4).unwrap().unwrap().len(), 12_000_003);
    assert!(start.elapsed() < SOON * 3, "{:?}", start.elapsed());
}

#[test]
fn a_line_that_is_late_is_not_lost() {
    let mut shell = Command::shell("printf 'one '; sleep 0.3; echo line; echo next").interactive().unwrap();
    assert_eq!(shell.read_line_timeout(SHORT).unwrap(), None);
    assert!(!shell.is_at_end());
    assert_eq!(shell.read_line().unwrap().as_deref(), Some("one line"));
    assert_eq!(shell.lines().map(Result::unwrap).collect::<Vec<_>>(), ["next"]);
    assert!(shell.is_at_end());
    assert!(shell.finish().unwrap().status.success());
}

#[test]
fn what_was_read_to_a_pattern_is_taken_and_no_more() {
    let mut shell =
        Command::shell("printf 'name: '; read n; echo \"hi $n\"; printf '> '; cat").interactive().unwrap();
    assert_eq!(shell.read_until(": ", None).unwrap().unwrap(), b"name: ");
    shell.write_line("Ann").unwrap();
    assert_eq!(shell.read_until("> ", SOON).unwrap().unwrap(), b"hi Ann\n> ");
    assert_eq!(shell.read_until("never", SHORT).unwrap(), None);
    assert_eq!(shell.communicate("rest", None).unwrap().stdout, b"rest");
}

#[test]
fn writing_to_who_writes_is_no_deadlock() {
    let mut cat = cmd!("cat").interactive().unwrap();
    let line = "y".repeat(1_000_000);
    cat.write_line(&line).unwrap();
    cat.write_line(&line).unwrap();
    assert_eq!(cat.read_line().unwrap().unwrap().len(), 1_000_000);
    assert_eq!(cat.finish().unwrap().stdout.len(), 1_000_001);
}

#[test]
fn writing_to_who_has_gone_is_an_error_and_the_rest_can_be_had() {
    let mut shell = Command::shell("exec <&-; echo bye; exit 3").interactive().unwrap();
    assert_eq!(shell.read_line().unwrap().as_deref(), Some("bye"));
    let mut write = || shell.write_line("x".repeat(100_000));
    let error = write().and_then(|()| write()).unwrap_err();
    assert_eq!(error.kind(), RunErrorKind::Io, "{error}");
    assert_eq!(shell.finish().unwrap_err().status().unwrap().code(), Some(3));
}

#[test]
fn a_limit_of_the_command_ends_the_conversation() {
    let mark = long_sleep();
    let mut shell = Command::shell(format!("echo a; sleep {mark} & sleep {mark}"))
        .timeout(Duration::from_millis(200))
        .interactive()
        .unwrap();
    assert_eq!(shell.read_line().unwrap().as_deref(), Some("a"));
    assert!(shell.read_line().unwrap_err().is_timeout());
    assert_none_left(&mark);
    // Whoever asks again is told again.
    assert!(shell.read_line().unwrap_err().is_timeout());
    assert!(shell.write_line("x").is_err());
    assert!(shell.finish().unwrap_err().is_timeout());
}

/// What is told to end closes its output first, and ends later: the limit is why nothing more comes.
#[test]
fn a_limit_is_told_when_the_output_ends_before_the_program() {
    let script = "trap 'exec >&-; sleep 0.3; exit 0' TERM; echo a; sleep 60 & wait";
    let limited = |script: &str| {
        let mut shell = Command::shell(script);
        shell.timeout(Duration::from_millis(200)).grace(Duration::from_secs(5)).interactive().unwrap()
    };
    let mut shell = limited(script);
    assert_eq!(shell.read_line().unwrap().as_deref(), Some("a"));
    assert!(shell.read_line().unwrap_err().is_timeout());
    let mut shell = limited(script);
    assert!(shell.read_until("never", None).unwrap_err().is_timeout());
    // It stops to read, and the limit ends the write that waits for room.
    let mut shell = limited("trap 'exec <&-; sleep 0.3; exit 0' TERM; echo a; sleep 60 & wait");
    assert!(shell.write("x".repeat(1_000_000)).unwrap_err().is_timeout());
}

#[test]
fn a_dropped_session_leaves_nobody() {
    let mark = long_sleep();
    let session: Session = cmd!("sleep", &mark).interactive().unwrap();
    let id = session.id();
    assert!(format!("{session:?}").contains(&id.to_string()));
    drop(session);
    assert_eq!(with_argument(&mark), 0);
    assert!(std::fs::metadata(format!("/proc/{id}")).is_err());
}

#[test]
fn lines_of_every_kind() {
    let lines =
        |text: &str| -> Vec<String> { cmd!("printf", text).lines().unwrap().map(Result::unwrap).collect() };
    assert_eq!(lines(r"a\nb\r\nc"), ["a", "b", "c"]);
    assert_eq!(lines(r"\n\n"), ["", ""]);
    assert_eq!(lines(r"a\rb\n"), ["a\rb"]);
    assert!(lines("").is_empty());
}

#[test]
fn lines_end_with_the_error_of_a_bad_status() {
    let mut lines = Command::shell("echo a; echo why >&2; exit 4").lines().unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "a");
    let error = lines.next().unwrap().unwrap_err();
    assert_eq!(error.status().unwrap().code(), Some(4));
    assert_eq!(error.output().unwrap().stderr, b"why\n");
    assert!(lines.next().is_none() && lines.next().is_none());
}

#[test]
fn lines_come_as_they_are_written_and_the_limit_counts() {
    let mark = long_sleep();
    let start = Instant::now();
    let line = format!("echo a; echo b; sleep {mark}");
    let mut lines = Command::shell(line).timeout(Duration::from_millis(300)).lines().unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "a");
    assert_eq!(lines.next().unwrap().unwrap(), "b");
    assert!(lines.next().unwrap().unwrap_err().is_timeout());
    assert!(start.elapsed() < SOON && lines.next().is_none());
    assert_none_left(&mark);
}

#[test]
fn lines_dropped_half_way_kill_the_program() {
    let mut yes = cmd!("yes").lines().unwrap();
    assert_eq!(yes.by_ref().take(1000).map(Result::unwrap).filter(|line| line == "y").count(), 1000);
    drop(yes);
    assert_eq!(common::children_named("yes"), 0);
}

#[test]
fn a_slow_taker_of_lines_loses_none() {
    let mut lines = cmd!("seq", "1", "20000").drain_grace(Duration::ZERO).lines().unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "1");
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(lines.map(Result::unwrap).last().unwrap(), "20000");
}

#[test]
fn text_is_never_torn_wherever_the_pieces_end() {
    // Each byte comes alone, so characters of two, three and four bytes come in pieces.
    let text = "é€😀 \u{301}x";
    let script = text.bytes().map(|b| format!("printf '\\{b:03o}'; sleep 0.01; ")).collect::<String>();
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let also = seen.clone();
    let mut shell = Command::shell(&script);
    shell.on_line(move |line| also.lock().unwrap().push(line.to_owned()));
    assert_eq!(shell.read().unwrap(), text);
    assert_eq!(*seen.lock().unwrap(), [text]);
    let lines: Vec<_> = shell.lines().unwrap().map(Result::unwrap).collect();
    assert_eq!(lines, [text]);
}

#[test]
fn a_line_that_is_no_text_is_an_error_and_the_next_one_comes() {
    let mut lines = cmd!("printf", r"a\n\377\nb\n").lines().unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "a");
    let error = lines.next().unwrap().unwrap_err();
    assert_eq!((error.kind(), &error.output().unwrap().stdout[..]), (RunErrorKind::Decode, &b"\xff"[..]));
    assert_eq!(lines.next().unwrap().unwrap(), "b");
    assert!(lines.next().is_none());
    let latin: Vec<_> =
        cmd!("printf", r"\377").encoding(Encoding::Latin1).lines().unwrap().map(Result::unwrap).collect();
    assert_eq!(latin, ["ÿ"]);
}
