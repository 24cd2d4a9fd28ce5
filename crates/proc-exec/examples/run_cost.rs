//! What running a program costs, beside the standard library: medians of alternating runs, their ratio, and the ratio of
//! the time on a CPU, ours and the programs' together, which a busy machine disturbs less.
//!
//! `cargo run --release -p proc-exec --example run_cost [ROUNDS] [LARGE_ROUNDS]`

use proc_exec::{Resource, Sink, cmd, run};
use std::hint::black_box;
use std::io::{Read, Write};
use std::process::{Command as Std, Stdio};
use std::time::{Duration, Instant};

const MIB: usize = 1 << 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let rounds: usize = args.next().map_or(Ok(300), |n| n.parse())?;
    let large: usize = args.next().map_or(Ok(9), |n| n.parse())?;

    println!("{:<46} {:>10} {:>10}  ratio  CPU", "", "other", "ours");
    compare("/bin/true, inherited, against status()", rounds, std_status, || {
        cmd!("/bin/true").status().map(drop)
    })?;
    compare("/bin/true, captured, against output()", rounds, std_output, plain)?;
    compare("/bin/true, every option, against ours plain", rounds, plain, every_option)?;
    compare(
        "echo hi, captured, against output()",
        rounds,
        || std_echo().map(drop),
        || run(["/bin/echo", "hi"]).map(drop),
    )?;

    let before = cost_of(rounds, plain)?;
    let memory = touched(1024 * MIB);
    let with_memory = cost_of(rounds, plain)?;
    line("/bin/true, with 1 GiB in use, against without", before.clone(), with_memory);
    let with_all = cost_of(rounds, every_option)?;
    line("... and every option", before, with_all);
    drop(black_box(memory));

    compare("capture of 256 MiB, against output()", large, std_capture, || {
        let out = run(["head", "-c", "268435456", "/dev/zero"])?;
        assert_eq!(out.stdout.len(), 256 * MIB);
        Ok(())
    })?;
    let bytes = touched(64 * MIB);
    let mut cat = cmd!("cat");
    cat.input(bytes.clone());
    compare(
        "64 MiB through cat, against std and a thread",
        large,
        || std_cat(&bytes),
        || {
            let out = cat.run()?;
            assert_eq!(out.stdout.len(), 64 * MIB);
            Ok(())
        },
    )?;
    Ok(())
}

fn plain() -> Result<(), proc_exec::RunError> {
    run(["/bin/true"]).map(drop)
}

fn every_option() -> Result<(), proc_exec::RunError> {
    cmd!("/bin/true")
        .session()
        .current_dir("/")
        .env("A", "b")
        .umask(0o77)
        .nice(0)
        .affinity(0..2)
        .resource_limit(Resource::Core, 0, 0)
        .parent_death_signal(9)
        .no_new_privs()
        .timeout(Duration::from_secs(60))
        .stderr(Sink::capture())
        .run()
        .map(drop)
}

fn std_status() -> std::io::Result<()> {
    Std::new("/bin/true").status().map(drop)
}

fn std_output() -> std::io::Result<()> {
    Std::new("/bin/true").output().map(drop)
}

fn std_echo() -> std::io::Result<Vec<u8>> {
    Ok(Std::new("/bin/echo").arg("hi").output()?.stdout)
}

fn std_capture() -> std::io::Result<()> {
    let out = Std::new("head").args(["-c", "268435456", "/dev/zero"]).output()?;
    assert_eq!(out.stdout.len(), 256 * MIB);
    Ok(())
}

/// What std leaves to its user: a thread that writes while this one reads.
fn std_cat(bytes: &[u8]) -> std::io::Result<()> {
    let mut child = Std::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let mut read = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(bytes)));
        stdout.map(|mut stdout| stdout.read_to_end(&mut read))
    });
    child.wait()?;
    assert_eq!(read.len(), bytes.len());
    Ok(())
}

fn touched(bytes: usize) -> Vec<u8> {
    let mut memory = vec![0_u8; bytes];
    memory.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    memory
}

/// The two in turns, so that a busy moment meets both.
fn compare<E: std::error::Error + 'static>(
    what: &str,
    rounds: usize,
    other: impl Fn() -> Result<(), E>,
    mut ours: impl FnMut() -> Result<(), proc_exec::RunError>,
) -> Result<(), Box<dyn std::error::Error>> {
    let (mut theirs, mut mine) = (Cost::default(), Cost::default());
    for _ in 0..rounds {
        theirs.add(&other)?;
        mine.add(&mut ours)?;
    }
    line(what, theirs, mine);
    Ok(())
}

fn cost_of<E>(rounds: usize, mut f: impl FnMut() -> Result<(), E>) -> Result<Cost, E> {
    let mut cost = Cost::default();
    for _ in 0..rounds {
        cost.add(&mut f)?;
    }
    Ok(cost)
}

#[derive(Clone, Default)]
struct Cost {
    times: Vec<Duration>,
    on_cpu: Duration,
}

impl Cost {
    fn add<E>(&mut self, mut f: impl FnMut() -> Result<(), E>) -> Result<(), E> {
        let (start, cpu) = (Instant::now(), on_cpu());
        f()?;
        self.times.push(start.elapsed());
        self.on_cpu += on_cpu().saturating_sub(cpu);
        Ok(())
    }

    fn median(&self) -> f64 {
        let mut times = self.times.clone();
        times.sort();
        times[times.len() / 2].as_nanos() as f64 / 1000.0
    }
}

/// Time on a CPU of this process and of the children that it has reaped.
fn on_cpu() -> Duration {
    let of = |who| {
        let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: a live structure, for which all zeros is a value.
        let usage = unsafe {
            libc::getrusage(who, usage.as_mut_ptr());
            usage.assume_init()
        };
        let time = |t: libc::timeval| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000);
        time(usage.ru_utime) + time(usage.ru_stime)
    };
    of(libc::RUSAGE_SELF) + of(libc::RUSAGE_CHILDREN)
}

fn line(what: &str, other: Cost, ours: Cost) {
    let (a, b) = (other.median(), ours.median());
    let cpu = ours.on_cpu.as_secs_f64() / other.on_cpu.as_secs_f64();
    println!("{what:<46} {a:>8.0}us {b:>8.0}us  {:.3}  {cpu:.3}", b / a);
}
