//! Tests for traps of running programs, beyond those that have a file of their own.
//!
//! | trap | where it is tested |
//! |---|---|
//! | a status that nobody looks at | `errors::accepted_codes` |
//! | a broken pipe of the input, an error or a death by SIGPIPE | `bounds::eight_mebibytes_...`, here |
//! | zombies; drops that hang; drops that leak | `child::dropping_...`, `child::a_detached_...`, `leaks` |
//! | a kill that races with a wait | `child::wait_and_kill_from_eight_threads_at_once`, here |
//! | `foo` that should be `./foo`; a directory that breaks a relative program; the wrong `PATH` | `settings::programs_are_found_...`, here |
//! | pipes that other children inherit; descriptors that leak | here, `settings::no_other_descriptor_...` |
//! | names of variables by case, twice, or with `=` | here, `settings::environment` |
//! | two programs that wait for each other; an end that is taken for an exit | `child::two_programs_...`, here |
//! | grandchildren that live on, hold a pipe, made a session | `bounds` |
//! | POLLERR alone; POLLHUP with data | `bounds::eight_mebibytes_...`, here |
//! | O_NONBLOCK on a file that others use | here |
//! | a limit that misses input, drain or drop; limits of zero and of ages | `bounds` |
//! | groups killed by a number that is another's; EPERM; stopped programs | `bounds::a_stopped_...`, here |
//! | a group in the background that reads the terminal; no `/dev/tty` | `pty` |
//! | death signals by thread | here |
//! | a child's change of user that marks its parent; groups that stay | `settings::user_and_groups` |
//! | ETXTBSY | here |
//! | descriptors 0 to 2 closed; swaps; limits of descriptors; EMFILE half-way | `leaks`, `edges`, here |
//! | a descriptor that is kept and delays the end | `settings::descriptors_by_number_are_given_away` |
//! | ENOEXEC; a missing directory that looks like a missing program; E2BIG | `errors::failures_of_a_start_...` |
//! | masks and ignored signals that are inherited | here, `settings::no_new_privileges_...` |
//! | SIGCHLD ignored; somebody else's `wait`; a handler of ours; a tracer | here |
//! | `yes \| head`; a stage that can't be started | `pipeline` |
//! | limits of the output that stop reading | `bounds::output_limits_...` |
//! | the order of two streams | here |
//! | torn characters; `\r\n`; a last line without an end; endless lines | `session`, `bounds::a_line_of_...` |
//! | EIO of a terminal | `pty` |
//! | a parent that is killed | `settings::the_program_dies_with_its_parent` |

mod common;

use common::{alone, assert_none_left, eventually, long_sleep, threads};
use proc_exec::{Command, Input, KillScope, Sink, StartErrorKind, cmd, run};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(50);

#[test]
fn smoke() {
    run(["true"]).unwrap();
}

fn set_signal(signal: i32, action: usize) {
    // SAFETY: the action is one of the two that are no functions.
    unsafe { libc::signal(signal, action) };
}

#[test]
fn a_broken_pipe_does_not_kill_who_has_sigpipe_as_c_has_it() {
    if alone("a_broken_pipe_does_not_kill_who_has_sigpipe_as_c_has_it") {
        set_signal(libc::SIGPIPE, libc::SIG_DFL);
        for _ in 0..10 {
            cmd!("true").input(vec![0; 1 << 20]).run().unwrap();
        }
        let mut gone = Command::shell("exec <&-; sleep 1").interactive().unwrap();
        std::thread::sleep(SHORT);
        let _ = gone.write("x");
        assert!(gone.write("x".repeat(1 << 17)).is_err());
    }
}

#[test]
fn concurrent_starts_do_not_inherit_each_others_pipes() {
    let starts: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(|| {
                for _ in 0..25 {
                    // It ends when the last copy of its input's write end is closed.
                    let cat = cmd!("cat").stdin(Input::pipe()).stdout(Sink::capture()).spawn().unwrap();
                    let sleep = cmd!("sleep", "30").spawn().unwrap();
                    drop(cat.take_stdin());
                    assert!(cat.wait_timeout(Duration::from_secs(20)).unwrap().is_some());
                    sleep.kill().unwrap();
                }
            })
        })
        .collect();
    starts.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn names_of_variables_keep_their_case() {
    let mut shell = Command::shell("echo $Name-$NAME");
    assert_eq!(shell.env("Name", "a").env("NAME", "b").read().unwrap(), "a-b");
}

