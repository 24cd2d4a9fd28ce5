//! Two rings, one each way.

use super::{Receiver, Sender};

/// One end of a pair of rings: it sends through one and receives through the other.
///
/// The two halves are independent of each other, with a socket each, so that a thread may wait in one while another
/// works with the other. Use them in place or [`split`](Duplex::split) them; a `Duplex` crosses to another process inside
/// of a message, and so do its halves.
#[derive(Debug)]
pub struct Duplex {
    /// What this end sends.
    pub sender: Sender,
    /// What this end receives.
    pub receiver: Receiver,
}

impl Duplex {
    /// The two halves, for different threads or processes.
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }
}
