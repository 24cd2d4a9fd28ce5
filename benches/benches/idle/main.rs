//! What it costs to have something that nobody uses at the moment.

mod channel;
mod pool;

use benches::{Python, Setting, Suite, usage};

fn main() {
    proc_core::init();
    #[cfg(feature = "rivals")]
    procspawn::init();

    let mut suite = Suite::new(
        "idle",
        "What is idle",
        "Pools and channels that are up, and that nobody uses. Each number is found once in a process, by what the kernel \
         says of it, and not by criterion.",
    );
    pool::register(&mut suite);
    channel::register(&mut suite);
    suite.run();
}

/// The CPU time of Python's side of this kind, which waits.
fn python_cpu(kind: &'static str) -> impl Fn(&Setting) -> Result<f64, String> + 'static {
    move |setting| {
        let _waiting = Python::start("idle.py", &[kind], setting)?;
        usage::cpu_while_idle(setting.long)
    }
}
