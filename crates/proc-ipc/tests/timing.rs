//! Tests for waits: when they end, what they cost, what interrupts them, and who gets on.

mod common;

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use proc_core::Process;
use proc_ipc::{
    Queue, Receiver, RecvError, channel, channel_of_bytes, one_way, pipe, unbounded_channel, wait,
};

use common::{Interruptions, LATE, not_early};

proc_core::init_for_tests!();

/// On a loaded machine a thread may not run for long.
const SLACK: Duration = Duration::from_secs(20);

#[test]
fn smoke() {
    let time = Duration::from_millis(50);
    let start = Instant::now();
    let (tx, rx) = channel::<u8>(1).unwrap();
    assert_eq!(rx.recv_timeout(time), Ok(None));
    tx.send(1).unwrap();
    assert!(tx.send_timeout(2, time).unwrap_err().is_full());
    let (tx, _rx) = channel_of_bytes::<u8>(1).unwrap();
    tx.send(1).unwrap();
    assert!(tx.send_timeout(2, time).unwrap_err().is_full());
    let (tx, rx) = one_way::<Vec<u8>>().unwrap();
    assert_eq!(rx.recv_timeout(time), Ok(None));
    assert!(tx.send_timeout(vec![1; 1 << 20], time).unwrap_err().is_full());
    let queue = Queue::bounded(1).unwrap();
    queue.put(1).unwrap();
    assert!(queue.put_timeout(2, time).unwrap_err().is_full());
    assert!(queue.put_deadline(2, Instant::now() + time).unwrap_err().is_full());
    assert_eq!(queue.get_deadline(Instant::now() + time), Ok(Some(1)));
    assert_eq!(queue.get_deadline(Instant::now() + time), Ok(None));
    assert!(!queue.join_deadline(Instant::now() + time).unwrap());
    assert!((10 * time - time..SLACK).contains(&start.elapsed()), "{:?}", start.elapsed());
}

/// What this thread has used.
fn cpu() -> Duration {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: all-zero is a valid one, and the kernel writes another.
    let usage = unsafe {
        assert_eq!(libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()), 0);
        usage.assume_init()
    };
    [usage.ru_utime, usage.ru_stime]
        .iter()
        .map(|time| Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64))
        .sum()
}

#[test]
fn who_waits_uses_no_cpu() {
    let time = Duration::from_millis(500);
    let costs = |what: &str, f: &dyn Fn()| {
        let before = cpu();
        not_early(time, f);
        assert!(cpu() - before < time / 5, "{what}: {:?}", cpu() - before);
    };
    let (tx, rx) = one_way::<u8>().unwrap();
    costs("pipe", &|| assert_eq!(rx.recv_timeout(time), Ok(None)));
    let (channel_tx, channel_rx) = channel::<u8>(1).unwrap();
    costs("channel", &|| assert_eq!(channel_rx.recv_timeout(time), Ok(None)));
    costs("wait", &|| assert!(wait(&[&rx, &channel_rx], time).unwrap().is_empty()));
    while tx.try_send(1).is_ok() {}
    costs("full pipe", &|| assert!(tx.send_timeout(1, time).unwrap_err().is_full()));
    channel_tx.send(1).unwrap();
    costs("full channel", &|| assert!(channel_tx.send_timeout(1, time).unwrap_err().is_full()));
    let (bytes_tx, _bytes_rx) = channel_of_bytes::<u8>(1).unwrap();
    bytes_tx.send(1).unwrap();
    costs("full channel of bytes", &|| assert!(bytes_tx.send_timeout(1, time).unwrap_err().is_full()));
}

#[test]
fn signals_end_no_wait() {
    let (time, (tx, rx)) = (Duration::from_millis(30), pipe::<u8, u8>().unwrap());
    let queue = Queue::<u8>::bounded(1).unwrap();
    let storm = Interruptions::of_this_thread();
    assert_eq!(not_early(time, || rx.poll(time)), Ok(false));
    assert!(not_early(time, || wait(&[&rx, &queue], time)).unwrap().is_empty());
    queue.put(1).unwrap();
    assert!(!not_early(time, || queue.join_timeout(time)).unwrap());
    thread::scope(|s| {
        s.spawn(|| {
            thread::sleep(time);
            tx.send(1).unwrap();
            thread::sleep(time);
            queue.task_done();
        });
        assert_eq!(rx.poll(None), Ok(true));
        queue.join().unwrap();
    });
    drop(storm);
}

/// After Go's `zerosize`.
#[test]
fn messages_without_bytes_are_counted() {
    let (tx, rx) = channel::<[(); 0]>(3).unwrap();
    (0..3).for_each(|_| tx.try_send([]).unwrap());
    assert!(tx.try_send([]).unwrap_err().is_full());
    drop(tx);
    assert_eq!(rx.iter().collect::<Result<Vec<_>, _>>(), Ok(vec![[]; 3]));
}

