//! A value of more than a word is never torn, and reading it waits for nobody.

use crate::scenario::Scenario;
use crate::stage::{Outcome, Setup, Stage, When, ensure};
use proc_shm::{Array, LockError, Value};

type Wide = [u64; 4];

fn text(e: impl ToString) -> String {
    e.to_string()
}

/// All four numbers are the same, and one of those that were stored.
fn look(value: &Value<Wide>, allowed: &[u64]) -> Outcome {
    let seen = value.get();
    ensure(seen == [seen[0]; 4] && allowed.contains(&seen[0]), || format!("read {seen:?}"))
}

/// The value is 1; the victim stores 2 and dies.
fn set(stage: &mut Stage) -> Setup {
    let value = Value::new([1; 4])?;
    stage.victim(&value, |value, _, mark| mark.operation(|| value.set([2; 4])).map_err(text))?;
    stage.actor(When::Pause, "a reader while the victim lives", &value, |value, _| look(&value, &[1, 2]))?;
    stage.actor(When::After, "a reader and writer", &value, |value, board| {
        look(&value, if board.finished() { &[2] } else { &[1, 2] })?;
        match value.set([3; 4]) {
            Err(LockError::OwnerDied) => {
                drop(value.repair(|wide| *wide = [4; 4]).map_err(text)?);
                look(&value, &[4])?;
                value.set([3; 4]).map_err(text)?;
            }
            other => other.map_err(text)?,
        }
        look(&value, &[3])
    })
}

/// The victim reads and dies, which is nobody's business.
fn get(stage: &mut Stage) -> Setup {
    let value = Value::new([1; 4])?;
    stage.victim(&value, |value, _, mark| {
        let seen = mark.operation(|| value.get());
        ensure(seen == [1; 4], || format!("read {seen:?}"))
    })?;
    stage.actor(When::Pause, "a writer while the victim lives", &value, |value, _| {
        value.set([1; 4]).map_err(text)
    })?;
    stage.actor(When::After, "a writer", &value, |value, _| {
        value.set([2; 4]).map_err(text)?;
        look(&value, &[2])
    })
}

/// The victim is the first to part an array, which it may leave whole, parted, or to be repaired.
fn part(stage: &mut Stage) -> Setup {
    let array = Array::from_slice(&[7_u8; 5])?;
    stage.victim(&array, |array, _, mark| {
        let parts = mark.operation(|| array.try_parts(2)).map_err(text)?;
        ensure(parts.len() == 2, || format!("{} parts", parts.len()))
    })?;
    stage.actor(When::Pause, "who parts it while the victim lives", &array, |array, _| {
        let told = |e: std::io::Error| ensure(e.to_string().contains("owner"), || e.to_string());
        array.try_parts(2).map(drop).or_else(told)
    })?;
    stage.actor(When::After, "who parts it after", &array, |array, board| {
        ensure(!board.finished() || !array.is_poisoned(), || "it was over, and is poisoned".into())?;
        drop(array.repair(|_| ()).map_err(text)?);
        for part in array.try_parts(2).map_err(text)? {
            ensure(part.lock().map_err(text)?.iter().all(|n| *n == 7), || "the elements changed".into())?;
        }
        ensure(array.try_parts(3).is_err(), || "it was parted twice".into())
    })
}

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario::new("value/set", set),
        Scenario::new("value/get", get),
        Scenario::new("array/try-parts", part),
    ]
}
