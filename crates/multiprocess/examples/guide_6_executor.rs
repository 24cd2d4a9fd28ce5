//! Chapter 6: `map` in order, and `submit` with the results as they come.
//!
//! Prints, in any order:
//!
//! ```text
//! 👨💼 主进程 | PID:{parent}
//!
//! 📋 用 map 批量提交:
//! 🛠️  任务0 | 进程:{}
//! 🛠️  任务1 | 进程:{}
//! 🛠️  任务2 | 进程:{}
//! 📦 顺序结果:任务0耗时{}s
//! 📦 顺序结果:任务1耗时{}s
//! 📦 顺序结果:任务2耗时{}s
//!
//! 🚀 用 submit + as_completed:
//! 🛠️  任务3 | 进程:{}
//! 🛠️  任务4 | 进程:{}
//! 🛠️  任务5 | 进程:{}
//! 📦 完成结果:任务3耗时{}s
//! 📦 完成结果:任务4耗时{}s
//! 📦 完成结果:任务5耗时{}s
//! ```

use multiprocess::{Pool, RemoteError, as_completed};
use std::process;
use std::time::{Duration, Instant};

fn simple_task(task_id: u32) -> String {
    let start = Instant::now();
    println!("🛠️  任务{task_id} | 进程:{}", process::id());
    std::thread::sleep(Duration::from_millis(fastrand::u64(200..1200)));
    format!("任务{task_id}耗时{:.2}s", start.elapsed().as_secs_f64())
}

fn main() -> Result<(), RemoteError> {
    multiprocess::init();
    println!("👨💼 主进程 | PID:{}", process::id());
    let pool = Pool::new(3)?;

    println!("\n📋 用 map 批量提交:");
    for result in pool.imap(simple_task, 0..3) {
        println!("📦 顺序结果:{}", result?); // in the order of the inputs, each as soon as it is there
    }

    println!("\n🚀 用 submit + as_completed:");
    let tasks = (3..6).map(|i| pool.submit(simple_task, i));
    for task in as_completed(tasks) {
        println!("📦 完成结果:{}", task.get()?); // whichever is done first
    }
    Ok(())
}
