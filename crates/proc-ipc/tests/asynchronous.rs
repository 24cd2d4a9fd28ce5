//! Tests for sending and receiving by futures.

mod common;

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

use common::{LATE, open_fds};
use proc_core::Process;
use proc_ipc::{Connection, PipeReceiver, PipeSender, Queue, Receiver, RecvError, channel, one_way, pipe};

proc_core::init_for_tests!();

struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The least that an executor can be.
fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park_timeout(LATE),
        }
    }
}

/// One poll, and the future is dropped.
fn once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

fn echo(connection: Connection<Vec<u32>>) {
    for message in &connection {
        thread::sleep(Duration::from_millis(1));
        connection.send(message.unwrap()).unwrap();
    }
}

#[test]
fn smoke() {
    let (ours, theirs) = pipe::<Vec<u32>, Vec<u32>>().unwrap();
    let child = Process::spawn(echo, theirs).unwrap();
    block_on(async {
        for n in 0..20 {
            ours.send_async(vec![n; 100]).await.unwrap();
            assert_eq!(ours.recv_async().await.unwrap(), vec![n; 100]);
        }
    });
    drop(ours);
    child.join().unwrap();
}

const COUNT: u64 = 3000;

fn slowly(rx: PipeReceiver<(u64, Vec<u8>)>) -> u64 {
    let mut count = 0;
    for message in &rx {
        let (number, bytes) = message.unwrap();
        assert_eq!((number, bytes.len()), (count, 1000));
        count += 1;
        if count % 500 == 0 {
            thread::sleep(Duration::from_millis(5));
        }
    }
    count
}

#[test]
fn a_sender_waits_for_room_in_a_pipe() {
    let (tx, rx) = one_way().unwrap();
    let child = Process::spawn(slowly, rx).unwrap();
    block_on(async {
        for n in 0..COUNT {
            tx.send_async((n, vec![7; 1000])).await.unwrap();
        }
    });
    drop(tx);
    assert_eq!(child.join().unwrap(), COUNT);
}

fn get_slowly(rx: Receiver<u64>) -> u64 {
    let numbers = rx.iter().inspect(|_| thread::sleep(Duration::from_micros(20)));
    numbers.map(|number| number.unwrap()).sum()
}

#[test]
fn a_sender_waits_for_room_in_a_channel() {
    let (tx, rx) = channel::<u64>(4).unwrap();
    let child = Process::spawn(get_slowly, rx).unwrap();
    block_on(async {
        for n in 0..COUNT {
            tx.send_async(n).await.unwrap();
        }
    });
    drop(tx);
    assert_eq!(child.join().unwrap(), COUNT * (COUNT - 1) / 2);
}

