//! Where and with what the figures were taken.

use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// The rivals' packages, whose versions the page names.
const PACKAGES: [&str; 10] = [
    "crossbeam-channel",
    "duct",
    "iceoryx2",
    "ipc-channel",
    "parking_lot",
    "procspawn",
    "rayon",
    "subprocess",
    "threadpool",
    "tokio",
];

/// Name and value, in the page's order.
#[derive(Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) facts: Vec<(String, String)>,
    /// How many CPUs others kept busy just before the start: figures of a busy machine are noise.
    pub(crate) busy_before: f64,
    /// The same just after the end.
    pub(crate) busy_after: f64,
}

impl Machine {
    /// What can be known before the run.
    pub(crate) fn look() -> Self {
        let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = field(&cpus, "model name").unwrap_or("unknown");
        let count = cpus.lines().filter(|line| line.starts_with("processor")).count();
        let usable = std::thread::available_parallelism().map_or(0, usize::from);
        let virtual_ = if cpus.contains(" hypervisor") { ", a virtual machine" } else { "" };
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let memory =
            field(&memory, "MemTotal").and_then(|text| text.strip_suffix(" kB")?.parse::<f64>().ok());
        let pages = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
        let git = |words: &str| said("git", &words.split(' ').collect::<Vec<_>>());
        let changed = if git("status --porcelain").is_empty() { "" } else { ", with changes" };
        let facts = [
            ("Date", said("date", &["-u", "+%Y-%m-%d %H:%M UTC"])),
            ("Commit", format!("{}{changed}", git("rev-parse --short=12 HEAD"))),
            ("CPU", format!("{model}; {count} CPUs, {usable} of them usable{virtual_}")),
            ("Memory", memory.map_or("unknown".into(), |kib| format!("{:.1} GiB", kib / 1_048_576.0))),
            ("Huge pages", pages.trim().to_owned()),
            ("Kernel", said("uname", &["-sr"])),
            ("C library", said("getconf", &["GNU_LIBC_VERSION"])),
            ("Compiler", format!("{}, profile release", said("rustc", &["--version"]))),
            ("Python", said("python3", &["--version"])),
            ("Rivals", versions()),
        ];
        let facts = facts.into_iter().map(|(name, value)| (name.to_owned(), or_none(value))).collect();
        Machine { facts, busy_before: busy(), busy_after: 0.0 }
    }
}

/// How many CPUs are busy while we sleep for a second. (The load average still remembers the build.)
pub(crate) fn busy() -> f64 {
    let (before, start) = (busy_ticks(), Instant::now());
    std::thread::sleep(Duration::from_secs(1));
    let ticks = busy_ticks() - before;
    // Linux counts in hundredths of a second here, on every machine.
    ticks / 100.0 / start.elapsed().as_secs_f64()
}

/// The ticks in which all CPUs together did something, or were taken away by the hypervisor.
fn busy_ticks() -> f64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let numbers = text.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let numbers: Vec<f64> = numbers.filter_map(|number| number.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; what follows is counted in user already.
    numbers.iter().take(8).enumerate().filter(|(i, _)| ![3, 4].contains(i)).map(|(_, ticks)| ticks).sum()
}

fn or_none(value: String) -> String {
    if value.is_empty() { "none found".into() } else { value }
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim())
}

/// What a program says on its first line; nothing if it can't be run.
fn said(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned()
}

/// The rivals' versions as the lock file has them.
fn versions() -> String {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
    let lock = fs::read_to_string(lock).unwrap_or_default();
    let lines: Vec<&str> = lock.lines().collect();
    let quoted = |line: &str, name: &str| {
        let value = line.strip_prefix(name)?.strip_prefix(" = \"")?.strip_suffix('"')?;
        Some(value.to_owned())
    };
    let packages = lines.windows(2).filter_map(|pair| {
        let (name, version) = (quoted(pair[0], "name")?, quoted(pair[1], "version")?);
        PACKAGES.contains(&name.as_str()).then_some((name, version))
    });
    // Of two versions the older one, which comes first, is used by another package and not by us.
    let newest: std::collections::BTreeMap<String, String> = packages.collect();
    newest.into_iter().map(|(name, version)| format!("{name} {version}")).collect::<Vec<_>>().join(", ")
}
