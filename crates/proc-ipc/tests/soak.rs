//! Tests for channels whose users are killed all the time. Alone in its file, as it counts descriptors.

mod common;

use std::{
    fs::File,
    io::{Read, Seek, Write},
    sync::atomic::{AtomicU8, AtomicU64, Ordering::SeqCst},
    time::{Duration, Instant},
};

use proc_core::{Fd, Process};
use proc_ipc::{Receiver, Sender, channel, unbounded_channel};
use proc_shm::region::{Region, RegionOptions};
use serde::{Deserialize, Serialize};

proc_core::init_for_tests!();

/// Producers that there may be, one after the other, and messages that each may send: more than it lives for.
const WHO: usize = 2048;
const MESSAGES: usize = 1 << 20;

/// Messages that may wait before a producer of a channel without a bound pauses.
const BACKLOG: usize = 2000;

const OPTIONS: RegionOptions = RegionOptions::new(u32::from_ne_bytes(*b"soak"));

/// What the processes noted: for each producer how many sends have returned, for each message how often it was received.
struct Notes(Region);

impl Notes {
    fn new() -> Notes {
        // Pages only where somebody notes something.
        Notes(OPTIONS.create_sparse(WHO * 8 + WHO * MESSAGES, WHO * 8).unwrap())
    }

    fn file(&self) -> Fd<File> {
        Fd(File::from(self.0.fd().unwrap().try_clone_to_owned().unwrap()))
    }

    fn open(file: Fd<File>) -> Notes {
        Notes(OPTIONS.open(file.0.into()).unwrap())
    }

    fn sent(&self, who: u32) -> &AtomicU64 {
        // SAFETY: these bytes are atomics to everybody.
        unsafe { self.0.at(who as usize * 8) }
    }

    fn received(&self, who: u32, i: u64) -> &AtomicU8 {
        // SAFETY: these bytes are atomics to everybody.
        unsafe { self.0.at(WHO * 8 + who as usize * MESSAGES + i as usize) }
    }
}

#[derive(Serialize, Deserialize)]
struct Item {
    who: u32,
    i: u64,
    body: String,
    /// Says who and which in its content.
    file: Option<Fd<File>>,
}

fn body(who: u32, i: u64) -> String {
    let length = (i * 37 + u64::from(who)) % 3000;
    format!("{who} {i} {}", "x".repeat(length as usize))
}

fn produce((tx, notes, who): (Sender<Item>, Fd<File>, u32)) {
    let notes = Notes::open(notes);
    for i in 0..MESSAGES as u64 {
        let file = (i % 97 == 0).then(|| {
            let file = rustix::fs::memfd_create("item", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
            let mut file = File::from(file);
            write!(file, "{who} {i}").unwrap();
            Fd(file)
        });
        if tx.send(Item { who, i, body: body(who, i), file }).is_err() {
            return;
        }
        notes.sent(who).store(i + 1, SeqCst);
        while tx.len() > BACKLOG {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    // Until it is killed.
    std::thread::sleep(common::LATE);
}

fn consume((rx, notes): (Receiver<Item>, Fd<File>)) {
    let notes = Notes::open(notes);
    for item in &rx {
        let item = item.expect("all messages are whole");
        assert!(item.body == body(item.who, item.i), "{} {}", item.who, item.i);
        assert_eq!(item.file.is_some(), item.i % 97 == 0);
        if let Some(mut file) = item.file {
            let mut text = String::new();
            file.rewind().unwrap();
            file.read_to_string(&mut text).unwrap();
            assert_eq!(text, format!("{} {}", item.who, item.i), "a descriptor of another message");
        }
        notes.received(item.who, item.i).fetch_add(1, SeqCst);
    }
}

/// Ends this process, with a word of why, if the test hangs.
struct Watchdog {
    _stop: std::sync::mpsc::Sender<()>,
}

impl Watchdog {
    fn new(time: Duration) -> Watchdog {
        let (stop, stopped) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            if stopped.recv_timeout(time) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                eprintln!("the test hangs: nothing for {time:?}");
                std::process::abort();
            }
        });
        Watchdog { _stop: stop }
    }
}

