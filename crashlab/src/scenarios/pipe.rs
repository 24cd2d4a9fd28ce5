//! A pipe whose sender dies, and one whose receiver dies.

use crate::board::Board;
use crate::scenario::Scenario;
use crate::stage::{Outcome, Setup, Stage, When, ensure};
use proc_ipc::{PipeReceiver, PipeSender, one_way};
use std::time::Duration;

const RECEIVED: usize = 0;
const MAY_SEND: usize = 1;
const SENT: usize = 2;

fn text(e: impl ToString) -> String {
    e.to_string()
}

/// Message `n` says its number four times.
type Message = [u64; 4];

fn message(n: u64) -> Message {
    [n, !n, n, !n]
}

/// Receives until the end of the stream. Messages must be whole and in order, from 1 on.
fn receive_all(pipe: &PipeReceiver<Message>, board: &Board) -> Outcome {
    loop {
        match pipe.recv() {
            Ok(received) => {
                let expected = message(board.add(RECEIVED, 1) + 1);
                ensure(received == expected, || format!("{received:?} came, and {expected:?} should"))?;
            }
            Err(e) if e.is_final() => return Ok(()),
            Err(e) => return Err(e.to_string()),
        }
    }
}

/// The sender dies; the receiver sleeps, or finds the message when it looks.
fn send(stage: &mut Stage, before: u64, asleep: bool) -> Setup {
    let (sender, receiver) = one_way::<Message>()?;
    let when = if asleep { When::Ready } else { When::After };
    stage.victim(&sender, move |sender, _, mark| {
        (1..=before).try_for_each(|n| sender.send(message(n)).map_err(text))?;
        mark.operation(|| sender.send(message(before + 1))).map_err(text)
    })?;
    stage.actor(when, "the receiver", &receiver, |receiver, board| receive_all(&receiver, board))?;
    stage.actor(When::Last, "the judge", &(), move |(), board| {
        let least = before + u64::from(board.finished());
        let received = board.count(RECEIVED);
        ensure((least..=before + 1).contains(&received), || format!("{received} came, of {least} at least"))
    })
}

/// Sends as it is told, and must learn of the receiver's death.
fn sends(sender: &PipeSender<Message>, board: &Board) -> Outcome {
    let mut n = 1;
    loop {
        board.await_count(MAY_SEND, n);
        match sender.send_timeout(message(n), Duration::from_secs(20)) {
            Ok(()) => board.add(SENT, 1),
            // Somebody may wait for the attempt.
            Err(e) if e.is_disconnected() => {
                board.add(SENT, 1);
                return Ok(());
            }
            Err(e) => return Err(e.to_string()),
        };
        n += 1;
    }
}

/// The receiver dies: with a message there, or asleep and then woken by one.
fn recv(stage: &mut Stage, there: u64) -> Setup {
    let (sender, receiver) = one_way::<Message>()?;
    stage.actor(When::First, "the sender", &sender, move |sender, board| {
        board.add(MAY_SEND, there);
        sends(&sender, board)
    })?;
    stage.victim(&receiver, move |receiver, board, mark| {
        board.await_count(SENT, there);
        let received = mark.operation(|| receiver.recv()).map_err(text)?;
        ensure(received == message(1), || format!("{received:?} came"))
    })?;
    for when in [When::Wake, When::Pause] {
        stage.actor(when, "who lets the sender go on", &(), move |(), board| {
            board.add(MAY_SEND, 1);
            board.await_count(SENT, there + 1);
            Ok(())
        })?;
    }
    stage.actor(When::After, "who lets the sender go on and learn of the death", &(), |(), board| {
        board.add(MAY_SEND, 1 << 32);
        Ok(())
    })
}

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario::new("pipe/first-send", |s| send(s, 0, false)),
        Scenario::new("pipe/send", |s| send(s, 1, false)),
        Scenario::new("pipe/send-to-a-sleeper", |s| send(s, 1, true)),
        Scenario::new("pipe/recv", |s| recv(s, 1)),
        Scenario::new("pipe/recv-asleep", |s| recv(s, 0)),
    ]
}
