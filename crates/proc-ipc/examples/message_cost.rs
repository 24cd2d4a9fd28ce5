//! What a message costs: round trips and streams, beside a bare socket pair.
//!
//! `cargo run --release -p proc-ipc --example message_cost [FILTER]`
//!
//! Medians of five rounds. *Free*: the scheduler places both processes; *apart*: pinned to the first and the last CPU
//! that may be used; *same*: pinned to one.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    time::Instant,
};

use proc_core::{Fd, Process};
use proc_ipc::{Connection, Queue, pipe, ring};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

const ROUNDS: usize = 5;

#[derive(Clone, Copy, serde::Serialize, serde::Deserialize)]
enum Place {
    Free,
    Apart,
    Same,
}

fn pin(place: Place, child: bool) {
    let all = sched_getaffinity(None).expect("this thread has CPUs");
    let cpus: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|i| all.is_set(*i)).collect();
    let cpu = match (place, child) {
        (Place::Free, _) => return,
        (Place::Apart, true) => cpus[cpus.len() - 1],
        _ => cpus[0],
    };
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).expect("it is a CPU of this thread");
}

/// Runs `work` in a thread of its own, which is pinned, and gives the median of nanoseconds for one of `n`.
fn median(place: Place, n: u64, mut work: impl FnMut() + Send) -> f64 {
    let mut all: Vec<f64> = std::thread::scope(|s| {
        let rounds = s.spawn(move || {
            pin(place, false);
            let mut round = || {
                let start = Instant::now();
                work();
                start.elapsed().as_secs_f64() * 1e9 / n as f64
            };
            (0..ROUNDS).map(|_| round()).collect()
        });
        rounds.join().expect("the work does not panic")
    });
    all.sort_by(f64::total_cmp);
    all[ROUNDS / 2]
}

fn ring_echo((place, mut end): (Place, ring::Duplex)) {
    pin(place, true);
    let mut bytes = Vec::new();
    while end.receiver.recv_into(&mut bytes, None).is_ok() && end.sender.send(&[&bytes], None).is_ok() {}
}

fn pipe_echo((place, end): (Place, Connection<u64>)) {
    pin(place, true);
    while end.recv().is_ok_and(|number| end.send(number).is_ok()) {}
}

fn queue_echo((place, tasks, results): (Place, Queue<u64>, Queue<u64>)) {
    pin(place, true);
    while tasks.get().is_ok_and(|number| results.put(number).is_ok()) {}
}

fn socket_echo((place, mut socket): (Place, Fd<UnixStream>)) {
    pin(place, true);
    let mut bytes = [0; 8];
    while socket.read_exact(&mut bytes).is_ok() && socket.write_all(&bytes).is_ok() {}
}

fn ring_round(place: Place) -> f64 {
    let (mut ours, theirs) = ring::pair(ring::CAPACITY, ring::CAPACITY).expect("a ring");
    let child = Process::spawn(ring_echo, (place, theirs)).expect("a child");
    let n = 50_000_u64;
    let ns = median(place, n, || {
        for i in 0..n {
            ours.sender.send(&[&i.to_ne_bytes()], None).expect("the child lives");
            ours.receiver.recv(None).expect("the child lives");
        }
    });
    drop(ours);
    child.join().expect("it ends with the ring");
    ns
}

fn pipe_round(place: Place) -> f64 {
    let (ours, theirs) = pipe().expect("a pipe");
    let child = Process::spawn(pipe_echo, (place, theirs)).expect("a child");
    let n = 50_000;
    let ns = median(place, n, || {
        for i in 0..n {
            ours.send(i).expect("the child lives");
            ours.recv().expect("the child lives");
        }
    });
    drop(ours);
    child.join().expect("it ends with the pipe");
    ns
}

fn queue_round(place: Place) -> f64 {
    let (tasks, results) = (Queue::bounded(100).expect("a queue"), Queue::bounded(100).expect("a queue"));
    let child = Process::spawn(queue_echo, (place, tasks.clone(), results.clone())).expect("a child");
    let n = 50_000;
    let ns = median(place, n, || {
        for i in 0..n {
            tasks.put(i).expect("it is open");
            results.get().expect("it is open");
        }
    });
    tasks.close();
    child.join().expect("it ends with the queue");
    ns
}