#[test]
fn an_end_of_output_is_no_exit_and_an_exit_no_end_of_output() {
    let out = Command::shell("exec >&- 2>&-; sleep 0.2; exit 5").unchecked().run().unwrap();
    assert_eq!(out.status.code(), Some(5));
    assert!(out.duration >= Duration::from_millis(200));
    let out = Command::shell("(sleep 0.3; echo late) & echo now").drain_grace(Duration::from_secs(20)).run();
    let out = out.unwrap();
    assert!(out.stdout == b"now\nlate\n" && !out.incomplete);
}

#[test]
fn what_is_in_the_pipe_at_the_end_is_not_lost() {
    for _ in 0..50 {
        let out =
            Command::shell("head -c 60000 /dev/zero; exit 0").drain_grace(Duration::ZERO).run().unwrap();
        assert!(out.stdout.len() == 60_000 && !out.incomplete);
    }
}

#[test]
fn files_that_others_use_do_not_become_nonblocking() {
    let flags = |fd: &OwnedFd| rustix::fs::fcntl_getfl(fd).unwrap();
    let (read, write) = rustix::pipe::pipe().unwrap();
    let (read, write) = (std::sync::Arc::new(read), std::sync::Arc::new(write));
    let before = (flags(&read), flags(&write));
    let mut cat = cmd!("cat");
    cat.stdin(read.clone()).stdout(write.clone()).stderr(Sink::capture()).timeout(SHORT);
    assert!(cat.run().unwrap_err().is_timeout());
    assert_eq!(before, (flags(&read), flags(&write)));
    // Nor is the program's own end of a pipe that we made, whatever we do with ours.
    let mut sh =
        Command::shell("head -c 300000 /dev/zero; cat >/dev/null; grep flags /proc/self/fdinfo/[012] >&2");
    let told = sh.input(vec![0; 300_000]).run().unwrap();
    let modes = told.stderr_lossy().into_owned();
    assert_eq!(modes.lines().count(), 3);
    assert!(modes.lines().all(|line| !line.ends_with("4000") && !line.ends_with("4001")), "{modes}");
}

#[test]
fn a_signal_that_is_not_allowed_is_told() {
    if alone("a_signal_that_is_not_allowed_is_told") && rustix::process::geteuid().is_root() {
        let child = cmd!("sleep", "1").stdin(Input::null()).spawn().unwrap();
        // SAFETY: a number only; all of this process's threads change with it.
        assert_eq!(unsafe { libc::setuid(65534) }, 0);
        let refused = child.kill().unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied, "{refused}");
        assert!(child.terminate().is_err());
        // It can be waited for all the same.
        assert!(child.wait().unwrap().status.success());
        child.kill().unwrap();
    }
}

#[test]
fn signals_to_who_has_ended_or_that_do_not_exist_are_no_panic() {
    let child = cmd!("true").kill_scope(KillScope::Group).stdin(Input::null()).spawn().unwrap();
    eventually("it has ended", || child.has_ended().unwrap());
    for _ in 0..2 {
        child.terminate().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(cmd!("sleep", long_sleep()).spawn().unwrap().signal(12345).is_err());
}

#[test]
fn a_death_signal_comes_with_the_thread_and_a_lifeline_does_not() {
    let start = |command: &mut Command| {
        let mut command = command.clone();
        std::thread::spawn(move || command.spawn().unwrap()).join().unwrap()
    };
    let trapped = start(cmd!("sleep", long_sleep()).parent_death_signal(libc::SIGKILL));
    assert_eq!(trapped.wait().unwrap_err().status().unwrap().signal(), Some(9));
    let tied = start(cmd!("sleep", long_sleep()).die_with_parent(true));
    assert!(tied.wait_timeout(SHORT).unwrap().is_none());
}

#[test]
fn a_program_that_is_still_open_for_writing_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fresh");
    std::fs::copy("/bin/true", &path).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    let open = File::options().write(true).open(&path).unwrap();
    let writer = std::thread::spawn(move || {
        std::thread::sleep(SHORT);
        drop(open);
    });
    run([&path]).unwrap();
    writer.join().unwrap();
}

