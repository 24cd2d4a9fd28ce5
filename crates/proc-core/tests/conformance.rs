//! Tests for what holds whatever the start method: one suite, run under each of the three.
//!
//! Each case runs in a process of its own, because a test harness has threads and can't be forked.
#![cfg(feature = "functions")]

mod common;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use common::{LONG, children, eventually, pipe, read_to_end, start};
use proc_core::{ExitStatus, Fd, JoinError, Process, SpawnErrorKind, StartMethod};

proc_core::init_for_tests!();

common::suite! {
    smoke
    values_of_every_kind
    a_panic_has_message_file_and_line
    exit_codes
    an_abort
    each_signal
    killed_before_it_runs
    a_child_that_never_gets_to_its_function
    a_child_that_closes_its_descriptors
    eight_mebibytes_each_way
    a_hundred_at_once
    children_of_children
    joined_twice
    joined_with_a_deadline
    joined_from_another_thread
    waited_for_by_many
    dropped_while_running
    a_dropped_daemon_is_killed
    terminated_killed_and_interrupted
    a_signal_to_one_that_has_ended
    the_descriptor_is_readable_at_the_end
    a_value_beats_the_status
    the_list_of_children
    detached
}

#[test]
fn smoke_outside() {
    for method in [StartMethod::Spawn, StartMethod::Zygote] {
        assert_eq!(start(method, |(a, b)| a + b, (20, 22)).join().unwrap(), 42);
    }
}

fn smoke(m: StartMethod) {
    assert_eq!(start(m, |(a, b): (u32, u32)| a + b, (20, 22)).join().unwrap(), 42);
}

fn values_of_every_kind(m: StartMethod) {
    start(m, |()| (), ()).join().unwrap();
    let words = vec!["a".to_string(), String::new(), "ß".repeat(100)];
    assert_eq!(start(m, |w: Vec<String>| w, words.clone()).join().unwrap(), words);
    let result = start(m, |x: Option<u8>| x.ok_or("none".to_string()), None).join().unwrap();
    assert_eq!(result, Err("none".to_string()));
    fn sum(numbers: Vec<u64>) -> u64 {
        numbers.iter().sum()
    }
    // Chosen at run time: a function, not a type.
    let table: [fn(Vec<u64>) -> u64; 2] = [sum, |n| n.len() as u64];
    assert_eq!(table.map(|f| start(m, f, vec![5, 6]).join().unwrap()), [11, 2]);
}

fn a_panic_has_message_file_and_line(m: StartMethod) {
    const LINE: u32 = line!() + 1;
    match start(m, |x: u32| -> u32 { panic!("boom {x}") }, 7).join() {
        Err(JoinError::Panicked(panic)) => {
            assert_eq!(panic.message, "boom 7");
            let place = format!("{}:{LINE}:", file!());
            assert!(panic.location.as_deref().unwrap().starts_with(&place), "{panic}");
            assert!(panic.backtrace().is_none() || std::env::var_os("RUST_BACKTRACE").is_some());
        }
        other => panic!("{other:?}"),
    }
    // Where it is asked for, in the new process, there is the stack too. (A fork may have asked before, and knows.)
    if m == StartMethod::Spawn {
        let traced = Process::builder().start_method(m).env("RUST_BACKTRACE", "1");
        match traced.spawn(|()| -> () { panic!("with a stack") }, ()).unwrap().join() {
            Err(JoinError::Panicked(panic)) => {
                assert!(panic.backtrace().is_some_and(|stack| stack.contains("conformance")), "{panic}");
            }
            other => panic!("{other:?}"),
        }
    }
    let p = start(m, |()| -> () { std::panic::resume_unwind(Box::new("no hook sees it".to_owned())) }, ());
    assert!(matches!(p.join(), Err(JoinError::Panicked(p)) if p.message == "no hook sees it"));
    let p = start(m, |()| -> () { std::panic::panic_any(5_u8) }, ());
    assert!(matches!(p.join(), Err(JoinError::Panicked(p)) if p.message.contains("no text")));
    // A panic that the function catches is its own business, as is one of another thread.
    let p = start(
        m,
        |()| {
            let caught = std::panic::catch_unwind(|| panic!("caught")).is_err();
            caught && std::thread::spawn(|| panic!("of a thread")).join().is_err()
        },
        (),
    );
    assert!(p.join().unwrap());
}

