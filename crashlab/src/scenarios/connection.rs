//! A pipe both ways, one end of which dies while it answers.

use crate::board::Board;
use crate::scenario::Scenario;
use crate::stage::{Outcome, Setup, Stage, When, ensure};
use proc_ipc::{Connection, pipe};

const ANSWERED: usize = 0;
const MAY_ASK: usize = 1;
const ASKED: usize = 2;

fn text(e: impl ToString) -> String {
    e.to_string()
}

/// Receives answers until the victim's end is gone; they must be whole and in order, from 1 on.
fn answers(peer: &Connection<u64, [u64; 4]>, board: &Board) -> Outcome {
    loop {
        match peer.recv() {
            Ok(answer) => {
                let n = board.add(ANSWERED, 1) + 1;
                ensure(answer == [n, !n, n, !n], || format!("{answer:?} came as answer {n}"))?;
            }
            Err(e) if e.is_final() => return Ok(()),
            Err(e) => return Err(e.to_string()),
        }
    }
}

/// Who only sends learns of the end after some hundred messages at most.
fn is_told(peer: &Connection<u64, [u64; 4]>) -> Outcome {
    let told = (0..300).any(|n| peer.send(n).is_err_and(|e| e.is_disconnected()));
    ensure(told, || "it goes on sending to a dead one".into())
}

/// What the victim does: it answers so many questions.
fn answer(end: &Connection<[u64; 4], u64>, questions: std::ops::RangeInclusive<u64>) -> Outcome {
    for n in questions {
        let question = end.recv().map_err(text)?;
        ensure(question == n, || format!("question {question} came, and not {n}"))?;
        end.send([n, !n, n, !n]).map_err(text)?;
    }
    Ok(())
}

/// The victim has answered `before` questions and dies over the next, which may be there. Each direction of the other end
/// learns of it, and no answer that was sent is lost.
fn answers_and_dies(stage: &mut Stage, before: u64, there: u64) -> Setup {
    let (asks, replies) = pipe::<u64, [u64; 4]>()?;
    stage.actor(When::First, "who asks", &asks, move |asks, board| {
        let ask = |n| match asks.send(n) {
            Ok(()) => Ok(()),
            Err(e) if e.is_disconnected() => Ok(()),
            Err(e) => Err(e.to_string()),
        };
        (1..=before + there).try_for_each(ask)?;
        board.add(ASKED, 1);
        if there == 0 {
            board.await_count(MAY_ASK, 1);
            ask(before + 1)?;
        }
        answers(&asks, board)?;
        is_told(&asks)
    })?;
    stage.victim(&replies, move |replies, board, mark| {
        board.await_count(ASKED, 1);
        answer(&replies, 1..=before)?;
        mark.operation(|| answer(&replies, before + 1..=before + 1))
    })?;
    for when in [When::Wake, When::After] {
        stage.actor(when, "who lets the next question be asked", &(), |(), board| {
            board.add(MAY_ASK, 1);
            Ok(())
        })?;
    }
    stage.actor(When::Last, "the judge", &(), move |(), board| {
        let (least, came) = (before + u64::from(board.finished()), board.count(ANSWERED));
        ensure((least..=before + 1).contains(&came), || format!("{came} answers came, of {least} at least"))
    })
}

/// The victim sends while the other end sleeps in its own `recv`.
fn send(stage: &mut Stage) -> Setup {
    let (asks, replies) = pipe::<u64, [u64; 4]>()?;
    stage.actor(When::First, "who waits for answers", &asks, |asks, board| {
        answers(&asks, board)?;
        is_told(&asks)
    })?;
    stage
        .victim(&replies, |replies, _, mark| mark.operation(|| replies.send([1, !1, 1, !1])).map_err(text))?;
    stage.actor(When::Last, "the judge", &(), |(), board| {
        let (least, came) = (u64::from(board.finished()), board.count(ANSWERED));
        ensure((least..=1).contains(&came), || format!("{came} came, of {least} at least"))
    })
}

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario::new("connection/send", send),
        Scenario::new("connection/answer", |s| answers_and_dies(s, 1, 1)),
        Scenario::new("connection/answer-asleep", |s| answers_and_dies(s, 1, 0)),
    ]
}
