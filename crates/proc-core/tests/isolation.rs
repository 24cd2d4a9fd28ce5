//! Tests for what parent and child don't do to each other: descriptors, signals, environment, directory.
#![cfg(feature = "functions")]

mod common;

use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};

use common::{METHODS, inside, open_descriptors, start};
use proc_core::spawner::Spawner;
use proc_core::{Fd, Process, StartMethod, Stdio};

proc_core::init_for_tests!();

/// The kinds of the descriptors from 3 on.
fn kinds((): ()) -> Vec<String> {
    let kind = |(number, target): (i32, String)| {
        (number > 2).then(|| target.split(':').next().unwrap_or_default().to_owned())
    };
    let mut all: Vec<String> = open_descriptors().into_iter().filter_map(kind).collect();
    all.sort();
    all
}

#[test]
fn smoke() {
    // The link to its parent, and the parent's and its own pidfd.
    let kinds = start(StartMethod::Spawn, kinds, ()).join().unwrap();
    assert!(kinds.len() <= 4, "{kinds:?}");
}

#[test]
fn children_have_only_what_they_were_given_however_many_siblings_there_are() {
    fn body(m: StartMethod) {
        let alone = start(m, kinds, ()).join().unwrap();
        assert!(alone.iter().all(|kind| kind == "socket" || kind == "anon_inode"), "{alone:?}");
        let siblings: Vec<_> = (0..20)
            .map(|i| {
                let builder = Process::builder().start_method(m).daemon(i % 2 == 0);
                builder.spawn(|()| std::thread::sleep(common::LONG), ()).unwrap()
            })
            .collect();
        assert_eq!(start(m, kinds, ()).join().unwrap(), alone);
        let p = start(m, |(_, ()): (Fd<File>, ())| kinds(()), (Fd(File::open("/dev/zero").unwrap()), ()));
        let with_one = p.join().unwrap();
        // A fork copies the sender's own one as well, as it does every descriptor that is not the library's.
        assert_eq!(with_one.len(), alone.len() + if m == StartMethod::Fork { 2 } else { 1 });
        for p in siblings {
            p.kill().unwrap();
            p.wait().unwrap();
        }
    }
    for m in METHODS {
        inside(body, m);
    }
}

/// Descriptors that somebody opened without close-on-exec are not passed on.
#[test]
fn careless_descriptors_stay_here() {
    fn body((): ()) {
        let file = File::open("/dev/zero").unwrap();
        // SAFETY: dup2 of an open descriptor onto numbers that are free.
        unsafe {
            assert_eq!(libc::dup2(file.as_raw_fd(), 100), 100);
            assert_eq!(libc::dup2(file.as_raw_fd(), 3000), 3000);
        }
        for m in [StartMethod::Spawn, StartMethod::Zygote] {
            let kinds = start(m, kinds, ()).join().unwrap();
            assert!(!kinds.iter().any(|kind| kind == "/dev/zero"), "{kinds:?}");
        }
    }
    inside(body, ());
}

/// What a start could change here by mistake.
fn state() -> (Vec<String>, Vec<(std::ffi::OsString, std::ffi::OsString)>, std::path::PathBuf, i32) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let wanted =
        ["SigBlk", "SigIgn", "SigCgt", "ShdPnd", "SigPnd", "Umask", "Groups", "Uid", "Gid", "NoNewPrivs"];
    let lines = status.lines().filter(|line| wanted.iter().any(|name| line.starts_with(name)));
    // SAFETY: prctl with numbers.
    let dumpable = unsafe { libc::prctl(libc::PR_GET_DUMPABLE) };
    let lines = lines.map(str::to_owned).collect();
    (lines, std::env::vars_os().collect(), std::env::current_dir().unwrap(), dumpable)
}

