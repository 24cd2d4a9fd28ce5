//! Tests for what the suites of others assert of their channels, in our words: CPython's queues and connections, Go's
//! channels, ipc-channel's.

mod common;

use std::{
    collections::HashSet,
    thread,
    time::{Duration, Instant},
};

use proc_core::Process;
use proc_ipc::{
    Connection, PipeReceiver, PipeSender, Queue, Receiver, RecvError, Sender, channel, one_way, pipe,
    unbounded_channel,
};

use common::{Fussy, LATE, not_early, pattern};

proc_core::init_for_tests!();

const DELTA: Duration = Duration::from_millis(10);

// CPython: queues.

fn take_all(q: Queue<u32>) -> Vec<u32> {
    (0..6).map(|_| q.get().unwrap()).collect()
}

#[test]
fn smoke() {
    // test_put: every form of putting fills the queue, every form of putting one more fails in its way.
    let q = Queue::bounded(6).unwrap();
    assert!(q.is_empty());
    q.put(1).unwrap();
    q.try_put(2).unwrap();
    q.put_timeout(3, Duration::ZERO).unwrap();
    q.put_timeout(4, DELTA).unwrap();
    q.put_timeout(5, Duration::MAX).unwrap();
    q.sender().send(6).unwrap();
    assert_eq!(q.len(), 6);
    assert!(q.try_put(7).unwrap_err().is_full());
    assert!(not_early(Duration::ZERO, || q.put_timeout(7, Duration::ZERO)).unwrap_err().is_full());
    assert!(not_early(DELTA, || q.put_timeout(7, DELTA)).unwrap_err().is_full());
    let child = Process::spawn(take_all, q.clone()).unwrap();
    assert_eq!(child.join().unwrap(), [1, 2, 3, 4, 5, 6]);
    assert!(q.is_empty());
}

#[test]
fn every_form_of_getting_finds_an_empty_queue_empty() {
    let q = Queue::unbounded().unwrap();
    let child = Process::spawn(|q: Queue<u32>| (0..4).for_each(|i| q.put(i).unwrap()), q.clone()).unwrap();
    child.join().unwrap();
    assert_eq!((q.get(), q.try_get(), q.get_timeout(DELTA)), (Ok(0), Ok(Some(1)), Ok(Some(2))));
    assert_eq!(q.receiver().recv(), Ok(3));
    assert_eq!(q.try_get(), Ok(None));
    assert_eq!(not_early(DELTA, || q.get_timeout(DELTA)), Ok(None));
    assert_eq!(q.get_timeout(Duration::ZERO), Ok(None));
}

#[test]
fn items_of_a_parent_and_of_its_child_all_arrive() {
    let q = Queue::unbounded().unwrap();
    (0..10).for_each(|i| q.put(i).unwrap());
    let child = Process::spawn(|q: Queue<u32>| (10..20).for_each(|i| q.put(i).unwrap()), q.clone()).unwrap();
    let all: HashSet<u32> = (0..20).map(|_| q.get().unwrap()).collect();
    assert_eq!(all.len(), 20);
    assert_eq!(q.try_get(), Ok(None));
    child.join().unwrap();
}

#[test]
fn a_bad_item_does_not_stop_the_queue_and_does_not_count() {
    let q = Queue::bounded(1).unwrap();
    assert!(q.put(Fussy::new(true)).unwrap_err().is_encode());
    assert_eq!(q.len(), 0);
    q.try_put(Fussy::new(false)).unwrap();
    assert_eq!(q.len(), 1);
    assert!(q.get().is_ok());
    q.join_timeout(Duration::ZERO).unwrap();
}

#[test]
fn a_reader_that_is_killed_while_it_waits_leaves_the_queue_whole() {
    // In CPython it dies with the read lock.
    let q = Queue::<u32>::unbounded().unwrap();
    let readers: Vec<_> =
        (0..3).map(|_| Process::spawn(|q: Queue<u32>| q.get().ok(), q.clone()).unwrap()).collect();
    thread::sleep(Duration::from_millis(50));
    for reader in readers {
        reader.kill().unwrap();
        reader.join().unwrap_err();
    }
    let child = Process::spawn(|q: Queue<u32>| q.get().unwrap(), q.clone()).unwrap();
    thread::sleep(Duration::from_millis(20));
    q.put(5).unwrap();
    assert_eq!(child.join().unwrap(), 5);
}

