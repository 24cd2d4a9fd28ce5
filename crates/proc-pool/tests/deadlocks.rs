//! Tests for every way to fail in every step of a task, by CPython's matrix: encode and decode the argument, run,
//! encode and decode the value; each by an error, a panic, an exit, a crash. Nothing hangs, and nobody else is hit.

mod common;

use common::{PATIENCE, crash, double, is_alive, no_hang, pid, wait_until};
use proc_core::{JoinError, Process};
use proc_pool::{Pool, TaskError, as_completed};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

proc_core::init_for_tests!();

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum How {
    Not,
    Error,
    Panic,
    Exit,
    Crash,
}

use How::{Crash, Exit, Not, Panic};

const WAYS: [How; 4] = [How::Error, Panic, Exit, Crash];

impl How {
    fn strike(self) -> Result<(), String> {
        match self {
            Not => Ok(()),
            How::Error => Err("asked to fail".into()),
            Panic => panic!("asked to panic"),
            Exit => std::process::exit(3),
            Crash => crash(),
        }
    }
}

/// Fails when it is encoded.
#[derive(Debug, Deserialize)]
struct Out(How);

impl Serialize for Out {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.0.strike().map_err(S::Error::custom)?;
        self.0.serialize(s)
    }
}

/// Fails when it is decoded.
#[derive(Debug, Serialize)]
struct In(How);

impl<'de> Deserialize<'de> for In {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let how = How::deserialize(d)?;
        how.strike().map_err(D::Error::custom)?;
        Ok(In(how))
    }
}

/// The steps that happen in the worker.
#[derive(Clone, Copy, Debug)]
enum Step {
    DecodeArgument,
    Run,
    EncodeValue,
}

const STEPS: [Step; 3] = [Step::DecodeArgument, Step::Run, Step::EncodeValue];

type Waiting = Box<dyn FnOnce() -> Result<(), TaskError>>;

fn submit(pool: &Pool, step: Step, how: How) -> Waiting {
    match step {
        Step::DecodeArgument => {
            let task = pool.submit(|_: In| (), In(how));
            Box::new(move || task.get())
        }
        Step::Run => {
            let task = pool.try_submit(|how: How| how.strike(), how);
            Box::new(move || task.get())
        }
        Step::EncodeValue => {
            let task = pool.submit(Out, how);
            Box::new(move || task.get().map(drop))
        }
    }
}

fn check(step: Step, how: How, result: Result<(), TaskError>) {
    let as_expected = match (how, step, &result) {
        (Not, _, Ok(())) => true,
        (How::Error, Step::DecodeArgument, Err(TaskError::Decode(why))) => why.contains("asked to fail"),
        (How::Error, Step::Run, Err(TaskError::Failed(why))) => why.to_string().contains("asked to fail"),
        (How::Error, Step::EncodeValue, Err(TaskError::Encode(why))) => why.contains("asked to fail"),
        (Panic, _, Err(TaskError::Panicked(panic))) => panic.message == "asked to panic",
        (Exit, _, Err(TaskError::WorkerDied { status, .. })) => status.code() == Some(3),
        (Crash, _, Err(TaskError::WorkerDied { status, .. })) => status.signal() == Some(libc::SIGSEGV),
        _ => false,
    };
    assert!(as_expected, "{step:?} {how:?}: {result:?}");
}

#[test]
fn smoke() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        for step in STEPS {
            check(step, Not, submit(&pool, step, Not)());
        }
    });
}

#[test]
fn in_the_worker_one_after_the_other() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        for step in STEPS {
            for how in WAYS {
                check(step, how, submit(&pool, step, how)());
                assert_eq!(pool.apply(double, 4).unwrap(), 8, "after {step:?} {how:?}");
            }
        }
        pool.close();
        pool.join().unwrap();
    });
}

#[test]
fn in_the_worker_among_good_tasks() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        for step in STEPS {
            for how in WAYS {
                let good: Vec<_> = (0..20).map(|x| pool.submit(double, x)).collect();
                let bad = submit(&pool, step, how);
                let more: Vec<_> = (20..40).map(|x| pool.submit(double, x)).collect();
                check(step, how, bad());
                for (x, task) in good.into_iter().chain(more).enumerate() {
                    assert_eq!(task.get().unwrap(), x as u64 * 2, "{step:?} {how:?}");
                }
            }
        }
    });
}

#[test]
fn in_the_worker_in_a_map() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let ways = |how: How, at: usize| (0..30).map(move |i| if i == at { how } else { Not });
        for how in WAYS {
            let e = pool.map(|_: In| (), ways(how, 7).map(In)).unwrap_err();
            check(Step::DecodeArgument, how, Err(e));
            let e = pool.try_map(|how: How| how.strike(), ways(how, 11)).unwrap_err();
            check(Step::Run, how, Err(e));
            let e = pool.map(Out, ways(how, 29)).unwrap_err();
            check(Step::EncodeValue, how, Err(e));
        }
    });
}

