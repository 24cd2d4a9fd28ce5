//! Tests for whatever is read that another process wrote: ends in messages, handshakes, packets beside the memory. Nonsense
//! is an error, or does no harm; never a panic, and never a wait without end.
//!
//! The seeds are fixed. `PROC_IPC_LONG_TESTS` takes more rounds.

mod common;

use std::{
    fs::File,
    os::fd::{AsFd, OwnedFd},
    thread,
    time::{Duration, Instant},
};

use proc_core::transfer::{Packed, pack, unpack};
use proc_ipc::{
    Client, Connection, Listener, PipeReceiver, PipeSender, Queue, Receiver, Sender, channel, pipe, ring,
};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};

use common::{LATE, Random};

fn rounds(few: u64) -> u64 {
    if common::long() { few * 50 } else { few }
}

impl Random {
    /// Changes some bytes, or the length.
    fn spoil(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..1 + self.next() % 3 {
            let at = self.next() as usize % bytes.len().max(1);
            match self.next() % 8 {
                0 => bytes.truncate(at),
                1 => bytes.insert(at.min(bytes.len()), self.next() as u8),
                2 if at < bytes.len() => bytes[at] = 0xff,
                // The longest number that an encoder of this kind writes.
                3 => drop(bytes.splice(at.min(bytes.len()).., [0xff; 9].into_iter().chain([1]))),
                _ if at < bytes.len() => bytes[at] ^= 1 << (self.next() % 8),
                _ => {}
            }
        }
    }
}

fn soon() -> Option<Instant> {
    Some(Instant::now() + Duration::from_millis(1))
}

const SHORT: Duration = Duration::from_millis(1);

