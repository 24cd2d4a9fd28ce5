//! Tests for `init` as an attack surface: forged markers, sockets and messages are refused, and nothing runs.
//!
//! This program is started with what an attacker would give it. Were it obeyed, or the marker overlooked, the harness
//! would go on to run the test that is named, which says so.
#![cfg(feature = "functions")]

mod common;

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};

use common::{inside, pipe, read_to_end};
use proc_core::spawner::Spawner;
use proc_core::transfer::{pack, packet, unpack};
use proc_core::{ExitStatus, Fd, Func, Process, SpawnErrorKind, StartMethod, Zygote};
use serde::{Deserialize, Serialize};

proc_core::init_for_tests!();

const MARKER: &str = "PROC_CORE_LINK";

/// Starts this program with a marker and with `fd` as descriptor 3; gives its end, and what it said.
fn forge(marker: &str, fd: Option<BorrowedFd<'_>>) -> (ExitStatus, String) {
    let (read, write) = pipe();
    let mut spawner = Spawner::new("/proc/self/exe");
    spawner.args(["--exact", "what_must_not_run", "--nocapture"]).env(MARKER, marker);
    spawner.fd(write.as_fd(), 1).fd(write.as_fd(), 2);
    if let Some(fd) = fd {
        spawner.fd(fd, 3);
    }
    let child = spawner.start().unwrap();
    drop(spawner);
    drop(write);
    let text = read_to_end(read);
    (child.wait().unwrap().status, text)
}

#[test]
fn what_must_not_run() {
    if std::env::args().any(|arg| arg == "what_must_not_run") {
        println!("it ran");
    }
}

#[track_caller]
fn refused(marker: &str, fd: Option<BorrowedFd<'_>>, why: &str) {
    let (status, text) = forge(marker, fd);
    assert_eq!(status, ExitStatus::Exited(70), "{text}");
    assert!(text.contains(why) && !text.contains("it ran"), "{text}");
}

#[test]
fn smoke() {
    refused("nonsense", None, "is no number");
}

#[test]
fn forged_markers() {
    for marker in ["", "-1", "3x", "99999999999999", " 3"] {
        refused(marker, None, "PROC_CORE_LINK");
    }
    for marker in ["0", "1", "2", "3", "77"] {
        refused(marker, None, "names no open descriptor");
    }
}

#[test]
fn descriptors_that_are_not_the_parents_socket() {
    let file = File::open("/dev/null").unwrap();
    refused("3", Some(file.as_fd()), "names no socket");
    let (read, _write) = pipe();
    refused("3", Some(read.as_fd()), "names no socket");
    let (stream, _other) = UnixStream::pair().unwrap();
    refused("3", Some(stream.as_fd()), "another kind");
    let (datagram, _other) = UnixDatagram::pair().unwrap();
    refused("3", Some(datagram.as_fd()), "another kind");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    refused("3", Some(listener.as_fd()), "another kind");
}

#[test]
fn sockets_of_another_peer() {
    // Made by a process that is not the parent of the one that is started.
    let stranger = |()| {
        let (a, b) = packet::pair().unwrap();
        (Fd(a), Fd(b))
    };
    let (a, _b): (Fd<OwnedFd>, Fd<OwnedFd>) = Process::spawn(stranger, ()).unwrap().join().unwrap();
    refused("3", Some(a.as_fd()), "this process's parent did not make");
    if rustix::process::geteuid().is_root() {
        // Of another user, who is our own parent otherwise: the peer's identity is that of the moment it was made.
        fn body((): ()) {
            // SAFETY: numbers only; this process has one thread.
            unsafe { assert_eq!(libc::seteuid(65534), 0) };
            let (a, _b) = packet::pair().unwrap();
            // SAFETY: as above.
            unsafe { assert_eq!(libc::seteuid(0), 0) };
            refused("3", Some(a.as_fd()), "another user");
        }
        inside(body, ());
    }
}

