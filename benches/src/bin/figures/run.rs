//! Runs every participant in a process of its own, in rounds, each under a time limit.

use crate::machine::{self, Machine};
use crate::options::Options;
use crate::results::{Figure, Results, Trouble};
use crate::targets;
use benches::{Case, Group, MISSING, Place, Unit};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use std::error::Error;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long `--quick` measures altogether; the page takes a moment more.
const QUICK: Duration = Duration::from_secs(165);

/// When the quick form gives one participant up.
const LIMIT_QUICK: Duration = Duration::from_secs(15);

/// How many rounds the long form makes. The rounds lie minutes apart, so that a disturbance strikes one of them.
const ROUNDS: usize = 3;

/// Asks the groups what they have, and measures it.
pub(crate) fn all(options: &Options) -> Result<Results, Box<dyn Error>> {
    let mut groups = Vec::new();
    for program in &options.programs {
        let output = Command::new(program).arg("--list").output()?;
        let group: Group =
            serde_json::from_slice(&output.stdout).map_err(|e| format!("{}: {e}", program.display()))?;
        groups.push(group);
    }
    let unknown = targets::unknown(&groups);
    if options.unbuilt.is_none() && !unknown.is_empty() {
        return Err(format!("targets name figures that there are not: {}", unknown.join(", ")).into());
    }
    let rounds = if options.quick { 1 } else { ROUNDS };
    let (figures, jobs): (Vec<Figure>, Vec<Job>) = figures(&groups, &options.programs).into_iter().unzip();
    let mut results = Results {
        machine: Machine::look(),
        command: options.command.clone(),
        quick: options.quick,
        rounds,
        unbuilt: options.unbuilt.clone(),
        figures,
        groups,
    };
    let begun = Instant::now();
    let total = rounds * results.figures.len();
    let mut done = 0;
    for _ in 0..rounds {
        for (figure, job) in results.figures.iter_mut().zip(&jobs) {
            let left = QUICK.saturating_sub(begun.elapsed());
            let plan = match options.quick {
                true => Plan::quick(left, total - done),
                false => Plan::long(),
            };
            done += 1;
            let name = format!("{} {}", figure.group, figure.id());
            eprint!("[{done:3}/{total}] {name}: ");
            let said = match step(&job.program, figure, plan, &options.out) {
                Ok(samples) => {
                    let said = crate::stats::Spread::of(&samples).map(|spread| job.unit.show(spread.median));
                    figure.samples.extend(samples);
                    said.unwrap_or_else(|| "no samples".into())
                }
                Err(trouble) => {
                    let said = trouble.to_string();
                    figure.trouble = Some(trouble);
                    said
                }
            };
            eprintln!("{said}");
        }
    }
    results.machine.busy_after = machine::busy();
    Ok(results)
}

/// How a figure is found.
struct Job {
    program: PathBuf,
    unit: Unit,
}

/// All that is to be measured, given the groups and the program of each. Those of one case at one place follow each other,
/// and so do cases that are compared with each other, so that a ratio is taken within seconds. Places come one after the
/// other, and the groups take turns: if the quick form runs out of time, no group has lost everything.
fn figures(groups: &[Group], programs: &[PathBuf]) -> Vec<(Figure, Job)> {
    let families: Vec<Vec<&[Case]>> =
        groups.iter().map(|group| group.cases.chunk_by(|_, next| next.follows).collect()).collect();
    let most = families.iter().map(Vec::len).max().unwrap_or_default();
    let mut figures = Vec::new();
    for place in Place::ALL {
        for turn in 0..most {
            for ((group, families), program) in groups.iter().zip(&families).zip(programs) {
                for case in families.get(turn).copied().unwrap_or_default() {
                    for subject in case.subjects.iter().filter(|subject| subject.places.contains(&place)) {
                        let figure = Figure {
                            group: group.key.clone(),
                            case: case.key.clone(),
                            subject: subject.key.clone(),
                            place,
                            samples: Vec::new(),
                            trouble: None,
                        };
                        figures.push((figure, Job { program: program.clone(), unit: case.unit.clone() }));
                    }
                }
            }
        }
    }
    figures
}

/// How long one participant is measured, and when it is given up.
#[derive(Clone, Copy)]
struct Plan {
    samples: u32,
    warm_up: Duration,
    measure: Duration,
    limit: Duration,
    long: bool,
}

