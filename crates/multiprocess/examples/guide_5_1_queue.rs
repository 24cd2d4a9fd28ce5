//! Chapter 5.1: a queue between a producer and a consumer, and a last message that says it is over.
//!
//! Prints, in any order:
//!
//! ```text
//! 🏭 生产者启动 | PID:{}
//! 🍽️  消费者启动 | PID:{}
//! 📤 生产者放入:苹果
//! 📥 消费者取出:苹果
//! 📤 生产者放入:香蕉
//! 📥 消费者取出:香蕉
//! 📤 生产者放入:橙子
//! 📥 消费者取出:橙子
//! 🍽️  收到结束信号,消费者退出
//! ```

use multiprocess::{Process, Queue, RemoteError};
use std::process;
use std::time::Duration;

fn producer(queue: Queue<String>) -> Result<(), RemoteError> {
    println!("🏭 生产者启动 | PID:{}", process::id());
    for item in ["苹果", "香蕉", "橙子"] {
        println!("📤 生产者放入:{item}");
        queue.put(item.to_string())?;
        std::thread::sleep(Duration::from_millis(fastrand::u64(500..1500)));
    }
    Ok(())
}

fn consumer(queue: Queue<String>) -> Result<(), RemoteError> {
    println!("🍽️  消费者启动 | PID:{}", process::id());
    loop {
        let item = queue.get()?; // waits until there is something
        if item == "END" {
            println!("🍽️  收到结束信号,消费者退出");
            return Ok(());
        }
        println!("📥 消费者取出:{item}");
    }
}

fn main() -> Result<(), RemoteError> {
    multiprocess::init();
    let queue = Queue::unbounded()?;
    let producing = Process::spawn(producer, queue.clone())?;
    let consuming = Process::spawn(consumer, queue.clone())?;
    producing.join()??;
    // One END for each consumer. (Without it: `queue.close()`, and `for item in &queue` ends by itself.)
    queue.put("END".to_string())?;
    consuming.join()??;
    Ok(())
}
