//! A process is killed in the middle of a change, and another mends it: `cargo run -p proc-shm --example repair`.

use proc_core::Process;
use proc_shm::{Event, LockError, Mutex};

/// Two accounts; what they have together stays the same.
type Accounts = Mutex<[i64; 2]>;

/// Takes from one account, and never gives to the other.
fn stuck((accounts, taken): (Accounts, Event)) {
    let mut both = accounts.lock().expect("it is whole");
    both[0] -= 10;
    taken.set();
    std::thread::park();
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    proc_core::init();
    let accounts: Accounts = Mutex::new([100, 0])?;
    let taken = Event::new()?;
    let child = Process::spawn(stuck, (accounts.clone(), taken.clone()))?;
    taken.wait()?;
    child.kill()?;
    println!("the child: {}", child.join().unwrap_err());

    let both = match accounts.lock() {
        Err(LockError::OwnerDied) => accounts.repair(|both| both[1] = 100 - both[0])?,
        other => other?,
    };
    println!("the accounts: {} and {}", both[0], both[1]);
    assert_eq!(both[0] + both[1], 100);
    Ok(())
}
