//! The house rules that a program can check.

use crate::ci::CRATES;
use crate::sh::{Outcome, root};
use std::fs;
use std::path::{Path, PathBuf};

/// A file of more lines than this has a second idea in it.
const MAX_LINES: usize = 600;

/// Who may depend on whom: the arrows of the architecture.
const ARROWS: [(&str, &[&str]); 6] = [
    ("proc-core", &[]),
    ("proc-shm", &["proc-core"]),
    ("proc-ipc", &["proc-core", "proc-shm"]),
    ("proc-pool", &["proc-core", "proc-shm", "proc-ipc"]),
    ("proc-exec", &["proc-core"]),
    ("multiprocess", &["proc-core", "proc-shm", "proc-ipc", "proc-pool", "proc-exec"]),
];

/// The rooms of each crate that may hold unsafe code: a file, or a folder.
const UNSAFE_ROOMS: [(&str, &[&str]); 6] = [
    (
        "proc-core",
        &[
            "sys/",
            "spawner/",
            "start/",
            "inherit/",
            "transfer/",
            "child.rs",
            "func.rs",
            "image.rs",
            "per_process.rs",
        ],
    ),
    (
        "proc-shm",
        &[
            "sys/",
            "raw/",
            "region/",
            "array/",
            "value/",
            "barrier.rs",
            "condvar.rs",
            "frozen.rs",
            "gate/",
            "guard.rs",
            "handle.rs",
            "held.rs",
            "mutex.rs",
            "named.rs",
            "recursive.rs",
            "rwlock.rs",
            "semaphore.rs",
            "typing.rs",
            "value.rs",
        ],
    ),
    ("proc-ipc", &["sys/", "ring/memory.rs", "channel/store.rs", "copy.rs"]),
    ("proc-exec", &["sys/", "asynchronous.rs"]),
    ("proc-pool", &["link/table.rs", "worker/"]),
    ("multiprocess", &[]),
];

