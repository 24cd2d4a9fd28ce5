//! Tests for transfers between processes: a forked child and its parent hand each other values with descriptors.
#![cfg(feature = "functions")]

use std::{
    fs::File,
    io::{Read, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use proc_core::{
    Fd,
    transfer::{pack, packet, unpack},
};
use serde::{Serialize, de::DeserializeOwned};

/// A child that runs `body` and leaves with 0, or with 1 if it panicked. It is waited for when dropped.
struct Child(libc::pid_t);

impl Child {
    fn run(body: impl FnOnce()) -> Child {
        // SAFETY: glibc keeps its allocator usable in the child of a process with threads; the child uses nothing else
        // that a lock of another thread could guard, and leaves by `_exit`.
        match unsafe { libc::fork() } {
            -1 => panic!("fork: {}", std::io::Error::last_os_error()),
            0 => {
                let result = catch_unwind(AssertUnwindSafe(body));
                // SAFETY: ends the child.
                unsafe { libc::_exit(result.is_err().into()) }
            }
            pid => Child(pid),
        }
    }

    fn wait(self) {
        let mut status = -1;
        // SAFETY: our child, not yet waited for.
        assert_eq!(unsafe { libc::waitpid(self.0, &raw mut status, 0) }, self.0);
        assert_eq!(status, 0, "the child failed");
    }
}

fn soon() -> Option<Instant> {
    Some(Instant::now() + Duration::from_secs(60))
}

fn send<T: Serialize + 'static>(sock: &OwnedFd, value: &T) {
    packet::send_packed(sock, &pack(value).unwrap(), soon()).unwrap();
}

fn recv<T: DeserializeOwned + 'static>(sock: &OwnedFd) -> Option<T> {
    let (bytes, fds) = packet::recv(sock, soon()).unwrap()?;
    Some(unpack(&bytes, fds).unwrap())
}

#[test]
fn smoke() {
    let (ours, theirs) = packet::pair().unwrap();
    let child = Child::run(|| {
        let (a, b): (u64, String) = recv(&theirs).unwrap();
        send(&theirs, &format!("{a} {b}"));
    });
    send(&ours, &(7_u64, "seven"));
    assert_eq!(recv::<String>(&ours).unwrap(), "7 seven");
    child.wait();
}

#[test]
fn descriptors_cross_in_both_directions() {
    let (ours, theirs) = packet::pair().unwrap();
    let child = Child::run(|| {
        // What was opened in the parent after the fork.
        let (mut file, socket): (Fd<File>, Option<Fd<UnixStream>>) = recv(&theirs).unwrap();
        file.write_all(b"written by the child").unwrap();
        socket.unwrap().write_all(b"said by the child").unwrap();
        // And back, what is open here alone.
        let (mut ends, kept): (Vec<_>, Vec<_>) = (0..300).map(|_| UnixStream::pair().unwrap()).unzip();
        for (i, end) in ends.iter_mut().enumerate() {
            end.write_all(&[i as u8]).unwrap();
        }
        send(&theirs, &kept.into_iter().map(Fd).collect::<Vec<_>>());
    });
    drop(theirs);
    let file = tempfile::NamedTempFile::new().unwrap();
    let (mut peer, socket) = UnixStream::pair().unwrap();
    send(&ours, &(Fd(file.reopen().unwrap()), Some(Fd(socket))));
    let mut said = String::new();
    peer.read_to_string(&mut said).unwrap();
    assert_eq!(said, "said by the child");
    let ends: Vec<Fd<UnixStream>> = recv(&ours).unwrap();
    assert_eq!(ends.len(), 300);
    child.wait();
    assert_eq!(std::fs::read_to_string(file.path()).unwrap(), "written by the child");
    for (i, mut end) in ends.into_iter().enumerate() {
        let mut bytes = Vec::new();
        end.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, [i as u8]);
    }
}

#[test]
fn large_values_cross_in_both_directions() {
    let (ours, theirs) = packet::pair().unwrap();
    let child = Child::run(|| {
        let numbers: Vec<u64> = recv(&theirs).unwrap();
        send(&theirs, &numbers.iter().map(|n| n * 2).collect::<Vec<_>>());
    });
    let numbers: Vec<u64> = (0..1 << 20).collect();
    send(&ours, &numbers);
    let doubled: Vec<u64> = recv(&ours).unwrap();
    assert!(doubled.iter().zip(&numbers).all(|(d, n)| *d == n * 2));
    child.wait();
}

#[test]
fn what_a_child_sent_before_it_ended_arrives() {
    let (ours, theirs) = packet::pair().unwrap();
    send(&ours, &0_u8);
    let child = Child::run(|| {
        for i in 0..20_u32 {
            send(&theirs, &i);
        }
        send(&theirs, &Fd(File::open("/dev/null").unwrap()));
        send(&theirs, &vec![7_u8; 1 << 20]);
    });
    drop(theirs);
    child.wait();
    for i in 0..20 {
        assert_eq!(recv::<u32>(&ours), Some(i));
    }
    recv::<Fd<File>>(&ours).unwrap();
    assert_eq!(recv::<Vec<u8>>(&ours).unwrap().len(), 1 << 20);
    assert_eq!(recv::<u8>(&ours), None);
}

/// A transfer that was under way at the fork goes on in neither wrong way: the child's is its own.
#[test]
fn a_fork_inside_of_a_transfer() {
    struct Forks;
    impl Serialize for Forks {
        fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
            let child = Child::run(|| {
                let (a, b) = packet::pair().unwrap();
                send(&a, &Fd(a.try_clone().unwrap()));
                recv::<Fd<OwnedFd>>(&b).unwrap();
            });
            child.wait();
            s.serialize_u8(1)
        }
    }
    let null = || Fd(File::open("/dev/null").unwrap());
    let packed = pack(&(null(), Forks, null())).unwrap();
    let (_, one, _): (Fd<File>, u8, Fd<File>) = unpack(&packed.bytes, packed.fds).unwrap();
    assert_eq!(one, 1);
}
