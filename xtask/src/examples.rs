//! Runs the examples and holds what they print against what their first page says.

use crate::ci::CRATES;
use crate::expect::Expected;
use crate::sh::{Outcome, root, run_cargo, target};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// An example that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(180);

/// Examples that are about something only when they are given it, or that measure and are asked to be brief; all others run
/// without arguments.
const ARGUMENTS: [(&str, &[&str]); 6] = [
    ("checksum", &["Cargo.toml", "README.md"]),
    ("lock_cost", &["1"]),
    ("message_cost", &["u64"]),
    ("run_cost", &["5", "1"]),
    ("start_cost", &["--quick"]),
    ("task_cost", &["create", "single"]),
];

/// Chapters of the guide that show no program: what there is, and which of it to choose.
const PAGES: [&str; 3] = ["1", "7.2", "8"];

/// What an example needs beside this workspace.
const NEEDS: [(&str, &str); 1] = [("guide_4_2_interactive", "python3")];

struct Example {
    package: &'static str,
    name: String,
    source: PathBuf,
}

/// All examples of all crates.
pub(crate) fn run(args: &[String]) -> Outcome {
    run_some(|example| args.is_empty() || args.contains(&example.name))
}

/// The chapters of the guide: all, or those whose numbers are named (`5`, `5.1`).
pub(crate) fn guide(args: &[String]) -> Outcome {
    if let Some(number) = args.iter().find(|number| PAGES.contains(&number.as_str())) {
        println!(
            "chapter {number} is a page to read: `multiprocess::choosing` (cargo doc --open -p multiprocess)"
        );
        return Ok(());
    }
    let chapters =
        all()?.into_iter().filter_map(|example| Some(example.name.strip_prefix("guide_")?.to_owned()));
    let chapters: Vec<String> = chapters.collect();
    let of_number = |chapter: &String, number: &String| {
        format!("{chapter}_").starts_with(&format!("{}_", number.replace('.', "_")))
    };
    if let Some(number) =
        args.iter().find(|number| !chapters.iter().any(|chapter| of_number(chapter, number)))
    {
        return Err(format!(
            "there is no chapter `{number}`; there are {}, and pages {}",
            chapters.join(", "),
            PAGES.join(", ")
        ));
    }
    run_some(|example| {
        let Some(chapter) = example.name.strip_prefix("guide_") else { return false };
        args.is_empty() || args.iter().any(|number| of_number(&chapter.to_owned(), number))
    })
}

fn run_some(wanted: impl Fn(&Example) -> bool) -> Outcome {
    let known = all()?;
    let chosen: Vec<&Example> = known.iter().filter(|example| wanted(example)).collect();
    if chosen.is_empty() {
        return Err("there is no such example".into());
    }
    let named = match chosen.len() == known.len() {
        true => "--examples".to_owned(),
        false => chosen.iter().map(|example| format!("--example {} ", example.name)).collect(),
    };
    // As `cargo test --workspace` builds them, so that they are not built twice.
    run_cargo(&format!("build --quiet --workspace {named}"))?;
    let built = target()?.join("debug/examples");
    let mut faults = Vec::new();
    for example in chosen {
        if let Err(why) = run_one(example, &built) {
            eprintln!("{}: {why}", example.name);
            faults.push(example.name.as_str());
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(format!("examples failed: {}", faults.join(", "))) }
}

fn all() -> Result<Vec<Example>, String> {
    let mut found = Vec::new();
    for package in CRATES {
        let folder = root().join("crates").join(package).join("examples");
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.map_err(|e| format!("{}: {e}", folder.display()))?.path();
            let source = if path.is_dir() { path.join("main.rs") } else { path.clone() };
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if source.extension().is_some_and(|e| e == "rs") && source.is_file() {
                found.push(Example { package, name, source });
            }
        }
    }
    found.sort_by(|a, b| (a.package, &a.name).cmp(&(b.package, &b.name)));
    Ok(found)
}

fn run_one(example: &Example, built: &Path) -> Outcome {
    let name = example.name.as_str();
    if let Some((_, program)) = NEEDS.iter().find(|(needs, _)| *needs == name) {
        if Command::new(program).arg("--version").stdout(Stdio::null()).status().is_err() {
            eprintln!("{name}: not run, {program} is not there");
            return Ok(());
        }
    }
    let arguments =
        ARGUMENTS.iter().find(|(takes, _)| *takes == name).map_or(&[][..], |(_, arguments)| arguments);
    let started = Instant::now();
    let printed = output(&built.join(name), arguments)?;
    let page =
        fs::read_to_string(&example.source).map_err(|e| format!("{}: {e}", example.source.display()))?;
    Expected::of_page(&page)?.check(&printed).map_err(|why| format!("{why}\nIt printed:\n{printed}"))?;
    eprintln!("{name}: {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// What it prints, if it ends well and in time.
fn output(program: &Path, arguments: &[&str]) -> Result<String, String> {
    let mut child = Command::new(program)
        .args(arguments)
        // What other programs print is not in the language of whoever runs this.
        .env("LC_ALL", "C.UTF-8")
        .current_dir(root())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{}: {e}", program.display()))?;
    let reader = child.stdout.take().map(|mut out| {
        thread::spawn(move || {
            let mut printed = Vec::new();
            out.read_to_end(&mut printed).map(|_| String::from_utf8_lossy(&printed).into_owned())
        })
    });
    let deadline = Instant::now() + LIMIT;
    let status = loop {
        match child.try_wait().map_err(|e| e.to_string())? {
            Some(status) => break status,
            None if Instant::now() > deadline => {
                // If it has ended meanwhile, so much the better.
                let _ = child.kill();
                return Err(format!("not done after {} s", LIMIT.as_secs()));
            }
            None => thread::sleep(Duration::from_millis(10)),
        }
    };
    let printed = match reader.map(thread::JoinHandle::join) {
        Some(Ok(printed)) => printed.map_err(|e| e.to_string())?,
        _ => return Err("its output could not be read".into()),
    };
    if status.success() { Ok(printed) } else { Err(format!("{status}\nIt printed:\n{printed}")) }
}
