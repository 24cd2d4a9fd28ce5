//! Tests for peers that write nonsense into the shared memory: an error, never more.

mod common;

use common::Random;

use std::{
    fs::File,
    os::fd::AsFd,
    ptr,
    time::{Duration, Instant},
};

use proc_core::transfer::pack;
use proc_ipc::{Receiver, Sender, channel, ring};

/// The memory of an end, mapped once more: what a peer could do.
struct Memory {
    start: *mut u8,
    len: usize,
}

impl Memory {
    /// `len` bytes of the memory file among what `end` would send along.
    fn of(end: &(impl serde::Serialize + 'static), len: usize) -> Memory {
        let packed = pack(end).unwrap();
        let file =
            packed.fds.into_iter().map(File::from).max_by_key(|f| f.metadata().unwrap().len()).unwrap();
        let len = len.min(file.metadata().unwrap().len() as usize);
        // SAFETY: a fresh mapping replaces nothing.
        let start = unsafe {
            rustix::mm::mmap(
                ptr::null_mut(),
                len,
                rustix::mm::ProtFlags::READ | rustix::mm::ProtFlags::WRITE,
                rustix::mm::MapFlags::SHARED,
                file.as_fd(),
                0,
            )
        };
        Memory { start: start.unwrap().cast(), len }
    }

    fn write(&self, at: usize, word: u64) {
        let at = at % (self.len / 8) * 8;
        // SAFETY: within the mapping and aligned; others read it as atomics.
        unsafe {
            (*self.start.add(at).cast::<std::sync::atomic::AtomicU64>())
                .store(word, std::sync::atomic::Ordering::Relaxed)
        };
    }

    fn read(&self, at: usize) -> u64 {
        let at = at % (self.len / 8) * 8;
        // SAFETY: as for `write`.
        unsafe {
            (*self.start.add(at).cast::<std::sync::atomic::AtomicU64>())
                .load(std::sync::atomic::Ordering::Relaxed)
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: our mapping, used no more.
        unsafe { rustix::mm::munmap(self.start.cast(), self.len).unwrap() };
    }
}

// SAFETY: the mapping belongs to no thread, and is written by atomics.
unsafe impl Sync for Memory {}

impl Random {
    /// Values that are near what is expected, and values that are not.
    fn word(&mut self, now: u64) -> u64 {
        match self.next() % 8 {
            0 => self.next(),
            1 => now.wrapping_add(self.next() % 64),
            2 => now.wrapping_sub(self.next() % 64),
            3 => u64::MAX,
            4 => 0,
            5 => now ^ (1 << (self.next() % 64)),
            6 => self.next() % 4096 * 8,
            _ => (self.next() % 300) | ((self.next() % 7) << 32) | ((self.next() % 2) << 40),
        }
    }
}

fn rounds() -> u64 {
    if common::long() { 20_000 } else { 400 }
}

fn soon() -> Option<Instant> {
    Some(Instant::now() + Duration::from_micros(200))
}

/// The first word of a ring's records, behind the region's header and two pages of the rings' headers.
const RECORDS: usize = (128 + 8192) / 8;

#[test]
fn smoke() {
    let (mut tx, mut rx) = ring::one_way(4096).unwrap();
    let memory = Memory::of(&rx, usize::MAX);
    tx.try_send(&[b"record"]).unwrap();
    // The head of the record says that it is longer than all there is.
    memory.write(RECORDS, 4000 | 1 << 32);
    assert!(matches!(rx.try_recv(), Err(ring::RecvError::Corrupted)));
    assert!(matches!(rx.recv(soon()), Err(ring::RecvError::Corrupted)));
}

#[test]
fn a_ring_full_of_nonsense_is_an_error() {
    let mut random = Random(88_172_645_463_325_252);
    let mut errors = 0;
    for round in 0..rounds() {
        let (mut tx, mut rx) = ring::one_way(4096).unwrap();
        let memory = Memory::of(&rx, usize::MAX);
        let file = File::open("/dev/null").unwrap();
        for _ in 0..random.next() % 5 {
            let _ = tx.try_send(&[&vec![1; random.next() as usize % 900]]);
            let _ = tx.try_send_with_fds(&[b"x"], &[file.as_fd()]);
        }
        for _ in 0..60 {
            for _ in 0..random.next() % 4 {
                // The headers are what matters most.
                let at = if random.next() % 2 == 0 { random.next() % 128 } else { random.next() } as usize;
                memory.write(at, random.word(memory.read(at)));
            }
            match random.next() % 6 {
                0 => errors += u64::from(tx.try_send(&[b"more"]).is_err()),
                1 if round % 8 == 0 => drop(tx.send(&[&[1; 9000]], soon())),
                1 => drop(tx.free_space()),
                2 if round % 8 == 0 => errors += u64::from(rx.recv(soon()).is_err()),
                _ => errors += u64::from(rx.try_recv().is_err()),
            }
        }
    }
    assert!(errors > rounds(), "nothing was wrong: {errors}");
}

#[test]
fn a_ring_that_changes_under_the_reader_is_an_error() {
    for round in 1..if common::long() { 2000 } else { 40 } {
        let (mut tx, mut rx) = ring::one_way(4096).unwrap();
        let memory = Memory::of(&rx, usize::MAX);
        let stop = Instant::now() + Duration::from_millis(10);
        std::thread::scope(|s| {
            let memory = &memory;
            s.spawn(move || {
                let mut random = Random(round);
                while Instant::now() < stop {
                    // Records only: with the positions gone it is over at once.
                    let at = RECORDS + random.next() as usize % 512;
                    memory.write(at, random.word(memory.read(at)));
                }
            });
            while Instant::now() < stop {
                let _ = tx.try_send(&[&[5; 100]]);
                match rx.try_recv() {
                    Ok(Some(record)) => assert!(record.bytes.len() < 4096 * 4),
                    Ok(None) => {}
                    Err(_) => break,
                }
            }
        });
    }
}

/// Empty pieces of a message, without end and as fast as they are taken.
#[test]
fn a_message_without_end_is_received_until_the_deadline_at_most() {
    let (tx, mut rx) = ring::one_way(4096).unwrap();
    let memory = Memory::of(&rx, usize::MAX);
    let (tail, head) = (128 / 8, (128 + 128) / 8);
    // A first piece of one byte, and the message's length.
    memory.write(RECORDS, 9 | 2 << 32);
    memory.write(RECORDS + 1, 1 << 40);
    memory.write(tail, 24);
    assert!(rx.try_recv().unwrap().is_none());
    (0..512).for_each(|i| memory.write(RECORDS + i, 3 << 32));
    let done = std::sync::atomic::AtomicBool::new(false);
    let most = std::thread::scope(|s| {
        s.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                (0..1000).for_each(|_| memory.write(tail, memory.read(head) + 4096));
            }
        });
        let stop = Instant::now() + Duration::from_millis(500);
        let rounds = std::iter::repeat_with(Instant::now).take_while(|now| *now < stop);
        let taken = rounds.map(|_| {
            let before = memory.read(head);
            let ended =
                matches!(rx.try_recv(), Ok(None)) && matches!(rx.recv(Some(Instant::now())), Ok(None));
            ended.then(|| memory.read(head) - before)
        });
        let most = taken.map(|taken| taken.unwrap_or(u64::MAX)).max();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        most
    });
    drop(tx);
    // Two calls, each of which may take what there is room for, and the piece that it is at.
    assert!(most <= Some(2 * (4096 + 1024)), "{most:?} bytes were taken after the deadline");
}

