//! Names for instructions.

use std::fs;
use std::process::Command;

/// An address of this program as an offset and, where binutils are at hand, as functions and lines.
pub(crate) fn name(address: u64) -> String {
    let Some((offset, file)) = locate(address) else { return format!("{address:#x}") };
    let shown = format!("{offset:#x} in {file}");
    let out = Command::new("addr2line").args(["-Cfipe", &file, &format!("{offset:#x}")]).output();
    match out {
        Ok(out) if out.status.success() && out.stdout.first() != Some(&b'?') => {
            format!("{shown}\n{}", String::from_utf8_lossy(&out.stdout).trim_end())
        }
        _ => shown,
    }
}

/// The file that an address is mapped from, and the offset from the file's first mapping.
fn locate(address: u64) -> Option<(u64, String)> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let lines = maps.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (from, to) = words.next()?.split_once('-')?;
        let range = u64::from_str_radix(from, 16).ok()?..u64::from_str_radix(to, 16).ok()?;
        Some((range, words.nth(4)?.to_owned()))
    });
    let lines: Vec<_> = lines.collect();
    let (_, file) = lines.iter().find(|(range, _)| range.contains(&address))?;
    let (first, _) = lines.iter().find(|(_, other)| other == file)?;
    Some((address - first.start, file.clone()))
}
