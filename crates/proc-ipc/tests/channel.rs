//! Tests for channels and queues: how they end, how they count, and who may be killed.

mod common;

use std::{
    thread,
    time::{Duration, Instant},
};

use proc_core::Process;
use proc_ipc::{Queue, Receiver, RecvError, Sender, channel, unbounded_channel};

use common::{LATE, eventually, not_early};

proc_core::init_for_tests!();

fn produce(q: Queue<String>) {
    for item in ["apple", "banana", "orange"] {
        q.put(item.into()).unwrap();
    }
}

fn consume(q: Queue<String>) -> Vec<String> {
    let mut took = Vec::new();
    loop {
        let item = q.get().unwrap();
        if item == "END" {
            return took;
        }
        took.push(item);
    }
}

#[test]
fn smoke() {
    let q = Queue::unbounded().unwrap();
    let producer = Process::spawn(produce, q.clone()).unwrap();
    let consumer = Process::spawn(consume, q.clone()).unwrap();
    producer.join().unwrap();
    q.put("END".into()).unwrap();
    assert_eq!(consumer.join().unwrap(), ["apple", "banana", "orange"]);
    assert!(q.is_empty());
}

#[test]
fn a_channel_ends_with_its_last_sender() {
    let (tx, rx) = channel(4).unwrap();
    let other = tx.clone();
    tx.send(1).unwrap();
    drop(tx);
    other.send(2).unwrap();
    assert_eq!(rx.recv(), Ok(1));
    drop(other);
    assert_eq!(
        (rx.recv(), rx.recv(), rx.try_recv()),
        (Ok(2), Err(RecvError::Disconnected), Err(RecvError::Disconnected))
    );
    assert!(rx.poll(None).unwrap());
    assert_eq!(rx.iter().next(), None);
}

#[test]
fn a_channel_is_closed_by_its_last_receiver() {
    for (tx, rx) in [channel(4).unwrap(), unbounded_channel().unwrap()] {
        let other = rx.clone();
        drop(rx);
        tx.send(1).unwrap();
        drop(other);
        let error = tx.send(2).unwrap_err();
        assert!(error.is_disconnected());
        assert_eq!(error.into_inner(), 2);
        assert!(tx.try_send(3).unwrap_err().is_disconnected());
    }
}

#[test]
fn the_last_ends_wake_whoever_sleeps() {
    let (tx, rx) = channel::<u8>(1).unwrap();
    thread::scope(|s| {
        s.spawn(|| assert_eq!(rx.recv(), Err(RecvError::Disconnected)));
        thread::sleep(Duration::from_millis(20));
        drop(tx);
    });
    let (tx, rx) = channel::<u8>(1).unwrap();
    thread::scope(|s| {
        s.spawn(|| {
            tx.send(1).unwrap();
            assert!(tx.send(2).unwrap_err().is_disconnected());
        });
        thread::sleep(Duration::from_millis(20));
        drop(rx);
    });
}

fn sleep_with_sender(_tx: Sender<u8>) {
    thread::sleep(LATE);
}

fn sleep_with_receiver(_rx: Receiver<u8>) {
    thread::sleep(LATE);
}

#[test]
fn killed_ends_are_gone_ends() {
    let (tx, rx) = channel::<u8>(1).unwrap();
    let child = Process::spawn(sleep_with_sender, tx).unwrap();
    assert_eq!(rx.try_recv(), Ok(None));
    thread::scope(|s| {
        s.spawn(|| assert_eq!(rx.recv(), Err(RecvError::Disconnected)));
        thread::sleep(Duration::from_millis(20));
        child.kill().unwrap();
    });
    assert_eq!(rx.try_recv(), Err(RecvError::Disconnected));

    let (tx, rx) = channel::<u8>(1).unwrap();
    let child = Process::spawn(sleep_with_receiver, rx).unwrap();
    tx.send(1).unwrap();
    thread::scope(|s| {
        s.spawn(|| assert!(tx.send(2).unwrap_err().is_disconnected()));
        thread::sleep(Duration::from_millis(20));
        child.kill().unwrap();
    });

    // A channel without a bound never waits, and notices it all the same.
    let (tx, rx) = unbounded_channel::<u8>().unwrap();
    let child = Process::spawn(sleep_with_receiver, rx).unwrap();
    child.kill().unwrap();
    child.join().unwrap_err();
    eventually(|| tx.send(1).is_err_and(|e| e.is_disconnected()));
}

#[test]
fn a_closed_queue_gives_what_is_in_it() {
    let q = Queue::bounded(3).unwrap();
    q.put(1).unwrap();
    q.put(2).unwrap();
    q.close();
    q.close();
    let refused = q.put(3).unwrap_err();
    assert!(refused.is_disconnected());
    assert_eq!(refused.into_inner(), 3);
    assert_eq!(
        (q.get(), q.try_get(), q.try_get(), q.get()),
        (Ok(1), Ok(Some(2)), Err(RecvError::Disconnected), Err(RecvError::Disconnected))
    );
}