/// Such a socket as a process has whose parent ended before it began: only what that parent said counts.
#[test]
fn sockets_whose_maker_is_gone() {
    fn left_behind((as_user, parent): (Option<u32>, Option<u32>)) -> Fd<OwnedFd> {
        if let Some(user) = as_user {
            // SAFETY: numbers only; this process has one thread.
            unsafe { assert_eq!(libc::seteuid(user), 0) };
        }
        let (ours, theirs) = packet::pair().unwrap();
        if as_user.is_some() {
            // SAFETY: as above.
            unsafe { assert_eq!(libc::seteuid(0), 0) };
        }
        if let Some(parent) = parent {
            packet::send(&ours, &message(&boot(parent)), &[], None).unwrap();
        }
        Fd(theirs)
    }
    let socket = |user, parent| Process::spawn(left_behind, (user, parent)).unwrap().join().unwrap().0;
    // Its maker has said nothing.
    let silent = socket(None, None);
    let (status, text) = forge("3", Some(silent.as_fd()));
    assert_eq!((status, text.contains("it ran")), (ExitStatus::Exited(70), false), "{text}");
    // Another process's words in it: this one's, which is even the parent.
    let strange = socket(None, Some(std::process::id()));
    let (status, text) = forge("3", Some(strange.as_fd()));
    assert_eq!((status, text.contains("it ran")), (ExitStatus::Exited(71), false), "{text}");
    if rustix::process::geteuid().is_root() {
        let of_another = socket(Some(65534), None);
        refused("3", Some(of_another.as_fd()), "another user");
    } else {
        eprintln!("not run as root: a socket of another user was not tried");
    }
}

/// A parent that closes the socket, or says nothing that makes sense.
#[test]
fn first_messages_that_make_no_sense() {
    let (ours, theirs) = packet::pair().unwrap();
    drop(ours);
    let (status, text) = forge("3", Some(theirs.as_fd()));
    assert_eq!((status, text.contains("it ran")), (ExitStatus::Exited(70), false), "{text}");

    for bytes in [&[][..], &[0], &[0; 8], &[0xff; 8], &[7; 100], &[0xff; 70_000]] {
        let (ours, theirs) = packet::pair().unwrap();
        packet::send(&ours, bytes, &[ours.as_fd()], None).unwrap();
        refuses_its_work(&ours, theirs, "");
    }
    let (ours, theirs) = packet::pair().unwrap();
    rustix::net::send(&ours, b"no header", rustix::net::SendFlags::empty()).unwrap();
    refuses_its_work(&ours, theirs, "");
}

#[track_caller]
fn refuses_its_work(ours: &OwnedFd, theirs: OwnedFd, why: &str) {
    let (status, text) = forge("3", Some(theirs.as_fd()));
    drop(theirs);
    assert_eq!(status, ExitStatus::Exited(71), "{text}");
    assert!(!text.contains("it ran"), "{text}");
    let (reply, fds) = packet::recv(ours, None).unwrap().expect("it says why");
    assert!(fds.is_empty());
    let reply = String::from_utf8_lossy(&reply);
    assert!(reply.contains(why), "{reply:?} does not say {why:?}");
}

// The first message, as its sender packs it: to be changed in one place at a time.

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
enum ImageId {
    Build(Vec<u8>),
    File { device: u64, inode: u64, size: u64, mtime: (i64, i64) },
}

#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
struct Code(u64);

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Wire {
    image: ImageId,
    code: Code,
    types: u64,
    mark: u64,
}

#[derive(Serialize, Deserialize, Clone)]
struct Order {
    image: ImageId,
    entry: Code,
    target: Code,
    types: u64,
}

#[derive(Serialize, Deserialize, Clone)]
struct Boot {
    version: u32,
    name: String,
    named: bool,
    detached: bool,
    leads: bool,
    parent: u32,
    parent_pidfd: Option<u32>,
    family: [u64; 2],
    lifeline: Option<u32>,
    foreign: u64,
    ignored: u64,
    mask: u64,
    order: Order,
}

fn wire_of(f: fn(u32) -> u32) -> Wire {
    let packed = pack(&Func::new(f)).unwrap();
    unpack(&packed.bytes, packed.fds).unwrap()
}

fn message(boot: &Boot) -> Vec<u8> {
    let (mut bytes, head) = (pack(&1_u32).unwrap().bytes, pack(boot).unwrap().bytes);
    bytes.extend_from_slice(&head);
    bytes.extend_from_slice(&(head.len() as u32).to_ne_bytes());
    bytes.extend_from_slice(&0_u32.to_ne_bytes());
    bytes
}

/// A message from `parent`, intact but for its entry.
fn boot(parent: u32) -> Boot {
    let wire = wire_of(|x| x);
    let order = Order { image: wire.image, entry: wire.code, target: wire.code, types: wire.types };
    Boot {
        version: 2,
        name: "forged".into(),
        named: false,
        detached: false,
        leads: false,
        parent,
        parent_pidfd: None,
        family: [1, 2],
        lifeline: None,
        foreign: 0,
        ignored: 0,
        mask: 0,
        order,
    }
}