#[test]
fn a_process_may_end_right_after_its_put() {
    // There is no feeder thread whose work would be lost.
    let q = Queue::unbounded().unwrap();
    fn put_and_abort(q: Queue<Vec<u8>>) {
        q.put(pattern(1 << 20, 1)).unwrap();
        std::process::abort();
    }
    let child = Process::spawn(put_and_abort, q.clone()).unwrap();
    assert!(child.join().is_err());
    assert!(q.try_get().unwrap().unwrap() == pattern(1 << 20, 1));
}

// CPython: connections.

fn echo(end: Connection<Vec<u8>>) {
    while let Ok(bytes) = end.recv_bytes() {
        if end.send_bytes(&bytes).is_err() {
            return;
        }
    }
}

#[test]
fn a_connection_echoes_16_mib_and_then_ends() {
    let (ours, theirs) = pipe::<Vec<u8>, Vec<u8>>().unwrap();
    let child = Process::spawn(echo, theirs).unwrap();
    assert!(!not_early(DELTA, || ours.poll(DELTA)).unwrap());
    let really_big = pattern(16 << 20, 2);
    thread::scope(|s| {
        s.spawn(|| ours.send_bytes(&really_big).unwrap());
        assert!(ours.recv_bytes().unwrap() == really_big);
    });
    ours.send_bytes(b"").unwrap();
    assert!(ours.poll(LATE).unwrap());
    assert_eq!(ours.recv_bytes().unwrap(), b"");
    child.kill().unwrap();
    child.join().unwrap_err();
    assert_eq!(ours.recv(), Err(RecvError::PeerDied));
}

#[test]
fn polls_of_empty_strings_and_of_many_do_not_merge_messages() {
    let (tx, rx) = one_way::<Vec<u8>>().unwrap();
    tx.send_bytes(b"").unwrap();
    assert!(rx.poll(Duration::ZERO).unwrap() && rx.poll(Duration::ZERO).unwrap());
    assert_eq!(rx.recv_bytes().unwrap(), b"");
    assert!(!rx.poll(Duration::ZERO).unwrap());
    tx.send_bytes(b"hello").unwrap();
    tx.send_bytes(b"world").unwrap();
    for _ in 0..3 {
        assert!(rx.poll(Duration::ZERO).unwrap());
    }
    assert_eq!((rx.recv_bytes().unwrap(), rx.recv_bytes().unwrap()), (b"hello".to_vec(), b"world".to_vec()));
    assert!(!rx.poll(Duration::ZERO).unwrap());
}

#[test]
fn an_end_may_be_closed_right_after_its_child_was_started() {
    let (tx, rx) = one_way::<u8>().unwrap();
    let child = Process::spawn(|rx: PipeReceiver<u8>| rx.recv(), rx).unwrap();
    tx.send(1).unwrap();
    drop(tx);
    assert_eq!(child.join().unwrap(), Ok(1));
}

#[test]
fn a_connection_crosses_through_a_connection() {
    let (ours, theirs) = pipe::<Connection<u32>, ()>().unwrap();
    let child = Process::spawn(
        |end: Connection<(), Connection<u32>>| {
            let inner = end.recv().unwrap();
            inner.send(inner.recv().unwrap() * 2).unwrap();
        },
        theirs,
    )
    .unwrap();
    let (near, far) = pipe().unwrap();
    ours.send(far).unwrap();
    near.send(21).unwrap();
    assert_eq!(near.recv(), Ok(42));
    child.join().unwrap();
    assert_eq!(near.recv(), Err(RecvError::Disconnected));
}

// Go: channels.

#[test]
fn what_is_in_a_closed_channel_is_received_and_then_the_end_by_all() {
    for capacity in [1, 10] {
        let (tx, rx) = channel(capacity).unwrap();
        thread::scope(|s| {
            let readers: Vec<_> =
                (0..4).map(|_| s.spawn(|| rx.iter().map(Result::unwrap).sum::<u32>())).collect();
            (1..=100).for_each(|i| tx.send(i).unwrap());
            drop(tx);
            assert_eq!(readers.into_iter().map(|r| r.join().unwrap()).sum::<u32>(), 5050);
        });
    }
}

#[test]
fn a_channel_blocks_no_earlier_and_no_later_than_its_capacity() {
    for capacity in [1, 2, 7] {
        let (tx, rx) = channel(capacity).unwrap();
        (0..capacity).for_each(|i| tx.try_send(i).unwrap());
        assert!(tx.try_send(99).unwrap_err().is_full());
        assert_eq!((tx.len(), rx.len()), (capacity, capacity));
        assert_eq!(rx.try_recv(), Ok(Some(0)));
        tx.try_send(capacity).unwrap();
        for i in 1..=capacity {
            assert_eq!(rx.recv(), Ok(i));
        }
    }
}