/// Checks all rules and lists every breach.
pub(crate) fn run() -> Outcome {
    let mut breaches = Vec::new();
    for name in CRATES {
        let folder = root().join("crates").join(name);
        first_sentences(name, &folder, &mut breaches);
        dependencies(name, &folder, &mut breaches);
        papers(name, &folder, &mut breaches);
        unsafe_rooms(name, &folder.join("src"), &mut breaches);
    }
    for file in sources() {
        let text = fs::read_to_string(&file).unwrap_or_default();
        let shown = file.strip_prefix(root()).unwrap_or(&file).display().to_string();
        let lines = text.lines().count();
        if lines > MAX_LINES {
            breaches.push(format!("{shown}: {lines} lines, more than {MAX_LINES}"));
        }
        unsafe_has_reasons(&shown, &text, &mut breaches);
        unfinished(&shown, &text, &mut breaches);
    }
    readme_lists_crates(&mut breaches);
    foreign_words(&mut breaches);
    facade_has_all(&mut breaches);
    if breaches.is_empty() {
        Ok(())
    } else {
        Err(format!("house rules broken:\n  {}", breaches.join("\n  ")))
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The first sentence of a crate is the same in its manifest, its README and its `lib.rs`.
fn first_sentences(name: &str, folder: &Path, breaches: &mut Vec<String>) {
    let manifest = read(&folder.join("Cargo.toml"));
    let description =
        manifest.lines().find_map(|line| line.strip_prefix("description = \"")?.strip_suffix('"'));
    let Some(description) = description else {
        breaches.push(format!("{name}: no description"));
        return;
    };
    let lib = read(&folder.join("src/lib.rs"));
    if lib.lines().next() != Some(&format!("//! {description}.")) {
        breaches.push(format!("{name}: lib.rs does not open with its description"));
    }
    let readme = read(&folder.join("README.md"));
    if readme.lines().nth(2) != Some(&format!("{description}.")) {
        breaches.push(format!("{name}: README.md does not open with its description"));
    }
}

/// The arrows, and nothing besides.
fn dependencies(name: &str, folder: &Path, breaches: &mut Vec<String>) {
    let manifest = read(&folder.join("Cargo.toml"));
    let section = manifest.split("\n[dependencies]").nth(1).unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    let allowed = ARROWS.iter().find(|(from, _)| *from == name).map_or(&[][..], |(_, to)| to);
    for line in section.lines() {
        let dependency = line.split(['.', ' ', '=']).next().unwrap_or_default();
        if CRATES.contains(&dependency) && !allowed.contains(&dependency) {
            breaches.push(format!("{name} must not depend on {dependency}"));
        }
    }
}

/// What each crate ships beside its code.
fn papers(name: &str, folder: &Path, breaches: &mut Vec<String>) {
    for paper in ["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"] {
        if !folder.join(paper).is_file() {
            breaches.push(format!("{name}: no {paper}"));
        }
    }
}

/// Unsafe code only where it is listed.
fn unsafe_rooms(name: &str, source: &Path, breaches: &mut Vec<String>) {
    let rooms =
        UNSAFE_ROOMS.iter().find(|(crate_name, _)| *crate_name == name).map_or(&[][..], |(_, rooms)| rooms);
    // Split, so that this file does not hold what it looks for.
    let words = [["unsafe", " {"], ["unsafe", " impl"]].map(|word| word.concat());
    for file in below(vec![source.to_owned()], &["rs"]) {
        let text = read(&file);
        let code = text.lines().map(str::trim_start).filter(|line| !line.starts_with("//"));
        let inside = file.strip_prefix(source).unwrap_or(&file).display().to_string();
        let listed = rooms.iter().any(|room| inside.starts_with(room));
        if !listed && code.clone().any(|line| words.iter().any(|word| line.contains(word.as_str()))) {
            breaches.push(format!("{name}: src/{inside} has unsafe code, and is no room for it"));
        }
    }
}

/// Every Rust file of the project.
fn sources() -> Vec<PathBuf> {
    files(&["crates", "benches", "crashlab", "xtask"], &["rs"])
}

/// Every file below the folders of the project that has one of the endings.
fn files(folders: &[&str], endings: &[&str]) -> Vec<PathBuf> {
    below(folders.iter().map(|name| root().join(name)).collect(), endings)
}

fn below(mut open: Vec<PathBuf>, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && entry.file_name() != "target" {
                open.push(path);
            } else if path.extension().is_some_and(|e| endings.iter().any(|ending| e == *ending)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Clippy checks blocks; this checks that the reason is near, tests included.
fn unsafe_has_reasons(shown: &str, text: &str, breaches: &mut Vec<String>) {
    let lines: Vec<&str> = text.lines().collect();
    for (i, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        // Split, so that this file does not hold what it looks for.
        let opens = code.contains(&["unsafe", " {"].concat()) && !code.starts_with("//");
        let near = &lines[i.saturating_sub(6)..=i];
        if opens && !near.iter().any(|line| line.contains("SAFETY")) {
            breaches.push(format!("{shown}:{}: unsafe without a SAFETY reason", i + 1));
        }
    }
}

fn unfinished(shown: &str, text: &str, breaches: &mut Vec<String>) {
    // Split, so that this file does not hold what it forbids.
    let words = [["to", "do!("], ["unimplem", "ented!("], ["FIX", "ME"], ["#[ign", "ore"]];
    for word in words {
        if text.contains(&word.concat()) {
            breaches.push(format!("{shown}: has `{}`", word.concat()));
        }
    }
}

/// Names that a crate offers to authors of other crates, not to the facade's readers.
const BEHIND_THE_FACADE: [&str; 9] = [
    "StartError",
    "StartErrorKind",
    "Step",
    "Usage",
    "Ended",
    "Iter",
    "IntoIter",
    "Child",
    "leave_interrupts_to_parent",
];

/// What a crate exports at its top, the facade exports as well.
fn facade_has_all(breaches: &mut Vec<String>) {
    let facade = exports(&read(&root().join("crates/multiprocess/src/lib.rs")));
    for name in CRATES.iter().filter(|name| **name != "multiprocess") {
        for export in exports(&read(&root().join("crates").join(name).join("src/lib.rs"))) {
            let hidden = export.starts_with("__") || BEHIND_THE_FACADE.contains(&export.as_str());
            if !hidden && !facade.contains(&export) {
                breaches.push(format!("multiprocess does not re-export {name}::{export}"));
            }
        }
    }
}

/// The names after `pub use`, without the modules that lead to them.
fn exports(lib: &str) -> Vec<String> {
    let mut names = Vec::new();
    let items = lib.split("pub use ").skip(1).filter_map(|rest| rest.split(';').next());
    for item in items.filter(|item| !item.contains(" as __")) {
        let words = item.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
        for word in words.filter(|word| !word.is_empty() && !word.ends_with("::")) {
            let name = word.rsplit("::").next().unwrap_or(word);
            names.push(name.to_owned());
        }
    }
    names
}

fn readme_lists_crates(breaches: &mut Vec<String>) {
    let readme = read(&root().join("README.md"));
    for name in CRATES {
        if !readme.contains(&format!("`{name}`")) {
            breaches.push(format!("README.md does not name {name}"));
        }
    }
    // The facade's page is compiled as a test, so what the first page shows must be on it.
    let tested = read(&root().join("crates/multiprocess/README.md"));
    for block in readme.split("```rust").skip(1).filter_map(|rest| rest.split("```").next()) {
        if !tested.contains(block) {
            breaches.push("README.md shows Rust that crates/multiprocess/README.md has not".into());
        }
    }
    // Both pages tell who knows Python the same.
    let rows = |page: &str| {
        page.lines().filter(|line| line.starts_with("| ")).map(str::to_owned).collect::<Vec<_>>()
    };
    let python = |page: &str| rows(page.split("## For those who know Python").nth(1).unwrap_or_default());
    if python(&readme) != python(&tested) {
        breaches.push("README.md and crates/multiprocess/README.md differ in their tables of Python".into());
    }
}

/// Words that are of a machine, not of the project: a path in a file is read by people who have no such folder.
fn foreign_words(breaches: &mut Vec<String>) {
    // Split, so that this file does not hold what it looks for.
    let words = [["/wo", "rk/"], ["/ho", "me/"], ["/ro", "ot/"], ["../sha", "red"]].map(|word| word.concat());
    let mut pages: Vec<PathBuf> =
        ["README.md", "ARCHITECTURE.md", "Cargo.toml"].iter().map(|name| root().join(name)).collect();
    pages.extend(files(&["crates", "benches", "crashlab", "xtask"], &["rs", "md", "toml", "py"]));
    for file in pages {
        let text = read(&file);
        for word in words.iter().filter(|word| text.contains(word.as_str())) {
            let shown = file.strip_prefix(root()).unwrap_or(&file).display();
            breaches.push(format!("{shown}: has `{word}`"));
        }
    }
}
