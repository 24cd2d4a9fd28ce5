//! Messages of bytes and descriptors over a Unix packet socket (`SOCK_SEQPACKET`).
//!
//! One message is one packet, so it arrives whole or not at all, and a failed [`send`] leaves nothing behind that could
//! ride on with the next message. What does not fit into a packet travels as a descriptor in it:
//!
//! - a payload above [`INLINE`] bytes is a sealed memory file, so that the sender never waits for somebody to read;
//! - more descriptors than one packet can carry (253) wait inside a second socket, whose receiving end is what
//!   crosses. Splitting them over packets of the same socket would need state on both sides for a message that was
//!   cut off half-way.
//!
//! The packet is a header of 24 bytes in native order (magic, flags, number of descriptors, zero: `u32` each; length of
//! the payload: `u64`), then the payload if it is inline. The peer is not trusted: whatever does not hold together is
//! an error of kind `InvalidData` that closes what came, and nothing is allocated for a length that memory does not
//! back.
//!
//! # Examples
//!
//! ```
//! use std::{fs::File, io::Read, os::fd::AsFd};
//! use proc_core::transfer::packet;
//!
//! let (ours, theirs) = packet::pair()?;
//! packet::send(&ours, b"take this", &[File::open("/etc/passwd")?.as_fd()], None)?;
//! drop(ours);
//!
//! let (bytes, mut fds) = packet::recv(&theirs, None)?.expect("a message came before the end");
//! assert_eq!(bytes, b"take this");
//! let mut text = String::new();
//! File::from(fds.remove(0)).read_to_string(&mut text)?;
//! assert!(text.contains("root"));
//! assert!(packet::recv(&theirs, None)?.is_none());
//! # Ok::<(), std::io::Error>(())
//! ```

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Mutex,
    time::Instant,
};

use rustix::event::PollFlags;

use super::Packed;
use crate::sys::messages;

/// Payloads up to this many bytes travel inside the packet; larger ones in a sealed memory file.
pub const INLINE: usize = 64 * 1024;

const HEADER: usize = 24;
const MAGIC: u32 = u32::from_ne_bytes(*b"mpk1");
/// The payload is a memory file, the first descriptor of the packet.
const IN_FILE: u32 = 1;
/// The descriptors of the message wait in a socket, the last descriptor of the packet.
const IN_SOCKET: u32 = 2;

/// A connected pair of sockets for [`send`] and [`recv`], close-on-exec.
///
/// # Errors
///
/// The process or the system is out of descriptors.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    messages::packet_pair()
}

/// Sends one message, waiting for room until `deadline` (`None`: for ever; a time that has passed: one try).
///
/// Nothing is sent on an error. The descriptors are duplicated into the message, the caller's stay open. Never raises
/// `SIGPIPE`.
///
/// # Errors
///
/// - `TimedOut`: the peer did not read in time;
/// - `BrokenPipe` or `ConnectionReset`: the peer closed its end;
/// - `ETOOMANYREFS`, `EMFILE`: too many descriptors are open, or under way in sockets;
/// - `EFBIG`, `ENOSPC`, `ENOMEM`: there is no memory for a large payload, or `RLIMIT_FSIZE` forbids it.
pub fn send(
    sock: impl AsFd,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
    deadline: Option<Instant>,
) -> io::Result<()> {
    let sock = sock.as_fd();
    if bytes.len() <= INLINE {
        match send_as(sock, bytes, None, fds, deadline) {
            // A socket whose buffer was made smaller than the payload.
            Err(e) if e.raw_os_error() == Some(libc::EMSGSIZE) && !bytes.is_empty() => {}
            other => return other,
        }
    }
    let file = messages::sealed_file("payload", bytes)?;
    send_as(sock, bytes, Some(&file), fds, deadline)
}

/// [`send`] for what [`pack`](super::pack) made.
///
/// # Errors
///
/// As [`send`].
pub fn send_packed(sock: impl AsFd, packed: &Packed, deadline: Option<Instant>) -> io::Result<()> {
    let fds: Vec<BorrowedFd<'_>> = packed.fds.iter().map(AsFd::as_fd).collect();
    send(sock, &packed.bytes, &fds, deadline)
}

/// Receives one message, waiting for it until `deadline` (`None`: for ever; a time that has passed: one try). `None` is
/// the end: the peer closed, and everything it had sent was received.
///
/// A message is taken from the socket whole, so a receiver that timed out has lost nothing.
///
/// # Errors
///
/// - `TimedOut`: no message came in time;
/// - `InvalidData`: a packet that [`send`] did not make; it is consumed, and its descriptors are closed;
/// - `EMFILE`: this process has no room for the descriptors of the message; it is consumed, and they are closed;
/// - `OutOfMemory`.
pub fn recv(sock: impl AsFd, deadline: Option<Instant>) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
    let sock = sock.as_fd();
    let mut reset = false;
    loop {
        let mut head = [0; HEADER];
        match recv_packet(sock, &mut head) {
            Ok((packet, _)) if packet.len == 0 && packet.fds.is_empty() => return Ok(None),
            Ok((packet, body)) => return open(packet, &head, body).map(Some),
            // A peer that closed with our messages unread: said once, before what it had sent itself.
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset && !reset => reset = true,
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                if !messages::wait(sock, PollFlags::IN, deadline)? {
                    return Err(timed_out("no message came in time"));
                }
            }
            Err(e) => return Err(e),
        }
    }
}

