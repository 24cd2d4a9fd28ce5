//! Chapter 4.1: running a program and taking what it prints.
//!
//! Prints, first of all:
//!
//! ```text
//! 📁 当前目录内容:
//! total {}
//! ```

use multiprocess::{RemoteError, run};

fn main() -> Result<(), RemoteError> {
    // A list of words, no shell: nothing in them is anything but a word. A failure is an error unless one says otherwise.
    let result = run(["ls", "-l"])?;
    println!("📁 当前目录内容:");
    println!("{}", result.text()?);
    Ok(())
}
