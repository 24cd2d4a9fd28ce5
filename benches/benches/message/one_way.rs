//! Many small messages in one direction.

use crate::tally::Tally;
use crate::{python, socket};
use benches::{Place, Routine, Setting, Suite, Unit, our_peer};
use proc_ipc::one_way;

pub(crate) const SIZE: usize = 64;

pub(crate) fn register(suite: &mut Suite) {
    let entry = suite
        .case(
            "one-way",
            "64 bytes, one way",
            "One process sends messages of 64 bytes as fast as it can, the other one takes them into memory of its own; the \
             time runs until the last one was taken.",
            Unit::Rate("messages".into()),
            &Place::ALL,
        )
        .ours("typed", "one_way::<[u64; 8]>", typed)
        .ours("bytes", "one_way, send_bytes", |setting| bytes(setting, SIZE))
        .floor("socket", "socketpair, SEQPACKET", |setting| socket::one_way(setting, SIZE));
    #[cfg(feature = "rivals")]
    let entry = entry
        .rival("ipc-channel", "ipc-channel <[u64; 8]>", crate::ipc::one_way_typed)
        .rival("ipc-channel-bytes", "ipc-channel bytes", |setting| crate::ipc::one_way_bytes(setting, SIZE))
        .rival("iceoryx2", "iceoryx2 slices, polling", |setting| crate::iceoryx::one_way(setting, SIZE))
        .at(&[Place::Free, Place::Apart])
        .threads("crossbeam", "crossbeam-channel bounded(1024)", |setting| {
            crate::threads::many(setting, 1, 1)
        });
    entry.rival("python", "Python Pipe send", python("one-way", SIZE)).rival(
        "python-bytes",
        "Python Pipe send_bytes",
        python("one-way-bytes", SIZE),
    );
}

fn typed(setting: &Setting) -> Result<Routine, String> {
    let (sender, receiver) = one_way::<[u64; 8]>().map_err(|e| e.to_string())?;
    let tally = Tally::new();
    let peer = our_peer(setting, receiver, |receiver| {
        while let Ok(message) = receiver.recv() {
            std::hint::black_box(message);
            tally.count(0);
        }
    })?;
    Ok(tally.routine(peer, move || sender.send([7; 8]).expect("a receiver")))
}

/// Plain bytes, of any size, received into the same memory each time.
pub(crate) fn bytes(setting: &Setting, size: usize) -> Result<Routine, String> {
    let (sender, receiver) = one_way::<()>().map_err(|e| e.to_string())?;
    let tally = Tally::new();
    let peer = our_peer(setting, receiver, move |receiver| {
        let mut message = Vec::with_capacity(size);
        while receiver.recv_bytes_into(&mut message).is_ok() {
            assert_eq!(message.len(), size);
            tally.count(0);
        }
    })?;
    let message = vec![7; size];
    Ok(tally.routine(peer, move || sender.send_bytes(&message).expect("a receiver")))
}
