//! A pool whose workers share one large table, loaded once and never copied: a zygote loads it, and forks the workers.
//!
//! Prints:
//!
//! ```text
//! 64 MiB were loaded once, by the zygote
//! 4 workers looked at all of it: the sum is 35184367894528
//! resident in each of them: more than 64 MiB
//! together they pay for less than 128 MiB
//! ```
//!
//! Resident memory counts a shared page in every process that has touched it; what a process pays for (its proportional
//! share) divides such a page among those that map it.

use multiprocess::{Pool, RemoteError, Zygote};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

const ROWS: u64 = 8 << 20;
const MIB: u64 = 1 << 20;

static TABLE: OnceLock<Vec<u64>> = OnceLock::new();

/// Runs once, in the zygote.
fn load(rows: u64) {
    TABLE.get_or_init(|| (0..rows).collect());
}

/// Runs in a worker: reads the whole table, and tells what this process pays for.
fn look(_task: usize) -> Result<(u64, u64), RemoteError> {
    let table = TABLE.get().ok_or("the zygote has loaded no table")?;
    let sum = table.iter().sum();
    std::thread::sleep(Duration::from_millis(200)); // until every worker has looked
    Ok((sum, proportional_memory()?))
}

/// The memory that this process alone pays for, and its share of what others have too, in bytes.
fn proportional_memory() -> Result<u64, RemoteError> {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup")?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib: Option<u64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.map(|kib| kib << 10)
        .ok_or_else(|| "the kernel's summary of this process's memory has no `Pss`".into())
}

fn main() -> Result<(), RemoteError> {
    multiprocess::init();
    let zygote = Zygote::preload(load, ROWS)?;
    println!("{} MiB were loaded once, by the zygote", ROWS * 8 / MIB);

    let pool = Pool::builder().workers(4).zygote(Arc::new(zygote)).build()?;
    let looked = pool.chunk(1).map(look, 0..4)?.into_iter().collect::<Result<Vec<_>, _>>()?;
    println!("{} workers looked at all of it: the sum is {}", looked.len(), looked[0].0);

    let stats = pool.stats();
    let resident = stats.workers.iter().filter_map(|worker| worker.resident_memory).min().unwrap_or(0);
    let least =
        if resident > 64 * MIB { "more than 64 MiB".to_string() } else { format!("{resident} bytes") };
    println!("resident in each of them: {least}");
    let together: u64 = looked.iter().map(|(_, paid)| paid).sum();
    let most =
        if together < 128 * MIB { "less than 128 MiB".to_string() } else { format!("{together} bytes") };
    println!("together they pay for {most}");
    Ok(())
}