#[test]
fn messages_that_name_other_code() {
    let intact = boot(std::process::id());
    let changed = |change: fn(&mut Boot), why: &str| {
        let mut boot = intact.clone();
        change(&mut boot);
        let (ours, theirs) = packet::pair().unwrap();
        packet::send(&ours, &message(&boot), &[], None).unwrap();
        refuses_its_work(&ours, theirs, why);
    };
    changed(|boot| boot.version = 1, "version 1");
    for offset in [0, 1, u64::MAX, u64::MAX / 2, 1 << 40] {
        let mut boot = intact.clone();
        boot.order.entry = Code(offset);
        let (ours, theirs) = packet::pair().unwrap();
        packet::send(&ours, &message(&boot), &[], None).unwrap();
        refuses_its_work(&ours, theirs, "not in the program's code");
    }
    changed(|boot| boot.order.target = Code(1 << 50), "not in the program's code");
    // A program that was built anew.
    changed(|boot| boot.order.image = ImageId::Build(vec![7; 20]), "another build");
    let file = |boot: &mut Boot| {
        boot.order.image = ImageId::File { device: 1, inode: 2, size: 3, mtime: (4, 5) };
    };
    changed(file, "another build");
    changed(|boot| boot.parent_pidfd = Some(0), "");
}

#[test]
fn functions_of_another_build_or_type_do_not_arrive() {
    let intact = wire_of(|x| x + 1);
    let cross = |wire: &Wire| {
        let packed = pack(wire).unwrap();
        unpack::<Func<u32, u32>>(&packed.bytes, packed.fds).map(|f| f.call(1)).map_err(|e| e.to_string())
    };
    assert_eq!(cross(&intact), Ok(2));
    let refused = |wire: Wire, why: &str| assert!(cross(&wire).unwrap_err().contains(why));
    refused(Wire { code: Code(u64::MAX), ..intact.clone() }, "not in the program's code");
    refused(Wire { code: Code(0), ..intact.clone() }, "not in the program's code");
    refused(Wire { types: intact.types ^ 1, ..intact.clone() }, "other types");
    refused(Wire { image: ImageId::Build(vec![1; 20]), ..intact.clone() }, "another build");
    // What nobody has packed: another place, were it that of the next function, or a mark that was made up.
    refused(Wire { code: Code(intact.code.0 + 1), ..intact.clone() }, "no process of this family");
    refused(Wire { mark: intact.mark ^ 1, ..intact.clone() }, "no process of this family");
    let packed = pack(&intact).unwrap();
    let error = unpack::<Func<u64, u32>>(&packed.bytes, packed.fds).unwrap_err();
    assert!(error.to_string().contains("other types"), "{error}");
}

/// A privileged program obeys no marker, and starts nothing.
#[test]
fn a_setuid_copy_of_this_program_starts_nothing() {
    if std::env::args().any(|arg| arg == "a_setuid_copy_of_this_program_starts_nothing") {
        // SAFETY: getauxval has no precondition.
        if unsafe { libc::getauxval(libc::AT_SECURE) } != 0 {
            let error = Process::spawn(|x: u32| x, 1).unwrap_err();
            assert_eq!(error.kind(), SpawnErrorKind::NotInitialized);
            assert!(error.to_string().contains("privileged"), "{error}");
            println!("privileged, and refused");
            return;
        }
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("not run as root: no setuid program was tried");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("copy");
    std::fs::copy("/proc/self/exe", &copy).unwrap();
    std::os::unix::fs::chown(&copy, Some(65534), None).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o4755);
    std::fs::set_permissions(&copy, mode).unwrap();
    let (read, write) = pipe();
    let (_ours, theirs) = packet::pair().unwrap();
    let mut spawner = Spawner::new(&copy);
    spawner.args(["--exact", "a_setuid_copy_of_this_program_starts_nothing", "--nocapture"]);
    spawner.env(MARKER, "3").fd(theirs.as_fd(), 3).fd(write.as_fd(), 1).fd(write.as_fd(), 2);
    let child = spawner.start().unwrap();
    drop(spawner);
    drop(write);
    let text = read_to_end(read);
    assert!(child.wait().unwrap().status.success(), "{text}");
    assert!(text.contains("privileged, and refused"), "{text}");
}

