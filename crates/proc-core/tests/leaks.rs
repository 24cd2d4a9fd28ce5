//! Tests for what a thousand starts leave behind: nothing.
#![cfg(feature = "functions")]

mod common;

use std::os::fd::AsFd;
use std::time::Duration;

use common::{children, eventually, inside, mappings, open_descriptors, start, threads};
use proc_core::spawner::Spawner;
use proc_core::{Fd, Message, Process, StartMethod, Zygote};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

proc_core::init_for_tests!();

/// A value that fails to cross, or panics on its way, after it has handed out a descriptor.
struct Bad(bool);

impl Serialize for Bad {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        use serde::ser::{Error, SerializeTuple};
        let mut tuple = s.serialize_tuple(2)?;
        tuple.serialize_element(&Fd(std::fs::File::open("/dev/null").unwrap()))?;
        if self.0 { panic!("half-way") } else { Err(S::Error::custom("half-way")) }
    }
}

impl<'de> Deserialize<'de> for Bad {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("not here"))
    }
}

fn without_descriptors<T>(body: impl FnOnce() -> T) -> T {
    let old = getrlimit(Resource::Nofile);
    let open = open_descriptors().len() as u64;
    // Room for a few, so that the start fails somewhere in its middle.
    setrlimit(Resource::Nofile, Rlimit { current: Some(open + 2), ..old }).unwrap();
    let result = body();
    setrlimit(Resource::Nofile, old).unwrap();
    result
}

fn try_start<A: Message, R: Message>(
    m: StartMethod,
    f: fn(A) -> R,
    arg: A,
) -> Result<Process<R>, proc_core::SpawnError> {
    Process::builder().start_method(m).daemon(true).spawn(f, arg)
}

fn one_start(m: StartMethod, kind: u32) {
    match kind {
        0 => assert_eq!(start(m, |x: u32| x + 1, 1).join().unwrap(), 2),
        1 => drop(start(m, |()| -> u32 { std::process::exit(3) }, ()).join().unwrap_err()),
        2 => {
            let p = start(m, |()| std::thread::sleep(Duration::from_secs(100)), ());
            p.kill().unwrap();
            p.join().unwrap_err();
        }
        3 => drop(try_start(m, |_: Bad| (), Bad(false)).unwrap_err()),
        4 => {
            let panicked = std::panic::catch_unwind(|| drop(try_start(m, |_: Bad| (), Bad(true))));
            panicked.unwrap_err();
        }
        5 => drop(start(m, |()| Bad(false), ()).join().err().unwrap()),
        6 => drop(Process::builder().start_method(m).current_dir("/no/such").spawn(|()| (), ()).unwrap_err()),
        7 => drop(Spawner::new("/no/such/program").start().unwrap_err()),
        8 => drop(without_descriptors(|| try_start(m, |()| (), ()).map(|p| p.join()))),
        // Dropped while it runs: a daemon is killed, and another is reaped later.
        9 => drop(try_start(m, |()| std::thread::sleep(Duration::from_secs(100)), ()).unwrap()),
        10 => drop(start(m, |fd: Fd<std::fs::File>| fd, Fd(std::fs::File::open("/dev/null").unwrap()))),
        11 => {
            let p = start(m, |n: usize| vec![7_u8; n], 200_000);
            p.wait().unwrap();
            // The value is never taken.
        }
        12 => {
            let p = start(m, |fd: Fd<std::fs::File>| vec![fd], Fd(std::fs::File::open("/dev/null").unwrap()));
            assert!(p.join().unwrap()[0].as_fd().try_clone_to_owned().is_ok());
        }
        _ => {
            let quiet = |()| -> () {
                std::panic::set_hook(Box::new(|_| {}));
                panic!("told to")
            };
            drop(start(m, quiet, ()).join().unwrap_err());
        }
    }
}

const KINDS: u32 = 14;

fn mixed(rounds: u32) {
    // Without the printing of the panics.
    std::panic::set_hook(Box::new(|_| {}));
    let all = |from: u32, to: u32| {
        for i in from..to {
            for m in common::METHODS {
                one_start(m, i % KINDS);
            }
        }
    };
    let settle = || {
        eventually("the orphans are reaped", || {
            proc_core::active_children();
            children().len() == 1
        });
    };
    // What is made once: the zygote, and what libraries keep.
    all(0, KINDS);
    settle();
    let before = (open_descriptors(), threads(), mappings());
    all(0, rounds);
    settle();
    let after = (open_descriptors(), threads(), mappings());
    assert_eq!(before.0.len(), after.0.len(), "{:?} {:?}", before.0, after.0);
    assert_eq!(before.1, after.1);
    assert!(after.2 <= before.2 + 4, "{} mappings, then {}", before.2, after.2);
    // And the zygote.
    let zygote = children()[0];
    let open = std::fs::read_dir(format!("/proc/{zygote}/fd")).unwrap().count();
    assert!(open < 10, "the zygote has {open} descriptors");
}

#[test]
fn smoke() {
    inside(mixed, 1);
}

/// 1,008 starts, a third by each method.
#[test]
fn a_thousand_mixed_starts_leave_nothing() {
    inside(mixed, 336);
}

/// At once, and not only at the next start.
#[test]
fn joined_processes_keep_no_descriptors() {
    fn body((): ()) {
        for m in common::METHODS {
            start(m, |()| (), ()).join().unwrap();
            let before = open_descriptors().len();
            let all: Vec<_> = (0..20_u32).map(|i| start(m, |x: u32| x, i)).collect();
            assert!(open_descriptors().len() >= before + 40);
            for p in all {
                p.join().unwrap();
            }
            assert_eq!(open_descriptors().len(), before, "{m:?}");
        }
    }
    inside(body, ());
}

/// Zygotes of either making, and what their children leave.
#[test]
fn dropped_zygotes_leave_nothing() {
    fn body((): ()) {
        let round = || {
            let forked = Zygote::fork().unwrap();
            assert_eq!(Process::builder().spawn_from(&forked, |x: u32| x, 1).unwrap().join().unwrap(), 1);
            let spawned = Zygote::preload(|()| (), ()).unwrap();
            assert_eq!(spawned.spawn(|(), x: u32| x, 2).unwrap().join().unwrap(), 2);
            let handles = [forked.handle().unwrap(), spawned.handle().unwrap()];
            drop((forked, spawned));
            for handle in handles {
                assert!(handle.wait().unwrap().success());
            }
        };
        let settle = || {
            eventually("the zygotes are reaped", || {
                proc_core::active_children();
                children().is_empty()
            });
        };
        round();
        settle();
        let before = open_descriptors();
        for _ in 0..10 {
            round();
        }
        settle();
        let after = open_descriptors();
        assert_eq!(before.len(), after.len(), "{before:?} {after:?}");
    }
    inside(body, ());
}
