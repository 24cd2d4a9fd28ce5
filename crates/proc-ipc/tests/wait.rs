//! Tests for waiting on many: pipes, channels, queues, processes, events and descriptors.

use proc_core::Process;
use proc_ipc::{PipeSender, Queue, RecvError, Sender, Waitable, channel, one_way, pipe, wait};
use proc_shm::Event;
use std::{
    fs::File,
    io::{ErrorKind, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixStream,
    thread,
    time::{Duration, Instant},
};

proc_core::init_for_tests!();

/// Long enough for a machine that does much else.
const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(20);

#[test]
fn smoke() {
    let (tx, rx) = one_way::<u32>().unwrap();
    tx.send(7).unwrap();
    let ready = wait(&[&rx], LONG).unwrap();
    assert!(ready[0] && !ready.is_empty());
    assert_eq!((ready.first(), ready.len()), (Some(0), 1));
    assert_eq!(rx.try_recv().unwrap(), Some(7));
    assert!(wait(&[&rx], Duration::ZERO).unwrap().is_empty());
}

#[test]
fn every_kind_is_told_by_its_place() {
    let (pipe_tx, pipe_rx) = one_way::<u32>().unwrap();
    let (ours, theirs) = pipe::<u32, u32>().unwrap();
    let (channel_tx, channel_rx) = channel::<u32>(4).unwrap();
    let queue = Queue::<u32>::unbounded().unwrap();
    let event = Event::new().unwrap();
    let (mut near, far) = UnixStream::pair().unwrap();
    let on: [&dyn Waitable; 6] = [&pipe_rx, &ours, &channel_rx, &queue, &event, &far];
    let actions: [&mut dyn FnMut(); 6] = [
        &mut || pipe_tx.send(1).unwrap(),
        &mut || theirs.send(2).unwrap(),
        &mut || channel_tx.send(3).unwrap(),
        &mut || queue.put(4).unwrap(),
        &mut || event.set(),
        &mut || near.write_all(b"5").unwrap(),
    ];
    assert!(wait(&on, SHORT).unwrap().is_empty());
    for (place, act) in actions.into_iter().enumerate() {
        act();
        let ready = wait(&on, LONG).unwrap();
        assert_eq!(ready.iter().collect::<Vec<_>>(), (0..=place).collect::<Vec<_>>(), "all that are ready");
    }
}

#[test]
fn a_sleeper_is_woken_by_each_kind() {
    let (pipe_tx, pipe_rx) = one_way::<u32>().unwrap();
    let (channel_tx, channel_rx) = channel::<u32>(4).unwrap();
    let queue = Queue::<u32>::unbounded().unwrap();
    let event = Event::new().unwrap();
    let on: [&(dyn Waitable + Sync); 4] = [&pipe_rx, &channel_rx, &queue, &event];
    let actions: [&(dyn Fn() + Sync); 4] =
        [&|| pipe_tx.send(1).unwrap(), &|| channel_tx.send(1).unwrap(), &|| queue.put(1).unwrap(), &|| {
            event.set()
        }];
    for (place, act) in actions.into_iter().enumerate() {
        thread::scope(|scope| {
            let waiting = scope.spawn(|| wait(&on.map(|one| one as &dyn Waitable), LONG).unwrap());
            thread::sleep(SHORT); // asleep by now, most of the time
            act();
            assert_eq!(waiting.join().unwrap().first(), Some(place));
        });
        let _ = (pipe_rx.try_recv(), channel_rx.try_recv(), queue.try_get());
        event.clear();
    }
}

fn send_after(tx: PipeSender<u32>) {
    thread::sleep(SHORT);
    tx.send(1).unwrap();
}

#[test]
fn messages_and_ends_of_other_processes() {
    let (tx, rx) = one_way::<u32>().unwrap();
    let child = Process::spawn(send_after, tx).unwrap();
    let ready = wait(&[&child, &rx], LONG).unwrap();
    assert!(ready[1], "the message was there before the end");
    assert_eq!(rx.recv().unwrap(), 1);
    assert!(wait(&[&child], LONG).unwrap()[0]);
    assert!(wait(&[&child.handle()], None).unwrap()[0]);
    child.join().unwrap();
    assert!(wait(&[&rx], None).unwrap()[0], "the end of the stream is ready");
    assert!(matches!(rx.recv(), Err(RecvError::Disconnected)));
}

fn hold_pipe((tx, ready): (PipeSender<u32>, Event)) {
    ready.set();
    thread::sleep(LONG);
    drop(tx);
}

fn hold_channel((tx, ready): (Sender<u32>, Event)) {
    ready.set();
    thread::sleep(LONG);
    drop(tx);
}

#[test]
fn a_killed_peer_wakes_the_sleeper() {
    let event = Event::new().unwrap();
    let (tx, rx) = one_way::<u32>().unwrap();
    let child = Process::spawn(hold_pipe, (tx, event.clone())).unwrap();
    assert!(event.wait_timeout(LONG).unwrap());
    let started = Instant::now();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| wait(&[&rx], None).unwrap());
        thread::sleep(SHORT);
        child.kill().unwrap();
        assert!(waiting.join().unwrap()[0]);
    });
    assert!(rx.recv().is_err());

    event.clear();
    let (tx, rx) = channel::<u32>(2).unwrap();
    let child = Process::spawn(hold_channel, (tx, event.clone())).unwrap();
    assert!(event.wait_timeout(LONG).unwrap());
    thread::scope(|scope| {
        let waiting = scope.spawn(|| wait(&[&rx], None).unwrap());
        thread::sleep(SHORT);
        child.kill().unwrap();
        assert!(waiting.join().unwrap()[0]);
    });
    assert!(rx.recv().is_err());
    assert!(started.elapsed() < LONG, "nobody waited for the children's own ends");
}

