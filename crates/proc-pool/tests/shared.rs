//! Tests for initializers, exit hooks and states that hold descriptors: what tasks share, as Python's `initargs` do.

mod common;

use common::{alone, crash, double, held, nap, no_hang, pid, signal, wait_until};
use proc_core::{StartMethod, Zygote};
use proc_ipc::{Queue, Sender};
use proc_pool::{Pool, PoolBuilder, Task, TaskError};
use proc_shm::{Mutex, Value};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

proc_core::init_for_tests!();

type Shared = (Mutex<u64>, Queue<u64>, Value<u64>);

static SHARED: OnceLock<Shared> = OnceLock::new();

fn keep(shared: Shared) {
    assert!(SHARED.set(shared).is_ok());
}

fn objects() -> Shared {
    (Mutex::new(0).unwrap(), Queue::bounded(1000).unwrap(), Value::new(0).unwrap())
}

fn work(x: u64) -> u32 {
    let (sum, queue, last) = SHARED.get().unwrap();
    *sum.lock().unwrap() += x;
    queue.put(x).unwrap();
    last.set(x).unwrap();
    std::process::id()
}

/// The same for all methods. Each step says that the objects here and there are the same.
fn conforms(builder: PoolBuilder) {
    let shared = objects();
    let pool = builder.workers(2).initializer(keep, shared.clone()).build().unwrap();
    let (sum, queue, last) = shared;
    let check = |items: std::ops::Range<u64>| {
        let before = *sum.lock().unwrap();
        pool.map(work, items.clone()).unwrap();
        assert_eq!(*sum.lock().unwrap(), before + items.clone().sum::<u64>());
        let mut came: Vec<u64> = items.clone().map(|_| queue.get().unwrap()).collect();
        came.sort_unstable();
        assert!(came.into_iter().eq(items.clone()));
        assert!(items.contains(&last.get()));
    };
    check(0..50);
    // Those that replace dead ones get them too.
    for _ in 0..3 {
        let died = pool.apply(|()| crash(), ()).map(|(): ()| ());
        assert!(matches!(died, Err(TaskError::WorkerDied { .. })));
        let idle = pool.apply(pid, ()).unwrap();
        signal(idle, libc::SIGKILL);
        wait_until("it is gone", || !common::is_alive(idle));
        check(100..150);
    }
    pool.resize(3);
    check(50..100);
    pool.close();
    pool.join().unwrap();
    assert!(SHARED.get().is_none(), "not here");
}

#[test]
fn smoke() {
    alone(|()| conforms(Pool::builder()));
}

#[test]
fn by_zygote() {
    alone(|()| conforms(Pool::builder().start_method(StartMethod::Zygote)));
}

#[test]
fn by_fork() {
    alone(|()| conforms(Pool::builder().start_method(StartMethod::Fork)));
}

#[test]
fn by_a_zygote_of_the_users() {
    alone(|()| {
        let zygote = Arc::new(Zygote::preload(|()| 7_u32, ()).unwrap());
        conforms(Pool::builder().zygote(zygote));
    });
}

/// One pool after the other from one builder, and what the caller had is gone by then.
#[test]
fn a_builder_keeps_them() {
    no_hang(|| {
        let (sum, queue, last) = objects();
        let builder =
            Pool::builder().workers(1).initializer(keep, (sum.clone(), queue.clone(), last.clone()));
        drop((sum, last));
        for round in 1..4 {
            let pool = builder.clone().build().unwrap();
            pool.apply(work, round).unwrap();
            drop(pool);
            assert_eq!(queue.get().unwrap(), round);
        }
        drop(builder);
    });
}

#[test]
fn an_exit_hook_has_them_too() {
    no_hang(|| {
        let queue = Queue::bounded(100).unwrap();
        let bye = |queue: Queue<u32>| queue.put(std::process::id()).unwrap();
        let pool = Pool::builder().workers(1).exit_hook(bye, queue.clone()).max_tasks_per_worker(2).build();
        let pool = pool.unwrap();
        let mut pids = pool.map(pid, [(); 6]).unwrap();
        pids.dedup();
        pool.close();
        pool.join().unwrap();
        let ended: Vec<u32> = pids.iter().map(|_| queue.get().unwrap()).collect();
        assert_eq!(ended, pids);
    });
}

/// Ends of a channel are counted: each worker's is one of its own, so that one that ends in good order is not the last. And
/// when the pool has ended there is none.
#[test]
fn ends_of_channels_are_one_for_each_worker() {
    no_hang(|| {
        static OUT: OnceLock<Sender<u64>> = OnceLock::new();
        let (sender, receiver) = proc_ipc::channel::<u64>(100).unwrap();
        let keep = |sender| drop(OUT.set(sender));
        let (bye, lose) = (|(): ()| (), |_: Sender<u64>| ());
        let pools = [
            Pool::builder().initializer(lose, sender.clone()).exit_hook(lose, sender.clone()),
            Pool::builder().initializer(keep, sender).exit_hook(bye, ()),
        ];
        let [losing, keeping] =
            pools.map(|builder| builder.workers(1).max_tasks_per_worker(1).build().unwrap());
        for x in 0..20 {
            losing.apply(double, x).unwrap();
            keeping.apply(|x| OUT.get().unwrap().send(x).unwrap(), x).unwrap();
            assert_eq!(receiver.recv_timeout(Duration::from_secs(60)).unwrap(), Some(x));
        }
        assert_eq!(receiver.recv_timeout(Duration::from_millis(100)).unwrap(), None);
        for pool in [losing, keeping] {
            pool.close();
            pool.join().unwrap();
        }
        assert!(receiver.recv().is_err(), "nobody has the other end");
    });
}

