//! Tests for what all channels do alike: pipes one way and both ways, channels, queues.

mod common;

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
    time::{Duration, Instant},
};

use proc_core::{Fd, Process};
use proc_ipc::{
    Connection, PipeReceiver, PipeSender, Queue, Receiver, RecvError, SendError, Sender, channel, one_way,
    pipe, unbounded_channel,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use common::{Fussy, Interruptions, LATE, not_early, pattern, read};

proc_core::init_for_tests!();

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Tree {
    Leaf,
    Named { name: String, tags: BTreeMap<String, Option<f32>> },
    Node(Vec<Tree>),
}

/// One that panics, on the one side or on the other.
#[derive(Debug, PartialEq)]
enum Bomb {
    Sender,
    Receiver,
    Dud(u32),
}

impl Serialize for Bomb {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Bomb::Dud(n) = self else {
            return ("bomb", self == &Bomb::Sender, 0, Fuse(self)).serialize(serializer);
        };
        ("dud", false, n, Fuse(self)).serialize(serializer)
    }
}

/// The last part, so that others were encoded before.
struct Fuse<'a>(&'a Bomb);

impl Serialize for Fuse<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        assert!(self.0 != &Bomb::Sender, "as it should");
        serializer.serialize_unit()
    }
}

impl<'de> Deserialize<'de> for Bomb {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bomb, D::Error> {
        let (kind, _, n, ()) = <(String, bool, u32, ())>::deserialize(deserializer)?;
        assert!(kind == "dud", "as it should");
        Ok(Bomb::Dud(n))
    }
}

