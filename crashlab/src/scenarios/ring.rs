//! The ring of a pipe, small, so that records pass in pieces, and with descriptors.

use crate::board::Board;
use crate::scenario::Scenario;
use crate::stage::{Outcome, Setup, Stage, When, ensure};
use proc_ipc::ring::{Receiver, RecvError, SendError, Sender, one_way};
use std::fs::File;
use std::os::fd::AsFd;

const RECEIVED: usize = 0;
const MAY_SEND: usize = 1;
const SENT: usize = 2;
const MAY_RECEIVE: usize = 3;

/// The smallest ring there is. Records above a quarter of it pass in pieces.
const CAPACITY: usize = 4096;
const PIECES: usize = 1500;

fn text(e: impl ToString) -> String {
    e.to_string()
}

/// What a scenario sends.
#[derive(Clone, Copy)]
struct Shape {
    size: usize,
    /// Every second record, from the second on, carries a descriptor.
    fds: bool,
}

impl Shape {
    /// Record `n`: its number, and bytes that follow from it.
    fn record(self, n: u64) -> Vec<u8> {
        let mut bytes = vec![n as u8 ^ 0x5a; self.size];
        bytes[..8].copy_from_slice(&n.to_le_bytes());
        bytes
    }

    fn send(self, sender: &mut Sender, n: u64) -> Result<(), SendError> {
        if self.fds && n % 2 == 0 {
            let null = File::open("/dev/null").map_err(SendError::Io)?;
            return sender.send_with_fds(&[&self.record(n)], &[null.as_fd()], None);
        }
        sender.send(&[&self.record(n)], None)
    }

    /// Receives one record, which must be record `n`. False: the stream ended.
    fn receive(self, receiver: &mut Receiver, n: u64) -> Result<bool, String> {
        let mut bytes = Vec::with_capacity(self.size);
        let fds = match receiver.recv_into(&mut bytes, None) {
            Ok(fds) => fds.unwrap_or_default(),
            Err(RecvError::Disconnected | RecvError::PeerDied) => return Ok(false),
            Err(e) => return Err(e.to_string()),
        };
        ensure(bytes == self.record(n), || format!("{} bytes are not record {n}", bytes.len()))?;
        let wanted = usize::from(self.fds && n % 2 == 0);
        ensure(fds.len() == wanted, || format!("{} descriptors came with record {n}", fds.len()))?;
        Ok(true)
    }

    fn receive_all(self, receiver: &mut Receiver, board: &Board) -> Outcome {
        while self.receive(receiver, board.count(RECEIVED) + 1)? {
            board.add(RECEIVED, 1);
        }
        Ok(())
    }
}

/// The sender dies; the receiver sleeps.
fn send(stage: &mut Stage, shape: Shape) -> Setup {
    let (sender, receiver) = one_way(CAPACITY)?;
    stage.victim(&sender, move |mut sender, _, mark| {
        shape.send(&mut sender, 1).map_err(text)?;
        mark.operation(|| shape.send(&mut sender, 2)).map_err(text)
    })?;
    stage.actor(When::Ready, "the receiver", &receiver, move |mut receiver, board| {
        shape.receive_all(&mut receiver, board)
    })?;
    stage.actor(When::Last, "the judge", &(), |(), board| {
        let (received, least) = (board.count(RECEIVED), if board.finished() { 2 } else { 1 });
        ensure((least..=2).contains(&received), || format!("{received} came, of {least} to 2"))
    })
}

/// The ring is full; the sender sleeps until there is room, and dies.
fn send_full(stage: &mut Stage) -> Setup {
    let shape = Shape { size: 600, fds: false };
    let (sender, receiver) = one_way(CAPACITY)?;
    stage.victim(&sender, move |mut sender, board, mark| {
        while sender.try_send(&[&shape.record(board.count(SENT) + 1)]).is_ok() {
            board.add(SENT, 1);
        }
        let next = board.count(SENT) + 1;
        mark.operation(|| shape.send(&mut sender, next)).map_err(text)
    })?;
    stage.actor(When::Ready, "the receiver", &receiver, move |mut receiver, board| {
        board.await_count(MAY_RECEIVE, 1);
        shape.receive_all(&mut receiver, board)
    })?;
    for when in [When::Wake, When::After] {
        stage.actor(when, "who lets the receiver go on", &(), |(), board| {
            board.add(MAY_RECEIVE, 1);
            Ok(())
        })?;
    }
    stage.actor(When::Last, "the judge", &(), |(), board| {
        let (sent, received) = (board.count(SENT), board.count(RECEIVED));
        let least = sent + u64::from(board.finished());
        ensure((least..=sent + 1).contains(&received), || format!("{received} came, of {sent} and one"))
    })
}

/// The receiver dies: with a record there, or asleep and then woken by one. The sender must learn of it.
fn recv(stage: &mut Stage, shape: Shape, there: u64) -> Setup {
    let (sender, receiver) = one_way(CAPACITY)?;
    stage.actor(When::First, "the sender", &sender, move |mut sender, board| {
        board.add(MAY_SEND, there);
        for n in 1.. {
            board.await_count(MAY_SEND, n);
            match shape.send(&mut sender, n) {
                Ok(()) => board.add(SENT, 1),
                // Somebody may wait for the attempt.
                Err(SendError::Disconnected) => {
                    board.add(SENT, 1);
                    return Ok(());
                }
                Err(e) => return Err(e.to_string()),
            };
        }
        Ok(())
    })?;
    stage.victim(&receiver, move |mut receiver, board, mark| {
        board.await_count(SENT, there);
        let came = mark.operation(|| shape.receive(&mut receiver, 1))?;
        ensure(came, || "the stream ended".into())
    })?;
    for when in [When::Wake, When::Pause] {
        stage.actor(when, "who lets the sender go on", &(), move |(), board| {
            board.add(MAY_SEND, 1);
            board.await_count(SENT, there + 1);
            Ok(())
        })?;
    }
    stage.actor(When::After, "who lets the sender learn of the death", &(), |(), board| {
        board.add(MAY_SEND, 1 << 32);
        Ok(())
    })
}

pub(super) fn all() -> Vec<Scenario> {
    let small = Shape { size: 64, fds: false };
    let pieces = Shape { size: PIECES, fds: false };
    let fds = Shape { size: 64, fds: true };
    vec![
        Scenario::new("ring/send", move |s| send(s, small)),
        Scenario::new("ring/send-pieces", move |s| send(s, pieces)),
        Scenario::new("ring/send-descriptor", move |s| send(s, fds)),
        Scenario::new("ring/send-when-full", send_full),
        Scenario::new("ring/recv", move |s| recv(s, small, 1)),
        Scenario::new("ring/recv-pieces", move |s| recv(s, pieces, 1)),
        Scenario::new("ring/recv-asleep", move |s| recv(s, small, 0)),
    ]
}
