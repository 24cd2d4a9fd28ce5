//! Tests for zygotes: the preload, what its failure says, and lives that end out of order.
#![cfg(feature = "functions")]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::{LONG, children, eventually, inside};
use proc_core::{JoinError, Process, SpawnErrorKind, StartMethod, Zygote};

proc_core::init_for_tests!();

#[test]
fn smoke() {
    let zygote = Zygote::preload(|n: u64| (0..n).collect::<Vec<u64>>(), 1000).unwrap();
    for i in 0..5 {
        assert_eq!(zygote.spawn(|table, i: usize| table[i] * 2, i).unwrap().join().unwrap(), i as u64 * 2);
    }
}

#[test]
fn preload_runs_once_and_children_share_its_memory() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    fn body((): ()) {
        let load = |mib: usize| {
            RUNS.fetch_add(1, Ordering::Relaxed);
            vec![1_u8; mib << 20]
        };
        let zygote = Zygote::preload(load, 64).unwrap();
        let look = |table: &'static Vec<u8>, ()| {
            let sum: u64 = table.iter().map(|b| u64::from(*b)).sum();
            let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
            let line = rollup.lines().find(|line| line.starts_with("Private_Dirty:")).unwrap();
            let private: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
            (sum, private, RUNS.load(Ordering::Relaxed), table.as_ptr() as usize)
        };
        let all: Vec<_> = (0..4).map(|_| zygote.spawn(look, ()).unwrap()).collect();
        let all: Vec<_> = all.into_iter().map(|p| p.join().unwrap()).collect();
        for (sum, private_kib, runs, place) in &all {
            assert_eq!((*sum, *runs, *place), (64 << 20, 1, all[0].3));
            assert!(*private_kib < 32 << 10, "{private_kib} KiB are its own");
        }
        assert_eq!(RUNS.load(Ordering::Relaxed), 0);
    }
    inside(body, ());
}

#[test]
fn failures_of_the_preload_are_the_starts() {
    fn body((): ()) {
        let failed = |result: Result<Zygote<()>, proc_core::SpawnError>, why: &str| {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), SpawnErrorKind::Zygote);
            assert!(error.to_string().contains(why), "{error}");
        };
        failed(Zygote::preload(|()| panic!("no table"), ()), "no table");
        failed(Zygote::preload(|()| std::process::exit(5), ()), "5");
        failed(Zygote::preload(|()| std::process::abort(), ()), "SIGABRT");
        let threads = |()| drop(std::thread::spawn(|| std::thread::sleep(LONG)));
        failed(Zygote::preload(threads, ()), "1 threads running");
        eventually("nobody is left", || {
            proc_core::active_children();
            children().is_empty()
        });
    }
    inside(body, ());
}

#[test]
fn children_outlive_a_killed_zygote_and_the_next_start_brings_up_another() {
    fn body((): ()) {
        let zygote = Zygote::preload(|x: u32| x, 7).unwrap();
        let slow = |x: &'static u32, ()| {
            std::thread::sleep(Duration::from_millis(300));
            x + 1
        };
        let before = zygote.spawn(slow, ()).unwrap();
        let exits = zygote.spawn(|_, ()| -> () { std::process::exit(6) }, ()).unwrap();
        exits.wait().unwrap();
        let first = zygote.handle().unwrap();
        first.kill().unwrap();
        first.wait().unwrap();
        let after = zygote.spawn(slow, ()).unwrap();
        assert_ne!(zygote.handle().unwrap().id(), first.id());
        // The value arrives, whoever reaps the process.
        assert_eq!(before.join().unwrap(), 8);
        assert_eq!(after.join().unwrap(), 8);
        assert_eq!(exits.join(), Err(JoinError::Exited(6)));
    }
    inside(body, ());
}

#[test]
fn a_process_whose_zygote_died_is_lost_or_known_but_never_waited_for_in_vain() {
    fn body((): ()) {
        let zygote = Zygote::preload(|()| (), ()).unwrap();
        let p = zygote.spawn(|(), ()| std::thread::sleep(LONG), ()).unwrap();
        zygote.handle().unwrap().kill().unwrap();
        zygote.handle().map(|z| z.wait());
        assert!(p.is_alive());
        p.kill().unwrap();
        let begin = Instant::now();
        let error = p.join().unwrap_err();
        assert!(matches!(error, JoinError::Lost | JoinError::Signaled { signal: 9, .. }), "{error}");
        assert!(begin.elapsed() < LONG / 2);
    }
    inside(body, ());
}

#[test]
fn a_dropped_zygote_ends_after_its_last_child() {
    fn body((): ()) {
        let zygote = Zygote::preload(|()| (), ()).unwrap();
        let handle = zygote.handle().unwrap();
        let p = zygote.spawn(|(), ()| std::thread::sleep(LONG), ()).unwrap();
        drop(zygote);
        assert_eq!(handle.wait_timeout(Duration::from_millis(50)).unwrap(), None);
        p.terminate().unwrap();
        assert_eq!(p.join(), Err(JoinError::Signaled { signal: 15, core: false }));
        assert!(handle.wait().unwrap().success());
    }
    inside(body, ());
}

#[test]
fn ctrl_c_leaves_a_zygote_alone() {
    fn body((): ()) {
        let zygote = Zygote::preload(|()| (), ()).unwrap();
        zygote.handle().unwrap().interrupt().unwrap();
        assert_eq!(zygote.spawn(|(), ()| 1, ()).unwrap().join().unwrap(), 1);
    }
    inside(body, ());
}

