//! Tests for listeners and their clients.

mod common;

use std::{
    cell::RefCell,
    ffi::OsStr,
    io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::{ffi::OsStrExt, net::UnixListener},
    },
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use common::{Interruptions, LATE, eventually, not_early, open_fds};
use proc_core::Process;
use proc_ipc::{Address, Client, ConnectError, Connection, Listener, RecvError, Refusal, wait};
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use tempfile::TempDir;

proc_core::init_for_tests!();

type Server = Listener<u64, u32>;

fn place() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("listener");
    (dir, path)
}

fn client(address: impl Into<Address>) -> Client {
    Client::new(address).timeout(LATE)
}

fn square(path: PathBuf) -> u64 {
    let server: Connection<u32, u64> = client(path).wait(LATE).connect().unwrap();
    server.send(12).unwrap();
    server.recv().unwrap()
}

/// Serves one client.
fn serve(listener: &Server) {
    let connection = listener.accept_timeout(LATE).unwrap().expect("no client came");
    let number = u64::from(connection.recv().unwrap());
    connection.send(number * number).unwrap();
    assert_eq!(connection.recv(), Err(RecvError::Disconnected));
}

/// A socket that is connected and says nothing of its own accord.
fn raw(path: &Path) -> OwnedFd {
    let flags = SocketFlags::CLOEXEC;
    let sock = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    rustix::net::connect(&sock, &SocketAddrUnix::new(path).unwrap()).unwrap();
    sock
}

fn say(sock: &OwnedFd, bytes: &[u8]) {
    rustix::net::send(sock, bytes, SendFlags::NOSIGNAL).unwrap();
}

/// The hello of an honest client of a [`Server`].
fn honest_hello() -> Vec<u8> {
    let (_dir, path) = place();
    let flags = SocketFlags::CLOEXEC;
    let sock = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    rustix::net::bind(&sock, &SocketAddrUnix::new(&path).unwrap()).unwrap();
    rustix::net::listen(&sock, 1).unwrap();
    let honest = thread::spawn(move || client(path).connect::<u32, u64>().unwrap_err());
    let accepted = rustix::net::accept(&sock).unwrap();
    let mut bytes = [0; 1000];
    let (len, _) = rustix::net::recv(&accepted, &mut bytes[..], rustix::net::RecvFlags::empty()).unwrap();
    drop(accepted);
    assert!(matches!(honest.join().unwrap(), ConnectError::Dropped));
    bytes[..len].to_vec()
}

#[test]
fn smoke() {
    let (_dir, path) = place();
    let listener = Server::bind(&path).unwrap();
    let child = Process::spawn(square, path.clone()).unwrap();
    serve(&listener);
    assert_eq!(child.join().unwrap(), 144);
    assert_eq!(listener.refused(), 0);
    drop(listener);
    assert!(!path.exists());
}

#[test]
fn clients_that_only_come_and_go_do_not_hold_up_who_may_not_wait() {
    let (_dir, path) = place();
    let listener = Server::bind(&path).unwrap();
    // As many as the system lets wait.
    let waiting = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
    let count = waiting.trim().parse::<u64>().unwrap().min(2000);
    (0..count).for_each(|_| drop(raw(&path)));
    assert!(listener.try_accept().unwrap().is_none());
    assert!(listener.refused() <= 1024, "{} in one call", listener.refused());
    eventually(|| listener.try_accept().unwrap().is_none() && listener.refused() == count);
}

fn serve_at(path: PathBuf) {
    thread::sleep(Duration::from_millis(50));
    serve(&Server::bind(path).unwrap());
}

#[test]
fn a_client_may_start_before_its_listener() {
    let (_dir, path) = place();
    let server = Process::spawn(serve_at, path.clone()).unwrap();
    assert_eq!(square(path), 144);
    server.join().unwrap();
}

#[test]
fn without_a_listener_it_is_an_error_at_once_or_after_the_wait() {
    let (_dir, path) = place();
    let error = Client::new(&path).connect::<u32, u64>().unwrap_err();
    assert!(matches!(&error, ConnectError::NotListening(e) if e.kind() == io::ErrorKind::NotFound));
    assert!(error.to_string().starts_with("nobody listens there: "), "{error}");
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::NotFound);
    let wait = Duration::from_millis(30);
    let patient = Client::new(&path).wait(wait);
    let error = not_early(wait, || patient.connect::<u32, u64>().unwrap_err());
    assert!(matches!(error, ConnectError::NotListening(_)));
    let nobody = Address::from_abstract(format!("proc-ipc-nobody-{}", std::process::id()));
    assert!(matches!(Client::new(nobody).connect::<u32, u64>(), Err(ConnectError::NotListening(_))));
}

