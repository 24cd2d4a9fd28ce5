//! Building the figures, and finding what was built.

use crate::sh::{cargo, show};
use std::path::PathBuf;
use std::process::Stdio;

/// What there is to run.
pub(crate) struct Built {
    /// What runs the others and makes the page.
    pub(crate) figures: PathBuf,
    /// A program for each group, in the order asked for.
    pub(crate) programs: Vec<PathBuf>,
    /// A sentence, if the rivals could not be built.
    pub(crate) unbuilt: Option<String>,
}

/// Builds with the rivals; if that fails, without them: a page that says who is missing is better than none.
pub(crate) fn all(groups: &[&str]) -> Result<Built, String> {
    match build(groups, true) {
        Ok((figures, programs)) => Ok(Built { figures, programs, unbuilt: None }),
        Err(why) => {
            eprintln!("bench: {why}; once more without the rivals");
            let (figures, programs) = build(groups, false)?;
            let unbuilt = "The rivals' crates could not be built here, so they have no figures.";
            Ok(Built { figures, programs, unbuilt: Some(unbuilt.into()) })
        }
    }
}

fn build(groups: &[&str], rivals: bool) -> Result<(PathBuf, Vec<PathBuf>), String> {
    let mut command = cargo();
    command.args(["build", "--release", "-p", "benches", "--bin", "figures"]);
    for group in groups {
        command.args(["--bench", group]);
    }
    if rivals {
        command.args(["--features", "rivals"]);
    }
    // Cargo names what it built on standard output; its progress goes to standard error, as always.
    command.arg("--message-format=json-render-diagnostics").stderr(Stdio::inherit());
    let shown = show(&command);
    eprintln!("$ {shown}");
    let output = command.output().map_err(|e| format!("`{shown}` could not be started: {e}"))?;
    if !output.status.success() {
        return Err(format!("`{shown}` failed: {}", output.status));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let built = |kind, name: &str| {
        executable(&said, kind, name).ok_or_else(|| format!("cargo built no {kind} `{name}`"))
    };
    let programs = groups.iter().map(|group| built("bench", group)).collect::<Result<_, _>>()?;
    Ok((built("bin", "figures")?, programs))
}

/// A program of this kind, from cargo's messages: one line of JSON for each thing that was built.
fn executable(said: &str, kind: &str, name: &str) -> Option<PathBuf> {
    let (kind, name) = (format!("\"kind\":[\"{kind}\"]"), format!("\"name\":\"{name}\""));
    let line = said.lines().find(|line| line.contains(&kind) && line.contains(&name))?;
    text(line, "executable").map(PathBuf::from)
}

/// Where cargo builds, wherever it was told to do so.
pub(crate) fn target_directory() -> Result<PathBuf, String> {
    let mut command = cargo();
    command.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]).stderr(Stdio::inherit());
    let shown = show(&command);
    let output = command.output().map_err(|e| format!("`{shown}` could not be started: {e}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    text(&said, "target_directory")
        .map(PathBuf::from)
        .ok_or_else(|| format!("`{shown}` names no target directory"))
}

/// The text of this name in a line of JSON.
fn text(json: &str, name: &str) -> Option<String> {
    let mut rest = json.split_once(&format!("\"{name}\":\""))?.1.chars();
    let mut text = String::new();
    loop {
        match rest.next()? {
            '"' => return Some(text),
            // Paths have nothing else that JSON writes in another way.
            '\\' => text.push(rest.next()?),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{executable, text};
    use std::path::Path;

    #[test]
    fn a_program_is_found_in_cargos_messages() {
        let said = "\
{\"reason\":\"compiler-artifact\",\"target\":{\"kind\":[\"lib\"],\"name\":\"pool\"},\"executable\":null}
{\"reason\":\"compiler-artifact\",\"target\":{\"kind\":[\"bench\"],\"name\":\"pool\"},\"executable\":\"/t/pool-1\",\"fresh\":true}
";
        assert_eq!(executable(said, "bench", "pool").as_deref(), Some(Path::new("/t/pool-1")));
        assert_eq!(executable(said, "bench", "start"), None);
        assert_eq!(executable(said, "bin", "pool"), None);
    }

    #[test]
    fn a_path_is_what_it_was_before_it_became_json() {
        let said = r#"{"packages":[],"target_directory":"/a \"b\"/c\\d","version":1}"#;
        assert_eq!(text(said, "target_directory").as_deref(), Some(r#"/a "b"/c\d"#));
        assert_eq!(text(said, "version"), None);
    }
}
