//! Tasks with large arguments and results.

use crate::{ours, python};
use benches::{Place, Routine, Setting, Suite, Unit, batches};
use proc_pool::Task;
use std::collections::VecDeque;

const SIZE: usize = 1 << 20;

pub(crate) fn register(suite: &mut Suite) {
    let entry = suite
        .case(
            "bulk",
            "1 MiB in, 1 MiB out",
            "A task takes 1 MiB of bytes and returns them; four are open at once (procspawn: two, with four it \
             hangs). Both directions are counted, and so is the copy that makes each argument (Python makes none). Threads \
             only hand the vector over.",
            Unit::Throughput(2 * SIZE as u64),
            &[Place::Free, Place::OneCpu],
        )
        .ours("pool", "Pool::submit, Vec<u8>", bulk);
    #[cfg(feature = "rivals")]
    let entry = entry
        .rival("procspawn", "procspawn Pool::spawn, ByteBuf", crate::procspawned::bulk(SIZE))
        .threads("rayon", "rayon spawn + channel, Vec<u8>", crate::threads::rayon_bulk(SIZE))
        .threads(
            "threadpool",
            "threadpool execute + channel, Vec<u8>",
            crate::threads::threadpool_bulk(SIZE),
        );
    entry.rival("python", "Python Pool.imap_unordered, bytes", python("bulk", 2)).rival(
        "executor",
        "Python ProcessPoolExecutor.submit, bytes",
        python("executor_bulk", 2),
    );
}

fn bulk(_: &Setting) -> Result<Routine, String> {
    let pool = ours::warm(2)?;
    let source = vec![7_u8; SIZE];
    Ok(batches(64, move |n| {
        let mut open: VecDeque<Task<Vec<u8>>> = VecDeque::with_capacity(4);
        for _ in 0..n {
            if open.len() == 4 {
                let first = open.pop_front().expect("four are open");
                assert_eq!(first.get().expect("a result").len(), SIZE);
            }
            open.push_back(pool.submit(|bytes: Vec<u8>| bytes, source.clone()));
        }
        for task in open {
            assert_eq!(task.get().expect("a result").len(), SIZE);
        }
    }))
}
