//! A queue of one-word messages with a bell: many senders under a lock, receivers that sleep on the bell.
//!
//! | word | meaning | stored |
//! |---|---|---|
//! | tail | messages ever sent; one store publishes | under the senders' lock |
//! | head | messages ever received; one store takes | under the receivers' lock |
//! | armed | 1: who sleeps on the bell needs it rung | under the senders' lock |
//! | bell | grows with each ring | under the senders' lock |

use super::lock::Lock;
use crate::board::Board;
use crate::scenario::Scenario;
use crate::stage::{Outcome, Setup, Stage, When, ensure};
use crate::sys;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

const SENDERS: usize = 0;
const RECEIVERS: usize = 1;
const TAIL: usize = 16;
const HEAD: usize = 17;
const ARMED: usize = 18;
const BELL: usize = 19;
const SLOTS: usize = 32;

/// A message that says its number twice, and one that asks the receiver to end.
const fn message(n: u32) -> u32 {
    n | (n << 16)
}
const END: u32 = 0xffff_ffff;

/// The queue, and how it is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ring {
    /// Write, ring, publish.
    Right,
    /// The tail moves before the message is written.
    PublishesFirst,
    /// The bell rings after the message can be seen: who dies between the two leaves a sleeper with a message.
    RingsLate,
    /// The bell is disarmed, and then rung.
    DisarmsFirst,
    /// The receiver arms the bell and looks once more, without the senders' lock.
    ArmsUnlocked,
}

impl Ring {
    fn send(self, board: &Board, value: u32) {
        let tail = board.word(TAIL);
        Lock::Right.lock(board.word(SENDERS));
        let at = tail.load(SeqCst);
        let slot = board.word(SLOTS + at as usize % 16);
        if self == Ring::PublishesFirst {
            tail.store(at + 1, SeqCst);
        }
        slot.store(value, SeqCst);
        if self == Ring::RingsLate {
            tail.store(at + 1, SeqCst);
            self.ring(board);
        } else {
            self.ring(board);
            if self == Ring::ArmsUnlocked {
                // A sender that is slow just here, so that it does not take luck to arm in between. It is awake: one that
                // sleeps counts as settled.
                let until = Instant::now() + Duration::from_micros(500);
                while Instant::now() < until {
                    std::hint::spin_loop();
                }
            }
            tail.store(at + 1, SeqCst);
        }
        Lock::Right.unlock(board.word(SENDERS));
    }

    /// The bell stays armed until it has been rung: who dies in between rings for nothing at worst.
    fn ring(self, board: &Board) {
        if board.word(ARMED).load(SeqCst) == 0 {
            return;
        }
        if self == Ring::DisarmsFirst {
            board.word(ARMED).store(0, SeqCst);
        }
        board.word(BELL).fetch_add(1, SeqCst);
        sys::futex_wake(board.word(BELL), i32::MAX);
        board.word(ARMED).store(0, SeqCst);
    }

    fn receive(self, board: &Board) -> u32 {
        loop {
            Lock::Right.lock(board.word(RECEIVERS));
            let head = board.word(HEAD).load(SeqCst);
            if head != board.word(TAIL).load(SeqCst) {
                let value = board.word(SLOTS + head as usize % 16).load(SeqCst);
                board.word(HEAD).store(head + 1, SeqCst);
                Lock::Right.unlock(board.word(RECEIVERS));
                return value;
            }
            Lock::Right.unlock(board.word(RECEIVERS));
            self.sleep(board);
        }
    }

    fn sleep(self, board: &Board) {
        let locked = self != Ring::ArmsUnlocked;
        if locked {
            Lock::Right.lock(board.word(SENDERS));
        }
        board.word(ARMED).store(1, SeqCst);
        let bell = board.word(BELL).load(SeqCst);
        let empty = board.word(TAIL).load(SeqCst) == board.word(HEAD).load(SeqCst);
        if locked {
            Lock::Right.unlock(board.word(SENDERS));
        }
        if empty {
            sys::futex_wait(board.word(BELL), bell, None);
        }
    }
}

