//! Tests for what a program is given: environment, directory, limits, groups, descriptors, users.

mod common;

use common::alone;
use proc_exec::{Command, Resource, StartErrorKind, Step, cmd};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

#[test]
fn smoke() {
    assert_eq!(Command::shell("pwd").current_dir("/usr").read().unwrap(), "/usr");
}

#[test]
fn environment() {
    let mut shell = Command::shell("echo $A-$B-${HOME+home}");
    shell.env("A", "0").env("A", "1").envs([("B", "2")]).env_remove("HOME");
    assert_eq!(shell.read().unwrap(), "1-2-");
    let mut clear = cmd!("/usr/bin/env");
    clear.env("GONE", "1").env_clear().env("ONLY", "x");
    assert_eq!(clear.read().unwrap(), "ONLY=x");
    for (name, value) in [("", "a"), ("A=B", "a"), ("A\0", "a"), ("A", "a\0")] {
        let error = cmd!("true").env(name, value).run().unwrap_err();
        assert_eq!(error.start_error().unwrap().kind(), StartErrorKind::InvalidInput, "{error}");
    }
}

#[test]
fn limits_mask_priority_and_cpus() {
    let mut shell = Command::shell("umask; ulimit -n; ulimit -c; nice; nproc");
    shell.umask(0o27).nice(3).affinity([0]);
    shell.resource_limit(Resource::OpenFiles, 64, 64).resource_limit(Resource::Core, 0, 0);
    assert_eq!(shell.read().unwrap(), "0027\n64\n0\n3\n1");
}

#[test]
fn session_and_group() {
    let ids = |command: &mut Command| {
        let text = command.args(["-c", "ps -o pid=,pgid=,sid= -p $$"]).read().unwrap();
        text.split_whitespace().map(|n| n.parse().unwrap()).collect::<Vec<u32>>()
    };
    let plain = ids(&mut cmd!("sh"));
    let ours = rustix::process::getpgrp().as_raw_nonzero().get() as u32;
    assert_eq!(plain[1], ours);
    let group = ids(cmd!("sh").process_group(0));
    assert!(group[1] == group[0] && group[2] == plain[2]);
    let session = ids(cmd!("sh").session());
    assert!(session[0] == session[1] && session[0] == session[2]);
}

#[test]
fn no_new_privileges_signals_and_death_signal() {
    let status = |command: &mut Command, key: &str| {
        let text = command.arg("/proc/self/status").read().unwrap();
        let line = text.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
        line.split_whitespace().last().unwrap().to_owned()
    };
    assert_eq!(status(cmd!("cat").no_new_privs(), "NoNewPrivs"), "1");
    assert_eq!(status(&mut cmd!("cat"), "SigBlk"), "0000000000000000");
    assert_eq!(status(cmd!("cat").signal_mask(1 << 9), "SigBlk"), "0000000000000200");
    // Rust ignores SIGPIPE (bit 12) here; the program does not. Who started us may have ignored others.
    let ignores_sigpipe =
        |command: &mut Command| u64::from_str_radix(&status(command, "SigIgn"), 16).unwrap() & (1 << 12) != 0;
    assert!(!ignores_sigpipe(&mut cmd!("cat")));
    assert!(ignores_sigpipe(cmd!("cat").keep_sigpipe(true)));
    assert!(cmd!("true").parent_death_signal(9).run().is_ok());
}

#[test]
fn descriptors_by_number_are_given_away() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (mut ours, theirs) = (File::from(OwnedFd::from(ours)), OwnedFd::from(theirs));
    let mut shell = Command::shell("cat <&7 >&7");
    shell.fd(7, theirs);
    let child = shell.spawn().unwrap();
    ours.write_all(b"over seven").unwrap();
    rustix::net::shutdown(&ours, rustix::net::Shutdown::Write).unwrap();
    let mut text = String::new();
    // The end comes although `shell` still lives: our copy is closed.
    ours.read_to_string(&mut text).unwrap();
    assert_eq!(text, "over seven");
    child.wait().unwrap();
    let error = shell.run().unwrap_err();
    assert!(error.to_string().contains("descriptor 7 was given to an earlier start"), "{error}");
}

#[test]
fn no_other_descriptor_is_inherited() {
    let file = File::open("/dev/null").unwrap();
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
    let list = |command: &mut Command| command.args(["-c", "ls /proc/$$/fd"]).read().unwrap();
    assert_eq!(list(&mut cmd!("sh")), "0\n1\n2");
    assert!(list(cmd!("sh").inherit_descriptors(true)).lines().count() > 3);
}

