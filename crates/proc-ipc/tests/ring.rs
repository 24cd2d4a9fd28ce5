//! Tests for the ring of byte records: one sender, one receiver.

use std::{
    fs::File,
    io::Read,
    os::fd::AsFd,
    thread,
    time::{Duration, Instant},
};

use proc_core::Process;
use proc_ipc::ring::{self, Duplex, Receiver, RecvError, SendError, Sender, Waiter, Waker};

proc_core::init_for_tests!();

const SMALL: usize = 4096;

fn soon() -> Option<Instant> {
    Some(Instant::now() + Duration::from_millis(30))
}

/// A time that only a hang reaches.
fn late() -> Option<Instant> {
    Some(Instant::now() + Duration::from_secs(60))
}

fn pattern(n: usize, seed: usize) -> Vec<u8> {
    (0..n).map(|i| (i * 31 + seed * 7) as u8).collect()
}

#[test]
fn smoke() {
    let (mut a, mut b) = ring::pair(SMALL, SMALL).unwrap();
    a.sender.try_send(&[b"ping"]).unwrap();
    assert_eq!(b.receiver.try_recv().unwrap().unwrap().bytes, b"ping");
    b.sender.try_send(&[b"po", b"", b"ng"]).unwrap();
    assert_eq!(a.receiver.try_recv().unwrap().unwrap().bytes, b"pong");
    assert!(a.receiver.try_recv().unwrap().is_none());
}

#[test]
fn every_length_crosses_the_end_of_the_memory_whole() {
    let (mut tx, mut rx) = ring::one_way(SMALL).unwrap();
    for round in 0..3 {
        for n in 0..=tx.max_whole() {
            let bytes = pattern(n, round);
            let (one, two) = bytes.split_at(n / 3);
            tx.try_send(&[one, two]).unwrap();
            assert_eq!(rx.try_recv().unwrap().unwrap().bytes, bytes);
        }
    }
}

#[test]
fn a_full_ring_says_so_and_its_room_comes_back() {
    let (mut tx, mut rx) = ring::one_way(SMALL).unwrap();
    let mut sent = 0_u64;
    while tx.free_space().unwrap() >= 16 {
        tx.try_send(&[&sent.to_ne_bytes()]).unwrap();
        sent += 1;
    }
    assert_eq!(sent, SMALL as u64 / 16);
    assert!(matches!(tx.try_send(&[b"more"]), Err(SendError::Full)));
    let start = Instant::now();
    assert!(matches!(tx.send(&[b"more"], soon()), Err(SendError::Full)));
    assert!(start.elapsed() >= Duration::from_millis(29));
    for i in 0..sent {
        assert_eq!(rx.try_recv().unwrap().unwrap().bytes, i.to_ne_bytes());
    }
    assert_eq!(tx.free_space().unwrap(), SMALL);
    assert!(matches!(tx.try_send(&[&[0; SMALL]]), Err(SendError::TooLong)));
}

#[test]
fn long_records_pass_in_pieces() {
    for capacity in [SMALL, ring::CAPACITY] {
        let (mut tx, mut rx) = ring::one_way(capacity).unwrap();
        let sizes =
            [0, 1, capacity / 4 - 8, capacity / 4 - 7, capacity / 2, capacity, capacity * 9 + 5, 3 << 20];
        thread::scope(|s| {
            s.spawn(|| {
                for (i, n) in sizes.into_iter().enumerate() {
                    let bytes = pattern(n, i);
                    let (one, two) = bytes.split_at(n / 3);
                    tx.send(&[one, b"", two], late()).unwrap();
                }
            });
            for (i, n) in sizes.into_iter().enumerate() {
                assert!(rx.recv(late()).unwrap().unwrap().bytes == pattern(n, i), "{n} bytes");
            }
        });
    }
}

#[test]
fn a_long_record_fits_at_once_into_an_empty_ring() {
    let (mut tx, mut rx) = ring::one_way(SMALL).unwrap();
    let bytes = pattern(3000, 1);
    tx.try_send(&[&bytes]).unwrap();
    assert_eq!(rx.try_recv().unwrap().unwrap().bytes, bytes);
}

#[test]
fn an_abandoned_record_is_never_seen() {
    let (mut tx, mut rx) = ring::one_way(SMALL).unwrap();
    assert!(matches!(tx.send(&[&pattern(100_000, 0)], soon()), Err(SendError::Full)));
    assert!(rx.try_recv().unwrap().is_none());
    tx.try_send(&[b"next"]).unwrap();
    assert_eq!(rx.recv(late()).unwrap().unwrap().bytes, b"next");
    drop(tx);
    assert!(matches!(rx.recv(late()), Err(RecvError::Disconnected)));
}

