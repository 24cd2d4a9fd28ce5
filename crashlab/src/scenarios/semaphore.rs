//! Permits of the dead come back.

use crate::board::Board;
use crate::scenario::Scenario;
use crate::stage::{Outcome, Setup, Stage, When, ensure};
use proc_shm::{LockError, Semaphore};
use std::time::Duration;

const MAY_RELEASE: usize = 0;
const GOT: usize = 1;
const MAY_WAIT: usize = 2;

fn text(e: impl ToString) -> String {
    e.to_string()
}

fn acquire(semaphore: &Semaphore, board: &Board) -> Outcome {
    let permit = semaphore.acquire().map_err(text)?;
    board.add(GOT, 1);
    drop(permit);
    Ok(())
}

/// So many permits are to be had, and no more.
fn permits(semaphore: &Semaphore, expected: std::ops::RangeInclusive<usize>) -> Outcome {
    let mut had = Vec::new();
    while let Some(permit) = semaphore
        .acquire_timeout(Duration::from_millis(if had.len() < *expected.start() { 5000 } else { 0 }))
        .map_err(text)?
    {
        had.push(permit);
    }
    ensure(expected.contains(&had.len()), || format!("{} permits, of {expected:?}", had.len()))
}

fn judge(stage: &mut Stage, semaphore: &Semaphore) -> Setup {
    stage.actor(When::After, "who comes after it", semaphore, |s, board| acquire(&s, board))?;
    stage.actor(When::Last, "the judge", semaphore, |s, _| permits(&s, 1..=1))
}

/// One permit; the victim takes it and keeps it.
fn take(stage: &mut Stage, before: u32) -> Setup {
    let semaphore = Semaphore::new(1)?;
    stage.victim(&semaphore, move |s, board, mark| {
        (0..before).try_for_each(|_| acquire(&s, board))?;
        let permit = mark.operation(|| s.acquire());
        drop(permit.map_err(text)?);
        Ok(())
    })?;
    judge(stage, &semaphore)
}

/// The victim gives its permit up. Another sleeps, and one comes while it lives.
fn give(stage: &mut Stage) -> Setup {
    let semaphore = Semaphore::new(1)?;
    stage.victim(&semaphore, |s, _, mark| {
        let permit = s.acquire().map_err(text)?;
        mark.operation(|| drop(permit));
        Ok(())
    })?;
    stage.actor(When::Ready, "a sleeper", &semaphore, |s, board| acquire(&s, board))?;
    stage
        .actor(When::Pause, "who comes while the victim lives", &semaphore, |s, board| acquire(&s, board))?;
    judge(stage, &semaphore)
}

/// Another has the permit; the victim waits, and somebody behind it.
fn wait(stage: &mut Stage) -> Setup {
    let semaphore = Semaphore::new(1)?;
    stage.actor(When::First, "the owner", &semaphore, |s, board| {
        let permit = s.acquire().map_err(text)?;
        board.await_count(MAY_RELEASE, 1);
        drop(permit);
        board.add(MAY_RELEASE, 1);
        Ok(())
    })?;
    stage.victim(&semaphore, |s, _, mark| {
        s.acquire_timeout(Duration::from_millis(1)).map_err(text)?;
        let permit = mark.operation(|| s.acquire());
        drop(permit.map_err(text)?);
        Ok(())
    })?;
    stage.actor(When::Ready, "the other waiter", &semaphore, |s, board| {
        board.await_count(MAY_WAIT, 1);
        acquire(&s, board)
    })?;
    stage.actor(When::Wake, "who lets the owner release", &(), |(), board| {
        board.add(MAY_WAIT, 1);
        std::thread::sleep(Duration::from_millis(2));
        board.add(MAY_RELEASE, 1);
        board.await_count(MAY_RELEASE, 2);
        Ok(())
    })?;
    stage.actor(When::Pause, "who lets both go on", &(), |(), board| {
        board.add(MAY_WAIT, 1);
        board.add(MAY_RELEASE, 1);
        board.await_count(MAY_RELEASE, 2);
        Ok(())
    })?;
    judge(stage, &semaphore)
}

