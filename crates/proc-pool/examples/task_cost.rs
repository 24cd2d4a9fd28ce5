//! What a task costs: medians of several rounds, with a plain pool of threads over channels beside them.
//!
//! `cargo run --release -p proc-pool --example task_cost [FIGURE...]`

use proc_core::StartMethod;
use proc_pool::{Pool, PoolBuilder};
use std::hint::black_box;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

type Figure = fn() -> Result<()>;
type Job = Box<dyn FnOnce() + Send>;

const ROUNDS: usize = 5;

fn main() -> Result<()> {
    proc_core::init();
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let figures: [(&str, Figure); 8] = [
        ("submit", submit),
        ("map", map),
        ("single", single),
        ("bulk", bulk),
        ("create", create),
        ("queued", queued),
        ("many", many_workers),
        ("unequal", unequal),
    ];
    for (name, figure) in figures {
        if wanted.is_empty() || wanted.iter().any(|w| w == name) {
            figure()?;
        }
    }
    Ok(())
}

fn tiny(x: u64) -> u64 {
    black_box(x) + 1
}

/// The median of several rounds.
fn median(mut round: impl FnMut() -> Result<f64>) -> Result<f64> {
    let mut all = (0..ROUNDS).map(|_| round()).collect::<Result<Vec<f64>>>()?;
    all.sort_by(f64::total_cmp);
    Ok(all[ROUNDS / 2])
}

fn rate(n: u64, start: Instant) -> f64 {
    n as f64 / start.elapsed().as_secs_f64() / 1e6
}

fn submit_rate(pool: &Pool) -> Result<f64> {
    const N: u64 = 300_000;
    median(|| {
        let start = Instant::now();
        let tasks: Vec<_> = (0..N).map(|x| pool.submit(tiny, x)).collect();
        let mut sum = 0;
        for task in tasks {
            sum += task.get()?;
        }
        assert_eq!(sum, N * (N + 1) / 2);
        Ok(rate(N, start))
    })
}

fn map_rate(pool: &Pool) -> Result<f64> {
    const N: u64 = 3_000_000;
    median(|| {
        let start = Instant::now();
        let values = pool.map(tiny, 0..N)?;
        assert_eq!(values.len() as u64, N);
        Ok(rate(N, start))
    })
}

fn submit() -> Result<()> {
    let ours = submit_rate(&Pool::new(2)?)?;
    const N: u64 = 300_000;
    let threads = median(|| {
        let pool = Threads::new(2);
        let start = Instant::now();
        let tasks: Vec<_> = (0..N).map(|x| pool.submit(move || tiny(x))).collect();
        let sum: u64 = tasks.into_iter().map(|task| task.recv().unwrap_or(0)).sum();
        assert_eq!(sum, N * (N + 1) / 2);
        Ok(rate(N, start))
    })?;
    println!("submit of tiny tasks, 2 workers:   {ours:8.2} M/s    (threads and channels {threads:.2})");
    Ok(())
}

fn map() -> Result<()> {
    let ours = map_rate(&Pool::new(2)?)?;
    println!("map of tiny tasks, 2 workers:      {ours:8.2} M/s");
    Ok(())
}

fn single() -> Result<()> {
    let pool = Pool::new(2)?;
    let one_by_one = |mut one: Box<dyn FnMut(u64) -> Result<()>>| -> Result<f64> {
        let mut times = Vec::new();
        for x in 0..20_000 {
            let start = Instant::now();
            one(x)?;
            times.push(start.elapsed().as_nanos() as f64 / 1000.0);
        }
        times.sort_by(f64::total_cmp);
        Ok(times[times.len() / 2])
    };
    let ours = one_by_one(Box::new(move |x| {
        pool.submit(tiny, x).get()?;
        Ok(())
    }))?;
    let threads = Threads::new(2);
    let theirs = one_by_one(Box::new(move |x| {
        threads.submit(move || tiny(x)).recv()?;
        Ok(())
    }))?;
    println!("one at a time:                     {ours:8.2} us     (threads and channels {theirs:.2})");
    Ok(())
}

fn bulk() -> Result<()> {
    let pool = Pool::new(2)?;
    const SIZE: usize = 1 << 20;
    const N: usize = 200;
    let ours = median(|| {
        let items: Vec<Vec<u8>> = (0..N).map(|_| vec![7; SIZE]).collect();
        let start = Instant::now();
        let mut count = 0;
        for value in pool.imap_unordered(|v: Vec<u8>| v, items) {
            assert_eq!(value?.len(), SIZE);
            count += 1;
        }
        assert_eq!(count, N);
        Ok(2.0 * (N * SIZE) as f64 / start.elapsed().as_secs_f64() / 1e9)
    })?;
    println!("1 MiB in and 1 MiB out:            {ours:8.2} GB/s");
    Ok(())
}

