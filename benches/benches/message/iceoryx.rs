//! iceoryx2 as a participant: publish and subscribe, by polling or with its events.
//!
//! It drops messages by default; here it is told to wait until they are taken (no overflow, retry until delivered).

use crate::tally::Tally;
use benches::{Peer, Routine, Setting, calls, shared};
use iceoryx2::port::listener::Listener;
use iceoryx2::port::notifier::Notifier;
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

type Node = iceoryx2::node::Node<ipc::Service>;

fn node() -> Result<Node, String> {
    set_log_level(LogLevel::Error);
    NodeBuilder::new().create::<ipc::Service>().map_err(|e| e.to_string())
}

/// A name that no other run uses.
fn name(of: u32, what: &str) -> Result<ServiceName, String> {
    ServiceName::new(&format!("figures/{of}/{what}")).map_err(|e| e.to_string())
}

/// Both sides must be up before the first message: what is published before somebody subscribes is lost.
struct Both {
    up: AtomicBool,
    over: AtomicBool,
}

/// The peer: told to end, so that it cleans up its files, and killed if it does not.
struct Other {
    both: &'static Both,
    _peer: Peer,
}

impl Other {
    fn fork(setting: &Setting, part: impl FnOnce(&Both) -> Result<(), String>) -> Result<Self, String> {
        // SAFETY: atomics, for which zero is valid.
        let both = unsafe { shared::<Both>() };
        let peer = Peer::fork(setting, || part(both).expect("iceoryx2 works"));
        let begun = Instant::now();
        while !both.up.load(Ordering::Acquire) {
            if begun.elapsed() > Duration::from_secs(5) {
                return Err("the subscriber did not come up".into());
            }
            std::thread::yield_now();
        }
        Ok(Other { both, _peer: peer })
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        self.both.over.store(true, Ordering::Release);
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// One direction of numbers, with an event beside it.
struct Numbers {
    publisher: Publisher<ipc::Service, u64, ()>,
    notifier: Notifier<ipc::Service>,
}

impl Numbers {
    fn send(&self, number: u64, event: bool) -> Result<(), String> {
        let sample = self.publisher.loan_uninit().map_err(|e| e.to_string())?;
        sample.write_payload(number).send().map_err(|e| e.to_string())?;
        if event {
            self.notifier.notify().map_err(|e| e.to_string())?;
        }
        Ok(())
    }
}

struct Taken {
    subscriber: Subscriber<ipc::Service, u64, ()>,
    listener: Listener<ipc::Service>,
}

impl Taken {
    /// The next number; `None` when it is over.
    fn take(&self, event: bool, over: impl Fn() -> bool) -> Result<Option<u64>, String> {
        loop {
            if let Some(sample) = self.subscriber.receive().map_err(|e| e.to_string())? {
                return Ok(Some(*sample));
            }
            if over() {
                return Ok(None);
            }
            if event {
                self.listener.timed_wait(|_| (), Duration::from_millis(20)).map_err(|e| e.to_string())?;
            } else {
                std::hint::spin_loop();
            }
        }
    }
}

macro_rules! numbers {
    ($node:expr, $of:expr, $what:expr) => {
        $node
            .service_builder(&name($of, $what)?)
            .publish_subscribe::<u64>()
            .subscriber_max_buffer_size(16)
            .enable_safe_overflow(false)
            .open_or_create()
            .map_err(|e| e.to_string())?
    };
}

macro_rules! events {
    ($node:expr, $of:expr, $what:expr) => {
        $node
            .service_builder(&name($of, &format!("{}-event", $what))?)
            .event()
            .open_or_create()
            .map_err(|e| e.to_string())?
    };
}

/// The end that sends `out`, and the end that takes `back`.
fn ends(node: &Node, of: u32, out: &str, back: &str) -> Result<(Numbers, Taken), String> {
    let numbers = Numbers {
        publisher: numbers!(node, of, out).publisher_builder().create().map_err(|e| e.to_string())?,
        notifier: events!(node, of, out).notifier_builder().create().map_err(|e| e.to_string())?,
    };
    let taken = Taken {
        subscriber: numbers!(node, of, back).subscriber_builder().create().map_err(|e| e.to_string())?,
        listener: events!(node, of, back).listener_builder().create().map_err(|e| e.to_string())?,
    };
    Ok((numbers, taken))
}

pub(crate) fn round_trip_polling(setting: &Setting) -> Result<Routine, String> {
    round_trip(setting, false)
}

pub(crate) fn round_trip_events(setting: &Setting) -> Result<Routine, String> {
    round_trip(setting, true)
}

fn round_trip(setting: &Setting, event: bool) -> Result<Routine, String> {
    let of = std::process::id();
    // The node comes after the fork: a forked one is not usable in the child.
    let other = Other::fork(setting, |both| {
        let node = node()?;
        let (numbers, taken) = ends(&node, of, "back", "there")?;
        both.up.store(true, Ordering::Release);
        while let Some(number) = taken.take(event, || both.over.load(Ordering::Relaxed))? {
            numbers.send(number, event)?;
        }
        Ok(())
    })?;
    let node = node()?;
    let (numbers, taken) = ends(&node, of, "there", "back")?;
    // Its ports look for new ones on the other side from time to time only.
    std::thread::sleep(Duration::from_millis(20));
    let mut i = 0;
    Ok(calls(move || {
        let _held = (&other, &node);
        i += 1;
        numbers.send(i, event).expect("it is delivered");
        assert_eq!(taken.take(event, || false), Ok(Some(i)));
    }))
}

pub(crate) fn one_way(setting: &Setting, size: usize) -> Result<Routine, String> {
    let (of, tally) = (std::process::id(), Tally::new());
    let depth = if size >= 1 << 20 { 8 } else { 64 };
    let service = move |node: &Node| {
        node.service_builder(&name(of, "one-way")?)
            .publish_subscribe::<[u8]>()
            .subscriber_max_buffer_size(depth)
            .enable_safe_overflow(false)
            .open_or_create()
            .map_err(|e| e.to_string())
    };
    let other = Other::fork(setting, |both| {
        let node = node()?;
        let subscriber =
            service(&node)?.subscriber_builder().buffer_size(depth).create().map_err(|e| e.to_string())?;
        both.up.store(true, Ordering::Release);
        let mut own = vec![0; size];
        while !both.over.load(Ordering::Relaxed) {
            match subscriber.receive().map_err(|e| e.to_string())? {
                Some(message) => {
                    own.copy_from_slice(message.payload());
                    std::hint::black_box(&own);
                    tally.count(0);
                }
                None => std::hint::spin_loop(),
            }
        }
        Ok(())
    })?;
    let node = node()?;
    let publisher = service(&node)?
        .publisher_builder()
        .initial_max_slice_len(size)
        .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
        .create()
        .map_err(|e| e.to_string())?;
    std::thread::sleep(Duration::from_millis(20));
    let message = vec![7; size];
    Ok(tally.routine((other, node), move || {
        let lent = publisher.loan_slice_uninit(size).expect("a loan");
        lent.write_from_slice(&message).send().expect("it is delivered");
    }))
}