impl Plan {
    fn long() -> Self {
        Plan {
            samples: 20,
            warm_up: Duration::from_millis(200),
            measure: Duration::from_millis(1000),
            limit: Duration::from_secs(60),
            long: true,
        }
    }

    /// An equal part of what time is left. What starts slowly takes more, and the rest then a little less each.
    fn quick(left: Duration, figures: usize) -> Self {
        let part = left / figures.max(1) as u32;
        Plan {
            samples: 10,
            warm_up: (part / 8).min(Duration::from_millis(100)),
            measure: (part / 2).min(Duration::from_millis(500)),
            limit: left.min(LIMIT_QUICK),
            long: false,
        }
    }
}

/// Measures one participant once.
fn step(program: &Path, figure: &Figure, plan: Plan, out: &Path) -> Result<Vec<f64>, Trouble> {
    if plan.limit.is_zero() {
        return Err(Trouble::Skipped);
    }
    // One that hangs will hang again: the rounds need not wait for it each time.
    if let Some(trouble @ (Trouble::Hung(_) | Trouble::Missing(_))) = &figure.trouble {
        return Err(trouble.clone());
    }
    let failed = |e: &dyn std::fmt::Display| Trouble::Failed(e.to_string());
    let data = out.join("criterion");
    let _ = fs::remove_dir_all(&data);
    let (said, complained) = (out.join("stdout.txt"), out.join("stderr.txt"));
    let mut child = Command::new(program)
        .args(if plan.long { &["--long"][..] } else { &[] })
        .args(["--only", &figure.id(), "--samples", &plan.samples.to_string()])
        .args(["--warm-up", &plan.warm_up.as_millis().to_string()])
        .args(["--measure", &plan.measure.as_millis().to_string()])
        .arg("--data")
        .arg(&data)
        .stdin(Stdio::null())
        .stdout(File::create(&said).map_err(|e| failed(&e))?)
        .stderr(File::create(&complained).map_err(|e| failed(&e))?)
        .process_group(0)
        .spawn()
        .map_err(|e| failed(&e))?;
    let status = wait(&mut child, plan.limit).map_err(|e| failed(&e))?;
    // Whatever a rival left behind must not disturb the next one.
    kill_group(&child);
    let said = fs::read_to_string(&said).unwrap_or_default();
    let complained = fs::read_to_string(&complained).unwrap_or_default();
    let Some(status) = status else {
        let _ = child.wait();
        // Cut short by the end of the quick form, it may not have hung at all.
        return Err(match plan.limit < LIMIT_QUICK {
            true => Trouble::Skipped,
            false => Trouble::Hung(plan.limit.as_secs()),
        });
    };
    if status.code() == Some(MISSING) {
        let why = said.lines().find_map(|line| line.strip_prefix("missing: "));
        return Err(Trouble::Missing(why.unwrap_or("no reason given").to_owned()));
    }
    if !status.success() {
        return Err(Trouble::Failed(format!("{status}; {}", reason(&complained))));
    }
    let by_hand: Vec<f64> =
        said.lines().filter_map(|line| line.strip_prefix("sample: ")?.parse().ok()).collect();
    if by_hand.is_empty() { samples(&data).map_err(|e| failed(&e)) } else { Ok(by_hand) }
}

fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if begun.elapsed() > limit {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn kill_group(child: &Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // An empty group is what we hope for.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// What a failed program said, as far as it fits in a table.
fn reason(complained: &str) -> String {
    let lines =
        complained.lines().filter(|line| !line.starts_with("Benchmarking") && !line.trim().is_empty());
    let said: Vec<&str> = lines.take(3).collect();
    said.join(" ").chars().take(300).collect()
}

/// Criterion's samples: it writes the iterations of each and the nanoseconds they took.
fn samples(folder: &Path) -> Result<Vec<f64>, Box<dyn Error>> {
    #[derive(Deserialize)]
    struct Samples {
        iters: Vec<f64>,
        times: Vec<f64>,
    }
    let file = find(folder, "sample.json").ok_or("criterion wrote no samples")?;
    let samples: Samples = serde_json::from_slice(&fs::read(file)?)?;
    Ok(samples.times.iter().zip(&samples.iters).map(|(time, iterations)| time / iterations).collect())
}

fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).ok()?.flatten() {
            if entry.file_name() == name {
                return Some(entry.path());
            }
            if entry.path().is_dir() {
                folders.push(entry.path());
            }
        }
    }
    None
}
