//! Tasks that need configuration: it is sent once to each worker, and lent to every call.
//!
//! Prints:
//!
//! ```text
//! scores: [1.5, -0.5]
//! above the threshold: [false, true]
//! read: 2 files
//! with an initializer: [false, true]
//! ```

use multiprocess::{Pool, PoolWith, RemoteError, TaskError};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;
use std::sync::OnceLock;

#[derive(Serialize, Deserialize)]
struct Config {
    threshold: f64,
    weights: HashMap<String, f64>,
}

impl Config {
    fn score(&self, words: Vec<String>) -> f64 {
        words.iter().filter_map(|word| self.weights.get(word)).sum::<f64>() - self.threshold
    }
}

/// A handle without a lifetime, so it lives in a struct like any other field.
struct Scorer {
    pool: PoolWith<Config>,
}

impl Scorer {
    fn score_all(&self, documents: Vec<Vec<String>>) -> Result<Vec<f64>, TaskError> {
        self.pool.map(Config::score, documents)
    }
}

/// Python's way: an initializer fills a static of the worker.
static THRESHOLD: OnceLock<f64> = OnceLock::new();

fn set_threshold(threshold: f64) {
    THRESHOLD.get_or_init(|| threshold);
}

fn is_above(x: f64) -> bool {
    THRESHOLD.get().is_some_and(|threshold| x > *threshold)
}

fn main() -> Result<(), RemoteError> {
    multiprocess::init();
    let pool = Pool::new(2)?;

    let weights = HashMap::from([("fast".to_string(), 2.0)]);
    let scorer = Scorer { pool: pool.with(Config { threshold: 0.5, weights }) };
    let documents = vec![vec!["fast".to_string()], vec!["slow".to_string()]];
    println!("scores: {:?}", scorer.score_all(documents)?);

    // A closure without captures does as well, and both its parameters are inferred.
    let above = pool.with(0.5).map(|threshold, x| x > *threshold, [0.1, 0.9])?;
    println!("above the threshold: {above:?}");

    // One task that fails stops the others of a `try_map`, and its error arrives as it was said.
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf();
    let names = ["Cargo.toml", "README.md"].map(String::from);
    let texts = pool.with(here).try_map(|folder, name| std::fs::read_to_string(folder.join(name)), names)?;
    println!("read: {} files", texts.len());

    let pool = Pool::builder().workers(2).initializer(set_threshold, 0.5).build()?;
    println!("with an initializer: {:?}", pool.map(is_above, [0.1, 0.9])?);
    Ok(())
}