#[test]
fn closing_a_queue_wakes_whoever_sleeps() {
    let q = Queue::<u8>::bounded(1).unwrap();
    thread::scope(|s| {
        for _ in 0..3 {
            s.spawn(|| assert_eq!(q.get(), Err(RecvError::Disconnected)));
        }
        thread::sleep(Duration::from_millis(20));
        q.close();
    });
    let q = Queue::<u8>::bounded(1).unwrap();
    q.put(0).unwrap();
    thread::scope(|s| {
        for _ in 0..3 {
            s.spawn(|| assert!(q.put(1).unwrap_err().is_disconnected()));
        }
        thread::sleep(Duration::from_millis(20));
        q.close();
    });
}

#[test]
fn sizes_are_exact() {
    let q = Queue::bounded(3).unwrap();
    assert_eq!((q.len(), q.is_empty(), q.capacity()), (0, true, Some(3)));
    for i in 0..3 {
        q.try_put(i).unwrap();
        assert_eq!(q.len(), i + 1);
    }
    assert!(q.try_put(9).unwrap_err().is_full());
    let time = Duration::from_millis(20);
    assert!(not_early(time, || q.put_timeout(9, time)).unwrap_err().is_full());
    assert_eq!(q.get(), Ok(0));
    assert_eq!(q.sender().len(), 2);
    q.try_put(3).unwrap();
    assert_eq!(q.receiver().iter().take(3).collect::<Result<Vec<_>, _>>(), Ok(vec![1, 2, 3]));
    assert_eq!(Queue::<u8>::unbounded().unwrap().capacity(), None);
}

#[test]
fn a_channel_of_one_passes_in_turns() {
    let (tx, rx) = channel(1).unwrap();
    thread::scope(|s| {
        s.spawn(|| (0..1000).for_each(|i| tx.send(i).unwrap()));
        for i in 0..1000 {
            assert_eq!(rx.recv(), Ok(i));
        }
    });
}

fn deal_with(q: Queue<Option<u32>>) {
    while let Some(_task) = q.get().unwrap() {
        thread::sleep(Duration::from_millis(1));
        q.task_done();
    }
    q.task_done();
}

#[test]
fn join_waits_for_every_task() {
    let q = Queue::unbounded().unwrap();
    q.join().unwrap();
    let workers: Vec<_> = (0..4).map(|_| Process::spawn(deal_with, q.clone()).unwrap()).collect();
    for i in 0..40 {
        q.put(Some(i)).unwrap();
    }
    q.join().unwrap();
    assert!(q.is_empty());
    q.put(None).unwrap();
    q.put(None).unwrap();
    q.put(None).unwrap();
    q.put(None).unwrap();
    q.join().unwrap();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    q.put(Some(1)).unwrap();
    let time = Duration::from_millis(20);
    assert!(!not_early(time, || q.join_timeout(time)).unwrap());
    q.get().unwrap();
    q.task_done();
    assert!(q.join_timeout(LATE).unwrap());
    let again = thread::spawn(move || q.task_done()).join();
    assert!(again.is_err(), "one task too many");
}

#[test]
fn ends_of_channels_travel_through_channels() {
    let (tx, rx) = channel::<Sender<u32>>(2).unwrap();
    let child = Process::spawn(
        |rx: Receiver<Sender<u32>>| {
            let mut count = 0;
            for reply in &rx {
                count += 1;
                reply.unwrap().send(count).unwrap();
            }
        },
        rx,
    )
    .unwrap();
    let (reply, replies) = channel(2).unwrap();
    for i in 1..=100 {
        tx.send(reply.clone()).unwrap();
        assert_eq!(replies.recv(), Ok(i));
    }
    drop(tx);
    child.join().unwrap();
    drop(reply);
    assert_eq!(replies.recv(), Err(RecvError::Disconnected));
}

#[test]
fn a_backlog_of_any_shape_comes_out_as_it_went_in() {
    let (tx, rx) = unbounded_channel().unwrap();
    let size = |i: usize| [8, 100, 5000, 200_000, 262_128, 262_129, 900_000][i * 7919 % 7];
    // Grows and shrinks, so that segments are taken, reused and given back.
    let (mut sent, mut got) = (0, 0);
    for (up, down) in [(50, 20), (100, 130), (10, 10), (200, 200), (3, 3)] {
        for _ in 0..up {
            tx.send_bytes(&common::pattern(size(sent), sent)).unwrap();
            sent += 1;
        }
        for _ in 0..down {
            assert!(rx.recv_bytes().unwrap() == common::pattern(size(got), got), "message {got}");
            got += 1;
        }
    }
    assert_eq!(sent, got);
    drop(tx);
    let _: Receiver<u8> = rx;
}

fn send_for_ever((tx, who): (Sender<(u32, u64)>, u32)) {
    for i in 0.. {
        if tx.send((who, i)).is_err() {
            return;
        }
    }
}

#[test]
fn messages_of_a_sender_keep_their_order() {
    let (tx, rx) = channel(100).unwrap();
    let senders: Vec<_> = (0..3).map(|i| Process::spawn(send_for_ever, (tx.clone(), i)).unwrap()).collect();
    let mut next = [0; 3];
    let start = Instant::now();
    while next.iter().any(|n| *n < 5000) {
        let (who, i) = rx.recv().unwrap();
        assert_eq!(next[who as usize], i);
        next[who as usize] += 1;
        assert!(start.elapsed() < LATE);
    }
    drop(rx);
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    assert!(tx.send((0, 0)).unwrap_err().is_disconnected());
}
