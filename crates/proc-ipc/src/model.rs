//! For models under loom: the shared words of a ring or a channel, and a bell in place of the socket.

use std::sync::Arc;

use loom::sync::{Condvar, Mutex};

pub use crate::channel::model::Channel;
use crate::ring::header::Header;

/// The words of a ring on the heap. The methods are the steps of the real ends, in their order; a mutant leaves one out.
#[derive(Clone, Debug, Default)]
pub struct Words {
    header: Arc<Header>,
}

impl Words {
    /// An empty ring.
    pub fn new() -> Words {
        Words::default()
    }

    /// What [`ring::Sender::flush`](crate::ring::Sender::flush) does: commit, then ring if the reader sleeps.
    pub fn send(&self, tail: u64, reader: &Bell) {
        self.header.commit(tail);
        if self.header.must_wake_reader() {
            reader.ring();
        }
    }

    /// A sender that looks first and commits then, which loses wake-ups.
    pub fn send_wrongly(&self, tail: u64, reader: &Bell) {
        let wake = self.header.must_wake_reader();
        self.header.commit(tail);
        if wake {
            reader.ring();
        }
    }

    /// The sending end is dropped: the flag, then the hang-up.
    pub fn close_sender(&self, reader: &Bell) {
        self.header.close_sender();
        reader.hang_up();
    }

    /// What [`ring::Receiver::recv`](crate::ring::Receiver::recv) does: waits until the tail has passed `head`, and
    /// gives it; `None` at the end.
    pub fn recv(&self, head: u64, own: &Bell) -> Option<u64> {
        loop {
            let tail = self.header.tail();
            if tail != head {
                return Some(tail);
            }
            if self.header.sender_closed() || own.is_hung_up() {
                let last = self.header.tail();
                return (last != head).then_some(last);
            }
            self.header.arm_reader();
            if self.header.tail() == head && !self.header.sender_closed() {
                own.wait();
            }
            self.header.disarm_reader();
        }
    }

    /// A reader that does not look again after it was armed, which loses wake-ups.
    pub fn recv_wrongly(&self, head: u64, own: &Bell) -> u64 {
        loop {
            let tail = self.header.tail();
            if tail != head {
                return tail;
            }
            self.header.arm_reader();
            own.wait();
            self.header.disarm_reader();
        }
    }

    /// What [`ring::Receiver::release`](crate::ring::Receiver::release) does: gives room back, then rings if the writer
    /// waits for that much.
    pub fn release(&self, head: u64, writer: &Bell) {
        self.header.release(head);
        if self.header.must_wake_writer(head) {
            writer.ring();
        }
    }

    /// The receiving end is dropped.
    pub fn close_receiver(&self, writer: &Bell) {
        self.header.close_receiver();
        writer.hang_up();
    }

    /// What a sender without room does: waits until the head is at `wanted`; false if the receiver is gone.
    pub fn wait_for_room(&self, wanted: u64, own: &Bell) -> bool {
        loop {
            if self.header.head() >= wanted {
                return true;
            }
            if self.header.receiver_closed() || own.is_hung_up() {
                return false;
            }
            self.header.arm_writer(wanted);
            if self.header.head() < wanted && !self.header.receiver_closed() {
                own.wait();
            }
            self.header.disarm_writer();
        }
    }
}

/// A socket on which the peer rings: readable while there is a bell in it, or when the peer has hung up.
#[derive(Clone, Debug)]
pub struct Bell {
    socket: Arc<(Mutex<Socket>, Condvar)>,
}

#[derive(Debug, Default)]
struct Socket {
    bells: u32,
    hung_up: bool,
}

impl Default for Bell {
    fn default() -> Bell {
        Bell { socket: Arc::new((Mutex::new(Socket::default()), Condvar::new())) }
    }
}

impl Bell {
    /// A silent one.
    pub fn new() -> Bell {
        Bell::default()
    }

    fn ring(&self) {
        self.socket.0.lock().expect("no thread panics").bells += 1;
        self.socket.1.notify_all();
    }

    fn hang_up(&self) {
        self.socket.0.lock().expect("no thread panics").hung_up = true;
        self.socket.1.notify_all();
    }

    fn is_hung_up(&self) -> bool {
        self.socket.0.lock().expect("no thread panics").hung_up
    }

    /// Polls, and takes one bell.
    fn wait(&self) {
        let mut socket = self.socket.0.lock().expect("no thread panics");
        while socket.bells == 0 && !socket.hung_up {
            socket = self.socket.1.wait(socket).expect("no thread panics");
        }
        socket.bells = socket.bells.saturating_sub(1);
    }
}
