//! The crash laboratory: a process is killed at every instruction of an operation, and the survivors are watched.

use crate::sh::{Outcome, cargo, execute};

/// Runs it with these arguments; none kills everywhere.
pub(crate) fn run(args: &[String]) -> Outcome {
    execute(cargo().args(["run", "--release", "--quiet", "-p", "crashlab", "--"]).args(args))
}
