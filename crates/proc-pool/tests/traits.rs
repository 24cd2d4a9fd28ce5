//! Tests for what the public types can do: cross threads, be printed, be errors, cross processes.

use proc_core::{ExitStatus, RemoteError};
use proc_pool::{
    AsCompleted, Imap, ImapUnordered, Pool, PoolBuilder, PoolError, PoolInit, PoolWith, Task, TaskError,
    TaskId, as_completed,
};
use std::error::Error;
use std::fmt::Debug;
use std::future::Future;
use std::hash::Hash;
use std::io;
use std::iter::FusedIterator;
use std::ops::Range;
use std::panic::UnwindSafe;

proc_core::init_for_tests!();

fn send<T: Send>() {}
fn both<T: Send + Sync + 'static>() {}
fn printed<T: Debug>() {}

#[test]
fn smoke() {
    both::<Pool>();
    both::<PoolBuilder>();
    both::<PoolWith<u32>>();
    both::<PoolWith<std::cell::Cell<u32>>>();
    both::<PoolInit<u32>>();
    both::<PoolInit<*const ()>>();
    both::<Task<u32>>();
    both::<Task<std::cell::Cell<u32>>>();
    both::<TaskId>();
    both::<TaskError>();
    both::<PoolError>();
    send::<Imap<u32, Range<u32>>>();
    send::<ImapUnordered<u32, Range<u32>>>();
    send::<AsCompleted<u32>>();
}

#[test]
fn all_are_printed() {
    struct NotDebug;
    printed::<Pool>();
    printed::<PoolBuilder>();
    printed::<PoolWith<NotDebug>>();
    printed::<PoolInit<NotDebug>>();
    printed::<Task<NotDebug>>();
    printed::<AsCompleted<NotDebug>>();
    printed::<Imap<NotDebug, NotDebug>>();
    printed::<ImapUnordered<NotDebug, NotDebug>>();
    let pool = Pool::new(1).unwrap();
    let task = pool.submit(|x: u32| x, 1);
    let texts = [
        format!("{pool:?}"),
        format!("{:?}", Pool::builder()),
        format!("{:?}", pool.with(1)),
        format!("{:?}", pool.with_init(|x: u32| x, 1)),
        format!("{:?}", pool.imap(|x: u32| x, 0..1)),
        format!("{:?}", pool.imap_unordered(|x: u32| x, 0..1)),
        format!("{task:?}"),
        format!("{:?}", as_completed([task])),
    ];
    for text in texts {
        assert!(text.starts_with(|c: char| c.is_ascii_uppercase()) && text.len() < 600, "{text}");
    }
}

#[test]
fn handles_are_what_is_expected_of_them() {
    fn clone<T: Clone>() {}
    fn iterator<T: Iterator + FusedIterator>() {}
    fn key<T: Copy + Eq + Ord + Hash>() {}
    fn future<T: Future<Output = Result<u32, TaskError>> + Unpin>() {}
    fn extend<T: Extend<Task<u32>> + Iterator<Item = Task<u32>>>() {}
    fn unwind<T: UnwindSafe>() {}
    struct NotClone;
    clone::<Pool>();
    clone::<PoolBuilder>();
    clone::<PoolWith<NotClone>>();
    clone::<PoolInit<NotClone>>();
    iterator::<Imap<u32, Range<u32>>>();
    iterator::<ImapUnordered<u32, Range<u32>>>();
    key::<TaskId>();
    future::<Task<u32>>();
    extend::<AsCompleted<u32>>();
    unwind::<TaskError>();
}

fn all_errors() -> Vec<TaskError> {
    let pool = Pool::new(1).unwrap();
    let id = pool.submit(|x: u32| x, 1).id();
    let panic = pool.apply(|()| -> u32 { panic!("asked to") }, ()).unwrap_err();
    let status = ExitStatus::Exited(3);
    vec![
        panic,
        TaskError::Failed(RemoteError::new("not found")),
        TaskError::WorkerDied { pid: 7, status, task: id },
        TaskError::TimedOut,
        TaskError::Cancelled,
        TaskError::Encode("no".into()),
        TaskError::Decode("no".into()),
        TaskError::Closed,
        TaskError::Broken("no".into()),
        TaskError::Taken,
    ]
}

