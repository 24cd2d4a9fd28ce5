//! The long forms of the tests that have one.

use crate::sh::{Outcome, cargo, execute};

/// What asks for them, in each crate.
const LONG: [(&str, &str, &str); 5] = [
    ("proc-core", "MULTIPROCESS_FUZZ", "1000000"),
    ("proc-shm", "PROC_SHM_KILLS", "2000"),
    ("proc-exec", "PROC_EXEC_RUNS", "10000"),
    ("proc-ipc", "PROC_IPC_LONG_TESTS", "1"),
    ("proc-pool", "PROC_POOL_LONG", "1"),
];

/// Runs the tests of the crates that are named, or of all, in their long forms: minutes each.
pub(crate) fn run(args: &[String]) -> Outcome {
    for (name, variable, value) in
        LONG.iter().filter(|(name, ..)| args.is_empty() || args.iter().any(|a| a == name))
    {
        execute(cargo().args(["test", "--release", "-p", *name]).env(variable, value))?;
    }
    Ok(())
}
