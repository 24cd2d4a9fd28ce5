//! Tests for pools inside of pools: they work, they end with each other, and they stop at a depth.

mod common;

use common::{crash, double, no_hang};
use proc_pool::{Pool, TaskError};

proc_core::init_for_tests!();

/// Asks a pool in a pool, `depth` times.
fn descend(depth: u32) -> Result<u32, String> {
    if depth == 0 {
        return Ok(0);
    }
    let pool = Pool::new(1).map_err(|e| e.to_string())?;
    pool.apply(descend, depth - 1).map_err(|e| e.to_string())?.map(|below| below + 1)
}

#[test]
fn smoke() {
    no_hang(|| assert_eq!(descend(1).unwrap(), 1));
}

#[test]
fn a_pool_in_a_pool_in_a_pool() {
    no_hang(|| assert_eq!(descend(3).unwrap(), 3));
}

#[test]
fn no_deeper_than_the_limit() {
    no_hang(|| {
        let e = descend(12).unwrap_err();
        assert!(e.contains("inside of each other"), "{e}");
    });
}

#[test]
fn a_map_of_maps() {
    fn row(y: u64) -> Vec<u64> {
        Pool::new(2).unwrap().map(|(x, y): (u64, u64)| x * y, (0..20).map(move |x| (x, y))).unwrap()
    }
    no_hang(|| {
        let table = Pool::new(2).unwrap().map(row, 0..4).unwrap();
        for (y, row) in table.into_iter().enumerate() {
            assert_eq!(row, (0..20).map(|x| x * y as u64).collect::<Vec<_>>());
        }
    });
}

/// A worker may keep a pool of its own as state, for all its tasks.
#[test]
fn a_pool_as_state_of_a_worker() {
    no_hang(|| {
        let outer = Pool::new(2).unwrap();
        let with_pool = outer.with_init(|n: usize| Pool::new(n).unwrap(), 1);
        let ask = |pool: &mut Pool, x: u64| pool.apply(double, x).unwrap() + 1;
        assert_eq!(with_pool.map(ask, 0..40).unwrap(), (0..40).map(|x| x * 2 + 1).collect::<Vec<_>>());
        outer.close();
        outer.join().unwrap();
    });
}

#[test]
fn a_death_below_is_an_error_above() {
    fn risky(x: u64) -> Result<u64, TaskError> {
        let below = |x: u64| if x == 2 { crash() } else { x };
        Pool::new(1).unwrap().apply(below, x)
    }
    no_hang(|| {
        let outcomes: Vec<_> = Pool::new(2).unwrap().imap(risky, 0..4).map(Result::unwrap).collect();
        for (x, outcome) in outcomes.into_iter().enumerate() {
            match outcome {
                Ok(value) => assert_eq!(value, x as u64),
                Err(e) => assert!(x == 2 && matches!(e, TaskError::WorkerDied { .. }), "{e}"),
            }
        }
    });
}

/// The handle of a pool does not cross: a forked child of the process that has it runs nothing, and does not hang.
#[test]
fn a_pool_in_a_forked_child_refuses() {
    no_hang(|| {
        let code = common::alone(|()| {
            let pool = Pool::new(1).unwrap();
            assert_eq!(pool.apply(double, 1).unwrap(), 2);
            let task = pool.submit(double, 2);
            // SAFETY: the child asks the pool, which checks first whose it is, and leaves.
            let child = unsafe { libc::fork() };
            if child == 0 {
                let refused = matches!(pool.apply(double, 1), Err(TaskError::Broken(_)))
                    && pool.map(double, [1]).is_err()
                    && pool.join().is_err()
                    && task.get().is_err_and(|e| matches!(e, TaskError::Broken(_)));
                drop(pool);
                // SAFETY: ends the child.
                unsafe { libc::_exit(if refused { 0 } else { 1 }) };
            }
            let mut status = 0;
            // SAFETY: our child, not yet waited for.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            assert_eq!(pool.apply(double, 3).unwrap(), 6, "the parent's pool goes on");
            status
        });
        assert_eq!(code, 0);
    });
}
