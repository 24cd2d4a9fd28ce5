//! Tests for the verbs of a pool: values, order, laziness, errors of one task.

use proc_pool::{Pool, TaskError, as_completed};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

proc_core::init_for_tests!();

fn double(x: u64) -> u64 {
    x * 2
}

#[test]
fn smoke() {
    let pool = Pool::new(2).unwrap();
    assert_eq!(pool.apply(double, 21).unwrap(), 42);
}

#[test]
fn map_keeps_the_order() {
    let pool = Pool::new(2).unwrap();
    assert_eq!(pool.map(double, 0..500).unwrap(), (0..500).map(|x| x * 2).collect::<Vec<_>>());
    assert_eq!(pool.map(double, []).unwrap(), []);
    let tuples = pool.map(|(a, b): (u32, String)| format!("{b}{a}"), [(1, "x".into()), (2, "y".into())]);
    assert_eq!(tuples.unwrap(), ["x1", "y2"]);
}

#[test]
fn map_stops_at_the_first_error() {
    let pool = Pool::new(1).unwrap();
    let taken = AtomicU64::new(0);
    let items = (0..100_000_u64).inspect(|_| {
        taken.fetch_add(1, Ordering::Relaxed);
    });
    let e = pool.map(|x: u64| assert_ne!(x, 3, "three"), items).unwrap_err();
    assert!(matches!(e, TaskError::Panicked(p) if p.message.contains("three")));
    assert!(taken.into_inner() < 50_000);
    assert_eq!(pool.apply(double, 1).unwrap(), 2);
}

#[test]
fn try_map_gives_the_functions_own_error() {
    let pool = Pool::new(2).unwrap();
    let read = |path: String| std::fs::read_to_string(path);
    let e = pool.try_map(read, vec!["/no/such/file".into()]).unwrap_err();
    let TaskError::Failed(e) = e else { panic!("{e}") };
    assert_eq!(e.io_kind(), Some(std::io::ErrorKind::NotFound));
}

#[test]
fn map_ref_lends() {
    let pool = Pool::new(2).unwrap();
    let words = ["a".to_owned(), "bcd".to_owned()];
    assert_eq!(pool.map_ref(|w: &String| w.len(), &words).unwrap(), [1, 3]);
    fn len(s: &str) -> usize {
        s.len()
    }
    assert_eq!(pool.map_ref(len, "x yz".split(' ')).unwrap(), [1, 2]);
    fn sum(row: &[f64]) -> f64 {
        row.iter().sum()
    }
    assert_eq!(pool.map_ref(sum, [1.0, 2.0, 3.0].chunks(2)).unwrap(), [3.0, 3.0]);
}

#[test]
fn imap_keeps_the_order_and_goes_on_after_errors() {
    let pool = Pool::new(2).unwrap();
    let values: Vec<_> = pool.imap(|x: u32| if x == 2 { panic!("two") } else { x }, 0..5).collect();
    assert_eq!(values.len(), 5);
    for (i, value) in values.into_iter().enumerate() {
        match value {
            Ok(x) => assert_eq!(x, i as u32),
            Err(TaskError::Panicked(p)) => assert_eq!((i, &*p.message), (2, "two")),
            Err(e) => panic!("{e}"),
        }
    }
}

#[test]
fn imap_unordered_gives_what_is_done() {
    let pool = Pool::new(2).unwrap();
    let sleep = |ms: u64| {
        std::thread::sleep(Duration::from_millis(ms));
        ms
    };
    let order: Vec<u64> = pool.imap_unordered(sleep, [2500, 1]).map(Result::unwrap).collect();
    assert_eq!(order, [1, 2500]);
}

#[test]
fn imap_of_an_infinite_input_is_lazy() {
    let pool = Pool::new(2).unwrap();
    let taken = AtomicU64::new(0);
    let inputs = (0..).inspect(|_| {
        taken.fetch_add(1, Ordering::Relaxed);
    });
    let some: Vec<u64> = pool.imap(double, inputs).take(10).map(Result::unwrap).collect();
    assert_eq!(some, (0..10).map(|x| x * 2).collect::<Vec<_>>());
    assert!(taken.into_inner() < 10_000);
}

#[test]
fn next_timeout_can_be_repeated() {
    let pool = Pool::new(1).unwrap();
    let slow = |x: u32| {
        std::thread::sleep(Duration::from_millis(2000));
        x
    };
    let mut values = pool.imap(slow, [7]);
    assert!(values.next_timeout(Duration::from_millis(1)).is_none());
    assert_eq!(values.next().unwrap().unwrap(), 7);
    assert!(values.next().is_none());
}

