//! Chapter 7.4: what goes wrong in a child reaches the parent, with its cause.
//!
//! Prints:
//!
//! ```text
//! 💥 子进程 panic:bad input 7 ({}guide_7_4_errors.rs:{})
//! 🚪 子进程退出码:3
//! 🔪 子进程被信号 9 结束
//! 💥 任务 panic:bad input 8
//! 📄 任务返回的错误:no file for 9
//! 💀 任务的进程死了:killed by signal {}
//! ✅ 进程池还能用:10
//! ```

use multiprocess::{JoinError, Pool, Process, RemoteError, TaskError};
use std::process;
use std::time::Duration;

fn panics(input: u32) -> u32 {
    panic!("bad input {input}")
}

fn exits(code: i32) {
    process::exit(code)
}

fn sleeps(seconds: u64) {
    std::thread::sleep(Duration::from_secs(seconds));
}

fn fails(input: u32) -> Result<u32, String> {
    Err(format!("no file for {input}"))
}

fn aborts(_: ()) -> u32 {
    process::abort()
}

fn main() -> Result<(), RemoteError> {
    multiprocess::init();
    match Process::spawn(panics, 7)?.join() {
        Err(JoinError::Panicked(p)) => {
            println!("💥 子进程 panic:{} ({})", p.message, p.location.unwrap_or_default());
        }
        other => println!("unexpected: {other:?}"),
    }
    match Process::spawn(exits, 3)?.join() {
        Err(JoinError::Exited(code)) => println!("🚪 子进程退出码:{code}"),
        other => println!("unexpected: {other:?}"),
    }
    let child = Process::spawn(sleeps, 600)?;
    child.kill()?;
    match child.join() {
        Err(JoinError::Signaled { signal, .. }) => println!("🔪 子进程被信号 {signal} 结束"),
        other => println!("unexpected: {other:?}"),
    }

    let pool = Pool::new(2)?;
    match pool.apply(panics, 8) {
        Err(TaskError::Panicked(p)) => println!("💥 任务 panic:{}", p.message),
        other => println!("unexpected: {other:?}"),
    }
    match pool.try_submit(fails, 9).get() {
        Err(TaskError::Failed(e)) => println!("📄 任务返回的错误:{e}"),
        other => println!("unexpected: {other:?}"),
    }
    match pool.apply(aborts, ()) {
        Err(TaskError::WorkerDied { status, .. }) => println!("💀 任务的进程死了:{status}"),
        other => println!("unexpected: {other:?}"),
    }
    println!("✅ 进程池还能用:{}", pool.apply(|x| x, 10)?);
    Ok(())
}
