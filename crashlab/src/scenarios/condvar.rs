//! A notifier that dies, and waiters that die: nobody is blocked by them.

use crate::board::Board;
use crate::scenario::Scenario;
use crate::stage::{Outcome, Setup, Stage, When, ensure};
use proc_shm::{Condvar, Guard, LockError, Mutex, RecursiveGuard, RecursiveMutex};
use std::time::Duration;

/// Items under a lock, and a condition that says when there are some.
type Both = (Mutex<u64>, Condvar);

const GOT: usize = 0;
const PUT: usize = 1;
const MAY_WAIT: usize = 2;

fn text(e: impl ToString) -> String {
    e.to_string()
}

fn make() -> std::io::Result<Both> {
    Ok((Mutex::new(0)?, Condvar::new()?))
}

/// A number is whole whatever its owner did.
fn lock(mutex: &Mutex<u64>) -> Result<Guard<'_, u64>, String> {
    match mutex.lock() {
        Err(LockError::OwnerDied) => mutex.repair(|_| ()),
        other => other,
    }
    .map_err(text)
}

/// Waits for an item and takes it. If somebody died with the lock, it looks again.
fn take((mutex, condvar): &Both, board: &Board) -> Outcome {
    loop {
        match condvar.wait_while(lock(mutex)?, |items| *items == 0) {
            Ok(mut items) => {
                *items -= 1;
                drop(items);
                board.add(GOT, 1);
                return Ok(());
            }
            Err(LockError::OwnerDied) => {}
            Err(other) => return Err(other.to_string()),
        }
    }
}

/// Puts items there, and notifies when the lock is free.
fn put((mutex, condvar): &Both, items: u64) -> Outcome {
    *lock(mutex)? += items;
    condvar.notify_one();
    Ok(())
}

/// Two sleep; who puts two items there and notifies dies. The next one who does wakes both.
fn notify(stage: &mut Stage) -> Setup {
    let both = make()?;
    for name in ["a sleeper", "another sleeper"] {
        stage.actor(When::First, name, &both, |both, board| take(&both, board))?;
    }
    stage.victim(&both, |both, _, mark| mark.operation(|| put(&both, 2)))?;
    stage.actor(When::After, "the next notifier", &both, |both, _| put(&both, 2))?;
    stage.actor(When::Last, "the judge", &both, |both, board| {
        ensure(board.count(GOT) == 2, || format!("{} got an item", board.count(GOT)))?;
        let left = *lock(&both.0)?;
        ensure(left == 2 || left == 0 && !board.finished(), || format!("{left} items are left"))
    })
}

/// A waiter dies. One item is put there while it lives, and the other waiter must not sleep on while it lies there.
fn wait(stage: &mut Stage) -> Setup {
    let both = make()?;
    stage.victim(&both, |both, board, mark| mark.operation(|| take(&both, board)))?;
    stage.actor(When::Ready, "the other waiter", &both, |both, board| {
        board.await_count(MAY_WAIT, 1);
        take(&both, board)
    })?;
    let puts = |both: Both, board: &Board| {
        board.add(MAY_WAIT, 1);
        std::thread::sleep(Duration::from_millis(1));
        put(&both, 1)?;
        board.add(PUT, 1);
        Ok(())
    };
    stage.actor(When::Wake, "the notifier", &both, puts)?;
    stage.actor(When::After, "the notifier that comes after it", &both, move |both, board| {
        while board.count(PUT) == 1 && *lock(&both.0)? > 0 {
            std::thread::sleep(Duration::from_micros(100));
        }
        puts(both, board)
    })
}

/// The victim waits for a millisecond, and its time is up or it dies. The other waiter gets the next item.
fn time_out(stage: &mut Stage) -> Setup {
    let both = make()?;
    let waits = |(mutex, condvar): &Both| {
        let waited = condvar.wait_timeout(lock(mutex)?, Duration::from_millis(1));
        waited.map(drop).map_err(text)
    };
    stage.victim(&both, move |both, _, mark| {
        waits(&both)?;
        mark.operation(|| waits(&both))
    })?;
    stage.actor(When::Ready, "the other waiter", &both, |both, board| take(&both, board))?;
    stage.actor(When::Wake, "nobody: the time ends the sleep", &(), |(), _| Ok(()))?;
    stage.actor(When::After, "the notifier", &both, |both, _| put(&both, 1))?;
    stage.actor(When::Last, "the judge", &both, |both, board| {
        ensure(board.count(GOT) == 1, || "the other waiter got nothing".into())?;
        let left = *lock(&both.0)?;
        ensure(left == 0, || format!("{left} items are left"))
    })
}

/// The victim waits with a lock that it has twice. Another sets the number that it waits for.
fn recursive(stage: &mut Stage) -> Setup {
    type Twice = (RecursiveMutex<u64>, Condvar);
    fn guard(lock: &RecursiveMutex<u64>) -> Result<RecursiveGuard<'_, u64>, String> {
        match lock.lock() {
            Err(LockError::OwnerDied) => lock.repair(|_| ()),
            other => other,
        }
        .map_err(text)
    }
    fn sets((lock, condvar): Twice, _: &Board) -> Outcome {
        guard(&lock)?.update(|n| *n += 1);
        condvar.notify_all();
        Ok(())
    }
    let both: Twice = (RecursiveMutex::new(0)?, Condvar::new()?);
    stage.victim(&both, |(lock, condvar), _, mark| {
        let outer = guard(&lock)?;
        let waited = mark.operation(|| condvar.wait_while(guard(&lock)?, |n| *n == 0).map_err(text));
        ensure(waited?.depth() == 2 && outer.get() > 0, || "it has not what it had".into())
    })?;
    stage.actor(When::Wake, "who sets it", &both, sets)?;
    stage.actor(When::After, "who sets it after it", &both, sets)?;
    stage.actor(When::Last, "the judge", &both, |(lock, condvar), _| {
        let waited = condvar.wait_while(guard(&lock)?, |n| *n == 0).map_err(text)?;
        ensure(waited.depth() == 1, || format!("the first lock is of depth {}", waited.depth()))
    })
}

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario::new("condvar/notify", notify),
        Scenario::new("condvar/wait", wait),
        Scenario::new("condvar/wait-timeout", time_out),
        Scenario::new("condvar/wait-recursive", recursive),
    ]
}
