//! For models of the channel's protocol under loom: the shared words, and bells in place of the socket pair.

use std::sync::Arc;

use loom::sync::{Condvar, Mutex};

use super::layout::{CLOSED, CLOSING, Header, OPEN, Place};
use crate::sync::{Acquire, Relaxed, Release};

/// The words of a channel for so many messages, on the heap. The methods are the steps of the real ends, in their order;
/// a mutant does them in another.
#[derive(Clone, Debug)]
pub struct Channel {
    shared: Arc<(Header, Bell, Bell)>,
    capacity: u64,
}

impl Channel {
    /// An empty one, with one sending end.
    pub fn new(capacity: u64) -> Channel {
        let channel = Channel { shared: Arc::default(), capacity };
        channel.enter();
        channel
    }

    fn header(&self) -> &Header {
        &self.shared.0
    }

    /// Where receivers sleep.
    fn readers(&self) -> &Bell {
        &self.shared.1
    }

    /// Where senders sleep.
    fn writers(&self) -> &Bell {
        &self.shared.2
    }

    fn messages(&self) -> u64 {
        let head = Place(self.header().head.load(Acquire));
        Place(self.header().tail.load(Acquire)).messages_from(head)
    }

    /// Sends a message; false if the channel is closed.
    pub fn send(&self) -> bool {
        loop {
            if let Some(sent) = self.push() {
                return sent;
            }
            if self.arm_writer() {
                self.writers().wait();
            }
        }
    }

    fn push(&self) -> Option<bool> {
        let Header { send, rare, tail, .. } = self.header();
        let _section = send.section.lock();
        if rare.closed.load(Relaxed) != OPEN {
            if rare.closed.load(Relaxed) == CLOSING {
                self.readers().ring();
                rare.closed.store(CLOSED, Release);
            }
            return Some(false);
        }
        if self.messages() == self.capacity {
            return None;
        }
        if send.readers_sleep.load(Relaxed) != 0 {
            self.readers().ring();
            send.readers_sleep.store(0, Relaxed);
        }
        tail.store(Place(tail.load(Relaxed)).plus(1, 1).0, Release);
        Some(true)
    }

    fn arm_writer(&self) -> bool {
        let Header { recv, rare, .. } = self.header();
        let _section = recv.section.lock();
        if self.messages() < self.capacity || rare.closed.load(Relaxed) != OPEN {
            return false;
        }
        recv.writers_sleep.store(1, Relaxed);
        self.writers().drain();
        true
    }

    /// A sending end more.
    pub fn enter(&self) {
        self.header().rare.senders.fetch_add(1, Relaxed);
    }

    /// Drops a sending end; with the last one goes the socket, which wakes all receivers for good.
    pub fn leave(&self) {
        self.leave_by(Release);
    }

    /// As [`leave`](Channel::leave), but what was sent before need not be seen by who sees that it left.
    pub fn leave_wrongly(&self) {
        self.leave_by(Relaxed);
    }

    fn leave_by(&self, order: crate::sync::Ordering) {
        if self.header().rare.senders.fetch_sub(1, order) == 1 {
            self.readers().hang_up();
        }
    }

    /// Receives a message; false at the end. The end is the close, or that nobody can send.
    pub fn recv(&self) -> bool {
        loop {
            let rare = &self.header().rare;
            let over = rare.closed.load(Acquire) == CLOSED || rare.senders.load(Acquire) == 0;
            if self.pop() {
                return true;
            }
            if over {
                return false;
            }
            if self.arm_reader() {
                self.readers().wait();
            }
        }
    }

    fn pop(&self) -> bool {
        let Header { recv, head, .. } = self.header();
        let _section = recv.section.lock();
        if self.messages() == 0 {
            return false;
        }
        if recv.writers_sleep.load(Relaxed) != 0 {
            self.writers().ring();
            recv.writers_sleep.store(0, Relaxed);
        }
        head.store(Place(head.load(Relaxed)).plus(1, 1).0, Release);
        true
    }

    fn arm_reader(&self) -> bool {
        let Header { send, rare, .. } = self.header();
        let _section = send.section.lock();
        if self.messages() != 0 || rare.closed.load(Relaxed) == CLOSED {
            return false;
        }
        send.readers_sleep.store(1, Relaxed);
        self.readers().drain();
        true
    }

    /// What [`Queue::close`](crate::Queue::close) does.
    pub fn close(&self) {
        let Header { send, recv, rare, .. } = self.header();
        {
            let _section = recv.section.lock();
            if rare.closed.load(Relaxed) == OPEN {
                self.writers().ring();
                rare.closed.store(CLOSING, Relaxed);
            }
        }
        let _section = send.section.lock();
        if rare.closed.load(Relaxed) == CLOSING {
            self.readers().ring();
            rare.closed.store(CLOSED, Release);
        }
    }

    /// Closes in the senders' section alone, which loses wake-ups of senders.
    pub fn close_wrongly(&self) {
        let Header { send, rare, .. } = self.header();
        let _section = send.section.lock();
        self.readers().ring();
        self.writers().ring();
        rare.closed.store(CLOSED, Release);
    }
}

/// A socket on which the other side rings: readable for all who poll while there is a byte in it.
#[derive(Debug)]
struct Bell {
    rung: Mutex<Rung>,
    polled: Condvar,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rung {
    No,
    Yes,
    /// The peer hung up, which nobody can take off.
    Ended,
}

impl Default for Bell {
    fn default() -> Bell {
        Bell { rung: Mutex::new(Rung::No), polled: Condvar::new() }
    }
}

impl Bell {
    fn set(&self, to: Rung) {
        let mut rung = self.rung.lock().expect("no thread panics");
        if *rung != Rung::Ended {
            *rung = to;
        }
        self.polled.notify_all();
    }

    fn ring(&self) {
        self.set(Rung::Yes);
    }

    fn hang_up(&self) {
        self.set(Rung::Ended);
    }

    fn drain(&self) {
        self.set(Rung::No);
    }

    fn wait(&self) {
        let mut rung = self.rung.lock().expect("no thread panics");
        while *rung == Rung::No {
            rung = self.polled.wait(rung).expect("no thread panics");
        }
    }
}
