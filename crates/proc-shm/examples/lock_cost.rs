//! What the locks cost, beside their rivals: `cargo run --release -p proc-shm --example lock_cost`.
//!
//! Every figure is the median of rounds in which all contenders take turns, and every ratio the median of the ratios of a
//! round, so that what else the machine does weighs on all alike.

use std::{
    error::Error,
    hint::black_box,
    sync::atomic::{
        AtomicU32, AtomicU64,
        Ordering::{Acquire, Relaxed, Release, SeqCst},
    },
    time::{Duration, Instant},
};

use proc_core::Process;
use proc_shm::{
    Condvar, Event, Mutex, RwLock, Value,
    raw::Section,
    region::{Region, RegionOptions},
};
use rustix::thread::futex::{self, Flags};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> Outcome {
    proc_core::init();
    let rounds = std::env::args().nth(1).map_or(Ok(15), |n| n.parse())?;
    uncontended(rounds)?;
    contended(rounds)?;
    wakes(rounds, false)?;
    wakes(rounds, true)?;
    Ok(())
}

fn uncontended(rounds: usize) -> Outcome {
    let bench = Bench::new()?;
    let parking_lot = parking_lot::Mutex::new(0_u64);
    let mutex = Mutex::new(0_u64)?;
    let value = Value::new(0_u64)?;
    let wide = Value::new([0_u64; 4])?;
    let rw = RwLock::new(0_u64)?;
    let (atomic, bare) = (Value::new(AtomicU64::new(0))?, Box::new(AtomicU64::new(0)));
    let mut table = Table::new("uncontended, ns for lock, add 1, unlock", "parking_lot (threads)");
    for _ in 0..rounds {
        table.row("parking_lot (threads)", per_op(100_000, || *black_box(&parking_lot).lock() += 1));
        table.row("plain futex mutex", per_op(100_000, || bench.plain_add()));
        table.row("pthread, shared", per_op(100_000, || bench.pthread_add(SHARED)));
        table.row("pthread, shared, robust", per_op(100_000, || bench.pthread_add(ROBUST)));
        table.row("Section", per_op(100_000, || bench.section_add()));
        table.row("Mutex<u64>", per_op(100_000, || *black_box(&mutex).lock().unwrap() += 1));
        table.row("Value<u64>", per_op(100_000, || *black_box(&value).lock().unwrap() += 1));
        table.row("Value<[u64; 4]>", per_op(100_000, || black_box(&wide).lock().unwrap()[3] += 1));
        table.row("Value<u64>::get", per_op(100_000, || hide(black_box(&value).get())));
        table.row("Value<[u64; 4]>::get", per_op(100_000, || hide(black_box(&wide).get())));
        table.row("RwLock<u64>::read", per_op(100_000, || hide(*black_box(&rw).read().unwrap())));
        table.row("RwLock<u64>::write", per_op(20_000, || *black_box(&rw).write().unwrap() += 1));
    }
    if let Some(figure) = python() {
        table.row("Python Value, get_lock()", figure);
    }
    table.print();
    let mut table = Table::new("add to an atomic, ns", "AtomicU64");
    for _ in 0..rounds {
        table.row("AtomicU64", per_op(200_000, || hide(black_box(&bare).fetch_add(1, Relaxed))));
        table.row("Value<AtomicU64>", per_op(200_000, || hide(black_box(&atomic).fetch_add(1, Relaxed))));
    }
    table.print();
    Ok(())
}

