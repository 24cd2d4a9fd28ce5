//! The death of a party breaks the barrier for the others, and a barrier that was reset is whole.

use crate::board::Board;
use crate::scenario::Scenario;
use crate::stage::{Outcome, Setup, Stage, When, ensure};
use proc_shm::{Barrier, BarrierError};
use std::time::{Duration, Instant};

const PASSED: usize = 0;
const BROKEN: usize = 1;
const LATE: usize = 2;
const RESET: usize = 3;
/// The victim had arrived, and the others not all, when it was killed.
const ARRIVED: usize = 4;

/// The time limit of who waits for a party that died before it arrived. No other wait is that long.
const LIMIT: Duration = Duration::from_millis(1200);

fn text(e: impl ToString) -> String {
    e.to_string()
}

/// Counts how a wait ended.
fn count(result: Result<Option<bool>, BarrierError>, board: &Board) -> Outcome {
    let how = match result {
        Ok(Some(_)) => PASSED,
        Err(BarrierError::Broken) => BROKEN,
        Ok(None) => LATE,
        Err(other) => return Err(other.to_string()),
    };
    board.add(how, 1);
    Ok(())
}

/// Two parties that come after everything pass a barrier that was reset.
fn again(stage: &mut Stage, barrier: &Barrier) -> Setup {
    stage.actor(When::Last, "who resets and waits", barrier, |barrier, board| {
        barrier.reset().map_err(text)?;
        board.add(RESET, 1);
        barrier.wait().map_err(text).map(drop)
    })?;
    stage.actor(When::Last, "who waits with it", barrier, |barrier, board| {
        board.await_count(RESET, 1);
        barrier.wait().map_err(text).map(drop)
    })
}

/// The victim is the last to arrive, and the other one sleeps. If the victim dies before it arrived, somebody takes its
/// place; if it dies between its arrival and the opening, the other one must notice.
fn last(stage: &mut Stage) -> Setup {
    let barrier = Barrier::new(2)?;
    stage.actor(When::First, "who arrived early", &barrier, |barrier, board| {
        count(barrier.wait().map(Some), board)
    })?;
    stage.victim(&barrier, |barrier, _, mark| mark.operation(|| barrier.wait()).map_err(text).map(drop))?;
    stage.actor(When::After, "who takes its place", &barrier, |barrier, board| {
        if barrier.waiting() == 1 {
            count(barrier.wait().map(Some), board)?;
        }
        Ok(())
    })?;
    stage.actor(When::Last, "the judge", &(), |(), board| {
        let whole = board.finished() && board.count(PASSED) != 1;
        ensure(!whole, || "the victim passed, and the other did not".into())
    })?;
    again(stage, &barrier)
}

/// The victim arrives first and sleeps; the other one comes and goes. If the victim had arrived, its death is noticed
/// before the time is up.
fn first(stage: &mut Stage) -> Setup {
    let barrier = Barrier::new(3)?;
    stage.victim(&barrier, |barrier, _, mark| {
        let _ = mark.operation(|| barrier.wait());
        Ok(())
    })?;
    stage.actor(When::Ready, "another that arrived", &barrier, |barrier, board| {
        count(barrier.wait_timeout(LIMIT), board)
    })?;
    stage.actor(When::Wake, "the third", &barrier, |barrier, board| {
        count(barrier.wait_timeout(LIMIT), board)
    })?;
    stage.actor(When::Pause, "who counts the parties", &barrier, |barrier, board| {
        // The victim and the other.
        board.add(ARRIVED, u64::from(barrier.waiting() == 2));
        Ok(())
    })?;
    stage.actor(When::After, "who looks on", &barrier, |barrier, board| {
        let begin = Instant::now();
        while board.count(PASSED) + board.count(BROKEN) + board.count(LATE) == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let (late, waiting) = (board.count(LATE), barrier.waiting());
        // Two slices of a quarter of a second and a busy machine.
        ensure(late == 0 || board.count(ARRIVED) == 0, || {
            format!("{late} waited for their whole time, {:?}; {waiting} wait", begin.elapsed())
        })
    })?;
    stage.actor(When::Last, "who resets", &barrier, |barrier, _| barrier.reset().map_err(text))
}

