//! A pool without tasks.

use crate::python_cpu;
use benches::usage::cpu_while_idle;
use benches::{Kind, Place, Suite, Unit};
use proc_pool::Pool;

pub(crate) fn register(suite: &mut Suite) {
    let entry = suite
        .case(
            "pool",
            "CPU time of an idle pool",
            "A pool of two workers has run its tasks and gets no more: the CPU time in one second of all its threads and \
             processes.",
            Unit::Idling,
            &[Place::Free],
        )
        .value(Kind::Ours, "pool", "Pool", |setting| {
            let pool = Pool::new(2).map_err(|e| e.to_string())?;
            let results: Vec<u64> = pool.map(same, 0..100).map_err(|e| e.to_string())?;
            assert_eq!(results.len(), 100);
            cpu_while_idle(setting.long)
        });
    #[cfg(feature = "rivals")]
    let entry = entry
        .value(Kind::Rival, "procspawn", "procspawn Pool", |setting| {
            let pool = procspawn::Pool::new(2).map_err(|e| e.to_string())?;
            for i in 0..50 {
                assert_eq!(pool.spawn(i, same).join().map_err(|e| e.to_string())?, i);
            }
            let used = cpu_while_idle(setting.long);
            pool.shutdown();
            used
        })
        .value(Kind::Threads, "rayon", "rayon", |setting| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().map_err(|e| e.to_string())?;
            assert_eq!(pool.install(|| same(1)), 1);
            cpu_while_idle(setting.long)
        })
        .value(Kind::Threads, "threadpool", "threadpool", |setting| {
            let pool = threadpool::ThreadPool::new(2);
            pool.execute(|| ());
            pool.join();
            cpu_while_idle(setting.long)
        });
    entry.value(Kind::Rival, "python", "Python Pool", python_cpu("pool")).value(
        Kind::Rival,
        "executor",
        "Python ProcessPoolExecutor",
        python_cpu("executor"),
    );
}

fn same(x: u64) -> u64 {
    x
}
