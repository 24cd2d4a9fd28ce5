//! A progress bar, in two ways: on the results as they come, whatever their order; and on a `map`, by its hook.
//!
//! Prints:
//!
//! ```text
//! 200 of 200 done, the largest is 39601
//! 200 of 200 done, the last is 39601
//! ```

use indicatif::{ProgressBar, ProgressIterator};
use multiprocess::{Pool, RemoteError};
use std::time::Duration;

fn slow_square(x: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(2));
    x * x
}

fn main() -> Result<(), RemoteError> {
    multiprocess::init();
    let pool = Pool::new(4)?;
    let inputs = 0..200;

    // Drawn on standard error, and only if that is a terminal.
    let bar = ProgressBar::new(inputs.end);
    let results = pool.imap_unordered(slow_square, inputs.clone()).progress_with(bar);
    let squares = results.collect::<Result<Vec<_>, _>>()?;
    println!("{} of 200 done, the largest is {}", squares.len(), squares.iter().max().ok_or("nothing came")?);

    let bar = ProgressBar::new(inputs.end);
    let shown = bar.clone();
    let squares =
        pool.on_progress(move |progress| shown.set_position(progress.done)).map(slow_square, inputs)?;
    bar.finish();
    println!("{} of 200 done, the last is {}", bar.position(), squares.last().ok_or("nothing came")?);
    Ok(())
}
