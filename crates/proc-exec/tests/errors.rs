//! Tests for what errors tell: the step, the path, the command line, the end of the output.

use proc_core::RemoteError;
use proc_exec::{Command, RunError, RunErrorKind, StartErrorKind, Step, cmd, run};
use std::collections::BTreeSet;
use std::error::Error;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn write(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

#[test]
fn smoke() {
    let error = run(["no-such-program", "-x"]).unwrap_err();
    assert!(error.is_not_found() && error.output().is_none() && error.status().is_none());
    assert_eq!(error.command(), "no-such-program -x");
    assert!(error.to_string().contains("no such program"), "{error}");
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::NotFound);
    fn assert_error<T: Error + Clone + Send + Sync + 'static>() {}
    assert_error::<RunError>();
}

#[test]
fn failures_of_a_start_are_told_apart_and_name_their_path() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    write(&at("plain"), "text", 0o644);
    write(&at("no-interpreter"), "#!/no/such/interpreter\n", 0o755);
    write(&at("no-program"), "\u{1}\u{2} neither script nor program", 0o755);
    let long = "x".repeat(200_000);
    let cases = [
        (cmd!(at("missing")), StartErrorKind::ProgramNotFound, at("missing")),
        (cmd!("true").current_dir(at("nowhere")).clone(), StartErrorKind::CurrentDir, at("nowhere")),
        (cmd!(at("plain")), StartErrorKind::PermissionDenied, at("plain")),
        (cmd!(at("no-interpreter")), StartErrorKind::InterpreterNotFound, at("no-interpreter")),
        (cmd!(at("no-program")), StartErrorKind::NotAProgram, at("no-program")),
        (cmd!("/bin/true", &long), StartErrorKind::ArgumentsTooLong, "/bin/true".into()),
        (cmd!("true").current_dir(at("plain")).clone(), StartErrorKind::CurrentDir, at("plain")),
    ];
    let mut texts = BTreeSet::new();
    for (mut command, kind, path) in cases {
        let error = command.run().unwrap_err();
        assert_eq!(error.kind(), RunErrorKind::Start);
        let start = error.start_error().unwrap();
        assert_eq!((start.kind(), start.path()), (kind, Some(&*path)), "{start}");
        assert!(error.source().unwrap().source().is_some());
        texts.insert(start.to_string());
    }
    assert_eq!(texts.len(), 7);
    let sizes = cmd!("/bin/true", &long).run().unwrap_err().to_string();
    assert!(sizes.contains("the longest 200001"), "{}", &sizes[sizes.len() - 200..]);
}

#[test]
fn what_cannot_be_run_is_refused_before_a_start() {
    let nothing: [&str; 0] = [];
    assert_eq!(run(nothing).unwrap_err().kind(), RunErrorKind::InvalidInput);
    let nul = cmd!("echo", "a\0b").run().unwrap_err();
    assert_eq!(nul.start_error().unwrap().step(), Step::Arguments);
    assert!(cmd!("").run().unwrap_err().is_not_found());
    let mut both = cmd!("true");
    both.stdout(proc_exec::Sink::merge()).stderr(proc_exec::Sink::merge());
    assert_eq!(both.run().unwrap_err().kind(), RunErrorKind::InvalidInput);
}

#[test]
fn files_of_streams_that_cannot_be_opened_are_named() {
    let error = cmd!("cat").stdin(proc_exec::Input::path("/no/such/file")).run().unwrap_err();
    assert!(error.to_string().contains("its input could not be opened (`/no/such/file`)"), "{error}");
    let error = cmd!("cat").stdout(proc_exec::Sink::create("/no/such/file")).run().unwrap_err();
    assert!(error.to_string().contains("`/no/such/file`"), "{error}");
}

#[test]
fn a_bad_status_tells_command_directory_status_and_stderr() {
    let mut shell = Command::shell("echo 'first line' >&2; echo last >&2; exit 3");
    let error = shell.current_dir("/tmp").run().unwrap_err();
    assert_eq!((error.kind(), error.current_dir()), (RunErrorKind::Status, Some(Path::new("/tmp"))));
    let text = error.to_string();
    assert!(text.contains("exited with code 3 (in `/tmp`, after "), "{text}");
    assert!(text.ends_with("\nstderr:\nfirst line\nlast"), "{text}");
    assert_eq!(format!("{error:?}"), text);

    let killed = Command::shell("kill -SEGV $$").run().unwrap_err();
    assert!(killed.to_string().contains("killed by signal 11 (SIGSEGV)"), "{killed}");
}

