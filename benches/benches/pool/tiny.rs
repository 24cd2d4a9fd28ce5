//! Tasks that cost nothing.

use crate::{ours, python};
#[cfg(feature = "rivals")]
use crate::{procspawned, threads};
use benches::{Place, Suite, Unit};

const PLACES: &[Place] = &[Place::Free, Place::OneCpu];

pub(crate) fn register(suite: &mut Suite) {
    let tasks = || Unit::Rate("tasks".into());
    for (workers, places) in [(2, PLACES), (8, &[Place::Free]), (32, &[Place::Free])] {
        let entry = suite
            .case(
                &format!("submit-{workers}"),
                &format!("Submitting single tasks, {workers} workers"),
                "u64 to u64 without work, submitted one by one, up to 10,000 open, every result waited for. (procspawn: \
                 64 open.)",
                tasks(),
                places,
            )
            .ours("pool", "Pool::submit", ours::submit(workers));
        let entry = if workers == 2 { entry } else { entry.following() };
        #[cfg(feature = "rivals")]
        let entry = entry
            .rival("procspawn", "procspawn Pool::spawn", procspawned::submit(workers))
            .threads("rayon", "rayon spawn + channel", threads::rayon_submit(workers))
            .threads("threadpool", "threadpool execute + channel", threads::threadpool_submit(workers));
        let entry = entry.rival("python", "Python Pool.apply_async", python("apply_async", workers));
        if workers == 2 {
            entry.rival("executor", "Python ProcessPoolExecutor.submit", python("executor_submit", workers));
        }
    }

    let entry = suite
        .case(
            "map",
            "Mapping a function over numbers",
            "map of a function u64 to u64 without work over up to 100,000 numbers, results in order. Each library cuts \
             into chunks by its own default (the executor's default is one task a chunk, so it gets 100).",
            tasks(),
            PLACES,
        )
        .ours("pool", "Pool::map", ours::map);
    #[cfg(feature = "rivals")]
    let entry = entry.threads("rayon", "rayon into_par_iter().map()", threads::rayon_map);
    entry.rival("python", "Python Pool.map", python("map", 2)).rival(
        "executor",
        "Python ProcessPoolExecutor.map, chunks of 100",
        python("executor_map", 2),
    );

    let entry = suite
        .case(
            "one",
            "One task at a time",
            "Submit one task and wait for its result, before the next one: the round trip through the pool.",
            Unit::Time,
            PLACES,
        )
        .ours("pool", "Pool::submit().get()", ours::one);
    #[cfg(feature = "rivals")]
    let entry = entry
        .rival("procspawn", "procspawn Pool::spawn().join()", procspawned::one)
        .threads("rayon", "rayon spawn + channel", threads::rayon_one)
        .threads("threadpool", "threadpool execute + channel", threads::threadpool_one);
    entry.rival("python", "Python Pool.apply", python("apply", 2)).rival(
        "executor",
        "Python ProcessPoolExecutor.submit().result()",
        python("executor_one", 2),
    );
}
