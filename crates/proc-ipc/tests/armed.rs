//! Tests for ends in event loops: here mio's, which is edge-triggered.

mod common;

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    thread,
    time::Duration,
};

use common::{LATE, open_fds};
use mio::{Events, Interest, Poll, Token, unix::SourceFd};
use proc_core::Process;
use proc_ipc::{
    Armed, Connection, PipeReceiver, PipeSender, Queue, Receiver, RecvError, Sender, channel, one_way, pipe,
};

proc_core::init_for_tests!();

/// What the four kinds of ends have in common.
trait End {
    fn arm(&self) -> io::Result<Armed<'_>>;
    fn try_recv(&self) -> Result<Option<u32>, RecvError>;
}

macro_rules! ends {
    ($($end:ty: $try_recv:ident),*) => {$(
        impl End for $end {
            fn arm(&self) -> io::Result<Armed<'_>> {
                <$end>::arm(self)
            }

            fn try_recv(&self) -> Result<Option<u32>, RecvError> {
                self.$try_recv()
            }
        }
    )*};
}

ends!(PipeReceiver<u32>: try_recv, Connection<u32>: try_recv, Receiver<u32>: try_recv, Queue<u32>: try_get);

/// Receives from all until each is at its end, in one thread; what came, by end.
fn event_loop(ends: &[&dyn End]) -> Vec<Vec<u32>> {
    let mut mio = Poll::new().unwrap();
    for (at, end) in ends.iter().enumerate() {
        let fd = end.arm().unwrap().as_fd().as_raw_fd();
        mio.registry().register(&mut SourceFd(&fd), Token(at), Interest::READABLE).unwrap();
    }
    let mut events = Events::with_capacity(4);
    let mut came = vec![Vec::new(); ends.len()];
    let mut over = vec![false; ends.len()];
    loop {
        for (at, end) in ends.iter().enumerate().filter(|(at, _)| !over[*at]).collect::<Vec<_>>() {
            loop {
                match end.try_recv() {
                    Ok(Some(number)) => came[at].push(number),
                    Ok(None) => break,
                    Err(e) => {
                        assert!(matches!(e, RecvError::Disconnected | RecvError::PeerDied), "{e}");
                        over[at] = true;
                        break;
                    }
                }
            }
        }
        if !over.contains(&false) {
            return came;
        }
        let armed: Vec<Armed<'_>> =
            ends.iter().zip(&over).filter(|(_, over)| !**over).map(|(end, _)| end.arm().unwrap()).collect();
        if !armed.iter().any(Armed::is_ready) {
            mio.poll(&mut events, Some(LATE)).unwrap();
            assert!(!events.is_empty(), "a wake-up was lost");
        }
    }
}

const COUNT: u32 = 2000;

/// Numbers with pauses of all lengths, so that every order of arming and sending comes up.
fn numbers(send: impl Fn(u32)) {
    for n in 0..COUNT {
        send(n);
        match n % 7 {
            0 => (0..n * 3).for_each(|_| std::hint::spin_loop()),
            1 if n % 50 == 1 => thread::sleep(Duration::from_millis(1)),
            _ => thread::yield_now(),
        }
    }
}

type Ends = (PipeSender<u32>, Connection<u32>, Sender<u32>, Queue<u32>);

fn send_on_all((pipe, connection, channel, queue): Ends) {
    thread::scope(|s| {
        s.spawn(|| numbers(|n| pipe.send(n).unwrap()));
        s.spawn(|| numbers(|n| connection.send(n).unwrap()));
        s.spawn(|| numbers(|n| channel.send(n).unwrap()));
        s.spawn(|| numbers(|n| queue.put(n).unwrap()));
    });
    queue.close();
}