#[test]
fn time_limits_hold() {
    let (_tx, rx) = one_way::<u32>().unwrap();
    for limit in [Duration::ZERO, Duration::from_millis(1), Duration::from_millis(50)] {
        let started = Instant::now();
        assert!(wait(&[&rx], limit).unwrap().is_empty());
        assert!(started.elapsed() >= limit, "never early");
    }
    let started = Instant::now();
    assert!(wait(&[], SHORT).unwrap().is_empty());
    assert!(started.elapsed() >= SHORT, "on nothing it sleeps");
    assert!(wait(&[], None).unwrap().is_empty(), "nothing can become ready");
}

#[test]
fn the_longest_limit_is_no_limit() {
    let (tx, rx) = one_way::<u32>().unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| wait(&[&rx], Duration::MAX).unwrap());
        thread::sleep(SHORT);
        tx.send(1).unwrap();
        assert!(waiting.join().unwrap()[0]);
    });
}

#[test]
fn descriptors_and_sockets() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    assert!(wait(&[&listener], Duration::ZERO).unwrap().is_empty());
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    assert!(wait(&[&listener], LONG).unwrap()[0]);
    let (server, _) = listener.accept().unwrap();
    assert!(wait(&[&server], Duration::ZERO).unwrap().is_empty());
    drop(client);
    assert!(wait(&[&server], LONG).unwrap()[0], "a hang-up is ready");
    let file = File::open("/dev/zero").unwrap();
    assert!(wait(&[&file], LONG).unwrap()[0]);
}

#[test]
fn a_hundred_ends_and_the_one_that_matters() {
    let ends: Vec<_> = (0..100).map(|_| one_way::<usize>().unwrap()).collect();
    let on: Vec<&dyn Waitable> = ends.iter().map(|(_, rx)| rx as &dyn Waitable).collect();
    for place in [0, 57, 99] {
        ends[place].0.send(place).unwrap();
        let ready = wait(&on, LONG).unwrap();
        assert_eq!(ready.iter().collect::<Vec<_>>(), [place]);
        assert_eq!(ends[place].1.recv().unwrap(), place);
    }
}

#[test]
fn of_many_waiters_on_one_channel_all_get_on() {
    let (tx, rx) = channel::<u32>(64).unwrap();
    let total: u32 = thread::scope(|scope| {
        let waiters: Vec<_> = (0..8)
            .map(|_| {
                let rx = rx.clone();
                scope.spawn(move || {
                    let mut got = 0;
                    loop {
                        assert!(wait(&[&rx], LONG).unwrap()[0]);
                        match rx.try_recv() {
                            Ok(Some(_)) => got += 1,
                            Ok(None) => {} // another was faster
                            Err(RecvError::Disconnected) => return got,
                            Err(e) => panic!("{e}"),
                        }
                    }
                })
            })
            .collect();
        for i in 0..2000 {
            tx.send(i).unwrap();
        }
        drop(tx);
        waiters.into_iter().map(|waiter| waiter.join().unwrap()).sum()
    });
    assert_eq!(total, 2000);
}

#[test]
fn a_pipe_in_another_threads_hands_is_an_error() {
    let (tx, rx) = one_way::<u32>().unwrap();
    thread::scope(|scope| {
        let receiving = scope.spawn(|| rx.recv().unwrap());
        let deadline = Instant::now() + LONG;
        let error = loop {
            match wait(&[&rx], Duration::ZERO) {
                Err(e) => break e,
                Ok(_) => assert!(Instant::now() < deadline),
            }
        };
        assert_eq!(error.kind(), ErrorKind::ResourceBusy);
        tx.send(1).unwrap();
        assert_eq!(receiving.join().unwrap(), 1);
    });
}

fn wait_in_a_fork(_: ()) -> Vec<String> {
    let (_tx, rx) = one_way::<u32>().unwrap();
    let (_channel_tx, channel_rx) = channel::<u32>(1).unwrap();
    let event = Event::new().unwrap();
    let me = proc_core::parent().unwrap();
    let forked = Process::fork(|| {
        let on: [&dyn Waitable; 4] = [&rx, &channel_rx, &event, &me];
        on.map(|one| wait(&[one], Duration::ZERO).unwrap_err().to_string()).to_vec()
    });
    forked.unwrap().join().unwrap()
}

#[test]
fn what_a_forked_child_was_not_given_is_an_error_there() {
    let errors = Process::spawn(wait_in_a_fork, ()).unwrap().join().unwrap();
    assert_eq!(errors.len(), 4);
    assert!(errors.iter().all(|e| e.contains("fork")), "{errors:?}");
}

#[test]
fn a_channel_without_room_is_refused() {
    assert_eq!(channel::<u32>(0).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(Queue::<u32>::bounded(0).unwrap_err().kind(), ErrorKind::InvalidInput);
}
