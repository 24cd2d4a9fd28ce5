//! Tests for descriptors in values: each arrives where it was, is closed exactly once, and never with another message.
#![cfg(feature = "functions")]

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    net::{TcpListener, TcpStream},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
};

use proc_core::{
    Fd, RemoteError,
    transfer::{give, is_active, pack, pack_into, packet, take, unpack},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

/// The tests count this process's descriptors, so they run one at a time.
static ALONE: Mutex<()> = Mutex::new(());

struct Count {
    before: usize,
    _alone: MutexGuard<'static, ()>,
}

impl Count {
    fn start() -> Count {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        Count { before: open_now(), _alone: alone }
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        if !thread::panicking() {
            assert_eq!(open_now(), self.before, "descriptors are left open, or were closed twice");
        }
    }
}

fn open_now() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn null() -> Fd<File> {
    Fd(File::open("/dev/null").unwrap())
}

fn cross<T: Serialize + DeserializeOwned + 'static>(value: &T) -> T {
    let packed = pack(value).unwrap();
    assert!(!is_active());
    unpack(&packed.bytes, packed.fds).unwrap()
}

#[test]
fn smoke() {
    let _count = Count::start();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"content").unwrap();
    let mut crossed = cross(&Fd(file)).into_inner();
    crossed.seek(SeekFrom::Start(0)).unwrap();
    let mut text = String::new();
    crossed.read_to_string(&mut text).unwrap();
    assert_eq!(text, "content");
}

#[test]
fn files_sockets_and_pipes_cross() {
    let _count = Count::start();
    let (reader, mut writer) = io_pipe::pair();
    let (unix, mut unix_peer) = UnixStream::pair().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();

    let (mut reader, mut unix, listener) = cross(&(Fd(reader), Fd(unix), Fd(listener)));
    writer.write_all(b"pipe").unwrap();
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "pipe");

    unix.write_all(b"unix").unwrap();
    drop(unix);
    text.clear();
    unix_peer.read_to_string(&mut text).unwrap();
    assert_eq!(text, "unix");

    let client = TcpStream::connect(address).unwrap();
    let (server, _) = listener.accept().unwrap();
    assert_eq!(server.peer_addr().unwrap(), client.local_addr().unwrap());
}

/// `std::io::pipe` came after the oldest supported compiler.
mod io_pipe {
    use super::*;

    pub(super) fn pair() -> (File, File) {
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        (File::from(reader), File::from(writer))
    }
}

#[derive(Serialize, Deserialize)]
struct Tree {
    name: String,
    log: Option<Fd<File>>,
    #[serde(with = "proc_core::fd")]
    socket: OwnedFd,
    children: Vec<Tree>,
    named: BTreeMap<String, (u8, Fd<OwnedFd>)>,
    last: Last,
}

#[derive(Serialize, Deserialize)]
enum Last {
    Nothing,
    File { number: u32, file: Fd<File> },
}

fn tree(depth: u32, peers: &mut Vec<UnixStream>) -> Tree {
    let mut socket = || {
        let (a, b) = UnixStream::pair().unwrap();
        peers.push(b);
        OwnedFd::from(a)
    };
    let (first, second, third) = (socket(), socket(), socket());
    Tree {
        name: format!("at {depth}"),
        log: (depth % 2 == 0).then(null),
        socket: first,
        named: [("x".to_string(), (1, Fd(second))), ("y".to_string(), (2, Fd(third)))].into(),
        children: (0..depth).map(|i| tree(i, peers)).collect(),
        last: if depth == 1 { Last::File { number: 9, file: null() } } else { Last::Nothing },
    }
}

fn say_names(tree: Tree) {
    let mut said = vec![(tree.socket, format!("{} 0", tree.name))];
    for (key, (number, fd)) in tree.named {
        said.push((fd.0, format!("{} {key}{number}", tree.name)));
    }
    for (fd, text) in said {
        UnixStream::from(fd).write_all(text.as_bytes()).unwrap();
    }
    tree.children.into_iter().for_each(say_names);
}

