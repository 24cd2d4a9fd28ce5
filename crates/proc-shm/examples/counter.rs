//! Two processes add to one number, with a lock and without: `cargo run -p proc-shm --example counter`.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use proc_core::{Process, RemoteError};
use proc_shm::Value;

fn add(n: Value<i32>) -> Result<(), RemoteError> {
    for _ in 0..10_000 {
        *n.lock()? += 1;
    }
    Ok(())
}

fn add_atomic(n: Value<AtomicU64>) {
    for _ in 0..10_000 {
        n.fetch_add(1, Relaxed);
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    proc_core::init();
    let locked = Value::new(0)?;
    let atomic = Value::new(AtomicU64::new(0))?;
    let adders = [Process::spawn(add, locked.clone())?, Process::spawn(add, locked.clone())?];
    let others = [Process::spawn(add_atomic, atomic.clone())?, Process::spawn(add_atomic, atomic.clone())?];
    for child in adders {
        child.join()??;
    }
    for child in others {
        child.join()?;
    }
    println!("with a lock {}, without {}", locked.get(), atomic.load(Relaxed));
    Ok(())
}