fn create() -> Result<()> {
    let time = |method| {
        median(|| {
            let start = Instant::now();
            let pool = Pool::builder().workers(2).start_method(method).build()?;
            assert_eq!(pool.apply(tiny, 1)?, 2);
            pool.close();
            pool.join()?;
            Ok(start.elapsed().as_secs_f64() * 1e3)
        })
    };
    let spawn = time(StartMethod::Spawn)?;
    let zygote = time(StartMethod::Zygote)?;
    println!("create, one result, close:         {spawn:8.2} ms     by Spawn, {zygote:.2} ms by Zygote");
    Ok(())
}

fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.trim().trim_end_matches("kB").trim().parse::<f64>().unwrap_or(0.0) * 1024.0
}

fn queued() -> Result<()> {
    let pool = Pool::new(2)?;
    let busy: Vec<_> =
        (0..2).map(|_| pool.submit(|()| std::thread::sleep(Duration::from_secs(30)), ())).collect();
    const N: usize = 1_000_000;
    // The handles themselves are the caller's.
    let mut tasks = Vec::with_capacity(N);
    tasks.push(pool.submit(tiny, 0));
    let before = resident();
    tasks.extend((1..N as u64).map(|x| pool.submit(tiny, x)));
    let bytes = (resident() - before) / N as f64;
    let handles = size_of_val(&tasks[0]);
    let start = Instant::now();
    pool.terminate();
    drop((busy, pool));
    let end = start.elapsed();
    println!(
        "a million queued tasks:            {bytes:8.0} bytes each with {handles} of a handle; ended in {end:?}"
    );
    Ok(())
}

fn many_workers() -> Result<()> {
    for (name, figure) in [("submit", submit_rate as fn(&Pool) -> Result<f64>), ("map", map_rate)] {
        let mut rates = Vec::new();
        for workers in [2, 8, 32] {
            let pool = Pool::new(workers)?;
            while pool.stats().workers.iter().any(|worker| worker.pid.is_none()) {
                std::thread::sleep(Duration::from_millis(10));
            }
            std::thread::sleep(Duration::from_millis(100));
            rates.push(figure(&pool)?);
        }
        let [two, eight, thirty_two] = rates[..] else { unreachable!() };
        println!(
            "{name} with 2, 8, 32 workers:{:9.2} M/s, {:.2}x, {:.2}x",
            two,
            eight / two,
            thirty_two / two
        );
    }
    Ok(())
}

/// One task in a hundred takes a hundred times as long. Tasks sleep, so that the number of CPUs does not matter.
fn unequal() -> Result<()> {
    let pool: Pool = PoolBuilder::default().workers(4).build()?;
    let work = |us: u64| std::thread::sleep(Duration::from_micros(us));
    let items = || (0..2000_u64).map(|i| if i % 100 == 37 { 40_000 } else { 400 });
    // What a sleep takes beyond what was asked for counts as work.
    let one = Instant::now();
    (0..50).for_each(|_| work(400));
    let extra = one.elapsed().as_micros() as f64 / 50.0 - 400.0;
    let ideal = (items().sum::<u64>() as f64 + 2000.0 * extra) / 4.0 / 1e6;
    let took = median(|| {
        let start = Instant::now();
        pool.map(work, items())?;
        Ok(start.elapsed().as_secs_f64())
    })?;
    println!("unequal tasks, 4 workers:          {:8.2} x ideal ({ideal:.3} s)", took / ideal);
    Ok(())
}

/// The plainest pool of threads: one channel, one lock.
struct Threads {
    jobs: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Threads {
    fn new(n: usize) -> Threads {
        let (jobs, work) = channel::<Job>();
        let work = Arc::new(Mutex::new(work));
        let serve = |work: Arc<Mutex<Receiver<Job>>>| {
            move || {
                loop {
                    let Ok(next) = work.lock().map(|work| work.recv()) else { return };
                    let Ok(job) = next else { return };
                    job();
                }
            }
        };
        let threads = (0..n).map(|_| std::thread::spawn(serve(work.clone()))).collect();
        Threads { jobs: Some(jobs), threads }
    }

    fn submit<R: Send + 'static>(&self, f: impl FnOnce() -> R + Send + 'static) -> Receiver<R> {
        let (sender, receiver) = channel();
        let job = Box::new(move || drop(sender.send(f())));
        if let Some(jobs) = &self.jobs {
            let _ = jobs.send(job);
        }
        receiver
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
