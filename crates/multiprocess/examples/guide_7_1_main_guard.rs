//! Chapter 7.1: `init`, the main guard. What stands before it runs in every process; without it nothing is started.
//!
//! Prints:
//!
//! ```text
//! 🚫 没有 init:`init()` was not called; make it the first line of `main`
//! 👶 子进程只运行目标函数
//! ✅ 父进程的代码只运行一次
//! ```

use multiprocess::{Process, RemoteError};
use std::env;
use std::process::Command;

fn work(_: ()) {
    println!("👶 子进程只运行目标函数");
}

/// A program that forgot `init` gets an error, not an endless chain of processes that start processes.
fn forgetful() {
    match Process::spawn(work, ()) {
        Ok(_) => println!("a process was started without `init`"),
        Err(e) => println!("🚫 没有 init:{e}"),
    }
}

fn main() -> Result<(), RemoteError> {
    if env::args().nth(1).as_deref() == Some("forgetful") {
        forgetful();
        return Ok(());
    }
    multiprocess::init();
    Command::new(env::current_exe()?).arg("forgetful").status()?;
    Process::spawn(work, ())?.join()?;
    println!("✅ 父进程的代码只运行一次");
    Ok(())
}