/// One packet and what came behind its header.
fn recv_packet(sock: BorrowedFd<'_>, head: &mut [u8; HEADER]) -> io::Result<(messages::Received, Vec<u8>)> {
    /// Room for the largest packet, of which most use some bytes: from the allocator it would be the most expensive part
    /// of a small message. It is never waited for, as a forked child may find it locked for ever.
    static ROOM: Mutex<[MaybeUninit<u8>; INLINE]> = Mutex::new([MaybeUninit::uninit(); INLINE]);
    let (mut shared, mut own);
    let room = match ROOM.try_lock() {
        Ok(guard) => {
            shared = guard;
            &mut shared[..]
        }
        Err(_) => {
            own = Vec::<u8>::with_capacity(INLINE);
            &mut own.spare_capacity_mut()[..INLINE]
        }
    };
    let packet = messages::recv(sock, head, room)?;
    let received = &room[..packet.len.saturating_sub(HEADER)];
    // SAFETY: the kernel has filled the header and then so many bytes.
    let body = unsafe { &*(&raw const *received as *const [u8]) }.to_vec();
    Ok((packet, body))
}

fn send_as(
    sock: BorrowedFd<'_>,
    bytes: &[u8],
    file: Option<&OwnedFd>,
    fds: &[BorrowedFd<'_>],
    deadline: Option<Instant>,
) -> io::Result<()> {
    let count = u32::try_from(fds.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let (mut flags, mut payload) = (0, bytes);
    let mut carried: Vec<BorrowedFd<'_>> = Vec::new();
    if let Some(file) = file {
        flags |= IN_FILE;
        payload = &[];
        carried.push(file.as_fd());
    }
    let side;
    if carried.len() + fds.len() > messages::MAX_FDS {
        flags |= IN_SOCKET;
        side = load_side_socket(fds)?;
        carried.push(side.as_fd());
    } else {
        carried.extend_from_slice(fds);
    }

    let mut head = [0; HEADER];
    head[0..4].copy_from_slice(&MAGIC.to_ne_bytes());
    head[4..8].copy_from_slice(&flags.to_ne_bytes());
    head[8..12].copy_from_slice(&count.to_ne_bytes());
    head[16..24].copy_from_slice(&(bytes.len() as u64).to_ne_bytes());
    let parts = [IoSlice::new(&head), IoSlice::new(payload)];
    loop {
        match messages::send(sock, &parts, &carried) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                if !messages::wait(sock, PollFlags::OUT, deadline)? {
                    return Err(timed_out("the peer did not read in time"));
                }
            }
            other => return other,
        }
    }
}

/// A socket in which `fds` wait, 253 in a packet. The sending end is closed: nothing more can come.
fn load_side_socket(fds: &[BorrowedFd<'_>]) -> io::Result<OwnedFd> {
    let (ours, theirs) = messages::packet_pair()?;
    for some in fds.chunks(messages::MAX_FDS) {
        messages::send(ours.as_fd(), &[IoSlice::new(&[0])], some).map_err(|e| match e.kind() {
            io::ErrorKind::WouldBlock => {
                io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors in one message")
            }
            _ => e,
        })?;
    }
    Ok(theirs)
}

/// Checks a packet against its header and fetches what did not fit into it. Whatever is not handed out is closed here.
fn open(
    packet: messages::Received,
    head: &[u8; HEADER],
    mut body: Vec<u8>,
) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    if packet.fds_cut {
        return Err(cut_descriptors());
    }
    let word = |at: usize| u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let (magic, flags, count, zero) = (word(0), word(4), word(8), word(12));
    let len =
        u64::from_ne_bytes([head[16], head[17], head[18], head[19], head[20], head[21], head[22], head[23]]);
    let (in_file, in_socket) = (flags & IN_FILE != 0, flags & IN_SOCKET != 0);
    let attached = usize::from(in_file) + if in_socket { 1 } else { count as usize };
    let inline = if in_file { 0 } else { len };
    if packet.len < HEADER
        || packet.bytes_cut
        || magic != MAGIC
        || flags & !(IN_FILE | IN_SOCKET) != 0
        || zero != 0
        || inline != body.len() as u64
        || attached != packet.fds.len()
    {
        return Err(malformed("a packet on the socket is no message: header and content disagree"));
    }

    let mut fds = packet.fds;
    if in_file {
        let file = fds.remove(0);
        body = messages::read_sealed(file.as_fd(), len)?;
    }
    if in_socket {
        if let Some(side) = fds.pop() {
            fds = unload_side_socket(&side, count as usize)?;
        }
    }
    Ok((body, fds))
}

fn unload_side_socket(side: &OwnedFd, count: usize) -> io::Result<Vec<OwnedFd>> {
    let mut fds = Vec::new();
    while fds.len() < count {
        let mut one = [0];
        // They were all there before the socket was sent: waiting would only serve a peer that wants us to hang.
        let packet = messages::recv(side.as_fd(), &mut one, &mut [])?;
        if packet.fds_cut {
            return Err(cut_descriptors());
        }
        if packet.fds.is_empty() || fds.len() + packet.fds.len() > count {
            return Err(malformed("a message has not the number of descriptors that its header states"));
        }
        fds.extend(packet.fds);
    }
    Ok(fds)
}

#[cold]
fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cold]
fn timed_out(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

/// The kernel cuts the list when the table of this process is full; it does not say why, and `EMFILE` is the reason in
/// practice (a security module may be another).
#[cold]
fn cut_descriptors() -> io::Error {
    io::Error::from_raw_os_error(libc::EMFILE)
}
