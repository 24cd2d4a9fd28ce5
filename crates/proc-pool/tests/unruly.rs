//! Tests for tasks that misuse their process: fork, exit, close, stop, print, start threads, write where they may not.

mod common;

use common::{Folder, double, nap, no_hang, pid, signal, wait_until};
use proc_core::{ExitStatus, Process, Stdio};
use proc_pool::{Pool, TaskError};
use std::fs;
use std::io::Write;
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

proc_core::init_for_tests!();

#[track_caller]
fn died<T: std::fmt::Debug>(result: Result<T, TaskError>) -> ExitStatus {
    match result {
        Err(TaskError::WorkerDied { status, .. }) => status,
        other => panic!("{other:?}"),
    }
}

#[test]
fn smoke() {
    let pool = Pool::new(1).unwrap();
    assert_eq!(pool.apply(double, 1).unwrap(), 2);
}

#[test]
fn every_way_to_leave() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let leave = |way: u32| -> u32 {
            match way {
                0 => std::process::exit(7),
                // SAFETY: ends the process.
                1 => unsafe { libc::_exit(8) },
                2 => std::process::abort(),
                _ => {
                    signal(std::process::id(), libc::SIGTERM);
                    nap(600_000);
                    0
                }
            }
        };
        assert_eq!(died(pool.apply(leave, 0)).code(), Some(7));
        assert_eq!(died(pool.apply(leave, 1)).code(), Some(8));
        assert_eq!(died(pool.apply(leave, 2)).signal(), Some(libc::SIGABRT));
        assert_eq!(died(pool.apply(leave, 3)).signal(), Some(libc::SIGTERM));
        // An exit from another thread of the worker, while the task waits.
        let by_thread = |()| {
            std::thread::spawn(|| std::process::exit(9));
            nap(600_000);
        };
        assert_eq!(died(pool.apply(by_thread, ())).code(), Some(9));
        // Success is no success when there is no value.
        assert_eq!(died(pool.apply(|()| -> u32 { std::process::exit(0) }, ())).code(), Some(0));
        assert_eq!(pool.apply(double, 1).unwrap(), 2);
    });
}

/// The parent sees the exec'ed program's end, and not a hang on what it inherited.
#[test]
fn one_that_becomes_another_program() {
    no_hang(|| {
        use std::os::unix::process::CommandExt;
        let pool = Pool::new(1).unwrap();
        let exec = |()| -> u32 {
            let e = std::process::Command::new("sh").args(["-c", "exit 5"]).exec();
            panic!("{e}")
        };
        assert_eq!(died(pool.apply(exec, ())).code(), Some(5));
        assert_eq!(pool.apply(double, 1).unwrap(), 2);
    });
}

/// A forked child that stays holds copies of whatever the worker has. Neither the task nor the pool waits for it.
#[test]
fn one_that_forks_and_leaves_the_child_behind() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let leave = |crash: bool| -> u32 {
            // SAFETY: the child sleeps and leaves.
            match unsafe { libc::fork() } {
                0 => {
                    // SAFETY: sleeps, and ends the child.
                    unsafe {
                        libc::sleep(20);
                        libc::_exit(0)
                    }
                }
                _ if crash => std::process::abort(),
                child => child as u32,
            }
        };
        let start = Instant::now();
        let child = pool.apply(leave, false).unwrap();
        assert_eq!(pool.apply(double, 1).unwrap(), 2);
        // It has not ended: what comes back did not wait for it.
        assert!(common::is_alive(child));
        assert_eq!(died(pool.apply(leave, true)).signal(), Some(libc::SIGABRT));
        assert_eq!(pool.apply(double, 1).unwrap(), 2);
        pool.close();
        pool.join().unwrap();
        assert!(start.elapsed() < Duration::from_secs(18), "{:?}", start.elapsed());
        signal(child, libc::SIGKILL);
    });
}

