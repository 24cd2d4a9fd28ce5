//! A channel of many senders and receivers, one of which dies.

use crate::board::Board;
use crate::scenario::Scenario;
use crate::stage::{Outcome, Setup, Stage, When, ensure};
use proc_core::Fd;
use proc_ipc::{Receiver, RecvError, Sender, channel, channel_of_bytes, unbounded_channel};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

/// A number, perhaps with a descriptor.
type Message = (u64, Option<Fd<File>>);

/// The board counts each message where its number says.
const MOST: u64 = 8;
const MAY_RECEIVE: usize = 10;
const MAY_SEND: usize = 11;
const SENT: usize = 12;

pub(super) fn text(e: impl ToString) -> String {
    e.to_string()
}

/// What the descriptor of message `n` is of: each of another file, so that one in the place of another is seen.
fn place(n: u64) -> &'static str {
    let all = ["/", "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev", "/proc"];
    all[n as usize % all.len()]
}

/// Message `n`, and whether each carries a descriptor.
fn message(n: u64, fds: bool) -> Result<Message, String> {
    let open = || File::open(place(n)).map(Fd).map_err(text);
    Ok((n, fds.then(open).transpose()?))
}

fn send(sender: &Sender<Message>, n: u64, fds: bool) -> Outcome {
    sender.send(message(n, fds)?).map_err(text)
}

/// Receives one message and counts it. False: the stream ended.
fn receive(receiver: &Receiver<Message>, board: &Board, fds: bool) -> Result<bool, String> {
    match receiver.recv() {
        Ok((n, fd)) => {
            ensure((1..MOST).contains(&n), || format!("message {n} came, which nobody sent"))?;
            ensure(fd.is_some() == fds, || format!("message {n} came with the wrong descriptors"))?;
            if let Some(Fd(file)) = fd {
                let came = file.metadata().map_err(|e| format!("the descriptor of message {n}: {e}"))?;
                let due = std::fs::metadata(place(n)).map_err(text)?;
                let is_its = (came.dev(), came.ino()) == (due.dev(), due.ino());
                ensure(is_its, || format!("message {n} came with the descriptor of another"))?;
            }
            board.add(n as usize, 1);
            Ok(true)
        }
        Err(RecvError::Disconnected) => Ok(false),
        Err(e) => Err(e.to_string()),
    }
}

fn receive_all(receiver: &Receiver<Message>, board: &Board, fds: bool) -> Outcome {
    while receive(receiver, board, fds)? {}
    Ok(())
}

/// Waits until all that was published was received, with no new message to wake anybody; then sends one more.
fn look_on(sender: &Sender<Message>, last: u64, fds: bool) -> Outcome {
    while !sender.is_empty() {
        std::thread::sleep(Duration::from_micros(100));
    }
    send(sender, last, fds)
}

/// These came once each; these others may have been lost.
pub(super) fn came(board: &Board, all: &[usize], maybe: &[usize]) -> Outcome {
    for n in all {
        ensure(board.count(*n) == 1, || format!("message {n} came {} times", board.count(*n)))?;
    }
    for n in maybe {
        ensure(board.count(*n) <= 1, || format!("message {n} came {} times", board.count(*n)))?;
    }
    Ok(())
}

/// A receiver sleeps; a sender dies while it sends 1, and another sends 2 in the middle.
fn sender(stage: &mut Stage, before: u64, fds: bool) -> Setup {
    let (tx, rx) = unbounded_channel::<Message>()?;
    stage.actor(When::First, "a receiver", &rx, move |rx, board| receive_all(&rx, board, fds))?;
    stage.victim(&tx, move |tx, _, mark| {
        (0..before).try_for_each(|n| send(&tx, 4 + n, fds))?;
        let first = message(1, fds)?;
        mark.operation(|| tx.send(first)).map_err(text)
    })?;
    stage.actor(When::Pause, "who sends while the victim lives", &tx, move |tx, _| send(&tx, 2, fds))?;
    stage.actor(When::After, "who sends after it", &tx, move |tx, _| look_on(&tx, 3, fds))?;
    stage.actor(When::Last, "the judge", &(), move |(), board| {
        let sure: Vec<usize> = [2, 3].into_iter().chain((0..before).map(|n| 4 + n as usize)).collect();
        came(board, &sure, &[1])?;
        ensure(!board.finished() || board.count(1) == 1, || "message 1 was sent and did not come".into())
    })
}

/// The third of four messages is the victim's: it does not fit into what is left of the segment, or into any.
fn across(stage: &mut Stage, sizes: [usize; 4]) -> Setup {
    let (tx, rx) = unbounded_channel::<u8>()?;
    let bytes = move |n: usize| vec![n as u8; sizes[n]];
    stage.victim(&tx, move |tx, _, mark| {
        for n in [0, 1] {
            tx.send_bytes(&bytes(n)).map_err(text)?;
        }
        let next = bytes(2);
        mark.operation(|| tx.send_bytes(&next)).map_err(text)
    })?;
    stage
        .actor(When::After, "who sends after it", &tx, move |tx, _| tx.send_bytes(&bytes(3)).map_err(text))?;
    stage.actor(When::Last, "the receiver", &rx, move |rx, board| {
        let mut got = Vec::new();
        loop {
            match rx.recv_bytes() {
                Ok(bytes) => got.push(bytes),
                Err(RecvError::Disconnected) => break,
                Err(e) => return Err(e.to_string()),
            }
        }
        let with = [0, 1, 2, 3].map(bytes);
        let without = [0, 1, 3].map(bytes);
        let right = got == with || (!board.finished() && got == without);
        ensure(right, || format!("lengths {:?}", got.iter().map(Vec::len).collect::<Vec<_>>()))
    })
}

