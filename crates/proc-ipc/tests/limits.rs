//! Tests for processes that are out of descriptors, of memory, or of room in a socket.

mod common;

use std::{
    fs::File,
    io::Write,
    os::fd::AsFd,
    time::{Duration, Instant},
};

use proc_core::{Fd, Process};
use proc_ipc::{PipeReceiver, Queue, Receiver, RecvError, channel, one_way, ring};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use common::{LATE, is_pattern, pattern, read};

proc_core::init_for_tests!();

/// Runs `f` in a process of its own, whose limits it may change.
fn alone(f: fn(())) {
    Process::spawn(f, ()).unwrap().join().unwrap();
}

/// Runs `f` while this process may have no more of `what` than `most`.
fn limited<R>(what: Resource, most: u64, f: impl FnOnce() -> R) -> R {
    let before = getrlimit(what);
    setrlimit(what, Rlimit { current: Some(most), maximum: before.maximum }).unwrap();
    let result = f();
    setrlimit(what, before).unwrap();
    result
}

/// Runs `f` with no room for another descriptor.
fn without_descriptors<R>(f: impl FnOnce() -> R) -> R {
    // Those that are open have the lowest numbers, but for holes, which are filled.
    let mut fill = Vec::new();
    let next = loop {
        let file = File::open("/dev/null").unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&file) as usize;
        fill.push(file);
        if common::open_fds() - 1 == number + 1 {
            break number as u64 + 1;
        }
    };
    limited(Resource::Nofile, next, f)
}

/// A file that says `n`.
fn note(n: u32) -> Fd<File> {
    let mut file = File::from(rustix::fs::memfd_create("note", rustix::fs::MemfdFlags::CLOEXEC).unwrap());
    write!(file, "{n}").unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    Fd(file)
}

#[test]
fn smoke() {
    alone(|()| {
        let (tx, rx) = one_way().unwrap();
        tx.send(note(1)).unwrap();
        assert_eq!(without_descriptors(|| rx.recv().unwrap_err()), RecvError::Os(libc::EMFILE));
        tx.send(note(2)).unwrap();
        assert_eq!(read(rx.recv().unwrap().0), "2");
    });
}

#[test]
fn a_message_without_room_for_its_descriptors_harms_only_itself() {
    alone(|()| {
        let (tx, rx) = one_way().unwrap();
        (1..=5).for_each(|n| tx.send(note(n)).unwrap());
        without_descriptors(|| {
            assert_eq!(rx.recv().unwrap_err(), RecvError::Os(libc::EMFILE));
            assert_eq!(rx.recv().unwrap_err(), RecvError::Os(libc::EMFILE));
        });
        (3..=5).for_each(|n| assert_eq!(read(rx.recv().unwrap().0), n.to_string()));
        assert!(rx.try_recv().unwrap().is_none());
    });
    alone(|()| {
        let (tx, rx) = channel(10).unwrap();
        (1..=5).for_each(|n| tx.send(note(n)).unwrap());
        without_descriptors(|| {
            assert_eq!(rx.recv().unwrap_err(), RecvError::Os(libc::EMFILE));
            assert_eq!(rx.recv().unwrap_err(), RecvError::Os(libc::EMFILE));
        });
        (3..=5).for_each(|n| assert_eq!(read(rx.recv().unwrap().0), n.to_string()));
        assert!(rx.try_recv().unwrap().is_none());
    });
}

/// Several messages lose theirs while the receiver sleeps, before it has received one of them.
#[test]
fn all_that_was_cut_is_remembered() {
    alone(|()| {
        let (mut tx, mut rx) = ring::one_way(4096).unwrap();
        let file = note(1).0;
        let soon = || Some(Instant::now() + Duration::from_millis(20));
        without_descriptors(|| {
            // Descriptors without a record: it is longer than the ring, and its sender's time is over.
            for _ in 0..3 {
                tx.send_with_fds(&[&[0; 9000]], &[file.as_fd()], soon()).unwrap_err();
                assert!(rx.recv(soon()).unwrap().is_none());
            }
            tx.try_send_with_fds(&[b"lost"], &[file.as_fd()]).unwrap();
            assert!(
                matches!(rx.recv(soon()), Err(ring::RecvError::Io(e)) if e.raw_os_error() == Some(libc::EMFILE))
            );
        });
        tx.try_send_with_fds(&[b"whole"], &[file.as_fd()]).unwrap();
        let record = rx.recv(soon()).unwrap().unwrap();
        assert_eq!((record.bytes, record.fds.len()), (&b"whole"[..], 1));
    });
}

