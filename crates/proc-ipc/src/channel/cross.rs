//! Ends of channels as values that cross to another process.

use std::{io, os::fd::OwnedFd, sync::Arc};

use proc_core::{
    inherit::LocalFd,
    transfer::{give, take},
};
use serde::{Deserialize, Serialize, de, ser};

use super::{
    core::{Core, Limits},
    ends::{self, RecvEnd, SendEnd},
    store::Store,
};

/// The memory: a ticket for its file, and what is known of it.
#[derive(Serialize, Deserialize)]
pub(super) struct Memory {
    file: u32,
    segments: usize,
    limits: Limits,
}

/// Tickets for the sockets of an end.
#[derive(Serialize, Deserialize)]
pub(super) struct Sockets {
    bell: u32,
    side: u32,
}

fn memory(core: &Core) -> io::Result<Memory> {
    Ok(Memory { file: core.store.region().give()?, segments: core.store.segments(), limits: core.limits })
}

fn sockets(bell: &LocalFd, side: &LocalFd) -> io::Result<Sockets> {
    Ok(Sockets { bell: give(bell.get()?)?, side: give(side.get()?)? })
}

fn open(memory: Memory) -> io::Result<Arc<Core>> {
    let store = Store::open(take(memory.file)?, memory.segments)?;
    Ok(Arc::new(Core { store, limits: memory.limits }))
}

fn fds(sockets: Sockets) -> io::Result<(OwnedFd, OwnedFd)> {
    Ok((take(sockets.bell)?, take(sockets.side)?))
}

/// The end on its way counts as one.
pub(super) fn give_send<E: ser::Error>(end: &SendEnd) -> Result<(Memory, Sockets), E> {
    let given = memory(&end.core).and_then(|memory| Ok((memory, sockets(&end.bell, &end.side)?)));
    let given = given.map_err(E::custom)?;
    ends::count(ends::senders, &end.core);
    Ok(given)
}

pub(super) fn take_send<E: de::Error>(given: (Memory, Sockets)) -> Result<Arc<SendEnd>, E> {
    let (core, sockets) = open(given.0).and_then(|core| Ok((core, fds(given.1)?))).map_err(E::custom)?;
    Ok(Arc::new(SendEnd::new(core, sockets.0, sockets.1)))
}

pub(super) fn give_recv<E: ser::Error>(end: &RecvEnd) -> Result<(Memory, Sockets), E> {
    let given = memory(&end.core).and_then(|memory| Ok((memory, sockets(&end.bell, &end.side)?)));
    let given = given.map_err(E::custom)?;
    ends::count(ends::receivers, &end.core);
    Ok(given)
}

pub(super) fn take_recv<E: de::Error>(given: (Memory, Sockets)) -> Result<Arc<RecvEnd>, E> {
    let (core, sockets) = open(given.0).and_then(|core| Ok((core, fds(given.1)?))).map_err(E::custom)?;
    Ok(Arc::new(RecvEnd::new(core, sockets.0, sockets.1)))
}

/// Both ends, with one memory.
pub(super) type Both = (Memory, Sockets, Sockets);

pub(super) fn give_both<E: ser::Error>(send: &SendEnd, recv: &RecvEnd) -> Result<Both, E> {
    let given = memory(&send.core)
        .and_then(|memory| Ok((memory, sockets(&send.bell, &send.side)?, sockets(&recv.bell, &recv.side)?)));
    let given = given.map_err(E::custom)?;
    ends::count(ends::senders, &send.core);
    ends::count(ends::receivers, &recv.core);
    Ok(given)
}

pub(super) fn take_both<E: de::Error>(given: Both) -> Result<(Arc<SendEnd>, Arc<RecvEnd>), E> {
    let opened = open(given.0).and_then(|core| Ok((core, fds(given.1)?, fds(given.2)?)));
    let (core, send, recv) = opened.map_err(E::custom)?;
    let send = SendEnd::new(core.clone(), send.0, send.1);
    Ok((Arc::new(send), Arc::new(RecvEnd::new(core, recv.0, recv.1))))
}
