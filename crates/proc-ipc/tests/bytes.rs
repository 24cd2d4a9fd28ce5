//! Tests for channels that are bounded by bytes, and for what a stopped consumer may cost its producers.

mod common;

use std::{
    thread,
    time::{Duration, Instant},
};

use proc_core::Process;
use proc_ipc::{Queue, Receiver, RecvError, Sender, channel, channel_of_bytes, one_way};

use common::{LATE, is_pattern, not_early, pattern};

proc_core::init_for_tests!();

#[test]
fn smoke() {
    let (tx, rx) = channel_of_bytes::<u8>(1024).unwrap();
    // A message of 48 bytes takes 64.
    for n in 0..16 {
        tx.try_send_bytes(&[n; 48]).unwrap();
    }
    assert_eq!(tx.len(), 16);
    assert!(tx.try_send_bytes(&[]).unwrap_err().is_full());
    rx.recv_bytes().unwrap();
    assert!(tx.try_send_bytes(&[1; 49]).unwrap_err().is_full());
    tx.try_send_bytes(&[1; 40]).unwrap();
    let time = Duration::from_millis(20);
    assert!(not_early(time, || tx.send_bytes_timeout(&[1], time)).unwrap_err().is_full());
    assert!(tx.send_bytes_deadline(&[1], Instant::now()).unwrap_err().is_full());
    for n in 1..16 {
        assert_eq!(rx.try_recv_bytes(), Ok(Some(vec![n; 48])));
    }
    assert_eq!(rx.recv_bytes_timeout(LATE), Ok(Some(vec![1; 40])));
    assert_eq!(not_early(time, || rx.recv_bytes_timeout(time)), Ok(None));
    assert_eq!((rx.recv_bytes_deadline(Instant::now()), rx.try_recv_bytes()), (Ok(None), Ok(None)));
}

#[test]
fn capacities_are_told() {
    let queue = Queue::<u8>::bounded_bytes(100).unwrap();
    assert_eq!((queue.capacity(), queue.capacity_bytes()), (None, Some(100)));
    let (tx, rx) = (queue.sender(), queue.receiver());
    assert_eq!((tx.capacity_bytes(), rx.capacity_bytes()), (Some(100), Some(100)));
    assert_eq!(channel::<u8>(5).unwrap().0.capacity_bytes(), None);
    assert_eq!(channel_of_bytes::<u8>(usize::MAX).unwrap().0.capacity_bytes(), None);
    assert_eq!(Queue::<u8>::bounded_bytes(0).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
}

#[test]
fn an_empty_one_takes_a_message_of_any_length() {
    let (tx, rx) = channel_of_bytes::<Vec<u8>>(1).unwrap();
    for n in [0, 1, 5000, 262_128, 1_000_000] {
        tx.try_send(pattern(n, n)).unwrap();
        assert!(tx.try_send(vec![]).unwrap_err().is_full());
        assert!(is_pattern(&rx.recv().unwrap(), n));
    }
}

fn send_little(tx: Sender<u8>) {
    tx.send_bytes(&[3; 200]).unwrap();
}

fn signal(process: &Process<()>, signal: libc::c_int) {
    // SAFETY: a signal to a child that was not waited for yet.
    assert_eq!(unsafe { libc::kill(process.id() as i32, signal) }, 0);
}

fn is_in_state(process: &Process<()>, state: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap();
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(state))
}

/// Who wants more room than there is takes the bell off the socket that rang for who wants less, and has not seen it yet.
#[test]
fn senders_that_want_different_room_get_it() {
    let (tx, rx) = channel_of_bytes::<u8>(1024).unwrap();
    tx.send_bytes(&[1; 400]).unwrap();
    tx.send_bytes(&[2; 500]).unwrap();
    let little = Process::spawn(send_little, tx.clone()).unwrap();
    thread::sleep(Duration::from_millis(300));
    common::eventually(|| is_in_state(&little, "S"));
    signal(&little, libc::SIGSTOP);
    common::eventually(|| is_in_state(&little, "T"));
    assert_eq!(rx.recv_bytes().unwrap().len(), 400);
    thread::scope(|s| {
        let much = s.spawn(|| tx.send_bytes_timeout(&[4; 1000], LATE));
        thread::sleep(Duration::from_millis(300));
        signal(&little, libc::SIGCONT);
        // Nothing else is taken until it has got on.
        let start = Instant::now();
        while tx.len() < 2 && start.elapsed() < Duration::from_secs(30) {
            thread::sleep(Duration::from_millis(1));
        }
        let both = tx.len();
        let lengths: Vec<usize> = (0..3).map(|_| rx.recv_bytes().unwrap().len()).collect();
        assert_eq!((both, lengths), (2, vec![500, 200, 1000]));
        much.join().unwrap().unwrap();
    });
    little.join().unwrap();
}

