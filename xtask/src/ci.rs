//! What every change must pass, step by step.

use crate::sh::{Outcome, cargo, execute, root, run_cargo, target};
use crate::{crash, examples, release, tidy};
use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::Instant;

/// The crates that are published, lowest first.
pub(crate) const CRATES: [&str; 6] =
    ["proc-core", "proc-shm", "proc-ipc", "proc-exec", "proc-pool", "multiprocess"];

type Step = (&'static str, fn() -> Outcome);

const STEPS: &[Step] = &[
    ("fmt", || run_cargo("fmt --all --check")),
    ("tidy", tidy::run),
    ("clippy", clippy),
    ("test", || run_cargo("test --workspace")),
    ("nextest", nextest),
    ("doc", doc),
    ("main-job", main_job),
    ("examples", || examples::run(&[])),
    ("loom", loom),
    ("crash", || crash::run(&["--sample".into()])),
    ("alone", alone),
    ("msrv", msrv),
    ("package", || release::run(&["--dry-run".into()])),
];

/// Runs all steps, or the one that is named.
pub(crate) fn run(args: &[String]) -> Outcome {
    let wanted = args.first();
    if let Some(name) = wanted {
        if !STEPS.iter().any(|(step, _)| step == name) {
            let names: Vec<_> = STEPS.iter().map(|(step, _)| *step).collect();
            return Err(format!("there is no step `{name}`; there are {}", names.join(", ")));
        }
    }
    for (name, step) in STEPS.iter().filter(|(name, _)| wanted.is_none_or(|wanted| wanted == name)) {
        let start = Instant::now();
        eprintln!("\n== {name}");
        step().map_err(|why| format!("step {name}: {why}"))?;
        eprintln!("== {name}: {:.0} s, {} free", start.elapsed().as_secs_f64(), free_disk());
    }
    Ok(())
}

/// What is left of the disk that is built on, as `df` says it.
fn free_disk() -> String {
    let told = Command::new("df").args(["-h", "--output=avail"]).arg(root()).output();
    let told = told.map(|told| String::from_utf8_lossy(&told.stdout).into_owned()).unwrap_or_default();
    told.lines().nth(1).unwrap_or("?").trim().to_owned()
}

fn clippy() -> Outcome {
    run_cargo("clippy --workspace --exclude benches --all-targets --all-features -- -D warnings")?;
    run_cargo("clippy -p benches --all-targets -- -D warnings")
}

fn doc() -> Outcome {
    let pages = [
        "doc --workspace --exclude benches --no-deps --all-features",
        "doc -p benches --no-deps",
        // The facade's pages name what only features bring.
        "doc -p multiprocess --no-deps --no-default-features",
    ];
    for words in pages {
        execute(cargo().args(words.split(' ')).env("RUSTDOCFLAGS", "-D warnings"))?;
    }
    Ok(())
}

/// Every order of the accesses of the locks, the ring and the slots.
fn loom() -> Outcome {
    for models in ["-p proc-shm -p proc-ipc --test loom_*", "-p proc-pool --lib"] {
        let words = format!("test --release {models} --target-dir");
        execute(cargo().args(words.split(' ')).arg(target()?.join("loom")).env("RUSTFLAGS", "--cfg loom"))?;
    }
    discard("loom")
}

/// Frees the disk of a build that no other step uses.
fn discard(built: &str) -> Outcome {
    let folder = target()?.join(built);
    fs::remove_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))
}

/// The README's first command on the project's own tree, checked by `sha256sum`.
fn main_job() -> Outcome {
    let sums = target()?.join("checksums");
    let file = File::create(&sums).map_err(|e| format!("{}: {e}", sums.display()))?;
    let paths = ["crates", "xtask", "README.md", "Cargo.toml"];
    execute(
        cargo()
            .args("run --release --example checksum --".split(' '))
            .args(paths)
            .current_dir(root())
            .stdout(Stdio::from(file)),
    )?;
    let lines = fs::read_to_string(&sums).map_err(|e| format!("{}: {e}", sums.display()))?.lines().count();
    if lines < 50 {
        return Err(format!("only {lines} files were hashed"));
    }
    execute(Command::new("sha256sum").args(["--check", "--quiet", "--strict"]).arg(&sums).current_dir(root()))
}