/// A state is one message for all workers: those that end in good order, and drop it, do not end the channel.
#[test]
fn a_queue_in_a_state_outlives_workers() {
    no_hang(|| {
        let queue = Queue::<u64>::bounded(100).unwrap();
        let pool = Pool::builder().workers(1).max_tasks_per_worker(1).build().unwrap();
        let with = pool.with(queue.clone());
        let made = pool.with_init(|queue: Queue<u64>| queue, queue.clone());
        for x in 0..10 {
            with.apply(|queue: &Queue<u64>, x| queue.put(x).map_err(|e| e.to_string()), x).unwrap().unwrap();
            made.apply(|queue: &mut Queue<u64>, x| queue.put(x).map_err(|e| e.to_string()), x)
                .unwrap()
                .unwrap();
            assert_eq!((queue.get().unwrap(), queue.get().unwrap()), (x, x));
            queue.put(x).unwrap();
            assert_eq!(queue.get().unwrap(), x);
        }
        // Nor does a state that nothing needs any more.
        drop((with, made));
        for x in 0..10 {
            pool.with(queue.clone()).apply(|_: &Queue<u64>, ()| (), ()).unwrap();
            queue.put(x).unwrap();
            assert_eq!(queue.get().unwrap(), x);
        }
    });
}

/// Encoding it for another worker is code of the user's, which may fail: as for a start that fails.
#[test]
fn one_that_can_not_be_encoded_again() {
    #[derive(Clone, Debug)]
    struct Twice(Arc<AtomicU32>, Value<u64>);
    impl serde::Serialize for Twice {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            match self.0.fetch_add(1, Ordering::SeqCst) {
                0 | 1 => self.1.serialize(serializer),
                2 => panic!("not three times"),
                _ => Err(serde::ser::Error::custom("it stays here")),
            }
        }
    }
    impl<'de> serde::Deserialize<'de> for Twice {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Twice, D::Error> {
            Ok(Twice(Arc::default(), serde::Deserialize::deserialize(deserializer)?))
        }
    }
    no_hang(|| {
        let arg = Twice(Arc::default(), Value::new(0).unwrap());
        let pool = Pool::builder().workers(1).crash_limit(4).initializer(|_: Twice| (), arg).build().unwrap();
        for _ in 0..2 {
            assert!(pool.apply(|()| crash(), ()).map(|(): ()| ()).is_err());
        }
        match pool.apply(double, 1) {
            Err(TaskError::Broken(why)) => assert!(why.contains("it stays here"), "{why}"),
            other => panic!("{other:?}"),
        }
    });
}

/// More than one message of the kernel carries.
#[test]
fn hundreds_of_descriptors() {
    no_hang(|| {
        static ALL: OnceLock<Vec<Value<u64>>> = OnceLock::new();
        let all: Vec<Value<u64>> = (0..300).map(|i| Value::new(i).unwrap()).collect();
        let keep = |all| drop(ALL.set(all));
        let pool = Pool::builder().workers(2).initializer(keep, all.clone()).build().unwrap();
        let read = |i: usize| ALL.get().unwrap()[i].get();
        assert_eq!(pool.map(read, 0..300).unwrap(), (0..300).collect::<Vec<u64>>());
        all[299].set(7).unwrap();
        assert_eq!(pool.apply(read, 299).unwrap(), 7);
    });
}

/// A handle that is left keeps the engine, and no descriptor of the argument.
#[test]
fn they_are_closed_when_the_pool_ends() {
    alone(|()| {
        fn life(end: u32, builder: PoolBuilder) -> Task<u64> {
            let pool = builder.workers(2).build().unwrap();
            let task = pool.submit(double, 1);
            assert!(pool.apply(|()| crash(), ()).map(|(): ()| ()).is_err());
            assert_eq!(pool.apply(double, 2).unwrap(), 4);
            match end {
                0 => drop(pool),
                1 => {
                    pool.close();
                    pool.join().unwrap();
                }
                _ => {
                    pool.terminate();
                    assert!(pool.join_timeout(Duration::from_secs(30)).unwrap());
                }
            }
            task
        }
        drop(life(0, Pool::builder()));
        nap(200);
        for end in 0..3 {
            let before = held().descriptors;
            let task = life(end, Pool::builder());
            nap(200);
            let of_an_engine = held().descriptors - before;
            drop(task);
            wait_until("the engine is gone", || held().descriptors <= before);
            let task = life(end, Pool::builder().initializer(keep, objects()).exit_hook(drop, objects()));
            wait_until("they are closed", || held().descriptors <= before + of_an_engine);
            drop(task);
            wait_until("all is given back", || held().descriptors <= before);
        }
        let before = held().descriptors;
        for _ in 0..5 {
            let fails = |_: Shared| panic!("no");
            assert!(Pool::builder().workers(2).initializer(fails, objects()).build().is_err());
        }
        wait_until("a pool that fails keeps none", || held().descriptors <= before);
    });
}

/// In the worker only what the initializer keeps stays open.
#[test]
fn a_worker_keeps_what_the_initializer_keeps() {
    no_hang(|| {
        let count = |()| held().descriptors;
        let plain = Pool::builder().workers(1).build().unwrap().apply(count, ()).unwrap();
        let pool = Pool::builder().workers(1).initializer(drop, objects()).build().unwrap();
        assert_eq!(pool.apply(count, ()).unwrap(), plain);
    });
}
