//! Tests for barriers: all come through together, or all learn that somebody does not come.

mod common;

use std::{
    io::ErrorKind,
    sync::atomic::{AtomicU32, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use common::{LONG, SHORT, eventually};
use proc_core::Process;
use proc_shm::{Barrier, BarrierError, Event, LockError, Value};

proc_core::init_for_tests!();

#[test]
fn smoke() {
    let alone = Barrier::new(1).unwrap();
    for _ in 0..3 {
        assert_eq!(alone.wait(), Ok(true));
    }
    assert_eq!((alone.parties(), alone.waiting(), alone.is_broken()), (1, 0, false));
    assert_eq!(Barrier::new(0).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(Barrier::new(usize::MAX).unwrap_err().kind(), ErrorKind::InvalidInput);
}

/// Comes `rounds` times, and checks that nobody is a round ahead. How often it was the last.
fn rounds((barrier, count, parties, rounds): (Barrier, Value<AtomicU32>, u32, u32)) -> u32 {
    let mut sum = 0;
    for round in 0..rounds {
        count.fetch_add(1, SeqCst);
        sum += u32::from(barrier.wait().unwrap());
        let now = count.load(SeqCst);
        assert!(now >= (round + 1) * parties && now <= (round + 2) * parties);
        barrier.wait().unwrap();
    }
    sum
}

#[test]
fn processes_and_threads_come_through_together() {
    const PARTIES: u32 = 5;
    const ROUNDS: u32 = 100;
    let barrier = Barrier::new(PARTIES as usize).unwrap();
    let count = Value::new(AtomicU32::new(0)).unwrap();
    let task = (barrier.clone(), count, PARTIES, ROUNDS);
    let children: Vec<_> = (0..3).map(|_| Process::spawn(rounds, task.clone()).unwrap()).collect();
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let task = task.clone();
            thread::spawn(move || rounds(task))
        })
        .collect();
    let mut sum = 0;
    for child in children {
        sum += child.join().unwrap();
    }
    for thread in threads {
        sum += thread.join().unwrap();
    }
    // One in each round.
    assert_eq!(sum, ROUNDS);
    assert!(!barrier.is_broken());
}

#[test]
fn a_thousand_passes() {
    let barrier = Barrier::new(2).unwrap();
    thread::scope(|s| {
        let last = || (0..1000).filter(|_| barrier.wait().unwrap()).count();
        let threads = [s.spawn(last), s.spawn(last)];
        assert_eq!(threads.into_iter().map(|t| t.join().unwrap()).sum::<usize>(), 1000);
    });
}

#[test]
fn the_action_runs_once_before_anybody_goes_on() {
    let barrier = Barrier::new(3).unwrap();
    let runs = AtomicU32::new(0);
    thread::scope(|s| {
        for _ in 0..3 {
            s.spawn(|| {
                barrier
                    .wait_with(|| {
                        thread::sleep(SHORT);
                        runs.fetch_add(1, SeqCst);
                    })
                    .unwrap();
                assert_eq!(runs.load(SeqCst), 1);
            });
        }
    });
}

#[test]
fn an_action_that_panics_breaks_it() {
    let barrier = Barrier::new(2).unwrap();
    thread::scope(|s| {
        let other = s.spawn(|| barrier.wait());
        eventually("the other", || barrier.waiting() == 1);
        let result = s.spawn(|| barrier.wait_with(|| panic!("on purpose"))).join();
        assert!(result.is_err());
        assert_eq!(other.join().unwrap(), Err(BarrierError::Broken));
    });
    assert!(barrier.is_broken());
}

#[test]
fn a_time_out_breaks_it_for_all() {
    let barrier = Barrier::new(3).unwrap();
    thread::scope(|s| {
        let patient = s.spawn(|| barrier.wait());
        eventually("the other", || barrier.waiting() == 1);
        let start = Instant::now();
        assert_eq!(barrier.wait_timeout(SHORT), Ok(None));
        assert!(start.elapsed() >= SHORT);
        assert_eq!(patient.join().unwrap(), Err(BarrierError::Broken));
    });
    assert_eq!(barrier.wait(), Err(BarrierError::Broken));
    barrier.reset().unwrap();
    thread::scope(|s| {
        for _ in 0..3 {
            s.spawn(|| assert!(barrier.wait_timeout(Duration::MAX).unwrap().is_some()));
        }
    });
    assert_eq!(Barrier::new(2).unwrap().wait_timeout(Duration::ZERO), Ok(None));
    assert_eq!(Barrier::new(2).unwrap().wait_deadline(Instant::now()), Ok(None));
}

#[test]
fn abort_and_reset_free_who_waits() {
    let barrier = Barrier::new(2).unwrap();
    for reset in [false, true] {
        thread::scope(|s| {
            let waiter = s.spawn(|| barrier.wait());
            eventually("the waiter", || barrier.waiting() == 1);
            if reset {
                barrier.reset().unwrap()
            } else {
                barrier.abort().unwrap()
            }
            assert_eq!(waiter.join().unwrap(), Err(BarrierError::Broken));
        });
        assert_eq!(barrier.is_broken(), !reset);
        barrier.reset().unwrap();
        thread::scope(|s| {
            s.spawn(|| barrier.wait().unwrap());
            barrier.wait().unwrap();
        });
    }
}

#[test]
fn a_killed_party_breaks_it() {
    let barrier = Barrier::new(3).unwrap();
    let child = Process::spawn(|b: Barrier| b.wait().is_ok(), barrier.clone()).unwrap();
    eventually("the child", || barrier.waiting() == 1);
    thread::scope(|s| {
        let waiter = s.spawn(|| barrier.wait());
        eventually("both", || barrier.waiting() == 2);
        child.kill().unwrap();
        child.join().unwrap_err();
        assert_eq!(waiter.join().unwrap(), Err(BarrierError::Broken));
    });
    // As new after a reset: the dead one is forgotten.
    barrier.reset().unwrap();
    thread::scope(|s| {
        for _ in 0..3 {
            s.spawn(|| barrier.wait().unwrap());
        }
    });
}

#[test]
fn a_party_that_died_between_two_rounds_breaks_it() {
    let barrier = Barrier::new(2).unwrap();
    let child = Process::spawn(
        |b: Barrier| {
            b.wait().unwrap();
            thread::sleep(LONG);
        },
        barrier.clone(),
    )
    .unwrap();
    barrier.wait().unwrap();
    child.kill().unwrap();
    child.join().unwrap_err();
    assert_eq!(barrier.wait(), Err(BarrierError::Broken));
}

#[test]
fn a_party_that_left_in_peace_breaks_nothing() {
    let barrier = Barrier::new(2).unwrap();
    let meet = |b: Barrier| b.wait().unwrap();
    for _ in 0..3 {
        let child = Process::spawn(meet, barrier.clone()).unwrap();
        barrier.wait().unwrap();
        child.join().unwrap();
    }
    // The next one comes late.
    let (barrier, go) = (barrier, Event::new().unwrap());
    let late = Process::spawn(
        |(b, go): (Barrier, Event)| {
            go.wait().unwrap();
            b.wait().unwrap();
        },
        (barrier.clone(), go.clone()),
    )
    .unwrap();
    thread::scope(|s| {
        let waiter = s.spawn(|| barrier.wait_timeout(LONG));
        eventually("the waiter", || barrier.waiting() == 1);
        thread::sleep(Duration::from_millis(300));
        go.set();
        assert!(waiter.join().unwrap().unwrap().is_some());
    });
    late.join().unwrap();
}

#[test]
fn one_that_never_comes_is_bounded_by_the_time_limit() {
    let barrier = Barrier::new(2).unwrap();
    let child = Process::spawn(|_: Barrier| thread::sleep(LONG), barrier.clone()).unwrap();
    child.kill().unwrap();
    child.join().unwrap_err();
    let start = Instant::now();
    assert_eq!(barrier.wait_timeout(SHORT), Ok(None));
    assert!(start.elapsed() < LONG);
}

#[test]
fn an_error_of_a_wait_is_one_of_locks_too() {
    fn meet(barrier: &Barrier) -> Result<bool, LockError> {
        if barrier.wait()? {
            return Ok(true);
        }
        Ok(false)
    }
    let barrier = Barrier::new(1).unwrap();
    assert_eq!(meet(&barrier), Ok(true));
    barrier.abort().unwrap();
    assert_eq!(meet(&barrier), Err(LockError::Broken));
}

/// Two threads of one process are all the parties; the second one is in the action, and stays there.
fn stuck_in_the_action(barrier: &Barrier) -> Process<()> {
    let inside = Event::new().unwrap();
    let child = Process::spawn(
        |(b, inside): (Barrier, Event)| {
            thread::scope(|s| {
                s.spawn(|| b.wait());
                eventually("the first", || b.waiting() == 1);
                let _ = b.wait_with(|| {
                    inside.set();
                    thread::sleep(LONG);
                });
            });
        },
        (barrier.clone(), inside.clone()),
    )
    .unwrap();
    assert!(inside.wait_timeout(LONG).unwrap());
    child
}

fn kill<R: proc_core::Message>(child: Process<R>) {
    child.kill().unwrap();
    assert!(child.join().is_err());
}

#[test]
fn who_comes_when_all_parties_were_killed_in_the_action_is_told() {
    for limit in [None, Some(Duration::ZERO), Some(LONG)] {
        let barrier = Barrier::new(2).unwrap();
        kill(stuck_in_the_action(&barrier));
        assert_eq!(barrier.waiting(), 2);
        let result = match limit {
            None => barrier.wait().map(Some),
            Some(limit) => barrier.wait_timeout(limit),
        };
        assert_eq!(result, Err(BarrierError::Broken), "{limit:?}");
        barrier.reset().unwrap();
        assert_eq!(barrier.waiting(), 0);
    }
}

#[test]
fn who_comes_while_all_are_there_learns_of_their_deaths_and_breaks_nothing_itself() {
    let barrier = Barrier::new(2).unwrap();
    let child = stuck_in_the_action(&barrier);
    // None of their generation, so that its time limit is its own.
    assert_eq!(barrier.wait_timeout(SHORT), Ok(None));
    assert!(!barrier.is_broken());
    thread::scope(|s| {
        let late = s.spawn(|| barrier.wait());
        thread::sleep(SHORT);
        kill(child);
        assert_eq!(late.join().unwrap(), Err(BarrierError::Broken));
    });
}

#[test]
fn the_last_to_come_does_not_pass_with_a_dead_one() {
    for action in [false, true] {
        let barrier = Barrier::new(2).unwrap();
        let child = Process::spawn(|b: Barrier| b.wait().is_ok(), barrier.clone()).unwrap();
        eventually("the child", || barrier.waiting() == 1);
        kill(child);
        let mut ran = false;
        let result = if action { barrier.wait_with(|| ran = true) } else { barrier.wait() };
        assert_eq!((result, ran), (Err(BarrierError::Broken), false));
        assert!(barrier.is_broken());
    }
}

#[test]
fn a_party_that_is_killed_during_the_action_breaks_it() {
    let barrier = Barrier::new(2).unwrap();
    let child = Process::spawn(|b: Barrier| b.wait().is_ok(), barrier.clone()).unwrap();
    eventually("the child", || barrier.waiting() == 1);
    assert_eq!(barrier.wait_with(|| kill(child)), Err(BarrierError::Broken));
}

#[test]
fn the_seats_of_the_dead_are_free_when_they_are_needed() {
    let barrier = Barrier::new(1).unwrap();
    // Only a process with one thread may fork.
    let forker = Process::spawn(
        |barrier: Barrier| {
            // As many as there are seats.
            for _ in 0..512 {
                let child = Process::fork_with(barrier.clone(), |b| {
                    assert_eq!(b.wait(), Ok(true));
                    let own = rustix::process::getpid();
                    rustix::process::kill_process(own, rustix::process::Signal::KILL).unwrap();
                });
                assert!(child.unwrap().join().is_err());
            }
        },
        barrier.clone(),
    );
    forker.unwrap().join().unwrap();
    assert_eq!(barrier.wait(), Ok(true));
}

/// Its first thread ends before the others do, so that the system shows it as ended.
#[test]
fn a_process_without_its_first_thread_lives() {
    let barrier = Barrier::new(3).unwrap();
    let child = Process::spawn(
        |b: Barrier| {
            thread::spawn(move || b.wait());
            thread::sleep(SHORT);
            // SAFETY: ends this thread; nothing on its stack is needed again.
            unsafe { libc::syscall(libc::SYS_exit, 0) };
        },
        barrier.clone(),
    )
    .unwrap();
    eventually("the child", || barrier.waiting() == 1);
    let stat = format!("/proc/{}/stat", child.id());
    eventually("the end of its first thread", || std::fs::read_to_string(&stat).unwrap().contains(") Z "));
    thread::scope(|s| {
        // Longer than a look takes to come.
        let waiter = s.spawn(|| barrier.wait());
        thread::sleep(Duration::from_millis(600));
        assert!(!barrier.is_broken());
        assert!(barrier.wait().is_ok());
        assert!(waiter.join().unwrap().is_ok());
    });
    drop(child.kill());
}

#[test]
fn a_signal_ends_no_wait() {
    let barrier = Barrier::new(2).unwrap();
    common::under_signals(|| {
        let start = Instant::now();
        assert_eq!(barrier.wait_timeout(SHORT * 3), Ok(None));
        assert!(start.elapsed() >= SHORT * 3);
    });
}
