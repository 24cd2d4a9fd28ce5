//! Tests for regions: what they promise to whoever maps them, and what is refused.

use std::{
    os::fd::{AsFd, OwnedFd},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use proc_core::{
    Process,
    transfer::{pack, unpack},
};
use proc_shm::region::{HEADER_SIZE, RegionError, RegionOptions};
use rustix::fs::{MemfdFlags, SealFlags};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

proc_core::init_for_tests!();

const OPTIONS: RegionOptions = RegionOptions::new(7).layout(3).holds_locks();

struct Region(proc_shm::region::Region);

impl Serialize for Region {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.give().map_err(ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Region {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Region, D::Error> {
        OPTIONS.take(u32::deserialize(deserializer)?).map(Region).map_err(de::Error::custom)
    }
}

fn counter(region: &proc_shm::region::Region) -> &AtomicU64 {
    // SAFETY: the tests use these bytes as an atomic only.
    unsafe { region.at(0) }
}

fn duplicate(region: &proc_shm::region::Region) -> OwnedFd {
    region.fd().unwrap().try_clone_to_owned().unwrap()
}

fn error(result: std::io::Result<proc_shm::region::Region>) -> RegionError {
    let error = result.unwrap_err();
    *error.get_ref().and_then(|e| e.downcast_ref()).unwrap_or_else(|| panic!("{error:?}"))
}

#[test]
fn smoke() {
    let region = OPTIONS.create(100).unwrap();
    assert_eq!(region.len(), 100);
    assert!(!region.is_empty());
    assert_eq!(region.as_ptr().as_ptr() as usize % HEADER_SIZE, 0);
    assert_eq!(counter(&region).load(Relaxed), 0);
    assert!(OPTIONS.create(0).unwrap().is_empty());
}

#[test]
fn two_mappings_are_one_memory() {
    let a = OPTIONS.create(64).unwrap();
    let b = OPTIONS.open(duplicate(&a)).unwrap();
    counter(&a).store(5, Relaxed);
    assert_eq!(counter(&b).load(Relaxed), 5);
}

#[test]
fn crosses_to_another_process() {
    let region = Region(OPTIONS.create(64).unwrap());
    let packed = pack(&region).unwrap();
    let again: Region = unpack(&packed.bytes, packed.fds).unwrap();
    Process::spawn(|r: Region| counter(&r.0).store(9, Relaxed), again).unwrap().join().unwrap();
    assert_eq!(counter(&region.0).load(Relaxed), 9);
}

#[test]
fn outside_of_a_transfer_it_does_not_serialize() {
    assert!(OPTIONS.create(64).unwrap().give().is_err());
}

#[test]
fn the_size_stays_whoever_tries() {
    let region = OPTIONS.create(1 << 16).unwrap();
    let fd = duplicate(&region);
    assert!(rustix::fs::ftruncate(&fd, 0).is_err());
    assert!(rustix::fs::ftruncate(&fd, 1 << 20).is_err());
    assert!(rustix::fs::fcntl_add_seals(&fd, SealFlags::WRITE).is_err());
    assert_eq!(counter(&region).load(Relaxed), 0);
}

#[test]
fn other_structures_are_refused() {
    let region = OPTIONS.create(64).unwrap();
    let other_kind = RegionOptions::new(8).layout(3).open(duplicate(&region));
    assert_eq!(error(other_kind), RegionError::Kind);
    let other_layout = RegionOptions::new(7).layout(4).open(duplicate(&region));
    assert_eq!(error(other_layout), RegionError::Layout);
}

#[test]
fn foreign_and_broken_files_are_refused() {
    let file = |size: u64, content: &[u8], seal: bool| {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let fd = rustix::fs::memfd_create("test", flags).unwrap();
        rustix::fs::ftruncate(&fd, size).unwrap();
        rustix::io::pwrite(&fd, content, 0).unwrap();
        if seal {
            let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
            rustix::fs::fcntl_add_seals(&fd, seals).unwrap();
        }
        fd
    };
    let region = OPTIONS.create(64).unwrap();
    let mut header = [0; HEADER_SIZE + 64];
    rustix::io::pread(duplicate(&region), &mut header, 0).unwrap();
    let size = header.len() as u64;

    assert!(OPTIONS.open(file(size, &header, true)).is_ok());
    assert_eq!(error(OPTIONS.open(file(size, &header, false))), RegionError::NotSealed);
    assert_eq!(error(OPTIONS.open(file(size * 2, &header, true))), RegionError::Size);
    assert_eq!(error(OPTIONS.open(file(10, b"short", true))), RegionError::Foreign);
    assert_eq!(error(OPTIONS.open(file(4096, b"what?", true))), RegionError::Foreign);
    header[8] += 1;
    assert_eq!(error(OPTIONS.open(file(size, &header, true))), RegionError::Version);
    let dev_null = std::fs::File::open("/dev/null").unwrap();
    assert_eq!(error(OPTIONS.open(dev_null.into())), RegionError::NotSealed);
}

#[test]
fn descriptors_are_close_on_exec() {
    let region = OPTIONS.create(64).unwrap();
    let flags = rustix::io::fcntl_getfd(region.fd().unwrap().as_fd()).unwrap();
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
}

#[test]
fn impossible_sizes_are_errors() {
    for len in [usize::MAX, usize::MAX - HEADER_SIZE, isize::MAX as usize, 1 << 50] {
        OPTIONS.create(len).unwrap_err();
    }
}

#[test]
fn a_sparse_region_takes_memory_when_asked() {
    let blocks = |r: &proc_shm::region::Region| rustix::fs::fstat(r.fd().unwrap()).unwrap().st_blocks * 512;
    let region = OPTIONS.create_sparse(1 << 30, 4096).unwrap();
    assert!(blocks(&region) <= 1 << 20);
    region.allocate(1 << 20, 1 << 20).unwrap();
    assert!(blocks(&region) >= 1 << 20);
    region.punch(0, 1 << 30).unwrap();
    assert!(blocks(&region) <= 1 << 16);
    assert!(region.allocate(1 << 30, 1).is_err());
}