/// Words of a channel that are locks: nonsense there is somebody who holds it, which only ends a wait by its deadline.
fn is_lock(word: usize, locks: &[usize]) -> bool {
    locks.contains(&word)
}

/// As by a process that was stopped in the middle of a send, or of a receive.
#[test]
fn a_section_that_is_never_left_ends_no_wait_late() {
    let (tx, rx): (Sender<u8>, Receiver<u8>) = channel(1).unwrap();
    let memory = Memory::of(&tx, 4096);
    let (senders, receivers) = (128 / 8, (128 + 256) / 8);
    // A living thread that never leaves.
    let (tid, ids) = std::sync::mpsc::channel();
    let (stay, gone) = std::sync::mpsc::channel::<()>();
    let holder = std::thread::spawn(move || {
        tid.send(u64::from(rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs())).unwrap();
        let _ = gone.recv();
    });
    let holder_id = ids.recv().unwrap();
    let time = Duration::from_millis(50);
    let in_time = |f: &dyn Fn()| {
        let start = Instant::now();
        f();
        assert!(start.elapsed() < Duration::from_secs(20));
    };
    let free = memory.read(senders);
    memory.write(senders, (free & !0xffff_ffff) | holder_id);
    in_time(&|| assert!(tx.try_send(1).unwrap_err().is_full()));
    in_time(&|| assert!(tx.send_timeout(1, time).unwrap_err().is_full()));
    in_time(&|| assert_eq!(rx.recv_timeout(time), Ok(None)));
    in_time(&|| assert_eq!(rx.poll(time), Ok(false)));
    in_time(&|| assert!(proc_ipc::wait(&[&rx], time).unwrap().is_empty()));
    in_time(&|| assert_eq!(rx.arm().unwrap_err().kind(), std::io::ErrorKind::ResourceBusy));
    memory.write(senders, free);
    tx.send(1).unwrap();
    memory.write(receivers, (memory.read(receivers) & !0xffff_ffff) | holder_id);
    in_time(&|| assert!(tx.send_timeout(1, time).unwrap_err().is_full()));
    in_time(&|| assert_eq!(rx.recv_timeout(time), Ok(None)));
    drop(stay);
    holder.join().unwrap();
    memory.write(receivers, memory.read(receivers) & !0xffff_ffff);
    assert_eq!(rx.recv(), Ok(1));
}