#[test]
fn batches_are_seen_when_committed_and_room_when_released() {
    let (mut tx, mut rx) = ring::one_way(SMALL).unwrap();
    for i in 0..10_u8 {
        tx.push(&[&[i; 8]]).unwrap();
    }
    assert!(rx.next().unwrap().is_none());
    tx.commit();
    for i in 0..10_u8 {
        assert_eq!(rx.next().unwrap().unwrap().bytes, [i; 8]);
    }
    assert_eq!(tx.free_space().unwrap(), SMALL - 160);
    rx.release();
    assert_eq!(tx.free_space().unwrap(), SMALL);
    tx.notify().unwrap();
}

#[test]
fn a_deadline_is_never_early() {
    let (tx, mut rx) = ring::one_way(SMALL).unwrap();
    for ms in [0, 1, 20] {
        let start = Instant::now();
        assert!(rx.recv(Some(start + Duration::from_millis(ms))).unwrap().is_none());
        assert!(start.elapsed() >= Duration::from_millis(ms));
    }
    drop(tx);
}

#[test]
fn what_was_sent_comes_before_the_end() {
    let (mut tx, mut rx) = ring::one_way(SMALL).unwrap();
    tx.try_send(&[b"last"]).unwrap();
    drop(tx);
    assert_eq!(rx.recv(None).unwrap().unwrap().bytes, b"last");
    assert!(matches!(rx.recv(None), Err(RecvError::Disconnected)));
    assert!(matches!(rx.try_recv(), Err(RecvError::Disconnected)));
    assert!(rx.is_disconnected().unwrap());

    let (mut tx, rx) = ring::one_way(SMALL).unwrap();
    drop(rx);
    assert!(matches!(tx.try_send(&[b"x"]), Err(SendError::Disconnected)));
    assert!(tx.is_disconnected().unwrap());
}

#[test]
fn dropping_an_end_wakes_the_other() {
    let (tx, mut rx) = ring::one_way(SMALL).unwrap();
    thread::scope(|s| {
        let waits = s.spawn(move || assert!(matches!(rx.recv(late()), Err(RecvError::Disconnected))));
        thread::sleep(Duration::from_millis(20));
        drop(tx);
        waits.join().unwrap();
    });
    let (mut tx, rx) = ring::one_way(SMALL).unwrap();
    thread::scope(|s| {
        let waits = s.spawn(move || {
            while tx.send(&[&[0; 100]], late()).is_ok() {}
            assert!(matches!(tx.try_send(&[b"x"]), Err(SendError::Disconnected)));
        });
        thread::sleep(Duration::from_millis(20));
        drop(rx);
        waits.join().unwrap();
    });
}

fn open_files() -> Vec<File> {
    vec![File::open("/proc/self/stat").unwrap(), File::open("/proc/self/comm").unwrap()]
}

#[test]
fn descriptors_come_with_their_record() {
    let (mut tx, mut rx) = ring::one_way(SMALL).unwrap();
    let files = open_files();
    for count in [1, 2, 65, 253, 254, 300] {
        let fds: Vec<_> = files.iter().cycle().take(count).map(AsFd::as_fd).collect();
        tx.try_send(&[b"before"]).unwrap();
        tx.try_send_with_fds(&[b"these"], &fds).unwrap();
        assert!(rx.recv(late()).unwrap().unwrap().fds.is_empty());
        let record = rx.recv(late()).unwrap().unwrap();
        assert_eq!((record.bytes, record.fds.len()), (&b"these"[..], count));
        let mut text = String::new();
        File::from(record.fds.into_iter().nth(count / 2).unwrap()).read_to_string(&mut text).unwrap();
    }
}

#[test]
fn descriptors_of_a_record_that_was_not_sent_never_ride_with_another() {
    let (mut tx, mut rx) = ring::one_way(SMALL).unwrap();
    let files = open_files();
    let long = pattern(100_000, 0);
    assert!(tx.send_with_fds(&[&long], &[files[0].as_fd()], soon()).is_err());
    tx.try_send_with_fds(&[b"x"], &[files[1].as_fd(), files[1].as_fd()]).unwrap_err();
    let mut got = Vec::new();
    assert!(rx.try_recv_into(&mut got).unwrap().is_none());
    tx.send_with_fds(&[b"y"], &[files[1].as_fd()], late()).unwrap();
    let fds = rx.recv_into(&mut got, late()).unwrap().unwrap();
    assert_eq!((got.as_slice(), fds.len()), (&b"y"[..], 1));
    let mut text = String::new();
    File::from(fds.into_iter().next().unwrap()).read_to_string(&mut text).unwrap();
    assert!(!text.contains('('), "it is the second file: {text}");
}

