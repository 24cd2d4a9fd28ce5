//! Tests for forked children, which have no copy of an end that was not handed to them.

mod common;

use std::{thread, time::Duration};

use proc_core::Process;
use proc_ipc::{Queue, RecvError, channel, one_way, pipe, ring};

use common::{LATE, open_fds};

proc_core::init_for_tests!();

/// Runs `f` in a process with one thread, in which forking is safe.
fn alone(f: fn(())) {
    Process::spawn(f, ()).unwrap().join().unwrap();
}

#[test]
fn smoke() {
    alone(|()| {
        let (tx, rx) = one_way::<u8>().unwrap();
        let child = Process::fork(|| {
            let error = tx.send(1).unwrap_err();
            (error.to_string(), rx.recv())
        })
        .unwrap();
        let (error, received) = child.join().unwrap();
        assert!(error.contains("forked"), "{error}");
        assert!(matches!(received, Err(RecvError::NotInherited(_))));
        // The child has not closed it.
        tx.send(2).unwrap();
        assert_eq!(rx.recv(), Ok(2));
    });
}

#[test]
fn a_forked_child_does_not_hold_up_the_end_of_the_stream() {
    alone(|()| {
        let (tx, rx) = one_way::<u8>().unwrap();
        let (other_tx, other_rx) = channel::<u8>(3).unwrap();
        let child = Process::fork(|| thread::sleep(LATE)).unwrap();
        tx.send(1).unwrap();
        other_tx.send(1).unwrap();
        drop((tx, other_tx));
        assert_eq!((rx.recv(), rx.recv()), (Ok(1), Err(RecvError::Disconnected)));
        assert_eq!((other_rx.recv(), other_rx.recv()), (Ok(1), Err(RecvError::Disconnected)));
        child.kill().unwrap();
    });
}

#[test]
fn an_end_that_is_handed_to_a_forked_child_is_the_childs() {
    alone(|()| {
        let (ours, theirs) = pipe::<u32, u32>().unwrap();
        let child =
            Process::fork_with(theirs, |theirs| theirs.send(theirs.recv().unwrap() + 1).unwrap()).unwrap();
        ours.send(1).unwrap();
        assert_eq!(ours.recv(), Ok(2));
        child.join().unwrap();
        assert_eq!(ours.recv(), Err(RecvError::Disconnected));
    });
}

#[test]
fn all_kinds_refuse_in_a_forked_child() {
    alone(|()| {
        let q = Queue::<u8>::bounded(2).unwrap();
        let (tx, rx) = channel::<u8>(2).unwrap();
        let (mut ring_tx, mut ring_rx) = ring::one_way(4096).unwrap();
        let refused = Process::fork(|| {
            [
                q.put(1).is_err(),
                matches!(q.get(), Err(RecvError::NotInherited(_))),
                q.join().is_err(),
                tx.try_send(1).is_err(),
                matches!(rx.try_recv(), Err(RecvError::NotInherited(_))),
                matches!(rx.recv_timeout(Duration::ZERO), Err(RecvError::NotInherited(_))),
                matches!(rx.poll(Duration::ZERO), Err(RecvError::NotInherited(_))),
                matches!(ring_tx.try_send(&[b"x"]), Err(ring::SendError::NotInherited(_))),
                matches!(ring_rx.recv(None), Err(ring::RecvError::NotInherited(_))),
                ring::wait(&mut [&mut ring_rx], &[], None).is_err(),
                proc_core::transfer::pack(&tx).is_err(),
                q.is_empty(),
            ]
        })
        .unwrap()
        .join()
        .unwrap();
        assert_eq!(refused, [true; 12]);
        q.put(1).unwrap();
        assert_eq!(q.get(), Ok(1));
    });
}

/// It reads the memory, which the child does not have.
#[test]
fn an_end_that_was_armed_before_the_fork_is_harmless_in_the_child() {
    alone(|()| {
        let ((_tx, rx), (_channel_tx, channel_rx)) = (one_way::<u8>().unwrap(), channel::<u8>(2).unwrap());
        let queue = Queue::<u8>::bounded(2).unwrap();
        let armed = [rx.arm().unwrap(), channel_rx.arm().unwrap(), queue.arm().unwrap()];
        assert!(armed.iter().all(|armed| !armed.is_ready()));
        let seen = Process::fork(|| {
            let ready: Vec<bool> = armed.iter().map(|armed| armed.is_ready()).collect();
            (ready, format!("{armed:?}").len())
        });
        let (ready, printed) = seen.unwrap().join().unwrap();
        assert_eq!(ready, [true; 3]);
        assert!(printed > 0);
        assert!(armed.iter().all(|armed| !armed.is_ready()));
    });
}

/// Kilobytes of memory files that this process has touched, counted page by page: the counters of `/proc/self/status` are
/// approximate.
fn shared_kib() -> usize {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = rollup.lines().find(|line| line.starts_with("Pss_Shmem:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn an_idle_channel_costs_little_and_leaves_nothing() {
    alone(|()| {
        drop((channel::<u8>(1).unwrap(), pipe::<u8, u8>().unwrap()));
        let (fds, memory) = (open_fds(), shared_kib());
        let pipes: Vec<_> = (0..20).map(|_| pipe::<u8, u8>().unwrap()).collect();
        // Both ends are here and share the memory's descriptor: 5 instead of 6.
        assert_eq!(open_fds(), fds + 20 * 5);
        assert!(shared_kib() - memory < 20 * 64, "{} KiB", shared_kib() - memory);
        drop(pipes);
        let channels: Vec<_> = (0..20).map(|_| channel::<u8>(5).unwrap()).collect();
        let clones = channels.iter().map(|(tx, rx)| (tx.clone(), rx.clone())).collect::<Vec<_>>();
        assert_eq!(open_fds(), fds + 20 * 5);
        for (tx, rx) in &channels {
            tx.send(1).unwrap();
            rx.recv().unwrap();
        }
        assert!(shared_kib() - memory < 20 * 64, "{} KiB", shared_kib() - memory);
        drop((channels, clones));
        assert_eq!((open_fds(), shared_kib()), (fds, memory));

        // Descriptors in messages that nobody receives, or that can't be sent.
        let (tx, rx) = channel(2).unwrap();
        let (pipe_tx, pipe_rx) = one_way().unwrap();
        for fails in [false, true, false, true] {
            let _ = tx.send(common::Fussy::new(fails));
            let _ = pipe_tx.send(common::Fussy::new(fails));
        }
        assert!(tx.try_send(common::Fussy::new(false)).unwrap_err().is_full());
        drop((tx, rx, pipe_tx, pipe_rx));
        assert_eq!(open_fds(), fds);
    });
}
