//! Tests for the feature `log`: what happens to workers is told, each thing at its level.
#![cfg(feature = "log")]

mod common;

use common::{double, nap, no_hang, wait_until};
use log::{Level, LevelFilter, Log, Metadata, Record};
use proc_pool::{Pool, TaskError};
use std::sync::Mutex;
use std::time::Duration;

proc_core::init_for_tests!();

struct Lines(Mutex<Vec<(Level, String)>>);

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if record.target() == "proc_pool" {
            self.0.lock().unwrap().push((record.level(), record.args().to_string()));
        }
    }

    fn flush(&self) {}
}

static LINES: Lines = Lines(Mutex::new(Vec::new()));

#[test]
fn smoke() {
    log::set_logger(&LINES).unwrap();
    log::set_max_level(LevelFilter::Trace);
    no_hang(|| {
        let has = |level: Level, words: &[&str]| {
            let lines = LINES.0.lock().unwrap();
            lines.iter().any(|(at, line)| *at == level && words.iter().all(|word| line.contains(word)))
        };
        let pool = Pool::builder().workers(1).crash_limit(2).build().unwrap();
        let worker = pool.apply(common::pid, ()).unwrap().to_string();
        assert!(has(Level::Debug, &["worker process", &worker, "started"]));
        // One that dies, one that is over its limit.
        let e = pool.apply(|()| -> u64 { std::process::exit(7) }, ()).unwrap_err();
        assert!(matches!(e, TaskError::WorkerDied { .. }), "{e}");
        assert!(has(Level::Warn, &["worker process", &worker, "code 7"]));
        assert_eq!(
            pool.timeout(Duration::from_millis(50)).apply(nap, 600_000).unwrap_err(),
            TaskError::TimedOut
        );
        assert!(has(Level::Warn, &["time limit", "killed"]));
        // One that is asked to end.
        let worker = pool.apply(common::pid, ()).unwrap().to_string();
        pool.close();
        pool.join().unwrap();
        assert!(has(Level::Debug, &["worker process", &worker, "as it was asked to"]));
        assert!(!has(Level::Error, &[]));
        // A pool that breaks.
        let pool = Pool::builder().workers(1).crash_limit(2).build().unwrap();
        let ends: Vec<_> = (0..4).map(|_| pool.submit(|()| -> u64 { std::process::exit(8) }, ())).collect();
        assert!(ends.into_iter().all(|task| task.get().is_err()));
        wait_until("it says so", || has(Level::Error, &["the pool is broken", "code 8"]));
        assert!(matches!(pool.apply(double, 1), Err(TaskError::Broken(_))));
    });
}
