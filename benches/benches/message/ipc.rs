//! ipc-channel as a participant.

use crate::tally::Tally;
use benches::{Peer, Routine, Setting, calls};
use ipc_channel::ipc::{bytes_channel, channel};
use serde_bytes::ByteBuf;

pub(crate) fn round_trip(setting: &Setting) -> Result<Routine, String> {
    let (there, take) = channel::<u64>().map_err(|e| e.to_string())?;
    let (give, back) = channel::<u64>().map_err(|e| e.to_string())?;
    let peer = Peer::fork(setting, || {
        while let Ok(number) = take.recv() {
            if give.send(number).is_err() {
                return;
            }
        }
    });
    let mut i = 0;
    Ok(calls(move || {
        let _peer = &peer;
        i += 1;
        there.send(i).expect("a receiver");
        assert_eq!(back.recv().expect("an answer"), i);
    }))
}

pub(crate) fn one_way_typed(setting: &Setting) -> Result<Routine, String> {
    let (sender, receiver) = channel::<[u64; 8]>().map_err(|e| e.to_string())?;
    let tally = Tally::new();
    let peer = Peer::fork(setting, || {
        while let Ok(message) = receiver.recv() {
            std::hint::black_box(message);
            tally.count(0);
        }
    });
    Ok(tally.routine(peer, move || sender.send([7; 8]).expect("a receiver")))
}

pub(crate) fn bulk_typed(setting: &Setting, size: usize) -> Result<Routine, String> {
    let (sender, receiver) = channel::<ByteBuf>().map_err(|e| e.to_string())?;
    let tally = Tally::new();
    let peer = Peer::fork(setting, || {
        while let Ok(message) = receiver.recv() {
            assert_eq!(message.len(), size);
            tally.count(0);
        }
    });
    let message = ByteBuf::from(vec![7; size]);
    Ok(tally.routine(peer, move || sender.send(message.clone()).expect("a receiver")))
}

pub(crate) fn one_way_bytes(setting: &Setting, size: usize) -> Result<Routine, String> {
    many_bytes(setting, size, 1)
}

/// Bytes by so many senders; there can only be one receiver.
pub(crate) fn many_bytes(setting: &Setting, size: usize, senders: usize) -> Result<Routine, String> {
    let (sender, receiver) = bytes_channel().map_err(|e| e.to_string())?;
    let tally = Tally::new();
    let message = vec![7; size];
    let mut peers = vec![Peer::fork(setting, || {
        while let Ok(message) = receiver.recv() {
            assert_eq!(message.len(), size);
            tally.count(0);
        }
    })];
    for _ in 1..senders {
        peers.push(Peer::fork(&setting.beside_caller(), || {
            tally.send_asked(|| sender.send(&message).expect("a receiver"));
        }));
    }
    Ok(tally.routine_of(senders as u64, peers, move || sender.send(&message).expect("a receiver")))
}
