//! How another thread gets the engine from the one that waits with it.

use crate::sys::descriptors;
use proc_core::inherit::LocalFd;
use std::io;
use std::os::fd::BorrowedFd;

/// Wakes whoever waits for an engine's descriptors. It owns one descriptor (an eventfd).
#[derive(Debug)]
pub(crate) struct Bell(LocalFd);

impl Bell {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Bell(LocalFd::new(descriptors::flag()?)))
    }

    pub(crate) fn ring(&self) {
        if let Ok(flag) = self.0.get() {
            descriptors::set_flag(flag);
        }
    }

    pub(super) fn quieten(&self) {
        if let Ok(flag) = self.0.get() {
            descriptors::clear_flag(flag);
        }
    }

    pub(super) fn get(&self) -> io::Result<BorrowedFd<'_>> {
        Ok(self.0.get()?)
    }
}
