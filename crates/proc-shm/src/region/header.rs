//! The first bytes of a region: what it is.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::RegionError;
use crate::sys::namespace::Namespace;

/// Bytes before the data of a region. It is two lines of cache, so that data on lines of its own stays so.
pub const HEADER_SIZE: usize = 128;

/// "procshm" and a byte that tells a wrong byte order.
const MAGIC: u64 = u64::from_ne_bytes(*b"procshm\x01");

/// Of the layout of all regions. It is raised with any change, as both sides are one program.
const VERSION: u64 = 1;

/// Written before the region is handed to anybody, and never after. A peer could scribble on it, so that it is read as
/// atomics, once.
///
/// | field | value | changed by |
/// |---|---|---|
/// | `magic` | [`MAGIC`], written last; 0 before | who makes the region |
/// | `version` | [`VERSION`] | who makes the region |
/// | `size`, `kind`, `layout` | what the one who opens it must expect | who makes the region |
/// | the namespaces | where thread ids and times mean something; 0: nowhere, as there are none | who makes the region |
#[repr(C)]
pub(super) struct Header {
    magic: AtomicU64,
    version: AtomicU64,
    /// Of the whole file.
    size: AtomicU64,
    kind: AtomicU64,
    layout: AtomicU64,
    /// 0 if thread ids mean nothing in this region.
    pid_namespace: AtomicU64,
    time_namespace: AtomicU64,
}

const _: () = assert!(size_of::<Header>() <= HEADER_SIZE);

/// What a header says.
pub(super) struct Facts {
    pub(super) size: u64,
    pub(super) kind: u32,
    pub(super) layout: u64,
    pub(super) namespace: Option<Namespace>,
}

impl Header {
    /// # Safety
    ///
    /// `map` is a mapping of at least [`HEADER_SIZE`] bytes that outlives the result.
    pub(super) unsafe fn of<'a>(map: *mut u8) -> &'a Header {
        // SAFETY: by the caller; mappings are aligned to pages, and any bytes are a valid header.
        unsafe { &*map.cast::<Header>() }
    }

    pub(super) fn write(&self, facts: &Facts) {
        self.version.store(VERSION, Relaxed);
        self.size.store(facts.size, Relaxed);
        self.kind.store(facts.kind.into(), Relaxed);
        self.layout.store(facts.layout, Relaxed);
        if let Some(namespace) = facts.namespace {
            self.pid_namespace.store(namespace.pid, Relaxed);
            self.time_namespace.store(namespace.time, Relaxed);
        }
        self.magic.store(MAGIC, Relaxed);
    }

    /// Whether this is the header of a region such as `wanted`. The order is that of what is worth saying.
    pub(super) fn check(&self, wanted: &Facts) -> Result<(), RegionError> {
        if self.magic.load(Relaxed) != MAGIC {
            return Err(RegionError::Foreign);
        }
        if self.version.load(Relaxed) != VERSION {
            return Err(RegionError::Version);
        }
        if self.size.load(Relaxed) != wanted.size {
            return Err(RegionError::Size);
        }
        if self.kind.load(Relaxed) != u64::from(wanted.kind) {
            return Err(RegionError::Kind);
        }
        if self.layout.load(Relaxed) != wanted.layout {
            return Err(RegionError::Layout);
        }
        let theirs = (self.pid_namespace.load(Relaxed), self.time_namespace.load(Relaxed));
        match wanted.namespace {
            Some(own) if theirs != (own.pid, own.time) => Err(RegionError::Namespace),
            _ => Ok(()),
        }
    }
}
