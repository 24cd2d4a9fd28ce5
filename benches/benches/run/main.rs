//! Running programs.

mod bulk;
mod nothing;
mod options;

use benches::{Python, Routine, Setting, Suite};

/// The argument by which this program writes so many MiB to its standard output.
const WRITE: &str = "--write";

fn main() {
    let words: Vec<String> = std::env::args().collect();
    if let [_, option, mib] = words.as_slice() {
        if option == WRITE {
            return bulk::write(mib);
        }
    }
    let mut suite = Suite::new(
        "run",
        "Running programs",
        "A program is run to its end, before the next one: the smallest one that there is, with nothing set and with \
         every option set, from a small parent and from one that holds 1 GiB in small pages; and what it prints is \
         captured. Ours bounds every call in time and kills the whole group, which none of the others does.",
    );
    for register in [nothing::register, options::register] {
        register(&mut suite, "small", "a small parent", 0);
        register(&mut suite, "1GiB", "a parent of 1 GiB", 1024);
    }
    nothing::echo(&mut suite);
    bulk::register(&mut suite);
    suite.run();
}

/// A kind of use that `run.py` knows.
fn python(kind: &'static str, mib: usize) -> impl Fn(&Setting) -> Result<Routine, String> + 'static {
    move |setting| Python::routine("run.py", &[kind, &mib.to_string()], setting)
}
