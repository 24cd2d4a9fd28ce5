//! There and back.

use crate::{python, socket};
use benches::{Place, Routine, Setting, Suite, Unit, calls, our_peer};
use proc_ipc::{Queue, pipe};

pub(crate) fn register(suite: &mut Suite) {
    let entry = suite
        .case(
            "round-trip",
            "A u64 there and back",
            "Send a number to the other process, which sends it back, and receive it: the time of both ways.",
            Unit::Time,
            &Place::ALL,
        )
        .ours("pipe", "pipe::<u64, u64>", by_pipe)
        .ours("queue", "two Queue<u64>", by_queue)
        .floor("socket", "socketpair, SEQPACKET", socket::round_trip);
    #[cfg(feature = "rivals")]
    let entry = entry
        .rival("ipc-channel", "ipc-channel <u64>", crate::ipc::round_trip)
        .rival("iceoryx2", "iceoryx2, polling", crate::iceoryx::round_trip_polling)
        .at(&[Place::Free, Place::Apart])
        .rival("iceoryx2-event", "iceoryx2, events", crate::iceoryx::round_trip_events)
        .threads("crossbeam", "crossbeam-channel bounded", crate::threads::round_trip);
    entry.rival("python", "Python Pipe send", python("pipe", 8)).rival(
        "python-queue",
        "Python Queue",
        python("queue", 8),
    );
}

fn by_pipe(setting: &Setting) -> Result<Routine, String> {
    let (here, there) = pipe::<u64, u64>().map_err(|e| e.to_string())?;
    let peer = our_peer(setting, there, |there| {
        while let Ok(number) = there.recv() {
            if there.send(number).is_err() {
                return;
            }
        }
    })?;
    let mut i = 0;
    Ok(calls(move || {
        let _peer = &peer;
        i += 1;
        here.send(i).expect("a receiver");
        assert_eq!(here.recv().expect("an answer"), i);
    }))
}

fn by_queue(setting: &Setting) -> Result<Routine, String> {
    let new = || Queue::<u64>::bounded(16).map_err(|e| e.to_string());
    let (there, back) = (new()?, new()?);
    let peer = our_peer(setting, (there.clone(), back.clone()), |(there, back)| {
        while let Ok(number) = there.get() {
            if back.put(number).is_err() {
                return;
            }
        }
    })?;
    let mut i = 0;
    Ok(calls(move || {
        let _peer = &peer;
        i += 1;
        there.put(i).expect("a receiver");
        assert_eq!(back.get().expect("an answer"), i);
    }))
}