#[test]
fn user_and_groups() {
    if !rustix::process::geteuid().is_root() {
        let error = cmd!("true").user(12345).run().unwrap_err();
        assert_eq!(error.start_error().unwrap().step(), Step::User);
        return;
    }
    let mut id = Command::shell("id -u; id -g; id -G");
    id.user(65534).group(65534);
    assert_eq!(id.read().unwrap(), "65534\n65534\n65534");
    assert_eq!(id.groups([7, 8]).read().unwrap(), "65534\n65534\n65534 7 8");
    assert!(rustix::process::dumpable_behavior().unwrap() == rustix::process::DumpableBehavior::Dumpable);
}

#[test]
fn from_the_standard_library() {
    let mut std = std::process::Command::new("sh");
    std.args(["-c", "echo $A${HOME-gone}; pwd"]).env("A", "a").env_remove("HOME").current_dir("/usr");
    assert_eq!(Command::from(&std).read().unwrap(), "agone\n/usr");
    assert_eq!(Command::from(std).get_args().len(), 2);
}

#[test]
fn what_was_said_can_be_read_back() {
    let mut command = cmd!("a", "b");
    command.env("N", "v").env_remove("M").current_dir("/d").secret_arg("s3cret");
    assert_eq!(command.get_program(), "a");
    assert_eq!(command.get_args().collect::<Vec<_>>(), ["b", "s3cret"]);
    let envs: Vec<_> = command.get_envs().collect();
    assert_eq!(envs, [("M".as_ref(), None), ("N".as_ref(), Some("v".as_ref()))]);
    assert_eq!(command.get_current_dir().unwrap().to_str(), Some("/d"));
    assert!(!format!("{command:?}").contains("s3cret") && command.to_string() == "a b '***'");
}

#[test]
fn programs_are_found_from_our_directory_and_on_the_childs_path() {
    if !alone("programs_are_found_from_our_directory_and_on_the_childs_path") {
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let tool = dir.path().join("proc-exec-tool");
    std::fs::write(&tool, "#!/bin/sh\necho found in $PWD as $0\n").unwrap();
    std::fs::set_permissions(&tool, PermissionsExt::from_mode(0o755)).unwrap();
    std::env::set_current_dir(dir.path()).unwrap();
    let text = cmd!("./proc-exec-tool").current_dir("/usr").read().unwrap();
    assert!(text.starts_with("found in /usr as"), "{text}");
    assert!(Command::file("proc-exec-tool").read().unwrap().starts_with("found"));
    assert!(cmd!("proc-exec-tool").run().unwrap_err().is_not_found());
    assert!(cmd!("proc-exec-tool").env("PATH", dir.path()).run().is_ok());
    assert!(cmd!("sh", "-c", "true").env("PATH", "/nowhere").run().unwrap_err().is_not_found());
}

/// Programs that are tied to us, all with `mark` in their arguments.
fn tied(which: &str, mark: &str) -> proc_exec::Child {
    use proc_exec::{Input, KillScope};
    let ages = std::time::Duration::from_secs(1000);
    let ours = rustix::process::getpgrp().as_raw_nonzero().get();
    let mut both = Command::shell(format!("sleep {mark} & sleep {mark}"));
    let mut sleep = cmd!("sleep", mark);
    both.stdin(Input::null());
    sleep.stdin(Input::null());
    let started = match which {
        "group" => both.kill_scope(KillScope::Group).spawn(),
        "limit" => sleep.timeout(ages).kill_scope(KillScope::Child).spawn(),
        "others' group" => sleep.kill_scope(KillScope::Tree).process_group(ours).spawn(),
        "stages" => sleep.clone().die_with_parent(true).pipe(&mut sleep).spawn(),
        _ => both.clone().session().timeout(ages).pipe(&mut both).pipe(&mut both).spawn(),
    };
    started.unwrap()
}

#[test]
fn the_program_dies_with_its_parent() {
    if let (Some(which), Some(mark)) =
        (std::env::var_os("PROC_EXEC_TIED"), std::env::var_os("PROC_EXEC_MARK"))
    {
        let _child = tied(which.to_str().unwrap(), mark.to_str().unwrap());
        common::eventually("it is killed", || false);
    }
    for (which, count) in [("group", 3), ("limit", 1), ("others' group", 1), ("stages", 2), ("sessions", 9)] {
        let mark = common::long_sleep();
        let mut parent = Command::new(std::env::current_exe().unwrap());
        parent.args(["--exact", "the_program_dies_with_its_parent"]).env("PROC_EXEC_MARK", &mark);
        let parent = parent.env("PROC_EXEC_TIED", which).stdin(proc_exec::Input::null()).spawn().unwrap();
        common::eventually(which, || common::with_argument(&mark) == count);
        parent.kill().unwrap();
        assert!(parent.wait().is_err());
        common::assert_none_left(&mark);
    }
}
