//! Tests for what messages may hold: shared memory, other ends, many descriptors, and descriptors that are not there.

mod common;

use std::{
    fs::File,
    io::{Read, Seek, Write},
    os::fd::{AsFd, AsRawFd},
    thread,
};

use proc_core::{Fd, Message, Process};
use proc_ipc::{
    PipeReceiver, PipeSender, Queue, Receiver, RecvError, Sender, channel, one_way, unbounded_channel,
};
use proc_shm::{Array, Frozen, Value};

use common::{is_pattern, pattern};

proc_core::init_for_tests!();

/// A file that says `n`.
fn note(n: usize) -> Fd<File> {
    let mut file = File::from(rustix::fs::memfd_create("note", rustix::fs::MemfdFlags::CLOEXEC).unwrap());
    write!(file, "{n}").unwrap();
    Fd(file)
}

fn says(mut file: &File, n: usize) -> bool {
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text == n.to_string()
}

/// Runs `check` over a pipe and over a channel.
fn over_both<T: Message>(make: impl Fn() -> T, check: impl Fn(T)) {
    let (tx, rx) = one_way().unwrap();
    tx.send_timeout(make(), common::LATE).unwrap();
    check(rx.recv().unwrap());
    let queue = Queue::unbounded().unwrap();
    queue.put(make()).unwrap();
    check(queue.get().unwrap());
}

type Shared = (Value<u64>, Frozen<[f64]>, Array<u32>);

fn change(rx: Receiver<Shared>) -> f64 {
    let (value, frozen, array) = rx.recv().unwrap();
    *value.lock().unwrap() += 1;
    array.lock().unwrap()[2] = 7;
    frozen.iter().sum()
}

#[test]
fn smoke() {
    let shared =
        (Value::new(5).unwrap(), Frozen::new(&[0.5, 1.5]).unwrap(), Array::from_slice(&[1, 2, 3]).unwrap());
    let (tx, rx) = channel(1).unwrap();
    let child = Process::spawn(change, rx).unwrap();
    tx.send(shared.clone()).unwrap();
    assert_eq!(child.join().unwrap(), 2.0);
    assert_eq!((shared.0.get(), shared.2.lock().unwrap()[2]), (6, 7));
    over_both(
        || shared.clone(),
        |(value, frozen, array)| {
            *value.lock().unwrap() += 1;
            array.lock().unwrap()[0] += 1;
            assert_eq!(frozen[..], [0.5, 1.5]);
        },
    );
    assert_eq!((shared.0.get(), shared.2.lock().unwrap()[0]), (8, 3));
}

/// Each is another file, so that one in the place of another is seen.
#[test]
fn many_descriptors_keep_their_places() {
    for count in [1, 2, 100, 253, 254, 300] {
        over_both(
            || (0..count).map(note).collect::<Vec<_>>(),
            |files| {
                assert_eq!(files.len(), count);
                assert!(files.iter().enumerate().all(|(n, Fd(file))| says(file, n)));
                // Numbers above those that a byte has room for are nothing special.
                assert!(count < 300 || files.iter().any(|Fd(file)| file.as_raw_fd() > 256));
            },
        );
    }
}

#[test]
fn a_long_message_has_its_descriptors() {
    for length in [70_000, 300_000, 1 << 20] {
        let (tx, rx) = one_way::<(Fd<File>, Vec<u8>, Fd<File>)>().unwrap();
        let queue = Queue::unbounded().unwrap();
        thread::scope(|s| {
            s.spawn(|| {
                for n in 0..5 {
                    tx.send((note(n), pattern(length, n), note(n + 100))).unwrap();
                    queue.put((note(n), pattern(length, n), note(n + 100))).unwrap();
                }
            });
            for n in 0..5 {
                for (first, bytes, last) in [rx.recv().unwrap(), queue.get().unwrap()] {
                    assert!(says(&first.0, n) && is_pattern(&bytes, n) && says(&last.0, n + 100));
                }
            }
        });
    }
}

