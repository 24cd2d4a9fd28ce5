//! The memory of a slot table, and its way to the worker.

use super::slots::{SLOTS, Slots};
use crate::sync::AtomicU64;
use proc_shm::region::{Region, RegionOptions};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use std::io;

/// A table of slots in shared memory, which crosses to one worker.
#[derive(Debug)]
pub(crate) struct Table(Region);

const SIZE: usize = SLOTS * size_of::<u64>();

fn options() -> RegionOptions {
    RegionOptions::new(u32::from_ne_bytes(*b"pool"))
}

impl Table {
    pub(crate) fn new() -> io::Result<Table> {
        options().create(SIZE).map(Table)
    }

    /// The same table for the worker.
    pub(crate) fn share(&self) -> io::Result<Table> {
        options().open(self.0.fd()?.try_clone_to_owned()?).map(Table)
    }

    /// The words. In a forked child of its process nobody may come here: the memory is not there.
    #[inline]
    pub(crate) fn slots(&self) -> Slots<'_> {
        // SAFETY: both processes use these bytes as 64-bit atomics and in no other way; the region is that long and
        // aligned to 128. A forked child is kept out by the lineage that the engine checks, and a worker is no
        // forked child of its own.
        Slots(unsafe { self.0.at::<[AtomicU64; SLOTS]>(0) })
    }
}

impl Serialize for Table {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.give().map_err(ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Table {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Table, D::Error> {
        let ticket = u32::deserialize(deserializer)?;
        let region = options().take(ticket).map_err(de::Error::custom)?;
        if region.len() != SIZE {
            return Err(de::Error::custom("the table of slots has another size"));
        }
        Ok(Table(region))
    }
}
