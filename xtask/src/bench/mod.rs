//! `cargo xtask bench`: builds the figures and the rivals, runs them, and leaves a page.

mod build;

use crate::sh::{Outcome, root, show};
use std::process::Command;

/// The groups of figures, each a benchmark of the crate `benches`, in the page's order.
const GROUPS: [&str; 6] = ["start", "run", "lock", "message", "pool", "idle"];

/// Runs all groups, or those that are named; `--quick` ends within three minutes, the build aside.
pub(crate) fn run(args: &[String]) -> Outcome {
    let (options, named): (Vec<&str>, Vec<&str>) =
        args.iter().map(String::as_str).partition(|word| word.starts_with('-'));
    if let Some(unknown) = options.iter().find(|&&word| word != "--quick") {
        return Err(format!("bench has no option `{unknown}`; it has --quick"));
    }
    if let Some(unknown) = named.iter().find(|word| !GROUPS.contains(word)) {
        return Err(format!("there is no group `{unknown}`; there are {}", GROUPS.join(", ")));
    }
    let groups: Vec<&str> =
        GROUPS.into_iter().filter(|group| named.is_empty() || named.contains(group)).collect();

    let built = build::all(&groups)?;
    let out = build::target_directory()?.join("bench");
    let mut figures = Command::new(&built.figures);
    let command = [&["cargo xtask bench".to_owned()], args].concat().join(" ");
    figures.current_dir(root()).arg("--out").arg(out).args(["--command", &command]);
    figures.args(&options);
    if let Some(unbuilt) = &built.unbuilt {
        figures.args(["--unbuilt", unbuilt]);
    }
    figures.args(&built.programs);
    match figures.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{}` failed: {status}", show(&figures))),
        Err(e) => Err(format!("`{}` could not be started: {e}", show(&figures))),
    }
}