/// Kilobytes of memory that a channel has, of whichever process.
fn memory_kib(file: &File) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(&file.metadata().unwrap()) / 2
}

fn soak(tx: Sender<Item>, rx: Receiver<Item>, time: Duration, seed: u64) {
    let _watchdog = Watchdog::new(time + common::LATE);
    let notes = Notes::new();
    let files = proc_core::transfer::pack(&tx).unwrap().fds.into_iter().map(File::from);
    let memory = files.max_by_key(|file| file.metadata().unwrap().len()).unwrap();
    let mut most = 0;
    let mut next = 0;
    let mut producer = || {
        next += 1;
        (next - 1, Process::spawn(produce, (tx.clone(), notes.file(), next - 1)).unwrap())
    };
    let consumer = || Process::spawn(consume, (rx.clone(), notes.file())).unwrap();
    let mut producers: Vec<_> = (0..4).map(|_| producer()).collect();
    let mut consumers: Vec<_> = (0..4).map(|_| consumer()).collect();
    let start = Instant::now();
    let (mut random, mut killed_consumers) = (seed, 0);
    while start.elapsed() < time {
        std::thread::sleep(Duration::from_millis(50));
        most = most.max(memory_kib(&memory));
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let victim = (random >> 33) as usize % 8;
        if victim < 4 {
            let fresh = producer();
            let (_, old) = std::mem::replace(&mut producers[victim], fresh);
            old.kill().unwrap();
            old.join().unwrap_err();
        } else {
            let old = std::mem::replace(&mut consumers[victim - 4], consumer());
            let alive = old.is_alive();
            old.kill().unwrap();
            assert!(alive, "a consumer ended by itself: {:?}", old.join());
            old.join().unwrap_err();
            killed_consumers += 1;
        }
    }
    for (_, process) in producers {
        process.kill().unwrap();
        process.join().unwrap_err();
    }
    drop(tx);
    // The end reaches all of them, after the last message.
    for process in consumers {
        process.join().unwrap();
    }
    assert!(rx.try_recv().is_err_and(|e| e == proc_ipc::RecvError::Disconnected));
    let (mut lost, mut total) = (0, 0);
    for who in 0..next {
        let sent = notes.sent(who).load(SeqCst);
        total += sent;
        // The one that it was just sending too.
        for i in 0..(sent + 2).min(MESSAGES as u64) {
            let times = notes.received(who, i).load(SeqCst);
            assert!(times <= 1, "message {i} of {who} came {times} times");
            lost += u64::from(i < sent && times == 0);
            // The one that it was just sending when it was killed may have been sent.
            assert!(i <= sent || times == 0, "message {i} of {who} came and was never sent");
        }
    }
    assert!(
        lost <= killed_consumers,
        "{lost} messages are lost, and {killed_consumers} consumers were killed"
    );
    // A hundredth of what a slow machine does.
    assert!(total > 200 * time.as_secs(), "only {total} messages in {time:?}");
    // What is there at once is 6 MiB at most, and segments that a backlog left behind are few.
    assert!(most < 64 << 10, "{most} KiB of memory");
}

#[test]
fn smoke() {
    let time = Duration::from_secs(if common::long() { 40 } else { 4 });
    // What the first of its kind leaves open for the next ones.
    drop(channel::<u8>(1).unwrap());
    Process::spawn(|()| (), ()).unwrap().join().unwrap();
    let fds = common::open_fds();
    let (tx, rx) = channel(50).unwrap();
    soak(tx, rx, time, 1);
    assert_eq!(common::open_fds(), fds);
    let (tx, rx) = unbounded_channel().unwrap();
    soak(tx, rx, time / 4, 2);
    assert_eq!(common::open_fds(), fds);
    let (tx, rx) = proc_ipc::channel_of_bytes(100_000).unwrap();
    soak(tx, rx, time / 4, 3);
    assert_eq!(common::open_fds(), fds);
}