fn socket_round(place: Place) -> f64 {
    let (mut ours, theirs) = UnixStream::pair().expect("a socket pair");
    let child = Process::spawn(socket_echo, (place, Fd(theirs))).expect("a child");
    let n = 5_000;
    let ns = median(place, n, || {
        let mut bytes = [0; 8];
        for _ in 0..n {
            ours.write_all(&bytes).expect("the child lives");
            ours.read_exact(&mut bytes).expect("the child lives");
        }
    });
    drop(ours);
    child.join().expect("it ends with the socket");
    ns
}

type Sixty = [u64; 8];

fn typed_sink((place, end): (Place, Connection<Sixty>)) {
    pin(place, true);
    while let Ok(message) = end.recv() {
        if message[0] == u64::MAX {
            end.send(message).expect("the parent waits for it");
        }
    }
}

fn typed_stream(place: Place, n: u64) -> f64 {
    let (ours, theirs) = pipe().expect("a pipe");
    let child = Process::spawn(typed_sink, (place, theirs)).expect("a child");
    let ns = median(place, n, || {
        for i in 0..n {
            ours.send([i; 8]).expect("the child lives");
        }
        ours.send([u64::MAX; 8]).expect("the child lives");
        ours.recv().expect("the child lives");
    });
    drop(ours);
    child.join().expect("it ends with the pipe");
    ns
}

fn vector_sink((place, end): (Place, Connection<Vec<u8>>)) {
    pin(place, true);
    while let Ok(message) = end.recv() {
        if message.is_empty() {
            end.send(message).expect("the parent waits for it");
        }
    }
}

fn vector_stream(place: Place, n: u64, size: usize) -> f64 {
    let (ours, theirs) = pipe().expect("a pipe");
    let child = Process::spawn(vector_sink, (place, theirs)).expect("a child");
    let mut message = vec![1; size];
    let ns = median(place, n, || {
        for _ in 0..n {
            // The same vector again, as a sender that fills it anew would have it.
            let vector = std::mem::take(&mut message);
            ours.send_bytes(&vector).expect("the child lives");
            message = vector;
        }
        ours.send(Vec::new()).expect("the child lives");
        ours.recv().expect("the child lives");
    });
    drop(ours);
    child.join().expect("it ends with the pipe");
    ns
}

/// Bytes inside of a message: encoded to a buffer, decoded from one.
#[derive(serde::Serialize, serde::Deserialize)]
struct Framed {
    number: u64,
    #[serde(with = "bytes")]
    payload: Vec<u8>,
}

/// What the `serde_bytes` crate does.
mod bytes {
    use serde::{Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    struct Bytes;

    impl de::Visitor<'_> for Bytes {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("bytes")
        }

        fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
            Ok(bytes.to_vec())
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        deserializer.deserialize_byte_buf(Bytes)
    }
}

fn framed_sink((place, end): (Place, Connection<Framed>)) {
    pin(place, true);
    while let Ok(message) = end.recv() {
        if message.number == u64::MAX {
            end.send(message).expect("the parent waits for it");
        }
    }
}

fn framed_stream(place: Place, n: u64, size: usize) -> f64 {
    let (ours, theirs) = pipe().expect("a pipe");
    let child = Process::spawn(framed_sink, (place, theirs)).expect("a child");
    let mut payload = vec![1; size];
    let ns = median(place, n, || {
        for number in 0..n {
            let message = Framed { number, payload: std::mem::take(&mut payload) };
            payload = ours.try_again(message);
        }
        ours.send(Framed { number: u64::MAX, payload: Vec::new() }).expect("the child lives");
        ours.recv().expect("the child lives");
    });
    drop(ours);
    child.join().expect("it ends with the pipe");
    ns
}

/// Sending consumes the message; a fresh payload of the same size stands for the next one.
trait Again {
    fn try_again(&self, message: Framed) -> Vec<u8>;
}

impl Again for Connection<Framed> {
    fn try_again(&self, message: Framed) -> Vec<u8> {
        let size = message.payload.len();
        self.send(message).expect("the child lives");
        vec![1; size]
    }
}

fn bytes_sink((place, end): (Place, Connection<u8>)) {
    pin(place, true);
    let mut bytes = Vec::new();
    while end.recv_bytes_into(&mut bytes).is_ok() {
        if bytes.is_empty() {
            end.send_bytes(&[]).expect("the parent waits for it");
        }
    }
}

fn bytes_stream(place: Place, n: u64, size: usize) -> f64 {
    let (ours, theirs) = pipe().expect("a pipe");
    let child = Process::spawn(bytes_sink, (place, theirs)).expect("a child");
    let bytes = vec![1; size];
    let ns = median(place, n, || {
        for _ in 0..n {
            ours.send_bytes(&bytes).expect("the child lives");
        }
        ours.send_bytes(&[]).expect("the child lives");
        ours.recv_bytes().expect("the child lives");
    });
    drop(ours);
    child.join().expect("it ends with the pipe");
    ns
}

