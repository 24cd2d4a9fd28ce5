//! Results that make new tasks: a walk over a tree, and a task that has a pool of its own.
//!
//! Prints:
//!
//! ```text
//! folders below crates: {}
//! the 6th Fibonacci number, by pools in pools: 8
//! ```

use multiprocess::{AsCompleted, Pool, PoolError, RemoteError, TaskError, TaskId, as_completed};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

fn folders_in(folder: PathBuf) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

struct Crawl {
    pool: Pool,
    running: AsCompleted<Vec<PathBuf>>,
    /// What each task is about, for the messages.
    about: HashMap<TaskId, PathBuf>,
}

impl Crawl {
    fn visit(&mut self, folder: PathBuf) {
        let task = self.pool.try_submit(folders_in, folder.clone());
        self.about.insert(task.id(), folder);
        self.running.push(task);
    }

    fn run(mut self, start: PathBuf) -> Result<usize, TaskError> {
        let mut seen = 0;
        self.visit(start);
        while let Some(task) = self.running.next() {
            let folder = self.about.remove(&task.id()).unwrap_or_default();
            match task.get() {
                Ok(folders) => {
                    seen += folders.len();
                    folders.into_iter().for_each(|folder| self.visit(folder));
                }
                // A folder that can't be read is told, and the walk goes on.
                Err(TaskError::Failed(e)) => eprintln!("{}: {e}", folder.display()),
                Err(e) => return Err(e),
            }
        }
        Ok(seen)
    }
}

/// Pools may be nested, up to a depth that the builder bounds.
fn fibonacci(n: u32) -> Result<u64, RemoteError> {
    if n < 2 {
        return Ok(n.into());
    }
    if n < 5 {
        return Ok(fibonacci(n - 1)? + fibonacci(n - 2)?);
    }
    let pool = Pool::new(2).map_err(|e: PoolError| RemoteError::new(e))?;
    Ok(pool.try_map(fibonacci, [n - 1, n - 2])?.iter().sum())
}

fn main() -> Result<(), RemoteError> {
    multiprocess::init();
    let pool = Pool::new(4)?;
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("no folder above")?;
    let crawl = Crawl { pool: pool.clone(), running: as_completed([]), about: HashMap::new() };
    println!("folders below crates: {}", crawl.run(crates.to_path_buf())?);
    let sixth = pool.try_submit(fibonacci, 6).get()?;
    println!("the 6th Fibonacci number, by pools in pools: {sixth}");
    Ok(())
}