#[test]
fn smoke() {
    let (tx, rx) = one_way::<u32>().unwrap();
    let armed = rx.arm().unwrap();
    assert!(!armed.is_ready());
    tx.send(7).unwrap();
    assert!(armed.is_ready());
    let mut fds = [rustix::event::PollFd::new(&armed, rustix::event::PollFlags::IN)];
    assert_eq!(rustix::event::poll(&mut fds, None).unwrap(), 1);
    drop(armed);
    assert_eq!(rx.try_recv(), Ok(Some(7)));
}

#[test]
fn an_edge_triggered_loop_over_all_kinds_misses_nothing() {
    let (a, first) = one_way::<u32>().unwrap();
    let (second, b) = pipe::<u32, u32>().unwrap();
    let (c, third) = channel::<u32>(16).unwrap();
    let fourth = Queue::<u32>::bounded(16).unwrap();
    let child = Process::spawn(send_on_all, (a, b, c, fourth.clone())).unwrap();
    let all: Vec<u32> = (0..COUNT).collect();
    for came in event_loop(&[&first, &second, &third, &fourth]) {
        assert!(came == all, "{} of {COUNT}", came.len());
    }
    child.join().unwrap();
}

fn hang(tx: PipeSender<u32>) {
    tx.send(1).unwrap();
    thread::sleep(LATE);
}

#[test]
fn a_killed_peer_wakes_the_loop() {
    let (tx, rx) = one_way::<u32>().unwrap();
    let child = Process::spawn(hang, tx).unwrap();
    assert_eq!(rx.recv(), Ok(1));
    let killer = thread::spawn(move || {
        thread::sleep(Duration::from_millis(20));
        child.kill().unwrap();
        child.handle().wait().unwrap();
    });
    assert_eq!(event_loop(&[&rx]), [vec![]]);
    killer.join().unwrap();
}

#[test]
fn an_armed_pipe_is_its_holders() {
    let (tx, rx) = one_way::<u32>().unwrap();
    let armed = rx.arm().unwrap();
    assert_eq!(rx.arm().unwrap_err().kind(), io::ErrorKind::ResourceBusy);
    tx.send(1).unwrap();
    assert_eq!(rx.try_recv(), Ok(None));
    assert_eq!(rx.recv_timeout(Duration::from_millis(1)), Ok(None));
    // It may end in another thread.
    thread::scope(|s| drop(s.spawn(move || drop(armed)).join()));
    assert_eq!(rx.try_recv(), Ok(Some(1)));

    let (tx, rx) = channel::<u32>(1).unwrap();
    let _armed = (rx.arm().unwrap(), rx.arm().unwrap());
    tx.send(1).unwrap();
    assert_eq!(rx.try_recv(), Ok(Some(1)));
}

fn level(_: ()) {
    let (tx, rx) = one_way::<u32>().unwrap();
    let before = open_fds();
    let fd = rx.arm().unwrap().as_fd().as_raw_fd();
    for n in 0..1000 {
        let armed = rx.arm().unwrap();
        assert_eq!(armed.as_fd().as_raw_fd(), fd);
        tx.send(n).unwrap();
        drop(armed);
        assert_eq!(rx.recv(), Ok(n));
    }
    // No bell was left behind.
    let armed = rx.arm().unwrap();
    let now = Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 });
    let mut fds = [rustix::event::PollFd::new(&armed, rustix::event::PollFlags::IN)];
    assert_eq!(rustix::event::poll(&mut fds, now).unwrap(), 0);
    assert_eq!(open_fds(), before);
}

#[test]
fn arming_leaves_nothing_behind() {
    Process::spawn(level, ()).unwrap().join().unwrap();
}

#[test]
fn threads_may_have_them_and_they_print() {
    fn send<T: Send + AsFd>(_: &T) {}
    let (_tx, rx) = one_way::<u32>().unwrap();
    let armed = rx.arm().unwrap();
    send(&armed);
    let _: BorrowedFd<'_> = armed.as_fd();
    assert_eq!(format!("{armed:?}"), "Armed { is_ready: false, .. }");
}
