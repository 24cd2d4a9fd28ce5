//! Tests for state: captured state is sent once to each worker, made state is each worker's own.

mod common;

use common::{crash, double, is_first, nap, no_hang, pid, signal};
use proc_core::Fd;
use proc_pool::{Pool, TaskError};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::PathBuf;

proc_core::init_for_tests!();

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Config {
    factor: u64,
    names: Vec<String>,
}

impl Config {
    fn scale(&self, x: u64) -> u64 {
        x * self.factor
    }
}

fn config() -> Config {
    Config { factor: 3, names: vec!["a".into(), "b".into()] }
}

#[test]
fn smoke() {
    let pool = Pool::new(2).unwrap();
    assert_eq!(pool.with(config()).map(Config::scale, 0..4).unwrap(), [0, 3, 6, 9]);
    let counting = pool.with_init(|start: u64| start, 10);
    assert!(
        counting
            .apply(
                |n: &mut u64, x: u64| {
                    *n += x;
                    *n
                },
                5
            )
            .unwrap()
            == 15
    );
}

#[test]
fn every_verb_over_captured_state() {
    let pool = Pool::new(2).unwrap();
    let with = pool.with(config());
    assert_eq!(with.apply(Config::scale, 2).unwrap(), 6);
    assert_eq!(with.submit(Config::scale, 3).get().unwrap(), 9);
    assert_eq!(with.imap(Config::scale, 0..5).map(Result::unwrap).sum::<u64>(), 30);
    assert_eq!(with.imap_unordered(Config::scale, 0..5).map(Result::unwrap).sum::<u64>(), 30);
    let name = |config: &Config, i: usize| config.names.get(i).cloned().ok_or("no such name");
    assert_eq!(with.try_map(name, [1, 0]).unwrap(), ["b", "a"]);
    assert!(
        matches!(with.try_submit(name, 7).get(), Err(TaskError::Failed(e)) if e.to_string() == "no such name")
    );
    assert!(with.try_map(name, [0, 9]).is_err());
}

#[test]
fn every_verb_over_made_state() {
    let pool = Pool::new(1).unwrap();
    let made = pool.with_init(|config: Config| (config, 0_u64), config());
    fn count(state: &mut (Config, u64), x: u64) -> u64 {
        state.1 += 1;
        state.0.scale(x) + state.1 * 1000
    }
    assert_eq!(made.apply(count, 1).unwrap(), 1003);
    assert_eq!(made.submit(count, 2).get().unwrap(), 2006);
    assert_eq!(made.map(count, [1, 1]).unwrap(), [3003, 4003]);
    assert_eq!(made.imap(count, [1]).next().unwrap().unwrap(), 5003);
    assert_eq!(made.imap_unordered(count, [1]).next().unwrap().unwrap(), 6003);
    let odd = |_: &mut (Config, u64), x: u64| if x % 2 == 1 { Ok(x) } else { Err("even") };
    assert_eq!(made.try_map(odd, [1, 3]).unwrap(), [1, 3]);
    assert!(matches!(made.try_submit(odd, 2).get(), Err(TaskError::Failed(_))));
}

/// Each of the workers makes its own, once, whatever the number of calls.
#[test]
fn made_once_in_each_worker() {
    no_hang(|| {
        let folder = common::Folder::new();
        let make = |dir: PathBuf| {
            fs::write(
                dir.join(format!("{}-{}", std::process::id(), fs::read_dir(&dir).unwrap().count())),
                "",
            )
            .unwrap();
            0_u64
        };
        let pool = Pool::new(3).unwrap();
        let counting = pool.with_init(make, folder.0.clone());
        let next = |n: &mut u64, ms: u64| {
            nap(ms);
            *n += 1;
            (std::process::id(), *n)
        };
        let mut last = HashMap::new();
        for (pid, n) in counting.map(next, [5; 90]).unwrap() {
            let most = last.entry(pid).or_insert(0);
            *most = n.max(*most);
        }
        assert_eq!(last.values().sum::<u64>(), 90);
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), last.len());
    });
}

#[test]
fn captured_state_is_sent_once_to_each_worker() {
    #[derive(Debug, Serialize)]
    struct Counted(PathBuf);
    impl<'de> Deserialize<'de> for Counted {
        fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
            let dir = PathBuf::deserialize(d)?;
            let count = fs::read_dir(&dir).unwrap().count();
            fs::write(dir.join(format!("{}-{count}", std::process::id())), "").unwrap();
            Ok(Counted(dir))
        }
    }
    no_hang(|| {
        let folder = common::Folder::new();
        let pool = Pool::new(2).unwrap();
        let with = pool.with(Counted(folder.0.clone()));
        let work = |_: &Counted, ms: u64| {
            nap(ms);
            std::process::id()
        };
        let mut pids = with.map(work, [5; 40]).unwrap();
        pids.extend(with.clone().map(|_: &Counted, _: u64| std::process::id(), 0..40).unwrap());
        pids.sort_unstable();
        pids.dedup();
        assert!(fs::read_dir(&folder.0).unwrap().count() <= 2);
    });
}

#[test]
fn two_states_of_one_type_are_two() {
    let pool = Pool::new(1).unwrap();
    let (one, other) = (pool.with(1_u64), pool.with(2_u64));
    let add = |s: &u64, x: u64| s + x;
    for x in 0..20 {
        assert_eq!((one.apply(add, x).unwrap(), other.apply(add, x).unwrap()), (x + 1, x + 2));
    }
    let (one, other) = (pool.with_init(|s: u64| s, 0), pool.with_init(|s: u64| s, 100));
    let next = |n: &mut u64, ()| {
        *n += 1;
        *n
    };
    assert_eq!(one.map(next, [(); 3]).unwrap(), [1, 2, 3]);
    assert_eq!(other.map(next, [(); 2]).unwrap(), [101, 102]);
    assert_eq!(one.clone().apply(next, ()).unwrap(), 4);
}

