//! Large messages in one direction.

use crate::tally::Tally;
use crate::{one_way, python, socket};
use benches::{Place, Routine, Setting, Suite, Unit, our_peer};

const SIZE: usize = 1 << 20;

pub(crate) fn register(suite: &mut Suite) {
    let entry = suite
        .case(
            "bulk",
            "1 MiB, one way",
            "The same with messages of 1 MiB, sent from the same memory each time. “Bytes” are received into the same \
             memory each time, typed ones become a new vector each. iceoryx2 copies into the memory it lends and out \
             of it. Between threads a new vector is made for each message, and nothing but its address crosses.",
            Unit::Throughput(SIZE as u64),
            &Place::ALL,
        )
        .ours("typed", "one_way::<Vec<u8>>", typed)
        .ours("bytes", "one_way, send_bytes", |setting| one_way::bytes(setting, SIZE))
        .floor("socket", "socketpair, framed stream", |setting| socket::stream(setting, SIZE));
    #[cfg(feature = "rivals")]
    let entry = entry
        .rival("ipc-channel", "ipc-channel <ByteBuf>", |setting| crate::ipc::bulk_typed(setting, SIZE))
        .rival("ipc-channel-bytes", "ipc-channel bytes", |setting| crate::ipc::one_way_bytes(setting, SIZE))
        .rival("iceoryx2", "iceoryx2 slices, polling", |setting| crate::iceoryx::one_way(setting, SIZE))
        .at(&[Place::Free, Place::Apart])
        .threads("crossbeam", "crossbeam-channel bounded(4), Vec<u8>", |setting| {
            crate::threads::bulk(setting, SIZE)
        });
    entry.rival("python-bytes", "Python Pipe send_bytes", python("one-way-bytes", SIZE)).rival(
        "python-queue",
        "Python Queue",
        python("queue-1-1", SIZE),
    );
}

fn typed(setting: &Setting) -> Result<Routine, String> {
    let (sender, receiver) = proc_ipc::one_way::<Vec<u8>>().map_err(|e| e.to_string())?;
    let tally = Tally::new();
    let peer = our_peer(setting, receiver, |receiver| {
        while let Ok(message) = receiver.recv() {
            assert_eq!(message.len(), SIZE);
            tally.count(0);
        }
    })?;
    // A send takes its message and gives it back only if it fails: a new one each time is what a caller pays too.
    let message = vec![7; SIZE];
    Ok(tally.routine(peer, move || sender.send(message.clone()).expect("a receiver")))
}
