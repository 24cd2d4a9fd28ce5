//! Tests for a zygote that is a fork of its process.
#![cfg(feature = "functions")]

use proc_core::{Process, Zygote};
use std::sync::atomic::{AtomicU32, Ordering};

proc_core::init_for_tests!();

static BEFORE: AtomicU32 = AtomicU32::new(0);

/// A test has two threads; a process of its own has one.
#[test]
fn smoke() {
    let own = |()| -> Result<(u32, bool), String> {
        BEFORE.store(7, Ordering::Relaxed);
        let zygote = Zygote::fork().map_err(|e| e.to_string())?;
        BEFORE.store(8, Ordering::Relaxed);
        let seen = |add: u32| BEFORE.load(Ordering::Relaxed) + add;
        let by = |add| Process::builder().daemon(true).spawn_from(&zygote, seen, add);
        let seen = by(10).map_err(|e| e.to_string())?.join().map_err(|e| e.to_string())?;
        // Killed, it can't be had again.
        let handle = zygote.handle().ok_or("it has a handle")?;
        handle.kill().and_then(|()| handle.wait()).map_err(|e| e.to_string())?;
        Ok((seen, by(1).is_err()))
    };
    assert_eq!(Process::spawn(own, ()).unwrap().join().unwrap(), Ok((17, true)));
}

#[test]
fn a_process_with_threads_is_not_forked() {
    let e = Zygote::fork().unwrap_err();
    assert!(e.to_string().contains("threads"), "{e}");
}
