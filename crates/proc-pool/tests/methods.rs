//! Tests for pools by each start method, and for what their workers have in common.

mod common;

use common::{alone, double};
use proc_core::StartMethod;
use proc_pool::{Pool, TaskError};

proc_core::init_for_tests!();

/// The same for all methods, in a process that has one thread.
fn conforms(method: StartMethod) -> Result<(), String> {
    let pool = Pool::builder().workers(2).start_method(method).build().map_err(|e| e.to_string())?;
    let ok = |what: &str, yes: bool| if yes { Ok(()) } else { Err(format!("{method:?}: {what}")) };
    ok("map", pool.map(double, 0..100) == Ok((0..100).map(|x| x * 2).collect()))?;
    let died = pool.apply(|()| std::process::exit(3), ()).map(|(): ()| ());
    ok("a death", matches!(died, Err(TaskError::WorkerDied { status, .. }) if status.code() == Some(3)))?;
    ok("after a death", pool.map(double, 0..100).is_ok())?;
    ok("big values", pool.apply(|v: Vec<u8>| v, vec![3; 3 << 20]) == Ok(vec![3; 3 << 20]))?;
    let panicked = pool.apply(|()| panic!("in a task"), ()).map(|(): ()| ());
    ok("a panic", matches!(panicked, Err(TaskError::Panicked(p)) if p.message == "in a task"))?;
    // Ctrl-C on the terminal reaches the workers too, and is not theirs.
    let interrupted = pool.apply(
        |()| {
            // SAFETY: a signal to this process.
            unsafe { libc::raise(libc::SIGINT) };
            7
        },
        (),
    );
    ok("an interrupt", interrupted == Ok(7))?;
    pool.close();
    pool.join().map_err(|e| e.to_string())
}

#[test]
fn smoke() {
    assert_eq!(alone(|()| conforms(StartMethod::Spawn)), Ok(()));
}

#[test]
fn by_zygote() {
    assert_eq!(alone(|()| conforms(StartMethod::Zygote)), Ok(()));
}

#[test]
fn by_fork() {
    assert_eq!(alone(|()| conforms(StartMethod::Fork)), Ok(()));
}

/// This test has two threads.
#[test]
fn by_fork_with_threads_is_an_error() {
    let e = Pool::builder().workers(1).start_method(StartMethod::Fork).build().unwrap_err();
    assert!(e.to_string().contains("threads"), "{e}");
}

#[test]
fn the_exit_hook_runs_after_the_states() {
    let folder = common::Folder::new();
    struct Noted(std::path::PathBuf);
    impl Drop for Noted {
        fn drop(&mut self) {
            std::fs::write(self.0.join("state"), "").unwrap();
        }
    }
    let hook = |folder: std::path::PathBuf| {
        let state = folder.join("state").exists();
        std::fs::write(folder.join("hook"), if state { "after" } else { "before" }).unwrap();
    };
    let pool = Pool::builder().workers(1).exit_hook(hook, folder.0.clone()).build().unwrap();
    let with = pool.with_init(Noted, folder.0.clone());
    with.apply(|_, ()| (), ()).unwrap();
    pool.close();
    pool.join().unwrap();
    assert_eq!(std::fs::read_to_string(folder.file("hook")).unwrap(), "after");
}