fn numbers(tx: proc_ipc::Sender<u32>) {
    (0..2000).for_each(|n| tx.send(n).unwrap());
}

/// After Go's `doubleselect`: two who wait for both of two channels get each message once.
#[test]
fn two_who_wait_for_the_same_two_get_each_message_once() {
    let channels = [channel(1).unwrap(), channel(1).unwrap()];
    let rxs: Vec<Receiver<u32>> = channels.iter().map(|(_, rx)| rx.clone()).collect();
    let senders: Vec<_> = channels.map(|(tx, _)| Process::spawn(numbers, tx).unwrap()).into();
    let take = || {
        let mut got = [Vec::new(), Vec::new()];
        let mut ended = [false; 2];
        while ended != [true; 2] {
            let ready = wait(&[&rxs[0], &rxs[1]], LATE).unwrap();
            assert!(!ready.is_empty());
            for at in ready.iter() {
                match rxs[at].try_recv() {
                    Ok(message) => got[at].extend(message),
                    Err(RecvError::Disconnected) => ended[at] = true,
                    Err(e) => panic!("{e}"),
                }
            }
        }
        got
    };
    let both = thread::scope(|s| {
        let other = s.spawn(take);
        [take(), other.join().unwrap()]
    });
    for at in 0..2 {
        let mut all: Vec<u32> = both.iter().flat_map(|got| got[at].clone()).collect();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..2000));
    }
    senders.into_iter().for_each(|sender| sender.join().unwrap());
}

/// After Go's select fairness: what is ready is told, wherever it is in the list.
#[test]
fn a_busy_channel_hides_no_other() {
    let ((busy, busy_rx), (rare, rare_rx)) = (channel(10).unwrap(), channel(10).unwrap());
    let stop = AtomicBool::new(false);
    thread::scope(|s| {
        s.spawn(|| {
            while !stop.load(Relaxed) {
                busy.send(0_u32).unwrap();
            }
        });
        s.spawn(|| (0..100).for_each(|n| rare.send(n).unwrap()));
        let mut next = 0;
        while next < 100 {
            let ready = wait(&[&busy_rx, &rare_rx], LATE).unwrap();
            if ready[0] {
                busy_rx.recv().unwrap();
            }
            if ready[1] {
                assert_eq!(rare_rx.recv(), Ok(next));
                next += 1;
            }
        }
        stop.store(true, Relaxed);
        while busy_rx.recv_timeout(Duration::from_millis(20)).unwrap().is_some() {}
    });
}

/// After Go's nonblocking race: of two who try at once, one gets it, and nobody is told of an end.
#[test]
fn one_of_two_who_try_gets_it() {
    for _ in 0..500 {
        let (tx, rx) = channel::<u8>(1).unwrap();
        tx.send(1).unwrap();
        let other = rx.clone();
        let (first, second) = thread::scope(|s| {
            let other = s.spawn(move || other.try_recv().unwrap());
            (rx.try_recv().unwrap(), other.join().unwrap())
        });
        assert_eq!(first.iter().chain(&second).count(), 1);
    }
}

fn share(rx: Receiver<u64>) -> (u64, u64) {
    rx.iter().map(Result::unwrap).fold((0, 0), |(count, sum), n| (count + 1, sum + n))
}

#[test]
fn many_consumers_share_all_messages() {
    let (tx, rx) = channel(10).unwrap();
    let consumers: Vec<_> = (0..6).map(|_| Process::spawn(share, rx.clone()).unwrap()).collect();
    drop(rx);
    (0..10_000).for_each(|n| tx.send(n).unwrap());
    drop(tx);
    let all = consumers.into_iter().map(|consumer| consumer.join().unwrap());
    let (count, sum) = all.fold((0, 0), |(count, sum), (c, s)| (count + c, sum + s));
    assert_eq!((count, sum), (10_000, 10_000 * 9_999 / 2));
}

/// After Go's `chancap` and long chains: each adds one and passes it on.
#[test]
fn a_long_chain_passes_on() {
    let (first, mut last) = unbounded_channel::<u32>().unwrap();
    let mut links = Vec::new();
    for _ in 0..50 {
        let (tx, rx) = unbounded_channel().unwrap();
        let from = std::mem::replace(&mut last, rx);
        links.push(thread::spawn(move || from.iter().for_each(|n| tx.send(n.unwrap() + 1).unwrap())));
    }
    (0..20).for_each(|n| first.send(n).unwrap());
    drop(first);
    assert!(last.iter().map(Result::unwrap).eq(50..70));
    links.into_iter().for_each(|link| link.join().unwrap());
}
