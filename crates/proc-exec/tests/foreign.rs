//! Tests for what the suites of others assert: subprocess, duct, process-wrap and command-fds for Rust, and CPython's
//! test_subprocess; in our words, where no other file has it.

mod common;

use common::{alone, descriptors};
use proc_exec::{Command, Input, Overflow, Sink, Stream, cmd, run};
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(30);

#[test]
fn smoke() {
    assert_eq!(Command::new("echo").arg("x").read().unwrap(), "x");
}

// ---------------------------------------------------------------- arguments

#[test]
fn odd_arguments_arrive_as_they_are() {
    let all: Vec<OsString> = ["", " ", "-", "--", "\\", "\"", "'", "a\nb", "*", "$x", "%s", "é", "\t"]
        .into_iter()
        .map(OsString::from)
        .chain([OsString::from_vec(b"\xff\x80".to_vec())])
        .collect();
    let out = cmd!("sh", "-c", "for a; do printf '%s\\0' \"$a\"; done", "sh").args(&all).run().unwrap();
    let wanted: Vec<u8> = all.iter().flat_map(|a| a.clone().into_vec().into_iter().chain([0])).collect();
    assert_eq!(out.stdout, wanted);
}

#[test]
fn arg0_is_what_the_program_sees() {
    assert_eq!(cmd!("sh", "-c", "echo $0").arg0("other").read().unwrap(), "other");
    assert_eq!(cmd!("cat", "/proc/self/cmdline").arg0("").read().unwrap(), "\0/proc/self/cmdline\0");
}

#[test]
fn trailing_comma_mixed_types_and_no_arguments() {
    assert_eq!(cmd!("echo",).read().unwrap(), "");
    let path = std::path::Path::new("/");
    assert_eq!(cmd!("echo", path, String::from("a"), OsString::from("b"), "c",).read().unwrap(), "/ a b c");
}

// ---------------------------------------------------------------- streams

#[test]
fn each_stream_to_a_file_that_is_read_back() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"skipped, read").unwrap();
    file.seek(SeekFrom::Start(9)).unwrap();
    assert_eq!(cmd!("cat").stdin(file.try_clone().unwrap()).read().unwrap(), "read");
    for stream in [Stream::Stdout, Stream::Stderr] {
        let mut file = tempfile::tempfile().unwrap();
        let mut shell = Command::shell("echo out; echo err >&2");
        match stream {
            Stream::Stdout => shell.stdout(file.try_clone().unwrap()),
            Stream::Stderr => shell.stderr(file.try_clone().unwrap()),
        };
        let out = shell.run().unwrap();
        let mut text = String::new();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_to_string(&mut text).unwrap();
        let other = if stream == Stream::Stdout { ("out\n", out.stderr) } else { ("err\n", out.stdout) };
        assert_eq!(text, other.0);
        assert_eq!(other.1.len(), 4);
    }
}

#[test]
fn one_descriptor_for_input_and_output() {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let theirs = Arc::new(OwnedFd::from(theirs));
    let mut cat = Command::shell("head -c 3; echo; echo more >&2");
    cat.stdin(theirs.clone()).stdout(theirs.clone()).stderr(theirs);
    let mut ours = File::from(OwnedFd::from(ours));
    ours.write_all(b"abc").unwrap();
    cat.run().unwrap();
    drop(cat);
    let mut text = String::new();
    ours.read_to_string(&mut text).unwrap();
    assert_eq!(text, "abc\nmore\n");
}

#[test]
fn output_to_null_keeps_nothing() {
    let out = Command::shell("echo a; echo b >&2").stdout(Sink::null()).stderr(Sink::null()).run().unwrap();
    assert!(out.stdout.is_empty() && out.stderr.is_empty());
}

#[test]
fn without_input_a_captured_program_reads_nothing_of_ours() {
    assert_eq!(cmd!("wc", "-c").read().unwrap(), "0");
    assert_eq!(cmd!("wc", "-c").input("").read().unwrap(), "0");
    assert_eq!(cmd!("wc", "-c").input(Input::null()).read().unwrap(), "0");
}

#[test]
fn both_streams_at_once_far_beyond_a_pipe() {
    let line = "head -c 3000000 /dev/zero & head -c 3000000 /dev/zero >&2; cat | wc -c >&2; wait";
    let out = Command::shell(line).input(vec![1; 2_000_000]).run().unwrap();
    assert_eq!(out.stdout.len(), 3_000_000);
    assert!(out.stderr.ends_with(b"2000000\n"));
}

#[test]
fn an_answer_before_all_was_read_is_kept() {
    let out = Command::shell("head -c 5; exec <&-; echo; echo bye").input(vec![b'z'; 500_000]).run().unwrap();
    assert_eq!(out.text().unwrap(), "zzzzz\nbye\n");
}

#[test]
fn callbacks_without_keeping() {
    let seen = Arc::new(Mutex::new(0));
    let also = seen.clone();
    let mut zeros = cmd!("head", "-c", "1000000", "/dev/zero");
    zeros.on_bytes(Stream::Stdout, move |bytes| *also.lock().unwrap() += bytes.len());
    assert!(zeros.keep_output(false).run().unwrap().stdout.is_empty());
    assert_eq!(*seen.lock().unwrap(), 1_000_000);
    assert_eq!(zeros.keep_output(true).run().unwrap().stdout.len(), 1_000_000);
}

