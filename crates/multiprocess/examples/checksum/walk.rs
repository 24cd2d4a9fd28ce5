//! The files under the paths of the command line, in a stable order.

use crate::line::reason;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

/// A file to hash.
pub(crate) struct File {
    pub(crate) name: OsString,
    /// Whether only this process can read it: its own standard input, a pipe that the shell has made for it.
    pub(crate) here: bool,
}

/// A file to hash, or a path that can't be one and why.
pub(crate) type Found = Result<File, (OsString, String)>;

/// Every file: those of a directory in the order of their names' bytes, the paths in the order given.
pub(crate) fn files(paths: &[OsString]) -> Vec<Found> {
    let mut found = Vec::new();
    for path in paths {
        let metadata = fs::metadata(path);
        let is_directory = metadata.as_ref().is_ok_and(Metadata::is_dir);
        if path == "-" || (metadata.is_ok() && !is_directory && is_of_this_process(Path::new(path))) {
            // Whatever it is: the user has named it, and `sha256sum` reads it too.
            found.push(Ok(File { name: path.clone(), here: true }));
            continue;
        }
        // Named by the user: a link to a directory is that directory.
        visit(Path::new(path), metadata, true, &mut found);
    }
    found
}

/// Whether a path may lead elsewhere in another process: `/dev/fd/63`, which a shell puts for `<(command)`, `/dev/stdin`,
/// `/proc/self/...`.
fn is_of_this_process(path: &Path) -> bool {
    let folder = path.parent().and_then(|parent| fs::canonicalize(parent).ok());
    folder.is_some_and(|folder| folder.starts_with("/dev") || folder.starts_with("/proc"))
}

fn visit(path: &Path, metadata: io::Result<Metadata>, named: bool, found: &mut Vec<Found>) {
    match metadata {
        Ok(metadata) if metadata.is_dir() => visit_entries(path, found),
        Ok(metadata) if metadata.is_file() => found.push(Ok(File { name: path.into(), here: false })),
        // What the user has named may be waited for.
        Ok(_) if named => found.push(Ok(File { name: path.into(), here: true })),
        // On a walk a FIFO would be waited for, and a device might never end.
        Ok(_) => found.push(Err((path.into(), "Not a regular file".into()))),
        Err(e) => found.push(Err((path.into(), reason(&e)))),
    }
}

/// The entries of a directory. One that can't be read is an error, and the others are visited all the same.
fn visit_entries(directory: &Path, found: &mut Vec<Found>) {
    let mut fail = |e: io::Error| found.push(Err((directory.into(), reason(&e))));
    let mut entries: Vec<PathBuf> = Vec::new();
    match fs::read_dir(directory) {
        Err(e) => fail(e),
        Ok(listed) => {
            for entry in listed {
                match entry {
                    Ok(entry) => entries.push(entry.path()),
                    Err(e) => fail(e),
                }
            }
        }
    }
    entries.sort();
    entries.iter().for_each(|entry| visit_entry(entry, found));
}

/// An entry met on the walk. A link to a directory is passed over: what it leads to is walked where it lies, and a link to
/// a directory above would never end.
fn visit_entry(path: &Path, found: &mut Vec<Found>) {
    let is_link = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
    let metadata = fs::metadata(path);
    if is_link && metadata.as_ref().is_ok_and(Metadata::is_dir) {
        return;
    }
    visit(path, metadata, false, found);
}