#[test]
fn nested_structures_keep_each_descriptor_in_its_place() {
    let _count = Count::start();
    let mut peers = Vec::new();
    let sent = tree(4, &mut peers);
    let (a, b) = packet::pair().unwrap();
    let packed = pack(&sent).unwrap();
    packet::send_packed(&a, &packed, None).unwrap();
    drop((packed, sent));
    let (bytes, fds) = packet::recv(&b, None).unwrap().unwrap();
    let arrived: Tree = unpack(&bytes, fds).unwrap();
    say_names(arrived);

    // `tree` makes the sockets of a node before those of its children, and says their names in the same order.
    fn names(depth: u32) -> Vec<String> {
        let own = ["0", "x1", "y2"].map(|end| format!("at {depth} {end}"));
        own.into_iter().chain((0..depth).flat_map(names)).collect()
    }
    let said: Vec<String> = peers
        .into_iter()
        .map(|mut peer| {
            let mut text = String::new();
            peer.read_to_string(&mut text).unwrap();
            text
        })
        .collect();
    assert_eq!(said, names(4));
}

#[test]
fn three_hundred_descriptors_in_one_message() {
    let _count = Count::start();
    let sent: Vec<Fd<File>> = (0..300).map(|_| null()).collect();
    let (a, b) = packet::pair().unwrap();
    packet::send_packed(&a, &pack(&sent).unwrap(), None).unwrap();
    let (bytes, fds) = packet::recv(&b, None).unwrap().unwrap();
    assert_eq!(fds.len(), 300);
    assert_eq!(unpack::<Vec<Fd<File>>>(&bytes, fds).unwrap().len(), 300);
}

#[test]
fn a_message_that_is_never_decoded_closes_what_it_carried() {
    let _count = Count::start();
    let (a, b) = packet::pair().unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    // Packed and dropped; sent and never received; received and never decoded.
    drop(pack(&Fd(theirs.try_clone().unwrap())).unwrap());
    let many: Vec<_> = (0..300).map(|_| Fd(theirs.try_clone().unwrap())).collect();
    for value in [pack(&Fd(theirs)).unwrap(), pack(&many).unwrap(), pack(&many).unwrap()] {
        packet::send_packed(&a, &value, None).unwrap();
    }
    drop(many);
    let (_, fds) = packet::recv(&b, None).unwrap().unwrap();
    assert_eq!(fds.len(), 1);
    drop(fds);
    drop(packet::recv(&b, None).unwrap().unwrap());
    drop((a, b));
    let mut end = [0];
    assert_eq!((&ours).read(&mut end).unwrap(), 0, "somewhere the other end is still open");
}

#[derive(Clone, Copy)]
enum How {
    Error,
    Panic,
}

/// Fails after whatever came before it.
struct Fails(How);

impl Serialize for Fails {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            How::Error => Err(serde::ser::Error::custom("it fails here")),
            How::Panic => panic!("it panics here"),
        }
    }
}

impl<'de> Deserialize<'de> for Fails {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match u8::deserialize(d)? {
            0 => Err(serde::de::Error::custom("it fails here")),
            _ => panic!("it panics here"),
        }
    }
}

#[test]
fn a_serializer_that_fails_half_way_leaks_and_poisons_nothing() {
    let _count = Count::start();
    for how in [How::Error, How::Panic] {
        for before in [0, 1, 300] {
            let value = ((0..before).map(|_| null()).collect::<Vec<_>>(), Fails(how), null());
            let kept = null();
            let mut bytes = b"kept".to_vec();
            let mut fds = vec![OwnedFd::from(kept.into_inner())];
            let open = open_now();
            let result = catch_unwind(AssertUnwindSafe(|| pack_into(&value, &mut bytes, &mut fds)));
            match (how, result) {
                (How::Error, Ok(Err(e))) => assert!(e.to_string().ends_with("it fails here"), "{e}"),
                (How::Panic, Err(_)) => {}
                other => panic!("{:?}", other.1.is_ok()),
            }
            assert_eq!(open_now(), open);
            assert_eq!((&bytes[..], fds.len()), (&b"kept"[..], 1));
            assert!(!is_active());
            // The next message has its own descriptor, and no other.
            let (mut peer, theirs) = UnixStream::pair().unwrap();
            let packed = pack(&Fd(theirs)).unwrap();
            assert_eq!(packed.fds.len(), 1);
            let theirs: Fd<UnixStream> = unpack(&packed.bytes, packed.fds).unwrap();
            theirs.into_inner().write_all(b"x").unwrap();
            let mut text = String::new();
            peer.read_to_string(&mut text).unwrap();
            assert_eq!(text, "x");
        }
    }
}

