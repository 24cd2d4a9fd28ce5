//! Chapter 3.2: a pool of processes, and tasks that are submitted without waiting for them.
//!
//! Prints, in any order:
//!
//! ```text
//! 👨💼 父进程启动 | PID:{parent}
//! ⏳ 所有任务已提交,等待完成...
//! 🛠️  任务0开始 | 处理进程:{}
//! 🛠️  任务1开始 | 处理进程:{}
//! 🛠️  任务2开始 | 处理进程:{}
//! 🛠️  任务3开始 | 处理进程:{}
//! 🛠️  任务4开始 | 处理进程:{}
//! ✅ 任务0完成 | 耗时:{}s
//! ✅ 任务1完成 | 耗时:{}s
//! ✅ 任务2完成 | 耗时:{}s
//! ✅ 任务3完成 | 耗时:{}s
//! ✅ 任务4完成 | 耗时:{}s
//! 📦 拿到:任务0的结果
//! 📦 拿到:任务1的结果
//! 📦 拿到:任务2的结果
//! 📦 拿到:任务3的结果
//! 📦 拿到:任务4的结果
//! 🐢 apply 会等待结果:9
//! 🏁 所有任务和进程池已清理完毕
//! ```

use multiprocess::{Pool, RemoteError};
use std::process;
use std::time::{Duration, Instant};

fn simulate_task(task_id: u32) -> String {
    let start = Instant::now();
    println!("🛠️  任务{task_id}开始 | 处理进程:{}", process::id());
    std::thread::sleep(Duration::from_millis(fastrand::u64(0..3000))); // work that takes its time
    println!("✅ 任务{task_id}完成 | 耗时:{:.2}s", start.elapsed().as_secs_f64());
    format!("任务{task_id}的结果")
}

fn main() -> Result<(), RemoteError> {
    multiprocess::init();
    println!("👨💼 父进程启动 | PID:{}", process::id());
    {
        let pool = Pool::new(4)?; // `Pool::builder().build()` takes one worker per CPU
        let tasks: Vec<_> = (0..5).map(|i| pool.submit(simulate_task, i)).collect();
        println!("⏳ 所有任务已提交,等待完成...");
        for task in tasks {
            println!("📦 拿到:{}", task.get()?);
        }
        println!("🐢 apply 会等待结果:{}", pool.apply(|x: u32| x * x, 3)?); // one task, waited for
    } // the pool ends here, and its workers with it
    println!("🏁 所有任务和进程池已清理完毕");
    Ok(())
}
