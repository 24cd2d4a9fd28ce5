//! Tests for what a process is told and given, whatever the start method: names, settings, values, functions.
#![cfg(feature = "functions")]

mod common;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};

use common::{children, eventually, open_descriptors, pipe, read_to_end, start};
use proc_core::{Fd, Func, JoinError, Process, SpawnErrorKind, StartMethod, Stdio};

proc_core::init_for_tests!();

common::suite! {
    smoke
    names_and_relatives
    environment_directory_and_streams
    group_limits_and_priority
    settings_that_cannot_be_had
    descriptors_cross_both_ways
    functions_cross
    values_that_do_not_cross
    as_many_at_once_as_there_are_cpus_to_run_on
    standard_streams_of_every_kind
}

fn smoke(m: StartMethod) {
    let p = Process::builder().start_method(m).name("smoke").spawn(|()| (), ()).unwrap();
    assert_eq!(p.name(), "smoke");
    p.join().unwrap();
}

fn names_and_relatives(m: StartMethod) {
    type Told = (String, u32, Option<u32>, String, Vec<std::ffi::OsString>);
    let who = |()| -> Told {
        let own = proc_core::current();
        let parent = proc_core::parent();
        assert!(parent.as_ref().is_some_and(|p| p.is_alive()) && own.is_alive());
        let comm = std::fs::read_to_string("/proc/self/comm").unwrap();
        (
            own.name().into(),
            own.id(),
            parent.map(|p| p.id()),
            comm.trim().into(),
            std::env::args_os().collect(),
        )
    };
    let p = Process::builder().start_method(m).name("a name longer than fifteen").spawn(who, ()).unwrap();
    let (id, name) = (p.id(), p.name().to_owned());
    let (own_name, own_id, parent, comm, args) = p.join().unwrap();
    assert_eq!(
        (&*name, &*own_name, &*comm),
        ("a name longer than fifteen", "a name longer than fifteen", "a name longer t")
    );
    assert_eq!((own_id, parent), (id, Some(std::process::id())));
    assert!(args.iter().eq(std::env::args_os().collect::<Vec<_>>().iter()));
    let p = start(m, who, ());
    assert!(p.name().starts_with("Process-"), "{}", p.name());
    p.join().unwrap();
}

fn environment_directory_and_streams(m: StartMethod) {
    let (read, write) = pipe();
    let (input, mut feed) = pipe();
    feed.write_all(b"fed").unwrap();
    drop(feed);
    let p = Process::builder()
        .start_method(m)
        .env("PROC_CORE_TEST_A", "1")
        .env_remove("PATH")
        .current_dir("/usr")
        .stdin(input)
        .stdout(write)
        .stderr(Stdio::Null)
        .spawn(
            |()| {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text).unwrap();
                println!("{text} {:?}", std::env::var("PROC_CORE_TEST_A"));
                print!("{:?} {:?}", std::env::var_os("PATH"), std::env::current_dir().unwrap());
                eprintln!("into nothing");
                std::env::vars_os().any(|(name, _)| name.to_string_lossy().starts_with("PROC_CORE_LINK"))
            },
            (),
        )
        .unwrap();
    assert!(!p.join().unwrap(), "the marker is not in the environment");
    assert_eq!(read_to_end(read), "fed Ok(\"1\")\nNone \"/usr\"");
    assert!(std::env::var_os("PATH").is_some() && std::env::var_os("PROC_CORE_TEST_A").is_none());
}

fn group_limits_and_priority(m: StartMethod) {
    let p = Process::builder()
        .start_method(m)
        .process_group()
        .umask(0o027)
        .nice(7)
        .affinity([0])
        .resource_limit(libc::RLIMIT_NOFILE, 50, 60)
        .spawn(
            |()| {
                let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
                let mask = rustix::process::umask(rustix::fs::Mode::empty());
                (
                    rustix::process::getpgrp().as_raw_nonzero().get() as u32 == std::process::id(),
                    (limit.current, limit.maximum, mask.bits()),
                    rustix::process::getpriority_process(None).unwrap(),
                    std::thread::available_parallelism().unwrap().get(),
                )
            },
            (),
        )
        .unwrap();
    assert_eq!(p.join().unwrap(), (true, (Some(50), Some(60), 0o027), 7, 1));
}

fn settings_that_cannot_be_had(m: StartMethod) {
    // The first start makes a descriptor of this process itself, which is kept.
    start(m, |()| (), ()).join().unwrap();
    let before = open_descriptors().len();
    let error = |builder: proc_core::ProcessBuilder| {
        let e = builder.start_method(m).spawn(|()| (), ()).unwrap_err();
        assert_eq!(e.kind(), SpawnErrorKind::Start, "{e}");
        e.to_string()
    };
    assert!(error(Process::builder().current_dir("/no/such")).contains("director"));
    assert!(error(Process::builder().resource_limit(99, 1, 1)).contains("limit"));
    proc_core::active_children();
    let helpers = usize::from(m == StartMethod::Zygote);
    eventually("nothing is left of what did not start", || {
        proc_core::active_children();
        children().len() == helpers
    });
    if m != StartMethod::Zygote {
        assert_eq!(open_descriptors().len(), before);
    }
}