/// The kernel tells the receiver of bells that the sender never took before it gives the descriptors that came.
#[test]
fn descriptors_of_a_sender_that_left_bells_behind_arrive() {
    let (mut tx, mut rx) = ring::one_way(SMALL).unwrap();
    rustix::io::write(&rx, &[1]).unwrap();
    tx.try_send_with_fds(&[b"these"], &[open_files()[0].as_fd()]).unwrap();
    drop(tx);
    let record = rx.recv(late()).unwrap().unwrap();
    assert_eq!((record.bytes, record.fds.len()), (&b"these"[..], 1));
    assert!(matches!(rx.recv(late()), Err(RecvError::Disconnected)));
}

fn echo(mut end: Duplex) {
    let mut bytes = Vec::new();
    while let Ok(Some(fds)) = end.receiver.recv_into(&mut bytes, None) {
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        end.sender.send_with_fds(&[&bytes], &fds, None).unwrap();
    }
}

#[test]
fn an_end_crosses_to_another_process() {
    let (mut ours, theirs) = ring::pair(ring::CAPACITY, SMALL).unwrap();
    let child = Process::spawn(echo, theirs).unwrap();
    for n in [0, 8, 1000, 100_000, 1 << 20] {
        let sent = pattern(n, 3);
        let (sender, receiver) = (&mut ours.sender, &mut ours.receiver);
        thread::scope(|s| {
            s.spawn(|| sender.send(&[&sent], late()).unwrap());
            assert!(receiver.recv(late()).unwrap().unwrap().bytes == sent);
        });
    }
    drop(ours);
    child.join().unwrap();
}

#[test]
fn an_end_crosses_with_what_is_on_its_way() {
    let (mut tx, rx) = ring::one_way(SMALL).unwrap();
    tx.try_send(&[b"one"]).unwrap();
    tx.try_send_with_fds(&[b"two"], &[open_files()[0].as_fd()]).unwrap();
    let child = Process::spawn(
        |mut rx: Receiver| {
            let one = rx.recv(None).unwrap().unwrap().bytes.to_vec();
            let two = rx.recv(None).unwrap().unwrap();
            (one, two.fds.len(), rx.recv(None).unwrap().unwrap().bytes.to_vec())
        },
        rx,
    )
    .unwrap();
    tx.send(&[b"three"], late()).unwrap();
    assert_eq!(child.join().unwrap(), (b"one".to_vec(), 1, b"three".to_vec()));
    assert!(matches!(tx.send(&[b"four"], late()), Err(SendError::Disconnected)));
}

fn send_and_die(mut tx: Sender) {
    for i in 0..100_u32 {
        tx.try_send(&[&i.to_ne_bytes()]).unwrap();
    }
    thread::spawn(|| {
        thread::sleep(Duration::from_millis(30));
        std::process::abort();
    });
    let long = vec![0; 256 << 20];
    while tx.send(&[&long], None).is_ok() {}
}

#[test]
fn all_that_a_dead_sender_committed_is_received() {
    let (tx, mut rx) = ring::one_way(ring::CAPACITY).unwrap();
    let child = Process::spawn(send_and_die, tx).unwrap();
    for i in 0..100_u32 {
        assert_eq!(rx.recv(late()).unwrap().unwrap().bytes, i.to_ne_bytes());
    }
    let error = loop {
        match rx.recv(late()) {
            Ok(record) => assert_eq!(record.unwrap().bytes.len(), 256 << 20),
            Err(e) => break e,
        }
    };
    assert!(matches!(error, RecvError::PeerDied), "{error}");
    assert!(matches!(rx.try_recv(), Err(RecvError::PeerDied)));
    child.join().unwrap_err();
}

