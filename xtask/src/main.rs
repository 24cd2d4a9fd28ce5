//! The project's chores. `cargo xtask` lists them.

mod bench;
mod ci;
mod crash;
mod examples;
mod expect;
mod release;
mod sh;
mod soak;
mod tidy;

use sh::Outcome;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (task, rest) = match args.split_first() {
        Some((task, rest)) => (task.as_str(), rest),
        None => ("help", &[][..]),
    };
    let outcome: Outcome = match task {
        "bench" => bench::run(rest),
        "ci" => ci::run(rest),
        "examples" => examples::run(rest),
        "guide" => examples::guide(rest),
        "crash" => crash::run(rest),
        "soak" => soak::run(rest),
        "tidy" => tidy::run(),
        "release" => release::run(rest),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        other => Err(format!("there is no task `{other}`\n\n{HELP}")),
    };
    if let Err(why) = outcome {
        eprintln!("xtask: {why}");
        std::process::exit(1);
    }
}

const HELP: &str = "\
cargo xtask TASK

  ci [STEP]           what every change must pass, all of it or one step
  bench [--quick] [GROUP...]
                      figures beside the rivals' in one page: target/bench/index.html
  guide [CHAPTER...]  runs the guide's chapters (`5.1`) and checks what they print
  examples [NAME...]  runs the examples of all crates likewise
  crash [--sample] [SCENARIO]
                      kills a process at every instruction of an operation and watches the survivors
  soak [CRATE...]     the tests in their long forms, with many more deaths and messages
  tidy                the house rules: layout, dependencies, unsafe, words
  release --dry-run   packages every crate in the order of their dependencies
";