/// As by a sender of another type: the message names a descriptor, and none came with it.
#[test]
fn a_message_whose_descriptor_is_missing_harms_only_itself() {
    let bytes = proc_core::transfer::pack(&note(1)).unwrap().bytes;
    let (tx, rx) = one_way::<Fd<File>>().unwrap();
    tx.send_bytes(&bytes).unwrap();
    tx.send(note(2)).unwrap();
    assert!(matches!(rx.recv(), Err(RecvError::Decode(_))));
    assert!(says(&rx.recv().unwrap().0, 2));
    let (tx, rx) = channel::<Fd<File>>(3).unwrap();
    tx.send_bytes(&bytes).unwrap();
    tx.send(note(2)).unwrap();
    assert!(matches!(rx.recv(), Err(RecvError::Decode(_))));
    assert!(says(&rx.recv().unwrap().0, 2));
}

/// After ipc-channel's `transfer_closed_sender`.
#[test]
fn an_end_whose_peer_is_gone_can_be_sent() {
    let (tx, rx) = one_way::<u32>().unwrap();
    drop(rx);
    let (carrier, other) = one_way::<PipeSender<u32>>().unwrap();
    carrier.send(tx).unwrap();
    assert!(other.recv().unwrap().send(1).unwrap_err().is_disconnected());
    let (tx, rx) = one_way::<u32>().unwrap();
    tx.send(5).unwrap();
    drop(tx);
    let (carrier, other) = channel::<PipeReceiver<u32>>(1).unwrap();
    carrier.send(rx).unwrap();
    let rx = other.recv().unwrap();
    assert_eq!((rx.recv(), rx.recv()), (Ok(5), Err(RecvError::Disconnected)));
    let (tx, rx) = channel::<u32>(1).unwrap();
    drop(rx);
    let (carrier, other) = one_way::<Sender<u32>>().unwrap();
    carrier.send(tx).unwrap();
    assert!(other.recv().unwrap().send(1).unwrap_err().is_disconnected());
}

/// After ipc-channel's `embedded_sender` tests, with a forked child.
#[test]
fn ends_and_queues_are_handed_to_forked_children() {
    fn alone(_: ()) {
        let (carrier, other) = one_way::<(Sender<usize>, Fd<File>)>().unwrap();
        let queue = Queue::<(usize, Fd<File>)>::unbounded().unwrap();
        let child = Process::fork_with((other, queue.clone()), |(other, queue)| {
            let (reply, Fd(file)) = other.recv().unwrap();
            assert!(says(&file, 3));
            for n in 0..3 {
                let (i, Fd(file)) = queue.get().unwrap();
                assert!(i == n && says(&file, n));
                reply.send(n * n).unwrap();
            }
        });
        let child = child.unwrap();
        let (reply, replies) = unbounded_channel().unwrap();
        carrier.send((reply, note(3))).unwrap();
        (0..3).for_each(|n| queue.put((n, note(n))).unwrap());
        assert_eq!(replies.iter().collect::<Result<Vec<_>, _>>(), Ok(vec![0, 1, 4]));
        child.join().unwrap();
        assert!(queue.is_empty());
        queue.close();
        assert_eq!((queue.is_empty(), queue.len()), (true, 0));
    }
    Process::spawn(alone, ()).unwrap().join().unwrap();
}

/// Only the beginning is there: that is no message yet.
#[test]
fn a_long_message_that_has_half_arrived_is_not_there() {
    let (mut tx, rx) = {
        let (tx, rx) = proc_ipc::ring::one_way(4096).unwrap();
        (tx, std::sync::Mutex::new(rx))
    };
    let mut rx = rx.into_inner().unwrap();
    let file = note(1).0;
    thread::scope(|s| {
        let sender = s.spawn(move || {
            tx.send_with_fds(&[&pattern(100_000, 1)], &[file.as_fd()], None).unwrap();
            tx
        });
        let mut nothing = 0;
        loop {
            if let Some(record) = rx.try_recv().unwrap() {
                assert!(is_pattern(record.bytes, 1));
                assert!(says(&File::from(record.fds.into_iter().next().unwrap()), 1));
                break;
            }
            nothing += 1;
        }
        assert!(nothing > 0);
        drop(sender.join().unwrap());
    });
}
