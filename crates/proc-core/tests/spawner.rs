//! Tests for the spawner: what a child gets, and what a failed start says.

use proc_core::ExitStatus;
use proc_core::spawner::{Spawner, StartErrorKind, Step};
use std::fs;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

/// As `std::io::pipe`, which is younger than the oldest compiler that we support.
fn pipe() -> (fs::File, fs::File) {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    (read.into(), write.into())
}

fn output(spawner: &mut Spawner<'_>) -> String {
    let (mut read, write) = pipe();
    let mut own = spawner.clone();
    let child = own.fd(write.as_fd(), 1).start().unwrap();
    drop(own);
    drop(write);
    let mut text = String::new();
    read.read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().status.success());
    text
}

#[test]
fn smoke() {
    let child = Spawner::new("sh").args(["-c", "exit 7"]).start().unwrap();
    assert_eq!(child.wait().unwrap().status, ExitStatus::Exited(7));
    assert_eq!(child.wait().unwrap().status, ExitStatus::Exited(7), "a second wait knows it still");
    assert!(child.wait().unwrap().usage.unwrap().max_resident > 0);
}

#[test]
fn failures_name_step_path_and_kind() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str, mode: u32| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    let kind = |program: &std::path::Path| {
        let e = Spawner::new(program).start().unwrap_err();
        assert_eq!(e.step(), Step::Exec, "{e}");
        assert_eq!(e.path(), Some(program));
        e.kind()
    };
    assert_eq!(kind(&dir.path().join("missing")), StartErrorKind::ProgramNotFound);
    assert_eq!(kind(&file("plain", "x", 0o644)), StartErrorKind::PermissionDenied);
    assert_eq!(kind(&file("bang", "#!/no/such\n", 0o755)), StartErrorKind::InterpreterNotFound);
    assert_eq!(kind(&file("text", "hello", 0o755)), StartErrorKind::NotAProgram);
    let e = Spawner::new("true").current_dir("/no/such").start().unwrap_err();
    assert_eq!((e.step(), e.kind()), (Step::CurrentDir, StartErrorKind::CurrentDir));
    assert!(e.to_string().contains("/no/such"), "{e}");
    let e = Spawner::new("true").arg("x".repeat(4 << 20)).start().unwrap_err();
    assert_eq!(e.kind(), StartErrorKind::ArgumentsTooLong);
    assert!(e.to_string().contains("the longest 4194305"), "{e}");
    let e = Spawner::new("true").arg("a\0b").start().unwrap_err();
    assert_eq!(e.kind(), StartErrorKind::InvalidInput);
    let e = Spawner::new("no-such-program-anywhere").start().unwrap_err();
    assert_eq!(e.kind(), StartErrorKind::ProgramNotFound);
}

#[test]
fn script_with_a_missing_interpreter_is_told_from_a_missing_program_on_path() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tool");
    fs::write(&path, "#!/no/such\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let search = format!("{}:/usr/bin", dir.path().display());
    let e = Spawner::new("tool").env("PATH", search).start().unwrap_err();
    assert_eq!(e.kind(), StartErrorKind::InterpreterNotFound);
    assert_eq!(e.path(), Some(path.as_path()));
}

#[test]
fn the_path_is_the_childs() {
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/bin/echo", dir.path().join("only-here")).unwrap();
    let text = output(Spawner::new("only-here").arg("hi").env("PATH", dir.path()));
    assert_eq!(text, "hi\n");
    let e = Spawner::new("sh").env("PATH", "/no/such").start().unwrap_err();
    assert_eq!(e.kind(), StartErrorKind::ProgramNotFound);
}

#[test]
fn environment_is_ours_with_the_changes() {
    let text = output(Spawner::new("env").env_clear().env("A", "1").env("PATH", "/bin:/usr/bin"));
    assert_eq!(text, "A=1\nPATH=/bin:/usr/bin\n");
    let text =
        output(Spawner::new("sh").args(["-c", "echo ${HOME-none}$B"]).env_remove("HOME").env("B", "2"));
    assert_eq!(text, "none2\n");
}

#[test]
fn settings_apply() {
    let text = output(
        Spawner::new("sh")
            .args(["-c", "pwd; umask; ulimit -n; nice; ps -o sid=,pgid= -p $$ | tr -s ' '; echo $$"])
            .current_dir("/usr")
            .umask(0o027)
            .nice(5)
            .resource_limit(libc::RLIMIT_NOFILE, 99, 99)
            .session(),
    );
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    assert_eq!(lines[..4], ["/usr", "0027", "99", "5"]);
    let pid = lines[5];
    assert_eq!(lines[4], format!("{pid} {pid}"));
}

#[test]
fn child_has_only_the_descriptors_it_was_given() {
    // Not close-on-exec, as a careless library would leave it.
    let careless = rustix::io::dup(std::io::stderr()).unwrap();
    let given = fs::File::open("/dev/null").unwrap();
    let list = "for f in /proc/self/fd/*; do echo ${f##*/}; done";
    let text = output(Spawner::new("sh").args(["-c", list]).fd(given.as_fd(), 30));
    let numbers: Vec<i32> = text.lines().filter_map(|n| n.parse().ok()).filter(|n| *n != 3).collect();
    assert_eq!(numbers, [0, 1, 2, 30], "3 is the shell's own directory handle");
    drop(careless);
}

