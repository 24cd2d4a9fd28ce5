//! The bare socket pair.

use crate::tally::Tally;
use benches::{Peer, Routine, Setting, calls};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

fn packets() -> Result<(OwnedFd, OwnedFd), String> {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(|e| e.to_string())
}

pub(crate) fn round_trip(setting: &Setting) -> Result<Routine, String> {
    let (here, there) = packets()?;
    let peer = Peer::fork(setting, || {
        let mut number = [0; 8];
        while recv(&there, &mut number, RecvFlags::empty()).is_ok_and(|(length, _)| length == 8) {
            if send(&there, &number, SendFlags::empty()).is_err() {
                return;
            }
        }
    });
    let mut i = 0_u64;
    Ok(calls(move || {
        let _peer = &peer;
        i += 1;
        let mut answer = [0; 8];
        send(&here, &i.to_ne_bytes(), SendFlags::empty()).expect("a receiver");
        recv(&here, &mut answer, RecvFlags::empty()).expect("an answer");
        assert_eq!(u64::from_ne_bytes(answer), i);
    }))
}

pub(crate) fn one_way(setting: &Setting, size: usize) -> Result<Routine, String> {
    many(setting, size, 1)
}

/// So many senders and so many receivers: each packet goes to one of those who read the same end.
pub(crate) fn many(setting: &Setting, size: usize, ends: usize) -> Result<Routine, String> {
    let (here, there) = packets()?;
    let (tally, message) = (Tally::new(), vec![7; size]);
    let mut peers = Vec::new();
    for i in 0..ends {
        peers.push(Peer::fork(setting, || {
            let mut message = vec![0; size];
            while recv(&there, &mut message[..], RecvFlags::empty()).is_ok_and(|(length, _)| length == size) {
                tally.count(i);
            }
        }));
    }
    let give = move || assert_eq!(send(&here, &message, SendFlags::empty()), Ok(size), "a receiver");
    for _ in 1..ends {
        peers.push(Peer::fork(&setting.beside_caller(), || tally.send_asked(&give)));
    }
    Ok(tally.routine_of(ends as u64, peers, give))
}

/// A stream in which each message follows its length.
pub(crate) fn stream(setting: &Setting, size: usize) -> Result<Routine, String> {
    let (mut here, mut there) = UnixStream::pair().map_err(|e| e.to_string())?;
    let tally = Tally::new();
    let peer = Peer::fork(setting, || {
        let (mut length, mut message) = ([0; 8], vec![0; size]);
        while there.read_exact(&mut length).is_ok() {
            let length = usize::from_ne_bytes(length);
            if there.read_exact(&mut message[..length]).is_err() {
                return;
            }
            tally.count(0);
        }
    });
    let message = vec![7; size];
    Ok(tally.routine(peer, move || {
        here.write_all(&size.to_ne_bytes()).expect("a receiver");
        here.write_all(&message).expect("a receiver");
    }))
}