#[test]
fn a_socket_full_of_descriptors_ends_a_wait_on_time() {
    fn check(send: impl Fn(Fd<File>) -> bool, mut recv: impl FnMut() -> Option<Fd<File>>) {
        let start = Instant::now();
        let sent = (0..300).filter(|n| send(note(*n))).count();
        assert!((100..300).contains(&sent), "{sent} messages had room");
        assert!(start.elapsed() < LATE);
        for _ in 0..sent {
            recv().unwrap();
        }
        assert!(recv().is_none());
    }
    alone(|()| {
        let time = Duration::from_millis(10);
        let (tx, rx) = one_way().unwrap();
        let full = |result: Result<(), proc_ipc::SendError<Fd<File>>>| {
            result.map_err(|e| assert!(e.is_full())).is_ok()
        };
        check(|file| full(tx.send_timeout(file, time)), || rx.try_recv().unwrap());
        let (tx, rx) = channel(1000).unwrap();
        check(|file| full(tx.send_timeout(file, time)), || rx.try_recv().unwrap());
    });
}

#[test]
fn closing_a_queue_wakes_who_waits_for_room_for_descriptors() {
    alone(|()| {
        let queue = Queue::bounded(1000).unwrap();
        while queue.try_put(note(1)).is_ok() {}
        assert!(queue.len() < 1000);
        std::thread::scope(|s| {
            let sleeper = s.spawn(|| queue.put(note(2)).unwrap_err());
            std::thread::sleep(Duration::from_millis(50));
            queue.close();
            assert!(sleeper.join().unwrap().is_disconnected());
        });
    });
}

/// Bytes of addresses that this process has.
fn addresses() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').next().unwrap().parse::<u64>().unwrap() * rustix::param::page_size() as u64
}

/// Room for all that is small.
const SLACK: u64 = 16 << 20;

fn is_out_of_memory<T>(result: Result<T, RecvError>) -> bool {
    result.is_err_and(|e| e == RecvError::Os(libc::ENOMEM))
}

fn too_much_for_a_pipe(rx: PipeReceiver<Vec<u8>>) {
    // The first message is too long at once; the second when half of it has come.
    assert!(is_out_of_memory(limited(Resource::As, addresses() + SLACK, || rx.recv())));
    assert!(is_out_of_memory(limited(Resource::As, addresses() + (64 << 20) + SLACK, || rx.recv())));
    assert!(is_pattern(&rx.recv().unwrap(), 3));
}

#[test]
fn a_message_without_memory_for_it_harms_only_itself() {
    let (tx, rx) = one_way().unwrap();
    let child = Process::spawn(too_much_for_a_pipe, rx).unwrap();
    tx.send(vec![1; 50 << 20]).unwrap();
    tx.send(vec![2; 100 << 20]).unwrap();
    tx.send(pattern(100_000, 3)).unwrap();
    child.join().unwrap();
}

fn too_much_for_a_channel(rx: Receiver<Vec<u8>>) {
    assert!(is_out_of_memory(limited(Resource::As, addresses() + SLACK, || rx.recv())));
    let mut rest = rx.iter().map(Result::unwrap);
    assert!(is_pattern(&rest.next().unwrap(), 3));
    assert!(rest.next().is_none());
}

#[test]
fn a_message_without_memory_for_it_does_not_stay_in_a_channel() {
    let (tx, rx) = channel(10).unwrap();
    let child = Process::spawn(too_much_for_a_channel, rx).unwrap();
    tx.send(vec![1; 50 << 20]).unwrap();
    tx.send(pattern(100_000, 3)).unwrap();
    drop(tx);
    child.join().unwrap();
}
