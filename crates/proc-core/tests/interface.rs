//! Tests for the interface itself: what is `Send` and `Sync`, prints, converts and crosses.
#![cfg(feature = "functions")]

use std::error::Error;
use std::fmt::{Debug, Display};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use proc_core::spawner::{Spawner, StartError};
use proc_core::transfer::{PackError, Packed, UnpackError, pack, unpack};
use proc_core::{
    Child, ExitStatus, Fd, Fork, Func, JoinError, Message, Panic, Process, ProcessBuilder, ProcessHandle,
    RemoteError, SpawnError, StartMethod, Stdio, Zygote, inherit,
};

fn thread_safe<T: Send + Sync + Debug>() {}
fn error<T: Error + Send + Sync + 'static + Into<io::Error>>() {}
fn crosses<T: Message + Debug>() {}
fn descriptor<T: AsFd>() {}

/// Neither `Send` nor `Sync` nor `Debug` itself.
struct Plain(#[allow(dead_code)] *const ());

#[test]
fn smoke() {
    thread_safe::<Process<Plain>>();
    thread_safe::<ProcessHandle>();
    thread_safe::<ProcessBuilder>();
    thread_safe::<Zygote<Plain>>();
    thread_safe::<StartMethod>();
    thread_safe::<Stdio>();
    thread_safe::<ExitStatus>();
    thread_safe::<Fork>();
    thread_safe::<Func<Plain, Plain>>();
    thread_safe::<Fd<OwnedFd>>();
    thread_safe::<Child>();
    thread_safe::<Spawner<'_>>();
    thread_safe::<Packed>();
    thread_safe::<inherit::LocalFd>();
    thread_safe::<inherit::Lineage>();
    error::<SpawnError>();
    error::<JoinError>();
    error::<StartError>();
    error::<PackError>();
    error::<UnpackError>();
    error::<inherit::NotInherited>();
    crosses::<StartMethod>();
    crosses::<ExitStatus>();
    crosses::<Panic>();
    crosses::<JoinError>();
    crosses::<SpawnError>();
    crosses::<RemoteError>();
    crosses::<PackError>();
    crosses::<UnpackError>();
    crosses::<Func<u8, u8>>();
    crosses::<Fd<OwnedFd>>();
    descriptor::<Process<Plain>>();
    descriptor::<ProcessHandle>();
    descriptor::<Child>();
    let remote: [fn() -> RemoteError; 5] = [
        || JoinError::Lost.into(),
        || Spawner::new("/no/such").start().unwrap_err().into(),
        || io::Error::other("x").into(),
        || "x".into(),
        || String::from("x").into(),
    ];
    assert!(remote.iter().all(|make| !make().to_string().is_empty()));
}

/// The names and shapes on which other code stands.
#[test]
#[allow(clippy::type_complexity)]
fn shapes() {
    type Start<R> = Result<Process<R>, SpawnError>;
    type Preload<M> = Result<Zygote<M>, SpawnError>;
    type Join<R> = Result<Option<R>, JoinError>;
    let _: fn(fn(u8) -> u8, u8) -> Start<u8> = Process::spawn;
    let _: fn(Process<u8>) -> Result<u8, JoinError> = Process::join;
    let _: fn(&mut Process<u8>) -> Join<u8> = Process::try_join;
    let _: fn(&mut Process<u8>, Duration) -> Join<u8> = Process::join_timeout;
    let _: fn(&mut Process<u8>, Instant) -> Join<u8> = Process::join_deadline;
    let _: fn(&Process<u8>) -> ProcessHandle = Process::handle;
    let _: fn(&ProcessHandle) -> u32 = ProcessHandle::id;
    let _: fn(&ProcessHandle) -> bool = ProcessHandle::is_alive;
    let _: fn(&ProcessHandle) -> Option<ExitStatus> = ProcessHandle::exit_status;
    let _: fn(&ProcessHandle) -> io::Result<ExitStatus> = ProcessHandle::wait;
    let _: fn(&ProcessHandle, Duration) -> io::Result<Option<ExitStatus>> = ProcessHandle::wait_timeout;
    for act in [ProcessHandle::terminate, ProcessHandle::kill, ProcessHandle::interrupt] {
        let _: fn(&ProcessHandle) -> io::Result<()> = act;
    }
    let _: fn(&ProcessHandle, i32) -> io::Result<()> = ProcessHandle::signal;
    let _: unsafe fn() -> io::Result<Fork> = proc_core::fork;
    let _: fn() -> ProcessHandle = proc_core::current;
    let _: fn() -> Option<ProcessHandle> = proc_core::parent;
    let _: fn() -> Vec<ProcessHandle> = proc_core::active_children;
    let _: fn() -> io::Result<std::num::NonZero<usize>> = proc_core::available_parallelism;
    let _: fn(fn(u8) -> String, u8) -> Preload<String> = Zygote::preload;
    let _ = Process::builder()
        .name("n")
        .start_method(StartMethod::default())
        .daemon(true)
        .env("K", "v")
        .current_dir(Path::new("/"))
        .process_group()
        .stdout(Stdio::Null);
    let _: unsafe fn(fn() -> u8) -> Start<u8> = Process::fork_unchecked;
    // What programs write that were written for std's.
    let _: [Stdio; 4] = [Stdio::null(), Stdio::inherit(), io::stdout().into(), io::stderr().into()];
    let _: fn(std::process::ChildStdin) -> Stdio = Stdio::from;
    let _: fn(std::process::ChildStdout) -> Stdio = Stdio::from;
    let _: fn(std::process::ChildStderr) -> Stdio = Stdio::from;
    let _: fn(&Zygote<u8>, ProcessBuilder, fn(&'static u8, u8) -> u8, u8) -> Start<u8> = Zygote::spawn_with;
}

#[test]
fn errors_print_well() {
    fn prints(e: impl Display + Debug, text: &str) {
        assert_eq!(e.to_string(), text);
        assert_eq!(format!("{e:?}"), text, "what `main` prints");
    }
    prints(JoinError::Exited(3), "the process exited with code 3 before its function returned");
    let signal = JoinError::Signaled { signal: 11, core: true };
    prints(signal, "the process was killed by signal 11 (SIGSEGV), core dumped");
    prints(JoinError::Taken, "the value of the process was taken by an earlier call");
    let error = Process::builder().daemon(true).detached(true).fork(|| ()).unwrap_err();
    // Whichever is looked at first: this harness has threads.
    assert!(format!("{error:?}") == error.to_string() && error.source().is_none());
    let error = io::Error::from(JoinError::Exited(3));
    assert!(error.get_ref().is_some_and(|e| e.is::<JoinError>()));

    let crossed = |e: JoinError| -> JoinError {
        let packed = pack(&e).unwrap();
        unpack(&packed.bytes, packed.fds).unwrap()
    };
    for e in [JoinError::Lost, JoinError::Exited(1), JoinError::Decode("why".into()), JoinError::Taken] {
        assert_eq!(crossed(e.clone()), e);
    }
}
