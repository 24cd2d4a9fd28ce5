//! Large outputs and inputs.

use crate::{WRITE, python};
use benches::{Place, Suite, Unit, calls};
use std::io::Write;
use std::process::{self, Stdio};
#[cfg(feature = "rivals")]
use tokio::io::AsyncWriteExt;

const OUT: usize = 256 << 20;
const THROUGH: usize = 64 << 20;
const SELF: &str = "/proc/self/exe";

/// Writes so many MiB, in pieces of 64 KiB.
pub(crate) fn write(mib: &str) {
    let pieces = mib.parse::<usize>().expect("a number of MiB") * 16;
    let (piece, mut out) = (vec![b'x'; 65536], std::io::stdout().lock());
    for _ in 0..pieces {
        out.write_all(&piece).expect("a reader");
    }
}

pub(crate) fn register(suite: &mut Suite) {
    let entry = suite
        .case(
            "capture",
            "256 MiB of output, captured",
            "A program writes 256 MiB in pieces of 64 KiB; all of it is captured into memory that is fresh each time.",
            Unit::Throughput(OUT as u64),
            &[Place::Free, Place::OneCpu],
        )
        .ours("run", "proc_exec::run", |_| {
            Ok(calls(|| {
                let output = proc_exec::run([SELF, WRITE, "256"]).expect("success");
                assert_eq!(output.stdout.len(), OUT);
            }))
        })
        .rival("std", "std Command::output", |_| {
            Ok(calls(|| {
                let output = process::Command::new(SELF).args([WRITE, "256"]).output().expect("an end");
                assert_eq!(output.stdout.len(), OUT);
            }))
        });
    #[cfg(feature = "rivals")]
    let entry = entry
        .rival("duct", "duct stdout_capture", |_| {
            Ok(calls(|| {
                let output = duct::cmd!(SELF, WRITE, "256").stdout_capture().run().expect("success");
                assert_eq!(output.stdout.len(), OUT);
            }))
        })
        .rival("subprocess", "subprocess capture", |_| {
            Ok(calls(|| {
                let output = subprocess::Exec::cmd(SELF).args([WRITE, "256"]).capture().expect("an end");
                assert_eq!(output.stdout.len(), OUT);
            }))
        })
        .rival("tokio", "tokio Command::output", |_| {
            let runtime = crate::nothing::runtime()?;
            Ok(calls(move || {
                let mut command = tokio::process::Command::new(SELF);
                let output =
                    runtime.block_on(async { command.args([WRITE, "256"]).output().await }).expect("an end");
                assert_eq!(output.stdout.len(), OUT);
            }))
        });
    entry.rival("python", "Python subprocess.run, captured", |setting| {
        let program = std::env::current_exe().map_err(|e| e.to_string())?;
        let words = ["capture", "0", &program.to_string_lossy(), WRITE, "256"];
        benches::Python::routine("run.py", &words, setting)
    });
    through_cat(suite);
}

fn through_cat(suite: &mut Suite) {
    let input = || vec![b'y'; THROUGH];
    let entry = suite
        .case(
            "cat",
            "64 MiB through cat",
            "64 MiB are written to cat's standard input while its output is captured. std has no method for this: a \
             thread writes. (The copy of the input that some need is counted.)",
            Unit::Throughput(THROUGH as u64),
            &[Place::Free, Place::OneCpu],
        )
        .ours("run", "proc_exec Command::input().run()", move |_| {
            let input = input();
            Ok(calls(move || {
                let output = proc_exec::Command::new("cat").input(input.clone()).run().expect("success");
                assert_eq!(output.stdout.len(), THROUGH);
            }))
        })
        .rival("std", "std Command and a thread", move |_| {
            let input = input();
            Ok(calls(move || {
                let mut command = process::Command::new("cat");
                let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a start");
                let mut stdin = child.stdin.take().expect("it is piped");
                let output = std::thread::scope(|scope| {
                    let input = &input;
                    scope.spawn(move || stdin.write_all(input).expect("a reader"));
                    child.wait_with_output().expect("an end")
                });
                assert_eq!(output.stdout.len(), THROUGH);
            }))
        });
    #[cfg(feature = "rivals")]
    let entry = entry
        .rival("duct", "duct stdin_bytes", move |_| {
            let input = input();
            Ok(calls(move || {
                let output =
                    duct::cmd!("cat").stdin_bytes(input.clone()).stdout_capture().run().expect("success");
                assert_eq!(output.stdout.len(), THROUGH);
            }))
        })
        .rival("subprocess", "subprocess stdin, capture", move |_| {
            let input = input();
            Ok(calls(move || {
                let output = subprocess::Exec::cmd("cat").stdin(input.clone()).capture().expect("an end");
                assert_eq!(output.stdout.len(), THROUGH);
            }))
        })
        .rival("tokio", "tokio write_all beside wait_with_output", move |_| {
            let (runtime, input) = (crate::nothing::runtime()?, input());
            Ok(calls(move || {
                let output = runtime.block_on(async {
                    let mut command = tokio::process::Command::new("cat");
                    let mut child =
                        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a start");
                    let mut stdin = child.stdin.take().expect("it is piped");
                    let input = &input;
                    let write = async move {
                        stdin.write_all(input).await.expect("a reader");
                        drop(stdin);
                    };
                    tokio::join!(write, child.wait_with_output()).1.expect("an end")
                });
                assert_eq!(output.stdout.len(), THROUGH);
            }))
        });
    entry.rival("python", "Python subprocess.run, input", python("cat", 0));
}
