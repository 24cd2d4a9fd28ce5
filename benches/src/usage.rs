//! What waiting costs: CPU time, descriptors, memory.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

/// The CPU time in nanoseconds that this process and all that descend from it use in a second, while this thread
/// sleeps. The thread itself is not counted.
///
/// # Errors
/// A sentence, if the kernel keeps no account of it.
pub fn cpu_while_idle(long: bool) -> Result<f64, String> {
    // What was prepared just before has not come to rest yet.
    std::thread::sleep(Duration::from_millis(200));
    let (before, start) = (used()?, Instant::now());
    std::thread::sleep(Duration::from_millis(if long { 2000 } else { 400 }));
    let (after, elapsed) = (used()?, start.elapsed());
    let grown = after.iter().map(|(thread, used)| used - before.get(thread).unwrap_or(&0.0)).sum::<f64>();
    Ok(grown / elapsed.as_secs_f64())
}

/// The nanoseconds that each thread of this process and of its descendants has run, but for the calling one.
fn used() -> Result<HashMap<i32, f64>, String> {
    let parents: HashMap<i32, i32> = numbers("/proc").filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let me = std::process::id() as i32;
    let descends =
        |&pid: &i32| std::iter::successors(Some(pid), |pid| parents.get(pid).copied()).any(|pid| pid == me);
    let caller = rustix::thread::gettid().as_raw_nonzero().get();
    let mut used = HashMap::new();
    for pid in parents.keys().copied().filter(descends) {
        for thread in numbers(&format!("/proc/{pid}/task")).filter(|&thread| thread != caller) {
            // One that has just ended has no account any more.
            let Ok(text) = fs::read_to_string(format!("/proc/{pid}/task/{thread}/schedstat")) else {
                continue;
            };
            let first = text.split_whitespace().next().and_then(|word| word.parse().ok());
            used.insert(thread, first.ok_or("the kernel counts no CPU time in schedstat")?);
        }
    }
    Ok(used)
}

fn numbers(folder: &str) -> impl Iterator<Item = i32> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The parent's id, which in `stat` comes after the name in brackets and the state.
fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split_whitespace().nth(1)?.parse().ok()
}

/// How many descriptors this process has.
///
/// # Errors
/// A sentence, if `/proc` can't be read.
pub fn descriptors() -> Result<f64, String> {
    let entries = fs::read_dir("/proc/self/fd").map_err(|e| format!("/proc/self/fd: {e}"))?;
    // One of them reads the folder.
    Ok(entries.count() as f64 - 1.0)
}

/// The memory that this process has touched, counted page by page; what it shares counts in equal parts.
///
/// # Errors
/// A sentence, if the kernel doesn't say.
pub fn proportional_memory() -> Result<f64, String> {
    let text = fs::read_to_string("/proc/self/smaps_rollup").map_err(|e| format!("smaps_rollup: {e}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
    kib.map(|kib| kib * 1024.0).ok_or_else(|| "smaps_rollup has no Pss".into())
}

/// The resident memory of this process, shared pages included.
///
/// # Errors
/// A sentence, if `/proc` can't be read.
pub fn resident() -> Result<f64, String> {
    let text = fs::read_to_string("/proc/self/statm").map_err(|e| format!("statm: {e}"))?;
    let pages = text.split_whitespace().nth(1).and_then(|pages| pages.parse::<f64>().ok());
    pages.map(|pages| pages * rustix::param::page_size() as f64).ok_or_else(|| "statm: no number".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command, Stdio};

    /// Loads of other processes make a busy one slow, and never an idle one busy.
    #[test]
    fn who_is_busy_is_seen_and_who_waits_costs_nothing() {
        let child = |text: &str| {
            let mut shell = Command::new("sh");
            shell.args(["-c", text]).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
        };
        let end = |mut child: Child| {
            child.kill().unwrap();
            child.wait().unwrap();
        };
        let waits = child("exec sleep 60");
        let idle = cpu_while_idle(false);
        end(waits);
        let works = child("while :; do :; done");
        let busy = cpu_while_idle(false);
        end(works);
        assert!(idle.unwrap() < 1e7);
        assert!(busy.unwrap() > 1e7);
    }
}