/// Each crate by itself, as who depends on it alone builds it: bare, with each of its features, and with all of them.
fn alone() -> Outcome {
    let folder = target()?.join("alone");
    let test = |words: String| {
        execute(cargo().args(words.split(' ')).arg("--quiet").arg("--target-dir").arg(&folder))
    };
    for name in CRATES {
        test(format!("test -p {name} --no-default-features"))?;
        for feature in features(name)? {
            test(format!("test -p {name} --no-default-features --features {feature}"))?;
        }
        test(format!("test -p {name} --all-features"))?;
        // Its programs are of no use to the next crate.
        execute(cargo().args(["clean", "--quiet", "-p", name, "--target-dir"]).arg(&folder))?;
    }
    discard("alone")
}

fn features(name: &str) -> Result<Vec<String>, String> {
    let manifest = root().join("crates").join(name).join("Cargo.toml");
    let text = fs::read_to_string(&manifest).map_err(|e| format!("{}: {e}", manifest.display()))?;
    let section = text.split("\n[features]\n").nth(1).unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    let named =
        section.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(" = "));
    Ok(named.map(|(feature, _)| feature.to_owned()).filter(|feature| feature != "default").collect())
}

/// Under nextest each test is a process of its own, whose main is not ours either.
fn nextest() -> Outcome {
    let version = cargo().args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !version.is_ok_and(|status| status.success()) {
        eprintln!("not run: cargo-nextest is not installed");
        return Ok(());
    }
    // Of the workspace's build, so that nothing is built anew.
    run_cargo("nextest run --workspace -E package(proc-core)+package(proc-pool) --no-fail-fast")
}

/// The oldest compiler that the manifests promise, where there is one: Debian 12 has it in `rustc-web` and `cargo-web`,
/// which lie beside a toolchain of rustup.
fn msrv() -> Outcome {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).map_err(|e| format!("Cargo.toml: {e}"))?;
    let promised = manifest.split("rust-version = \"").nth(1).and_then(|rest| rest.split('"').next());
    let promised = promised.ok_or("the workspace states no rust-version")?;
    if !is_there(promised) && !installed(promised) {
        eprintln!("NOT PROVED HERE: there is no rustc {promised}, and it could not be installed");
        return Ok(());
    }
    for features in [&[][..], &["--all-features", "--exclude", "benches"]] {
        execute(
            Command::new("/usr/bin/cargo")
                .args(["check", "--workspace", "--all-targets"])
                .args(features)
                .arg("--target-dir")
                .arg(target()?.join("msrv"))
                .env("RUSTC", OLD_COMPILER)
                .env("PATH", "/usr/bin:/bin")
                .env_remove("RUSTUP_TOOLCHAIN")
                .env_remove("CARGO")
                .current_dir(root()),
        )?;
    }
    discard("msrv")
}

const OLD_COMPILER: &str = "/usr/bin/rustc";

fn is_there(promised: &str) -> bool {
    let told = Command::new(OLD_COMPILER).arg("--version").env_remove("RUSTUP_TOOLCHAIN").output();
    told.is_ok_and(|told| told.stdout.starts_with(format!("rustc {promised}.").as_bytes()))
}

/// Installs it, where that is ours to do: in CI, as root, on Debian. Elsewhere it would be an intrusion.
fn installed(promised: &str) -> bool {
    if std::env::var_os("CI").is_none() {
        return false;
    }
    let packages =
        ["rustc-web", "cargo-web", "libstd-rust-web-dev"].map(|package| format!("{package}={promised}.*"));
    let mut apt = Command::new("apt-get");
    apt.args(["install", "--yes", "--quiet", "--no-install-recommends"]).args(packages);
    let done = execute(Command::new("apt-get").args(["update", "--quiet"])).and_then(|()| execute(&mut apt));
    done.is_ok() && is_there(promised)
}
