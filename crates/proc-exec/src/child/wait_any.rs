//! Waiting for the first of several programs.

use super::{Child, Look, Turn};
use crate::engine::{self, Engine, earlier};
use crate::error::{Cause, RunError};
use std::time::{Duration, Instant};

/// How soon a program that another thread waits for is looked at again: its result is told by no descriptor.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Waits until one of `children` has ended, moving the streams of all, for so long at most: which one. `None`: the time
/// is over, or there are none.
///
/// Its result is had by [`Child::wait`], which returns at once then; a bad end is no error here.
///
/// ```
/// use proc_exec::{cmd, wait_any};
///
/// let slow = cmd!("sleep", "60").spawn()?;
/// let fast = cmd!("true").spawn()?;
/// assert_eq!(wait_any(&[&slow, &fast], None)?, Some(1));
/// # Ok::<(), proc_exec::RunError>(())
/// ```
///
/// # Errors
/// The system can't wait for so many descriptors.
pub fn wait_any(
    children: &[&Child],
    timeout: impl Into<Option<Duration>>,
) -> Result<Option<usize>, RunError> {
    let until = timeout.into().and_then(|timeout| Instant::now().checked_add(timeout));
    if children.is_empty() {
        return Ok(None);
    }
    loop {
        let mut turns = Vec::with_capacity(children.len());
        let mut busy = false;
        for (i, child) in children.iter().enumerate() {
            match child.shared.look() {
                Look::Done(_) => {
                    give_back(turns);
                    return Ok(Some(i));
                }
                Look::Busy => busy = true,
                Look::Turn(turn) => turns.push((i, turn)),
            }
        }
        if let Some(ended) = step(turns, busy, until)? {
            return Ok(Some(ended));
        }
        if until.is_some_and(|until| until <= Instant::now()) {
            return Ok(None);
        }
    }
}

fn give_back(turns: Vec<(usize, Turn<'_>)>) {
    for (_, turn) in turns {
        turn.give(Ok(false));
    }
}

/// Waits once and serves once.
fn step(
    mut turns: Vec<(usize, Turn<'_>)>,
    busy: bool,
    until: Option<Instant>,
) -> Result<Option<usize>, RunError> {
    let mut wake = until;
    let mut engines: Vec<&Engine> = Vec::with_capacity(turns.len());
    for (_, turn) in &mut turns {
        let engine = &*turn.engine();
        wake = earlier(wake, engine.timer());
        engines.push(engine);
    }
    if busy {
        wake = earlier(wake, Instant::now().checked_add(LOOK_AGAIN));
    }
    let ready = engine::wait(&engines, wake);
    let failed = ready.as_ref().err().map(|e| e.kind());
    for (at, token) in ready.unwrap_or_default() {
        turns[at].1.work(|engine| engine.serve(token));
    }
    let mut ended = None;
    for (i, mut turn) in turns {
        let done = turn.work(|engine| engine.tick(Instant::now()));
        turn.engine().take_ring();
        if turn.give(Ok(done)).is_some() && ended.is_none() {
            ended = Some(i);
        }
    }
    match failed {
        Some(kind) => {
            let cause = Cause::Io("they could not be waited for", kind.into());
            Err(RunError::new(cause, &[], None, None, None))
        }
        None => Ok(ended),
    }
}
