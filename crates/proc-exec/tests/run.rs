//! Tests for running a program to its end: output, input, status, text.

use proc_exec::{Command, Encoding, Input, RunErrorKind, Sink, Stream, cmd, run};
use std::io::Read;
use std::sync::{Arc, Mutex};

#[test]
fn smoke() {
    assert_eq!(run(["echo", "hi"]).unwrap().stdout, b"hi\n");
}

#[test]
fn what_may_go_to_another_thread() {
    fn both<T: Send + Sync>() {}
    fn send<T: Send>() {}
    both::<Command>();
    both::<proc_exec::Pipeline>();
    both::<proc_exec::Output>();
    both::<proc_exec::RunError>();
    both::<proc_exec::CancelToken>();
    both::<proc_exec::Child>();
    send::<proc_exec::Lines>();
    send::<proc_exec::Session>();
}

#[test]
fn output_holds_both_streams_status_time_and_usage() {
    let out = cmd!("sh", "-c", "echo out; echo err >&2; exit 3").unchecked().run().unwrap();
    assert_eq!((&out.stdout[..], &out.stderr[..]), (&b"out\n"[..], &b"err\n"[..]));
    assert_eq!(out.status.code(), Some(3));
    assert!(!out.incomplete && out.omitted == 0 && !out.duration.is_zero());
    assert!(out.usage.unwrap().max_resident > 0);
    assert_eq!(out.stages.len(), 1);
}

#[test]
fn input_of_every_size_arrives_while_output_is_read() {
    for size in [0, 1, 4096, 4097, 65_536, 65_537, 5 << 20] {
        let bytes: Vec<u8> = (0..size).map(|i| (i * 7 % 251) as u8).collect();
        let out = cmd!("cat").input(&bytes).run().unwrap();
        assert!(out.stdout == bytes, "{size}");
    }
}

#[test]
fn input_from_reader_file_and_path() {
    let bytes = vec![b'x'; 300_000];
    let reader = std::io::Cursor::new(bytes.clone()).chain(std::io::Cursor::new(b"end".to_vec()));
    let mut cat = cmd!("cat");
    let out = cat.input(Input::reader(reader)).run().unwrap();
    assert_eq!(out.stdout.len(), 300_003);
    let again = cat.run().unwrap_err();
    assert_eq!(again.kind(), RunErrorKind::InvalidInput, "{again}");

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "text").unwrap();
    assert_eq!(cmd!("cat").input(std::fs::File::open(file.path()).unwrap()).read().unwrap(), "text");
    let mut by_path = cmd!("cat");
    by_path.input(Input::path(file.path()));
    assert_eq!(by_path.read().unwrap() + &by_path.read().unwrap(), "texttext");
}

#[test]
fn files_are_made_emptied_and_appended_to() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let mut echo = cmd!("echo", "a");
    echo.stdout(Sink::create(&path)).run().unwrap();
    echo.run().unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "a\n");
    echo.stdout(Sink::append(&path)).run().unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "a\na\n");
}

#[test]
fn observers_see_the_output_as_it_comes() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let lines = seen.clone();
    let copy = tempfile::NamedTempFile::new().unwrap();
    let out = cmd!("sh", "-c", "printf 'a\\r\\nb'; printf 'c\\nlast'; echo e >&2")
        .on_line(move |line| lines.lock().unwrap().push(line.to_owned()))
        .tee(Stream::Stderr, copy.reopen().unwrap())
        .run()
        .unwrap();
    assert_eq!(*seen.lock().unwrap(), ["a", "bc", "last"]);
    assert_eq!(out.stdout, b"a\r\nbc\nlast");
    assert_eq!(std::fs::read(copy.path()).unwrap(), b"e\n");
}

#[test]
fn text_by_rule() {
    let mut latin = cmd!("printf", "caf\\351\\n\\n");
    let error = latin.read().unwrap_err();
    assert_eq!(error.kind(), RunErrorKind::Decode);
    assert_eq!(error.output().unwrap().stdout, b"caf\xe9");
    assert_eq!(latin.encoding(Encoding::Utf8Lossy).read().unwrap(), "caf\u{fffd}");
    assert_eq!(latin.encoding(Encoding::Latin1).read().unwrap(), "café");
}

#[test]
fn a_command_can_be_run_cloned_and_changed() {
    let mut command = Command::new("sh");
    command.args(["-c", "echo $A"]).env("A", "1");
    let mut other = command.clone();
    other.env("A", "2");
    assert_eq!(command.read().unwrap() + &other.read().unwrap() + &command.read().unwrap(), "121");
}
