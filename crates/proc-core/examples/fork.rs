//! Forks: children that go on with a copy of this process, closures and all.
//!
//! Prints:
//!
//! ```text
//! the raw fork: child {child} of {parent}
//! the raw fork: child {child} has ended
//! parts: [499500, 1499500, 2499500, 3499500]
//! a child that panics: the process panicked: part 9 is missing (at {place})
//! through a pipe: "forty-two"
//! with a thread: a process with 2 threads can't be forked safely; {advice}
//! ```

use std::fs::File;
use std::io::{Read, Write};

use proc_core::{Fd, Fork, Process, Stdio};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    proc_core::init();

    // As in C: both sides come back from the call.
    // SAFETY: this process has one thread.
    match unsafe { proc_core::fork()? } {
        Fork::Child => {
            let parent = proc_core::parent().ok_or("no parent")?;
            println!("the raw fork: child {} of {}", std::process::id(), parent.id());
            std::process::exit(0);
        }
        Fork::Parent(child) => {
            child.wait()?;
            println!("the raw fork: child {} has ended", child.id());
        }
    }

    // A closure with captures, whose value comes back. The table is not copied, and not sent: the child has it.
    let table: Vec<u64> = (0..4000).collect();
    let parts: Vec<Process<u64>> =
        table.chunks(1000).map(|part| Process::fork(|| part.iter().sum())).collect::<Result<_, _>>()?;
    let sums: Vec<u64> = parts.into_iter().map(Process::join).collect::<Result<_, _>>()?;
    println!("parts: {sums:?}");

    // A panic ends the child alone, and none of this function's code runs there.
    let quiet = Process::builder().stderr(Stdio::Null);
    let missing = quiet.fork(|| -> u64 { panic!("part {} is missing", 9) })?;
    println!("a child that panics: {}", missing.join().map_or_else(|e| e.to_string(), |v| v.to_string()));

    // What the child is to write to is named, so that it gets an end of its own.
    let (mut read, write) = pipe()?;
    let child =
        Process::fork_with(Fd(write), |to| (&to.0).write_all(b"forty-two").map_err(|e| e.to_string()))?;
    child.join()??;
    let mut text = String::new();
    read.read_to_string(&mut text)?;
    println!("through a pipe: {text:?}");

    // With a second thread a fork would be a gamble: whatever lock that thread holds stays locked in the child.
    let (hold, held) = pipe()?;
    let thread = std::thread::spawn(move || (&hold).read(&mut [0]));
    if let Err(why) = Process::fork(|| ()) {
        println!("with a thread: {why}");
    }
    drop(held);
    let _ = thread.join();
    Ok(())
}

fn pipe() -> std::io::Result<(File, File)> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    Ok((read.into(), write.into()))
}
