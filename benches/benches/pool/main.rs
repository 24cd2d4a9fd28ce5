//! Pools of workers.

mod bulk;
mod create;
mod memory;
mod ours;
#[cfg(feature = "rivals")]
mod procspawned;
#[cfg(feature = "rivals")]
mod threads;
mod tiny;
mod unequal;

use benches::{Python, Routine, Setting, Suite};

fn main() {
    proc_core::init();
    #[cfg(feature = "rivals")]
    procspawn::init();

    let mut suite = Suite::new(
        "pool",
        "Pools of workers",
        "A pool that is already up runs functions that cost next to nothing, so that what is left is the pool. Two \
         workers unless said otherwise. rayon and threadpool are threads of one process: nothing is copied or isolated \
         there, and they are here to show what isolation costs.",
    );
    tiny::register(&mut suite);
    bulk::register(&mut suite);
    unequal::register(&mut suite);
    create::register(&mut suite);
    memory::register(&mut suite);
    suite.run();
}

/// What the workers are given.
fn same(x: u64) -> u64 {
    std::hint::black_box(x)
}

/// A kind of use that `pool.py` knows, with this many workers.
fn python(kind: &'static str, workers: usize) -> impl Fn(&Setting) -> Result<Routine, String> + 'static {
    move |setting| Python::routine("pool.py", &[kind, &workers.to_string()], setting)
}