#[test]
fn tasks_in_reverse_and_dropped() {
    let pool = Pool::new(2).unwrap();
    let tasks: Vec<_> = (0..50).map(|x| pool.submit(double, x)).collect();
    drop(pool.submit(double, 1));
    for (i, task) in tasks.into_iter().enumerate().rev() {
        assert_eq!(task.get().unwrap(), i as u64 * 2);
    }
}

#[test]
fn get_timeout_is_not_early_and_keeps_the_task() {
    let pool = Pool::new(1).unwrap();
    let mut task = pool.submit(|ms| std::thread::sleep(Duration::from_millis(ms)), 2500_u64);
    let start = Instant::now();
    assert_eq!(task.get_timeout(Duration::from_millis(50)).unwrap(), None);
    assert!(start.elapsed() >= Duration::from_millis(50));
    assert_eq!(task.try_get().unwrap(), None);
    assert_eq!(task.get_timeout(Duration::MAX).unwrap(), Some(()));
    assert_eq!(task.try_get().unwrap_err(), TaskError::Taken);
}

#[test]
fn as_completed_takes_more_meanwhile() {
    let pool = Pool::new(2).unwrap();
    let mut running = as_completed([pool.submit(double, 1)]);
    let mut seen = Vec::new();
    while let Some(task) = running.next() {
        let value = task.get().unwrap();
        seen.push(value);
        if value < 100 {
            running.push(pool.submit(double, value));
        }
    }
    assert_eq!(seen, [2, 4, 8, 16, 32, 64, 128]);
    assert!(running.is_empty());
}

#[test]
fn state_is_lent_to_every_call() {
    let pool = Pool::new(2).unwrap();
    let with = pool.with(vec!["a".to_owned(), "b".to_owned()]);
    assert_eq!(with.map(|names, i: usize| names[i].clone(), [1, 0]).unwrap(), ["b", "a"]);
    assert_eq!(with.submit(|names, ()| names.len(), ()).get().unwrap(), 2);
}

#[test]
fn local_state_is_made_again_after_a_panic() {
    let pool = Pool::new(1).unwrap();
    let counting = pool.with_init(|start: u32| start, 10);
    let next = |n: &mut u32, fail: bool| {
        *n += 1;
        assert!(!fail, "asked to");
        *n
    };
    assert_eq!(counting.apply(next, false).unwrap(), 11);
    assert_eq!(counting.apply(next, false).unwrap(), 12);
    assert!(counting.apply(next, true).is_err());
    assert_eq!(counting.apply(next, false).unwrap(), 11);
}

#[test]
fn big_values_cross() {
    let pool = Pool::new(2).unwrap();
    let echo = |v: Vec<u8>| v;
    for size in [0, 1, 70_000, 3 << 20] {
        let data: Vec<u8> = (0..size).map(|i| i as u8).collect();
        assert!(pool.apply(echo, data.clone()).unwrap() == data);
    }
}

#[test]
fn files_cross() {
    use proc_core::Fd;
    use std::fs::File;
    let pool = Pool::new(1).unwrap();
    let file = Fd(File::open("/proc/self/comm").unwrap());
    let again: Fd<File> = pool.apply(|f: Fd<File>| f, file).unwrap();
    assert!(std::io::read_to_string(again.0).unwrap().len() > 1);
}

#[test]
fn callbacks_run_and_a_panic_in_one_is_contained() {
    let pool = Pool::new(1).unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    pool.submit(double, 1).on_done(|_| panic!("a callback's own panic"));
    pool.submit(double, 4).on_done(move |value| sender.send(value.unwrap()).unwrap());
    assert_eq!(receiver.recv_timeout(Duration::from_secs(10)).unwrap(), 8);
}

#[test]
fn a_task_is_a_future() {
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Wake, Waker};
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let pool = Pool::new(1).unwrap();
    let mut task = pin!(pool.submit(double, 5));
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let value = loop {
        match task.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => break value,
            Poll::Pending => std::thread::park(),
        }
    };
    assert_eq!(value.unwrap(), 10);
}

#[test]
fn handles_are_send_and_sync() {
    fn both<T: Send + Sync>() {}
    fn send<T: Send>() {}
    both::<Pool>();
    both::<proc_pool::PoolWith<u32>>();
    both::<proc_pool::PoolInit<*const ()>>();
    both::<TaskError>();
    both::<proc_pool::PoolError>();
    both::<proc_pool::Task<u32>>();
    send::<proc_pool::Imap<u32, std::ops::Range<u32>>>();
    send::<proc_pool::AsCompleted<u32>>();
}