#[test]
fn on_the_path_a_program_that_may_not_be_run_is_told_over_one_that_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("denied"), "#!/bin/sh\n").unwrap();
    let path = format!("{}:/nowhere", dir.path().display());
    let error = cmd!("denied").env("PATH", &path).run().unwrap_err();
    assert_eq!(error.start_error().unwrap().kind(), StartErrorKind::PermissionDenied, "{error}");
    // Without any PATH the system's own directories are looked in, and not the working directory.
    assert!(cmd!("true").env_remove("PATH").run().is_ok());
    assert!(cmd!("denied").env_remove("PATH").current_dir(dir.path()).run().unwrap_err().is_not_found());
}

#[test]
fn a_mask_is_not_inherited_and_an_ignored_signal_is() {
    if alone("a_mask_is_not_inherited_and_an_ignored_signal_is") {
        set_signal(libc::SIGHUP, libc::SIG_IGN);
        let mut child_of_masked = cmd!("grep", "-E", "Sig(Blk|Ign)", "/proc/self/status");
        let mut set = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
        // SAFETY: a live set; the mask is this thread's.
        unsafe {
            libc::sigaddset(set.as_mut_ptr(), libc::SIGTERM);
            libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
        }
        let text = child_of_masked.read().unwrap();
        let number = |line: &str| u64::from_str_radix(line.split_whitespace().last().unwrap(), 16).unwrap();
        let masks: Vec<u64> = text.lines().map(number).collect();
        assert_eq!((masks[0], masks[1] & 1), (0, 1), "{text}");
    }
}

