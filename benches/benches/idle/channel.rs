//! A channel without messages.

use crate::python_cpu;
use benches::usage::{cpu_while_idle, descriptors, proportional_memory};
use benches::{Kind, Place, Python, Setting, Suite, Unit, our_peer};
use proc_core::Message;
use proc_ipc::{Queue, channel, pipe};

/// How many channels share what one of them costs.
const MANY: usize = 20;

pub(crate) fn register(suite: &mut Suite) {
    let entry = suite
        .case(
            "receiver",
            "CPU time of a receiver that waits",
            "A process waits for a message that does not come: the CPU time of its threads in one second.",
            Unit::Idling,
            &[Place::Free],
        )
        .value(Kind::Ours, "pipe", "pipe::<u64, u64>", |setting| {
            let (here, there) = pipe::<u64, u64>().map_err(|e| e.to_string())?;
            let _peer = our_peer(setting, there, |there| while there.recv().is_ok() {})?;
            here.send(1).map_err(|e| e.to_string())?;
            cpu_while_idle(setting.long)
        })
        .value(Kind::Ours, "queue", "Queue<u64>", |setting| {
            let queue = Queue::<u64>::bounded(16).map_err(|e| e.to_string())?;
            let _peer = our_peer(setting, queue.clone(), |queue| while queue.get().is_ok() {})?;
            queue.put(1).map_err(|e| e.to_string())?;
            cpu_while_idle(setting.long)
        });
    #[cfg(feature = "rivals")]
    let entry = entry.value(Kind::Rival, "ipc-channel", "ipc-channel <u64>", |setting| {
        let (sender, receiver) = ipc_channel::ipc::channel::<u64>().map_err(|e| e.to_string())?;
        let _peer = benches::Peer::fork(setting, || while receiver.recv().is_ok() {});
        sender.send(1).map_err(|e| e.to_string())?;
        cpu_while_idle(setting.long)
    });
    entry.value(Kind::Rival, "python", "Python Pipe", python_cpu("pipe")).value(
        Kind::Rival,
        "python-queue",
        "Python Queue",
        python_cpu("queue"),
    );
    let python = |kind: &'static str| {
        move |setting: &Setting| Python::value("idle.py", &[kind, &MANY.to_string()], setting)
    };
    let entry = suite
        .case(
            "descriptors",
            "Descriptors of an idle channel's end",
            "Twenty channels between this process and another one that is up: how many descriptors this process has more, \
             for each. (ipc-channel's have one direction only, and two of them count as one.)",
            Unit::Count("descriptors".into()),
            &[Place::Free],
        )
        .value(Kind::Ours, "pipe", "pipe::<u64, u64>", |setting| {
            let pipes = many(|| pipe::<u64, u64>().map_err(|e| e.to_string()))?;
            let (here, there): (Vec<_>, Vec<_>) = pipes.into_iter().unzip();
            given_away(setting, here, there)
        })
        .value(Kind::Ours, "channel", "channel::<u64>, its receiver", |setting| {
            let channels = many(|| channel::<u64>(16).map_err(|e| e.to_string()))?;
            let (senders, receivers): (Vec<_>, Vec<_>) = channels.into_iter().unzip();
            given_away(setting, receivers, senders)
        });
    #[cfg(feature = "rivals")]
    let entry = entry.value(Kind::Rival, "ipc-channel", "two of ipc-channel <u64>", |_| {
        // Both ends are here; of a pair each has its own.
        Ok(grown(descriptors, ipc_pair)? / 2.0)
    });
    entry.value(Kind::Rival, "python", "Python Pipe", python("descriptors"));

    let entry = suite
        .case(
            "memory",
            "Memory of an idle channel",
            "Twenty channels with both ends in this process, through each of which a number has gone in each direction \
             that it has: by how much the memory of this process grew, for each.",
            Unit::Bytes,
            &[Place::Free],
        )
        .value(Kind::Ours, "pipe", "pipe::<u64, u64>", |_| {
            grown(proportional_memory, || {
                let (here, there) = pipe::<u64, u64>().map_err(|e| e.to_string())?;
                here.send(1).map_err(|e| e.to_string())?;
                there.recv().map_err(|e| e.to_string())?;
                there.send(1).map_err(|e| e.to_string())?;
                here.recv().map_err(|e| e.to_string())?;
                Ok((here, there))
            })
        })
        .value(Kind::Ours, "queue", "Queue<u64>", |_| {
            grown(proportional_memory, || {
                let queue = Queue::<u64>::bounded(16).map_err(|e| e.to_string())?;
                queue.put(1).map_err(|e| e.to_string())?;
                queue.get().map_err(|e| e.to_string())?;
                Ok(queue)
            })
        });
    #[cfg(feature = "rivals")]
    let entry = entry.value(Kind::Rival, "ipc-channel", "two of ipc-channel <u64>", |_| {
        grown(proportional_memory, ipc_pair)
    });
    entry.value(Kind::Rival, "python", "Python Pipe", python("memory"));
}

fn many<T>(mut make: impl FnMut() -> Result<T, String>) -> Result<Vec<T>, String> {
    (0..MANY).map(|_| make()).collect()
}

/// What each of many adds, when one is there already.
fn grown<T>(
    look: impl Fn() -> Result<f64, String>,
    mut make: impl FnMut() -> Result<T, String>,
) -> Result<f64, String> {
    let _first = make()?;
    let before = look()?;
    let _held = many(make)?;
    Ok((look()? - before) / MANY as f64)
}

/// How many descriptors each of `here` has when its other end was sent to another process.
fn given_away<H, T: Message>(setting: &Setting, here: Vec<H>, there: Vec<T>) -> Result<f64, String> {
    let (link, other) = pipe::<T, u64>().map_err(|e| e.to_string())?;
    let _peer = our_peer(setting, other, |other| {
        let mut held = Vec::new();
        while let Ok(end) = other.recv() {
            held.push(end);
            let _ = other.send(1);
        }
    })?;
    for end in there {
        link.send(end).map_err(|e| e.to_string())?;
        link.recv().map_err(|e| e.to_string())?;
    }
    let with = descriptors()?;
    drop(here);
    Ok((with - descriptors()?) / MANY as f64)
}

#[cfg(feature = "rivals")]
fn ipc_pair() -> Result<impl Sized, String> {
    let one = || -> Result<_, String> {
        let (sender, receiver) = ipc_channel::ipc::channel::<u64>().map_err(|e| e.to_string())?;
        sender.send(1).map_err(|e| e.to_string())?;
        receiver.recv().map_err(|e| e.to_string())?;
        Ok((sender, receiver))
    };
    Ok((one()?, one()?))
}