fn produce(queue: Queue<u64>) {
    for n in 0..COUNT {
        queue.put(n).unwrap();
        if n % 100 == 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn tasks_share_a_queue() {
    let queue = Queue::bounded(64).unwrap();
    let child = Process::spawn(produce, queue.clone()).unwrap();
    let sum: u64 = thread::scope(|s| {
        let task = || {
            block_on(async {
                let mut sum = 0;
                loop {
                    match queue.get_async().await {
                        Ok(number) => sum += number,
                        Err(e) => return (sum, e),
                    }
                }
            })
        };
        let tasks: Vec<_> = (0..4).map(|_| s.spawn(task)).collect();
        child.join().unwrap();
        queue.close();
        let ends = tasks.into_iter().map(|task| task.join().unwrap());
        ends.map(|(sum, end)| if end == RecvError::Disconnected { sum } else { panic!("{end}") }).sum()
    });
    assert_eq!(sum, COUNT * (COUNT - 1) / 2);
    once(queue.put_async(1)).unwrap().unwrap_err();
}

fn stream(tx: PipeSender<u64>) {
    for n in 0..COUNT {
        tx.send(n).unwrap();
        (0..n).for_each(|_| std::hint::spin_loop());
    }
}

#[test]
fn dropped_futures_lose_nothing() {
    let (tx, rx) = one_way().unwrap();
    let child = Process::spawn(stream, tx).unwrap();
    let mut next = 0;
    while next < COUNT {
        // Given up after one look, whether or not the bell rings just then.
        let came = match once(rx.recv_async()) {
            Some(came) => came,
            None if next % 3 == 0 => block_on(rx.recv_async()),
            None => continue,
        };
        assert_eq!(came, Ok(next));
        next += 1;
    }
    assert_eq!(block_on(rx.recv_async()), Err(RecvError::Disconnected));
    child.join().unwrap();
}

#[test]
fn a_dropped_send_has_sent_nothing() {
    let (tx, rx) = channel::<u32>(1).unwrap();
    assert!(once(tx.send_async(1)).is_some());
    assert!(once(tx.send_async(2)).is_none());
    assert_eq!(rx.try_recv(), Ok(Some(1)));
    assert_eq!(rx.try_recv(), Ok(None));

    let (tx, rx) = one_way::<Vec<u8>>().unwrap();
    let mut sent = 0;
    while once(tx.send_async(vec![sent; 10_000])).is_some() {
        sent += 1;
    }
    for n in 0..sent {
        assert_eq!(rx.try_recv().unwrap().unwrap(), vec![n; 10_000]);
    }
    assert_eq!(rx.try_recv(), Ok(None));
}

#[test]
fn the_end_is_an_error_and_gives_the_message_back() {
    let (tx, rx) = one_way::<String>().unwrap();
    drop(rx);
    let error = block_on(tx.send_async("back".into())).unwrap_err();
    assert!(error.is_disconnected());
    assert_eq!(error.into_inner(), "back");
    let (tx, rx) = one_way::<Vec<u8>>().unwrap();
    let error = block_on(tx.send_async(vec![0; 1 << 20])).unwrap_err();
    assert!(!error.is_full() && !error.is_disconnected());
    assert_eq!(error.into_inner().len(), 1 << 20);
    // A long message of a blocking sender is received whole.
    thread::scope(|s| {
        s.spawn(|| tx.send(vec![7; 1 << 20]).unwrap());
        assert_eq!(block_on(rx.recv_async()).unwrap(), vec![7; 1 << 20]);
    });
}

fn never(rx: PipeReceiver<u64>) {
    assert_eq!(rx.recv(), Ok(1));
    thread::sleep(LATE);
}

#[test]
fn a_killed_peer_wakes_a_future() {
    let (ours, theirs) = one_way::<u64>().unwrap();
    let (answers, questions) = one_way::<u64>().unwrap();
    let child = Process::spawn(
        |(rx, tx): (PipeReceiver<u64>, PipeSender<u64>)| {
            never(rx);
            drop(tx);
        },
        (theirs, answers),
    )
    .unwrap();
    ours.send(1).unwrap();
    let killer = thread::spawn(move || {
        thread::sleep(Duration::from_millis(20));
        child.kill().unwrap();
        child.handle().wait().unwrap();
    });
    assert_eq!(block_on(questions.recv_async()), Err(RecvError::PeerDied));
    let error = loop {
        if let Err(e) = block_on(ours.send_async(1)) {
            break e;
        }
    };
    assert!(error.is_disconnected());
    killer.join().unwrap();
}

fn level(_: ()) {
    let (tx, rx) = one_way::<u64>().unwrap();
    let first = |n| {
        thread::scope(|s| {
            s.spawn(|| {
                thread::sleep(Duration::from_millis(1));
                tx.send(n).unwrap();
            });
            assert_eq!(block_on(rx.recv_async()), Ok(n));
        });
    };
    // The reactor starts, by a wait that is one: a message may be there before the first look.
    assert!(once(rx.recv_async()).is_none());
    first(0);
    let before = open_fds();
    (1..100).for_each(first);
    (0..100).for_each(|_| assert!(once(rx.recv_async()).is_none()));
    assert_eq!(open_fds(), before);
}

#[test]
fn descriptors_are_level() {
    Process::spawn(level, ()).unwrap().join().unwrap();
}

#[test]
fn futures_may_change_threads() {
    fn send<T: Send>(future: T) -> T {
        future
    }
    let (ours, _theirs) = pipe::<u32, u32>().unwrap();
    let queue = Queue::<u32>::unbounded().unwrap();
    drop((
        send(ours.recv_async()),
        send(ours.send_async(1)),
        send(queue.get_async()),
        send(queue.put_async(1)),
    ));
}