#[test]
fn a_writer_that_fails_ends_the_program() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("disk full"))
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let error = cmd!("yes").tee(Stream::Stdout, Full).run().unwrap_err();
    assert!(error.to_string().contains("disk full"), "{error}");
}

#[test]
fn limits_of_each_stream_by_itself() {
    let mut shell = Command::shell("seq 1000; seq 10 >&2");
    let out = shell.output_limit(21, Overflow::Truncate).run().unwrap();
    assert_eq!((out.stdout.len(), out.stderr.len()), (21, 21));
    let error = Command::shell("seq 10; seq 1000 >&2; sleep 100").output_limit(21, Overflow::Fail).run();
    let error = error.unwrap_err();
    assert!(error.to_string().contains("wrote more to its stderr"), "{error}");
    assert_eq!(error.output().unwrap().stdout.len(), 21);
}

// ---------------------------------------------------------------- processes

#[test]
fn polls_waits_and_signals_after_the_end_are_harmless() {
    let child = cmd!("sh", "-c", "exit 4").unchecked().spawn().unwrap();
    common::eventually("it has ended", || child.try_wait().unwrap().is_some());
    for _ in 0..3 {
        child.terminate().unwrap();
        child.kill().unwrap();
        child.interrupt().unwrap();
        assert_eq!(child.try_wait().unwrap().unwrap().status.code(), Some(4));
        assert_eq!(child.wait_timeout(Duration::ZERO).unwrap().unwrap().status.code(), Some(4));
        assert_eq!(child.wait().unwrap().status.code(), Some(4));
    }
}

#[test]
fn terminate_twice_and_stop_and_go_on() {
    let child = Command::shell("trap 'echo got; exit 5' TERM; echo up; while :; do sleep 0.02; done")
        .stdout(Sink::capture())
        .unchecked()
        .spawn()
        .unwrap();
    assert!(child.wait_timeout(Duration::from_millis(200)).unwrap().is_none());
    child.signal(libc::SIGSTOP).unwrap();
    child.terminate().unwrap();
    assert!(child.wait_timeout(SHORT).unwrap().is_none());
    child.signal(libc::SIGCONT).unwrap();
    child.terminate().unwrap();
    let out = child.wait().unwrap();
    assert_eq!(out.status.code(), Some(5));
    assert!(out.stdout.starts_with(b"up\ngot\n"));
}

#[test]
fn statuses_of_every_kind() {
    assert_eq!(Command::shell("exit 255").output().unwrap().status.code(), Some(255));
    let signal = |n: i32| Command::shell(format!("kill -{n} $$")).output().unwrap().status;
    // Not those that whoever runs the tests may have set to be ignored, as nohup does with SIGHUP.
    for n in [9, 10, 12, 15] {
        assert_eq!(signal(n).signal(), Some(n));
    }
    assert_eq!(signal(9).to_string(), "killed by signal 9 (SIGKILL)");
    assert!(signal(34).to_string().contains("signal 34"));
}

#[test]
fn a_program_runs_from_many_threads_at_once() {
    let command = cmd!("cat");
    let threads: Vec<_> = (0..8)
        .map(|i| {
            let mut command = command.clone();
            std::thread::spawn(move || {
                for j in 0..10 {
                    let text = format!("{i} {j}");
                    assert_eq!(command.input(&text).read().unwrap(), text);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn a_failed_start_closes_what_it_was_given_and_leaves_no_descriptor() {
    if alone("a_failed_start_closes_what_it_was_given_and_leaves_no_descriptor") {
        assert!(run(["no-such-program"]).is_err());
        let before = descriptors();
        for _ in 0..20 {
            let mut bad = Command::new("no-such-program");
            bad.input(vec![0; 100_000]).timeout(Duration::from_secs(9)).stderr(Sink::merge());
            bad.fd(5, File::open("/dev/null").unwrap());
            assert!(bad.run().is_err());
            assert!(cmd!("true").current_dir("/nowhere").interactive().is_err());
            assert!(cmd!("cat").pipe(cmd!("no-such-program")).lines().is_err());
        }
        assert_eq!(descriptors(), before);
    }
}

#[test]
fn a_relative_directory_and_program_together() {
    if alone("a_relative_directory_and_program_together") {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("bin")).unwrap();
        std::fs::create_dir_all(dir.path().join("work")).unwrap();
        let tool = dir.path().join("bin/tool");
        std::fs::write(&tool, "#!/bin/sh\npwd\n").unwrap();
        std::fs::set_permissions(&tool, PermissionsExt::from_mode(0o755)).unwrap();
        std::env::set_current_dir(dir.path()).unwrap();
        let text = cmd!("bin/tool").current_dir("work").read().unwrap();
        assert!(text.ends_with("/work"), "{text}");
        assert!(cmd!("../bin/tool").current_dir("work").run().unwrap_err().is_not_found());
    }
}
