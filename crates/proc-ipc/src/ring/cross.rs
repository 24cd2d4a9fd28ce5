//! Ends as values that cross to another process.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
};

use proc_core::{
    inherit::NotInherited,
    transfer::{give, take},
};
use rustix::io::Errno;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::{
    Duplex, Receiver, Sender,
    bell::{Arrived, Bell},
    memory::{Memory, View},
    receiver::Partial,
};

/// The memory that an end lies in: a ticket for its file, and what it holds.
#[derive(Serialize, Deserialize)]
struct Place {
    file: u32,
    capacities: [usize; 2],
}

#[derive(Serialize, Deserialize)]
struct SenderState {
    socket: u32,
    which: usize,
    tail: u64,
    head: u64,
    allocated: u64,
    ticket: u64,
    owes_abandoned: bool,
}

#[derive(Serialize, Deserialize)]
struct PartialState {
    total: u64,
    bytes: Vec<u8>,
    fds: Vec<u32>,
    lost: Option<i32>,
}

#[derive(Serialize, Deserialize)]
struct ReceiverState {
    socket: u32,
    which: usize,
    head: u64,
    partial: Option<PartialState>,
    arrived: Vec<(u64, u32)>,
    cut: VecDeque<u64>,
}

/// No position and no ticket is ever so high, and none that is not higher comes to its end.
const FAR: u64 = 1 << 62;

fn given<E: ser::Error>(fd: Result<BorrowedFd<'_>, NotInherited>) -> Result<u32, E> {
    fd.map_err(io::Error::from).and_then(give).map_err(E::custom)
}

impl Place {
    fn of<E: ser::Error>(memory: &Memory) -> Result<Place, E> {
        Ok(Place { file: given(memory.region().fd())?, capacities: memory.capacities() })
    }

    fn open<E: de::Error>(&self) -> Result<Arc<Memory>, E> {
        take(self.file).and_then(|file| Memory::open(file, self.capacities)).map_err(E::custom)
    }
}

impl SenderState {
    fn of<E: ser::Error>(sender: &Sender) -> Result<SenderState, E> {
        if sender.committed != sender.tail {
            return Err(E::custom("the ring has records that were pushed and not committed"));
        }
        let state = SenderState {
            socket: given(sender.bell.fd())?,
            which: sender.view.which(),
            tail: sender.tail,
            head: sender.head,
            allocated: sender.allocated,
            ticket: sender.ticket,
            owes_abandoned: sender.owes_abandoned,
        };
        sender.given.give();
        Ok(state)
    }

    fn open<E: de::Error>(self, memory: &Arc<Memory>) -> Result<Sender, E> {
        let socket = take(self.socket).map_err(E::custom)?;
        let view = view(memory, self.which)?;
        let used = self.tail.checked_sub(self.head);
        let sound = self.tail % 8 == 0 && self.tail <= FAR && self.ticket <= FAR;
        if !sound || used.is_none_or(|used| used > view.capacity()) {
            return Err(E::custom("the positions of the ring make no sense"));
        }
        let mut sender = Sender::new(view, Bell::new(socket));
        (sender.tail, sender.committed, sender.head) = (self.tail, self.tail, self.head);
        (sender.allocated, sender.ticket) = (self.allocated, self.ticket);
        sender.owes_abandoned = self.owes_abandoned;
        Ok(sender)
    }
}

impl ReceiverState {
    fn of<E: ser::Error>(receiver: &Receiver) -> Result<ReceiverState, E> {
        let partial = match &receiver.partial {
            None => None,
            Some(partial) => {
                let fds = partial.fds.iter().map(|fd| given(Ok(fd.as_fd()))).collect::<Result<_, E>>()?;
                let lost = partial.lost.map(Errno::raw_os_error);
                Some(PartialState { total: partial.total, bytes: partial.bytes.clone(), fds, lost })
            }
        };
        let arrived = receiver.arrived.fds.iter().map(|(ticket, fd)| Ok((*ticket, given(Ok(fd.as_fd()))?)));
        let state = ReceiverState {
            arrived: arrived.collect::<Result<_, E>>()?,
            cut: receiver.arrived.cut.clone(),
            socket: given(receiver.bell.fd())?,
            which: receiver.view.which(),
            head: receiver.head,
            partial,
        };
        receiver.given.give();
        Ok(state)
    }

    fn open<E: de::Error>(self, memory: &Arc<Memory>) -> Result<Receiver, E> {
        let socket = take(self.socket).map_err(E::custom)?;
        let view = view(memory, self.which)?;
        if self.head % 8 != 0 || self.head > FAR {
            return Err(E::custom("the position of the ring makes no sense"));
        }
        let mut receiver = Receiver::new(view, Bell::new(socket), self.head);
        let mut fds = VecDeque::new();
        for (of, ticket) in self.arrived {
            fds.push_back((of, take(ticket).map_err(E::custom)?));
        }
        receiver.arrived = Arrived { fds, cut: self.cut };
        if let Some(PartialState { total, bytes, fds, lost }) = self.partial {
            let fds = fds.into_iter().map(take).collect::<io::Result<_>>().map_err(E::custom)?;
            let lost = lost.map(Errno::from_raw_os_error);
            receiver.partial = Some(Partial { total, bytes, fds, lost });
        }
        // The sender may not know yet how far the end had come before it crossed.
        receiver.released = u64::MAX;
        receiver.release();
        Ok(receiver)
    }
}

fn view<E: de::Error>(memory: &Arc<Memory>, which: usize) -> Result<View, E> {
    View::new(memory.clone(), which).ok_or_else(|| E::custom("the memory has no such ring"))
}

impl Serialize for Sender {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (Place::of(self.view.memory())?, SenderState::of(self)?).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Sender {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Sender, D::Error> {
        let (place, state) = <(Place, SenderState)>::deserialize(deserializer)?;
        state.open(&place.open()?)
    }
}

impl Serialize for Receiver {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (Place::of(self.view.memory())?, ReceiverState::of(self)?).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Receiver {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Receiver, D::Error> {
        let (place, state) = <(Place, ReceiverState)>::deserialize(deserializer)?;
        state.open(&place.open()?)
    }
}

/// Serializes the two halves of what was a [`Duplex`], to be deserialized as one.
pub(crate) fn serialize_pair<S: Serializer>(
    sender: &Sender,
    receiver: &Receiver,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    if !Arc::ptr_eq(sender.view.memory(), receiver.view.memory()) {
        return Err(ser::Error::custom("the halves are not of one pair of rings"));
    }
    let place = Place::of(sender.view.memory())?;
    (place, SenderState::of(sender)?, ReceiverState::of(receiver)?).serialize(serializer)
}

impl Serialize for Duplex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_pair(&self.sender, &self.receiver, serializer)
    }
}

impl<'de> Deserialize<'de> for Duplex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Duplex, D::Error> {
        let (place, sender, receiver) = <(Place, SenderState, ReceiverState)>::deserialize(deserializer)?;
        let memory = place.open()?;
        Ok(Duplex { sender: sender.open(&memory)?, receiver: receiver.open(&memory)? })
    }
}
