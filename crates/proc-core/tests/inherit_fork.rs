//! Tests for what a forked child does not inherit: local descriptors are closed in it, handles know that they are
//! strangers, and the parent notices nothing.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::net::UnixStream,
    },
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use proc_core::{
    RemoteError,
    inherit::{Lineage, LocalFd},
};

/// The tests look at the descriptors of their children, which have those of all tests, so they run one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `body` in a forked child; panics if it does.
fn in_child(body: impl FnOnce()) {
    wait(start_child(body));
}

fn start_child(body: impl FnOnce()) -> libc::pid_t {
    // SAFETY: glibc keeps its allocator usable in the child of a process with threads; the child uses nothing else that
    // a lock of another thread could guard, and leaves by `_exit`.
    match unsafe { libc::fork() } {
        -1 => panic!("fork: {}", io::Error::last_os_error()),
        0 => {
            let result = catch_unwind(AssertUnwindSafe(body));
            // SAFETY: ends the child.
            unsafe { libc::_exit(result.is_err().into()) }
        }
        pid => pid,
    }
}

fn wait(pid: libc::pid_t) {
    let mut status = -1;
    // SAFETY: our child, not yet waited for.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert_eq!(status, 0, "the child failed");
}

fn is_open(fd: RawFd) -> bool {
    // SAFETY: reads flags, and fails on a number that is not open.
    unsafe { libc::fcntl(fd, libc::F_GETFD) != -1 }
}

fn null() -> OwnedFd {
    File::open("/dev/null").unwrap().into()
}

#[test]
fn smoke() {
    let _alone = alone();
    let here = Lineage::current();
    let fd = LocalFd::new(null());
    let number = fd.as_fd().as_raw_fd();
    assert!(here.is_current() && here.check().is_ok() && is_open(number));
    in_child(|| {
        assert!(!here.is_current());
        assert!(here.check().is_err());
        assert!(!is_open(number));
        assert!(fd.get().is_err());
    });
    assert!(here.is_current() && fd.get().is_ok() && is_open(number));
}

#[test]
fn the_end_of_a_pipe_is_seen_while_a_forked_child_lives() {
    let _alone = alone();
    let (ours, mut peer) = UnixStream::pair().unwrap();
    let local = LocalFd::new(ours.into());
    let (hold, held) = UnixStream::pair().unwrap();
    let pid = start_child(|| {
        // Until the parent has seen the end.
        let _ = (&held).read(&mut [0]);
    });
    drop(local);
    assert_eq!(peer.read(&mut [0]).unwrap(), 0);
    (&hold).write_all(&[0]).unwrap();
    wait(pid);
}

#[test]
fn dropping_the_copy_in_a_child_closes_nothing_of_the_child() {
    let _alone = alone();
    let fds: Vec<_> = (0..10).map(|_| LocalFd::new(null())).collect();
    let numbers: Vec<_> = fds.iter().map(|fd| fd.as_fd().as_raw_fd()).collect();
    let open = numbers[0];
    in_child(move || {
        // The child's own files get the numbers that were closed.
        let files: Vec<File> = (0..10).map(|_| File::open("/dev/null").unwrap()).collect();
        assert!(files.iter().any(|file| file.as_raw_fd() == open));
        for (i, fd) in fds.into_iter().enumerate() {
            if i % 2 == 0 { drop(fd) } else { assert!(fd.into_owned().is_err()) }
        }
        for file in &files {
            assert!(file.metadata().is_ok());
        }
    });
    // The closure, and the descriptors with it, is gone here as well.
    for number in numbers {
        assert!(!is_open(number));
    }
}

#[test]
fn a_child_has_local_descriptors_of_its_own_and_a_grandchild_has_none() {
    let _alone = alone();
    let before = Lineage::current();
    in_child(|| {
        let here = Lineage::current();
        assert_ne!(here, before);
        let (ours, mut peer) = UnixStream::pair().unwrap();
        let fd = LocalFd::new(ours.into());
        let number = fd.as_fd().as_raw_fd();
        in_child(|| {
            assert!(!before.is_current() && !here.is_current());
            assert!(!is_open(number));
            drop(fd);
        });
        // The closure took it along.
        assert!(!is_open(number));
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
    });
}

