//! A queue whose users die, and ends of a channel that are the last.

use super::channel::{came, text};
use crate::board::Board;
use crate::scenario::Scenario;
use crate::stage::{Outcome, Setup, Stage, When, ensure};
use proc_ipc::{Queue, RecvError, channel, unbounded_channel};
use std::time::Duration;

/// The board counts each message where its number says.
const ENDED: usize = 10;
const MAY_PUT: usize = 11;
const OTHER_DONE: usize = 12;
const HAS_PUT: usize = 13;

/// Gets until the queue is closed and empty.
fn get_all(queue: &Queue<u64>, board: &Board) -> Outcome {
    loop {
        match queue.get() {
            Ok(n) => {
                ensure((1..ENDED as u64).contains(&n), || format!("message {n} came, which nobody put"))?;
                board.add(n as usize, 1);
            }
            Err(RecvError::Disconnected) => return Ok(()),
            Err(e) => return Err(e.to_string()),
        }
    }
}

/// Puts the last message, waits until all were got with no new one to wake anybody, and closes.
fn finish(queue: &Queue<u64>) -> Outcome {
    let until_empty = || {
        while !queue.is_empty() {
            std::thread::sleep(Duration::from_micros(100));
        }
    };
    until_empty();
    queue.put(3).map_err(text)?;
    until_empty();
    queue.close();
    Ok(())
}

/// A getter sleeps; the victim dies while it puts 1, and another puts 2 in the middle.
fn put(stage: &mut Stage) -> Setup {
    let queue = Queue::<u64>::bounded(4)?;
    stage.actor(When::First, "who gets", &queue, |queue, board| get_all(&queue, board))?;
    stage.victim(&queue, |queue, _, mark| {
        queue.put(4).map_err(text)?;
        mark.operation(|| queue.put(1)).map_err(text)
    })?;
    stage.actor(When::Pause, "who puts while the victim lives", &queue, |queue, board| {
        queue.put(2).map_err(text)?;
        board.add(HAS_PUT, 1);
        Ok(())
    })?;
    // It closes: whoever was held up by the victim must have put first.
    stage.actor(When::After, "who puts after it", &queue, |queue, board| {
        board.await_count(HAS_PUT, 1);
        finish(&queue)
    })?;
    stage.actor(When::Last, "the judge", &(), |(), board| {
        came(board, &[2, 3, 4], &[1])?;
        ensure(!board.finished() || board.count(1) == 1, || "message 1 was put and did not come".into())
    })
}

/// The victim gets message 1, which may be there; another gets what it leaves.
fn get(stage: &mut Stage, there: bool) -> Setup {
    let queue = Queue::<u64>::bounded(4)?;
    if there {
        queue.put(1)?;
    }
    stage.victim(&queue, |queue, board, mark| {
        let n = mark.operation(|| queue.get()).map_err(text)?;
        board.add(n as usize, 1);
        Ok(())
    })?;
    for (when, n) in [(When::Wake, 1), (When::Pause, 2)] {
        stage.actor(when, "who puts while the victim lives", &queue, move |queue, board| {
            board.add(MAY_PUT, 1);
            queue.put(n).map_err(text)?;
            board.add(HAS_PUT, 1);
            Ok(())
        })?;
    }
    stage.actor(When::After, "who gets after it", &queue, |queue, board| get_all(&queue, board))?;
    stage.actor(When::After, "who puts after it", &queue, |queue, board| {
        board.await_count(HAS_PUT, board.count(MAY_PUT));
        finish(&queue)
    })?;
    stage.actor(When::Last, "the judge", &(), move |(), board| {
        let sent = u64::from(there) + board.count(MAY_PUT);
        let both = board.count(1) + board.count(2);
        // What it got it counts after the operation, which the lab does not let it.
        ensure((sent - 1..=sent).contains(&both), || format!("{both} of {sent} messages came"))?;
        came(board, &[3], &[1, 2])
    })
}

/// The victim closes. Two sleep in the queue, which is full of one message or empty, and must be told.
fn close(stage: &mut Stage, full: bool) -> Setup {
    let queue = Queue::<u64>::bounded(1)?;
    if full {
        queue.put(1)?;
    }
    let is_told = move |queue: Queue<u64>, board: &Board| {
        let told = if full {
            queue.put(2).is_err_and(|e| e.is_disconnected())
        } else {
            matches!(queue.get(), Err(RecvError::Disconnected))
        };
        board.add(ENDED, 1);
        ensure(told, || "there was something else than the end".into())
    };
    stage.actor(When::First, "a sleeper", &queue, is_told)?;
    stage.actor(When::First, "another sleeper", &queue, is_told)?;
    stage.victim(&queue, |queue, _, mark| {
        mark.operation(|| queue.close());
        Ok(())
    })?;
    stage.actor(When::Pause, "who comes while the victim lives", &queue, is_told)?;
    stage.actor(When::After, "who closes after it", &queue, |queue, board| {
        if board.finished() {
            board.await_count(ENDED, 3);
        }
        queue.close();
        board.await_count(ENDED, 3);
        get_all(&queue, board)
    })?;
    stage.actor(When::Last, "the judge", &(), move |(), board| {
        ensure(board.count(1) == u64::from(full), || format!("message 1 came {} times", board.count(1)))
    })
}