fn exit_codes(m: StartMethod) {
    for code in [0, 1, 7, 101, 255] {
        let p = start(m, |code: i32| -> () { std::process::exit(code) }, code);
        assert_eq!(p.join(), Err::<(), _>(JoinError::Exited(code)));
    }
    let p = start(m, |()| (), ());
    assert_eq!(p.wait().unwrap(), ExitStatus::Exited(0));
    let p = start(m, |()| -> () { panic!() }, ());
    assert_eq!(p.wait().unwrap(), ExitStatus::Exited(101));
}

/// Without the file that a core dump would leave.
fn start_without_core<A: proc_core::Message>(m: StartMethod, f: fn(A), arg: A) -> Process<()> {
    Process::builder().start_method(m).resource_limit(libc::RLIMIT_CORE, 0, 0).spawn(f, arg).unwrap()
}

fn an_abort(m: StartMethod) {
    let p = start_without_core(m, |()| -> () { std::process::abort() }, ());
    assert!(matches!(p.join(), Err(JoinError::Signaled { signal: libc::SIGABRT, .. })));
}

fn each_signal(m: StartMethod) {
    let survives = [libc::SIGCHLD, libc::SIGCONT, libc::SIGURG, libc::SIGWINCH];
    let stops = [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
    // glibc keeps 32 and 33 for itself.
    let deadly: Vec<i32> = (1..=64)
        .filter(|n| !survives.contains(n) && !stops.contains(n) && !(32..libc::SIGRTMIN()).contains(n))
        .collect();
    let by_itself = |n: i32| {
        // SAFETY: the default action needs no handler; raise has no precondition.
        unsafe {
            libc::signal(n, libc::SIG_DFL);
            libc::raise(n);
        }
    };
    let all: Vec<_> = deadly.iter().map(|n| (*n, start_without_core(m, by_itself, *n))).collect();
    for (n, p) in all {
        let status = p.wait().unwrap();
        assert_eq!(status.signal(), Some(n), "{status}");
        match p.join() {
            Err(JoinError::Signaled { signal, .. }) => assert_eq!(signal, n),
            other => panic!("{n}: {other:?}"),
        }
    }
    for n in survives {
        assert_eq!(start(m, move_through, n).join().unwrap(), n);
    }
    fn move_through(n: i32) -> i32 {
        // SAFETY: raise has no precondition.
        unsafe { libc::raise(n) };
        n
    }
    // A stopped process has not ended, and can be gone on with or killed.
    let sleeper = start(m, |()| std::thread::sleep(LONG), ());
    sleeper.signal(libc::SIGSTOP).unwrap();
    assert_eq!(sleeper.wait_timeout(Duration::from_millis(30)).unwrap(), None);
    assert!(sleeper.is_alive());
    sleeper.kill().unwrap();
    assert_eq!(sleeper.wait().unwrap().signal(), Some(libc::SIGKILL));
}

/// A process in its argument's decoder has not begun its function.
struct Slow(File);

impl serde::Serialize for Slow {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        proc_core::fd::serialize(&self.0, s)
    }
}

impl<'de> serde::Deserialize<'de> for Slow {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let file: File = proc_core::fd::deserialize(d)?;
        (&file).write_all(b"decodes ").unwrap();
        std::thread::sleep(LONG);
        Ok(Slow(file))
    }
}