fn queue_source((place, tasks, n): (Place, Queue<Sixty>, u64)) {
    pin(place, true);
    for i in 0..n {
        tasks.put([i; 8]).expect("it is open");
    }
}

fn queue_sink((place, tasks): (Place, Queue<Sixty>)) {
    pin(place, true);
    while let Ok(message) = tasks.get() {
        std::hint::black_box(message);
        tasks.task_done();
    }
}

fn queue_get_sink((place, tasks, done): (Place, Queue<Sixty>, Queue<()>)) {
    pin(place, true);
    while let Ok(message) = tasks.get() {
        if message[0] == u64::MAX {
            done.put(()).expect("it is open");
        }
    }
}

fn queue_stream(place: Place, n: u64) -> f64 {
    let (tasks, done) = (Queue::bounded(4096).expect("a queue"), Queue::bounded(1).expect("a queue"));
    let child = Process::spawn(queue_get_sink, (place, tasks.clone(), done.clone())).expect("a child");
    let ns = median(place, n, || {
        for i in 0..n {
            tasks.put([i; 8]).expect("it is open");
        }
        tasks.put([u64::MAX; 8]).expect("it is open");
        done.get().expect("it is open");
    });
    tasks.close();
    child.join().expect("it ends with the queue");
    ns
}

/// Two put, two get. `task_done` is part of what is measured.
fn queue_two_to_two(n: u64) -> f64 {
    let tasks = Queue::bounded(4096).expect("a queue");
    let sinks: Vec<_> =
        (0..2).map(|_| Process::spawn(queue_sink, (Place::Free, tasks.clone())).expect("a child")).collect();
    let ns = median(Place::Free, n, || {
        let sources: Vec<_> = (0..2)
            .map(|_| Process::spawn(queue_source, (Place::Free, tasks.clone(), n / 2)).expect("a child"))
            .collect();
        sources.into_iter().for_each(|source| source.join().expect("it puts all"));
        tasks.join().expect("this is no forked child");
    });
    tasks.close();
    sinks.into_iter().for_each(|sink| sink.join().expect("it ends with the queue"));
    ns
}

fn main() {
    proc_core::init();
    let filter = std::env::args().nth(1).unwrap_or_default();
    let places = [Place::Free, Place::Apart, Place::Same];
    println!("{:36} {:>9} {:>9} {:>9}", "round trip, ns", "free", "apart", "same");
    let row = |name: &str, size: usize, f: &dyn Fn(Place) -> f64| {
        if !name.contains(&filter) {
            return;
        }
        let figures = places.map(f);
        print!("{name:36} {:9.0} {:9.0} {:9.0}", figures[0], figures[1], figures[2]);
        if size > 0 {
            print!("   {:6.2} GB/s free", size as f64 / figures[0]);
        }
        println!();
    };
    row("ring, 8 bytes", 0, &ring_round);
    row("pipe, u64", 0, &pipe_round);
    row("queue, u64", 0, &queue_round);
    row("socket pair, 8 bytes", 0, &socket_round);
    println!("\n{:36} {:>9} {:>9} {:>9}", "one way, ns a message", "free", "apart", "same");
    row("pipe, 64 B typed", 64, &|place| typed_stream(place, 1_000_000));
    row("pipe, 64 B bytes", 64, &|place| bytes_stream(place, 1_000_000, 64));
    row("pipe, 1 KiB bytes", 1024, &|place| bytes_stream(place, 300_000, 1024));
    row("pipe, 64 KiB bytes", 1 << 16, &|place| bytes_stream(place, 10_000, 1 << 16));
    row("pipe, 1 MiB bytes", 1 << 20, &|place| bytes_stream(place, 1000, 1 << 20));
    row("pipe, 1 MiB Vec<u8>", 1 << 20, &|place| vector_stream(place, 1000, 1 << 20));
    row("pipe, 1 MiB in a struct", 1 << 20, &|place| framed_stream(place, 1000, 1 << 20));
    row("queue, 64 B typed, 1 to 1", 64, &|place| queue_stream(place, 1_000_000));
    if "queue, 64 B typed, 2 to 2".contains(&filter) {
        println!("{:36} {:9.0}", "queue, 64 B typed, 2 to 2", queue_two_to_two(1_000_000));
    }
}
