//! One process wakes another, which wakes it.

use crate::bare::{Turns, futex_wait, futex_wake};
use crate::python;
use benches::{Peer, Place, Routine, Setting, Suite, Unit, calls, our_peer, shared};
use proc_shm::{Condvar, Event, Mutex};
use std::sync::atomic::{AtomicU32, Ordering};

pub(crate) fn register(suite: &mut Suite) {
    suite
        .case(
            "event",
            "Event: there and back",
            "Set an event on which the other process sleeps, and sleep until it has set another one: two wake-ups, two \
             events cleared.",
            Unit::Time,
            &Place::ALL,
        )
        .ours("event", "Event", event)
        .floor("futex", "futex, always sleeping", futex)
        .rival("python", "Python Event", python("event"));
    let entry = suite
        .case(
            "condvar",
            "Condvar: there and back",
            "Whose turn it is stands under a mutex: give the turn to the other process, notify it, wait until it is back. \
             The bare futex is that of the event: two wake-ups, and no mutex.",
            Unit::Time,
            &Place::ALL,
        )
        .ours("condvar", "Condvar and Mutex", condvar)
        .floor("futex", "futex, always sleeping", futex)
        .floor("pthread", "pthread_cond, shared", |setting| {
            let turns = Turns::new();
            let peer = Peer::fork(setting, || {
                loop {
                    turns.take(1);
                }
            });
            Ok(calls(move || {
                let _peer = &peer;
                turns.take(0);
                turns.wait(0, |_| ());
            }))
        });
    #[cfg(feature = "rivals")]
    let entry = entry.threads("parking_lot", "parking_lot Condvar", parking_lot);
    entry.rival("python", "Python Condition", python("condition"));
}

fn event(setting: &Setting) -> Result<Routine, String> {
    let new = || Event::new().map_err(|e| e.to_string());
    let (there, back) = (new()?, new()?);
    let peer = our_peer(setting, (there.clone(), back.clone()), |(there, back)| {
        while there.wait().is_ok() {
            there.clear();
            back.set();
        }
    })?;
    Ok(calls(move || {
        let _peer = &peer;
        there.set();
        back.wait().expect("an event");
        back.clear();
    }))
}

fn futex(setting: &Setting) -> Result<Routine, String> {
    // SAFETY: atomics, for which zero is valid.
    let [there, back] = unsafe { shared::<[AtomicU32; 2]>() };
    let set = |word: &AtomicU32| {
        word.store(1, Ordering::Release);
        futex_wake(word);
    };
    let wait = |word: &AtomicU32| {
        while word.swap(0, Ordering::Acquire) == 0 {
            futex_wait(word, 0);
        }
    };
    let peer = Peer::fork(setting, || {
        loop {
            wait(there);
            set(back);
        }
    });
    Ok(calls(move || {
        let _peer = &peer;
        set(there);
        wait(back);
    }))
}

fn condvar(setting: &Setting) -> Result<Routine, String> {
    let turn = Mutex::new(0_u32).map_err(|e| e.to_string())?;
    let changed = Condvar::new().map_err(|e| e.to_string())?;
    let take = |turn: &Mutex<u32>, changed: &Condvar, mine: u32| {
        let guard = turn.lock().expect("a living owner");
        let mut guard = changed.wait_while(guard, |turn| *turn != mine).expect("a living owner");
        *guard = 1 - mine;
        drop(guard);
        changed.notify_one();
    };
    let peer = our_peer(setting, (turn.clone(), changed.clone()), move |(turn, changed)| {
        loop {
            take(&turn, &changed, 1);
        }
    })?;
    Ok(calls(move || {
        let _peer = &peer;
        take(&turn, &changed, 0);
        let guard = turn.lock().expect("a living owner");
        drop(changed.wait_while(guard, |turn| *turn != 0).expect("a living owner"));
    }))
}

#[cfg(feature = "rivals")]
fn parking_lot(setting: &Setting) -> Result<Routine, String> {
    use parking_lot::{Condvar, Mutex};
    static TURN: Mutex<u32> = Mutex::new(0);
    static CHANGED: Condvar = Condvar::new();
    let take = |mine: u32| {
        let mut turn = TURN.lock();
        CHANGED.wait_while(&mut turn, |turn| *turn != mine);
        *turn = 1 - mine;
        drop(turn);
        CHANGED.notify_one();
    };
    let setting = *setting;
    // It ends with the program.
    std::thread::spawn(move || {
        setting.bind_peer();
        loop {
            take(1);
        }
    });
    Ok(calls(move || {
        take(0);
        CHANGED.wait_while(&mut TURN.lock(), |turn| *turn != 0);
    }))
}
