//! Tests for inputs that panic, never end, are slow, lie about their number, or use the pool themselves.

mod common;

use common::{double, no_hang, sleep};
use proc_pool::{Pool, TaskError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

proc_core::init_for_tests!();

/// The numbers, and a panic instead of the one with this index.
fn broken(at: u64) -> impl Iterator<Item = u64> {
    (0..).inspect(move |i| assert_ne!(*i, at, "the input's own panic"))
}

fn message(thrown: Box<dyn std::any::Any + Send>) -> String {
    thrown.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
fn smoke() {
    let pool = Pool::new(2).unwrap();
    assert_eq!(pool.map(double, (0..10).filter(|x| x % 2 == 0)).unwrap(), [0, 4, 8, 12, 16]);
}

#[test]
fn one_that_panics_panics_the_caller_and_harms_nobody() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        for at in [0, 1, 7, 3000] {
            let thrown = catch_unwind(AssertUnwindSafe(|| pool.map(double, broken(at)))).unwrap_err();
            assert!(message(thrown).contains("the input's own panic"));
            let thrown =
                catch_unwind(AssertUnwindSafe(|| pool.try_map(|x: u64| Ok::<_, String>(x), broken(at))));
            assert!(message(thrown.unwrap_err()).contains("the input's own panic"));
            let all = || pool.imap_unordered(double, broken(at)).map(Result::unwrap).count();
            assert!(catch_unwind(AssertUnwindSafe(all)).is_err());
            assert_eq!(pool.apply(double, 4).unwrap(), 8);
        }
        pool.close();
        pool.join().unwrap();
    });
}

/// What came before the panic is not lost: the iterator goes on with it.
#[test]
fn an_imap_whose_input_panics_gives_what_came_before() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let mut values = pool.imap(double, broken(100));
        let mut seen = Vec::new();
        let mut panics = 0;
        loop {
            match catch_unwind(AssertUnwindSafe(|| values.next())) {
                Ok(Some(value)) => seen.push(value.unwrap()),
                Ok(None) => break,
                Err(_) => panics += 1,
            }
        }
        assert_eq!(panics, 1);
        assert_eq!(seen, (0..100).map(|x| x * 2).collect::<Vec<_>>());
    });
}

#[test]
fn a_map_of_infinite_inputs_ends_at_the_first_error() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let e = pool.map(|x: u64| assert!(x < 500, "enough"), 0..).unwrap_err();
        assert!(matches!(e, TaskError::Panicked(p) if p.message == "enough"));
        let e = pool.try_map(|x: u64| if x < 500 { Ok(x) } else { Err("enough") }, 0..).unwrap_err();
        assert!(matches!(e, TaskError::Failed(e) if e.to_string() == "enough"));
        assert_eq!(pool.apply(double, 4).unwrap(), 8);
    });
}

/// Python takes 300,000 of 300,000 inputs while the consumer looks at the first value.
#[test]
fn look_ahead_is_bounded() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let taken = AtomicU64::new(0);
        let inputs = || {
            (0..).inspect(|_| {
                taken.fetch_add(1, Ordering::SeqCst);
            })
        };
        let mut values = pool.imap(double, inputs());
        assert_eq!(values.next().unwrap().unwrap(), 0);
        thread::sleep(Duration::from_millis(100));
        let ahead = taken.load(Ordering::SeqCst);
        assert!(ahead < 20_000, "{ahead}");
        for x in 1..100 {
            assert_eq!(values.next().unwrap().unwrap(), x * 2);
        }
        drop(values);
        taken.store(0, Ordering::SeqCst);
        let mut values = pool.imap_unordered(double, inputs());
        assert!(values.next().is_some());
        thread::sleep(Duration::from_millis(100));
        let ahead = taken.load(Ordering::SeqCst);
        assert!(ahead < 20_000, "{ahead}");
    });
}

/// Nothing is taken before the first value is asked for, and nothing after the iterator is dropped.
#[test]
fn an_imap_is_lazy() {
    let pool = Pool::new(1).unwrap();
    let taken = AtomicU64::new(0);
    let inputs = (0..).inspect(|_| {
        taken.fetch_add(1, Ordering::SeqCst);
    });
    let values = pool.imap(double, inputs);
    thread::sleep(Duration::from_millis(50));
    assert_eq!(taken.load(Ordering::SeqCst), 0);
    drop(values);
    assert_eq!(taken.load(Ordering::SeqCst), 0);
}

