//! A zygote that loads a large table once: the processes it forks share the memory, copy-on-write.
//!
//! Prints:
//!
//! ```text
//! 64 MiB were loaded once, by {zygote}
//! process 0: row 0 is 0, at the place of the others
//! process 1: row 1000 is 1000000, at the place of the others
//! process 2: row 2000 is 4000000, at the place of the others
//! process 3: row 3000 is 9000000, at the place of the others
//! 4 processes see 256 MiB; all of it together is less than 128 MiB of memory
//! ```

use std::io;

use proc_core::{Process, Zygote};

const ROWS: usize = 8 << 20;

struct Table(Vec<u64>);

/// Runs once, in the zygote.
fn load(rows: usize) -> Table {
    Table((0..rows as u64).map(|row| row * row).collect())
}

/// The memory that this process alone pays for, and its part of what it shares, in KiB.
fn proportional_memory() -> io::Result<u64> {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup")?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Runs in each process: looks at the whole table, and tells a row, the table's place and what it costs.
fn look(Table(table): &'static Table, row: usize) -> Result<(u64, usize, u64), String> {
    let sum = table.iter().fold(0_u64, |sum, value| sum.wrapping_add(*value));
    std::hint::black_box(sum);
    // While the others have it too: wait until all have looked.
    std::thread::sleep(std::time::Duration::from_millis(200));
    Ok((table[row], table.as_ptr() as usize, proportional_memory().map_err(|e| e.to_string())?))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    proc_core::init();
    let zygote = Zygote::preload(load, ROWS)?;
    let id = zygote.handle().map_or(0, |zygote| zygote.id());
    println!("{} MiB were loaded once, by {id}", (ROWS * 8) >> 20);

    let rows = [0, 1000, 2000, 3000];
    let all: Vec<Process<_>> = rows.iter().map(|row| zygote.spawn(look, *row)).collect::<Result<_, _>>()?;
    let (mut place, mut together) = (None, 0);
    for (i, p) in all.into_iter().enumerate() {
        let (value, at, kib) = p.join()??;
        let same = *place.get_or_insert(at) == at;
        let whose = if same { "at the place of the others" } else { "at a place of its own" };
        println!("process {i}: row {} is {value}, {whose}", rows[i]);
        together += kib;
    }
    let bound =
        if together < 128 << 10 { "less than 128 MiB of memory".into() } else { format!("{together} KiB") };
    println!(
        "{} processes see {} MiB; all of it together is {bound}",
        rows.len(),
        (rows.len() * ROWS * 8) >> 20
    );
    Ok(())
}
