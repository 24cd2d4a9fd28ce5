//! Tests for the channel's bell in every order of events. They run by
//! `RUSTFLAGS="--cfg loom" cargo test --release --target-dir target/loom -p proc-ipc --test loom_channel`.
#![cfg(loom)]

use loom::thread;
use proc_ipc::model::Channel;

/// Every order with at most two switches where a thread could have gone on: a section is many accesses.
fn check(f: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(f);
}

fn beside(channel: &Channel, f: impl FnOnce(Channel) + 'static) -> thread::JoinHandle<()> {
    let channel = channel.clone();
    thread::spawn(move || f(channel))
}

#[test]
fn smoke() {
    check(|| {
        let channel = Channel::new(2);
        let sender = beside(&channel, |channel| assert!(channel.send()));
        assert!(channel.recv());
        sender.join().unwrap();
    });
}

#[test]
fn a_sender_without_room_is_woken() {
    check(|| {
        let channel = Channel::new(1);
        let sender = beside(&channel, |channel| assert!(channel.send() && channel.send()));
        assert!(channel.recv() && channel.recv());
        sender.join().unwrap();
    });
}

#[test]
fn everything_that_was_sent_comes_before_the_end() {
    check(|| {
        let channel = Channel::new(1);
        let sender = beside(&channel, |channel| {
            assert!(channel.send());
            channel.close();
        });
        assert!(channel.recv());
        assert!(!channel.recv());
        sender.join().unwrap();
    });
}

#[test]
fn a_sender_without_room_learns_of_the_close() {
    check(|| {
        let channel = Channel::new(1);
        assert!(channel.send());
        let sender = beside(&channel, |channel| assert!(!channel.send()));
        channel.close();
        sender.join().unwrap();
    });
}

/// Sends one and leaves, beside another that leaves.
fn everything_comes_before_nobody_is_left(leave: fn(&Channel)) {
    check(move || {
        let channel = Channel::new(1);
        channel.enter();
        let sender = beside(&channel, move |channel| {
            assert!(channel.send());
            leave(&channel);
        });
        leave(&channel);
        assert!(channel.recv(), "a message was lost");
        assert!(!channel.recv());
        sender.join().unwrap();
    });
}

#[test]
fn everything_that_was_sent_comes_before_the_last_sender_is_gone() {
    everything_comes_before_nobody_is_left(Channel::leave);
}

#[test]
#[should_panic(expected = "a message was lost")]
fn a_sender_that_leaves_without_a_release_loses_its_message() {
    everything_comes_before_nobody_is_left(Channel::leave_wrongly);
}

#[test]
fn two_senders_and_a_receiver_get_on() {
    check(|| {
        let channel = Channel::new(1);
        let sender = beside(&channel, |channel| assert!(channel.send()));
        let other = beside(&channel, |channel| assert!(channel.send()));
        assert!(channel.recv() && channel.recv());
        sender.join().unwrap();
        other.join().unwrap();
    });
}

/// The model is worth something only if it sees a mistake.
#[test]
#[should_panic(expected = "deadlock")]
fn a_close_in_one_section_loses_a_wake_up() {
    check(|| {
        let channel = Channel::new(1);
        assert!(channel.send());
        let sender = beside(&channel, |channel| assert!(!channel.send()));
        channel.close_wrongly();
        sender.join().unwrap();
    });
}
