//! Tests for read-only data: it crosses without a copy, and nobody changes it.

use std::os::fd::AsFd;

use proc_core::{
    Process,
    transfer::{Packed, pack, unpack},
};
use proc_shm::{Frozen, Value};
use rustix::fs::{MemfdFlags, SealFlags};

proc_core::init_for_tests!();

#[test]
fn smoke() {
    let frozen = Frozen::new(&[1_u16, 2, 3]).unwrap();
    assert_eq!(*frozen, [1, 2, 3]);
    assert_eq!(*frozen.clone(), [1, 2, 3]);
    assert!(Frozen::<[u64]>::new(&[]).unwrap().is_empty());
}

#[test]
fn crosses_by_descriptor() {
    let data: Vec<u64> = (0..1_000_000).collect();
    let frozen = Frozen::new(&data).unwrap();
    let Packed { bytes, fds } = pack(&frozen).unwrap();
    assert!(bytes.len() < 16 && fds.len() == 1);
    drop((bytes, fds));
    let child = Process::spawn(|f: Frozen<[u64]>| f.iter().sum::<u64>(), frozen.clone()).unwrap();
    assert_eq!(child.join().unwrap(), data.iter().sum::<u64>());
}

#[test]
fn outlives_who_made_it() {
    let child = Process::spawn(|n: u8| Frozen::new(&vec![n; 100_000]).unwrap(), 7_u8).unwrap();
    let frozen = child.join().unwrap();
    assert!(frozen.len() == 100_000 && frozen.iter().all(|x| *x == 7));
}

#[test]
fn nobody_changes_it() {
    let frozen = Frozen::new(&[1_u8; 5_000]).unwrap();
    let Packed { fds, .. } = pack(&frozen).unwrap();
    let fd = fds[0].as_fd();
    assert!(rustix::io::pwrite(fd, b"x", 0).is_err());
    assert!(rustix::fs::ftruncate(fd, 0).is_err());
    let seals = rustix::fs::fcntl_get_seals(fd).unwrap();
    assert!(seals.contains(SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL));
    // SAFETY: a mapping of its own, which is not touched.
    let mapped = unsafe {
        use rustix::mm::{MapFlags, ProtFlags, mmap};
        mmap(std::ptr::null_mut(), 4_096, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, fd, 0)
    };
    assert!(mapped.is_err());
}

#[test]
fn other_types_and_foreign_files_are_refused() {
    let refused =
        |packed: Packed| unpack::<Frozen<[u32]>>(&packed.bytes, packed.fds).unwrap_err().to_string();
    let other = refused(pack(&Frozen::new(&[1_u64]).unwrap()).unwrap());
    assert!(other.contains("another type"), "{other}");
    // The same ticket, but other files behind it.
    let with = |fd| Packed { bytes: pack(&Frozen::new(&[1_u32]).unwrap()).unwrap().bytes, fds: vec![fd] };
    let value = pack(&Value::new(1_u32).unwrap()).unwrap().fds.remove(0);
    assert!(refused(with(value)).contains("not sealed"));
    let memfd = |content: &[u8], seals| {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let fd = rustix::fs::memfd_create("test", flags).unwrap();
        rustix::io::pwrite(&fd, content, 0).unwrap();
        rustix::fs::fcntl_add_seals(&fd, seals).unwrap();
        fd
    };
    let all = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL | SealFlags::WRITE;
    assert!(refused(with(memfd(&[0; 100], SealFlags::SEAL))).contains("not sealed"));
    assert!(refused(with(memfd(&[0; 10], all))).contains("not one of this library"));
    assert!(refused(with(memfd(&[0; 100], all))).contains("not one of this library"));
    // A length that is not the file's.
    let mut content = [0; 68];
    rustix::io::pread(&pack(&Frozen::new(&[1_u32]).unwrap()).unwrap().fds[0], &mut content, 0).unwrap();
    content[16] = 200;
    assert!(refused(with(memfd(&content, all))).contains("size"));
}

/// A shared mapping of a file that is sealed against writes is an error (EPERM) before Linux 6.7.
#[test]
fn the_mapping_is_one_that_older_kernels_allow() {
    let frozen = Frozen::new(&[7_u8; 10_000]).unwrap();
    let packed = pack(&frozen).unwrap();
    let crossed: Frozen<[u8]> = unpack(&packed.bytes, packed.fds).unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    for data in [frozen.as_ptr(), crossed.as_ptr()] {
        let inside = |line: &&str| {
            let (range, _) = line.split_once(' ').unwrap();
            let (from, to) = range.split_once('-').unwrap();
            let [from, to] = [from, to].map(|at| usize::from_str_radix(at, 16).unwrap());
            (from..to).contains(&data.addr())
        };
        let line = maps.lines().find(inside).unwrap();
        assert!(line.contains(" r--p "), "{line}");
    }
}
