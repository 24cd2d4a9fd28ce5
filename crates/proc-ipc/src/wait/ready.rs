//! What was ready.

use std::ops::Index;

/// What [`wait`](crate::wait()) found ready, by the places in the list that it was given.
///
/// # Examples
///
/// ```
/// let ((_idle, first), (tx, second)) = (proc_ipc::one_way::<u8>()?, proc_ipc::one_way::<u8>()?);
/// tx.send(1)?;
/// let ready = proc_ipc::wait(&[&first, &second], None)?;
/// assert_eq!((ready.len(), ready.first(), ready[0], ready[1]), (1, Some(1), false, true));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    flags: Vec<bool>,
}

impl Ready {
    pub(super) fn none(len: usize) -> Ready {
        Ready { flags: vec![false; len] }
    }

    pub(super) fn set(&mut self, place: usize) {
        self.flags[place] = true;
    }

    /// Whether nothing was ready: the time was over first.
    pub fn is_empty(&self) -> bool {
        !self.flags.contains(&true)
    }

    /// How many were ready.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// The first place that was ready.
    pub fn first(&self) -> Option<usize> {
        self.iter().next()
    }

    /// The places that were ready, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.flags.len()).filter(|place| self.flags[*place])
    }
}

/// Whether the one at this place was ready.
///
/// # Panics
///
/// If the list had no such place.
impl Index<usize> for Ready {
    type Output = bool;

    fn index(&self, place: usize) -> &bool {
        &self.flags[place]
    }
}
