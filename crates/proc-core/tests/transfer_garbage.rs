//! Tests for garbage: whatever bytes and packets come from a broken peer, the answer is an error, in no time and no
//! memory to speak of, and no descriptor is left over.
#![cfg(feature = "functions")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    collections::{BTreeMap, HashMap, HashSet},
    ffi::OsString,
    fs::File,
    io::{IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use proc_core::{
    Fd, RemoteError,
    transfer::{pack, packet, unpack},
};
use rustix::{
    fs::{MemfdFlags, SealFlags},
    net::{RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Remembers the largest allocation of each thread.
struct Watching;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

fn note(size: usize) {
    let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(size)));
}

// SAFETY: every call is handed to the system's allocator as it is; a thread-local without destructor allocates nothing.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: by the caller.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: by the caller.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: by the caller.
        unsafe { System.realloc(at, layout, size) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: by the caller.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

/// The tests count descriptors, so they run one at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn open_now() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// xorshift64*: the same inputs in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// Some of what goes wrong with bytes.
    fn damage(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            if bytes.is_empty() {
                bytes.push(self.next() as u8);
            }
            let at = self.below(bytes.len());
            match self.below(7) {
                0 => bytes.truncate(at),
                1 => bytes[at] ^= 1 << self.below(8),
                2 => bytes[at] = self.next() as u8,
                3 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][self.below(5)],
                4 => bytes.insert(at, self.next() as u8),
                5 => drop(bytes.remove(at)),
                // A length that is as large as can be.
                _ => drop(bytes.splice(at..at, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1])),
            }
        }
    }
}

/// Inputs of each kind; more with MULTIPROCESS_FUZZ=n.
fn rounds(short: usize) -> usize {
    std::env::var("MULTIPROCESS_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(short)
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
enum Shape {
    Nothing,
    One(Box<Shape>),
    Many(Vec<Shape>, u8),
    Named { a: Option<Box<Shape>>, b: i128 },
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Rich {
    numbers: (u8, i16, u32, i64, u128, f32, f64, bool, char),
    text: String,
    shapes: Vec<Shape>,
    map: BTreeMap<String, Vec<Option<u64>>>,
    units: Vec<()>,
    tables: Vec<[[u16; 3]; 2]>,
    wide: Vec<u128>,
    path: PathBuf,
    os: OsString,
    result: Result<Duration, RemoteError>,
    sets: HashSet<u32>,
    nested: HashMap<u8, HashMap<u8, String>>,
}

fn rich() -> Rich {
    let named = Shape::Named { a: Some(Box::new(Shape::Nothing)), b: -1 };
    Rich {
        numbers: (1, -2, 300, -70_000, 1 << 100, 1.5, -2.5, true, 'ß'),
        text: "some text".into(),
        shapes: vec![Shape::Many(vec![named.clone(), Shape::One(Box::new(named))], 3), Shape::Nothing],
        map: [("a".into(), vec![None, Some(7)]), ("b".into(), vec![])].into(),
        units: vec![(); 9],
        tables: vec![[[1, 2, 3], [4, 5, 600]]; 2],
        wide: vec![1, 2, 3],
        path: "/tmp/x".into(),
        os: "os".into(),
        result: Err(RemoteError::new(std::io::Error::from_raw_os_error(2))),
        sets: [1, 2, 3].into(),
        nested: [(1, [(2, "x".into())].into())].into(),
    }
}

/// Decodes, and watches the costs.
fn decode<T: DeserializeOwned + 'static>(bytes: &[u8], fds: Vec<OwnedFd>) -> bool {
    LARGEST.set(0);
    let start = Instant::now();
    let result = unpack::<T>(bytes, fds);
    let (took, largest) = (start.elapsed(), LARGEST.get());
    let name = std::any::type_name::<T>();
    assert!(took < Duration::from_secs(5), "{name} took {took:?} for {bytes:?}");
    assert!(largest < 4 << 20, "{name} allocated {largest} bytes for {bytes:?}");
    result.is_ok()
}

fn decode_as_everything(bytes: &[u8]) {
    decode::<Rich>(bytes, Vec::new());
    decode::<Vec<Shape>>(bytes, Vec::new());
    decode::<Vec<String>>(bytes, Vec::new());
    decode::<Vec<Vec<()>>>(bytes, Vec::new());
    decode::<Vec<Vec<Vec<[u128; 30]>>>>(bytes, Vec::new());
    decode::<HashMap<String, u8>>(bytes, Vec::new());
    decode::<HashSet<()>>(bytes, Vec::new());
    decode::<BTreeMap<(), ()>>(bytes, Vec::new());
    decode::<Box<[Option<u64>]>>(bytes, Vec::new());
    decode::<std::collections::BinaryHeap<u64>>(bytes, Vec::new());
    decode::<std::collections::VecDeque<u128>>(bytes, Vec::new());
    decode::<Option<SystemTime>>(bytes, Vec::new());
    decode::<std::net::SocketAddr>(bytes, Vec::new());
    decode::<std::ffi::CString>(bytes, Vec::new());
    decode::<Vec<u64>>(bytes, Vec::new());
    decode::<RemoteError>(bytes, Vec::new());
    decode::<Vec<Fd<File>>>(bytes, Vec::new());
}

#[test]
fn smoke() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let packed = pack(&rich()).unwrap();
    assert_eq!(unpack::<Rich>(&packed.bytes, Vec::new()).unwrap(), rich());
    assert!(decode::<Rich>(&packed.bytes, Vec::new()));
}

#[test]
fn damaged_bytes_are_a_value_or_an_error() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut random = Random(0x5eed_0001);
    let intact = pack(&rich()).unwrap().bytes;
    for end in 0..intact.len() {
        assert!(!decode::<Rich>(&intact[..end], Vec::new()), "the first {end} bytes are no whole value");
    }
    for _ in 0..rounds(5_000) {
        let mut bytes = intact.clone();
        random.damage(&mut bytes);
        decode_as_everything(&bytes);
    }
}