#[test]
fn a_deserializer_that_fails_half_way_leaks_and_poisons_nothing() {
    let _count = Count::start();
    for how in [0_u8, 1] {
        let packed = pack(&(null(), how, null())).unwrap();
        let result = catch_unwind(|| unpack::<(Fd<File>, Fails, Fd<File>)>(&packed.bytes, packed.fds));
        match result {
            Ok(Err(e)) => assert!(how == 0 && e.to_string().contains("it fails here"), "{e}"),
            Ok(Ok(_)) => panic!("it decoded"),
            Err(_) => assert_eq!(how, 1),
        }
        assert!(!is_active());
        cross(&null());
    }
}

#[test]
fn nothing_is_given_or_taken_outside_of_a_transfer() {
    let _count = Count::start();
    assert!(!is_active());
    let file = null();
    assert_eq!(give(file.as_fd()).unwrap_err().kind(), io::ErrorKind::Unsupported);
    assert_eq!(take(0).unwrap_err().kind(), io::ErrorKind::Unsupported);
}

/// Runs a closure in its `serialize`.
struct Inside<F>(F);

impl<F: Fn() -> u64> Serialize for Inside<F> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u64((self.0)())
    }
}

#[test]
fn another_thread_has_no_part_in_a_transfer() {
    let _count = Count::start();
    let elsewhere = Inside(|| {
        assert!(is_active());
        thread::scope(|s| {
            s.spawn(|| {
                assert!(!is_active());
                let file = null();
                assert!(give(file.as_fd()).is_err());
                assert_eq!(pack(&null()).unwrap().fds.len(), 1);
            })
            .join()
            .unwrap();
        });
        1
    });
    assert_eq!(pack(&(null(), elsewhere)).unwrap().fds.len(), 1);
}

#[test]
fn nested_transfers_have_their_own_descriptors() {
    let _count = Count::start();
    let (a, b) = packet::pair().unwrap();
    let sends = Inside(move || {
        // A transfer inside of another one, one that fails, and one the other way round.
        packet::send_packed(&a, &pack(&[null(), null(), null()]).unwrap(), None).unwrap();
        pack(&(null(), Fails(How::Error))).unwrap_err();
        catch_unwind(|| drop(pack(&(null(), Fails(How::Panic))))).unwrap_err();
        let (bytes, fds) = packet::recv(&b, None).unwrap().unwrap();
        let files: [Fd<File>; 3] = unpack(&bytes, fds).unwrap();
        assert!(is_active());
        assert!(take(0).is_err(), "an outer sender is no receiver");
        files.len() as u64
    });
    let packed = pack(&(null(), sends, null())).unwrap();
    assert_eq!(packed.fds.len(), 2);
    let (_, three, _): (Fd<File>, u64, Fd<File>) = unpack(&packed.bytes, packed.fds).unwrap();
    assert_eq!(three, 3);
}

/// A descriptor as a bare ticket.
#[derive(Debug)]
struct Ticket;

impl<'de> Deserialize<'de> for Ticket {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let ticket = u32::deserialize(d)?;
        let first = take(ticket).map_err(serde::de::Error::custom)?;
        let again = take(ticket).unwrap_err();
        assert!(again.to_string().contains("was taken before"), "{again}");
        drop(first);
        Ok(Ticket)
    }
}

#[test]
fn each_descriptor_is_taken_once_and_none_is_left() {
    let _count = Count::start();
    let packed = pack(&null()).unwrap();
    unpack::<Ticket>(&packed.bytes, packed.fds).unwrap();

    // Twice the same ticket.
    let packed = pack(&[null(), null()]).unwrap();
    let twice = [packed.bytes[0], packed.bytes[0]];
    let error = unpack::<[Fd<File>; 2]>(&twice, packed.fds).unwrap_err();
    assert!(error.to_string().contains("was taken before"), "{error}");

    // One that is not there.
    let packed = pack(&[null(), null()]).unwrap();
    let error = unpack::<[Fd<File>; 2]>(&packed.bytes, packed.fds.into_iter().take(1).collect()).unwrap_err();
    assert!(error.to_string().contains("descriptor 1 is not among the 1 of the message"), "{error}");

    // One too many.
    let packed = pack(&null()).unwrap();
    let fds = packed.fds.into_iter().chain([null().0.into()]).collect();
    let error = unpack::<Fd<File>>(&packed.bytes, fds).unwrap_err();
    assert!(error.to_string().contains("1 of the descriptors of the message were not taken"), "{error}");
}

