//! Chapter 4.2: a conversation with a program. Needs python3 on the PATH.
//!
//! Prints:
//!
//! ```text
//! 📤 子进程输出:
//! 👋 来自子进程的问候!
//! ```

use multiprocess::{RemoteError, cmd};
use std::time::Duration;

fn main() -> Result<(), RemoteError> {
    let mut python = cmd!("python3", "-i").interactive()?;
    // Names the encoding, so that the words arrive in any locale.
    python.write_line("import sys; sys.stdout.reconfigure(encoding='utf-8')")?;
    python.write_line(r#"print("👋 来自子进程的问候!")"#)?;
    python.write_line("exit()")?;
    let output = python.communicate("", Duration::from_secs(30))?;
    println!("📤 子进程输出:");
    println!("{}", output.text()?.trim());
    Ok(())
}