#[test]
fn random_bytes_are_a_value_or_an_error() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut random = Random(0x5eed_0002);
    for _ in 0..rounds(5_000) {
        let len = random.below(60);
        let bytes: Vec<u8> =
            (0..len).map(|_| (random.next() >> [0, 4, 6, 7][random.below(4)]) as u8 >> 3).collect();
        decode_as_everything(&bytes);
    }
    // Long ones, of which each claims to hold as much as it can.
    for byte in [0, 1, 2, 0x7f, 0x80, 0xff] {
        decode_as_everything(&vec![byte; 20_000]);
    }
}

#[test]
fn damaged_tickets_close_every_descriptor() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let before = open_now();
    let mut random = Random(0x5eed_0003);
    type Value = (Fd<File>, Vec<(u8, Fd<File>)>, Option<Fd<OwnedFd>>);
    let file = || Fd(File::open("/dev/null").unwrap());
    for _ in 0..rounds(1_000) {
        let packed =
            pack(&(file(), vec![(1_u8, file()), (2, file())], Some(Fd(OwnedFd::from(file().0))))).unwrap();
        let (mut bytes, mut fds) = (packed.bytes, packed.fds);
        match random.below(4) {
            0 => fds.truncate(random.below(4)),
            1 => fds.push(file().0.into()),
            _ => random.damage(&mut bytes),
        }
        decode::<Value>(&bytes, fds);
    }
    assert_eq!(open_now(), before);
}

/// Sends a packet as it stands.
fn send_raw(sock: &OwnedFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        assert!(control.push(SendAncillaryMessage::ScmRights(fds)));
    }
    rustix::net::sendmsg(sock, &[IoSlice::new(bytes)], &mut control, SendFlags::empty()).unwrap();
}

/// The packet of a message as it stands, without its descriptors.
fn packet_of(bytes: &[u8], fds: usize) -> Vec<u8> {
    let (a, b) = packet::pair().unwrap();
    packet::send(&a, bytes, &vec![a.as_fd(); fds], None).unwrap();
    let mut packet = vec![0; 128 * 1024];
    let mut control = RecvAncillaryBuffer::default();
    let mut parts = [IoSliceMut::new(&mut packet)];
    let len = rustix::net::recvmsg(&b, &mut parts, &mut control, RecvFlags::empty()).unwrap().bytes;
    packet.truncate(len);
    packet
}

/// Receives, and watches the costs.
fn receive(sock: &OwnedFd) -> std::io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
    LARGEST.set(0);
    let start = Instant::now();
    let result = packet::recv(sock, Some(start));
    assert!(start.elapsed() < Duration::from_secs(5), "took {:?}", start.elapsed());
    assert!(LARGEST.get() < 4 << 20, "allocated {} bytes", LARGEST.get());
    result
}

fn memory(size: u64, filled: bool, seals: SealFlags) -> OwnedFd {
    let file = rustix::fs::memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    if filled {
        rustix::io::write(&file, &vec![7; size as usize]).unwrap();
    } else {
        rustix::fs::ftruncate(&file, size).unwrap();
    }
    rustix::fs::fcntl_add_seals(&file, seals).unwrap();
    file
}

fn sealed() -> SealFlags {
    SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE
}

/// The header of a large message, with another length.
fn large(len: u64) -> Vec<u8> {
    let mut packet = packet_of(&vec![7; packet::INLINE + 1], 0);
    packet[16..24].copy_from_slice(&len.to_ne_bytes());
    packet
}