#[test]
fn errors_read_well() {
    for error in all_errors() {
        let text = error.to_string();
        assert!(text.starts_with(|c: char| c.is_lowercase()), "{text}");
        assert!(!text.ends_with('.'), "{text}");
        assert_eq!(format!("{error:?}"), text, "main prints it");
    }
    let error = Pool::new(0).unwrap_err();
    assert_eq!(format!("{error:?}"), error.to_string());
    assert!(error.to_string().starts_with(|c: char| c.is_lowercase()));
}

/// A death says who, how, and at what: enough to find it in a log of the system.
#[test]
fn a_death_says_all_that_is_known() {
    let pool = Pool::new(1).unwrap();
    let task = pool.submit(|()| std::process::exit(9), ());
    let id = task.id();
    let error = task.get().map(|(): ()| ()).unwrap_err();
    let TaskError::WorkerDied { pid, status, task } = &error else { panic!("{error}") };
    assert_eq!((*task, status.code()), (id, Some(9)));
    let text = error.to_string();
    assert!(
        text.contains(&pid.to_string()) && text.contains("code 9") && text.contains(&id.to_string()),
        "{text}"
    );
}

#[test]
fn errors_have_their_source() {
    let not_found = io::Error::from(io::ErrorKind::NotFound);
    let error = TaskError::Failed(RemoteError::new(not_found));
    assert!(error.source().is_some());
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::NotFound);
    assert_eq!(io::Error::from(TaskError::TimedOut).kind(), io::ErrorKind::TimedOut);
    for error in all_errors() {
        let text = error.to_string();
        assert!(io::Error::from(error.clone()).to_string().contains(&text));
        assert!(RemoteError::from(error).to_string().contains(&text));
    }
    let error = Pool::new(0).unwrap_err();
    assert!(io::Error::from(error.clone()).to_string().contains("at least one worker"));
    assert!(RemoteError::from(error).to_string().contains("at least one worker"));
}

/// A task of a pool may itself use a pool, and hand its errors on.
#[test]
fn errors_cross() {
    let pool = Pool::new(1).unwrap();
    for error in all_errors() {
        let (came, text) = pool.apply(|e: TaskError| (e.clone(), e.to_string()), error.clone()).unwrap();
        assert_eq!(came, error);
        assert_eq!(text, error.to_string());
        let failed = pool.try_submit(|e: TaskError| Err::<u32, _>(e), error.clone()).get().unwrap_err();
        assert!(failed.to_string().contains(&error.to_string()));
    }
}

/// The types of errors and values need not be known to outlive everything where they are generic.
#[test]
fn generic_callers() {
    fn all<R: proc_core::Message, E: Into<Box<dyn Error + Send + Sync>>>(
        pool: &Pool,
        f: fn(u64) -> Result<R, E>,
    ) -> Result<Vec<R>, TaskError> {
        pool.try_map(f, [1, 2])
    }
    fn when_done<R>(task: Task<R>, f: impl FnOnce(Result<R, TaskError>) + Send + 'static) {
        task.on_done(f);
    }
    let pool = Pool::new(1).unwrap();
    let odd = |x: u64| if x % 2 == 1 { Ok(x) } else { Err("even") };
    assert!(matches!(all(&pool, odd), Err(TaskError::Failed(e)) if e.to_string() == "even"));
    let (sender, receiver) = std::sync::mpsc::channel();
    when_done(pool.submit(|x: String| x + "!", "done".to_owned()), move |result| {
        sender.send(result).unwrap()
    });
    assert_eq!(receiver.recv().unwrap().unwrap(), "done!");
}
