//! Tests for closing a queue while others are about to sleep in it.

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use proc_ipc::Queue;

/// Closes a queue at `delay` after another thread began to wait in it; says whether that one was told.
fn is_told(full: bool, delay: Duration) -> bool {
    let queue = Queue::bounded(1).unwrap();
    if full {
        queue.put(1_u32).unwrap();
    }
    let (begun, ready) = mpsc::channel();
    let (tell, told) = mpsc::channel();
    let theirs = queue.clone();
    thread::spawn(move || {
        begun.send(()).unwrap();
        let is_over =
            if full { theirs.put(2).is_err_and(|e| e.is_disconnected()) } else { theirs.get().is_err() };
        tell.send(is_over)
    });
    ready.recv().unwrap();
    let begin = Instant::now();
    while begin.elapsed() < delay {
        std::hint::spin_loop();
    }
    queue.close();
    told.recv_timeout(Duration::from_secs(20)) == Ok(true)
}

#[test]
fn smoke() {
    assert!(is_told(true, Duration::from_millis(20)));
    assert!(is_told(false, Duration::from_millis(20)));
}

/// It rang, the sender emptied the bell and fell asleep, and only then the queue was closed.
#[test]
fn a_put_that_falls_asleep_just_then_is_told() {
    for round in 0..3000 {
        let delay = Duration::from_nanos(round * 7919 % 120_000);
        assert!(is_told(true, delay), "round {round}, after {delay:?}");
    }
}

#[test]
fn a_get_that_falls_asleep_just_then_is_told() {
    for round in 0..1000 {
        let delay = Duration::from_nanos(round * 7919 % 120_000);
        assert!(is_told(false, delay), "round {round}, after {delay:?}");
    }
}