#[test]
fn a_descriptor_that_was_handed_out_again_is_inherited() {
    let _alone = alone();
    let fd = LocalFd::new(null()).into_owned().unwrap();
    in_child(|| assert!(is_open(fd.as_raw_fd())));
    let number = fd.as_raw_fd();
    drop(fd);
    // The same number, opened by somebody else.
    let other = null();
    assert_eq!(other.as_raw_fd(), number);
    in_child(|| assert!(is_open(number)));
}

#[test]
fn a_descriptor_is_closed_on_exec() {
    let _alone = alone();
    // SAFETY: a new descriptor without the flag, owned by nobody else.
    let plain = unsafe { OwnedFd::from_raw_fd(libc::dup(null().as_raw_fd())) };
    let local = LocalFd::from(plain);
    assert!(rustix::io::fcntl_getfd(local.as_fd()).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
}

#[test]
fn high_numbers_and_many_descriptors() {
    let _alone = alone();
    let old = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let most = old.maximum.unwrap_or(4096).min(70_000);
    let new = rustix::process::Rlimit { current: Some(most), ..old };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, new).unwrap();
    let mut fds: Vec<LocalFd> = (0..500).map(|_| LocalFd::new(null())).collect();
    let mut low = BTreeSet::new();
    for at in [1000, 4095, most as i32 - 1] {
        fds.push(LocalFd::new(rustix::io::fcntl_dupfd_cloexec(null(), at).unwrap()));
    }
    let numbers: BTreeSet<_> = fds.iter().map(|fd| fd.as_fd().as_raw_fd()).collect();
    assert_eq!(numbers.len(), 503);
    // Every other one is not local any more.
    let fds: Vec<_> = fds
        .into_iter()
        .enumerate()
        .map(|(i, fd)| if i % 2 == 0 { Ok(fd) } else { Err(fd.into_owned().unwrap()) })
        .collect();
    for fd in &fds {
        if let Err(owned) = fd {
            low.insert(owned.as_raw_fd());
        }
    }
    in_child(|| {
        for number in &numbers {
            assert_eq!(is_open(*number), low.contains(number), "{number}");
        }
    });
    drop(fds);
    rustix::process::setrlimit(rustix::process::Resource::Nofile, old).unwrap();
}

/// Threads open and close while others fork: a child closes what is local, and never what is not.
#[test]
fn forks_beside_threads_that_open_and_close() {
    let _alone = alone();
    let stop = AtomicBool::new(false);
    let kept: Vec<_> = (0..5).map(|_| null()).collect();
    let local: Vec<_> = (0..5).map(|_| LocalFd::new(null())).collect();
    thread::scope(|s| {
        for _ in 0..3 {
            s.spawn(|| {
                while !stop.load(Relaxed) {
                    let fds: Vec<_> = (0..10).map(|_| LocalFd::new(null())).collect();
                    let owned: Vec<_> = fds.into_iter().map(|fd| fd.into_owned().unwrap()).collect();
                    assert!(owned.iter().all(|fd| is_open(fd.as_raw_fd())));
                }
            });
        }
        let result = catch_unwind(|| {
            for _ in 0..100 {
                in_child(|| {
                    assert!(kept.iter().all(|fd| is_open(fd.as_raw_fd())));
                    assert!(local.iter().all(|fd| fd.get().is_err()));
                });
                thread::sleep(Duration::from_micros(100));
            }
        });
        stop.store(true, Relaxed);
        assert!(result.is_ok());
    });
    assert!(local.iter().all(|fd| is_open(fd.as_fd().as_raw_fd())));
}

#[test]
fn the_error_says_what_happened() {
    let _alone = alone();
    let here = Lineage::current();
    let (mut reader, mut writer) = UnixStream::pair().unwrap();
    in_child(|| {
        let error = here.check().unwrap_err();
        let text = error.to_string();
        assert_eq!(format!("{error:?}"), text);
        assert_eq!(io::Error::from(error).to_string(), text);
        assert_eq!(RemoteError::from(error).to_string(), text);
        writer.write_all(text.as_bytes()).unwrap();
    });
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert!(text.contains("belongs to the process from which this one was forked"), "{text}");
}

#[test]
fn using_the_copy_as_a_descriptor_panics_rather_than_naming_another_file() {
    let _alone = alone();
    let fd = LocalFd::new(null());
    in_child(|| {
        std::panic::set_hook(Box::new(|_| {}));
        assert!(catch_unwind(AssertUnwindSafe(|| fd.as_fd().as_raw_fd())).is_err());
    });
}
