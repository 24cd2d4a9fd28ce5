//! Tests for forks: refused with threads, and never a second life of the parent's code.
#![cfg(feature = "functions")]

mod common;

use std::fs::File;
use std::io::{Read, Write};

use common::{inside, pipe, read_to_end};
use proc_core::{Fd, Fork, JoinError, Process, SpawnErrorKind};

proc_core::init_for_tests!();

#[test]
fn smoke() {
    inside(
        |()| {
            let text = String::from("captured");
            assert_eq!(Process::fork(|| text.len()).unwrap().join().unwrap(), 8);
        },
        (),
    );
}

#[test]
fn refused_while_there_are_two_threads() {
    inside(
        |()| {
            let (hold, held) = pipe();
            let thread = std::thread::spawn(move || (&hold).read(&mut [0]).unwrap());
            for _ in 0..3 {
                let error = Process::fork(|| unreachable!("it must not run")).map(|p: Process<()>| p.id());
                let error = error.unwrap_err();
                assert_eq!(error.kind(), SpawnErrorKind::Threads);
                assert!(error.to_string().contains("2 threads"), "{error}");
                assert!(common::children().is_empty());
            }
            drop(held);
            thread.join().unwrap();
            // The kernel may take a moment to forget the thread, which is no reason to refuse.
            assert_eq!(Process::fork(|| 1).unwrap().join().unwrap(), 1);
            for _ in 0..300 {
                std::thread::spawn(|| vec![1_u8; 1 << 20].len()).join().unwrap();
                assert_eq!(Process::fork(|| 1).unwrap().join().unwrap(), 1);
            }
        },
        (),
    );
}

/// Says so when the parent's code goes on, in whichever process.
struct Goes(File);

impl Drop for Goes {
    fn drop(&mut self) {
        (&self.0).write_all(format!("{}\n", std::process::id()).as_bytes()).unwrap();
    }
}

#[test]
fn whatever_ends_the_closure_the_parents_code_runs_once() {
    fn body(write: Fd<File>) {
        let goes = Goes(write.into_inner());
        let panics = Process::fork(|| -> u32 { panic!("in the child") }).unwrap();
        assert!(matches!(panics.join(), Err(JoinError::Panicked(p)) if p.message == "in the child"));
        assert_eq!(Process::fork(|| 1).unwrap().join().unwrap(), 1);
        let exits = Process::fork(|| -> u32 { std::process::exit(4) }).unwrap();
        assert_eq!(exits.join(), Err(JoinError::Exited(4)));
        // What was captured by value is the child's to drop; what was only borrowed is not.
        let borrowed = &goes;
        Process::fork(move || drop(borrowed.0.metadata())).unwrap().join().unwrap();
        // A panic of the value's destructor, or of its encoder, stays there too.
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("in a destructor");
            }
        }
        let p = Process::fork(|| drop(Bomb)).unwrap();
        assert!(matches!(p.join(), Err(JoinError::Panicked(p)) if p.message == "in a destructor"));
        println!("{}", std::process::id());
    }
    let (read, write) = pipe();
    let (said, out) = pipe();
    let p = Process::builder().stdout(out).spawn(body, Fd(write)).unwrap();
    let id = p.id();
    p.join().unwrap();
    assert_eq!(read_to_end(read), format!("{id}\n"));
    assert_eq!(read_to_end(said), format!("{id}\n"));
}

#[test]
fn what_was_buffered_before_the_fork_appears_once() {
    fn body(_: ()) {
        print!("before ");
        // SAFETY: a literal with a terminating zero and no conversions.
        unsafe { libc::printf(c"c-before ".as_ptr()) };
        Process::fork(|| {
            print!("child ");
            // SAFETY: as above.
            unsafe { libc::printf(c"c-child ".as_ptr()) };
        })
        .unwrap()
        .join()
        .unwrap();
        print!("between ");
        // SAFETY: the child leaves by `exit`, and this process has one thread.
        match unsafe { proc_core::fork().unwrap() } {
            Fork::Child => std::process::exit(0),
            Fork::Parent(child) => child.join().unwrap(),
        }
        print!("after");
    }
    let (read, write) = pipe();
    Process::builder().stdout(write).spawn(body, ()).unwrap().join().unwrap();
    let text = read_to_end(read);
    let mut words: Vec<_> = text.split_whitespace().collect();
    words.sort_unstable();
    assert_eq!(words, ["after", "before", "between", "c-before", "c-child", "child"], "{text}");
}

#[test]
fn handles_of_the_parent_are_refused_in_the_child() {
    inside(
        |()| {
            let sibling = Process::spawn(|()| std::thread::sleep(common::LONG), ()).unwrap();
            let p = Process::fork(|| {
                let handle = sibling.handle();
                assert!(!handle.is_alive() && handle.exit_status().is_none());
                assert!(handle.kill().unwrap_err().to_string().contains("belongs to"));
                assert!(handle.wait().is_err());
                assert!(proc_core::active_children().is_empty());
                assert_eq!(proc_core::parent().unwrap().id(), std::os::unix::process::parent_id());
            });
            p.unwrap().join().unwrap();
            assert!(sibling.is_alive());
            sibling.kill().unwrap();
        },
        (),
    );
}

#[test]
fn named_handles_are_made_new_for_the_child() {
    inside(
        |()| {
            let (read, write) = pipe();
            let p = Process::fork_with(Fd(write), |to: Fd<File>| (&to.0).write_all(b"given").unwrap());
            p.unwrap().join().unwrap();
            assert_eq!(read_to_end(read), "given");
        },
        (),
    );
}

#[test]
fn unchecked_forks_beside_threads() {
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|s| {
        s.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                std::thread::yield_now();
            }
        });
        // SAFETY: the closure adds two numbers; glibc keeps its allocator usable in the child of a process with threads.
        let p = unsafe { Process::fork_unchecked(|| 20 + 22) }.unwrap();
        let value = p.join();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(value.unwrap(), 42);
    });
}