#[test]
fn payload_files_that_lie_are_refused() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let before = open_now();
    let (a, b) = packet::pair().unwrap();
    let tera = 1 << 40;
    let null = OwnedFd::from(File::open("/dev/null").unwrap());
    let zero = OwnedFd::from(File::open("/dev/zero").unwrap());
    for (what, len, file) in [
        ("a sparse file", tera, memory(tera, false, sealed())),
        ("a small file", tera, memory(100, true, sealed())),
        ("a larger file", 100, memory(200, true, sealed())),
        ("no file", tera, null),
        ("an endless file", tera, zero),
        ("one that may still change", 100, memory(100, true, sealed() - SealFlags::WRITE)),
        ("one that may still shrink", 100, memory(100, true, sealed() - SealFlags::SHRINK)),
        ("a length of all ones", u64::MAX, memory(100, true, sealed())),
        ("a socket", 100, a.try_clone().unwrap()),
    ] {
        send_raw(&a, &large(len), &[file.as_fd()]);
        assert!(receive(&b).is_err(), "{what}");
    }
    let honest = memory(100, true, sealed());
    send_raw(&a, &large(100), &[honest.as_fd()]);
    assert_eq!(receive(&b).unwrap().unwrap().0, [7; 100]);
    drop((a, b, honest));
    assert_eq!(open_now(), before);
}

#[test]
fn side_sockets_that_lie_are_refused() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let before = open_now();
    {
        let (a, b) = packet::pair().unwrap();
        let header = packet_of(b"", 300);
        let side = |packets: &[usize], keep: &mut Vec<OwnedFd>| {
            let (x, y) = packet::pair().unwrap();
            for count in packets {
                send_raw(&x, &[0], &vec![a.as_fd(); *count]);
            }
            keep.push(x);
            y
        };
        let mut open = Vec::new();
        let not_packets = std::os::unix::net::UnixStream::pair().unwrap().0;
        for (what, socket) in [
            ("an empty one that stays open", side(&[], &mut open)),
            ("too few, and it stays open", side(&[253], &mut open)),
            ("too many", side(&[253, 48], &mut open)),
            ("packets without descriptors", side(&[253, 0, 47], &mut open)),
            ("no socket", File::open("/dev/null").unwrap().into()),
            ("a socket that closed", not_packets.into()),
        ] {
            send_raw(&a, &header, &[socket.as_fd()]);
            assert!(receive(&b).is_err(), "{what}");
        }
        let honest = side(&[1, 252, 47], &mut open);
        send_raw(&a, &header, &[honest.as_fd()]);
        assert_eq!(receive(&b).unwrap().unwrap().1.len(), 300);

        // Four thousand million of them, of which some come.
        let mut header = header;
        header[8..12].copy_from_slice(&u32::MAX.to_ne_bytes());
        let socket = side(&[253; 3], &mut open);
        send_raw(&a, &header, &[socket.as_fd()]);
        assert!(receive(&b).is_err());
        assert_eq!(receive(&b).unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    }
    assert_eq!(open_now(), before);
}

#[test]
fn damaged_packets_are_a_message_or_an_error_and_the_next_one_is_whole() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let before = open_now();
    {
        let mut random = Random(0x5eed_0004);
        let (a, b) = packet::pair().unwrap();
        let null = OwnedFd::from(File::open("/dev/null").unwrap());
        let (mem, sparse) = (memory(100, true, sealed()), memory(1 << 40, false, sealed()));
        let attachments = [null.as_fd(), mem.as_fd(), sparse.as_fd(), a.as_fd()];
        let intact = [
            packet_of(b"", 0),
            packet_of(&[1; 100], 2),
            packet_of(&[1; 5000], 0),
            packet_of(b"", 300),
            packet_of(&vec![7; packet::INLINE + 1], 0),
            packet_of(&vec![7; packet::INLINE + 1], 300),
        ];
        for _ in 0..rounds(5_000) {
            let mut bytes = intact[random.below(intact.len())].clone();
            if random.below(8) != 0 {
                let mut head: Vec<u8> = bytes.drain(..24).collect();
                random.damage(&mut head);
                bytes.splice(0..0, head);
            }
            if bytes.is_empty() {
                continue;
            }
            let fds: Vec<_> = (0..random.below(4)).map(|_| attachments[random.below(4)]).collect();
            send_raw(&a, &bytes, &fds);
            // `None` would be the end, which it is not.
            assert!(!matches!(receive(&b), Ok(None)));
            packet::send(&a, b"next", &[null.as_fd()], None).unwrap();
            let (next, fds) = receive(&b).unwrap().unwrap();
            assert_eq!((&next[..], fds.len()), (&b"next"[..], 1));
        }
        // Longer than any.
        send_raw(&a, &[intact[2].clone(), vec![0; 100_000]].concat(), &[null.as_fd()]);
        assert!(receive(&b).is_err());
    }
    assert_eq!(open_now(), before);
}
