//! From the standard library's description to ours.

use super::Command;

/// Carries over program, arguments, environment changes and working directory: what can be read out of it. Its streams,
/// ids, groups and hooks can't, and neither can `env_clear`, whose later settings alone are seen.
impl From<&std::process::Command> for Command {
    fn from(other: &std::process::Command) -> Self {
        let mut command = Command::new(other.get_program());
        command.args(other.get_args());
        for (name, value) in other.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(dir) = other.get_current_dir() {
            command.current_dir(dir);
        }
        command
    }
}

/// As from a reference to it.
impl From<std::process::Command> for Command {
    fn from(other: std::process::Command) -> Self {
        Command::from(&other)
    }
}
