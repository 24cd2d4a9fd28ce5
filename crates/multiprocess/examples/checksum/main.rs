//! SHA-256 of files and whole trees, in a pool of processes; prints what `sha256sum -c` accepts.
//!
//! ```sh
//! cargo run --release --example checksum -- PATH...
//! ```
//!
//! Directories are walked in the order of their entries' bytes. Symbolic links are followed to files, and to directories
//! only where they are named on the command line. A pipe or a device is read where it is named (`checksum <(command)`),
//! and passed over on a walk. What can't be read is named on standard error, the others are hashed, and the exit status is
//! 1 then. A worker that is killed costs nothing but time: its file is hashed again by another.

mod hash;
mod line;
mod walk;

use indicatif::{ProgressBar, ProgressStyle};
use multiprocess::{Pool, TaskError};
use std::error::Error;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

/// How often a file is tried whose worker died under it.
const RETRIES: u32 = 3;

fn main() -> ExitCode {
    multiprocess::init();
    let paths: Vec<OsString> = std::env::args_os().skip(1).collect();
    if paths.is_empty() {
        eprintln!("usage: checksum PATH...\nPATH is a file, a directory, or - for standard input");
        return ExitCode::from(2);
    }
    match checksum(&paths) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // Whoever read our output has seen enough.
        Err(e) if is_closed_pipe(&*e) => ExitCode::FAILURE,
        Err(e) => {
            let _ = match e.downcast_ref::<io::Error>() {
                Some(e) => writeln!(io::stderr(), "checksum: standard output: {}", line::reason(e)),
                None => writeln!(io::stderr(), "checksum: {e}"),
            };
            ExitCode::FAILURE
        }
    }
}

fn is_closed_pipe(e: &(dyn Error + 'static)) -> bool {
    e.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// Prints a line for each file; `false` if one of them failed.
fn checksum(paths: &[OsString]) -> Result<bool, Box<dyn Error>> {
    let mut all_well = true;
    let mut complain = |path: &OsString, why: &str| {
        // Standard error may have no reader, which is no reason to stop.
        let _ = writeln!(io::stderr(), "checksum: {}: {why}", line::shown(path));
        all_well = false;
    };
    let mut files = Vec::new();
    for found in walk::files(paths) {
        match found {
            Ok(file) => files.push(file),
            Err((path, why)) => complain(&path, &why),
        }
    }
    let bar = progress(files.len() as u64);
    let pool =
        Pool::builder().build().map_err(|e| format!("the pool could not be made: {e}"))?.retries(RETRIES);
    let mut out = io::BufWriter::new(io::stdout().lock());
    let sums = pool.imap(hash::hash_file, files.iter().map(|file| (!file.here).then(|| file.name.clone())));
    for (file, sum) in files.iter().zip(sums) {
        let sum = match sum {
            Ok(Ok(None)) => hash::hash_here(&file.name),
            Ok(Ok(Some(sum))) => Ok(sum),
            Ok(Err(errno)) => Err(io::Error::from_raw_os_error(errno)),
            Err(e @ TaskError::WorkerDied { .. }) => Err(io::Error::other(e)),
            Err(e) => return Err(e.into()),
        };
        match sum {
            Ok(sum) => out.write_all(&line::format(&file.name, &sum))?,
            Err(e) => {
                out.flush()?;
                bar.suspend(|| complain(&file.name, &line::reason(&e)));
            }
        }
        bar.inc(1);
    }
    out.flush()?;
    bar.finish_and_clear();
    pool.close();
    pool.join()?;
    Ok(all_well)
}

/// A bar on a terminal; nothing where the output is read by a program.
fn progress(files: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(files);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} files, {elapsed}, {eta} left") {
        bar.set_style(style);
    }
    bar
}
