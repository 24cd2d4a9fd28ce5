//! Tasks of which one in a hundred takes a hundred times longer.

use crate::{ours, python};
use benches::{Place, Routine, Setting, Suite, Unit, calls};

/// 1,000 tasks: units of work each has.
static TASKS: [u64; 1000] = {
    let mut tasks = [1; 1000];
    let mut i = 50;
    while i < 1000 {
        tasks[i] = 100;
        i += 100;
    }
    tasks
};

/// So many units of 10 µs, by the thread's own CPU time: by the wall clock, two workers on one CPU would seem to work
/// at once, and a fixed amount of arithmetic would not be the same work in Python.
pub(crate) fn work(units: u64) -> u64 {
    let end = used() + units * 10_000;
    while used() < end {
        std::hint::spin_loop();
    }
    units
}

fn used() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

pub(crate) fn register(suite: &mut Suite) {
    let entry = suite
        .case(
            "unequal",
            "Unequal tasks",
            "1,000 tasks of 10 µs of CPU time, of which every hundredth takes 100 times longer: the time until all are \
             done. The bare figure is the ideal: the same tasks run in this process one after the other, divided by two \
             workers.",
            Unit::Time,
            &[Place::Free],
        )
        .ours("map", "Pool::map", |_| {
            let pool = ours::warm(2)?;
            Ok(calls(move || pool.map(work, TASKS).expect("the results")))
        })
        .floor("ideal", "the same work, divided by two", ideal);
    #[cfg(feature = "rivals")]
    let entry = entry
        .rival("procspawn", "procspawn Pool::spawn", crate::procspawned::unequal(&TASKS))
        .threads("rayon", "rayon par_iter().map()", crate::threads::rayon_unequal(&TASKS));
    entry.rival("python", "Python Pool.map", python("unequal_map", 2)).rival(
        "python-imap",
        "Python Pool.imap_unordered",
        python("unequal_imap", 2),
    );
}

fn ideal(_: &Setting) -> Result<Routine, String> {
    let mut alone = calls(|| TASKS.iter().map(|&units| work(units)).fold(0, u64::wrapping_add));
    Ok(Box::new(move |n| alone(n) / 2))
}
