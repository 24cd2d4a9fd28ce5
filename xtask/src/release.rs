//! Packaging: each crate as it would be published, in the order of their dependencies.

use crate::ci::CRATES;
use crate::sh::{Outcome, run_cargo};

/// `--dry-run` does all of a publication but the upload: every crate is packaged, and built from its package. Without it
/// the steps of a release are printed.
pub(crate) fn run(args: &[String]) -> Outcome {
    if args.iter().any(|arg| arg == "--dry-run") {
        let packages: Vec<_> = CRATES.iter().map(|name| format!("-p {name}")).collect();
        // One call for all: each is built against the packages of those below it, not against the registry's.
        return run_cargo(&format!("publish --dry-run --allow-dirty {}", packages.join(" ")));
    }
    println!("1. Raise `version` in the root Cargo.toml and the versions in [workspace.dependencies].");
    println!("2. Move each CHANGELOG's `Unreleased` to the version and the date.");
    println!("3. cargo xtask ci");
    println!("4. git tag; then, which sees to the order:");
    println!("   cargo publish {}", CRATES.map(|name| format!("-p {name}")).join(" "));
    Ok(())
}