#[test]
fn a_sender_learns_that_its_receiver_was_killed() {
    let (mut tx, rx) = ring::one_way(SMALL).unwrap();
    let child = Process::spawn(|_rx: Receiver| thread::sleep(Duration::from_secs(100)), rx).unwrap();
    let sends = thread::spawn(move || {
        let error = loop {
            if let Err(e) = tx.send(&[b"more"], late()) {
                break e;
            }
        };
        assert!(matches!(error, SendError::Disconnected), "{error}");
    });
    thread::sleep(Duration::from_millis(50));
    child.kill().unwrap();
    sends.join().unwrap();
    child.join().unwrap_err();
}

#[test]
fn many_are_waited_for_in_one_call() {
    let mut rings: Vec<_> = (0..5).map(|_| ring::one_way(SMALL).unwrap()).collect();
    let waker = Waker::new().unwrap();
    let mut waiter = Waiter::new();
    let mut wait = |rings: &mut Vec<(Sender, Receiver)>, deadline| {
        let mut receivers: Vec<_> = rings.iter_mut().map(|(_, rx)| rx as &mut dyn ring::Readiness).collect();
        waiter.wait(&mut receivers, &[waker.as_fd()], deadline).unwrap()
    };
    assert!(wait(&mut rings, soon()).is_empty());
    rings[1].0.try_send(&[b"x"]).unwrap();
    rings[3].0.try_send(&[b"x"]).unwrap();
    assert_eq!(wait(&mut rings, late()).rings, [1, 3]);
    rings[1].1.try_recv().unwrap();
    assert_eq!(wait(&mut rings, late()).rings, [3]);
    rings[3].1.try_recv().unwrap();
    waker.wake().unwrap();
    assert_eq!(wait(&mut rings, late()).extra, [0]);
    assert!(waker.reset().unwrap() && !waker.reset().unwrap());
    assert!(wait(&mut rings, soon()).is_empty());

    // Asleep in all of them, woken by one.
    let mut tx = rings.pop().unwrap();
    thread::scope(|s| {
        s.spawn(|| {
            thread::sleep(Duration::from_millis(20));
            tx.0.try_send(&[b"x"]).unwrap();
        });
        let ready = ring::wait(&mut [&mut rings[0].1, &mut tx.1], &[], late()).unwrap();
        assert_eq!(ready.rings, [1]);
    });
}

#[test]
fn room_is_waited_for_beside_records() {
    let (mut tx, mut rx) = ring::one_way(SMALL).unwrap();
    while tx.try_send(&[&[0; 56]]).is_ok() {}
    assert!(ring::wait(&mut [&mut tx.room(56)], &[], soon()).unwrap().is_empty());
    thread::scope(|s| {
        s.spawn(|| {
            thread::sleep(Duration::from_millis(20));
            for _ in 0..10 {
                rx.try_recv().unwrap();
            }
        });
        assert_eq!(ring::wait(&mut [&mut tx.room(56)], &[], late()).unwrap().rings, [0]);
    });
    tx.try_send(&[&[0; 56]]).unwrap();
    drop(rx);
    assert_eq!(ring::wait(&mut [&mut tx.room(56)], &[], late()).unwrap().rings, [0]);
}

#[test]
fn just_enough_room_is_room() {
    let (mut tx, mut rx) = ring::one_way(SMALL).unwrap();
    while tx.try_send(&[&[0; 56]]).is_ok() {}
    thread::scope(|s| {
        let sends = s.spawn(|| tx.send(&[&[1; 56]], late()).unwrap());
        thread::sleep(Duration::from_millis(20));
        rx.try_recv().unwrap();
        // Nothing more is received before it is there.
        sends.join().unwrap();
    });
}

#[test]
fn nothing_is_lost_between_busy_ends_that_fall_asleep() {
    let (mut tx, mut rx) = ring::one_way(SMALL).unwrap();
    const COUNT: u64 = 200_000;
    thread::scope(|s| {
        s.spawn(|| {
            for i in 0..COUNT {
                tx.send(&[&i.to_ne_bytes()], late()).unwrap();
                if i % 20_000 == 0 {
                    thread::sleep(Duration::from_millis(1));
                }
            }
        });
        for i in 0..COUNT {
            assert_eq!(rx.recv(late()).unwrap().unwrap().bytes, i.to_ne_bytes());
            if i % 30_000 == 0 {
                thread::sleep(Duration::from_millis(1));
            }
        }
    });
}

#[test]
fn ends_go_to_other_threads() {
    fn check<T: Send + Sync + std::fmt::Debug>() {}
    check::<Sender>();
    check::<Receiver>();
    check::<Duplex>();
    check::<Waker>();
    check::<Waiter>();
    check::<SendError>();
    check::<RecvError>();
}