/// Python's own, where there is a Python.
fn python() -> Option<f64> {
    const SCRIPT: &str = "
import multiprocessing, time
v, n = multiprocessing.Value('i', 0), 50000
start = time.perf_counter()
for _ in range(n):
    with v.get_lock():
        v.value += 1
print((time.perf_counter() - start) / n * 1e9)";
    let output = std::process::Command::new("python3").args(["-c", SCRIPT]).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

fn contended(rounds: usize) -> Outcome {
    const CONTENDERS: [&str; 5] =
        ["plain futex mutex", "pthread, shared", "pthread, shared, robust", "Section", "Mutex<u64>"];
    const OPS: u32 = 100_000;
    fn work(which: usize, bench: &Bench, mutex: &Mutex<u64>) {
        match which {
            0 => repeat(OPS, || bench.plain_add()),
            1 => repeat(OPS, || bench.pthread_add(SHARED)),
            2 => repeat(OPS, || bench.pthread_add(ROBUST)),
            3 => repeat(OPS, || bench.section_add()),
            _ => repeat(OPS, || *mutex.lock().unwrap() += 1),
        }
    }
    /// Runs what it is told, when it is told.
    fn other((bench, mutex): (Bench, Mutex<u64>)) {
        for order in 1.. {
            let which = bench.await_order(order);
            if which == STOP {
                return;
            }
            work(which as usize, &bench, &mutex);
            bench.done().store(order, SeqCst);
        }
    }
    let (bench, mutex) = (Bench::new()?, Mutex::new(0)?);
    let child = Process::spawn(other, (bench.again()?, mutex.clone()))?;
    let mut table = Table::new("two processes at once, ns an operation", "plain futex mutex");
    let mut order = 0;
    for _ in 0..rounds {
        for (which, name) in CONTENDERS.into_iter().enumerate() {
            order += 1;
            bench.give_order(order, which as u32);
            let start = Instant::now();
            work(which, &bench, &mutex);
            while bench.done().load(SeqCst) != order {
                std::thread::yield_now();
            }
            table.row(name, start.elapsed().as_nanos() as f64 / f64::from(2 * OPS));
        }
    }
    bench.give_order(order + 1, STOP);
    child.join()?;
    table.print();
    Ok(())
}

/// From just before a wake until the sleeper runs.
fn wakes(rounds: usize, one_cpu: bool) -> Outcome {
    const WAKES: u32 = 100;
    type All = (Bench, Event, Mutex<u32>, Condvar, bool);
    fn other((bench, event, turn, changed, one_cpu): All) -> Vec<f64> {
        pin(one_cpu);
        let mut medians = Vec::new();
        for order in 1.. {
            let which = bench.await_order(order);
            if which == STOP {
                break;
            }
            let mut times = Vec::new();
            for wake in 1..=WAKES {
                match which {
                    0 => bench.await_word(wake),
                    1 => {
                        event.wait().unwrap();
                        event.clear();
                    }
                    _ => drop(changed.wait_while(turn.lock().unwrap(), |t| *t != wake).unwrap()),
                }
                times.push((now() - bench.stamp().load(SeqCst)) as f64);
                bench.done().store(order * 1000 + wake, SeqCst);
            }
            medians.push(median(times));
        }
        medians
    }
    pin(one_cpu);
    let (bench, event) = (Bench::new()?, Event::new()?);
    let (turn, changed) = (Mutex::new(0_u32)?, Condvar::new()?);
    let all = (bench.again()?, event.clone(), turn.clone(), changed.clone(), one_cpu);
    let child = Process::spawn(other, all)?;
    let title = if one_cpu { "a wake, on one CPU, ns" } else { "a wake, ns" };
    let mut table = Table::new(title, "futex");
    let mut order = 0;
    for _ in 0..rounds {
        for which in 0..3 {
            order += 1;
            bench.set_word(0);
            *turn.lock()? = 0;
            bench.give_order(order, which);
            for wake in 1..=WAKES {
                // Long enough that it is asleep.
                std::thread::sleep(Duration::from_micros(100));
                bench.stamp().store(now(), SeqCst);
                match which {
                    0 => bench.set_word(wake),
                    1 => event.set(),
                    _ => {
                        *turn.lock()? = wake;
                        changed.notify_one();
                    }
                }
                while bench.done().load(SeqCst) != order * 1000 + wake {
                    std::thread::yield_now();
                }
            }
        }
    }
    bench.give_order(order + 1, STOP);
    for (figure, name) in child.join()?.into_iter().zip(["futex", "Event", "Condvar"].into_iter().cycle()) {
        table.row(name, figure);
    }
    table.print();
    Ok(())
}

/// CLOCK_MONOTONIC in nanoseconds, the same in all processes.
fn now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

fn hide<T>(value: T) {
    black_box(value);
}

fn repeat(times: u32, mut f: impl FnMut()) {
    for _ in 0..times {
        f();
    }
}

fn per_op(times: u32, f: impl FnMut()) -> f64 {
    let start = Instant::now();
    repeat(times, f);
    start.elapsed().as_nanos() as f64 / f64::from(times)
}

fn pin(one_cpu: bool) {
    if one_cpu {
        let mut cpus = rustix::thread::CpuSet::new();
        cpus.set(0);
        let _ = rustix::thread::sched_setaffinity(None, &cpus);
    }
}

/// Rows of figures, a figure a round.
struct Table {
    title: &'static str,
    base: &'static str,
    rows: Vec<(&'static str, Vec<f64>)>,
}

impl Table {
    fn new(title: &'static str, base: &'static str) -> Table {
        Table { title, base, rows: Vec::new() }
    }

    fn row(&mut self, name: &'static str, figure: f64) {
        match self.rows.iter_mut().find(|(n, _)| *n == name) {
            Some((_, figures)) => figures.push(figure),
            None => self.rows.push((name, vec![figure])),
        }
    }

    fn print(&self) {
        println!("\n{} (and as a multiple of {})", self.title, self.base);
        let Some((_, base)) = self.rows.iter().find(|(name, _)| *name == self.base) else { return };
        for (name, figures) in &self.rows {
            let ratios = figures.iter().zip(base).map(|(a, b)| a / b).collect();
            println!("  {name:26} {:9.1}  {:5.2}", median(figures.clone()), median(ratios));
        }
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

const SHARED: usize = 256;
const ROBUST: usize = 512;
const STOP: u32 = 99;
const OPTIONS: RegionOptions = RegionOptions::new(u32::from_ne_bytes(*b"cost")).holds_locks();

/// The rivals and the orders, in one region, each on lines of its own.
struct Bench(Region);

impl Bench {
    fn new() -> Outcome<Bench> {
        let bench = Bench(OPTIONS.create(4096)?);
        for (at, robust) in [(SHARED, false), (ROBUST, true)] {
            // SAFETY: the attributes are initialized before they are used, and the mutex lies in 128 bytes of its own.
            unsafe {
                let mut attributes = std::mem::zeroed();
                assert_eq!(libc::pthread_mutexattr_init(&mut attributes), 0);
                assert_eq!(
                    libc::pthread_mutexattr_setpshared(&mut attributes, libc::PTHREAD_PROCESS_SHARED),
                    0
                );
                if robust {
                    assert_eq!(
                        libc::pthread_mutexattr_setrobust(&mut attributes, libc::PTHREAD_MUTEX_ROBUST),
                        0
                    );
                }
                assert_eq!(libc::pthread_mutex_init(bench.pthread(at), &attributes), 0);
            }
        }
        Ok(bench)
    }

    fn again(&self) -> Outcome<Bench> {
        Ok(Bench(OPTIONS.open(self.0.fd()?.try_clone_to_owned()?)?))
    }

    fn word(&self, at: usize) -> &AtomicU32 {
        // SAFETY: the offsets here are used as atomics by everybody, and are multiples of 64.
        unsafe { self.0.at(at) }
    }

    /// A number that locks guard; not atomic in what it does.
    fn add(&self, at: usize) {
        // SAFETY: as in `word`.
        let n: &AtomicU64 = unsafe { self.0.at(at) };
        n.store(n.load(Relaxed) + 1, Relaxed);
    }

    /// The textbook's: 0 free, 1 held, 2 held and waited for.
    fn plain_add(&self) {
        let word = self.word(0);
        if word.compare_exchange(0, 1, Acquire, Relaxed).is_err() {
            let mut spins = 0;
            while word.swap(2, Acquire) != 0 {
                while spins < 6 && word.load(Relaxed) != 0 {
                    spins += 1;
                    repeat(1 << spins, std::hint::spin_loop);
                }
                let _ = futex::wait(word, Flags::empty(), 2, None);
            }
        }
        self.add(64);
        if word.swap(0, Release) == 2 {
            let _ = futex::wake(word, Flags::empty(), 1);
        }
    }

    fn pthread(&self, at: usize) -> *mut libc::pthread_mutex_t {
        self.0.as_ptr().as_ptr().wrapping_add(at).cast()
    }

    fn pthread_add(&self, at: usize) {
        // SAFETY: initialized in `new`, and there as long as the region.
        unsafe {
            libc::pthread_mutex_lock(self.pthread(at));
            self.add(at + 64);
            libc::pthread_mutex_unlock(self.pthread(at));
        }
    }

    fn section_add(&self) {
        // SAFETY: a section is an atomic word, and this is one for everybody.
        let section: &Section = unsafe { self.0.at(768) };
        let _inside = section.lock();
        self.add(832);
    }

    fn give_order(&self, number: u32, which: u32) {
        self.word(1088).store(which, SeqCst);
        self.word(1024).store(number, SeqCst);
        let _ = futex::wake(self.word(1024), Flags::empty(), 1);
    }

    fn await_order(&self, number: u32) -> u32 {
        while self.word(1024).load(SeqCst) != number {
            let _ = futex::wait(self.word(1024), Flags::empty(), number - 1, None);
        }
        self.word(1088).load(SeqCst)
    }

    fn done(&self) -> &AtomicU32 {
        self.word(1152)
    }

    fn set_word(&self, to: u32) {
        self.word(1216).store(to, SeqCst);
        let _ = futex::wake(self.word(1216), Flags::empty(), 1);
    }

    fn await_word(&self, wanted: u32) {
        while self.word(1216).load(SeqCst) != wanted {
            let _ = futex::wait(self.word(1216), Flags::empty(), wanted - 1, None);
        }
    }

    fn stamp(&self) -> &AtomicU64 {
        // SAFETY: as in `word`.
        unsafe { self.0.at(1280) }
    }
}

impl Serialize for Bench {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.give().map_err(ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Bench {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bench, D::Error> {
        OPTIONS.take(u32::deserialize(deserializer)?).map(Bench).map_err(de::Error::custom)
    }
}