#[test]
fn a_descriptor_of_another_kind_is_refused() {
    let _count = Count::start();
    let (socket, _peer) = UnixStream::pair().unwrap();
    let (reader, _writer) = io_pipe::pair();
    let regular = tempfile::tempfile().unwrap();
    let kinds = [OwnedFd::from(socket), reader.into(), regular.into(), null().0.into()];
    for (i, sent) in kinds.iter().enumerate() {
        for (j, other) in kinds.iter().enumerate() {
            let packed = pack(&Fd(sent.try_clone().unwrap())).unwrap();
            let result = unpack::<Fd<OwnedFd>>(&packed.bytes, vec![other.try_clone().unwrap()]);
            assert_eq!(result.is_ok(), i == j, "{i} {j}");
            if let Err(e) = result {
                assert!(e.to_string().contains("not of the kind that was sent"), "{e}");
            }
        }
    }
}

#[test]
fn other_formats_refuse_descriptors() {
    let _count = Count::start();
    // Any serializer but ours; this one writes text.
    struct Text;
    impl std::fmt::Display for Text {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            null().serialize(f)
        }
    }
    assert!(std::fmt::write(&mut String::new(), format_args!("{Text}")).is_err());
}

#[test]
fn no_free_descriptor_is_an_error_with_its_cause() {
    let _count = Count::start();
    let files: Vec<_> = (0..50).map(|_| null()).collect();
    let old = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let few = rustix::process::Rlimit { current: Some(open_now() as u64 + 20), ..old };
    let (a, b) = packet::pair().unwrap();
    let packed = pack(&files).unwrap();
    packet::send_packed(&a, &packed, None).unwrap();
    drop(packed);

    rustix::process::setrlimit(rustix::process::Resource::Nofile, few).unwrap();
    let packing = pack(&files);
    let receiving = packet::recv(&b, None);
    rustix::process::setrlimit(rustix::process::Resource::Nofile, old).unwrap();

    let error = packing.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().downcast_ref::<io::Error>().unwrap();
    assert_eq!(source.raw_os_error(), Some(rustix::io::Errno::MFILE.raw_os_error()));
    assert!(error.to_string().contains("Too many open files"), "{error}");
    assert_eq!(RemoteError::from(error).raw_os_error(), Some(rustix::io::Errno::MFILE.raw_os_error()));
    assert_eq!(receiving.unwrap_err().raw_os_error(), Some(rustix::io::Errno::MFILE.raw_os_error()));

    // Nothing of the lost message is left for the next one.
    packet::send(&a, b"next", &[], None).unwrap();
    let (bytes, fds) = packet::recv(&b, None).unwrap().unwrap();
    assert_eq!((&bytes[..], fds.len()), (&b"next"[..], 0));
}

#[test]
fn a_failed_send_leaves_nothing_for_the_next_message() {
    let _count = Count::start();
    let (a, b) = packet::pair().unwrap();
    let mut sent = 0;
    while packet::send(&a, &[0; 1000], &[], Some(std::time::Instant::now())).is_ok() {
        sent += 1;
    }
    let file = null();
    for _ in 0..3 {
        for count in [1, 300] {
            let fds = vec![file.as_fd(); count];
            packet::send(&a, b"fails", &fds, Some(std::time::Instant::now())).unwrap_err();
        }
    }
    for _ in 0..sent {
        assert_eq!(packet::recv(&b, None).unwrap().unwrap().1.len(), 0);
    }
    packet::send(&a, b"next", &[], None).unwrap();
    let (bytes, fds) = packet::recv(&b, None).unwrap().unwrap();
    assert_eq!((&bytes[..], fds.len()), (&b"next"[..], 0));
}
