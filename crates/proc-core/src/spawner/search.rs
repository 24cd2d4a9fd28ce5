//! Where a program is looked for: the child's `PATH`, not ours.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// What the C library searches where no `PATH` is set.
const DEFAULT: &[u8] = b"/bin:/usr/bin";

/// The paths to try, in order. An empty part of `PATH` is the working directory, as for every shell.
pub(super) fn candidates(program: &OsStr, path: Option<&OsStr>) -> Vec<OsString> {
    let name = program.as_bytes();
    if name.is_empty() || name.contains(&b'/') {
        return vec![program.to_owned()];
    }
    let path = path.map_or(DEFAULT, OsStr::as_bytes);
    let join = |dir: &[u8]| {
        let mut full = dir.to_vec();
        if !dir.is_empty() && !dir.ends_with(b"/") {
            full.push(b'/');
        }
        full.extend_from_slice(name);
        OsString::from_vec(full)
    };
    path.split(|b| *b == b':').map(join).collect()
}
