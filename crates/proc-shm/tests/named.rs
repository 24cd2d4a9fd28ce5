//! Tests for named memory: whose the name is, and what is refused.

use std::{
    io::ErrorKind,
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    thread,
};

use proc_core::{Fork, Process};
use proc_shm::SharedMemory;

proc_core::init_for_tests!();

/// A name of this test and process.
fn name(test: &str) -> String {
    format!("proc-shm-test-{test}-{}", std::process::id())
}

fn in_dev_shm(name: &str) -> bool {
    std::path::Path::new("/dev/shm").join(name).exists()
}

#[test]
fn smoke() {
    let name = name("smoke");
    let ours = SharedMemory::create(&name, 512).unwrap();
    let theirs = SharedMemory::open(&name).unwrap();
    assert_eq!((ours.len(), theirs.len()), (512, 512));
    assert_eq!((ours.name(), theirs.name()), (&*name, &*name));
    ours.write_at(508, b"end.");
    let mut text = [0; 4];
    theirs.read_at(508, &mut text);
    assert_eq!(&text, b"end.");
    theirs.atomic::<[AtomicU64; 2]>(8)[1].store(7, Relaxed);
    assert_eq!(ours.atomic::<AtomicU64>(16).load(Relaxed), 7);
    assert!(!ours.is_empty());
}

#[test]
fn a_clash_and_a_missing_name_are_different_errors() {
    let name = name("clash");
    assert_eq!(SharedMemory::open(&name).unwrap_err().kind(), ErrorKind::NotFound);
    let first = SharedMemory::create(&name, 10).unwrap();
    first.write_at(0, b"x");
    assert_eq!(SharedMemory::create(&name, 10).unwrap_err().kind(), ErrorKind::AlreadyExists);
    let second = SharedMemory::create_or_replace(&name, 20).unwrap();
    assert_eq!(SharedMemory::open(&name).unwrap().len(), 20);
    // The first has its memory still, and does not take the name of the second with it.
    let mut byte = [0];
    first.read_at(0, &mut byte);
    assert_eq!(&byte, b"x");
    drop(first);
    assert_eq!(SharedMemory::open(&name).unwrap().len(), 20);
    drop(second);
    assert_eq!(SharedMemory::open(&name).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn impossible_names_and_sizes_are_refused() {
    let long = "x".repeat(256);
    for bad in ["", "/", "a/b", "a\0b", ".", "..", &long] {
        assert_eq!(SharedMemory::create(bad, 10).unwrap_err().kind(), ErrorKind::InvalidInput, "{bad:?}");
        assert_eq!(SharedMemory::open(bad).unwrap_err().kind(), ErrorKind::InvalidInput, "{bad:?}");
    }
    let name = name("sizes");
    assert_eq!(SharedMemory::create(&name, 0).unwrap_err().kind(), ErrorKind::InvalidInput);
    SharedMemory::create(&name, usize::MAX).unwrap_err();
    SharedMemory::create(&name, 1 << 50).unwrap_err();
    assert!(!in_dev_shm(&name));
}

#[test]
fn a_slash_in_front_means_nothing() {
    let name = name("slash");
    let _made = SharedMemory::create(&format!("/{name}"), 10).unwrap();
    assert_eq!(SharedMemory::open(&name).unwrap().name(), name);
}

#[test]
fn only_the_creator_unlinks() {
    let name = name("unlink");
    let made = SharedMemory::create(&name, 10).unwrap();
    let opened = SharedMemory::open(&name).unwrap();
    assert_eq!(opened.unlink().unwrap_err().kind(), ErrorKind::PermissionDenied);
    drop(opened);
    // A process that attached and ended takes nothing with it.
    let child = Process::spawn(|n: String| SharedMemory::open(&n).unwrap().write_at(0, b"!"), name.clone());
    child.unwrap().join().unwrap();
    assert!(in_dev_shm(&name));
    let mut byte = [0];
    made.read_at(0, &mut byte);
    assert_eq!(&byte, b"!");
    made.unlink().unwrap();
    assert!(!in_dev_shm(&name));
    assert_eq!(made.unlink().unwrap_err().kind(), ErrorKind::NotFound);
    // The memory is there as long as it is mapped.
    made.read_at(0, &mut byte);
    assert_eq!(&byte, b"!");
}

#[test]
fn a_forked_child_does_not_unlink() {
    fn forks(name: String) -> bool {
        let made = SharedMemory::create(&name, 10).unwrap();
        // SAFETY: this process has one thread.
        match unsafe { proc_core::fork() }.unwrap() {
            Fork::Child => {
                made.atomic::<AtomicU32>(0).store(3, Relaxed);
                assert_eq!(made.unlink().unwrap_err().kind(), ErrorKind::PermissionDenied);
                drop(made);
                std::process::exit(0);
            }
            Fork::Parent(child) => child.join().unwrap(),
        }
        in_dev_shm(&name) && made.atomic::<AtomicU32>(0).load(Relaxed) == 3
    }
    let name = name("fork");
    assert!(Process::spawn(forks, name.clone()).unwrap().join().unwrap());
    assert!(!in_dev_shm(&name));
}

#[test]
fn a_killed_creator_leaves_a_name_that_can_be_replaced() {
    let name = name("killed");
    let child = Process::spawn(
        |name: String| {
            let made = SharedMemory::create(&name, 10).unwrap();
            made.write_at(0, b"left");
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
        },
        name.clone(),
    );
    child.unwrap().join().unwrap_err();
    let mut text = [0; 4];
    SharedMemory::open(&name).unwrap().read_at(0, &mut text);
    assert_eq!(&text, b"left");
    assert!(in_dev_shm(&name));
    drop(SharedMemory::create_or_replace(&name, 10).unwrap());
    assert!(!in_dev_shm(&name));
}

#[test]
fn what_is_not_memory_is_refused() {
    let name = name("folder");
    let folder = std::path::Path::new("/dev/shm").join(&name);
    std::fs::create_dir(&folder).unwrap();
    SharedMemory::open(&name).unwrap_err();
    std::fs::remove_dir(&folder).unwrap();
    std::fs::write(&folder, "").unwrap();
    assert_eq!(SharedMemory::open(&name).unwrap_err().kind(), ErrorKind::InvalidData);
    std::fs::remove_file(&folder).unwrap();
}

#[test]
#[should_panic(expected = "outside")]
fn reads_outside_are_refused() {
    let made = SharedMemory::create(&name("outside"), 10).unwrap();
    made.read_at(8, &mut [0; 3]);
}

#[test]
#[should_panic(expected = "aligned")]
fn atomics_out_of_line_are_refused() {
    let made = SharedMemory::create(&name("aligned"), 100).unwrap();
    made.atomic::<AtomicU64>(4);
}

#[test]
fn a_name_that_is_replaced_by_several_at_once_goes_to_one_of_them() {
    let name = name("several");
    thread::scope(|s| {
        for len in 1..=3 {
            let name = &name;
            s.spawn(move || {
                let mut last = None;
                for _ in 0..2_000 {
                    // What there was before is kept, so that the name is another's or ours each time.
                    let ours = SharedMemory::create_or_replace(name, len).unwrap();
                    assert_eq!(ours.len(), len);
                    last = Some(ours);
                }
                drop(last);
            });
        }
    });
    assert!(!in_dev_shm(&name));
}