/// The victim arrives and is killed, asleep or before. Whoever comes last must not pass with it.
fn first_of_two(stage: &mut Stage) -> Setup {
    let barrier = Barrier::new(2)?;
    stage.victim(&barrier, |barrier, _, mark| {
        let _ = mark.operation(|| barrier.wait());
        Ok(())
    })?;
    stage.actor(When::After, "the last to come", &barrier, |barrier, _| {
        if barrier.waiting() == 0 {
            return Ok(());
        }
        let result = barrier.wait();
        ensure(result == Err(BarrierError::Broken), || format!("it came through with the dead: {result:?}"))
    })?;
    again(stage, &barrier)
}

/// The victim is all there is, and has something to do before it goes on. Who comes after its death is let in or told, and
/// never waits for it.
fn action(stage: &mut Stage) -> Setup {
    let barrier = Barrier::new(1)?;
    stage.victim(&barrier, |barrier, board, mark| {
        mark.operation(|| barrier.wait_with(|| _ = board.add(ARRIVED, 1))).map_err(text).map(drop)
    })?;
    stage.actor(When::After, "who comes after it", &barrier, |barrier, board| {
        match barrier.wait() {
            Ok(true) | Err(BarrierError::Broken) => {}
            other => return Err(format!("{other:?}")),
        }
        ensure(!(board.finished() && barrier.is_broken()), || "it was over, and is broken".into())
    })?;
    stage.actor(When::Last, "who resets", &barrier, |barrier, _| {
        barrier.reset().map_err(text)?;
        barrier.wait().map_err(text).map(drop)
    })
}

/// Another waits; the victim does something to the barrier by which that one is told.
fn told(stage: &mut Stage, tell: fn(&Barrier) -> Result<(), BarrierError>) -> Setup {
    let barrier = Barrier::new(2)?;
    stage
        .actor(When::First, "who waits", &barrier, |barrier, board| count(barrier.wait().map(Some), board))?;
    stage.victim(&barrier, move |barrier, _, mark| mark.operation(|| tell(&barrier)).map_err(text))?;
    stage.actor(When::After, "who tells it too", &barrier, |barrier, board| {
        if !board.finished() {
            barrier.abort().map_err(text)?;
        }
        Ok(())
    })?;
    stage.actor(When::Last, "the judge", &(), |(), board| {
        ensure(board.count(BROKEN) == 1, || "who waited was not told".into())
    })?;
    again(stage, &barrier)
}

/// The victim's time is up, by which it breaks the barrier for another.
fn time_out(stage: &mut Stage) -> Setup {
    let barrier = Barrier::new(3)?;
    stage
        .actor(When::First, "who waits", &barrier, |barrier, board| count(barrier.wait().map(Some), board))?;
    stage.victim(&barrier, |barrier, _, mark| {
        mark.operation(|| barrier.wait_timeout(Duration::from_millis(1))).map_err(text).map(drop)
    })?;
    stage.actor(When::Wake, "nobody: the time ends the sleep", &(), |(), _| Ok(()))?;
    stage.actor(When::After, "who breaks it if the victim had not come", &barrier, |barrier, board| {
        if !board.finished() && barrier.waiting() == 1 {
            barrier.abort().map_err(text)?;
        }
        Ok(())
    })?;
    stage.actor(When::Last, "the judge", &(), |(), board| {
        ensure(board.count(BROKEN) == 1, || "who waited was not told".into())
    })?;
    stage.actor(When::Last, "who resets", &barrier, |barrier, _| barrier.reset().map_err(text))
}

/// The victim was a party once, and leaves in peace. If it is killed before it had left, the others are told so.
fn leave(stage: &mut Stage) -> Setup {
    let barrier = Barrier::new(1)?;
    stage.victim(&barrier, |barrier, _, mark| {
        barrier.wait().map_err(text)?;
        mark.operation(|| drop(barrier));
        Ok(())
    })?;
    stage.actor(When::After, "who comes after it", &barrier, |barrier, _| {
        barrier.wait().map_err(text).map(drop)
    })
}

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario::new("barrier/arrive-last", last),
        Scenario::new("barrier/arrive-first", first).at_most(60),
        Scenario::new("barrier/arrive-first-of-two", first_of_two),
        Scenario::new("barrier/wait-with", action),
        Scenario::new("barrier/time-out", time_out),
        Scenario::new("barrier/abort", |s| told(s, Barrier::abort)),
        Scenario::new("barrier/reset", |s| told(s, Barrier::reset)),
        Scenario::new("barrier/drop", leave),
    ]
}
