//! Processes, threads, or async: what for.
//!
//! Python's reason for processes is its interpreter's lock: threads there can't compute side by side. Rust has no such
//! lock. A thread of Rust computes as well as a process does, shares what it works on without a copy, and starts in a
//! tenth of the time. So the reasons for a process are others:
//!
//! | you need | take | because |
//! |---|---|---|
//! | to compute on all CPUs, with data in memory | threads (`std::thread::scope`, rayon) | nothing has to cross |
//! | many connections or files, waited for | async (tokio, smol) or a few threads | waiting needs no CPU |
//! | code that may crash, leak, hang, or be killed for its memory | [`Pool`](crate::Pool), [`Process`](crate::Process) | a process ends alone, and gives everything back |
//! | to stop work that does not look at a flag | a process and its time limit | a thread can't be killed |
//! | a library with global state, one instance only, or not thread-safe | a process for each instance | each has its own memory |
//! | other rights, limits, directories, environment, CPU affinity | a process | they belong to the process |
//! | a big table read by many short jobs | [`Zygote::preload`](crate::Zygote::preload), [`Frozen`](crate::Frozen) | its memory is shared, not copied |
//! | another program | [`run`](crate::run), [`Command`](crate::Command) | |
//!
//! # Which of them
//!
//! | | for | strong at | not for |
//! |---|---|---|---|
//! | [`fork`](crate::fork) | experiments at the lowest level | nothing between you and the kernel | programs with threads: it is `unsafe`, and says why |
//! | [`Process`](crate::Process) | one function in a process of its own | every detail: name, streams, limits, signals, ends | many small tasks: each pays for a start |
//! | [`Pool`](crate::Pool) | many tasks on all CPUs | workers that stay, results in order or as they come, deadlines, crashes that stay alone | a conversation with one worker |
//! | [`pipe`](crate::pipe), [`Queue`](crate::Queue) | processes that talk for a while | any shape: stages, many producers, replies | what is one value for one argument |
//! | [`Value`](crate::Value), [`Array`](crate::Array) | state that all see, changed in place | no copy | what a message could say: locks are harder to get right |
//! | [`run`](crate::run), [`Command`](crate::Command) | other programs | time limits that hold, whole output, pipelines | functions of this program |
//!
//! In doubt: tasks go to a [`Pool`](crate::Pool), a process that needs care is a [`Process`](crate::Process), and a program is
//! [`run`](crate::run).
//!
//! # What crossing costs
//!
//! An order of magnitude each, on one machine of two CPUs; `cargo xtask bench` measures yours.
//!
//! | | about |
//! |---|---|
//! | start and end a process by `Spawn` / `Zygote` / `Fork` | 1 ms / 0.2 ms / 0.1 ms (and more with a large parent, for `Fork` alone) |
//! | a task to a pool's worker that is up, there and back | a microsecond |
//! | a message through a pipe, both awake | half a microsecond |
//! | waking somebody who sleeps on another CPU | 60 microseconds |
//! | a lock between processes, free | 15 nanoseconds |
//!
//! So a task of a microsecond is better batched (`map` does it by itself) or done in a thread; from ten microseconds on the
//! crossing hardly shows.
//!
//! # Together
//!
//! They mix: a task of a pool is a future, so an async service awaits it; a pool may be used from many threads; a worker may
//! use threads of its own. One rule holds: [`init`](crate::init) is the first line of `main`, before any thread or runtime.
