//! Chapter 7.3: a number, and an array, that two processes share, under a lock.
//!
//! Prints:
//!
//! ```text
//! 🔢 共享变量最终值:20000
//! 🔢 共享数组最终值:[20000, 40000, 60000]
//! ```

use multiprocess::{Array, LockError, Process, RemoteError, Value};

fn add_num(num: Value<i32>) -> Result<(), LockError> {
    for _ in 0..10_000 {
        *num.lock()? += 1; // an error only if another process was killed in the middle of its own addition
    }
    Ok(())
}

fn add_all(numbers: Array<i32>) -> Result<(), LockError> {
    for _ in 0..10_000 {
        for (step, number) in (1..).zip(numbers.lock()?.iter_mut()) {
            *number += step;
        }
    }
    Ok(())
}

fn main() -> Result<(), RemoteError> {
    multiprocess::init();
    let shared_num = Value::new(0_i32)?;
    let p1 = Process::spawn(add_num, shared_num.clone())?;
    let p2 = Process::spawn(add_num, shared_num.clone())?;
    p1.join()??;
    p2.join()??;
    println!("🔢 共享变量最终值:{}", shared_num.get());

    let shared_array = Array::from_slice(&[0_i32, 0, 0])?;
    let p1 = Process::spawn(add_all, shared_array.clone())?;
    let p2 = Process::spawn(add_all, shared_array.clone())?;
    p1.join()??;
    p2.join()??;
    println!("🔢 共享数组最终值:{:?}", &shared_array.lock()?[..]);
    Ok(())
}
