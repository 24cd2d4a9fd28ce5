//! One client on its way in, seen from the listener.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    time::Instant,
};

use proc_core::{
    inherit::LocalFd,
    transfer::{pack, packet},
};

use super::{
    error::Refusal,
    hello::{self, Hello},
    key::Role,
    peer::Peer,
    state::Rules,
};
use crate::{
    ring::{self, Duplex},
    sys::local,
};

/// The first byte of what a listener says.
pub(super) const REFUSED: u8 = 0;
pub(super) const HELLO: u8 = 1;
pub(super) const WELCOME: u8 = 2;

/// Of the listener's words in a refusal.
const MAX_TEXT: usize = 1024;

pub(super) struct Handshake {
    pub(super) id: u64,
    pub(super) until: Option<Instant>,
    sock: LocalFd,
    /// Both hellos, when only the proof is missing.
    said: Option<(Hello, Hello)>,
}

pub(super) enum Step {
    /// It is the client's turn.
    Wait,
    In(Box<Duplex>),
    /// Refused, or gone by itself.
    Out,
}

impl Handshake {
    pub(super) fn new(id: u64, until: Option<Instant>, sock: OwnedFd) -> Handshake {
        Handshake { id, until, sock: LocalFd::new(sock), said: None }
    }

    /// Whether it has not said anything yet.
    pub(super) fn is_silent(&self) -> bool {
        self.said.is_none()
    }

    /// Looks who it is, before it is listened to.
    pub(super) fn admit(&self, rules: &Rules) -> io::Result<bool> {
        let refusal = match Peer::of(self.sock.get()?)? {
            None => Refusal::Namespace,
            Some(peer) if !rules.users.allow(&peer) => Refusal::User,
            Some(_) => return Ok(true),
        };
        self.refuse(&refusal, rules);
        Ok(false)
    }

    /// Takes what the client has said, if anything. An error is one of this process, and ends the handshake too.
    pub(super) fn step(&mut self, rules: &Rules) -> io::Result<Step> {
        let mut bytes = [0; hello::LEN];
        let len = match local::recv(self.sock.get()?, &mut bytes) {
            Ok(None) => return Ok(Step::Wait),
            Ok(Some(len)) => len,
            Err(_) => return Ok(Step::Out),
        };
        match self.said.take() {
            None => self.hello(&bytes[..len], rules),
            Some((theirs, ours)) => match &rules.key {
                Some(key) if key.verify(Role::Client, &theirs, &ours, &bytes[..len]) => {
                    let proof = key.prove(Role::Listener, &theirs, &ours);
                    self.welcome(&proof)
                }
                _ => Ok(self.refuse(&Refusal::Key, rules)),
            },
        }
    }

    fn hello(&mut self, bytes: &[u8], rules: &Rules) -> io::Result<Step> {
        let theirs = match Hello::from_bytes(bytes) {
            Ok(hello) => hello,
            Err(Some(refusal)) => return Ok(self.refuse(&refusal, rules)),
            Err(None) => return Ok(Step::Out),
        };
        let ours = Hello::new(&rules.types, rules.key.as_ref())?;
        if let Err(refusal) = ours.agree(&theirs) {
            return Ok(self.refuse(&refusal, rules));
        }
        if !self.say(HELLO, &ours.to_bytes()) {
            return Ok(Step::Out);
        }
        if rules.key.is_none() {
            return self.welcome(&[]);
        }
        self.said = Some((theirs, ours));
        Ok(Step::Wait)
    }

    /// The last step: the pipe is made, and the client gets its end.
    fn welcome(&self, proof: &[u8]) -> io::Result<Step> {
        let (ours, theirs) = ring::pair(ring::CAPACITY, ring::CAPACITY)?;
        let packed = pack(&theirs).map_err(io::Error::other)?;
        let mut bytes = vec![WELCOME];
        bytes.extend_from_slice(proof);
        bytes.extend_from_slice(&packed.bytes);
        let fds: Vec<_> = packed.fds.iter().map(AsFd::as_fd).collect();
        let sent = packet::send(self.sock.get()?, &bytes, &fds, Some(Instant::now()));
        Ok(if sent.is_ok() { Step::In(Box::new(ours)) } else { Step::Out })
    }

    fn refuse(&self, refusal: &Refusal, rules: &Rules) -> Step {
        let mut bytes = vec![refusal.code()];
        if matches!(refusal, Refusal::Types(_)) {
            let text = rules.types.text.as_bytes();
            bytes.extend_from_slice(&text[..text.len().min(MAX_TEXT)]);
        }
        self.say(REFUSED, &bytes);
        Step::Out
    }

    /// False if the client does not listen, which is no reason to wait: its socket has room for this.
    fn say(&self, tag: u8, bytes: &[u8]) -> bool {
        let message = [&[tag], bytes].concat();
        let Ok(sock) = self.sock.get() else { return false };
        packet::send(sock, &message, &[], Some(Instant::now())).is_ok()
    }

    pub(super) fn fd(&self) -> &LocalFd {
        &self.sock
    }
}
