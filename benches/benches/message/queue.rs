//! Queues: many senders, many receivers.

use crate::one_way::SIZE;
use crate::tally::Tally;
use crate::{python, socket};
use benches::{Place, Routine, Setting, Suite, Unit, our_peer};
use proc_ipc::Queue;

pub(crate) fn register(suite: &mut Suite) {
    for (key, title, ends) in [
        ("queue-1-1", "Queue, 64 bytes: one sender, one receiver", 1),
        ("queue-2-2", "Queue, 64 bytes: two senders, two receivers", 2),
    ] {
        let entry = suite
            .case(
                key,
                title,
                "Messages of 64 bytes through one queue bounded to 1,024 of them, each taken by one receiver; the time runs \
                 until the last one was taken. (Two CPUs apart: senders on one, receivers on the other.) ipc-channel can have \
                 one receiver only; the bare socket pair holds what fits its buffer. iceoryx2 has no queue: each of its \
                 subscribers gets every message.",
                Unit::Rate("messages".into()),
                &Place::ALL,
            )
            .ours("queue", "Queue<[u64; 8]>", move |setting| queue(setting, ends))
            .floor("socket", "socketpair, SEQPACKET", move |setting| socket::many(setting, SIZE, ends));
        #[cfg(feature = "rivals")]
        let entry = entry
            .rival("ipc-channel", "ipc-channel bytes, one receiver", move |setting| {
                crate::ipc::many_bytes(setting, SIZE, ends)
            })
            .threads("crossbeam", "crossbeam-channel bounded(1024)", move |setting| {
                crate::threads::many(setting, ends, ends)
            });
        entry.rival("python", "Python Queue", python(key, SIZE));
    }
}

fn queue(setting: &Setting, ends: usize) -> Result<Routine, String> {
    let queue = Queue::<[u64; 8]>::bounded(1024).map_err(|e| e.to_string())?;
    let tally = Tally::new();
    let mut peers = Vec::new();
    for i in 0..ends {
        peers.push(our_peer(setting, queue.clone(), move |queue| {
            while let Ok(message) = queue.get() {
                std::hint::black_box(message);
                tally.count(i);
            }
        })?);
    }
    for _ in 1..ends {
        peers.push(our_peer(&setting.beside_caller(), queue.clone(), move |queue| {
            tally.send_asked(|| queue.put([7; 8]).expect("a receiver"));
        })?);
    }
    Ok(tally.routine_of(ends as u64, peers, move || queue.put([7; 8]).expect("a receiver")))
}