fn send_for_ever(tx: Sender<u8>) {
    for i in 0_usize.. {
        if tx.send_bytes(&pattern(i * 7919 % 20_000, i)).is_err() {
            return;
        }
    }
}

fn consume(rx: Receiver<u8>) {
    while rx.recv_bytes().is_ok() {}
}

/// Kilobytes of memory files that this process has touched.
fn shared_kib() -> usize {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = rollup.lines().find(|line| line.starts_with("Pss_Shmem:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The messages of a consumer that does not run wait in memory, and that is bounded.
#[test]
fn a_stopped_consumer_bounds_what_its_producers_use() {
    fn measured(_: ()) -> (usize, u64) {
        const BOUND: usize = 4 << 20;
        let (tx, rx) = channel_of_bytes::<u8>(BOUND).unwrap();
        let consumer = Process::spawn(consume, rx.clone()).unwrap();
        tx.send_bytes(&[0]).unwrap();
        common::eventually(|| tx.is_empty());
        // Not in a section, which would hold up the producers.
        common::eventually(|| is_in_state(&consumer, "S"));
        signal(&consumer, libc::SIGSTOP);
        common::eventually(|| is_in_state(&consumer, "T"));
        let before = shared_kib();
        let (mut sent, mut bytes) = (0, 0);
        loop {
            let message = pattern(sent * 7919 % 20_000, sent);
            if tx.send_bytes_timeout(&message, Duration::from_millis(50)).is_err() {
                break;
            }
            (sent, bytes) = (sent + 1, bytes + message.len() as u64);
        }
        let used = shared_kib() - before;
        signal(&consumer, libc::SIGCONT);
        drop((tx, rx));
        consumer.join().unwrap();
        (used, bytes)
    }
    let (used, bytes) = Process::spawn(measured, ()).unwrap().join().unwrap();
    assert!((3 << 20..=4 << 20).contains(&bytes), "{bytes} bytes had room");
    // The bound, the segment that is begun at either end, and pages around.
    assert!((3000..=4096 + 1024).contains(&used), "{used} KiB");
}

#[test]
fn producers_that_are_killed_harm_nobody() {
    let (tx, rx) = channel_of_bytes::<u8>(50_000).unwrap();
    let stop = Instant::now() + Duration::from_secs(if common::long() { 20 } else { 2 });
    let mut producers: Vec<_> = (0..3).map(|_| Process::spawn(send_for_ever, tx.clone()).unwrap()).collect();
    let mut received = 0_u64;
    while Instant::now() < stop || received <= 500 {
        for _ in 0..500 {
            rx.recv_bytes_timeout(LATE).unwrap().expect("somebody sends");
            received += 1;
        }
        let fresh = Process::spawn(send_for_ever, tx.clone()).unwrap();
        let old = std::mem::replace(&mut producers[received as usize / 500 % 3], fresh);
        old.kill().unwrap();
        old.join().unwrap_err();
    }
    for old in producers {
        old.kill().unwrap();
        old.join().unwrap_err();
    }
    drop(tx);
    while let Ok(bytes) = rx.recv_bytes() {
        assert!(bytes.len() < 20_000);
    }
    assert_eq!(rx.try_recv(), Err(RecvError::Disconnected));
    assert!(received > 500, "{received}");
}

/// What the kernel would write of it in a crash are 16 GiB, which it would have to allocate first.
#[test]
fn the_memory_is_left_out_of_core_dumps() {
    let ends = (channel::<u8>(1).unwrap(), one_way::<u8>().unwrap());
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let (mut ours, mut mapping) = (Vec::new(), "");
    for line in maps.lines() {
        if line.contains(" rw-s ") {
            mapping = line;
        } else if line.split(' ').next().is_some_and(|first| first.contains('-')) {
            mapping = "";
        } else if mapping.contains("memfd:") && line.starts_with("VmFlags:") {
            ours.push((mapping, line));
        }
    }
    assert!(ours.len() >= 2, "{ours:?}");
    assert!(ours.iter().all(|(_, flags)| flags.contains(" dd")), "{ours:?}");
    drop(ends);
}
