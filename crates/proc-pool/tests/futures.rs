//! Tests for tasks as futures, with an executor of twenty lines: no runtime is needed, and any will do.

mod common;

use common::{PATIENCE, crash, double, nap, no_hang, sleep, wait_until};
use proc_pool::{Pool, Task, TaskError};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

proc_core::init_for_tests!();

/// Unparks a thread, and counts.
struct Unpark {
    thread: Thread,
    count: AtomicUsize,
}

impl Unpark {
    fn new() -> Arc<Unpark> {
        Arc::new(Unpark { thread: thread::current(), count: AtomicUsize::new(0) })
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.thread.unpark();
    }
}

/// Polls only when woken: a wake that is lost is a hang.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let unpark = Unpark::new();
    let waker = Waker::from(unpark.clone());
    let mut seen = 0;
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        while unpark.count() == seen {
            thread::park();
        }
        seen = unpark.count();
    }
}

fn poll_once<F: Future + Unpin>(future: &mut F, waker: &Arc<Unpark>) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(&Waker::from(waker.clone())))
}

#[test]
fn smoke() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        assert_eq!(block_on(pool.submit(double, 4)).unwrap(), 8);
    });
}

#[test]
fn one_after_the_other() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let sum = block_on(async {
            let mut sum = 0;
            for x in 0..500 {
                sum += pool.submit(double, x).await?;
            }
            Ok::<_, TaskError>(sum)
        });
        assert_eq!(sum.unwrap(), (0..500).map(|x| x * 2).sum());
    });
}

/// All at once, by one waker.
#[test]
fn many_at_once() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let mut tasks: Vec<Option<Task<u64>>> = (0..500).map(|x| Some(pool.submit(double, x))).collect();
        let mut values = vec![0; 500];
        block_on(poll_fn(|cx| {
            for (slot, value) in tasks.iter_mut().zip(&mut values) {
                if let Some(task) = slot {
                    if let Poll::Ready(x) = Pin::new(task).poll(cx) {
                        *value = x.unwrap();
                        *slot = None;
                    }
                }
            }
            if tasks.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
        }));
        assert_eq!(values, (0..500).map(|x| x * 2).collect::<Vec<_>>());
    });
}

#[test]
fn every_end_wakes() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        assert!(matches!(
            block_on(pool.submit(|()| panic!("asked to"), ())).map(|(): ()| ()),
            Err(TaskError::Panicked(_))
        ));
        assert!(matches!(
            block_on(pool.submit(|()| crash(), ())).map(|(): ()| ()),
            Err(TaskError::WorkerDied { .. })
        ));
        let limited = pool.timeout(Duration::from_millis(50)).submit(nap, 600_000);
        assert_eq!(block_on(limited), Err(TaskError::TimedOut));
        let running = pool.submit(nap, 600_000);
        wait_until("it runs", || running.is_running());
        let queued = pool.submit(nap, 1);
        let (sender, receiver) = std::sync::mpsc::channel();
        let told = |task: Task<()>| {
            let sender = sender.clone();
            thread::spawn(move || sender.send(block_on(task)).unwrap());
        };
        let mut queued = Some(queued);
        block_on(poll_fn(|cx| {
            let task = queued.as_mut().unwrap();
            assert!(Pin::new(&mut *task).poll(cx).is_pending());
            assert!(task.cancel());
            Poll::Ready(())
        }));
        told(queued.take().unwrap());
        assert_eq!(receiver.recv_timeout(PATIENCE).unwrap(), Err(TaskError::Cancelled));
        told(running);
        nap(30);
        pool.terminate();
        assert_eq!(receiver.recv_timeout(PATIENCE).unwrap(), Err(TaskError::Closed));
        assert_eq!(block_on(pool.submit(nap, 1)), Err(TaskError::Closed));
    });
}

#[test]
fn the_last_waker_is_woken() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let mut task = pool.submit(sleep, 200);
        let (first, last) = (Unpark::new(), Unpark::new());
        assert!(poll_once(&mut task, &first).is_pending());
        assert!(poll_once(&mut task, &last).is_pending());
        wait_until("the last is woken", || last.count() > 0);
        assert_eq!(poll_once(&mut task, &last), Poll::Ready(Ok(200)));
    });
}

