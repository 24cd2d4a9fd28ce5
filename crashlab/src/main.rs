//! Kills a process at every instruction of an operation and watches the survivors.
//!
//! `README.md` says what that proves, and how to read the table.

mod board;
mod campaign;
mod mutants;
mod place;
mod report;
mod scenario;
mod scenarios;
mod stage;
mod sys;
mod trace;
mod trial;

use board::Board;
use campaign::Pace;
use scenario::{Expect, Scenario};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use trial::Lab;

const USAGE: &str = "\
crashlab [--sample] [--seconds N] [--at STEP] [--list] [SCENARIO...]

  SCENARIO     names, or beginnings of names; without one all scenarios and mutants are run
  --sample     every n-th step, so that the whole takes about a minute
  --seconds N  the same, so that the whole takes about N seconds
  --at STEP    kill after this step alone
  --list       only names the scenarios
";

/// What the command line asks for.
struct Wish {
    seconds: Option<u64>,
    at: Option<u64>,
    list: bool,
    names: Vec<String>,
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Wish, String> {
    let mut wish = Wish { seconds: None, at: None, list: false, names: Vec::new() };
    while let Some(arg) = args.next() {
        let mut number = || {
            args.next().and_then(|n| n.parse().ok()).ok_or_else(|| format!("{arg} takes a number\n\n{USAGE}"))
        };
        match arg.as_str() {
            "--sample" => wish.seconds = Some(40),
            "--seconds" => wish.seconds = Some(number()?),
            "--at" => wish.at = Some(number()?),
            "--list" => wish.list = true,
            option if option.starts_with('-') => return Err(format!("unknown option {option}\n\n{USAGE}")),
            _ => wish.names.push(arg),
        }
    }
    Ok(wish)
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("crashlab: {why}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<bool, String> {
    let wish = parse(std::env::args().skip(1))?;
    let mut chosen = scenarios::all();
    chosen.extend(mutants::all());
    chosen
        .retain(|s| wish.names.is_empty() || wish.names.iter().any(|name| s.name.starts_with(name.as_str())));
    if chosen.is_empty() {
        return Err(format!("no scenario is named so\n\n{USAGE}"));
    }
    if wish.list {
        chosen.iter().for_each(|scenario| println!("{}", scenario.name));
        return Ok(true);
    }
    experiment(&wish, &chosen)
}

fn experiment(wish: &Wish, chosen: &[Scenario]) -> Result<bool, String> {
    let cpus = sys::cpus();
    sys::stay_on_one_cpu(&cpus);
    // What actors panic with is on the board.
    std::panic::set_hook(Box::new(|_| {}));
    let board = Board::new().map_err(|e| format!("no shared page: {e}"))?;
    let honest = chosen.iter().filter(|s| s.expect == Expect::Holds).count().max(1);
    let begin = Instant::now();
    let (mut kills, mut bad) = (0, Vec::new());
    report::header();
    for scenario in chosen {
        let pace = match (wish.at, wish.seconds) {
            (Some(step), _) => Pace::At(step),
            (None, Some(seconds)) => Pace::Within(Duration::from_secs(seconds) / honest as u32),
            (None, None) => Pace::Every,
        };
        let deadline = Duration::from_millis(if scenario.expect == Expect::Holds { 10_000 } else { 1_000 });
        let tally = campaign::run(&Lab { board, cpus, deadline }, scenario, pace);
        report::line(scenario, &tally);
        kills += tally.kills;
        if !tally.is_as_expected(scenario.expect) {
            bad.push(scenario.name.as_str());
        }
    }
    println!("{kills} kills in {:.0} s", begin.elapsed().as_secs_f64());
    if !bad.is_empty() {
        println!("not as expected: {}", bad.join(", "));
    }
    Ok(bad.is_empty())
}
