//! A region as a handle that crosses, for what lies in regions bare.

use proc_shm::region::{Region, RegionOptions};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::io;

/// 4 KiB that may hold locks.
pub(super) struct Memory(Region);

const OPTIONS: RegionOptions = RegionOptions::new(u32::from_ne_bytes(*b"clab")).holds_locks();

impl Memory {
    pub(super) fn new() -> io::Result<Memory> {
        Ok(Memory(OPTIONS.create(4096)?))
    }

    /// What lies at an offset.
    ///
    /// # Safety
    ///
    /// `T` consists of atomics, and every process uses these bytes in this way.
    pub(super) unsafe fn at<T: Sync>(&self, offset: usize) -> &T {
        // SAFETY: by the caller; what is not inherited is not used, since each actor gets its own.
        unsafe { self.0.at(offset) }
    }
}

impl Serialize for Memory {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0.give().map_err(S::Error::custom)?)
    }
}

impl<'de> Deserialize<'de> for Memory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ticket = u32::deserialize(deserializer)?;
        Ok(Memory(OPTIONS.take(ticket).map_err(D::Error::custom)?))
    }
}
