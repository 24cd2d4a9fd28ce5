//! A runner as in a build tool: jobs at the same time, each line with the job's name before it, a time limit for each,
//! and at the end who failed and why.
//!
//! `cargo run -p proc-exec --example build_runner`
//!
//! Prints, in any order:
//!
//! ```text
//!  compile | unit 1
//!  compile | unit 2
//!  compile | unit 3
//!  compile | done after {}
//!     test | 12 passed
//!     test | 1 failed
//!    serve | listening
//!     docs | written
//!     docs | done after {}
//!     test : `sh -c 'echo 12 passed; echo 1 failed >&2; exit 1'` exited with code 1 (after {})
//!    serve : `sh -c 'echo listening; sleep 300 & sleep 300'` timed out and was killed by signal 15 (SIGTERM) (after {})
//! ```

use proc_exec::{Child, Command, Input, RunError, Sink, wait_any};
use std::collections::VecDeque;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(2);
const AT_ONCE: usize = 2;

fn start(name: &'static str, line: &str) -> Result<Child, RunError> {
    Command::shell(line)
        .stdin(Input::null())
        .stderr(Sink::merge())
        .on_line(move |line| println!("{name:>8} | {line}"))
        .timeout(LIMIT)
        .spawn()
}

fn main() -> Result<(), RunError> {
    let mut waiting = VecDeque::from([
        ("compile", "for i in 1 2 3; do echo unit $i; sleep 0.05; done"),
        ("test", "echo 12 passed; echo 1 failed >&2; exit 1"),
        // Two that would run for minutes: the limit ends the shell and all that it started.
        ("serve", "echo listening; sleep 300 & sleep 300"),
        ("docs", "echo written"),
    ]);
    let mut running: Vec<(&str, Child)> = Vec::new();
    let mut failed = Vec::new();
    loop {
        while running.len() < AT_ONCE {
            let Some((name, line)) = waiting.pop_front() else { break };
            running.push((name, start(name, line)?));
        }
        let children: Vec<&Child> = running.iter().map(|(_, child)| child).collect();
        let Some(ended) = wait_any(&children, None)? else { break };
        let (name, child) = running.swap_remove(ended);
        match child.wait() {
            Ok(output) => println!("{name:>8} | done after {:.1?}", output.duration),
            Err(error) => failed.push((name, error)),
        }
    }
    for (name, error) in &failed {
        println!("{name:>8} : {error}");
    }
    assert_eq!(failed.iter().filter(|(_, error)| error.is_timeout()).count(), 1);
    Ok(())
}