macro_rules! conformance {
    ($name:ident, $Tx:ident, $Rx:ident, $make:expr) => {
        mod $name {
            use super::*;

            #[test]
            fn smoke() {
                let (tx, rx) = $make.unwrap();
                tx.send("hello".to_string()).unwrap();
                assert_eq!(rx.recv().unwrap(), "hello");
                assert_eq!(rx.try_recv().unwrap(), None);
            }

            #[test]
            fn values_of_any_shape_cross() {
                let (tx, rx) = $make.unwrap();
                let named = Tree::Named { name: "n".into(), tags: BTreeMap::from([("a".into(), Some(0.5))]) };
                let tree = Tree::Node(vec![Tree::Leaf, named, Tree::Node(vec![])]);
                tx.send((tree.clone(), -1_i128, 'ß', ())).unwrap();
                assert_eq!(rx.recv().unwrap(), (tree, -1, 'ß', ()));
                let (tx, rx) = $make.unwrap();
                for n in [0, 1, 7, 8, 9, 1000, 100_000] {
                    tx.send(pattern(n, 1)).unwrap();
                    assert_eq!(rx.recv().unwrap(), pattern(n, 1));
                }
                let (tx, rx) = $make.unwrap();
                tx.send(()).unwrap();
                tx.send(()).unwrap();
                assert_eq!((rx.recv(), rx.recv(), rx.try_recv()), (Ok(()), Ok(()), Ok(None)));
            }

            /// Long enough that one of them lies at the very end of a piece of the memory.
            #[test]
            fn a_long_row_of_empty_messages_crosses() {
                let (tx, rx) = $make.unwrap();
                for _ in 0..20_000 {
                    tx.send(()).unwrap();
                    assert_eq!(rx.try_recv(), Ok(Some(())));
                }
                let (tx, rx) = $make.unwrap();
                let (tx, rx): (&$Tx<u8>, &$Rx<u8>) = (&tx, &rx);
                for n in [262_112, 0, 0, 262_096, 1, 0, 262_112, 0] {
                    thread::scope(|s| {
                        s.spawn(|| tx.send_bytes(&pattern(n, n)).unwrap());
                        assert!(rx.recv_bytes().unwrap() == pattern(n, n));
                    });
                }
            }

            #[test]
            fn code_of_a_message_that_panics_harms_only_that_message() {
                let (tx, rx) = $make.unwrap();
                let (tx, rx) = (AssertUnwindSafe(tx), AssertUnwindSafe(rx));
                let still_works = || {
                    tx.send(Bomb::Dud(7)).unwrap();
                    assert_eq!((rx.recv(), rx.try_recv()), (Ok(Bomb::Dud(7)), Ok(None)));
                };
                catch_unwind(|| tx.send(Bomb::Sender)).unwrap_err();
                still_works();
                tx.send(Bomb::Receiver).unwrap();
                catch_unwind(|| rx.recv()).unwrap_err();
                still_works();
                tx.send(Bomb::Dud(8)).unwrap();
                let never: thread::Result<Result<(), _>> =
                    catch_unwind(|| rx.recv_with(|_| panic!("as it should")));
                never.unwrap_err();
                still_works();
            }

            #[test]
            fn bytes_cross_as_they_are() {
                let (tx, rx) = $make.unwrap();
                let (tx, rx): (&$Tx<u8>, &$Rx<u8>) = (&tx, &rx);
                let mut buffer = vec![9; 3];
                for n in [0, 1, 100, 70_000] {
                    tx.send_bytes(&pattern(n, 2)).unwrap();
                    tx.try_send_bytes(&pattern(n, 3)).unwrap();
                    assert_eq!(rx.recv_bytes().unwrap(), pattern(n, 2));
                    rx.recv_bytes_into(&mut buffer).unwrap();
                    assert_eq!(buffer, pattern(n, 3));
                }
                tx.send_bytes(b"lent").unwrap();
                assert_eq!(rx.recv_with(|bytes| bytes.len()).unwrap(), 4);
            }

            #[test]
            fn a_wait_is_never_early_and_ends_on_time() {
                let (tx, rx) = $make.unwrap();
                for time in [Duration::ZERO, Duration::from_micros(300), Duration::from_millis(20)] {
                    assert_eq!(not_early(time, || rx.recv_timeout(time)), Ok(None));
                    assert_eq!(not_early(time, || rx.poll(time)), Ok(false));
                }
                assert_eq!(rx.recv_deadline(Instant::now()), Ok(None));
                tx.send(5_u16).unwrap();
                assert_eq!(rx.recv_timeout(Duration::ZERO), Ok(Some(5)));
            }

            #[test]
            fn the_longest_time_is_for_ever() {
                let (tx, rx) = $make.unwrap();
                thread::scope(|s| {
                    s.spawn(|| assert_eq!(rx.recv_timeout(Duration::MAX), Ok(Some(1_u8))));
                    thread::sleep(Duration::from_millis(5));
                    tx.send_timeout(1, Duration::MAX).unwrap();
                });
            }

            #[test]
            fn a_sleeping_receiver_is_woken() {
                let (tx, rx) = $make.unwrap();
                thread::scope(|s| {
                    s.spawn(|| {
                        for i in 0..20_u32 {
                            assert_eq!(rx.recv(), Ok(i));
                        }
                    });
                    for i in 0..20 {
                        thread::sleep(Duration::from_millis(2));
                        tx.send(i).unwrap();
                    }
                });
            }

            #[test]
            fn a_full_one_refuses_and_gives_the_message_back() {
                let (tx, rx) = $make.unwrap();
                let model = pattern(60_000, 4);
                let message = || model.clone();
                let mut count = 0;
                let refused = loop {
                    match tx.try_send(message()) {
                        Ok(()) => count += 1,
                        Err(e) => break e,
                    }
                    if count > 500 {
                        // It is one without a bound.
                        return;
                    }
                };
                assert!(refused.is_full() && !refused.is_disconnected(), "{refused}");
                assert!(refused.into_inner() == message());
                let time = Duration::from_millis(20);
                let refused = not_early(time, || tx.send_timeout(message(), time)).unwrap_err();
                assert!(refused.is_full() && refused.into_inner() == message());
                assert_eq!(io::Error::from(tx.try_send(message()).unwrap_err()).kind(), io::ErrorKind::WouldBlock);
                for _ in 0..count {
                    assert!(rx.recv().unwrap() == message());
                }
                assert_eq!(rx.try_recv(), Ok(None));
            }

            #[test]
            fn a_sleeping_sender_is_woken() {
                let (tx, rx) = $make.unwrap();
                thread::scope(|s| {
                    s.spawn(|| {
                        for i in 0..200_u8 {
                            tx.send(vec![i; 20_000]).unwrap();
                        }
                    });
                    thread::sleep(Duration::from_millis(30));
                    for i in 0..200 {
                        assert!(rx.recv().unwrap() == vec![i; 20_000]);
                        if i % 50 == 0 {
                            thread::sleep(Duration::from_millis(5));
                        }
                    }
                });
            }

            fn count_up(tx: $Tx<u64>) {
                for i in 0..20_000 {
                    tx.send(i).unwrap();
                }
            }

            #[test]
            fn a_process_sends() {
                let (tx, rx) = $make.unwrap();
                let child = Process::spawn(count_up, tx).unwrap();
                for i in 0..20_000 {
                    assert_eq!(rx.recv(), Ok(i));
                }
                child.join().unwrap();
                assert_eq!(rx.try_recv().unwrap_or(None), None);
            }

            fn add_up(rx: $Rx<u64>) -> u64 {
                (0..20_000).map(|_| rx.recv().unwrap()).sum()
            }

            #[test]
            fn a_process_receives() {
                let (tx, rx) = $make.unwrap();
                let child = Process::spawn(add_up, rx).unwrap();
                for i in 0..20_000 {
                    tx.send(i).unwrap();
                }
                assert_eq!(child.join().unwrap(), 19_999 * 10_000);
            }

            fn are_patterns(rx: $Rx<Vec<u8>>) -> Vec<(usize, bool)> {
                (0..3)
                    .map(|_| rx.recv().unwrap())
                    .map(|bytes| (bytes.len(), common::is_pattern(&bytes, 5)))
                    .collect()
            }

            #[test]
            fn messages_of_any_size_cross_whole() {
                let _turn = common::take_turns();
                let (tx, rx) = $make.unwrap();
                let child = Process::spawn(are_patterns, rx).unwrap();
                let most = if common::long() { 3 << 30 } else { 64 << 20 };
                for n in [3, 64 << 10, most] {
                    tx.send(pattern(n, 5)).unwrap();
                }
                assert_eq!(child.join().unwrap(), [(3, true), (64 << 10, true), (most, true)]);
            }

            fn read_files(rx: $Rx<Vec<Fd<File>>>) -> Vec<usize> {
                (0..4).map(|_| rx.recv().unwrap()).map(|files| files.into_iter().filter(|file| !read(&file.0).is_empty()).count()).collect()
            }

            #[test]
            fn descriptors_cross_in_any_number() {
                let (tx, rx) = $make.unwrap();
                let child = Process::spawn(read_files, rx).unwrap();
                for n in [1, 0, 65, 300] {
                    tx.send((0..n).map(|_| Fd(File::open("/proc/self/comm").unwrap())).collect()).unwrap();
                }
                assert_eq!(child.join().unwrap(), [1, 0, 65, 300]);
            }

            #[test]
            fn a_message_that_cannot_be_encoded_is_the_senders_error() {
                let (tx, rx) = $make.unwrap();
                for _ in 0..3 {
                    let error = tx.send(Fussy::new(true)).unwrap_err();
                    assert!(error.is_encode() && !error.is_full() && !error.is_disconnected(), "{error}");
                    assert!(error.to_string().contains("fussy"), "{error}");
                    assert!(error.into_inner().fails);
                }
                tx.send(Fussy::new(false)).unwrap();
                assert!(!read(rx.recv().unwrap().file).is_empty());
                assert!(rx.try_recv().unwrap().is_none());
            }

            #[test]
            fn another_type_is_an_error_of_that_message_alone() {
                let (tx, rx) = $make.unwrap();
                tx.send_bytes(&[0xff; 3]).unwrap();
                tx.send("fine".to_string()).unwrap();
                assert!(matches!(rx.recv(), Err(RecvError::Decode(_))));
                assert_eq!(rx.recv().unwrap(), "fine");
            }

            #[test]
            fn interruptions_disturb_nothing() {
                let (tx, rx) = $make.unwrap();
                thread::scope(|s| {
                    s.spawn(|| {
                        let _storm = Interruptions::of_this_thread();
                        for i in 0..100_u8 {
                            tx.send(vec![i; 50_000]).unwrap();
                            if i % 10 == 0 {
                                thread::sleep(Duration::from_millis(2));
                            }
                        }
                    });
                    let _storm = Interruptions::of_this_thread();
                    for i in 0..100_u8 {
                        assert!(rx.recv().unwrap() == vec![i; 50_000]);
                    }
                    let time = Duration::from_millis(20);
                    assert_eq!(not_early(time, || rx.recv_timeout(time)), Ok(None));
                });
            }

            #[test]
            fn threads_share_an_end() {
                let (tx, rx) = $make.unwrap();
                let mut got = thread::scope(|s| {
                    for k in 0..2_u32 {
                        let tx = &tx;
                        s.spawn(move || (0..2000).for_each(|i| tx.send(k * 10_000 + i).unwrap()));
                    }
                    let readers: Vec<_> = (0..2)
                        .map(|_| s.spawn(|| (0..2000).map(|_| rx.recv().unwrap()).collect::<Vec<_>>()))
                        .collect();
                    let mut all = Vec::new();
                    for reader in readers {
                        let mine = reader.join().unwrap();
                        for k in 0..2 {
                            // In order, for each sender and each receiver.
                            assert!(mine.iter().filter(|i| **i / 10_000 == k).is_sorted());
                        }
                        all.extend(mine);
                    }
                    all
                });
                got.sort_unstable();
                assert!(got == (0..2000).chain(10_000..12_000).collect::<Vec<_>>());
            }

            #[test]
            fn a_message_may_send_another_while_it_is_encoded() {
                thread_local! {
                    static OTHER: std::cell::RefCell<Option<$Tx<Nosy>>> = const { std::cell::RefCell::new(None) };
                }
                #[derive(Deserialize, PartialEq, Debug)]
                struct Nosy(u8, Vec<u16>);
                impl Serialize for Nosy {
                    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                        OTHER.with_borrow(|tx| {
                            if self.0 > 0 {
                                tx.as_ref().unwrap().send(Nosy(self.0 - 1, vec![9])).unwrap();
                            }
                        });
                        #[derive(Serialize)]
                        struct Wire<'a>(u8, &'a [u16]);
                        Wire(self.0, &self.1).serialize(serializer)
                    }
                }
                let (tx, rx) = $make.unwrap();
                OTHER.set(Some(tx));
                OTHER.with_borrow(|tx| tx.as_ref().unwrap().send(Nosy(2, vec![1, 2])).unwrap());
                let order: Vec<_> = (0..3).map(|_| rx.recv().unwrap().0).collect();
                assert_eq!(order, [0, 1, 2]);
            }

            fn sends_and_hangs((tx, n): ($Tx<u64>, u64)) {
                (0..n).for_each(|i| tx.send(i).unwrap());
                thread::sleep(LATE);
            }

            #[test]
            fn a_killed_process_takes_nothing_with_it() {
                let (tx, rx) = $make.unwrap();
                let child = Process::spawn(sends_and_hangs, (tx, 1000)).unwrap();
                assert_eq!(rx.recv(), Ok(0));
                common::eventually(|| rx.poll(Duration::ZERO).unwrap());
                // It may not have sent all.
                child.kill().unwrap();
                child.join().unwrap_err();
                let mut next = 1;
                while let Ok(Some(i)) = rx.try_recv() {
                    assert_eq!(i, next);
                    next += 1;
                }
            }

            #[test]
            fn ends_have_the_usual_traits() {
                fn check<T: Send + Sync + std::fmt::Debug + Serialize + for<'de> Deserialize<'de>>(_: &T) {}
                let (tx, rx) = $make.unwrap();
                check::<$Tx<u8>>(&tx);
                check::<$Rx<u8>>(&rx);
                assert!(!format!("{tx:?}{rx:?}").is_empty());
            }
        }
    };
}

