//! A library that crashes on some inputs, kept apart: its crash is one task's error.
//!
//! Prints:
//!
//! ```text
//! input 0: 1
//! input 1: 2
//! input 2: the library crashed: killed by signal 11 (SIGSEGV){}
//! input 3: 4
//! input 4: it hung: given up after 300 ms
//! input 5: 6
//! ```

use multiprocess::{Pool, RemoteError, TaskError};
use std::ffi::c_int;
use std::time::Duration;

/// Stands for a function of a C library with a defect or two.
extern "C" fn library_call(input: c_int) -> c_int {
    match input {
        2 => {
            let nothing: *const c_int = std::ptr::null();
            // SAFETY: there is none, and that is the point: this ends the process with SIGSEGV.
            unsafe { std::ptr::read_volatile(std::hint::black_box(nothing)) }
        }
        4 => loop {
            std::thread::sleep(Duration::from_secs(1));
        },
        input => input + 1,
    }
}

fn call(input: c_int) -> c_int {
    library_call(input)
}

fn main() -> Result<(), RemoteError> {
    multiprocess::init();
    let pool = Pool::builder().workers(2).task_timeout(Duration::from_millis(300)).build()?;
    for (input, result) in pool.imap(call, 0..6).enumerate() {
        match result {
            Ok(value) => println!("input {input}: {value}"),
            Err(TaskError::WorkerDied { status, .. }) => {
                println!("input {input}: the library crashed: {status}")
            }
            Err(TaskError::TimedOut) => println!("input {input}: it hung: given up after 300 ms"),
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}
