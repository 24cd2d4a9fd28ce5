//! Tests for interruption: a handler each millisecond, without SA_RESTART, disturbs neither starts nor joins.
#![cfg(feature = "functions")]

mod common;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use common::{LONG, inside, start};
use proc_core::spawner::{Spawner, StartErrorKind};
use proc_core::{Fd, JoinError, Process, StartMethod, Stdio, Zygote};

proc_core::init_for_tests!();

static TICKS: AtomicU32 = AtomicU32::new(0);

extern "C" fn tick(_: libc::c_int) {
    TICKS.fetch_add(1, Ordering::Relaxed);
}

fn storm() {
    // SAFETY: zeroed structures of plain numbers are valid; the pointers are to live ones; the handler adds to an atomic.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = tick as *const () as usize;
        assert_eq!(libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut()), 0);
        let every = libc::timeval { tv_sec: 0, tv_usec: 1000 };
        let timer = libc::itimerval { it_interval: every, it_value: every };
        assert_eq!(libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()), 0);
    }
}

fn under_the_storm(m: StartMethod) {
    storm();
    for i in 0..15_u32 {
        assert_eq!(start(m, |x: u32| x * 2, i).join().unwrap(), i * 2);
    }
    let bytes = vec![7_u8; 4 << 20];
    assert!(start(m, |b: Vec<u8>| b, bytes.clone()).join().unwrap() == bytes);
    let null = || Fd(std::fs::File::open("/dev/null").unwrap());
    let p = start(m, |fds: Vec<Fd<std::fs::File>>| fds.len(), (0..300).map(|_| null()).collect());
    assert_eq!(p.join().unwrap(), 300);
    let mut p = start(m, |()| std::thread::sleep(LONG), ());
    let begin = Instant::now();
    let wait = Duration::from_millis(40);
    assert_eq!(p.join_timeout(wait).unwrap(), None);
    assert!(begin.elapsed() >= wait);
    p.kill().unwrap();
    assert_eq!(p.join(), Err(JoinError::Signaled { signal: 9, core: false }));
    let p = Process::builder().start_method(m).current_dir("/no/such").spawn(|()| (), ());
    p.unwrap_err();
    for i in 0..10_u32 {
        let detached = Process::builder().start_method(m).detached(true);
        assert_eq!(detached.spawn(|x: u32| x + 1, i).unwrap().join().unwrap(), i + 1);
        let daemon = Process::builder().start_method(m).daemon(true).umask(0o77).stdin(Stdio::Null);
        assert_eq!(daemon.spawn(|x: u32| x + 2, i).unwrap().join().unwrap(), i + 2);
        // The road of a fork.
        let own = rustix::process::getuid().as_raw();
        assert!(Spawner::new("true").uid(own).start().unwrap().wait().unwrap().status.success());
        let error = Spawner::new("/no/such").uid(own).start().unwrap_err();
        assert_eq!(error.kind(), StartErrorKind::ProgramNotFound);
    }
    let ticks = TICKS.load(Ordering::Relaxed);
    assert!(ticks > 10, "only {ticks} interruptions");
}

#[test]
fn smoke() {
    inside(under_the_storm, StartMethod::Spawn);
}

#[test]
fn zygote() {
    inside(under_the_storm, StartMethod::Zygote);
}

#[test]
fn fork() {
    inside(under_the_storm, StartMethod::Fork);
}

/// The storm is in the zygote as well, where `preload` has begun it.
#[test]
fn a_zygote_that_is_interrupted() {
    fn body((): ()) {
        let zygote = Zygote::preload(|()| storm(), ()).unwrap();
        for i in 0..15_u32 {
            let p = zygote.spawn(|(), x: u32| x * 2, i).unwrap();
            assert_eq!(p.join().unwrap(), i * 2);
        }
    }
    inside(body, ());
}
