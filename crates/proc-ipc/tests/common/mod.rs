//! What the tests share.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{
    fs::File,
    io::Read,
    os::fd::AsFd,
    sync::Once,
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize, Serializer, ser::Error as _};

/// A time that only a hang reaches.
pub(crate) const LATE: Duration = Duration::from_secs(100);

/// Whether the long forms of the tests are to run.
pub(crate) fn long() -> bool {
    std::env::var_os("PROC_IPC_LONG_TESTS").is_some()
}

/// Runs `work`, which takes at least `time`.
pub(crate) fn not_early<R>(time: Duration, work: impl FnOnce() -> R) -> R {
    let start = Instant::now();
    let result = work();
    assert!(start.elapsed() >= time, "{:?} instead of {time:?}", start.elapsed());
    result
}

/// Bytes of which no two pages are alike.
pub(crate) fn pattern(n: usize, seed: usize) -> Vec<u8> {
    let block: Vec<u8> = (0..4096).map(|i| (i * 31 + (i >> 8) + seed * 7) as u8).collect();
    let mut bytes = Vec::with_capacity(n + block.len());
    for i in 0..n.div_ceil(block.len()) {
        bytes.extend_from_slice(&block);
        let at = bytes.len() - 8;
        bytes[at..].copy_from_slice(&i.to_ne_bytes());
    }
    bytes.truncate(n);
    bytes
}

/// Whether `bytes` are such, without another copy of them.
pub(crate) fn is_pattern(bytes: &[u8], seed: usize) -> bool {
    let block = pattern(4096, seed);
    bytes.chunks(4096).enumerate().all(|(i, chunk)| {
        let number = i.to_ne_bytes();
        let (body, end) = chunk.split_at(chunk.len().min(4096 - number.len()));
        body == &block[..body.len()] && end == &number[..end.len()]
    })
}

/// One at a time: a long form may need gigabytes.
pub(crate) fn take_turns() -> impl Drop {
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

pub(crate) fn open_fds() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Waits for a condition that another process or thread brings about.
pub(crate) fn eventually(mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LATE, "it never came");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Interrupts this thread's system calls every 200 us until it is dropped.
pub(crate) struct Interruptions {
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

extern "C" fn nothing(_: libc::c_int) {}

impl Interruptions {
    pub(crate) fn of_this_thread() -> Interruptions {
        static HANDLER: Once = Once::new();
        HANDLER.call_once(|| {
            // SAFETY: a valid action without SA_RESTART, whose handler does nothing.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = nothing as *const () as usize;
                assert_eq!(libc::sigaction(libc::SIGUSR2, &raw const action, std::ptr::null_mut()), 0);
            }
        });
        // SAFETY: always succeeds.
        let target = unsafe { libc::pthread_self() };
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let seen = stop.clone();
        let thread = thread::spawn(move || {
            while !seen.load(std::sync::atomic::Ordering::Relaxed) {
                // SAFETY: the thread lives until `self` is dropped, which waits for this one.
                unsafe { libc::pthread_kill(target, libc::SIGUSR2) };
                thread::sleep(Duration::from_micros(200));
            }
        });
        Interruptions { stop, thread: Some(thread) }
    }
}

impl Drop for Interruptions {
    fn drop(&mut self) {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

/// A value whose encoding fails, if told so, after a descriptor was given.
#[derive(Debug, Deserialize)]
pub(crate) struct Fussy {
    #[serde(with = "proc_core::fd")]
    pub(crate) file: File,
    pub(crate) fails: bool,
}

impl Fussy {
    pub(crate) fn new(fails: bool) -> Fussy {
        Fussy { file: File::open("/proc/self/comm").unwrap(), fails }
    }
}

impl Serialize for Fussy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Fussy(u32, bool);
        let ticket = proc_core::transfer::give(self.file.as_fd()).map_err(S::Error::custom)?;
        if self.fails {
            return Err(S::Error::custom("fussy"));
        }
        Fussy(ticket, self.fails).serialize(serializer)
    }
}

pub(crate) fn read(mut file: impl Read) -> String {
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    text
}

/// Numbers that are the same in each run: xorshift, from a seed that is not 0.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