/// There is no permit; the victim makes one.
fn release(stage: &mut Stage) -> Setup {
    let semaphore = Semaphore::new(0)?;
    stage.victim(&semaphore, |s, _, mark| mark.operation(|| s.release(1)).map_err(text))?;
    stage.actor(When::Ready, "a sleeper", &semaphore, |s, board| acquire(&s, board))?;
    stage.actor(When::After, "who makes another", &semaphore, |s, _| s.release(1).map_err(text))?;
    stage.actor(When::Last, "the judge", &semaphore, |s, board| {
        ensure(board.count(GOT) == 1, || "the sleeper got none".into())?;
        permits(&s, if board.finished() { 2..=2 } else { 1..=2 })
    })
}

/// Another has the permit; the victim waits until its time is up.
fn give_up(stage: &mut Stage) -> Setup {
    let semaphore = Semaphore::new(1)?;
    let in_vain = |s: &Semaphore| {
        let permit = s.acquire_timeout(Duration::from_millis(1)).map_err(text)?;
        ensure(permit.is_none(), || "there was a permit".into())
    };
    stage.actor(When::First, "the owner", &semaphore, |s, board| {
        let permit = s.acquire().map_err(text)?;
        board.await_death();
        drop(permit);
        Ok(())
    })?;
    stage.victim(&semaphore, move |s, _, mark| {
        in_vain(&s)?;
        mark.operation(|| in_vain(&s))
    })?;
    stage.actor(When::Ready, "the other waiter", &semaphore, |s, board| acquire(&s, board))?;
    stage.actor(When::Wake, "nobody: the time ends the sleep", &(), |(), _| Ok(()))?;
    judge(stage, &semaphore)
}

/// Of two permits the victim gives one up for good.
fn forget(stage: &mut Stage) -> Setup {
    let semaphore = Semaphore::new(2)?;
    stage.victim(&semaphore, |s, _, mark| {
        let permit = s.acquire().map_err(text)?;
        mark.operation(|| permit.forget());
        Ok(())
    })?;
    stage
        .actor(When::Pause, "who comes while the victim lives", &semaphore, |s, board| acquire(&s, board))?;
    stage.actor(When::Last, "the judge", &semaphore, |s, board| {
        permits(&s, if board.finished() { 1..=1 } else { 1..=2 })
    })
}

/// The victim fills a semaphore up to its bound, which nobody exceeds.
fn bounded(stage: &mut Stage) -> Setup {
    let semaphore = Semaphore::bounded(1)?;
    stage.victim(&semaphore, |s, _, mark| {
        s.acquire().map_err(text)?.forget();
        mark.operation(|| s.release(1)).map_err(text)
    })?;
    stage.actor(When::Last, "the judge", &semaphore, |s, board| {
        let full = s.release(1) == Err(LockError::AboveBound);
        ensure(full || !board.finished(), || "it was released, and is not there".into())?;
        permits(&s, 1..=1)
    })
}

/// A holder has died; the victim takes its permit away from it.
fn bury(stage: &mut Stage) -> Setup {
    let semaphore = Semaphore::new(1)?;
    stage.actor(When::First, "a holder that dies", &semaphore, |s, _| {
        let _permit = s.acquire().map_err(text)?;
        crate::sys::exit_now(0)
    })?;
    stage.victim(&semaphore, |s, _, mark| {
        let permit = mark.operation(|| s.try_acquire()).map_err(text)?;
        ensure(permit.is_some(), || "the permit of the dead did not come back".into())
    })?;
    judge(stage, &semaphore)
}

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario::new("semaphore/first-acquire", |s| take(s, 0)),
        Scenario::new("semaphore/acquire", |s| take(s, 1)),
        Scenario::new("semaphore/drop-permit", give),
        Scenario::new("semaphore/wait", wait),
        Scenario::new("semaphore/release", release),
        Scenario::new("semaphore/give-up", give_up),
        Scenario::new("semaphore/forget", forget),
        Scenario::new("semaphore/release-bounded", bounded),
        // Its look into /proc is long.
        Scenario::new("semaphore/bury", bury).at_most(400),
    ]
}