#[test]
fn descriptors_can_swap_places() {
    let (mut a, a_write) = pipe();
    let (mut b, b_write) = pipe();
    use std::os::fd::AsRawFd;
    let (an, bn) = (a_write.as_raw_fd(), b_write.as_raw_fd());
    let script = format!("echo to-a-number >&{an}; echo to-b-number >&{bn}");
    // bash: POSIX shells take one digit only.
    let child = Spawner::new("bash")
        .args(["-c", &script])
        .fd(a_write.as_fd(), bn)
        .fd(b_write.as_fd(), an)
        .start()
        .unwrap();
    drop((a_write, b_write));
    let (mut from_a, mut from_b) = (String::new(), String::new());
    a.read_to_string(&mut from_a).unwrap();
    b.read_to_string(&mut from_b).unwrap();
    assert_eq!((from_a.as_str(), from_b.as_str()), ("to-b-number\n", "to-a-number\n"));
    assert!(child.wait().unwrap().status.success());
}

#[test]
fn waits_are_never_early_and_kill_ends_them() {
    let child = Spawner::new("sleep").arg("60").start().unwrap();
    let start = std::time::Instant::now();
    assert!(child.wait_timeout(Duration::from_millis(50)).unwrap().is_none());
    assert!(start.elapsed() >= Duration::from_millis(50));
    assert!(!child.has_ended().unwrap());
    child.signal(libc::SIGKILL).unwrap();
    let ended = child.wait_timeout(Duration::MAX).unwrap().unwrap();
    assert_eq!(ended.status.signal(), Some(libc::SIGKILL));
    child.signal(libc::SIGKILL).unwrap();
    assert!(!child.signal_group(libc::SIGKILL).unwrap(), "a reaped group is never signalled");
}

#[test]
fn change_of_user_goes_by_fork_and_keeps_us_dumpable() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let text = output(Spawner::new("id").arg("-u").uid(65534).gid(65534).groups([]));
    assert_eq!(text, "65534\n");
    assert!(matches!(
        rustix::process::dumpable_behavior().unwrap(),
        rustix::process::DumpableBehavior::Dumpable
    ));
    let e = Spawner::new("no-such-program").env("PATH", "/bin").uid(65534).start().unwrap_err();
    assert_eq!(e.kind(), StartErrorKind::ProgramNotFound);
}

#[test]
fn odd_names_of_variables_are_refused_where_set_and_kept_where_inherited() {
    for name in ["", "A=B", "A\0B"] {
        let e = Spawner::new("true").env(name, "x").start().unwrap_err();
        assert_eq!(e.kind(), StartErrorKind::InvalidInput, "{name:?}");
    }
    // `env` starts us again with a variable that no shell could set.
    if std::env::vars_os().any(|(name, _)| name == "=odd") {
        let child = Spawner::new("true").start().unwrap();
        assert!(child.wait().unwrap().status.success());
        return;
    }
    let child = Spawner::new("env")
        .arg("=odd=1")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "odd_names_of_variables_are_refused_where_set_and_kept_where_inherited"])
        .start()
        .unwrap();
    assert!(child.wait().unwrap().status.success());
}

#[test]
fn what_was_said_can_be_read_back() {
    let mut spawner = Spawner::new("a");
    spawner.args(["b", "c"]).env("K", "v").env_remove("R").current_dir("/tmp");
    assert_eq!(spawner.get_program(), "a");
    assert!(spawner.get_args().eq(["b", "c"]));
    let envs: Vec<_> = spawner.get_envs().map(|(k, v)| (k.to_owned(), v.map(|v| v.to_owned()))).collect();
    assert_eq!(envs, [("K".into(), Some("v".into())), ("R".into(), None)]);
    assert_eq!(spawner.get_current_dir(), Some(std::path::Path::new("/tmp")));
    assert!(!spawner.get_env_clear());
}

/// A program that somebody still writes is tried again for a while, but not beyond the deadline.
#[test]
fn a_busy_program_is_tried_again_until_the_deadline() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("busy");
    fs::copy("/bin/true", &path).unwrap();
    let writer = fs::File::options().write(true).open(&path).unwrap();
    let fails_after = |deadline: Option<Duration>| {
        let begin = std::time::Instant::now();
        let e = Spawner::new(&path).deadline(deadline.map(|d| begin + d)).start().unwrap_err();
        assert_eq!((e.step(), e.io_error().raw_os_error()), (Step::Exec, Some(libc::ETXTBSY)), "{e}");
        begin.elapsed()
    };
    assert!(fails_after(None) >= Duration::from_millis(255));
    let deadline = Duration::from_millis(20);
    // The last pause ends before it; the fastest of some tries is the one that nothing else delayed.
    let fastest = (0..5).map(|_| fails_after(Some(deadline))).min().unwrap();
    assert!(fastest < Duration::from_millis(150), "{fastest:?}");
    drop(writer);
    assert!(Spawner::new(&path).deadline(None).start().unwrap().wait().unwrap().status.success());
}