conformance!(one_way_pipe, PipeSender, PipeReceiver, one_way());
conformance!(duplex_pipe, Connection, Connection, alike());
conformance!(bounded_channel, Sender, Receiver, channel(5));
conformance!(channel_without_bound, Sender, Receiver, unbounded_channel());
conformance!(bounded_queue, Putter, Getter, queue(Queue::bounded(5)));
conformance!(queue_without_bound, Putter, Getter, queue(Queue::unbounded()));

fn alike<T: proc_core::Message>() -> io::Result<(Connection<T>, Connection<T>)> {
    pipe()
}

/// A queue has both ends; these have the names of the others' methods.
#[derive(Debug, Serialize, Deserialize)]
struct Putter<T>(Queue<T>);
#[derive(Debug, Serialize, Deserialize)]
struct Getter<T>(Queue<T>);

fn queue<T>(queue: io::Result<Queue<T>>) -> io::Result<(Putter<T>, Getter<T>)> {
    let queue = queue?;
    Ok((Putter(queue.clone()), Getter(queue)))
}

impl<T: proc_core::Message> Putter<T> {
    fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.0.put(message)
    }

    fn try_send(&self, message: T) -> Result<(), SendError<T>> {
        self.0.try_put(message)
    }

    fn send_timeout(&self, message: T, timeout: Duration) -> Result<(), SendError<T>> {
        self.0.put_timeout(message, timeout)
    }

    fn send_bytes(&self, bytes: &[u8]) -> Result<(), SendError<()>> {
        self.0.sender().send_bytes(bytes)
    }

    fn try_send_bytes(&self, bytes: &[u8]) -> Result<(), SendError<()>> {
        self.0.sender().try_send_bytes(bytes)
    }
}

impl<T: proc_core::Message> Getter<T> {
    fn recv(&self) -> Result<T, RecvError> {
        self.0.get()
    }

    fn try_recv(&self) -> Result<Option<T>, RecvError> {
        self.0.try_get()
    }

    fn recv_timeout(&self, timeout: Duration) -> Result<Option<T>, RecvError> {
        self.0.get_timeout(timeout)
    }

    fn recv_deadline(&self, deadline: Instant) -> Result<Option<T>, RecvError> {
        self.0.receiver().recv_deadline(deadline)
    }

    fn poll(&self, timeout: impl Into<Option<Duration>>) -> Result<bool, RecvError> {
        self.0.receiver().poll(timeout)
    }

    fn recv_bytes(&self) -> Result<Vec<u8>, RecvError> {
        self.0.receiver().recv_bytes()
    }

    fn recv_bytes_into(&self, bytes: &mut Vec<u8>) -> Result<(), RecvError> {
        self.0.receiver().recv_bytes_into(bytes)
    }

    fn recv_with<U>(&self, f: impl FnOnce(&[u8]) -> U) -> Result<U, RecvError> {
        self.0.receiver().recv_with(f)
    }
}