fn descriptors_cross_both_ways(m: StartMethod) {
    let (read, write) = pipe();
    let p = start(
        m,
        |(read, more): (Fd<File>, Vec<Fd<OwnedFd>>)| {
            let text = read_to_end(read.into_inner());
            (text, more.into_iter().rev().collect::<Vec<_>>())
        },
        (Fd(read), (0..300).map(|_| Fd(OwnedFd::from(File::open("/dev/null").unwrap()))).collect()),
    );
    (&write).write_all(b"through").unwrap();
    drop(write);
    if m == StartMethod::Fork {
        // It has a copy of the writing end.
        p.kill().unwrap();
        p.wait().unwrap();
        return;
    }
    let (text, fds) = p.join().unwrap();
    assert_eq!((&*text, fds.len()), ("through", 300));
    assert!(fds.iter().all(|fd| fd.as_raw_fd() > 2));
}

fn functions_cross(m: StartMethod) {
    let p = start(m, |(f, x): (Func<u32, u32>, u32)| f.call(x), (Func::new(|x| x + 1), 1));
    assert_eq!(p.join().unwrap(), 2);
    let p = start(m, |x: u32| -> Func<u32, u32> { Func::new(if x > 1 { |x| x } else { |x| x * 100 }) }, 1);
    assert_eq!(p.join().unwrap().call(3), 300);
}

fn values_that_do_not_cross(m: StartMethod) {
    use serde::{Deserialize, Serialize};
    #[derive(Serialize, Deserialize)]
    struct Skips(#[serde(skip_serializing_if = "Option::is_none")] Option<u8>, u8);
    let p = start(m, |()| Skips(None, 1), ());
    match p.join().map(|s| s.1) {
        // Only the receiver can see it.
        Err(JoinError::Decode(why)) => assert!(why.contains("1 fields were sent"), "{why}"),
        other => panic!("{other:?}"),
    }
    struct Fails;
    impl Serialize for Fails {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("won't"))
        }
    }
    impl<'de> Deserialize<'de> for Fails {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            Err(serde::de::Error::custom("won't"))
        }
    }
    assert!(matches!(start(m, |()| Fails, ()).join(), Err(JoinError::Encode(why)) if why.contains("won't")));
    let error = Process::builder().start_method(m).spawn(|_: Fails| (), Fails).unwrap_err();
    assert_eq!(error.kind(), SpawnErrorKind::Argument);
    // An argument that arrives and can't be read is the new process's to refuse.
    struct Unread;
    impl Serialize for Unread {
        fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
            s.serialize_u8(1)
        }
    }
    impl<'de> Deserialize<'de> for Unread {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            Err(serde::de::Error::custom("can't"))
        }
    }
    match start(m, |_: Unread| (), Unread).join() {
        Err(JoinError::Refused(why)) => assert!(why.contains("could not be decoded"), "{why}"),
        other => panic!("{other:?}"),
    }
    struct Panics;
    impl Serialize for Panics {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            panic!("half-way")
        }
    }
    impl<'de> Deserialize<'de> for Panics {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            panic!("half-way")
        }
    }
    assert!(
        matches!(start(m, |()| Panics, ()).join(), Err(JoinError::Panicked(p)) if p.message == "half-way")
    );
}

fn as_many_at_once_as_there_are_cpus_to_run_on(m: StartMethod) {
    let ours = proc_core::available_parallelism().unwrap().get();
    let count = |()| proc_core::available_parallelism().unwrap().get();
    assert_eq!(start(m, count, ()).join().unwrap(), ours);
    let allowed = rustix::thread::sched_getaffinity(None).unwrap();
    let cpus: Vec<usize> = (0..1024).filter(|cpu| allowed.is_set(*cpu)).collect();
    for n in 1..=cpus.len().min(3) {
        let builder = Process::builder().start_method(m).affinity(cpus[..n].iter().copied());
        assert_eq!(builder.spawn(count, ()).unwrap().join().unwrap(), n.min(ours));
    }
    // And of this process's own, if that changes: a zygote was started before.
    if m != StartMethod::Zygote {
        let mut one = rustix::thread::CpuSet::new();
        one.set(cpus[0]);
        rustix::thread::sched_setaffinity(None, &one).unwrap();
        assert_eq!(start(m, count, ()).join().unwrap(), 1);
    }
    let none = Process::builder().start_method(m).affinity([1023]).spawn(count, ());
    assert!(allowed.is_set(1023) || none.unwrap_err().kind() == SpawnErrorKind::Start);
}

fn standard_streams_of_every_kind(m: StartMethod) {
    use std::process::{Command, Stdio as Std};
    // The pipes of a program.
    let mut cat = Command::new("cat").stdin(Std::piped()).stdout(Std::piped()).spawn().unwrap();
    let writer = Process::builder().start_method(m).stdout(cat.stdin.take().unwrap());
    let writer = writer.spawn(|()| print!("through a program"), ()).unwrap();
    let reader = Process::builder().start_method(m).stdin(cat.stdout.take().unwrap());
    let reader = reader.spawn(|()| std::io::read_to_string(std::io::stdin()).unwrap(), ()).unwrap();
    writer.join().unwrap();
    assert_eq!(reader.join().unwrap(), "through a program");
    assert!(cat.wait().unwrap().success());
    // One stream in the place of another, this process's or the new one's own.
    let (read, write) = pipe();
    let own = |m: StartMethod| {
        let builder = Process::builder().start_method(m).stdin(Stdio::null()).stderr(std::io::stdout());
        builder.stdout(Stdio::inherit()).spawn(|()| eprint!("on the other one"), ()).unwrap().join().unwrap();
    };
    let builder = Process::builder().start_method(m).stdout(write).stderr(std::io::stderr());
    builder.spawn(own, m).unwrap().join().unwrap();
    assert_eq!(read_to_end(read), "on the other one");
}