/// What it starts would count as privileged, ignore the marker, and run the program's `main` a second time.
#[test]
fn a_process_of_two_users_starts_nothing() {
    fn body((): ()) {
        let zygote = Zygote::preload(|()| (), ()).unwrap();
        // SAFETY: numbers only; this process has one thread.
        unsafe { assert_eq!(libc::seteuid(65534), 0) };
        for method in [StartMethod::Spawn, StartMethod::Zygote] {
            let error = Process::builder().start_method(method).spawn(|x: u32| x, 1).unwrap_err();
            assert_eq!(error.kind(), SpawnErrorKind::NotInitialized);
            assert!(error.to_string().contains("effective user"), "{error}");
        }
        // A fork executes nothing.
        assert_eq!(Process::fork(|| 5).unwrap().join().unwrap(), 5);
        // SAFETY: as above.
        unsafe { assert_eq!(libc::seteuid(0), 0) };
        assert_eq!(Process::spawn(|x: u32| x, 1).unwrap().join().unwrap(), 1);
        assert_eq!(zygote.spawn(|(), x: u32| x, 2).unwrap().join().unwrap(), 2);
    }
    if rustix::process::geteuid().is_root() {
        inside(body, ());
    } else {
        eprintln!("not run as root: no change of the effective user was tried");
    }
}

/// In a new process, before `init`: hands the first message on, as it came, and ends.
extern "C" fn hand_on_the_first_message() {
    let Some(path) = std::env::var_os(CAPTURE) else { return };
    let Some(marker) = std::env::var_os(MARKER) else { return };
    let number: i32 = marker.to_str().unwrap().parse().unwrap();
    // SAFETY: the descriptor that the marker names is open, and this process ends here.
    let link = unsafe { BorrowedFd::borrow_raw(number) };
    let (bytes, _fds) = packet::recv(link, None).unwrap().expect("it was sent before the process was made");
    std::fs::write(path, bytes).unwrap();
    std::process::exit(0);
}

const CAPTURE: &str = "PROC_CORE_TEST_CAPTURE";

// Before what `init_for_tests!` has put there.
#[used]
#[unsafe(link_section = ".init_array.00100")]
static BEFORE_INIT: extern "C" fn() = hand_on_the_first_message;

/// The first message of what `starts` starts, to be given to another process: its descriptors are made anew.
fn captured(starts: impl FnOnce(&std::path::Path)) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("message");
    starts(&path);
    std::fs::read(path).unwrap()
}

/// A program that was changed without its identity: the function is there, and is one of other types.
#[test]
fn a_function_of_other_types_is_refused() {
    inside(of_other_types, ());
}

fn of_other_types((): ()) {
    let spawned = captured(|path| {
        let p = Process::builder().env(CAPTURE, path).spawn(|x: u32| x + 1, 41).unwrap();
        assert_eq!(p.wait().unwrap(), ExitStatus::Exited(0));
    });
    // A daemon's message has the end of a pipe beside the pidfd of its parent.
    let (line, _held) = pipe();
    let send = |bytes: &[u8], is_daemon: bool| {
        let (ours, theirs) = packet::pair().unwrap();
        let own = proc_core::current();
        let fds = [own.as_fd(), line.as_fd()];
        packet::send(&ours, bytes, &fds[..if is_daemon { 2 } else { 1 }], None).unwrap();
        (ours, theirs)
    };
    // As it is, it is obeyed: what refuses it below is what was changed.
    let (ours, theirs) = send(&spawned, false);
    let (status, text) = forge("3", Some(theirs.as_fd()));
    assert_eq!(status, ExitStatus::Exited(0), "{text}");
    let (reply, _) = packet::recv(&ours, None).unwrap().unwrap();
    assert_eq!(reply[0], 42);

    // The hash of the types is the last number before the lengths, in groups of 7 bits.
    let changed = |mut bytes: Vec<u8>, is_daemon: bool| {
        let at = bytes.len() - 8 - 2;
        bytes[at] ^= 1;
        let (ours, theirs) = send(&bytes, is_daemon);
        refuses_its_work(&ours, theirs, "other types");
    };
    changed(spawned, false);
    let preload = captured(|path| {
        // SAFETY: this process has one thread.
        unsafe { std::env::set_var(CAPTURE, path) };
        Zygote::preload(|()| (), ()).unwrap_err();
        // SAFETY: as above.
        unsafe { std::env::remove_var(CAPTURE) };
    });
    changed(preload, true);
}