#[test]
fn a_start_changes_nothing_here() {
    fn body((): ()) {
        extern "C" fn nothing(_: libc::c_int) {}
        // SAFETY: the handler does nothing; the set is filled before it is used.
        unsafe {
            libc::signal(libc::SIGUSR1, nothing as *const () as usize);
            libc::signal(libc::SIGUSR2, libc::SIG_IGN);
            let mut set = std::mem::zeroed();
            libc::sigemptyset(&mut set);
            libc::sigaddset(&mut set, libc::SIGHUP);
            libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        }
        let before = state();
        for m in METHODS {
            let p = Process::builder()
                .start_method(m)
                .env("PROC_CORE_TEST_B", "1")
                .env_remove("HOME")
                .current_dir("/usr")
                .umask(0o011)
                .nice(3)
                .process_group()
                .stdin(Stdio::Null)
                .resource_limit(libc::RLIMIT_CORE, 0, 0)
                .spawn(
                    |()| {
                        let status = std::fs::read_to_string("/proc/self/status").unwrap();
                        let line = |name: &str| {
                            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
                            u64::from_str_radix(line.split_whitespace().last().unwrap(), 16).unwrap()
                        };
                        (line("SigBlk"), line("SigIgn"))
                    },
                    (),
                )
                .unwrap();
            // The child blocks and ignores what its parent does.
            let (blocked, ignored) = p.join().unwrap();
            assert_eq!(blocked, 1 << (libc::SIGHUP - 1), "{m:?}");
            assert!(
                ignored & 1 << (libc::SIGUSR2 - 1) != 0 && ignored & 1 << (libc::SIGUSR1 - 1) == 0,
                "{m:?}"
            );
            assert_eq!(state(), before, "{m:?}");
            Process::builder().start_method(m).current_dir("/no/such").spawn(|()| (), ()).unwrap_err();
            Process::builder().start_method(m).detached(true).spawn(|()| (), ()).unwrap().join().unwrap();
            assert_eq!(state(), before, "{m:?}");
        }
        Spawner::new("/no/such").start().unwrap_err();
        assert!(
            Spawner::new("true").session().no_new_privs().start().unwrap().wait().unwrap().status.success()
        );
        if rustix::process::geteuid().is_root() {
            let child = Spawner::new("true").uid(65534).gid(65534).groups([]).start().unwrap();
            assert!(child.wait().unwrap().status.success());
        }
        assert_eq!(state(), before);
    }
    inside(body, ());
}

static OWN_PID: AtomicI32 = AtomicI32::new(0);
static RUNS: AtomicU32 = AtomicU32::new(0);
static RAN_ELSEWHERE: AtomicBool = AtomicBool::new(false);

extern "C" fn noting(_: libc::c_int) {
    RUNS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: getpid has no precondition; libc's may be cached.
    if unsafe { libc::syscall(libc::SYS_getpid) } as i32 != OWN_PID.load(Ordering::Relaxed) {
        RAN_ELSEWHERE.store(true, Ordering::Relaxed);
    }
}

/// A child that starts on its parent's memory would write what the handler writes there.
#[test]
fn a_handler_of_the_parent_never_runs_in_a_child_on_its_memory() {
    fn body((): ()) {
        OWN_PID.store(std::process::id() as i32, Ordering::Relaxed);
        // SAFETY: the handler makes a system call and atomic stores.
        unsafe { libc::signal(libc::SIGUSR1, noting as *const () as usize) };
        let stop = AtomicBool::new(false);
        std::thread::scope(|s| {
            s.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    // This process leads its group, in which all its children are.
                    // SAFETY: kill takes numbers.
                    unsafe { libc::kill(0, libc::SIGUSR1) };
                    std::thread::yield_now();
                }
            });
            for i in 0..150 {
                if i % 3 == 0 {
                    // Whatever becomes of it.
                    if let Ok(p) = Process::spawn(|()| (), ()) {
                        let _ = p.join();
                    }
                } else if let Ok(child) = Spawner::new(if i % 3 == 1 { "true" } else { "/no/such" }).start() {
                    child.wait().unwrap();
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
        assert!(RUNS.load(Ordering::Relaxed) > 10);
        assert!(!RAN_ELSEWHERE.load(Ordering::Relaxed));
    }
    inside(body, ());
}
