//! Named memory whose creator dies: the name is there with all that it names, or it is not there.

use crate::scenario::Scenario;
use crate::stage::{Outcome, Setup, Stage, When, ensure};
use proc_shm::SharedMemory;
use std::io;

const LEN: usize = 4096;

fn text(e: impl ToString) -> String {
    e.to_string()
}

/// A name that no other lab uses. Nothing has it: what an earlier trial's victim left is gone.
fn fresh_name() -> io::Result<String> {
    let name = format!("crashlab-{}", std::process::id());
    SharedMemory::create_or_replace(&name, 1)?;
    Ok(name)
}

/// Opens what has the name, which has this as its first byte; false if nothing has it.
fn is_there(name: &str, allowed: &[u8]) -> Result<bool, String> {
    match SharedMemory::open(name) {
        Ok(memory) => {
            let mut bytes = [1; LEN];
            ensure(memory.len() == LEN, || format!("{} bytes have the name", memory.len()))?;
            memory.read_at(0, &mut bytes);
            let right = allowed.contains(&bytes[0]) && bytes[1..].iter().all(|b| *b == 0);
            ensure(right, || format!("what has the name begins with {:?}", &bytes[..8]))?;
            Ok(true)
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e.to_string()),
    }
}

/// The name can be had again, and then there is no file of it or of anything like it.
fn ends(stage: &mut Stage, name: String) -> Setup {
    stage.actor(When::Last, "who cleans up", &name, |name, _| {
        let ours = SharedMemory::create_or_replace(&name, LEN).map_err(text)?;
        ensure(is_there(&name, &[0])?, || "what was made has not the name".into())?;
        drop(ours);
        for file in std::fs::read_dir("/dev/shm").map_err(text)? {
            let file = file.map_err(text)?.file_name();
            let like = file.to_string_lossy().contains(&*name);
            ensure(!like, || format!("{} is left", file.to_string_lossy()))?;
        }
        Ok(())
    })
}

fn create(stage: &mut Stage) -> Setup {
    let name = fresh_name()?;
    stage.victim(&name, |name, _, mark| {
        let memory = mark.operation(|| SharedMemory::create(&name, LEN)).map_err(text)?;
        drop(memory);
        Ok(())
    })?;
    stage.actor(When::Pause, "who opens it while the victim lives", &name, |name, _| {
        is_there(&name, &[0]).map(drop)
    })?;
    stage.actor(When::After, "who opens it after", &name, |name, board| {
        let there = is_there(&name, &[0])?;
        ensure(there || !board.finished(), || "it was made, and is not there".into())
    })?;
    ends(stage, name)
}

/// Another has made it and lives; the victim takes the name for its own.
fn replace(stage: &mut Stage) -> Setup {
    let name = fresh_name()?;
    stage.actor(When::First, "who had the name", &name, |name, board| {
        let ours = SharedMemory::create(&name, LEN).map_err(text)?;
        ours.write_at(0, &[7]);
        board.await_death();
        let before = is_there(&name, &[0, 7])?;
        let mut first = [0];
        ours.read_at(0, &mut first);
        ensure(first == [7], || "its memory changed".into())?;
        // It takes its own name with it, and no other's.
        drop(ours);
        let after = is_there(&name, &[0])?;
        ensure(!board.finished() || before && after, || "the new name is gone".into())
    })?;
    stage.victim(&name, |name, _, mark| {
        let memory = mark.operation(|| SharedMemory::create_or_replace(&name, LEN)).map_err(text)?;
        drop(memory);
        Ok(())
    })?;
    stage.actor(When::Pause, "who opens it while the victim lives", &name, |name, _| {
        is_there(&name, &[0, 7]).map(drop)
    })?;
    ends(stage, name)
}

/// The victim made it and takes the name away. Who has it open keeps it.
fn unlink(stage: &mut Stage, how: fn(SharedMemory) -> Outcome) -> Setup {
    let name = fresh_name()?;
    stage.victim(&name, move |name, _, mark| {
        let memory = SharedMemory::create(&name, LEN).map_err(text)?;
        memory.write_at(0, &[7]);
        mark.operation(|| how(memory))
    })?;
    stage.actor(When::Ready, "who has it open", &name, |name, board| {
        let theirs = SharedMemory::open(&name).map_err(text)?;
        board.await_death();
        let mut first = [0];
        theirs.read_at(0, &mut first);
        ensure(first == [7], || "its memory changed".into())?;
        let there = is_there(&name, &[7])?;
        ensure(!there || !board.finished(), || "the name is still there".into())
    })?;
    ends(stage, name)
}

/// The victim opens what another has made, which loses nothing by its death.
fn open(stage: &mut Stage) -> Setup {
    let name = fresh_name()?;
    stage.actor(When::First, "who has made it", &name, |name, board| {
        let ours = SharedMemory::create(&name, LEN).map_err(text)?;
        ours.write_at(0, &[7]);
        board.await_death();
        ensure(is_there(&name, &[7])?, || "the name is gone".into())?;
        drop(ours);
        ensure(!is_there(&name, &[7])?, || "the name outlives its creator".into())
    })?;
    stage.victim(&name, |name, _, mark| {
        let theirs = mark.operation(|| SharedMemory::open(&name)).map_err(text)?;
        ensure(theirs.len() == LEN, || "it is of another length".into())
    })?;
    ends(stage, name)
}

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario::new("named/create", create),
        Scenario::new("named/replace", replace),
        Scenario::new("named/open", open),
        Scenario::new("named/unlink", |s| {
            unlink(s, |memory| {
                memory.unlink().map_err(text)?;
                // Its drop is not part of this.
                std::mem::forget(memory);
                Ok(())
            })
        }),
        Scenario::new("named/drop", |s| {
            unlink(s, |memory| {
                drop(memory);
                Ok(())
            })
        }),
    ]
}
