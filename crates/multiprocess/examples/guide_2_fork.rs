//! Chapter 2: the raw `fork`, the lowest of all ways.
//!
//! Prints, in any order:
//!
//! ```text
//! 父进程启动!PID:{parent}
//! 我是父进程,PID:{parent},刚创建了子进程:{child}
//! 我是子进程,PID:{child},我的父进程是:{parent}
//! 父进程的计数仍是:1
//! ```
//!
//! The child has a copy: what it changes, its parent does not see. The last line shows it.
//!
//! `Process::fork` is the safe form: it takes a closure, gives its value back, and refuses to run beside other threads.

use multiprocess::{Fork, RemoteError};
use std::os::unix::process::parent_id;
use std::process;

fn main() -> Result<(), RemoteError> {
    println!("父进程启动!PID:{}", process::id());
    let mut count = 1;
    // SAFETY: this process has one thread, so nothing that the child could need is held by a thread that it lacks.
    match unsafe { multiprocess::fork()? } {
        Fork::Child => {
            count += 1;
            std::hint::black_box(count);
            println!("我是子进程,PID:{},我的父进程是:{}", process::id(), parent_id());
        }
        Fork::Parent(child) => {
            println!("我是父进程,PID:{},刚创建了子进程:{}", process::id(), child.id());
            child.wait()?;
            println!("父进程的计数仍是:{count}");
        }
    }
    Ok(())
}