#[test]
fn a_ready_future_is_ready_at_once_and_has_its_value_once() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let mut task = pool.submit(double, 1);
        wait_until("it is done", || task.is_done());
        let unpark = Unpark::new();
        assert_eq!(poll_once(&mut task, &unpark), Poll::Ready(Ok(2)));
        assert_eq!(poll_once(&mut task, &unpark), Poll::Ready(Err(TaskError::Taken)));
        assert_eq!(unpark.count(), 0);
    });
}

#[test]
fn polled_in_one_thread_and_gotten_in_another() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let mut task = pool.submit(sleep, 100);
        assert!(poll_once(&mut task, &Unpark::new()).is_pending());
        assert_eq!(thread::spawn(move || task.get()).join().unwrap().unwrap(), 100);
        let mut task = pool.submit(sleep, 100);
        assert!(poll_once(&mut task, &Unpark::new()).is_pending());
        assert_eq!(task.get_timeout(PATIENCE).unwrap(), Some(100));
    });
}

/// As a `select!` does: the one that was not first is dropped while it waits.
#[test]
fn one_that_is_dropped_half_way_harms_nobody() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        for _ in 0..50 {
            let (mut slow, mut quick) = (pool.submit(sleep, 3), pool.submit(double, 1));
            let first = block_on(poll_fn(|cx| match Pin::new(&mut quick).poll(cx) {
                Poll::Ready(value) => Poll::Ready(value),
                Poll::Pending => Pin::new(&mut slow).poll(cx),
            }));
            assert!(first.is_ok());
        }
        assert_eq!(block_on(pool.submit(double, 2)).unwrap(), 4);
    });
}

/// A waker is foreign code: it may use the pool.
#[test]
fn a_waker_may_use_the_pool_and_may_panic() {
    struct Busy {
        pool: Pool,
        done: AtomicUsize,
    }
    impl Wake for Busy {
        fn wake(self: Arc<Self>) {
            drop(self.pool.submit(double, 1));
            self.done.fetch_add(1, Ordering::SeqCst);
            panic!("a waker's own panic");
        }
    }
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let busy = Arc::new(Busy { pool: pool.clone(), done: AtomicUsize::new(0) });
        let mut task = pool.submit(sleep, 30);
        assert!(Pin::new(&mut task).poll(&mut Context::from_waker(&Waker::from(busy.clone()))).is_pending());
        wait_until("it is woken", || busy.done.load(Ordering::SeqCst) == 1);
        assert_eq!(pool.apply(double, 1).unwrap(), 2);
        assert_eq!(task.get().unwrap(), 30);
        assert_eq!(block_on(pool.submit(double, 3)).unwrap(), 6);
    });
}

#[test]
fn eight_executors_on_one_pool() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let threads: Vec<_> = (0..8_u64)
            .map(|n| {
                let pool = pool.clone();
                thread::spawn(move || {
                    block_on(async move {
                        for x in 0..200 {
                            assert_eq!(pool.submit(double, n * 1000 + x).await.unwrap(), (n * 1000 + x) * 2);
                        }
                    });
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

/// Some threads wait in `get`, others by wakers, others in `map`: whoever takes the results in tells the others.
#[test]
fn all_ways_to_wait_at_once() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let by = |f: fn(&Pool, u64)| {
            let pool = pool.clone();
            thread::spawn(move || (0..300).for_each(|x| f(&pool, x)))
        };
        let threads = [
            by(|pool, x| assert_eq!(pool.submit(double, x).get().unwrap(), x * 2)),
            by(|pool, x| assert_eq!(block_on(pool.submit(double, x)).unwrap(), x * 2)),
            by(|pool, x| assert_eq!(pool.map(double, [x, 1, 2]).unwrap(), [x * 2, 2, 4])),
            by(|pool, x| {
                assert_eq!(pool.imap_unordered(double, [x; 3]).filter(|v| *v == Ok(x * 2)).count(), 3)
            }),
            by(|pool, x| {
                let (sender, receiver) = std::sync::mpsc::channel();
                pool.submit(double, x).on_done(move |value| sender.send(value).unwrap());
                assert_eq!(receiver.recv_timeout(PATIENCE).unwrap().unwrap(), x * 2);
            }),
            by(|pool, x| {
                let mut task = pool.submit(double, x);
                while task.get_timeout(Duration::from_micros(50)).unwrap().is_none() {}
            }),
        ];
        for thread in threads {
            thread.join().unwrap();
        }
    });
}
