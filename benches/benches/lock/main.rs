//! Locks and signals between processes.

mod add;
mod bare;
mod contended;
mod meeting;
mod uncontended;
mod wake;

use benches::{Python, Routine, Setting, Suite};

fn main() {
    proc_core::init();
    let mut suite = Suite::new(
        "lock",
        "Locks and signals",
        "Ours are robust: when an owner is killed, the next one is told, and no one hangs. Of the others only pthread's \
         robust mutex says so; the bare futex mutex and parking_lot (threads of one process) would wait for ever.",
    );
    uncontended::register(&mut suite);
    contended::register(&mut suite);
    add::register(&mut suite);
    wake::register(&mut suite);
    suite.run();
}

/// A kind of use that `lock.py` knows.
fn python(kind: &'static str) -> impl Fn(&Setting) -> Result<Routine, String> + 'static {
    move |setting| Python::routine("lock.py", &[kind], setting)
}
