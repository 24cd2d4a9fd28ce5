//! Tests that what the facade promises is there, under one name, and composes.

#[test]
fn smoke() {
    // Everything that its page names, so that a name that goes is noticed here.
    #[allow(unused_imports)]
    use multiprocess::{
        ExitStatus, Fd, Fork, Func, JoinError, Message, Panic, Process, ProcessBuilder, ProcessHandle,
        RemoteError, SpawnError, SpawnErrorKind, StartMethod, Stdio, Zygote, active_children,
        available_parallelism, current, fd, fork, init, init_for_tests, leave_interrupts_to_parent, parent,
        proc_core,
    };
}

#[test]
#[cfg(feature = "exec")]
fn programs() {
    #[allow(unused_imports)]
    use multiprocess::{
        CancelToken, Child, Command, Encoding, Input, KillScope, Lines, Output, Overflow, Pipeline, Resource,
        RunError, RunErrorKind, Session, Sink, Stage, Stream, cmd, proc_exec, run, wait_any,
    };
    assert_eq!(cmd!("echo", "one", 2.to_string()).read().unwrap().trim(), "one 2");
}

#[test]
#[cfg(all(feature = "pty", feature = "async"))]
fn features_of_programs() {
    #[allow(unused_imports)]
    use multiprocess::{Running, Window};
}

#[test]
#[cfg(feature = "ipc")]
fn messages() {
    #[allow(unused_imports)]
    use multiprocess::{
        Address, Armed, Client, ConnectError, Connection, Incoming, Listener, ListenerBuilder, Peer,
        PipeReceiver, PipeSender, Queue, Ready, Receiver, RecvError, Refusal, SendError, Sender, Waitable,
        channel, channel_of_bytes, one_way, pipe, proc_ipc, unbounded_channel, wait,
    };
    let (tx, rx) = channel(1).unwrap();
    tx.send(1).unwrap();
    assert!(wait(&[&rx], None).unwrap()[0]);
}

#[test]
#[cfg(feature = "shm")]
fn shared_memory() {
    #[allow(unused_imports)]
    use multiprocess::{
        Array, Barrier, BarrierError, Condvar, Event, Frozen, Guard, LockError, LockFree, MappedGuard,
        MappedReadGuard, Mutex, Part, Permit, Plain, ReadGuard, RecursiveGuard, RecursiveMutex, RwLock,
        Semaphore, Shared, SharedMemory, Unlockable, Value, ValueGuard, WaitTimeoutResult, WriteGuard,
        proc_shm, shared,
    };
    let value = Value::new(1_u8).unwrap();
    *value.lock().unwrap() += 1;
    assert_eq!(value.get(), 2);
}

#[test]
#[cfg(feature = "pool")]
fn tasks() {
    #[allow(unused_imports)]
    use multiprocess::{
        AsCompleted, Imap, ImapUnordered, Lend, Pool, PoolBuilder, PoolError, PoolInit, PoolWith, Progress,
        Stats, Task, TaskError, TaskId, WorkerStats, as_completed, proc_pool,
    };
}