/// CPython's `imap` in chunks loses everything behind the first error.
#[test]
fn in_the_worker_in_an_imap_each_item_has_its_own_outcome() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        for how in WAYS {
            let ways = || (0..30).map(|i| if i % 10 == 5 { how } else { Not });
            for (i, outcome) in pool.imap(|_: In| (), ways().map(In)).enumerate() {
                check(Step::DecodeArgument, if i % 10 == 5 { how } else { Not }, outcome);
            }
            for (i, outcome) in pool.imap(Out, ways()).enumerate() {
                let outcome = outcome.map(drop);
                check(Step::EncodeValue, if i % 10 == 5 { how } else { Not }, outcome);
            }
            let outcomes: Vec<_> = pool.imap_unordered(Out, ways()).collect();
            assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 27);
            assert_eq!(outcomes.len(), 30);
        }
    });
}

#[test]
fn encoding_the_argument_is_the_callers() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let e = pool.submit(|_: Out| (), Out(How::Error)).get().unwrap_err();
        assert!(matches!(&e, TaskError::Encode(why) if why.contains("asked to fail")), "{e}");
        let thrown = catch_unwind(AssertUnwindSafe(|| drop(pool.submit(|_: Out| (), Out(Panic)))));
        assert!(thrown.is_err());

        let ways = |how| [Not, Not, how, Not].map(Out);
        let e = pool.map(|_: Out| (), ways(How::Error)).unwrap_err();
        assert!(matches!(&e, TaskError::Encode(why) if why.contains("asked to fail")), "{e}");
        assert!(catch_unwind(AssertUnwindSafe(|| pool.map(|_: Out| (), ways(Panic)))).is_err());

        let outcomes: Vec<_> = pool.imap(|_: Out| (), ways(How::Error)).collect();
        assert_eq!(outcomes.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, false, true]);
        let mut values = pool.imap(|_: Out| (), ways(Panic));
        let all = catch_unwind(AssertUnwindSafe(|| while values.next().is_some() {}));
        assert!(all.is_err());
        drop(values);

        assert_eq!(pool.apply(double, 4).unwrap(), 8);
        pool.close();
        pool.join().unwrap();
    });
}

#[test]
fn decoding_the_value_is_the_callers() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let e = pool.apply(In, How::Error).unwrap_err();
        assert!(matches!(&e, TaskError::Decode(why) if why.contains("asked to fail")), "{e}");
        assert!(catch_unwind(AssertUnwindSafe(|| pool.apply(In, Panic))).is_err());

        let ways = |how| [Not, Not, how, Not];
        let e = pool.map(In, ways(How::Error)).unwrap_err();
        assert!(matches!(&e, TaskError::Decode(why) if why.contains("asked to fail")), "{e}");
        assert!(catch_unwind(AssertUnwindSafe(|| pool.map(In, ways(Panic)))).is_err());

        let outcomes: Vec<_> = pool.imap(In, ways(How::Error)).collect();
        assert_eq!(outcomes.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, false, true]);

        // One whose value panics is given out as any other: only who asks it for the value panics.
        let done = as_completed(ways(Panic).map(|how| pool.submit(In, how)));
        let gotten: Vec<_> = done.map(|task| catch_unwind(AssertUnwindSafe(|| task.get())).is_ok()).collect();
        assert_eq!(gotten, [true, true, false, true]);

        let mut values = pool.imap(In, ways(Panic));
        let mut taken = Vec::new();
        loop {
            match catch_unwind(AssertUnwindSafe(|| values.next())) {
                Ok(None) => break,
                Ok(Some(value)) => taken.push(value.is_ok()),
                Err(_) => taken.push(false),
            }
        }
        assert_eq!(taken, [true, true, false, true]);

        assert_eq!(pool.apply(double, 4).unwrap(), 8);
        pool.close();
        pool.join().unwrap();
    });
}

/// The caller's own end is no hang either, and takes the workers with it.
#[test]
fn a_caller_that_ends_in_its_serde_takes_the_workers_with_it() {
    fn end(how: How, encode: bool, mark: PathBuf) {
        let pool = Pool::new(2).unwrap();
        let pids: Vec<u32> = (0..2).map(|_| pool.apply(pid, ()).unwrap()).collect();
        std::fs::write(mark, format!("{} {}", pids[0], pids[1])).unwrap();
        if encode {
            pool.submit(|_: Out| (), Out(how)).get().unwrap();
        } else {
            pool.apply(In, how).unwrap();
        }
    }
    let folder = common::Folder::new();
    for how in [Exit, Crash] {
        for encode in [true, false] {
            let mark = folder.file(&format!("{how:?}-{encode}"));
            let work = |(how, encode, mark)| end(how, encode, mark);
            let mut program = Process::spawn(work, (how, encode, mark.clone())).unwrap();
            match (how, program.join_timeout(PATIENCE)) {
                (Exit, Err(JoinError::Exited(3)))
                | (Crash, Err(JoinError::Signaled { signal: libc::SIGSEGV, .. })) => {}
                (_, other) => panic!("{how:?} {encode}: {other:?}"),
            }
            for worker in std::fs::read_to_string(&mark).unwrap().split(' ') {
                let worker = worker.parse().unwrap();
                wait_until("the worker is gone", || !is_alive(worker));
            }
        }
    }
}