/// Spoils what `make` packs, and hands what can be unpacked all the same to `used`.
fn spoil<E: for<'de> serde::Deserialize<'de> + serde::Serialize + 'static, K>(
    make: impl Fn() -> (E, K),
    used: impl Fn(E),
) {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut refused = 0;
    for _ in 0..rounds(400) {
        let (end, _others) = make();
        let Packed { mut bytes, fds } = pack(&end).unwrap();
        random.spoil(&mut bytes);
        match unpack::<E>(&bytes, fds) {
            Ok(end) => used(end),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 50, "{refused} were refused");
}

#[test]
fn smoke() {
    let (tx, _rx) = channel::<u8>(3).unwrap();
    let Packed { bytes, fds } = pack(&tx).unwrap();
    assert!(unpack::<Sender<u8>>(&bytes[1..], fds).is_err());
}

#[test]
fn ends_of_rings() {
    let file = File::open("/dev/null").unwrap();
    spoil(
        || {
            let (mut tx, rx) = ring::one_way(4096).unwrap();
            tx.try_send(&[b"before"]).unwrap();
            (tx, rx)
        },
        |mut tx: ring::Sender| {
            let _ = tx.try_send(&[b"more"]);
            let _ = tx.try_send_with_fds(&[b"more"], &[file.as_fd()]);
            let _ = tx.send(&[&[1; 9000]], soon());
            let _ = tx.free_space();
        },
    );
    spoil(
        || {
            let (mut tx, mut rx) = ring::one_way(4096).unwrap();
            tx.try_send_with_fds(&[b"before"], &[file.as_fd()]).unwrap();
            // Half of a message, and descriptors that came without one.
            let _ = tx.send_with_fds(&[&[1; 9000]], &[file.as_fd()], soon());
            let _ = rx.recv(soon());
            let _ = rx.try_recv();
            tx.try_send(&[b"after"]).unwrap();
            (rx, tx)
        },
        |mut rx: ring::Receiver| {
            for _ in 0..4 {
                let _ = rx.recv(soon());
            }
        },
    );
}

#[test]
fn ends_of_pipes_and_channels() {
    spoil(
        || pipe::<u8, u8>().unwrap(),
        |end: Connection<u8>| {
            let _ = (end.try_send(1), end.recv_timeout(SHORT));
        },
    );
    spoil(|| proc_ipc::one_way::<u8>().unwrap(), |tx: PipeSender<u8>| drop(tx.send_timeout(1, SHORT)));
    spoil(
        || {
            let (tx, rx) = proc_ipc::one_way::<u8>().unwrap();
            tx.send(1).unwrap();
            (rx, tx)
        },
        |rx: PipeReceiver<u8>| drop((rx.recv_timeout(SHORT), rx.try_recv())),
    );
    let full = || {
        let (tx, rx) = channel::<u8>(2).unwrap();
        tx.send(1).unwrap();
        (tx, rx)
    };
    spoil(full, |tx: Sender<u8>| drop((tx.send_timeout(1, SHORT), tx.send_timeout(2, SHORT), tx.len())));
    spoil(
        || {
            let (tx, rx) = full();
            (rx, tx)
        },
        |rx: Receiver<u8>| drop((rx.recv_timeout(SHORT), rx.recv_timeout(SHORT), rx.poll(SHORT))),
    );
    spoil(
        || (Queue::<u8>::bounded_bytes(100).unwrap(), ()),
        |queue: Queue<u8>| {
            let _ = (queue.put_timeout(1, SHORT), queue.put_timeout(2, SHORT), queue.get_timeout(SHORT));
            let _ = (queue.join_timeout(SHORT), queue.capacity(), queue.capacity_bytes());
        },
    );
}

/// Sends a packet of random bytes, of the usual lengths most of the time; perhaps with a descriptor.
fn packet(random: &mut Random, to: &impl AsFd) {
    let lengths = [0, 1, 8, 8, 8, 9, 32, 100];
    let length = lengths[random.next() as usize % lengths.len()];
    let number = if random.next() % 2 == 0 { random.next() % 8 } else { random.next() };
    let bytes: Vec<u8> = number.to_ne_bytes().into_iter().cycle().take(length).collect();
    let (file, mut space) = (File::open("/dev/null").unwrap(), [std::mem::MaybeUninit::uninit(); 64]);
    let (fds, mut control) = ([file.as_fd()], rustix::net::SendAncillaryBuffer::new(&mut space));
    if random.next() % 2 == 0 {
        assert!(control.push(rustix::net::SendAncillaryMessage::ScmRights(&fds)));
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    let _ = rustix::net::sendmsg(to, &[std::io::IoSlice::new(&bytes)], &mut control, flags);
}

#[test]
fn packets_beside_the_memory() {
    let mut random = Random(88_172_645_463_325_252);
    let file = File::open("/dev/null").unwrap();
    for _ in 0..rounds(30) {
        let (mut tx, mut rx) = ring::one_way(4096).unwrap();
        for _ in 0..40 {
            match random.next() % 6 {
                0 => packet(&mut random, &tx),
                1 => packet(&mut random, &rx),
                2 => drop(tx.send_with_fds(&[b"these"], &[file.as_fd()], soon())),
                3 => drop(tx.send(&[&[1; 2000]], soon())),
                _ => {
                    if let Ok(Some(record)) = rx.recv(soon()) {
                        assert!([5, 2000].contains(&record.bytes.len()));
                    }
                }
            }
        }
        let (tx, rx) = channel(5).unwrap();
        let sockets: Vec<OwnedFd> =
            pack(&tx).unwrap().fds.into_iter().chain(pack(&rx).unwrap().fds).collect();
        for _ in 0..40 {
            match random.next() % 4 {
                // The memory is among them, to which nothing can be sent.
                0 => {
                    let to = &sockets[random.next() as usize % sockets.len()];
                    packet(&mut random, to);
                }
                1 => drop(tx.send_timeout(proc_core::Fd(file.try_clone().unwrap()), SHORT)),
                2 => drop(rx.try_recv()),
                _ => drop(rx.recv_timeout(SHORT)),
            }
        }
    }
}

fn socket() -> OwnedFd {
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
}

fn hear(sock: &OwnedFd) -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    let (len, _) = rustix::net::recv(sock, &mut bytes[..], RecvFlags::empty()).unwrap_or((0, 0));
    bytes.truncate(len);
    bytes
}

#[test]
fn handshakes() {
    let dir = tempfile::tempdir().unwrap();
    let (path, real) = (dir.path().join("fake"), dir.path().join("real"));
    let fake = socket();
    rustix::net::bind(&fake, &SocketAddrUnix::new(&path).unwrap()).unwrap();
    rustix::net::listen(&fake, 10).unwrap();
    let listener = Listener::<u8>::bind(&real).unwrap();
    // What an honest client says first, and what an honest listener answers.
    let (hello, answer) = thread::scope(|s| {
        s.spawn(|| Client::new(&path).timeout(LATE).connect::<u8, u8>().unwrap_err());
        let hello = hear(&rustix::net::accept(&fake).unwrap());
        let sock = socket();
        rustix::net::connect(&sock, &SocketAddrUnix::new(&real).unwrap()).unwrap();
        rustix::net::send(&sock, &hello, SendFlags::NOSIGNAL).unwrap();
        drop(listener.accept_timeout(LATE).unwrap().expect("an honest client"));
        (hello, hear(&sock))
    });
    let refusal = [0, 2, b'w', b'h', b'y', 0xff];
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for round in 0..rounds(300) {
        let sock = socket();
        rustix::net::connect(&sock, &SocketAddrUnix::new(&real).unwrap()).unwrap();
        let mut bytes = hello.clone();
        random.spoil(&mut bytes);
        rustix::net::send(&sock, &bytes, SendFlags::NOSIGNAL).unwrap();
        // One whose spoilt bytes are those that nobody looks at gets in.
        let _ = listener.try_accept().unwrap();
        drop(sock);

        let mut bytes = if round % 2 == 0 { answer.clone() } else { refusal.to_vec() };
        random.spoil(&mut bytes);
        thread::scope(|s| {
            let client = s.spawn(|| Client::new(&path).timeout(LATE).connect::<u8, u8>());
            let sock = rustix::net::accept(&fake).unwrap();
            hear(&sock);
            rustix::net::send(&sock, &bytes, SendFlags::NOSIGNAL).unwrap();
            // A welcome without descriptors, if it has listened until now.
            let _ = rustix::net::send(&sock, &[2, 1, 2, 3], SendFlags::NOSIGNAL);
            drop(sock);
            assert!(client.join().unwrap().is_err());
        });
    }
    thread::scope(|s| {
        s.spawn(|| Client::new(&real).timeout(LATE).connect::<u8, u8>().unwrap());
        assert!(listener.accept_timeout(LATE).unwrap().is_some());
    });
}

/// Positions so high that the next record's is none any more.
#[test]
fn positions_at_the_end_of_all_numbers() {
    let (tx, _rx) = ring::one_way(4096).unwrap();
    let Packed { bytes, fds } = pack(&tx).unwrap();
    // At the end: tail, head, allocated, ticket, and a flag, all 0.
    let (rest, last) = bytes.split_at(bytes.len() - 5);
    assert_eq!(last, [0; 5]);
    let high = [0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    let spoilt = [rest, &high, &high, &last[2..]].concat();
    assert!(unpack::<ring::Sender>(&spoilt, fds).is_err());
}
