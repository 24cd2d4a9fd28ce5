//! Chapter 3.1: one process that runs one function.
//!
//! Prints:
//!
//! ```text
//! 👨💼 父进程启动 | PID:{parent}
//! ⏳ 准备启动子进程...
//! 🚀 子进程启动 | 名称:测试子进程 | PID:{child}
//! ✅ 子进程已结束
//! ```

use multiprocess::{Process, RemoteError};
use std::process;

fn print_child_info(name: String) {
    println!("🚀 子进程启动 | 名称:{name} | PID:{}", process::id());
}

fn main() -> Result<(), RemoteError> {
    multiprocess::init(); // what `if __name__ == "__main__"` is in Python
    println!("👨💼 父进程启动 | PID:{}", process::id());
    println!("⏳ 准备启动子进程...");
    let child = Process::spawn(print_child_info, "测试子进程".to_string())?;
    child.join()?;
    println!("✅ 子进程已结束");
    Ok(())
}
