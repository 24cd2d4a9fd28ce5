//! A large table that is made once and lent to all: `cargo run -p proc-shm --example shared_table`.

use proc_core::Process;
use proc_shm::{Array, Frozen, Part};

/// Each worker writes the sums of its rows into its own part of the result.
fn sum_rows((table, width, result): (Frozen<[f64]>, usize, Part<f64>)) {
    let mut sums = result.lock().expect("nobody else has this part");
    for (sum, row) in sums.iter_mut().zip(result.range()) {
        *sum = table[row * width..][..width].iter().sum();
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    proc_core::init();
    let (rows, width) = (1_000, 1_000);
    let numbers: Vec<f64> = (0..rows * width).map(|i| (i % 7) as f64).collect();

    // 8 MB, copied once; what crosses is a descriptor.
    let table = Frozen::new(&numbers)?;
    let sums = Array::<f64>::zeroed(rows)?;
    let workers = sums
        .parts(4)
        .into_iter()
        .map(|part| Process::spawn(sum_rows, (table.clone(), width, part)))
        .collect::<Result<Vec<_>, _>>()?;
    for worker in workers {
        worker.join()?;
    }

    let total: f64 = sums.lock()?.iter().sum();
    assert_eq!(total, numbers.iter().sum());
    println!("{rows} rows, {total} in all");
    Ok(())
}
