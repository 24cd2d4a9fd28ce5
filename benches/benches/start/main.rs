//! Starting a process, having its result, and joining it.

mod fork;
mod spawn;
mod zygote;

use benches::Suite;

/// The argument by which this program is executed again to do nothing.
const NOTHING: &str = "--nothing";

fn main() {
    if std::env::args().nth(1).as_deref() == Some(NOTHING) {
        return;
    }
    proc_core::init();
    #[cfg(feature = "rivals")]
    procspawn::init();

    let mut suite = Suite::new(
        "start",
        "Starting a process",
        "One process is started, runs an empty function and is joined, before the next one is started. Ours also \
         brings an argument there and a typed result back; the bare calls and Python's Process bring nothing. Each \
         start method is set against what it stands on, with a parent of a few MiB and with one that holds 1 GiB \
         in small pages.",
    );
    for register in [fork::register, zygote::register, spawn::register] {
        register(&mut suite, "small", "a small parent", 0);
        register(&mut suite, "1GiB", "a parent of 1 GiB", 1024);
    }
    suite.run();
}

/// Where: pinning is of interest once; a big parent is about memory.
fn places(mib: usize) -> &'static [benches::Place] {
    match mib {
        0 => &[benches::Place::Free, benches::Place::OneCpu],
        _ => &[benches::Place::Free],
    }
}

/// Python's `Process` under one of its methods.
fn python(
    method: &'static str,
    mib: usize,
) -> impl Fn(&benches::Setting) -> Result<benches::Routine, String> + 'static {
    move |setting| benches::Python::routine("start.py", &[method, &mib.to_string()], setting)
}