/// A value that is there is not held back until the look-ahead is full.
#[test]
fn the_first_value_does_not_wait_for_slow_inputs() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        pool.map(double, 0..4).unwrap();
        let taken = AtomicU64::new(0);
        let slow = || {
            (0..400).inspect(|_| {
                taken.fetch_add(1, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(20));
            })
        };
        let mut values = pool.imap(double, slow());
        assert_eq!(values.next().unwrap().unwrap(), 0);
        assert!(taken.load(Ordering::SeqCst) < 100);
        drop(values);
        taken.store(0, Ordering::SeqCst);
        assert!(pool.imap_unordered(double, slow()).next().is_some());
        assert!(taken.load(Ordering::SeqCst) < 100);
    });
}

#[test]
fn one_that_lies_about_its_number() {
    struct Liar(u64, (usize, Option<usize>));
    impl Iterator for Liar {
        type Item = u64;
        fn next(&mut self) -> Option<u64> {
            self.0 += 1;
            (self.0 <= 100).then_some(self.0)
        }
        fn size_hint(&self) -> (usize, Option<usize>) {
            self.1
        }
    }
    let pool = Pool::new(2).unwrap();
    for hint in [(0, Some(0)), (7, Some(7)), (usize::MAX, None), (usize::MAX, Some(usize::MAX))] {
        assert_eq!(pool.map(double, Liar(0, hint)).unwrap().len(), 100);
        assert_eq!(pool.imap(double, Liar(0, hint)).count(), 100);
        assert_eq!(pool.imap_unordered(double, Liar(0, hint)).count(), 100);
    }
}

/// An iterator may give `None` and then more; what came after the first `None` is no input.
#[test]
fn one_that_goes_on_after_its_end() {
    let pool = Pool::new(1).unwrap();
    let mut count = 0;
    let mut gaps = || {
        count = 0;
        std::iter::from_fn(move || {
            count += 1;
            (count % 5 != 0).then_some(count)
        })
    };
    assert_eq!(pool.map(double, gaps()).unwrap(), [2, 4, 6, 8]);
    assert_eq!(pool.imap(double, gaps()).map(Result::unwrap).collect::<Vec<_>>(), [2, 4, 6, 8]);
    assert_eq!(pool.imap_unordered(double, gaps()).count(), 4);
}

#[test]
fn one_that_uses_the_pool_itself() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let fed = pool.map(double, pool.imap(double, 0..300).map(Result::unwrap)).unwrap();
        assert_eq!(fed, (0..300).map(|x| x * 4).collect::<Vec<_>>());
        let fed: Vec<u64> =
            pool.imap(double, (0..100).map(|x| pool.apply(double, x).unwrap())).map(Result::unwrap).collect();
        assert_eq!(fed, (0..100).map(|x| x * 4).collect::<Vec<_>>());
        let chain = pool.imap(
            double,
            pool.imap_unordered(double, pool.imap(double, 0..100).map(Result::unwrap)).map(Result::unwrap),
        );
        assert_eq!(chain.map(Result::unwrap).sum::<u64>(), (0..100).map(|x| x * 8).sum());
    });
}

#[test]
fn two_imaps_are_read_in_turns() {
    let pool = Pool::new(2).unwrap();
    let (one, other) = (pool.imap(double, 0..200), pool.imap(|x: u64| x * 3, 0..200));
    for (x, (a, b)) in one.zip(other).enumerate() {
        assert_eq!((a.unwrap(), b.unwrap()), (x as u64 * 2, x as u64 * 3));
    }
}

#[test]
fn an_iterator_that_is_dropped_half_way_takes_back_what_has_not_begun() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let mut values = pool.imap(sleep, [1, 1, 200, 600_000, 600_000, 600_000]);
        assert!(values.next().unwrap().is_ok());
        assert!(values.next().unwrap().is_ok());
        drop(values);
        // The third may run; those behind it do not, or this would take for ever.
        assert_eq!(pool.apply(double, 1).unwrap(), 2);
    });
}
