//! Tests for the ring's positions and its bell in every order of events. They run by
//! `RUSTFLAGS="--cfg loom" cargo test --release --target-dir target/loom -p proc-ipc --test loom_ring`.
#![cfg(loom)]

use loom::thread;
use proc_ipc::model::{Bell, Words};

/// Every order with at most three switches where a thread could have gone on; more take minutes and find no more.
fn check(f: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(f);
}

/// Two messages: the receiver gets all of it, whenever it falls asleep.
#[test]
fn smoke() {
    check(|| {
        let (words, bell) = (Words::new(), Bell::new());
        let sender = thread::spawn({
            let (words, bell) = (words.clone(), bell.clone());
            move || {
                words.send(1, &bell);
                words.send(2, &bell);
            }
        });
        let mut head = 0;
        while head < 2 {
            let tail = words.recv(head, &bell).expect("it is open");
            assert!(tail > head && tail <= 2);
            head = tail;
        }
        sender.join().unwrap();
    });
}

#[test]
fn everything_that_was_sent_comes_before_the_end() {
    check(|| {
        let (words, bell) = (Words::new(), Bell::new());
        let sender = thread::spawn({
            let (words, bell) = (words.clone(), bell.clone());
            move || {
                words.send(1, &bell);
                words.close_sender(&bell);
            }
        });
        let mut head = 0;
        while let Some(tail) = words.recv(head, &bell) {
            head = tail;
        }
        assert_eq!(head, 1);
        sender.join().unwrap();
    });
}

#[test]
fn a_writer_without_room_is_woken() {
    check(|| {
        let (words, writer) = (Words::new(), Bell::new());
        let receiver = thread::spawn({
            let (words, writer) = (words.clone(), writer.clone());
            move || {
                words.release(1, &writer);
                words.release(2, &writer);
            }
        });
        assert!(words.wait_for_room(2, &writer));
        receiver.join().unwrap();
    });
}

#[test]
fn a_writer_learns_that_its_receiver_is_gone() {
    check(|| {
        let (words, writer) = (Words::new(), Bell::new());
        let receiver = thread::spawn({
            let (words, writer) = (words.clone(), writer.clone());
            move || words.close_receiver(&writer)
        });
        assert!(!words.wait_for_room(1, &writer));
        receiver.join().unwrap();
    });
}

/// Both ends wait for each other in turns, with room for one message.
#[test]
fn both_sides_sleep_and_wake() {
    check(|| {
        let (words, reader, writer) = (Words::new(), Bell::new(), Bell::new());
        let sender = thread::spawn({
            let (words, reader, writer) = (words.clone(), reader.clone(), writer.clone());
            move || {
                words.send(1, &reader);
                assert!(words.wait_for_room(1, &writer));
                words.send(2, &reader);
            }
        });
        for head in 0..2 {
            assert_eq!(words.recv(head, &reader), Some(head + 1));
            words.release(head + 1, &writer);
        }
        sender.join().unwrap();
    });
}

/// The model is worth something only if it sees a mistake.
#[test]
#[should_panic(expected = "deadlock")]
fn a_sender_that_looks_before_it_commits_loses_a_wake_up() {
    check(|| {
        let (words, bell) = (Words::new(), Bell::new());
        let sender = thread::spawn({
            let (words, bell) = (words.clone(), bell.clone());
            move || words.send_wrongly(1, &bell)
        });
        words.recv(0, &bell);
        sender.join().unwrap();
    });
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_reader_that_does_not_look_again_loses_a_wake_up() {
    check(|| {
        let (words, bell) = (Words::new(), Bell::new());
        let sender = thread::spawn({
            let (words, bell) = (words.clone(), bell.clone());
            move || words.send(1, &bell)
        });
        words.recv_wrongly(0, &bell);
        sender.join().unwrap();
    });
}
