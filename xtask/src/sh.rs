//! Running programs and telling what was run.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Nothing, or a sentence about what failed.
pub(crate) type Outcome = Result<(), String>;

/// The workspace's folder.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> Result<PathBuf, String> {
    let told = cargo().args(["metadata", "--format-version", "1", "--no-deps", "--offline"]).output();
    let told = told.map_err(|e| format!("`cargo metadata` could not be started: {e}"))?;
    let text = String::from_utf8_lossy(&told.stdout);
    let folder = text.split("\"target_directory\":\"").nth(1).and_then(|rest| rest.split('"').next());
    folder.map(PathBuf::from).ok_or_else(|| "`cargo metadata` names no target directory".into())
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Prints a command, runs it, and says how it failed.
pub(crate) fn execute(command: &mut Command) -> Outcome {
    let shown = show(command);
    eprintln!("$ {shown}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{shown}` failed: {status}")),
        Err(e) => Err(format!("`{shown}` could not be started: {e}")),
    }
}

/// `cargo` with these words.
pub(crate) fn run_cargo(words: &str) -> Outcome {
    execute(cargo().args(words.split_whitespace()))
}

/// A command as a person would type it.
pub(crate) fn show(command: &Command) -> String {
    let program =
        Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let envs = command.get_envs().filter_map(|(name, value)| {
        Some(format!("{}='{}' ", name.to_string_lossy(), value?.to_string_lossy()))
    });
    let args = command.get_args().map(|arg| format!(" {}", arg.to_string_lossy()));
    envs.chain([program]).chain(args).collect()
}