/// Receives until told to end. Counts what is whole by its number.
fn receiver(ring: Ring, board: &Board) -> Outcome {
    loop {
        match ring.receive(board) {
            END => return Ok(()),
            value if value == message(value & 0xffff) && value != 0 => {
                board.add((value & 0xffff) as usize, 1);
            }
            garbage => return Err(format!("received {garbage:#x}, which nobody sent")),
        }
    }
}

/// Once all that was published has been received, without another word from anybody, the receivers are told to end.
fn look_on(ring: Ring, board: &Board, receivers: u32) -> Outcome {
    while board.word(HEAD).load(SeqCst) != board.word(TAIL).load(SeqCst) {
        std::thread::sleep(Duration::from_micros(50));
    }
    ring.send(board, message(3));
    (0..receivers).for_each(|_| ring.send(board, END));
    Ok(())
}

/// Messages 1 to 3, each of which must have come once; the victim's own may have been lost with it.
fn count(board: &Board, lost: &[usize]) -> Outcome {
    for n in 1..=3 {
        let least = u64::from(!lost.contains(&n));
        ensure((least..=1).contains(&board.count(n)), || {
            format!("message {n} came {} times", board.count(n))
        })?;
    }
    Ok(())
}

/// A receiver sleeps; a sender dies.
fn sender(ring: Ring, stage: &mut Stage) -> Setup {
    stage.actor(When::First, "a receiver", &(), move |(), board| receiver(ring, board))?;
    stage.victim(&(), move |(), board, mark| {
        mark.operation(|| ring.send(board, message(1)));
        Ok(())
    })?;
    stage.actor(When::After, "another sender", &(), move |(), board| {
        board.add(2, 1);
        look_on(ring, board, 1)
    })?;
    stage.actor(When::Last, "the judge", &(), |(), board| {
        count(board, if board.finished() { &[] } else { &[1] })
    })
}

/// Two receive; one dies while it takes a message, or on its way to sleep.
fn receiving(ring: Ring, stage: &mut Stage) -> Setup {
    stage.victim(&(), move |(), board, mark| {
        ring.send(board, message(1));
        mark.operation(|| {
            for _ in 0..2 {
                let n = ring.receive(board) & 0xffff;
                board.add(n as usize, 1);
            }
        });
        Ok(())
    })?;
    stage.actor(When::Ready, "the other receiver", &(), move |(), board| {
        board.await_count(4, 1);
        receiver(ring, board)
    })?;
    let send = move |board: &Board| {
        board.add(4, 1);
        if board.add(5, 1) == 0 {
            ring.send(board, message(2));
        }
    };
    stage.actor(When::Wake, "who wakes the victim", &(), move |(), board| {
        send(board);
        Ok(())
    })?;
    stage.actor(When::Pause, "who sends while the victim lives", &(), move |(), board| {
        send(board);
        Ok(())
    })?;
    stage.actor(When::After, "who looks on", &(), move |(), board| look_on(ring, board, 1))?;
    stage.actor(When::Last, "the judge", &(), |(), board| {
        // One message at most was in the victim's hands.
        let (one, two) = (board.count(1), board.count(2));
        ensure(one + two >= 1, || "both messages were lost".into())?;
        count(board, if board.finished() { &[] } else { &[1, 2] })
    })
}

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario::new("mutants/ring/right-sender", |s| sender(Ring::Right, s)),
        Scenario::new("mutants/ring/right-receiver", |s| receiving(Ring::Right, s)),
        Scenario::mutant("mutants/ring/publish-before-write", |s| sender(Ring::PublishesFirst, s)),
        Scenario::mutant("mutants/ring/ring-after-publish", |s| sender(Ring::RingsLate, s)),
        Scenario::mutant("mutants/ring/disarm-before-ring", |s| sender(Ring::DisarmsFirst, s)),
        Scenario::mutant("mutants/ring/arm-without-lock", |s| receiving(Ring::ArmsUnlocked, s)),
    ]
}
