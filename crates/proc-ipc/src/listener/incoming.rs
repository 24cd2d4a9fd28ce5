//! The clients of a listener, one by one.

use std::io;

use proc_core::Message;

use super::Listener;
use crate::Connection;

/// The clients of a [`Listener`], waiting for each, for ever: from [`incoming`](Listener::incoming).
#[derive(Debug)]
pub struct Incoming<'a, S, R> {
    listener: &'a Listener<S, R>,
}

impl<'a, S, R> Incoming<'a, S, R> {
    pub(super) fn new(listener: &'a Listener<S, R>) -> Incoming<'a, S, R> {
        Incoming { listener }
    }
}

impl<S: Message, R: Message> Iterator for Incoming<'_, S, R> {
    type Item = io::Result<Connection<S, R>>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.listener.accept())
    }
}
