//! Pipelines: the most frequent words of a text, every status, and a reader that leaves early.
//!
//! `cargo run -p proc-exec --example pipeline`
//!
//! Prints:
//!
//! ```text
//! {}5 the
//! {}3 and
//! stage 1: killed by signal 13 (SIGPIPE)
//! stage 2: exited with code 0
//! `echo data | sh -c 'cat; echo '\''disk full'\'' >&2; exit 28' | cat` (stage 2 of 3) exited with code 28 (after {})
//! stderr: disk full
//! ```

use proc_exec::{Command, cmd};
use std::time::Duration;

const TEXT: &str = "the cat and the dog and the bird and the rest of the lot";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let top = cmd!("tr", "-cs", "a-z", r"\n")
        .pipe(cmd!("sort"))
        .pipe(cmd!("uniq", "-c"))
        .pipe(cmd!("sort", "-rn"))
        .pipe(cmd!("head", "-n", "2"))
        .input(TEXT)
        .timeout(Duration::from_secs(10))
        .read()?;
    println!("{top}");

    // `yes` dies of the closed pipe, as it should: that is no failure.
    let out = cmd!("yes").pipe(Command::new("head").args(["-n", "2"])).run()?;
    for (i, stage) in out.stages.iter().enumerate() {
        println!("stage {}: {}", i + 1, stage.status);
    }

    // A failure in the middle is one, and its own words are told.
    let broken = Command::shell("cat; echo 'disk full' >&2; exit 28");
    if let Err(error) = cmd!("echo", "data").pipe(broken).pipe(cmd!("cat")).run() {
        println!("{error}");
    }
    Ok(())
}