/// Both the worker and its copy return from the task. Only one of them is the worker.
#[test]
fn one_that_forks_and_returns_twice() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let worker = pool.apply(pid, ()).unwrap();
        let twice = |()| {
            // SAFETY: the worker has one thread, or the child uses nothing of the others.
            unsafe { libc::fork() };
            std::process::id()
        };
        for _ in 0..5 {
            assert_eq!(pool.apply(twice, ()).unwrap(), worker);
            assert_eq!(pool.map(double, 0..50).unwrap(), (0..50).map(|x| x * 2).collect::<Vec<_>>());
        }
        let ids = pool.map(twice, [(); 6]).unwrap();
        assert_eq!(ids, [worker; 6]);
        assert_eq!(pool.apply(pid, ()).unwrap(), worker);
        pool.close();
        pool.join().unwrap();
    });
}

/// The forked copy panics where the worker does not.
#[test]
fn one_that_forks_and_whose_child_panics() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let split = |()| {
            // SAFETY: as above.
            let child = unsafe { libc::fork() };
            assert_ne!(child, 0, "the copy");
            nap(50);
            std::process::id()
        };
        let worker = pool.apply(pid, ()).unwrap();
        assert_eq!(pool.apply(split, ()).unwrap(), worker);
        assert_eq!(pool.apply(double, 1).unwrap(), 2);
    });
}

/// Its links are gone: the worker is replaced, and a value or a death is what the caller gets.
#[test]
fn one_that_closes_every_descriptor() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let close = |()| {
            for fd in 3..4096 {
                // SAFETY: breaks this process, which is the point: nothing else is in it.
                unsafe { libc::close(fd) };
            }
        };
        for _ in 0..3 {
            match pool.apply(close, ()) {
                Ok(()) | Err(TaskError::WorkerDied { .. }) => {}
                other => panic!("{other:?}"),
            }
            match pool.retries(3).apply(double, 1) {
                Ok(2) => {}
                other => panic!("{other:?}"),
            }
        }
        pool.close();
        pool.join().unwrap();
    });
}

/// The worst: what the links used are other files now.
#[test]
fn one_that_puts_other_files_in_their_place() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let replace = |()| {
            let null = fs::File::options().read(true).write(true).open("/dev/null").unwrap();
            for fd in 3..256 {
                // SAFETY: as above.
                unsafe { libc::dup2(std::os::fd::AsRawFd::as_raw_fd(&null), fd) };
            }
            std::mem::forget(null);
        };
        match pool.apply(replace, ()) {
            Ok(()) | Err(TaskError::WorkerDied { .. }) => {}
            other => panic!("{other:?}"),
        }
        match pool.timeout(Duration::from_secs(5)).retries(2).apply(double, 1) {
            Ok(2) | Err(TaskError::TimedOut | TaskError::WorkerDied { .. }) => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(pool.retries(3).apply(double, 1).unwrap(), 2);
    });
}

#[test]
fn one_that_stops_and_is_continued() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let worker = pool.apply(pid, ()).unwrap();
        let task = pool.submit(|()| signal(std::process::id(), libc::SIGSTOP), ());
        let stat = || fs::read_to_string(format!("/proc/{worker}/stat")).unwrap();
        wait_until("it has stopped", || stat().contains(") T "));
        assert!(task.is_running());
        signal(worker, libc::SIGCONT);
        task.get().unwrap();
        assert_eq!(pool.apply(pid, ()).unwrap(), worker);
    });
}

/// A stopped worker neither holds the others nor the end.
#[test]
fn one_that_stops_for_ever() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let stopped = pool.submit(|()| signal(std::process::id(), libc::SIGSTOP), ());
        wait_until("it runs", || stopped.is_running());
        assert_eq!(pool.map(double, 0..500).unwrap().len(), 500);
        let tasks: Vec<_> = (0..100).map(|x| pool.submit(double, x)).collect();
        assert!(tasks.into_iter().all(|task| task.get().is_ok()));
        let start = Instant::now();
        drop(pool);
        assert!(start.elapsed() < Duration::from_secs(30));
        assert_eq!(stopped.get().unwrap_err(), TaskError::Closed);
    });
}

