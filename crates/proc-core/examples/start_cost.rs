//! What a start and a join cost, under each method and beside what the system asks for at least.
//!
//! ```text
//! cargo run --release -p proc-core --example start_cost -- [--quick | MiB of this process [rounds]]
//! ```
//!
//! The ways take turns, round by round, so that other load hits them alike: compare the ratios, not figures of two runs.

use std::ffi::{CString, c_char, c_int, c_void};
use std::process::{Command, exit};
use std::time::{Duration, Instant};

use proc_core::{Process, StartMethod};

/// Set for a child that is only to be started.
const BARE: &str = "START_COST_BARE";

fn main() {
    if std::env::var_os(BARE).is_some() {
        exit(0);
    }
    proc_core::init();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, or: usize| args.get(at).and_then(|arg| arg.parse().ok()).unwrap_or(or);
    let quick = args.iter().any(|arg| arg == "--quick");
    let (mib, rounds) = (number(0, 0), number(1, if quick { 10 } else { 200 }).max(1));
    // Every page is written to, as a fork would otherwise have nothing to copy.
    let ballast = vec![1_u8; mib << 20];

    let fork: [Way; 2] = [("fork, exit, wait", bare_fork), ("Fork", |()| by(StartMethod::Fork))];
    let exec: [Way; 3] = [
        ("vfork, exec of itself, wait", bare_exec),
        ("Spawn", |()| by(StartMethod::Spawn)),
        ("std::process::Command of itself", |()| command()),
    ];
    let zygote: [Way; 1] = [("Zygote", |()| by(StartMethod::Zygote))];
    println!("{mib} MiB, {rounds} rounds: start, one value there and back, join");
    println!("{:34} {:>9} {:>9} {:>9}", "", "median us", "p90 us", "ratio");
    table(&fork, rounds);
    table(&exec, rounds);
    table(&zygote, rounds);
    std::hint::black_box(&ballast);
}

type Way = (&'static str, fn(()));

/// Measures the ways in turn, and prints them with their ratios to the first.
fn table(ways: &[Way], rounds: usize) {
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); ways.len()];
    // The first rounds, which warm up, are not counted.
    for round in 0..rounds + 3 {
        for ((_, way), times) in ways.iter().zip(&mut times) {
            let begin = Instant::now();
            way(());
            if round >= 3 {
                times.push(begin.elapsed());
            }
        }
    }
    let at = |times: &mut Vec<Duration>, part: f64| {
        times.sort_unstable();
        times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e6
    };
    let floor = at(&mut times[0], 0.5);
    for ((name, _), times) in ways.iter().zip(&mut times) {
        let (median, p90) = (at(times, 0.5), at(times, 0.9));
        println!("{name:34} {median:9.0} {p90:9.0} {:9.2}", median / floor);
    }
}

fn by(method: StartMethod) {
    let p = Process::builder().start_method(method).spawn(|x: u64| x + 1, 41).expect("it starts");
    assert_eq!(p.join().expect("it has a value"), 42);
}

fn command() {
    assert!(Command::new("/proc/self/exe").env(BARE, "1").status().expect("it starts").success());
}

fn wait(pid: c_int) {
    assert!(pid > 0);
    let mut status = -1;
    // SAFETY: a live integer.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    assert_eq!(status, 0);
}

fn bare_fork((): ()) {
    // SAFETY: the child makes one system call.
    match unsafe { libc::fork() } {
        // SAFETY: ends the child.
        0 => unsafe { libc::_exit(0) },
        pid => wait(pid),
    }
}

struct Image {
    argv: [*const c_char; 2],
    envp: [*const c_char; 2],
}

extern "C" fn become_image(image: *mut c_void) -> c_int {
    // SAFETY: the parent passes an image that lives until this process has another, with null-terminated lists.
    unsafe {
        let image = &*image.cast::<Image>();
        libc::execve(c"/proc/self/exe".as_ptr(), image.argv.as_ptr(), image.envp.as_ptr());
        libc::_exit(127)
    }
}

fn bare_exec((): ()) {
    let variable = CString::new(format!("{BARE}=1")).expect("no zeros");
    let null = std::ptr::null();
    let image = Image { argv: [c"bare".as_ptr(), null], envp: [variable.as_ptr(), null] };
    let mut stack = vec![0_u64; 8192];
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the child makes system calls only, on a stack of its own; this frame is suspended until it has its image.
    let pid = unsafe {
        let top = stack.as_mut_ptr().add(stack.len());
        libc::clone(become_image, top.cast(), flags, (&raw const image).cast_mut().cast())
    };
    wait(pid);
}