/// A worker dies while it says that a task is done. The others go on, and joining tells no more than is true.
fn task_done(stage: &mut Stage) -> Setup {
    let queue = Queue::<u64>::unbounded()?;
    queue.put(1)?;
    queue.put(2)?;
    stage.victim(&queue, |queue, _, mark| {
        queue.get().map_err(text)?;
        mark.operation(|| queue.task_done());
        Ok(())
    })?;
    stage.actor(When::Ready, "who joins", &queue, |queue, board| {
        while !queue.join_timeout(Duration::from_millis(20)).map_err(text)? {
            if board.count(OTHER_DONE) == 1 {
                return Ok(());
            }
        }
        board.add(1, 1);
        Ok(())
    })?;
    stage.actor(When::After, "the other worker", &queue, |queue, board| {
        ensure(!queue.join_timeout(Duration::ZERO).map_err(text)?, || "joined with a task to do".into())?;
        let task = queue.get().map_err(text)?;
        ensure(task == 2, || format!("task {task} came"))?;
        queue.task_done();
        let joined = queue.join_timeout(Duration::from_millis(300)).map_err(text)?;
        ensure(joined || !board.finished(), || "all is done, and join does not say so".into())?;
        if !joined {
            queue.task_done();
            queue.join().map_err(text)?;
        }
        board.add(OTHER_DONE, 1);
        Ok(())
    })
}

/// The victim drops the last sender. Who receives gets what was sent, and then the end, though the victim lives.
fn drop_sender(stage: &mut Stage) -> Setup {
    let (tx, rx) = unbounded_channel::<u64>()?;
    stage.victim(&tx, |tx, _, mark| {
        tx.send(1).map_err(text)?;
        tx.send(2).map_err(text)?;
        mark.operation(|| drop(tx));
        Ok(())
    })?;
    for (when, name) in [(When::Ready, "a receiver"), (When::Pause, "a receiver that comes late")] {
        stage.actor(when, name, &rx, |rx, board| {
            loop {
                match rx.recv() {
                    Ok(n) => board.add(n as usize, 1),
                    Err(RecvError::Disconnected) => break,
                    Err(e) => return Err(e.to_string()),
                };
            }
            board.add(ENDED, 1);
            Ok(())
        })?;
    }
    stage.actor(When::Pause, "who sees that they end while the victim lives", &(), |(), board| {
        if board.finished() {
            board.await_count(ENDED, 2);
        }
        Ok(())
    })?;
    stage.actor(When::Last, "the judge", &(), |(), board| came(board, &[1, 2], &[]))
}

/// The victim drops the last receiver of a full channel. Who waits for room is told, though the victim lives.
fn drop_receiver(stage: &mut Stage) -> Setup {
    let (tx, rx) = channel::<u64>(1)?;
    tx.send(1)?;
    let is_told = |tx: proc_ipc::Sender<u64>, board: &Board| {
        let told = tx.send(2).is_err_and(|e| e.is_disconnected());
        board.add(ENDED, 1);
        ensure(told, || "it sent to nobody".into())
    };
    stage.actor(When::First, "a sender", &tx, is_told)?;
    stage.victim(&rx, |rx, _, mark| {
        mark.operation(|| drop(rx));
        Ok(())
    })?;
    stage.actor(When::Pause, "a sender that comes late", &tx, is_told)?;
    stage.actor(When::Pause, "who sees that they end while the victim lives", &(), |(), board| {
        if board.finished() {
            board.await_count(ENDED, 2);
        }
        Ok(())
    })
}

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario::new("channel/drop-last-sender", drop_sender),
        Scenario::new("channel/drop-last-receiver", drop_receiver),
        Scenario::new("queue/put", put),
        Scenario::new("queue/get", |s| get(s, true)),
        Scenario::new("queue/get-asleep", |s| get(s, false)),
        Scenario::new("queue/close-empty", |s| close(s, false)),
        Scenario::new("queue/close-full", |s| close(s, true)),
        Scenario::new("queue/task-done", task_done),
    ]
}