#[test]
fn a_client_that_is_not_accepted_times_out() {
    let (_dir, path) = place();
    let _listener = Server::bind(&path).unwrap();
    let timeout = Duration::from_millis(30);
    let impatient = Client::new(&path).timeout(timeout);
    let error = not_early(timeout, || impatient.connect::<u32, u64>().unwrap_err());
    assert!(matches!(error, ConnectError::TimedOut));
}

#[test]
fn a_client_learns_that_the_listener_ended() {
    let (_dir, path) = place();
    let listener = Server::bind(&path).unwrap();
    let waiting = thread::spawn(move || client(path).connect::<u32, u64>().unwrap_err());
    wait(&[&listener.as_fd()], LATE).unwrap();
    drop(listener);
    // It may also be before it has reached it.
    assert!(matches!(waiting.join().unwrap(), ConnectError::Dropped | ConnectError::NotListening(_)));
}

#[test]
fn abstract_names_leave_nothing_behind() {
    let name = Address::from_abstract([b"proc-ipc \xff\0 ", &std::process::id().to_ne_bytes()[..]].concat());
    for _ in 0..2 {
        let listener = Server::bind(&name).unwrap();
        assert_eq!(listener.path(), None);
        assert_eq!(Server::bind(&name).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        thread::scope(|s| {
            let server: thread::ScopedJoinHandle<'_, Connection<u32, u64>> =
                s.spawn(|| client(&name).connect().unwrap());
            let connection = listener.accept().unwrap();
            connection.send(1).unwrap();
            assert_eq!(server.join().unwrap().recv().unwrap(), 1);
        });
    }
}

#[test]
fn a_live_path_is_never_taken_over_and_a_stale_one_is() {
    let (dir, path) = place();
    let first = Server::bind(&path).unwrap();
    assert_eq!(Server::bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    drop(first);
    // Nothing unlinks the file of the standard library's listener.
    let foreign = UnixListener::bind(&path).unwrap();
    assert_eq!(Server::bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    drop(foreign);
    assert!(path.exists());
    let second = Server::bind(&path).unwrap();
    let child = Process::spawn(square, path.clone()).unwrap();
    serve(&second);
    child.join().unwrap();

    let file = dir.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    assert_eq!(Server::bind(&file).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
    let missing = dir.path().join("missing/listener");
    assert_eq!(Server::bind(missing).unwrap_err().kind(), io::ErrorKind::NotFound);
    for empty in [Address::from(""), Address::from_abstract("")] {
        assert_eq!(Server::bind(empty).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}

#[test]
fn of_many_that_take_over_one_stale_file_one_wins() {
    let (_dir, path) = place();
    for _ in 0..20 {
        drop(UnixListener::bind(&path).unwrap());
        let won: Vec<_> = thread::scope(|s| {
            let binds: Vec<_> = (0..8).map(|_| s.spawn(|| Server::bind(&path))).collect();
            binds.into_iter().filter_map(|bind| bind.join().unwrap().ok()).collect()
        });
        assert_eq!(won.len(), 1);
        assert!(path.exists());
    }
}

#[test]
fn the_file_of_a_successor_stays() {
    let (_dir, path) = place();
    let first = Server::bind(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let _second = Server::bind(&path).unwrap();
    drop(first);
    assert!(path.exists());
}

#[test]
fn paths_are_of_any_length_and_bytes() {
    let (dir, _) = place();
    let deep = dir.path().join("d".repeat(120));
    std::fs::create_dir(&deep).unwrap();
    let odd = OsStr::from_bytes(b"\xff\xfe not utf-8");
    for path in [dir.path().join(odd), deep.join("short"), deep.join("n".repeat(250)), deep.join(odd)] {
        let listener = Server::bind(&path).unwrap();
        assert_eq!(listener.path(), Some(&*path));
        assert_eq!(Server::bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        thread::scope(|s| {
            let client = s.spawn(|| square(path.clone()));
            serve(&listener);
            assert_eq!(client.join().unwrap(), 144);
        });
        drop(listener);
        assert!(!path.exists());
        assert_eq!(
            std::fs::read_dir(path.parent().unwrap())
                .unwrap()
                .filter(|e| { e.as_ref().unwrap().file_name().as_bytes().starts_with(b".listener") })
                .count(),
            0
        );
    }
}

#[test]
fn other_types_are_refused_by_name() {
    let (_dir, path) = place();
    let listener = Server::bind(&path).unwrap();
    thread::scope(|s| {
        let other = s.spawn(|| client(&path).connect::<u32, String>().unwrap_err());
        let good = s.spawn(|| square(path.clone()));
        serve(&listener);
        assert_eq!(good.join().unwrap(), 144);
        eventually(|| {
            assert!(listener.try_accept().unwrap().is_none());
            other.is_finished()
        });
        let error = other.join().unwrap();
        let text = "sends u64, receives u32".to_string();
        assert!(matches!(&error, ConnectError::Refused(Refusal::Types(t)) if *t == text), "{error}");
    });
    assert_eq!(listener.refused(), 1);
}

#[test]
fn other_namespaces_versions_and_keys_are_refused_and_told_why() {
    let (_dir, path) = place();
    let listener = Server::bind(&path).unwrap();
    let hello = honest_hello();
    // Which byte of the hello is another one, and the code of the refusal behind the packet's header and its tag.
    for (at, code) in [(4, 5), (8, 2), (12, 3), (20, 3), (28, 4), (36, 4)] {
        let mut words = hello.clone();
        words[at] ^= 1;
        let sock = raw(&path);
        say(&sock, &words);
        assert!(listener.try_accept().unwrap().is_none());
        let mut bytes = [0; 2000];
        let (len, _) = rustix::net::recv(&sock, &mut bytes[..], rustix::net::RecvFlags::empty()).unwrap();
        assert!(len >= 26, "{len}");
        assert_eq!(bytes[24..26], [0, code], "byte {at}");
    }
    assert_eq!(listener.refused(), 6);
}

#[test]
fn a_protocol_stands_for_the_types() {
    let (_dir, path) = place();
    let listener = Listener::builder().protocol("squares 2").bind::<u64, u32>(&path).unwrap();
    thread::scope(|s| {
        let old = s.spawn(|| client(&path).protocol("squares 1").connect::<u32, u64>().unwrap_err());
        let good = s.spawn(|| client(&path).protocol("squares 2").connect::<(u32,), u64>().unwrap());
        let _connection = listener.accept().unwrap();
        good.join().unwrap();
        eventually(|| {
            assert!(listener.try_accept().unwrap().is_none());
            old.is_finished()
        });
        assert!(matches!(old.join().unwrap(), ConnectError::Refused(Refusal::Types(_))));
    });
}

#[test]
fn users_are_checked_on_both_sides() {
    let (_dir, path) = place();
    let me = std::process::id();
    let listener = Listener::builder().allow(move |peer| peer.pid != me).bind::<u64, u32>(&path).unwrap();
    thread::scope(|s| {
        let refused = s.spawn(|| client(&path).connect::<u32, u64>().unwrap_err());
        eventually(|| {
            assert!(listener.try_accept().unwrap().is_none());
            refused.is_finished()
        });
        assert!(matches!(refused.join().unwrap(), ConnectError::Refused(Refusal::User)));
    });
    let picky = client(&path).allow(move |peer| peer.pid != me);
    let error = picky.connect::<u32, u64>().unwrap_err();
    assert!(matches!(error, ConnectError::Refused(Refusal::User)));
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::PermissionDenied);
}

#[test]
fn silent_clients_block_nobody_and_are_dropped() {
    let (_dir, path) = place();
    let timeout = Duration::from_millis(100);
    let listener = Listener::builder().handshake_timeout(timeout).bind::<u64, u32>(&path).unwrap();
    let silent: Vec<_> = (0..20).map(|_| raw(&path)).collect();
    thread::scope(|s| {
        let good = s.spawn(|| square(path.clone()));
        serve(&listener);
        assert_eq!(good.join().unwrap(), 144);
    });
    eventually(|| {
        assert!(listener.try_accept().unwrap().is_none());
        listener.refused() == 20
    });
    for sock in silent {
        let mut bytes = [0; 8];
        let end = rustix::net::recv(&sock, &mut bytes[..], rustix::net::RecvFlags::empty());
        assert!(matches!(end, Ok((0, _)) | Err(rustix::io::Errno::CONNRESET)));
    }
}

#[test]
fn hundreds_of_hostile_clients_block_nobody() {
    let (_dir, path) = place();
    let listener = Server::bind(&path).unwrap();
    let hello = honest_hello();
    let other_version = [&hello[..4], &[!hello[4]], &hello[5..]].concat();
    let words: Vec<Vec<u8>> = vec![
        vec![],
        vec![0],
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        hello[..40].to_vec(),
        [&hello[..], &[0]].concat(),
        vec![0xff; 5000],
        other_version,
        hello[4..].to_vec(),
    ];
    let mut hostile = Vec::new();
    thread::scope(|s| {
        let stop = s.spawn(|| {
            (0..10).for_each(|_| assert_eq!(square(path.clone()), 144));
        });
        let mut served = 0;
        for i in 0..600 {
            // The kernel may cap the queue of a listener at 128.
            if i % 60 == 59 {
                serve(&listener);
                served += 1;
            }
            let sock = raw(&path);
            match words.get(i % 9).filter(|words| !words.is_empty()) {
                Some(words) => say(&sock, words),
                None if i % 2 == 0 => drop(rustix::net::shutdown(&sock, rustix::net::Shutdown::Both)),
                None => {}
            }
            if i % 3 != 0 {
                hostile.push(sock);
            }
        }
        (served..10).for_each(|_| serve(&listener));
        stop.join().unwrap();
    });
    assert!(listener.try_accept().unwrap().is_none());
    assert!(listener.refused() >= 300, "{}", listener.refused());
}

#[test]
fn a_client_that_leaves_after_its_hello_is_a_connection_that_ends() {
    let (_dir, path) = place();
    let listener = Server::bind(&path).unwrap();
    let sock = raw(&path);
    say(&sock, &honest_hello());
    let connection = listener.accept_timeout(LATE).unwrap().unwrap();
    assert_eq!(connection.try_recv(), Ok(None));
    drop(sock);
    assert!(connection.recv().is_err_and(|e| e.is_final()));
    // A sender asks after its receiver now and then.
    eventually(|| connection.send(1).is_err());
}

#[test]
fn a_listener_that_talks_nonsense_is_an_error_of_the_client() {
    let (_dir, path) = place();
    let flags = SocketFlags::CLOEXEC;
    let sock = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    rustix::net::bind(&sock, &SocketAddrUnix::new(&path).unwrap()).unwrap();
    rustix::net::listen(&sock, 1).unwrap();
    for words in [&b"hello, client"[..], &[0; 24], &[7; 3000]] {
        let deceived = Process::spawn(
            |path: PathBuf| client(path).connect::<u32, u64>().unwrap_err().to_string(),
            path.clone(),
        );
        let accepted = rustix::net::accept(&sock).unwrap();
        say(&accepted, words);
        let error = deceived.unwrap().join().unwrap();
        assert!(error.starts_with("whoever listens there is no listener of ours"), "{error}");
    }
}

#[test]
fn timeouts_are_kept_under_interruptions() {
    let (_dir, path) = place();
    let listener = Server::bind(&path).unwrap();
    let _silent = raw(&path);
    let _interruptions = Interruptions::of_this_thread();
    let timeout = Duration::from_millis(50);
    assert!(not_early(timeout, || listener.accept_timeout(timeout)).unwrap().is_none());
    assert!(not_early(timeout, || listener.accept_deadline(Instant::now() + timeout)).unwrap().is_none());
    let child = Process::spawn(square, path.clone()).unwrap();
    let connection = listener.accept_timeout(Duration::MAX).unwrap().unwrap();
    assert_eq!(connection.recv().unwrap(), 12);
    connection.send(144).unwrap();
    child.join().unwrap();

    // And the client's side.
    let impatient = Client::new(&path).timeout(timeout);
    let error = not_early(timeout, || impatient.connect::<u32, u64>().unwrap_err());
    assert!(matches!(error, ConnectError::TimedOut));
}

#[test]
fn a_wait_on_a_listener_ends_when_a_client_is_in() {
    let (_dir, path) = place();
    let listener = Server::bind(&path).unwrap();
    let _silent = raw(&path);
    let time = Duration::from_millis(20);
    assert!(not_early(time, || wait(&[&listener], time)).unwrap().is_empty());
    let child = Process::spawn(square, path.clone()).unwrap();
    assert!(wait(&[&listener], LATE).unwrap()[0]);
    // Still there.
    assert!(wait(&[&listener], LATE).unwrap()[0]);
    let connection = listener.try_accept().unwrap().expect("it was ready");
    assert_eq!(connection.recv().unwrap(), 12);
    connection.send(144).unwrap();
    child.join().unwrap();
}

#[test]
fn incoming_gives_one_client_after_another() {
    let (_dir, path) = place();
    let listener = Server::bind(&path).unwrap();
    let children: Vec<_> = (0..3).map(|_| Process::spawn(square, path.clone()).unwrap()).collect();
    for connection in listener.incoming().take(3) {
        let connection = connection.unwrap();
        let number = u64::from(connection.recv().unwrap());
        connection.send(number * number).unwrap();
    }
    children.into_iter().for_each(|child| assert_eq!(child.join().unwrap(), 144));
}

fn in_a_fork(_: ()) {
    let (_dir, path) = place();
    let mine = RefCell::new(Some(Server::bind(&path).unwrap()));
    let child = Process::fork(|| {
        let listener = mine.take().unwrap();
        listener.accept().unwrap_err().kind() == io::ErrorKind::Unsupported
            && listener.try_accept().unwrap_err().kind() == io::ErrorKind::Unsupported
            && wait(&[&listener], Duration::ZERO).is_err()
    });
    assert!(child.unwrap().join().unwrap());
    assert!(path.exists(), "a forked child took the file away");
    let child = Process::spawn(square, path.clone()).unwrap();
    serve(mine.borrow().as_ref().unwrap());
    assert_eq!(child.join().unwrap(), 144);
}

#[test]
fn a_forked_child_has_no_listener_and_leaves_its_file() {
    Process::spawn(in_a_fork, ()).unwrap().join().unwrap();
}

fn count_descriptors(_: ()) {
    let (_dir, path) = place();
    let hello = honest_hello();
    let before = open_fds();
    for round in 0..3 {
        let listener = Server::bind(&path).unwrap();
        assert_eq!(open_fds(), before + 2);
        let silent: Vec<_> = (0..30).map(|_| raw(&path)).collect();
        silent.iter().take(10).for_each(|sock| say(sock, b"garbage"));
        silent.iter().skip(20).for_each(|sock| {
            // A descriptor that nobody asked for.
            let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = rustix::net::SendAncillaryBuffer::new(&mut space);
            let fds = [sock.as_fd()];
            assert!(control.push(rustix::net::SendAncillaryMessage::ScmRights(&fds)));
            let parts = [io::IoSlice::new(&hello[..20])];
            rustix::net::sendmsg(sock, &parts, &mut control, SendFlags::empty()).unwrap();
        });
        assert!(listener.try_accept().unwrap().is_none());
        let client = thread::spawn({
            let path = path.clone();
            move || square(path)
        });
        serve(&listener);
        client.join().unwrap();
        drop((silent, listener));
        assert_eq!(open_fds(), before, "round {round}");
        assert!(!path.exists());
    }
}

#[test]
fn descriptors_are_level() {
    Process::spawn(count_descriptors, ()).unwrap().join().unwrap();
}

fn hang_in_the_handshake(path: PathBuf) {
    let sock = raw(&path);
    assert!(sock.as_raw_fd() >= 0);
    thread::sleep(LATE);
}

#[test]
fn a_client_that_is_killed_in_the_handshake_is_forgotten() {
    let (_dir, path) = place();
    let listener = Server::bind(&path).unwrap();
    let child = Process::spawn(hang_in_the_handshake, path.clone()).unwrap();
    wait(&[&listener.as_fd()], LATE).unwrap();
    assert!(listener.try_accept().unwrap().is_none());
    child.kill().unwrap();
    eventually(|| {
        assert!(listener.try_accept().unwrap().is_none());
        listener.refused() == 1
    });
}

fn listen_and_hang(path: PathBuf) {
    let _listener = Server::bind(path).unwrap();
    thread::sleep(LATE);
}

#[test]
fn the_file_of_a_killed_listener_is_taken_over() {
    let (_dir, path) = place();
    let child = Process::spawn(listen_and_hang, path.clone()).unwrap();
    eventually(|| path.exists());
    // Not before it listens.
    eventually(|| Server::bind(&path).is_err_and(|e| e.kind() == io::ErrorKind::AddrInUse));
    child.kill().unwrap();
    child.handle().wait().unwrap();
    assert!(path.exists());
    let listener = Server::bind(&path).unwrap();
    let child = Process::spawn(square, path.clone()).unwrap();
    serve(&listener);
    assert_eq!(child.join().unwrap(), 144);
}

#[test]
fn an_error_of_a_connect_crosses() {
    fn fails(path: PathBuf) -> Result<(), proc_core::RemoteError> {
        client(path).connect::<u32, u64>()?;
        Ok(())
    }
    let (_dir, path) = place();
    let error = Process::spawn(fails, path).unwrap().join().unwrap().unwrap_err();
    assert!(error.to_string().starts_with("nobody listens there"), "{error}");
}

#[test]
fn threads_share_them_and_they_print() {
    fn shared<T: Send + Sync + std::fmt::Debug>() {}
    shared::<Server>();
    shared::<Client>();
    shared::<Address>();
    shared::<ConnectError>();
    shared::<proc_ipc::ListenerBuilder>();
    let (_dir, path) = place();
    let listener = Server::bind(&path).unwrap();
    assert!(format!("{listener:?}").contains("listener"));
    assert_eq!(listener.address().to_string(), path.display().to_string());
    assert_eq!(format!("{:?}", Address::from_abstract("x\0")), "\"@x\\x00\"");
}