fn filter((rx, tx, prime): (Receiver<u32>, Sender<u32>, u32)) {
    for i in &rx {
        let i = i.unwrap();
        if i % prime != 0 && tx.send(i).is_err() {
            return;
        }
    }
}

#[test]
fn a_chain_of_processes_sieves_primes() {
    let (tx, mut rx) = channel(10).unwrap();
    let source = Process::spawn(
        |tx: Sender<u32>| {
            let _ = (2..).try_for_each(|i| tx.send(i).map_err(drop));
        },
        tx,
    )
    .unwrap();
    let mut chain = vec![source];
    let mut primes = Vec::new();
    for _ in 0..5 {
        let prime = rx.recv().unwrap();
        primes.push(prime);
        let (next_tx, next_rx) = channel(10).unwrap();
        let before = std::mem::replace(&mut rx, next_rx);
        chain.push(Process::spawn(filter, (before, next_tx, prime)).unwrap());
    }
    assert_eq!(primes, [2, 3, 5, 7, 11]);
    // The end goes up the chain.
    drop(rx);
    chain.into_iter().for_each(|process| process.join().unwrap());
}

// ipc-channel.

#[test]
fn a_sender_that_crossed_back_and_forth_still_sends() {
    let (outer_tx, outer_rx) = unbounded_channel::<Sender<Sender<u8>>>().unwrap();
    let (inner_tx, inner_rx) = unbounded_channel::<Sender<u8>>().unwrap();
    let (tx, rx) = unbounded_channel::<u8>().unwrap();
    outer_tx.send(inner_tx).unwrap();
    outer_rx.recv().unwrap().send(tx).unwrap();
    inner_rx.recv().unwrap().send(9).unwrap();
    assert_eq!(rx.recv(), Ok(9));
    // The last sender was the temporary above.
    assert_eq!(rx.recv(), Err(RecvError::Disconnected));
}

#[test]
fn a_receiver_crosses_with_messages_in_it() {
    let (outer_tx, outer_rx) = unbounded_channel().unwrap();
    let (tx, rx) = unbounded_channel().unwrap();
    (0..100).for_each(|i| tx.send(i).unwrap());
    outer_tx.send(rx).unwrap();
    let rx: Receiver<u32> = outer_rx.recv().unwrap();
    drop(tx);
    assert_eq!(rx.iter().map(Result::unwrap).collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
}

#[test]
fn a_thousand_unread_messages_block_nobody() {
    // Over a socket 278 of one byte do.
    let (tx, rx) = one_way::<u8>().unwrap();
    (0..1000).for_each(|i| tx.try_send(i as u8).unwrap());
    (0..1000).for_each(|i| assert_eq!(rx.recv(), Ok(i as u8)));
}

#[test]
fn a_received_message_is_as_large_as_what_was_sent() {
    let (tx, rx) = one_way::<Vec<u8>>().unwrap();
    tx.send(vec![1]).unwrap();
    assert!(rx.recv().unwrap().capacity() < 100);
    tx.send_bytes(&[1]).unwrap();
    assert!(rx.recv_bytes().unwrap().capacity() < 100);
}

#[test]
fn concurrent_senders_of_large_messages_do_not_mix_them() {
    let (tx, rx) = channel(3).unwrap();
    let children: Vec<_> = (0..3)
        .map(|i| {
            let send = |(tx, i): (Sender<Vec<u8>>, usize)| {
                (0..5).for_each(|k| tx.send(pattern(300_000 + k, i)).unwrap());
            };
            Process::spawn(send, (tx.clone(), i)).unwrap()
        })
        .collect();
    drop(tx);
    let mut count = 0;
    for message in &rx {
        let message = message.unwrap();
        assert!((0..3).any(|i| message == pattern(message.len(), i)));
        count += 1;
    }
    assert_eq!(count, 15);
    children.into_iter().for_each(|child| child.join().unwrap());
}

#[test]
fn a_sender_may_be_kept_and_its_pipe_be_dropped_in_any_order() {
    let (tx, rx): (PipeSender<String>, _) = one_way().unwrap();
    let start = Instant::now();
    tx.send("x".repeat(1000)).unwrap();
    drop(rx);
    drop(tx);
    assert!(start.elapsed() < LATE);
}