/// The channel is full. The victim waits for room beside another sender; then there is room for both.
fn sender_full(stage: &mut Stage, (tx, rx): (Sender<Message>, Receiver<Message>)) -> Setup {
    send(&tx, 1, false)?;
    send(&tx, 2, false)?;
    stage.actor(When::First, "the receiver", &rx, |rx, board| {
        board.await_count(MAY_RECEIVE, 1);
        for _ in 0..2 {
            receive(&rx, board, false)?;
        }
        // No more until the other sender has got on: it must not need another message to be taken.
        board.await_count(MAY_RECEIVE, 2);
        receive_all(&rx, board, false)
    })?;
    stage.victim(&tx, |tx, _, mark| {
        let third = message(3, false)?;
        mark.operation(|| tx.send(third)).map_err(text)
    })?;
    stage.actor(When::Ready, "the other sender", &tx, |tx, board| {
        send(&tx, 4, false)?;
        board.add(SENT, 1);
        Ok(())
    })?;
    for (when, name) in [(When::Wake, "who lets the receiver begin"), (When::After, "who lets it go on")] {
        stage.actor(when, name, &(), move |(), board| {
            if board.count(MAY_RECEIVE) == 0 {
                board.add(MAY_RECEIVE, 1);
            }
            if when == When::After {
                board.await_count(SENT, 1);
                board.add(MAY_RECEIVE, 1);
            }
            Ok(())
        })?;
    }
    stage.actor(When::Last, "the judge", &(), |(), board| {
        came(board, &[1, 2, 4], &[3])?;
        ensure(!board.finished() || board.count(3) == 1, || "message 3 was sent and did not come".into())
    })
}

/// Two receive. One dies while it takes message 1, or asleep beside the other; message 2 is sent in the middle.
///
/// Who sleeps beside another may sleep on though somebody rang: the other was faster, and emptied the bell. So there is a
/// message for each of the sleepers, and the other takes one alone before the victim is done with.
fn receiver(stage: &mut Stage, there: bool, fds: bool) -> Setup {
    let (tx, rx) = unbounded_channel::<Message>()?;
    if there {
        send(&tx, 1, fds)?;
    }
    stage.victim(&rx, move |rx, board, mark| mark.operation(|| receive(&rx, board, fds)).map(drop))?;
    stage.actor(When::Ready, "the other receiver", &rx, move |rx, board| {
        if !there {
            receive(&rx, board, fds)?;
        }
        board.await_count(MAY_RECEIVE, 1);
        receive_all(&rx, board, fds)
    })?;
    stage.actor(When::Wake, "who wakes both", &tx, move |tx, board| {
        board.add(MAY_SEND, 2);
        [1, 4].into_iter().try_for_each(|n| send(&tx, n, fds))
    })?;
    stage.actor(When::Pause, "who sends while the victim lives", &tx, move |tx, board| {
        board.add(MAY_RECEIVE, 1);
        board.add(MAY_SEND, 1);
        send(&tx, 2, fds)
    })?;
    stage.actor(When::After, "who sends after it", &tx, move |tx, _| look_on(&tx, 3, fds))?;
    stage.actor(When::Last, "the judge", &(), move |(), board| {
        let sent = board.count(MAY_SEND) + u64::from(there);
        let came_yet = board.count(1) + board.count(2) + board.count(4);
        let least = if board.finished() { sent } else { sent - 1 };
        ensure((least..=sent).contains(&came_yet), || format!("{came_yet} of {sent} messages came"))?;
        came(board, &[3], &[1, 2, 4])
    })
}

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario::new("channel/first-send", |s| sender(s, 0, false)),
        Scenario::new("channel/send", |s| sender(s, 1, false)),
        Scenario::new("channel/send-descriptor", |s| sender(s, 1, true)),
        Scenario::new("channel/send-across-segments", |s| across(s, [131_000, 130_000, 2_000, 300])),
        Scenario::new("channel/send-longer-than-a-segment", |s| across(s, [1_000, 2_000, 270_000, 300])),
        Scenario::new("channel/send-when-full", |s| sender_full(s, channel(2)?)),
        // Each of these messages takes 32 bytes.
        Scenario::new("channel/send-when-full-of-bytes", |s| sender_full(s, channel_of_bytes(64)?)),
        Scenario::new("channel/recv", |s| receiver(s, true, false)),
        Scenario::new("channel/recv-descriptor", |s| receiver(s, true, true)),
        Scenario::new("channel/recv-asleep", |s| receiver(s, false, false)),
    ]
}