/// Where the first segment of a channel's messages is in its file, whose length says how many segments there are.
fn messages(memory: &Memory) -> usize {
    const SEGMENT: usize = 256 * 1024;
    let segments = 1 << (memory.len / SEGMENT).ilog2();
    memory.len - segments * SEGMENT
}

#[test]
fn a_record_that_goes_on_behind_its_segment_is_an_error() {
    let (tx, rx): (Sender<u8>, Receiver<u8>) = channel(20).unwrap();
    let memory = Memory::of(&tx, usize::MAX);
    let last = messages(&memory) / 8 + (256 * 1024 - 16) / 8;
    tx.send_bytes(&[1; 256 * 1024 - 32]).unwrap();
    tx.send_bytes(&[]).unwrap();
    tx.send_bytes(&[3; 1000]).unwrap();
    assert_eq!(rx.recv_bytes().unwrap().len(), 256 * 1024 - 32);
    assert_eq!(memory.read(last), 1 << 56, "the head of the empty message");
    memory.write(last, 100 | 1 << 56);
    assert_eq!(rx.recv_bytes(), Err(proc_ipc::RecvError::Corrupted));
    memory.write(last, 1 << 56);
    assert_eq!((rx.recv_bytes().unwrap().len(), rx.recv_bytes().unwrap().len()), (0, 1000));
}

/// A word of a channel's tables, or a record of its first segments, to be spoilt, and by what.
fn table_or_record(memory: &Memory, random: &mut Random) -> (usize, u64) {
    let data = messages(memory) / 8;
    let tables = [4096 / 8, 4096 / 8 + (data - 4096 / 8) / 2];
    let near = random.next() as usize;
    let at = match random.next() % 5 {
        0 => tables[0] + near % 4,
        1 => tables[1] + near % 4,
        // At the end of a segment, and at the start of the next.
        2 => data + 256 * 1024 / 8 - 64 + near % 128,
        _ => data + near % 2048,
    };
    let now = memory.read(at);
    let word = match random.next() % 6 {
        // Lengths are short of what would only fill this machine's memory.
        0 => ((random.next() % 7) << 56) | (random.next() % (1 << 20)),
        1 => now ^ (1 << (random.next() % 20)),
        2 => now ^ (1 << (56 + random.next() % 8)),
        3 => random.next() & 0xff00_0000_00ff_ffff,
        4 => 0,
        _ => ((random.next() % 70_000) << 32) | (random.next() % 70_000),
    };
    (at, word)
}

#[test]
fn a_channel_that_changes_under_its_ends_is_an_error() {
    for round in 1..if common::long() { 2000 } else { 30 } {
        let (tx, rx): (Sender<Vec<u8>>, Receiver<Vec<u8>>) = channel(20).unwrap();
        let memory = Memory::of(&tx, usize::MAX);
        let stop = Instant::now() + Duration::from_millis(10);
        std::thread::scope(|s| {
            let memory = &memory;
            s.spawn(move || {
                let mut random = Random(round);
                while Instant::now() < stop {
                    let (at, word) = table_or_record(memory, &mut random);
                    memory.write(at, word);
                }
            });
            let mut random = Random(round);
            while Instant::now() < stop {
                let length = [0, 9, 5000, 200_000, 300_000][random.next() as usize % 5];
                let _ = tx.try_send(vec![1; length]);
                if let Ok(Some(message)) = rx.try_recv() {
                    assert!(message.len() <= 1 << 30);
                }
            }
        });
    }
}

#[test]
fn a_channel_full_of_nonsense_is_an_error() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    // The region's header, then the lines of the senders and of the receivers, which start with their lock.
    let locks = [128 / 8, (128 + 256) / 8];
    let mut errors = 0;
    for _ in 0..rounds() / 4 {
        let (tx, rx): (Sender<Vec<u8>>, Receiver<Vec<u8>>) = channel(20).unwrap();
        let header = Memory::of(&tx, usize::MAX);
        for _ in 0..random.next() % 5 {
            let _ = tx.try_send(vec![1; random.next() as usize % 5000]);
        }
        for _ in 0..60 {
            for _ in 0..random.next() % 3 {
                let at = random.next() as usize % 112;
                if at >= 16 && !is_lock(at, &locks) {
                    header.write(at, random.word(header.read(at)));
                }
            }
            for _ in 0..random.next() % 3 {
                let (at, word) = table_or_record(&header, &mut random);
                header.write(at, word);
            }
            let time = Duration::from_micros(200);
            match random.next() % 5 {
                0 => errors += u64::from(tx.try_send(vec![1; 9]).is_err()),
                1 => errors += u64::from(tx.send_timeout(vec![2; 300_000], time).is_err()),
                2 => errors += u64::from(rx.recv_timeout(time).is_err()),
                3 => drop((tx.len(), rx.is_empty())),
                _ => errors += u64::from(rx.try_recv().is_err()),
            }
        }
    }
    assert!(errors > rounds() / 4, "nothing was wrong: {errors}");
}
