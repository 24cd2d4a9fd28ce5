//! Tests for pipes between processes: what is theirs alone. What all channels share is in `conformance.rs`.

use std::{
    fs::File,
    io::Read,
    thread,
    time::{Duration, Instant},
};

use proc_core::{Fd, Process};
use proc_ipc::{Connection, PipeReceiver, PipeSender, RecvError, one_way, pipe};

proc_core::init_for_tests!();

fn send_hello(connection: Connection<String>) {
    connection.send("hello by pipe".to_string()).unwrap();
}

#[test]
fn smoke() {
    let (parent, child) = pipe::<String, String>().unwrap();
    let process = Process::spawn(send_hello, child).unwrap();
    assert_eq!(parent.recv().unwrap(), "hello by pipe");
    process.join().unwrap();
    assert_eq!(parent.recv(), Err(RecvError::Disconnected));
    assert!(parent.send("x".into()).unwrap_err().is_disconnected());
}

fn echo(connection: Connection<Vec<f64>>) -> Result<u64, RecvError> {
    let mut count = 0;
    for message in &connection {
        connection.send(message?).map_err(|_| RecvError::PeerDied)?;
        count += 1;
    }
    Ok(count)
}

#[test]
fn both_ends_talk_at_once() {
    let (ours, theirs) = pipe::<Vec<f64>, Vec<f64>>().unwrap();
    let process = Process::spawn(echo, theirs).unwrap();
    let (tx, rx) = ours.split();
    thread::scope(|s| {
        s.spawn(|| (0..100).for_each(|i| tx.send(vec![f64::from(i); 1000 * i as usize]).unwrap()));
        for i in 0..100 {
            assert_eq!(rx.recv().unwrap(), vec![f64::from(i); 1000 * i as usize]);
        }
    });
    drop((tx, rx));
    assert_eq!(process.join().unwrap(), Ok(100));
}

#[test]
fn an_end_travels_through_another_pipe() {
    let (outer, outer_far) = one_way::<(PipeSender<u32>, Fd<File>)>().unwrap();
    let process = Process::spawn(
        |rx: PipeReceiver<(PipeSender<u32>, Fd<File>)>| {
            let (tx, mut file) = rx.recv().unwrap();
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            tx.send(text.len() as u32).unwrap();
        },
        outer_far,
    )
    .unwrap();
    let (inner, inner_far) = one_way().unwrap();
    outer.send((inner, Fd(File::open("/proc/self/comm").unwrap()))).unwrap();
    assert!(inner_far.recv().unwrap() > 0);
    process.join().unwrap();
}

#[test]
fn poll_tells_of_messages_and_of_the_end() {
    let (tx, rx) = one_way::<u8>().unwrap();
    assert!(!rx.poll(Duration::ZERO).unwrap());
    let start = Instant::now();
    assert!(!rx.poll(Duration::from_millis(20)).unwrap());
    assert!(start.elapsed() >= Duration::from_millis(20));
    tx.send(1).unwrap();
    assert!(rx.poll(None).unwrap());
    assert!(rx.poll(Duration::ZERO).unwrap());
    assert_eq!(rx.recv(), Ok(1));
    drop(tx);
    assert!(rx.poll(Duration::ZERO).unwrap());
    assert_eq!(rx.try_recv(), Err(RecvError::Disconnected));
}

#[test]
fn a_killed_peer_is_noticed_without_waiting() {
    let (tx, rx) = one_way::<u8>().unwrap();
    let child = Process::spawn(
        |tx: PipeSender<u8>| {
            tx.send(1).unwrap();
            thread::sleep(Duration::from_secs(100));
        },
        tx,
    )
    .unwrap();
    assert_eq!(rx.recv(), Ok(1));
    assert_eq!(rx.try_recv(), Ok(None));
    child.kill().unwrap();
    child.join().unwrap_err();
    assert_eq!(rx.try_recv(), Err(RecvError::PeerDied));
    assert!(rx.poll(None).unwrap());
    assert_eq!(rx.iter().collect::<Vec<_>>(), [Err(RecvError::PeerDied)]);
}

#[test]
fn a_message_of_another_type_harms_only_itself() {
    let (tx, rx) = one_way::<String>().unwrap();
    tx.send_bytes(&[200, 1, 2]).unwrap();
    tx.send("fine".into()).unwrap();
    assert!(matches!(rx.recv(), Err(RecvError::Decode(_))));
    assert_eq!(rx.recv().unwrap(), "fine");
}

#[test]
fn nothing_grows_with_a_closed_peer() {
    let (tx, rx) = one_way::<u64>().unwrap();
    rx.close();
    assert!(tx.try_send(1).unwrap_err().is_disconnected());
    let (tx, rx) = one_way::<u64>().unwrap();
    tx.send(1).unwrap();
    tx.close();
    assert_eq!(rx.into_iter().collect::<Result<Vec<_>, _>>(), Ok(vec![1]));
}

/// Who may not wait is told that there is no room, or no message, only if it is so, and not because of another thread.
#[test]
fn threads_that_may_not_wait_share_an_end() {
    let (tx, rx) = one_way::<u64>().unwrap();
    for _ in 0..20 {
        thread::scope(|s| {
            for _ in 0..3 {
                s.spawn(|| (0..1000).for_each(|i| tx.try_send(i).unwrap()));
            }
        });
        thread::scope(|s| {
            for _ in 0..3 {
                s.spawn(|| (0..1000).for_each(|_| assert!(rx.try_recv().unwrap().is_some())));
            }
        });
    }
    // Of one that waits they are told at once.
    thread::scope(|s| {
        s.spawn(|| assert_eq!(rx.recv(), Ok(1)));
        thread::sleep(Duration::from_millis(20));
        let start = Instant::now();
        (0..1000).for_each(|_| assert_eq!(rx.try_recv(), Ok(None)));
        assert!(start.elapsed() < Duration::from_secs(10));
        tx.send(1).unwrap();
    });
}

fn unwind_safe<T: std::panic::UnwindSafe + std::panic::RefUnwindSafe>(_: &T) {}

#[test]
fn ends_may_be_used_after_a_panic() {
    unwind_safe(&one_way::<std::cell::Cell<u8>>().unwrap());
    unwind_safe(&pipe::<u8, u8>().unwrap());
    unwind_safe(&proc_ipc::channel::<u8>(1).unwrap());
    unwind_safe(&proc_ipc::Queue::<u8>::unbounded().unwrap());
}

/// The end is not on its way to anybody, so its drop is the end of the stream, and no death.
#[test]
fn an_end_that_could_not_be_sent_is_still_whole() {
    let (carrier, gone) = one_way::<PipeSender<u8>>().unwrap();
    drop(gone);
    let (tx, rx) = one_way::<u8>().unwrap();
    drop(carrier.send(tx).unwrap_err());
    assert_eq!(rx.recv(), Err(RecvError::Disconnected));
    let (carrier, back) = proc_ipc::channel::<PipeSender<u8>>(1).unwrap();
    let ((first, _first_rx), (tx, rx)) = (one_way().unwrap(), one_way::<u8>().unwrap());
    carrier.send(first).unwrap();
    drop(carrier.try_send(tx).unwrap_err());
    assert_eq!(rx.recv(), Err(RecvError::Disconnected));
    // One that could be sent lives on over there.
    back.recv().unwrap();
    let (tx, rx) = one_way::<u8>().unwrap();
    carrier.send(tx).unwrap();
    back.recv().unwrap().send(7).unwrap();
    assert_eq!((rx.recv(), rx.recv()), (Ok(7), Err(RecvError::Disconnected)));
}
