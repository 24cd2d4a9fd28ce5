//! An event, whose state is the kernel's.

use crate::scenario::Scenario;
use crate::stage::{Setup, Stage, When, ensure};
use proc_shm::Event;

fn text(e: impl ToString) -> String {
    e.to_string()
}

/// One sleeps; who sets the event dies, and another sets it after it.
fn set(stage: &mut Stage) -> Setup {
    let event = Event::new()?;
    stage.actor(When::First, "a sleeper", &event, |event, _| event.wait().map_err(text))?;
    stage.victim(&event, |event, _, mark| {
        mark.operation(|| event.set());
        Ok(())
    })?;
    stage.actor(When::After, "who sets it again", &event, |event, board| {
        ensure(!board.finished() || event.is_set(), || "it was set and is not".into())?;
        event.set();
        Ok(())
    })?;
    stage.actor(When::Last, "the judge", &event, |event, _| ensure(event.is_set(), || "not set".into()))
}

/// Who clears it dies.
fn clear(stage: &mut Stage) -> Setup {
    let event = Event::new()?;
    event.set();
    stage.victim(&event, |event, _, mark| {
        mark.operation(|| event.clear());
        Ok(())
    })?;
    stage.actor(When::After, "who sets it", &event, |event, board| {
        ensure(!board.finished() || !event.is_set(), || "it was cleared and is set".into())?;
        event.clear();
        ensure(!event.is_set(), || "it can't be cleared".into())?;
        event.set();
        event.wait().map_err(text)
    })
}

/// Who waits dies, and another waits on.
fn wait(stage: &mut Stage) -> Setup {
    let event = Event::new()?;
    stage.victim(&event, |event, _, mark| mark.operation(|| event.wait()).map_err(text))?;
    stage.actor(When::Ready, "another sleeper", &event, |event, _| event.wait().map_err(text))?;
    stage.actor(When::Wake, "who sets it", &event, |event, _| {
        event.set();
        Ok(())
    })?;
    stage.actor(When::After, "who sets it after it", &event, |event, _| {
        event.set();
        event.wait().map_err(text)
    })
}

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario::new("event/set", set),
        Scenario::new("event/clear", clear),
        Scenario::new("event/wait", wait),
    ]
}
