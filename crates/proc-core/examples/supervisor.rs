//! A supervisor: it runs its user's function as a process, starts it again when it fails, and gives up in the end.
//!
//! It is generic over the function, which crosses as a value, and a thread of its own stops what takes too long.
//!
//! Prints:
//!
//! ```text
//! ingest: attempt 1 failed: the process panicked: no connection (at {place})
//! ingest: attempt 2 failed: the process exited with code 75 before its function returned
//! ingest: 3 attempts, 1042 records
//! stuck: attempt 1 failed: the process was killed by signal 9 (SIGKILL)
//! stuck: gave up: the process was killed by signal 9 (SIGKILL)
//! double(21) = 42, square(7) = 49
//! ```

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use proc_core::{Func, JoinError, Message, Process, ProcessHandle, SpawnError, Stdio};

/// What is run, how often at most, and how long each time.
struct Service<A, R> {
    name: &'static str,
    run: fn(A) -> R,
    attempts: u32,
    limit: Duration,
}

/// Why there is no result.
#[derive(Debug)]
enum Failed {
    Start(SpawnError),
    GaveUp(JoinError),
}

impl<A: Message + Clone, R: Message> Service<A, R> {
    /// The first result; `argument` makes each attempt's own.
    fn supervise(
        &self,
        argument: impl Fn(u32) -> A,
        watch: &mpsc::Sender<(ProcessHandle, Duration)>,
    ) -> Result<(u32, R), Failed> {
        let mut attempt = 1;
        loop {
            // What runs in the child is the supervisor's code around the user's function.
            let around = |(user, argument): (Func<A, R>, A)| user.call(argument);
            let child = Process::builder()
                .name(self.name)
                .daemon(true)
                // Its panics are reported, and need not be printed as well.
                .stderr(Stdio::Null)
                .spawn(around, (Func::new(self.run), argument(attempt)))
                .map_err(Failed::Start)?;
            // Whoever watches needs no type, and may be another thread.
            let _ = watch.send((child.handle(), self.limit));
            match child.join() {
                Ok(value) => return Ok((attempt, value)),
                Err(why) => {
                    println!("{}: attempt {attempt} failed: {why}", self.name);
                    if attempt == self.attempts {
                        return Err(Failed::GaveUp(why));
                    }
                }
            }
            attempt += 1;
        }
    }
}

/// A service that needs some attempts to come up.
fn ingest(attempt: u32) -> u64 {
    match attempt {
        1 => panic!("no connection"),
        2 => std::process::exit(75),
        _ => 1042,
    }
}

/// One that never comes back.
fn stuck(_: u32) -> u64 {
    loop {
        thread::park();
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    proc_core::init(); // In a child, this runs the child's function and does not return.

    let (watch, watched) = mpsc::channel::<(ProcessHandle, Duration)>();
    let watchdog = thread::spawn(move || {
        for (process, limit) in watched {
            if let Ok(None) = process.wait_timeout(limit) {
                let _ = process.kill();
            }
        }
    });

    let service = Service { name: "ingest", run: ingest, attempts: 5, limit: Duration::from_secs(60) };
    match service.supervise(|attempt| attempt, &watch) {
        Ok((attempts, records)) => println!("ingest: {attempts} attempts, {records} records"),
        Err(Failed::GaveUp(why)) => println!("ingest: gave up: {why}"),
        Err(Failed::Start(why)) => return Err(why.into()),
    }
    let service = Service { name: "stuck", run: stuck, attempts: 1, limit: Duration::from_millis(50) };
    match service.supervise(|attempt| attempt, &watch) {
        Ok((_, value)) => println!("stuck: {value}"),
        Err(Failed::GaveUp(why)) => println!("stuck: gave up: {why}"),
        Err(Failed::Start(why)) => return Err(why.into()),
    }

    // Functions are data: a table of them, by name.
    let table: BTreeMap<&str, fn(u64) -> u64> =
        [("double", (|x| 2 * x) as fn(u64) -> u64), ("square", |x| x * x)].into();
    let double = Process::spawn(table["double"], 21)?;
    let square = Process::spawn(table["square"], 7)?;
    println!("double(21) = {}, square(7) = {}", double.join()?, square.join()?);

    drop(watch);
    let _ = watchdog.join();
    Ok(())
}