#[test]
fn long_stderr_is_shown_by_head_and_tail_and_held_whole() {
    let error = Command::shell("seq 1 100000 | sed 's/$/é/' >&2; exit 1").run().unwrap_err();
    let text = error.to_string();
    assert!(text.len() < 4000 && text.contains("stderr:\n1é\n2é\n") && text.ends_with("99999é\n100000é"));
    assert!(text.contains("bytes ...]") && !text.contains('\u{fffd}'), "{text}");
    assert_eq!(error.output().unwrap().stderr.len(), 788_895);
}

#[test]
fn a_command_line_round_trips_through_a_shell() {
    let arguments: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"plain".to_vec(),
        b"two words".to_vec(),
        b"it's".to_vec(),
        b"''".to_vec(),
        b"$HOME `id` \\ \" ! * ? [a] ~ # & ; | < > ( ) { }".to_vec(),
        b"-n".to_vec(),
        b"a=b".to_vec(),
        b"line\nbreak\n".to_vec(),
        b"\ttab\x1b[31mred\x07\x7f".to_vec(),
        "d\u{e9}j\u{e0} \u{1F600}".as_bytes().to_vec(),
        b"\xff\xfe broken \xc3".to_vec(),
        (1..=255).collect(),
    ];
    let mut printf = cmd!("printf", "%s\\0");
    for argument in &arguments {
        printf.arg(OsString::from_vec(argument.clone()));
    }
    let line = printf.to_string();
    let mut wanted = arguments.join(&0);
    wanted.push(0);
    for shell in ["sh", "bash"] {
        assert!(cmd!(shell, "-c", &line).run().unwrap().stdout == wanted, "{shell}: {line}");
    }
    assert!(printf.run().unwrap().stdout == wanted);
    // A program whose name looks like an assignment.
    assert_eq!(cmd!("A=b", "c").to_string(), "'A=b' c");
    // Programs whose names are words of the shell's language.
    let dir = tempfile::tempdir().unwrap();
    for name in ["time", "if", "while", "in", "function"] {
        write(&dir.path().join(name), "#!/bin/sh\necho \"$0 ran\"\n", 0o755);
        let line = cmd!(name, "a").to_string();
        let path = format!("{}:/bin:/usr/bin", dir.path().display());
        assert!(cmd!("bash", "-c", &line).env("PATH", path).read().unwrap().ends_with("ran"), "{line}");
    }
    assert_eq!(cmd!("timed", "if").to_string(), "timed if");
}

#[test]
fn secrets_are_not_shown() {
    let mut command = Command::new("false");
    command.secret_arg("hunter2").arg("shown").env("TOKEN", "hunter2").env_remove("HOME");
    assert!(format!("{command:?}").contains("TOKEN"));
    let error = command.run().unwrap_err();
    assert!(error.to_string().starts_with("`false '***' shown`"), "{error}");
    assert!(!format!("{error:?} {command:?}").contains("hunter2"));
}

#[test]
fn handed_on_from_elsewhere_it_is_told_whole() {
    let error = cmd!("sh", "-c", "echo why >&2; exit 3").run().unwrap_err();
    let told = error.to_string();
    assert_eq!(RemoteError::from(error).to_string(), told);
}

#[test]
fn accepted_codes() {
    let exit = |code: i32| Command::shell(format!("exit {code}"));
    assert!(exit(1).ok_codes([0, 1]).run().is_ok());
    assert!(exit(0).ok_codes([1]).run().is_err());
    assert!(exit(9).check(false).run().is_ok());
    assert_eq!(exit(9).output().unwrap().status.code(), Some(9));
    assert_eq!(exit(9).status().unwrap().code(), Some(9));
    assert!(exit(9).check(false).check(true).run().is_err());
    let signalled = Command::shell("kill -9 $$").ok_codes([0, 9]).run().unwrap_err();
    assert_eq!(signalled.status().unwrap().signal(), Some(9));
}