#[test]
fn a_replaced_worker_gets_it_again() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let with = pool.with(config());
        let counting = pool.with_init(|start: u64| start, 0);
        let next = |n: &mut u64, ()| {
            *n += 1;
            *n
        };
        assert_eq!(counting.map(next, [(); 3]).unwrap(), [1, 2, 3]);
        assert!(matches!(
            with.apply(|_: &Config, ()| crash(), ()).map(|(): ()| ()),
            Err(TaskError::WorkerDied { .. })
        ));
        assert_eq!(with.apply(Config::scale, 5).unwrap(), 15);
        assert_eq!(counting.apply(next, ()).unwrap(), 1);
    });
}

#[test]
fn one_that_panics_when_it_is_made_is_the_tasks_error() {
    no_hang(|| {
        let folder = common::Folder::new();
        let pool = Pool::new(1).unwrap();
        let worker = pool.apply(pid, ()).unwrap();
        let make = |mark: PathBuf| if is_first(&mark) { panic!("not the first time") } else { 7_u64 };
        let made = pool.with_init(make, folder.file("mark"));
        let e = made.apply(|n: &mut u64, ()| *n, ()).unwrap_err();
        assert!(matches!(&e, TaskError::Panicked(p) if p.message == "not the first time"), "{e}");
        assert_eq!(made.apply(|n: &mut u64, ()| *n, ()).unwrap(), 7);
        assert_eq!(pool.apply(pid, ()).unwrap(), worker);
    });
}

#[test]
fn one_that_dies_when_it_is_made_is_the_tasks_death() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let made = pool.with_init(|()| -> u64 { std::process::exit(5) }, ());
        match made.apply(|n: &mut u64, ()| *n, ()) {
            Err(TaskError::WorkerDied { status, .. }) => assert_eq!(status.code(), Some(5)),
            other => panic!("{other:?}"),
        }
        assert_eq!(pool.apply(double, 1).unwrap(), 2);
    });
}

#[test]
fn one_that_does_not_cross_is_the_tasks_error() {
    #[derive(Debug, Deserialize)]
    struct Never;
    impl Serialize for Never {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("it stays here"))
        }
    }
    #[derive(Debug, Serialize)]
    struct Unread(u64);
    impl<'de> Deserialize<'de> for Unread {
        fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            Err(serde::de::Error::custom("it is not read"))
        }
    }
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let e = pool.with(Never).apply(|_: &Never, ()| 1, ()).unwrap_err();
        assert!(matches!(&e, TaskError::Encode(why) if why.contains("it stays here")), "{e}");
        let unread = pool.with(Unread(1));
        for _ in 0..3 {
            let e = unread.apply(|_: &Unread, ()| 1, ()).unwrap_err();
            assert!(matches!(&e, TaskError::Decode(why) if why.contains("it is not read")), "{e}");
        }
        assert_eq!(pool.apply(double, 1).unwrap(), 2);
    });
}

#[test]
fn one_that_is_big() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let table: Vec<u32> = (0..3_000_000).collect();
        let with = pool.with(table);
        let look = |table: &Vec<u32>, i: usize| table[i];
        assert_eq!(with.map(look, [0, 7, 2_999_999]).unwrap(), [0, 7, 2_999_999]);
        assert_eq!(with.map(look, 0..2000).unwrap(), (0..2000).collect::<Vec<_>>());
        assert_eq!(pool.apply(double, 1).unwrap(), 2);
    });
}

#[test]
fn one_that_owns_a_file() {
    let folder = common::Folder::new();
    let path = folder.file("text");
    fs::write(&path, "in a file").unwrap();
    let pool = Pool::new(2).unwrap();
    let with = pool.with(Fd(File::open(path).unwrap()));
    drop(folder);
    let read = |file: &Fd<File>, ()| {
        let mut text = String::new();
        let mut file = &file.0;
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        text.len()
    };
    // One open file between all: its position is shared, so one at a time.
    for _ in 0..4 {
        assert_eq!(with.apply(read, ()).unwrap(), 9);
    }
}

/// What is no message may be state of a worker: it never crosses.
#[test]
fn made_state_need_not_cross() {
    let pool = Pool::new(1).unwrap();
    struct Local(std::rc::Rc<std::cell::Cell<u64>>, Box<dyn Fn(u64) -> u64>);
    let made = pool.with_init(|by: u64| Local(std::rc::Rc::default(), Box::new(move |x| x * by)), 5);
    let call = |local: &mut Local, x: u64| {
        local.0.set(local.0.get() + 1);
        (local.1)(x) + local.0.get()
    };
    assert_eq!(made.map(call, [1, 2]).unwrap(), [6, 12]);
}

/// A death of an idle worker between two calls is nobody's, and its state is made anew.
#[test]
fn an_idle_worker_that_is_killed_takes_its_state_along() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let counting = pool.with_init(|start: u64| start, 0);
        let next = |n: &mut u64, ()| {
            *n += 1;
            (*n, std::process::id())
        };
        let (_, worker) = counting.apply(next, ()).unwrap();
        signal(worker, libc::SIGKILL);
        common::wait_until("it is dead", || !common::is_alive(worker));
        nap(200);
        assert_eq!(counting.apply(next, ()).unwrap().0, 1);
    });
}
