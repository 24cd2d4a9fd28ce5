//! A pool for one task.

use crate::{python, same};
use benches::{Place, Suite, Unit, calls};
use proc_core::StartMethod;
use proc_pool::Pool;

pub(crate) fn register(suite: &mut Suite) {
    let create = |method: StartMethod| {
        move |_: &benches::Setting| {
            Ok(calls(move || {
                let pool = Pool::builder().workers(2).start_method(method).build().expect("a pool");
                assert_eq!(pool.apply(same, 1).expect("a result"), 1);
                pool.close();
                pool.join().expect("an end");
            }))
        }
    };
    let entry = suite
        .case(
            "create",
            "Create, one result, close",
            "A pool of two workers is made, runs one task, and is closed and joined. (Zygote: the helper that forks is up \
             already, as it is from the second pool on.)",
            Unit::Time,
            &[Place::Free, Place::OneCpu],
        )
        .ours("spawn", "Pool, spawn", create(StartMethod::Spawn))
        .ours("zygote", "Pool, zygote", create(StartMethod::Zygote));
    #[cfg(feature = "rivals")]
    let entry = entry.rival("procspawn", "procspawn Pool", crate::procspawned::create);
    entry.rival("python", "Python Pool (fork)", python("create", 2)).rival(
        "executor",
        "Python ProcessPoolExecutor (fork)",
        python("executor_create", 2),
    );
}