#[test]
fn with_sigchld_ignored_nothing_hangs_and_output_arrives() {
    if alone("with_sigchld_ignored_nothing_hangs_and_output_arrives") {
        set_signal(libc::SIGCHLD, libc::SIG_IGN);
        for _ in 0..5 {
            // The kernel reaps at once; what it remembers of the status depends on its age.
            assert_eq!(cmd!("echo", "a").unchecked().run().unwrap().stdout, b"a\n");
            let out = cmd!("echo", "b").pipe(cmd!("cat")).unchecked().run().unwrap();
            assert_eq!(out.stdout, b"b\n");
            let limited =
                cmd!("true").pipe(cmd!("echo", "c")).timeout(Duration::from_secs(60)).unchecked().run();
            assert_eq!(limited.unwrap().stdout, b"c\n");
            assert!(cmd!("sleep", long_sleep()).timeout(SHORT).run().unwrap_err().is_timeout());
            let child = cmd!("false").unchecked().spawn().unwrap();
            eventually("it has ended", || child.has_ended().unwrap());
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

#[test]
fn somebody_else_may_wait_for_our_children() {
    if alone("somebody_else_may_wait_for_our_children") {
        std::thread::spawn(|| {
            loop {
                // SAFETY: a null status is not written.
                unsafe { libc::waitpid(-1, std::ptr::null_mut(), 0) };
                std::thread::yield_now();
            }
        });
        for _ in 0..50 {
            assert_eq!(cmd!("echo", "a").unchecked().run().unwrap().stdout, b"a\n");
            let child = cmd!("sleep", long_sleep()).unchecked().spawn().unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

#[test]
fn no_thread_and_no_handler_of_ours() {
    if alone("no_thread_and_no_handler_of_ours") {
        let before = threads();
        cmd!("cat").input(vec![0; 1 << 20]).timeout(Duration::from_secs(60)).run().unwrap();
        let child = cmd!("sleep", "0.05").spawn().unwrap();
        assert!(child.wait_timeout(Duration::from_millis(1)).unwrap().is_none());
        child.wait().unwrap();
        assert_eq!(threads(), before);
        let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: a null new action only asks.
        let action = unsafe {
            libc::sigaction(libc::SIGCHLD, std::ptr::null(), action.as_mut_ptr());
            action.assume_init()
        };
        assert_eq!(action.sa_sigaction, libc::SIG_DFL);
    }
}

/// How long a tracer holds back the end of what it traces.
const HELD: Duration = Duration::from_millis(1200);

#[test]
fn a_tracer_that_holds_the_end_back_delays_it_only() {
    if let Some(pid) = std::env::var("PROC_EXEC_TRACE").ok().and_then(|pid| pid.parse::<i32>().ok()) {
        // SAFETY: numbers only. Where it is not allowed nobody is held back.
        let is_held = unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, 0, 0) } == 0;
        let ready = std::path::PathBuf::from(std::env::var_os("PROC_EXEC_READY").unwrap());
        std::fs::write(ready.with_extension("part"), if is_held { "held" } else { "" }).unwrap();
        std::fs::rename(ready.with_extension("part"), ready).unwrap();
        std::thread::sleep(HELD);
        return;
    }
    let ready = tempfile::tempdir().unwrap().keep().join("ready");
    let start = std::time::Instant::now();
    let traced = cmd!("sleep", "0.5").unchecked().spawn().unwrap();
    let mut tracer = Command::new(std::env::current_exe().unwrap());
    tracer.args(["--exact", "a_tracer_that_holds_the_end_back_delays_it_only", "--test-threads=1"]);
    tracer.env("PROC_EXEC_TRACE", traced.id().to_string()).env("PROC_EXEC_READY", &ready);
    let tracer = tracer.stdout(Sink::null()).spawn().unwrap();
    eventually("it is traced", || ready.exists());
    while traced.wait_timeout(SHORT).unwrap().is_none() {}
    assert!(traced.wait().unwrap().status.success());
    // It was over long before its tracer let it go.
    let is_held = std::fs::read_to_string(&ready).unwrap() == "held";
    assert!(!is_held || start.elapsed() >= HELD, "{:?}", start.elapsed());
    tracer.wait().unwrap();
    std::fs::remove_dir_all(ready.parent().unwrap()).unwrap();
}

#[test]
fn merged_streams_keep_their_order() {
    let mut shell = Command::shell("for i in 1 2 3 4 5; do echo out $i; echo err $i >&2; done");
    let merged = shell.merge_stderr().run().unwrap();
    let wanted: String = (1..=5).map(|i| format!("out {i}\nerr {i}\n")).collect();
    assert_eq!(merged.text().unwrap(), wanted);
    assert!(merged.stderr.is_empty());
    let other = shell.stderr(Sink::capture()).stdout(Sink::merge()).run().unwrap();
    assert_eq!(other.stderr_lossy(), wanted);
}

#[test]
fn descriptors_that_are_handed_crosswise() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| File::create(dir.path().join(name)).unwrap();
    // The same open file for both streams, and each other's numbers.
    let both = std::sync::Arc::new(OwnedFd::from(file("both")));
    let mut shell = Command::shell("echo a; echo b >&2; echo c");
    shell.stdout(both.clone()).stderr(both).run().unwrap();
    assert_eq!(std::fs::read_to_string(dir.path().join("both")).unwrap(), "a\nb\nc\n");
    let mut shell = Command::shell("echo three >&3; echo four >&4; echo nine >&9");
    shell.fd(3, file("x3")).fd(4, file("x4")).fd(9, file("x9")).run().unwrap();
    for (name, text) in [("x3", "three\n"), ("x4", "four\n"), ("x9", "nine\n")] {
        assert_eq!(std::fs::read_to_string(dir.path().join(name)).unwrap(), text);
    }
}

#[test]
fn a_low_limit_of_descriptors_in_the_program_does_not_stop_its_start() {
    let mut many: Vec<File> = (0..50).map(|_| File::open("/dev/null").unwrap()).collect();
    many[0].flush().unwrap();
    let mut shell = Command::shell("echo ok");
    shell.resource_limit(proc_exec::Resource::OpenFiles, 5, 5).timeout(Duration::from_secs(60));
    assert_eq!(shell.read().unwrap(), "ok");
    assert!(many[49].as_fd().try_clone_to_owned().is_ok());
}

#[test]
fn a_reader_may_stop_and_an_input_may_come_from_an_ended_pipe() {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    drop(write);
    assert_eq!(cmd!("wc", "-c").stdin(read).read().unwrap(), "0");
    let mark = long_sleep();
    // It closes its input and lives on: what we write is dropped, and its end is waited for.
    let line = format!("exec <&-; sleep 0.1; sleep {mark} & kill $!");
    Command::shell(line).input(vec![0; 1 << 20]).run().unwrap();
    assert_none_left(&mark);
}
