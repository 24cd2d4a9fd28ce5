//! Tests for listeners and clients with a shared key.

mod common;

use std::{
    io::{IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
    thread,
    time::Duration,
};

use common::{LATE, eventually};
use proc_core::Process;
use proc_ipc::{Client, ConnectError, Connection, Listener, Refusal};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};

proc_core::init_for_tests!();

type Server = Listener<u64, u32>;

fn bind(path: &PathBuf, key: &[u8]) -> Server {
    Listener::builder().key(key).bind(path).unwrap()
}

fn connect(path: PathBuf) -> u64 {
    let server: Connection<u32, u64> = Client::new(path).key(b"a key").timeout(LATE).connect().unwrap();
    server.recv().unwrap()
}

#[test]
fn smoke() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("listener");
    let listener = bind(&path, b"a key");
    let child = Process::spawn(connect, path).unwrap();
    listener.accept().unwrap().send(7).unwrap();
    assert_eq!(child.join().unwrap(), 7);
}

#[test]
fn keys_are_of_any_length_and_must_be_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("listener");
    let long = [7; 1000];
    let keys: [Option<&[u8]>; 5] = [None, Some(b""), Some(b"a key"), Some(b"a keY"), Some(&long)];
    for ours in keys {
        let builder = Listener::builder();
        let builder = if let Some(key) = ours { builder.key(key) } else { builder };
        let listener: Server = builder.bind(&path).unwrap();
        for theirs in keys {
            let client = Client::new(&path).timeout(LATE);
            let client = if let Some(key) = theirs { client.key(key) } else { client };
            thread::scope(|s| {
                let client = s.spawn(|| client.connect::<u32, u64>());
                if ours == theirs {
                    let _connection = listener.accept().unwrap();
                    assert!(client.join().unwrap().is_ok());
                    return;
                }
                eventually(|| {
                    assert!(listener.try_accept().unwrap().is_none());
                    client.is_finished()
                });
                let error = client.join().unwrap().unwrap_err();
                assert!(matches!(error, ConnectError::Refused(Refusal::Key)), "{error}");
            });
        }
    }
}

/// Passes packets between a client and a listener on, as somebody who has taken the path would; all that was said, each
/// with whether it was the client.
fn between(from: &PathBuf, to: &PathBuf, change: impl Fn(usize, &mut Vec<u8>)) -> Vec<(bool, Vec<u8>)> {
    let flags = SocketFlags::CLOEXEC;
    let new = || rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    let (ours, up) = (new(), new());
    rustix::net::bind(&ours, &SocketAddrUnix::new(from).unwrap()).unwrap();
    rustix::net::listen(&ours, 1).unwrap();
    rustix::net::connect(&up, &SocketAddrUnix::new(to).unwrap()).unwrap();
    let down = rustix::net::accept(&ours).unwrap();
    let mut said = Vec::new();
    for turn in 0.. {
        let is_client = turn % 2 == 0;
        let (reader, writer) = if is_client { (&down, &up) } else { (&up, &down) };
        let (mut bytes, mut space) = (vec![0; 70_000], [MaybeUninit::uninit(); 256]);
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let len = match rustix::net::recvmsg(reader, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Ok(message) if message.bytes > 0 => message.bytes,
            _ => break,
        };
        let fds: Vec<OwnedFd> = control
            .drain()
            .flat_map(|message| match message {
                RecvAncillaryMessage::ScmRights(fds) => fds.collect(),
                _ => Vec::new(),
            })
            .collect();
        bytes.truncate(len);
        said.push((is_client, bytes.clone()));
        change(turn, &mut bytes);
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); 256];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(fds.is_empty() || control.push(SendAncillaryMessage::ScmRights(&fds)));
        if rustix::net::sendmsg(writer, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL).is_err() {
            break;
        }
    }
    said
}

#[test]
fn the_key_is_never_on_the_wire_and_nothing_can_be_changed_on_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let real = dir.path().join("listener");
    let key = b"a key that is long enough to be found";
    let listener = bind(&real, key);
    // The last is the proof of the listener, behind 24 bytes that say what the packet is, and one that says so again.
    for changed in [None, Some(0), Some(1), Some(2), Some(3)] {
        let taken = dir.path().join(format!("taken-{changed:?}"));
        let client = Client::new(&taken).key(key).timeout(LATE).wait(LATE);
        thread::scope(|s| {
            let client = s.spawn(|| client.connect::<u32, u64>().map(drop));
            let relay = s.spawn(|| {
                between(&taken, &real, |turn, bytes| {
                    if Some(turn) == changed {
                        let at = if turn == 3 { 24 + 1 + 5 } else { bytes.len() - 1 };
                        bytes[at] ^= 1;
                    }
                })
            });
            let mut accepted = 0;
            eventually(|| {
                accepted += usize::from(listener.try_accept().unwrap().is_some());
                client.is_finished() && relay.is_finished()
            });
            assert_eq!(accepted, usize::from(matches!(changed, None | Some(3))), "{changed:?}");
            match (changed, client.join().unwrap()) {
                (None, Ok(())) | (Some(_), Err(ConnectError::Refused(Refusal::Key))) => {}
                other => panic!("{other:?}"),
            }
            let said = relay.join().unwrap();
            assert!(said.len() >= 3);
            for (_, bytes) in said {
                assert!(!bytes.windows(8).any(|part| key.windows(8).any(|k| k == part)));
            }
        });
    }
}

#[test]
fn a_proof_can_not_be_said_again() {
    let dir = tempfile::tempdir().unwrap();
    let (real, taken) = (dir.path().join("listener"), dir.path().join("taken"));
    let listener = bind(&real, b"a key");
    let said = thread::scope(|s| {
        let client = Client::new(&taken).key(b"a key").timeout(LATE).wait(LATE);
        let client = s.spawn(move || client.connect::<u32, u64>().map(drop));
        let relay = s.spawn(|| between(&taken, &real, |_, _| {}));
        assert!(listener.accept_timeout(LATE).unwrap().is_some());
        client.join().unwrap().unwrap();
        relay.join().unwrap()
    });
    let flags = SocketFlags::CLOEXEC;
    let sock = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    rustix::net::connect(&sock, &SocketAddrUnix::new(&real).unwrap()).unwrap();
    let before = listener.refused();
    for (_, words) in said.iter().filter(|(is_client, _)| *is_client).take(2) {
        rustix::net::send(&sock, words, SendFlags::NOSIGNAL).unwrap();
    }
    assert!(listener.accept_timeout(Duration::from_millis(50)).unwrap().is_none());
    assert_eq!(listener.refused(), before + 1);
}
