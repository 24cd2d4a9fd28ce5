//! Mapping over data that the caller keeps: lent here, a copy of its own there; or no copy at all.
//!
//! Prints:
//!
//! ```text
//! means: [1.5, 10.0]
//! words in a line: [2, 1, 3]
//! norms: [5.0, 13.0]
//! sums of a shared table: [4.5, 14.5, 24.5]
//! still ours: temperature, pressure
//! ```

use multiprocess::{Frozen, Pool, RemoteError};
use serde::{Deserialize, Serialize};

/// Not `Clone`: it need not be, for a call that borrows it.
#[derive(Serialize, Deserialize)]
struct Record {
    key: String,
    values: Vec<f64>,
}

impl Record {
    fn mean(&self) -> f64 {
        self.values.iter().sum::<f64>() / self.values.len() as f64
    }
}

fn words(line: &str) -> usize {
    line.split_whitespace().count()
}

fn norm(row: &[f64]) -> f64 {
    row.iter().map(|x| x * x).sum::<f64>().sqrt()
}

fn main() -> Result<(), RemoteError> {
    multiprocess::init();
    let pool = Pool::new(2)?;

    let records = vec![
        Record { key: "temperature".into(), values: vec![1.0, 2.0] },
        Record { key: "pressure".into(), values: vec![10.0] },
    ];
    println!("means: {:?}", pool.map_ref(Record::mean, &records)?);

    let text = String::from("a b\nc\nd e f");
    println!("words in a line: {:?}", pool.map_ref(words, text.lines())?);

    let matrix = [3.0, 4.0, 5.0, 12.0];
    println!("norms: {:?}", pool.map_ref(norm, matrix.chunks(2))?);

    // In memory that all workers share: what crosses for a task is a range.
    let table: Vec<f64> = (0..30).map(f64::from).collect();
    let table = Frozen::new(&table)?;
    let ranges = [0..10, 10..20, 20..30];
    let means = pool.with(table).map(|table, range| table[range].iter().sum::<f64>() / 10.0, ranges)?;
    println!("sums of a shared table: {means:?}");

    let keys: Vec<_> = records.iter().map(|record| record.key.as_str()).collect();
    println!("still ours: {}", keys.join(", "));
    Ok(())
}