#[test]
fn a_preload_of_another_type_or_by_another_zygote_is_no_confusion() {
    fn body((): ()) {
        let numbers = Zygote::preload(|()| vec![1_u32, 2], ()).unwrap();
        let words = Zygote::preload(|()| "words".to_string(), ()).unwrap();
        let both = (numbers.spawn(|v, ()| v.len(), ()).unwrap(), words.spawn(|w, ()| w.clone(), ()).unwrap());
        assert_eq!((both.0.join().unwrap(), both.1.join().unwrap()), (2, "words".to_string()));
        // A zygote inside of a zygote's child.
        let nested = |_: &'static Vec<u32>, ()| {
            Process::builder().start_method(StartMethod::Zygote).spawn(|x: u32| x, 9).unwrap().join().unwrap()
        };
        assert_eq!(numbers.spawn(nested, ()).unwrap().join().unwrap(), 9);
    }
    inside(body, ());
}

#[test]
fn starts_from_many_threads() {
    fn body((): ()) {
        let zygote = Zygote::preload(|()| 100_u32, ()).unwrap();
        std::thread::scope(|s| {
            for t in 0..4_u32 {
                let zygote = &zygote;
                s.spawn(move || {
                    for i in 0..10 {
                        let p = zygote.spawn(|base, x: u32| base + x, t * 10 + i).unwrap();
                        assert_eq!(p.join().unwrap(), 100 + t * 10 + i);
                    }
                });
            }
        });
    }
    inside(body, ());
}

/// A zygote does nothing about SIGINT; its child must not lose one for having been the zygote a moment ago.
#[test]
fn an_interrupt_right_after_the_start_is_not_lost() {
    fn body((): ()) {
        // A shell ignores it in what runs in the background, and children inherit that.
        // SAFETY: the default action needs no handler.
        unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
        let zygote = Zygote::preload(|()| (), ()).unwrap();
        let interrupted = |_| {
            let p = zygote.spawn_daemon(|(), ()| std::thread::sleep(LONG), ()).unwrap();
            p.interrupt().unwrap();
            p
        };
        for mut p in (0..60).map(interrupted) {
            let ended = p.join_timeout(LONG / 4);
            assert_eq!(ended, Err(JoinError::Signaled { signal: libc::SIGINT, core: false }));
        }
    }
    inside(body, ());
}

/// A thread that was joined is in the kernel's list for a moment more.
#[test]
fn threads_that_are_just_ending_do_not_count() {
    fn body((): ()) {
        let load = |()| {
            let sum = AtomicUsize::new(0);
            // What ends a scope is that its threads are done, not that they are gone.
            std::thread::scope(|s| {
                for _ in 0..8 {
                    s.spawn(|| sum.fetch_add(1, Ordering::Relaxed));
                }
            });
            sum.into_inner()
        };
        for _ in 0..30 {
            let zygote = Zygote::preload(load, ()).unwrap();
            assert_eq!(zygote.spawn(|sum, ()| *sum, ()).unwrap().join().unwrap(), 8);
        }
    }
    inside(body, ());
}

#[test]
fn what_a_preload_has_printed_appears_once() {
    fn body((): ()) {
        let load = |()| {
            print!("rust ");
            // SAFETY: a literal with a terminating zero and no conversions.
            unsafe { libc::printf(c"c ".as_ptr()) };
        };
        let zygote = Zygote::preload(load, ()).unwrap();
        for _ in 0..3 {
            zygote.spawn(|(), ()| print!("child "), ()).unwrap().join().unwrap();
        }
    }
    let (read, write) = common::pipe();
    let mut p = Process::builder().daemon(true).stdout(write).spawn(body, ()).unwrap();
    assert_eq!(p.join_timeout(LONG), Ok(Some(())));
    assert_eq!(common::read_to_end(read), "rust c child child child ");
}

/// It has ended, and the one that knows how does not say: a deadline counts all the same.
#[test]
fn a_deadline_is_not_that_of_the_zygote() {
    fn body((): ()) {
        let zygote = Zygote::preload(|()| (), ()).unwrap();
        let mut killed = zygote.spawn_daemon(|(), ()| std::thread::sleep(LONG), ()).unwrap();
        let mut valued = zygote.spawn(|(), ()| 5, ()).unwrap();
        eventually("it has ended", || !valued.is_alive());
        let silent = zygote.handle().unwrap();
        silent.signal(libc::SIGSTOP).unwrap();
        killed.kill().unwrap();
        eventually("it has ended", || !killed.is_alive());
        let begin = Instant::now();
        for _ in 0..10 {
            assert_eq!(killed.try_join(), Ok(None));
            assert_eq!(killed.exit_status(), None);
            assert_eq!(killed.join_timeout(Duration::from_millis(1)), Ok(None));
        }
        // A value does not wait for a status.
        assert_eq!(valued.try_join(), Ok(Some(5)));
        // Nor does the list.
        assert_eq!(proc_core::active_children().len(), 1);
        assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
        silent.signal(libc::SIGCONT).unwrap();
        assert_eq!(killed.join_timeout(LONG), Err(JoinError::Signaled { signal: 9, core: false }));
    }
    inside(body, ());
}
