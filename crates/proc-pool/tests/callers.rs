//! Tests for a `Deserialize` that is slow in the caller: values are decoded by whoever wants them, so nobody else waits.

mod common;

use common::{PATIENCE, double, no_hang};
use proc_pool::Pool;
use serde::{Deserialize, Deserializer, Serialize};
use std::sync::{Condvar, Mutex};
use std::thread;

proc_core::init_for_tests!();

static GATE: Gate = Gate { open: Mutex::new((0, false)), moved: Condvar::new() };

/// How many came to the gate, and whether it is open.
struct Gate {
    open: Mutex<(usize, bool)>,
    moved: Condvar,
}

impl Gate {
    fn pass(&self) {
        let mut open = self.open.lock().unwrap();
        open.0 += 1;
        self.moved.notify_all();
        drop(self.moved.wait_timeout_while(open, PATIENCE, |open| !open.1).unwrap());
    }

    fn wait_for(&self, many: usize) {
        let open = self.open.lock().unwrap();
        let (_open, late) = self.moved.wait_timeout_while(open, PATIENCE, |open| open.0 < many).unwrap();
        assert!(!late.timed_out());
    }

    fn open(&self) {
        self.open.lock().unwrap().1 = true;
        self.moved.notify_all();
    }
}

/// Decoded only once the gate is open.
#[derive(Debug, Serialize)]
struct Slow(u32);

impl<'de> Deserialize<'de> for Slow {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let value = u32::deserialize(d)?;
        GATE.pass();
        Ok(Slow(value))
    }
}

/// One test, as the gate is one.
#[test]
fn smoke() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let by = |f: fn(Pool) -> u32| {
            let pool = pool.clone();
            thread::spawn(move || f(pool))
        };
        let slow = [
            by(|pool| pool.apply(Slow, 1).unwrap().0),
            by(|pool| pool.map(Slow, [1, 2]).unwrap()[1].0),
            by(|pool| pool.imap(Slow, [3]).next().unwrap().unwrap().0),
            by(|pool| pool.imap_unordered(Slow, [4]).next().unwrap().unwrap().0),
        ];
        GATE.wait_for(4);

        // All four sit in their `Deserialize`.
        assert_eq!(pool.apply(double, 1).unwrap(), 2);
        assert_eq!(pool.map(double, 0..500).unwrap().len(), 500);
        let tasks: Vec<_> = (0..50).map(|x| pool.submit(double, x)).collect();
        assert!(tasks.into_iter().all(|task| task.get().is_ok()));
        pool.close();
        pool.join().unwrap();

        GATE.open();
        let values: Vec<u32> = slow.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert_eq!(values, [1, 2, 3, 4]);
    });
}
