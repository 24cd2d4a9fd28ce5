//! A test runner: each test in a process of its own, two at a time, with a time limit that holds.
//!
//! Prints, in any order:
//!
//! ```text
//! adds: ok
//! panics: failed: two is not three
//! crashes: the process was killed by signal 11 (SIGSEGV){}
//! hangs: killed after its limit
//! exits: the process exited with code 3 {}
//! ```

use multiprocess::{JoinError, Process, RemoteError, StartMethod, Waitable, wait};
use std::time::{Duration, Instant};

struct Test {
    name: &'static str,
    limit: Duration,
    run: fn(),
}

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(100);

static TESTS: &[Test] = &[
    Test { name: "adds", limit: LONG, run: || assert_eq!("3".parse(), Ok(3)) },
    Test { name: "panics", limit: LONG, run: || panic!("two is not three") },
    Test { name: "crashes", limit: LONG, run: crash },
    Test { name: "hangs", limit: SHORT, run: || std::thread::sleep(Duration::from_secs(3600)) },
    Test { name: "exits", limit: LONG, run: || std::process::exit(3) },
];

/// What a broken C library does.
fn crash() {
    let nothing: *const u8 = std::ptr::null();
    // SAFETY: there is none, and that is the point: this ends the process with SIGSEGV.
    unsafe { std::ptr::read_volatile(std::hint::black_box(nothing)) };
}

struct Running {
    test: &'static Test,
    until: Instant,
    process: Process,
}

fn start(number: usize) -> Result<Running, RemoteError> {
    let test = &TESTS[number];
    // The table is in the child as well: its number is all that has to cross.
    let builder = Process::builder().name(test.name).start_method(StartMethod::Zygote);
    let process = builder.spawn(|number: usize| (TESTS[number].run)(), number)?;
    Ok(Running { test, until: Instant::now() + test.limit, process })
}

/// What became of a test, or `None` if it still runs.
fn verdict(running: &mut Running) -> Result<Option<String>, RemoteError> {
    Ok(Some(match running.process.try_join() {
        Ok(Some(())) => "ok".to_string(),
        Ok(None) if Instant::now() < running.until => return Ok(None),
        Ok(None) => {
            running.process.kill()?;
            "killed after its limit".to_string()
        }
        Err(JoinError::Panicked(panic)) => format!("failed: {}", panic.message),
        Err(e) => e.to_string(),
    }))
}

fn main() -> Result<(), RemoteError> {
    multiprocess::init();
    let jobs = 2;
    let mut waiting = 0..TESTS.len();
    let mut running: Vec<Running> = Vec::new();
    loop {
        for number in waiting.by_ref().take(jobs - running.len()) {
            running.push(start(number)?);
        }
        let Some(first_limit) = running.iter().map(|r| r.until).min() else { break };
        let processes: Vec<&dyn Waitable> = running.iter().map(|r| &r.process as &dyn Waitable).collect();
        wait(&processes, first_limit.saturating_duration_since(Instant::now()))?;
        let mut still_running = Vec::new();
        for mut one in running {
            match verdict(&mut one)? {
                Some(verdict) => println!("{}: {verdict}", one.test.name),
                None => still_running.push(one),
            }
        }
        running = still_running;
    }
    Ok(())
}