fn killed_before_it_runs(m: StartMethod) {
    let kill = |p: Process<()>| {
        p.kill().unwrap();
        assert_eq!(p.join(), Err(JoinError::Signaled { signal: libc::SIGKILL, core: false }));
    };
    // For certain: it was on its way.
    let (mut read, write) = pipe();
    let p = start(m, |slow: Slow| (&slow.0).write_all(b"began").unwrap(), Slow(write));
    read.read_exact(&mut [0; 8]).unwrap();
    kill(p);
    assert_eq!(read_to_end(read), "");
    // At any moment: if the function began, then whole lines of it came.
    for _ in 0..10 {
        let (read, write) = pipe();
        kill(start(
            m,
            |to: Fd<File>| {
                (&to.0).write_all(b"began ").unwrap();
                std::thread::sleep(LONG);
            },
            Fd(write),
        ));
        assert!(matches!(&*read_to_end(read), "" | "began "));
    }
}

/// Too little memory to do anything in: whatever it dies of, its end is an error and no hang.
fn a_child_that_never_gets_to_its_function(m: StartMethod) {
    let p = Process::builder()
        .start_method(m)
        .resource_limit(libc::RLIMIT_AS, 1 << 20, 1 << 20)
        .resource_limit(libc::RLIMIT_CORE, 0, 0)
        .spawn(|()| vec![1_u8; 64 << 20].len(), ());
    if let Ok(mut p) = p {
        match p.join_timeout(LONG) {
            Err(JoinError::Signaled { .. } | JoinError::Exited(_) | JoinError::Refused(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn a_child_that_closes_its_descriptors(m: StartMethod) {
    for (first, daemon) in [(0, false), (3, false), (0, true), (3, true)] {
        let p = Process::builder().start_method(m).daemon(daemon).spawn(
            |first: u32| {
                // SAFETY: whatever is closed belongs to this process, which is what is tried here.
                unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
                // What is opened now gets the numbers: nothing may be written to it.
                let file = tempfile::tempfile().unwrap();
                let copies: Vec<File> = (0..20).map(|_| file.try_clone().unwrap()).collect();
                let len = file.metadata().unwrap().len();
                std::mem::forget(copies);
                len
            },
            first,
        );
        // The value can't be delivered.
        assert_eq!(p.unwrap().join(), Err(JoinError::Exited(71)), "{first} {daemon}");
    }
}

fn eight_mebibytes_each_way(m: StartMethod) {
    let bytes: Vec<u8> = (0..8 << 20).map(|i| (i / 7) as u8).collect();
    let p = start(m, |b: Vec<u8>| b.iter().rev().copied().collect::<Vec<u8>>(), bytes.clone());
    // Nobody has to read for the process to end.
    assert_eq!(p.wait().unwrap(), ExitStatus::Exited(0));
    let mut back = p.join().unwrap();
    back.reverse();
    assert!(back == bytes);
    let texts: Vec<String> = (0..100_000).map(|i| format!("{i:080}")).collect();
    assert!(start(m, |t: Vec<String>| t, texts.clone()).join().unwrap() == texts);
}

fn a_hundred_at_once(m: StartMethod) {
    let (mut ready, says_so) = pipe();
    // One packet for each that may go.
    let (go, gate) = proc_core::transfer::packet::pair().unwrap();
    let waits = |(i, says_so, gate): (u32, Fd<File>, Fd<std::os::fd::OwnedFd>)| {
        (&says_so.0).write_all(&[1]).unwrap();
        proc_core::transfer::packet::recv(&gate.0, None).unwrap().expect("the gate opens");
        i * i
    };
    let another = |i| (i, Fd(says_so.try_clone().unwrap()), Fd(gate.try_clone().unwrap()));
    let all: Vec<Process<u32>> = (0..100).map(|i| start(m, waits, another(i))).collect();
    ready.read_exact(&mut [0; 100]).unwrap();
    assert!(all.iter().all(|p| p.is_alive()), "all hundred at one time");
    for _ in 0..100 {
        proc_core::transfer::packet::send(&go, b"", &[], None).unwrap();
    }
    // Out of order, too.
    for (i, p) in all.into_iter().enumerate().rev() {
        assert_eq!(p.join().unwrap() as usize, i * i);
    }
}

fn children_of_children(m: StartMethod) {
    fn tree((m, depth): (StartMethod, u32)) -> u32 {
        if depth == 0 {
            return 1;
        }
        let two = [(); 2].map(|()| start(m, tree, (m, depth - 1)));
        two.into_iter().map(|p| p.join().unwrap()).sum::<u32>() + 1
    }
    assert_eq!(tree((m, 3)), 15);
    // Other methods from within.
    for other in common::METHODS {
        assert_eq!(tree((m, 1)), start(m, tree, (other, 1)).join().unwrap());
    }
}

fn joined_twice(m: StartMethod) {
    let mut p = start(m, |x: u32| x, 5);
    assert_eq!(p.join_timeout(LONG), Ok(Some(5)));
    assert_eq!(p.try_join(), Err(JoinError::Taken));
    assert_eq!(p.join(), Err(JoinError::Taken));
    let mut p = start(m, |()| -> u32 { std::process::exit(3) }, ());
    assert_eq!(p.join_timeout(LONG), Err(JoinError::Exited(3)));
    assert_eq!(p.join(), Err(JoinError::Taken));
}

fn joined_with_a_deadline(m: StartMethod) {
    let mut p = start(m, |()| std::thread::sleep(LONG), ());
    assert_eq!(p.try_join(), Ok(None));
    for wait in [Duration::ZERO, Duration::from_micros(500), Duration::from_millis(50)] {
        let begin = Instant::now();
        assert_eq!(p.join_timeout(wait), Ok(None));
        let took = begin.elapsed();
        // A second for a machine with other work.
        assert!(took >= wait && took < wait + Duration::from_secs(1), "{took:?}");
        assert_eq!(p.join_deadline(begin), Ok(None));
    }
    p.kill().unwrap();
    assert_eq!(p.join_timeout(Duration::MAX), Err(JoinError::Signaled { signal: 9, core: false }));

    let (hold, held) = pipe();
    let mut p = start(m, |held: Fd<File>| held.into_inner().read(&mut [0]).unwrap(), Fd(hold));
    assert_eq!(p.join_timeout(Duration::from_millis(20)), Ok(None));
    let begin = Instant::now();
    drop(held);
    // The forked child has a copy of the writing end, which it can't see the end of.
    if m == StartMethod::Fork {
        p.terminate().unwrap();
        p.wait().unwrap();
    } else {
        assert_eq!(p.join_deadline(begin + LONG), Ok(Some(0)));
    }
    assert!(begin.elapsed() < LONG / 2);
    // Woken by the end, and not by a clock: so many in a second are no round of a poll that sleeps.
    let begin = Instant::now();
    let mut rounds = 0;
    while rounds < 20 {
        let mut p = start(m, |()| std::thread::sleep(Duration::from_millis(5)), ());
        assert_eq!(p.join_timeout(LONG), Ok(Some(())));
        rounds += 1;
    }
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
}

fn joined_from_another_thread(m: StartMethod) {
    let p = start(m, |x: u32| x + 1, 1);
    assert_eq!(std::thread::spawn(move || p.join()).join().unwrap(), Ok(2));
    let p = start(m, |()| std::thread::sleep(LONG), ());
    let killer = p.handle();
    let waiter = std::thread::spawn(move || p.join());
    std::thread::sleep(Duration::from_millis(10));
    killer.kill().unwrap();
    assert_eq!(waiter.join().unwrap(), Err(JoinError::Signaled { signal: 9, core: false }));
}

fn waited_for_by_many(m: StartMethod) {
    let p = start(m, |()| -> () { std::process::exit(9) }, ());
    let waiters: Vec<_> = (0..8)
        .map(|_| {
            let handle = p.handle();
            std::thread::spawn(move || handle.wait().unwrap())
        })
        .collect();
    for waiter in waiters {
        assert_eq!(waiter.join().unwrap(), ExitStatus::Exited(9));
    }
    assert_eq!(p.exit_status(), Some(ExitStatus::Exited(9)));
    assert_eq!(p.join(), Err::<(), _>(JoinError::Exited(9)));
}

fn dropped_while_running(m: StartMethod) {
    let (read, write) = pipe();
    let p = start(
        m,
        |to: Fd<File>| {
            std::thread::sleep(Duration::from_millis(20));
            (&to.0).write_all(b"it went on").unwrap();
        },
        Fd(write.try_clone().unwrap()),
    );
    let begin = Instant::now();
    drop(p);
    assert!(begin.elapsed() < LONG / 2);
    drop(write);
    assert_eq!(read_to_end(read), "it went on");
    // A later call of the library reaps it.
    let helpers = usize::from(m == StartMethod::Zygote);
    eventually("the orphan is reaped", || {
        proc_core::active_children();
        children().len() == helpers
    });
}

fn a_dropped_daemon_is_killed(m: StartMethod) {
    let (read, write) = pipe();
    let builder = Process::builder().start_method(m).daemon(true);
    let p = builder.spawn(|_: Fd<File>| std::thread::sleep(LONG), Fd(write)).unwrap();
    let handle = p.handle();
    assert!(p.is_alive());
    drop(p);
    assert_eq!(handle.wait().unwrap().signal(), Some(libc::SIGKILL));
    assert_eq!(read_to_end(read), "");
}

fn terminated_killed_and_interrupted(m: StartMethod) {
    // A shell ignores it in what runs in the background, and a child inherits that.
    // SAFETY: the default action needs no handler.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
    type Act = fn(&Process<()>) -> std::io::Result<()>;
    let acts: [(i32, Act); 4] = [
        (libc::SIGTERM, |p| p.terminate()),
        (libc::SIGKILL, |p| p.kill()),
        (libc::SIGINT, |p| p.interrupt()),
        (libc::SIGUSR1, |p| p.signal(libc::SIGUSR1)),
    ];
    for (signal, act) in acts {
        let p = start(m, |()| std::thread::sleep(LONG), ());
        act(&p).unwrap();
        assert_eq!(p.join(), Err(JoinError::Signaled { signal, core: false }));
    }
    // One that handles it.
    let (read, write) = pipe();
    let p = start(
        m,
        |ready: Fd<File>| {
            // SAFETY: an all-zero set is valid, and is filled before it is used; both calls get live pointers.
            unsafe {
                let mut set = std::mem::zeroed();
                libc::sigemptyset(&mut set);
                libc::sigaddset(&mut set, libc::SIGTERM);
                libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
                drop(ready);
                let mut signal = 0;
                libc::sigwait(&set, &mut signal);
                signal
            }
        },
        Fd(write.try_clone().unwrap()),
    );
    drop(write);
    // A forked child has a copy that it does not close.
    if m == StartMethod::Fork {
        std::thread::sleep(Duration::from_millis(100))
    } else {
        drop(read_to_end(read))
    }
    p.terminate().unwrap();
    match p.join() {
        Ok(signal) => assert_eq!(signal, libc::SIGTERM),
        // It was not ready yet.
        Err(e) => {
            assert!(m == StartMethod::Fork && matches!(e, JoinError::Signaled { signal: 15, .. }), "{e}")
        }
    }
}

fn a_signal_to_one_that_has_ended(m: StartMethod) {
    let p = start(m, |()| (), ());
    p.wait().unwrap();
    for _ in 0..2 {
        p.terminate().unwrap();
        p.kill().unwrap();
        p.interrupt().unwrap();
        p.signal(0).unwrap();
    }
    assert!(!p.is_alive());
    assert_eq!(p.exit_status(), Some(ExitStatus::Exited(0)));
    p.join().unwrap();
    let p = start(m, |()| std::thread::sleep(LONG), ());
    assert_eq!(p.signal(9999).unwrap_err().raw_os_error(), Some(libc::EINVAL));
    assert!(p.is_alive());
    p.kill().unwrap();
    p.wait().unwrap();
}

fn the_descriptor_is_readable_at_the_end(m: StartMethod) {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let readable = |fd: &dyn AsFd, seconds| {
        let mut fds = [PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)];
        poll(&mut fds, Some(&Timespec { tv_sec: seconds, tv_nsec: 0 })).unwrap() == 1
    };
    let p = start(m, |()| std::thread::sleep(LONG), ());
    assert!(!readable(&p, 0) && !readable(&p.handle(), 0));
    p.kill().unwrap();
    assert!(readable(&p, LONG.as_secs() as i64) && readable(&p.handle(), 0));
    assert!(p.join().is_err());
}

/// What its exit hooks do to it comes after the value.
fn a_value_beats_the_status(m: StartMethod) {
    extern "C" fn die() {
        // SAFETY: ends this process.
        unsafe { libc::_exit(33) }
    }
    let p = start(
        m,
        |()| {
            // SAFETY: the function is one.
            unsafe { libc::atexit(die) };
            5
        },
        (),
    );
    let status = p.wait().unwrap();
    assert!(matches!(status, ExitStatus::Exited(0 | 33)), "{status}");
    assert_eq!(p.join().unwrap(), 5);
}

fn the_list_of_children(m: StartMethod) {
    let helpers = |all: &[proc_core::ProcessHandle]| all.iter().filter(|p| p.name() == "zygote").count();
    let p = start(m, |()| std::thread::sleep(LONG), ());
    let listed = proc_core::active_children();
    assert_eq!(listed.len() - helpers(&listed), 1);
    assert!(listed.contains(&p.handle()));
    p.kill().unwrap();
    p.wait().unwrap();
    let listed = proc_core::active_children();
    assert_eq!(listed.len() - helpers(&listed), 0);
}

fn detached(m: StartMethod) {
    // Who inherits it here is this process, which so sees that nobody else was its parent.
    // SAFETY: prctl with numbers.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }, 0);
    let helpers = usize::from(m == StartMethod::Zygote);
    let builder = || Process::builder().start_method(m).detached(true);
    let p = builder().spawn(|x: u32| (x + 1, std::process::id()), 1).unwrap();
    let pid = p.id();
    assert_eq!(p.join().unwrap(), (2, pid));
    // Reparented: nobody here waits for it by its handle.
    let adopted = |pid: u32| {
        let status = std::cell::Cell::new(-1);
        // SAFETY: a live integer.
        eventually(
            "it is adopted",
            || unsafe { libc::waitpid(pid as i32, status.as_ptr(), 0) } == pid as i32,
        );
        status.get()
    };
    assert_eq!(adopted(pid), 0);
    eventually("nobody is left", || children().len() == helpers);

    let p = builder().name("away").spawn(|()| std::thread::sleep(LONG), ()).unwrap();
    assert!(p.is_alive() && p.name() == "away");
    p.kill().unwrap();
    assert_eq!(adopted(p.id()), libc::SIGKILL);
    assert!(matches!(p.wait().unwrap(), ExitStatus::Lost | ExitStatus::Signaled { signal: 9, .. }));
    let error = builder().daemon(true).spawn(|()| (), ()).unwrap_err();
    assert_eq!(error.kind(), SpawnErrorKind::Unsupported);
    // Of a group of its own it is the leader, and not the one in between.
    let leads = |()| rustix::process::getpgrp().as_raw_nonzero().get() as u32 == std::process::id();
    let p = builder().process_group().spawn(leads, ()).unwrap();
    assert!(p.join().unwrap());
    let p = builder().spawn(leads, ()).unwrap();
    assert!(!p.join().unwrap());
    let error = builder().current_dir("/no/such").spawn(|()| (), ()).unwrap_err();
    assert_eq!(error.kind(), SpawnErrorKind::Start);
}