#[test]
fn one_that_prints_a_hundred_megabytes() {
    fn flood(_: ()) -> usize {
        let line = vec![b'x'; 1 << 20];
        let mut written = 0;
        for _ in 0..100 {
            std::io::stdout().write_all(&line).unwrap();
            written += line.len();
        }
        written
    }
    fn program(_: ()) -> usize {
        let pool = Pool::new(2).unwrap();
        let tasks = [pool.submit(flood, ()), pool.submit(flood, ())];
        tasks.into_iter().map(|task| task.get().unwrap()).sum()
    }
    // To a pipe, whose reader is not the pool and takes its time at first.
    let mut ends = [0; 2];
    // SAFETY: makes two descriptors, which are owned below.
    assert_eq!(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }, 0);
    // SAFETY: just made, and nobody else's.
    let [output, input] = ends.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
    let mut process = Process::builder().stdout(Stdio::from(input)).spawn(program, ()).unwrap();
    let reader = std::thread::spawn(move || {
        nap(300);
        std::io::copy(&mut fs::File::from(output), &mut std::io::sink()).unwrap()
    });
    assert_eq!(process.join_timeout(common::PATIENCE).unwrap().unwrap(), 200 << 20);
    assert_eq!(reader.join().unwrap(), 200 << 20, "all of it has come");
}

#[test]
fn one_whose_output_is_closed() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let quiet = |()| {
            for fd in 0..3 {
                // SAFETY: the standard streams of this process.
                unsafe { libc::close(fd) };
            }
            println!("to nobody");
            eprintln!("to nobody");
        };
        let _ = pool.apply(quiet, ());
        assert_eq!(pool.retries(2).apply(double, 1).unwrap(), 2);
    });
}

#[test]
fn one_that_leaves_a_thread_behind() {
    no_hang(|| {
        let folder = Folder::new();
        let pool = Pool::new(1).unwrap();
        let worker = pool.apply(pid, ()).unwrap();
        let leave = |mark: PathBuf| {
            std::thread::spawn(move || {
                nap(100);
                fs::write(mark, "").unwrap();
                loop {
                    nap(1000);
                }
            });
        };
        pool.apply(leave, folder.file("mark")).unwrap();
        assert_eq!(pool.map(double, 0..100).unwrap().len(), 100);
        wait_until("the thread runs on", || folder.file("mark").exists());
        assert_eq!(pool.apply(pid, ()).unwrap(), worker);
        pool.close();
        pool.join().unwrap();
    });
}

#[test]
fn one_that_changes_what_the_process_shares() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let change = |()| {
            std::env::set_current_dir("/").unwrap();
            // SAFETY: blocks all signals in this thread.
            unsafe {
                let mut all = std::mem::zeroed();
                libc::sigfillset(&raw mut all);
                libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, std::ptr::null_mut());
                libc::umask(0o777);
                libc::setsid();
            }
        };
        pool.apply(change, ()).unwrap();
        assert_eq!(pool.map(double, 0..100).unwrap().len(), 100);
        let e = pool.timeout(Duration::from_millis(100)).apply(nap, 600_000).unwrap_err();
        assert_eq!(e, TaskError::TimedOut);
        pool.close();
        pool.join().unwrap();
    });
}

/// Descriptors that the worker may open are used up: what needs one is the task's error or works, and nobody hangs.
#[test]
fn one_that_uses_up_all_descriptors() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let hoard = |()| {
            let mut count = 0;
            while let Ok(file) = fs::File::open("/dev/null") {
                std::mem::forget(file);
                count += 1;
                if count > 100_000 {
                    break;
                }
            }
            count
        };
        assert!(pool.apply(hoard, ()).unwrap() > 10);
        assert_eq!(pool.map(double, 0..100).unwrap().len(), 100);
        let big = pool.apply(|n: usize| vec![1_u8; n], 2 << 20);
        assert!(big.is_ok_and(|big| big.len() == 2 << 20));
    });
}
