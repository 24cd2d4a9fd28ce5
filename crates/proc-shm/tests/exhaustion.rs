//! Tests for what there is not enough of: it is an error, and never a signal.

use std::io;

use proc_core::{Process, RemoteError};
use proc_shm::{Array, Frozen, Mutex, Semaphore, SharedMemory, Value, region::RegionOptions};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

proc_core::init_for_tests!();

// Limits are a process's, so each test has one of its own.

/// The soft limit is lowered: SIGXFSZ would end the process.
fn limit(resource: Resource, to: u64) -> io::Result<()> {
    let maximum = getrlimit(resource).maximum;
    Ok(setrlimit(resource, Rlimit { current: Some(to), maximum })?)
}

fn errno<T>(result: io::Result<T>) -> Option<i32> {
    result.err().and_then(|e| e.raw_os_error())
}

#[test]
fn smoke() {
    assert!(Array::<u8>::zeroed(1 << 20).is_ok());
}

#[test]
fn file_size_limit() {
    fn limited(_: ()) -> Result<[Option<i32>; 6], RemoteError> {
        // Objects that are there go on.
        let before = Value::new(1)?;
        limit(Resource::Fsize, 1 << 16)?;
        *before.lock()? += 1;
        assert_eq!(before.get(), 2);
        Value::new(3)?;
        Ok([
            errno(Array::<u8>::zeroed(1 << 20)),
            errno(Array::<u64>::from_slice(&[0; 1 << 14])),
            errno(Frozen::new(&[0_u8; 1 << 17])),
            errno(RegionOptions::new(1).create(1 << 16)),
            errno(Mutex::new([0_u8; 1 << 16])),
            errno(SharedMemory::create(&format!("proc-shm-test-fsize-{}", std::process::id()), 1 << 17)),
        ])
    }
    let child = Process::spawn(limited, ()).unwrap();
    assert_eq!(child.join().unwrap().unwrap(), [Some(libc::EFBIG); 6]);
}

#[test]
fn address_space() {
    fn limited(_: ()) -> Result<Vec<Option<i32>>, RemoteError> {
        let before = Array::<u8>::zeroed(1 << 20)?;
        limit(Resource::As, 1 << 20)?;
        let errors =
            vec![errno(Array::<u8>::zeroed(64 << 20)), errno(RegionOptions::new(1).create(64 << 20))];
        before.lock()?.fill(7);
        Ok(errors)
    }
    let child = Process::spawn(limited, ()).unwrap();
    let errors = child.join().unwrap().unwrap();
    assert!(errors.iter().all(|e| *e == Some(libc::ENOMEM)), "{errors:?}");
}

#[test]
fn descriptors() {
    fn limited(_: ()) -> Result<Vec<Option<i32>>, RemoteError> {
        let open = std::fs::read_dir("/proc/self/fd")?.count() as u64;
        limit(Resource::Nofile, open - 1)?;
        Ok(vec![errno(Value::new(1_u8)), errno(Semaphore::new(1)), errno(proc_shm::Event::new())])
    }
    let child = Process::spawn(limited, ()).unwrap();
    assert_eq!(child.join().unwrap().unwrap(), [Some(libc::EMFILE); 3]);
}

#[test]
fn more_than_the_machine_has() {
    // The kernel would let a process have it and end somebody when it is touched.
    for len in [1 << 43, 1 << 46, 1 << 60] {
        let error = errno(Array::<u8>::zeroed(len));
        assert!(matches!(error, Some(libc::ENOMEM | libc::EFBIG)), "{len}: {error:?}");
        assert!(errno(RegionOptions::new(1).create(len)).is_some());
    }
}

/// The memory is there when an object is made, so that a lack of it is an error then, and no signal later.
#[test]
fn all_is_allocated_when_it_is_made() {
    /// What the files of the objects have, in bytes: size and memory.
    fn files() -> io::Result<Vec<(u64, u64)>> {
        let mut all = Vec::new();
        for fd in std::fs::read_dir("/proc/self/fd")? {
            let path = fd?.path();
            if std::fs::read_link(&path).is_ok_and(|to| to.to_string_lossy().contains("memfd:proc-shm")) {
                let stat = rustix::fs::stat(&path)?;
                all.push((stat.st_size as u64, stat.st_blocks as u64 * 512));
            }
        }
        Ok(all)
    }
    fn alone(_: ()) -> Result<(), RemoteError> {
        let _whole = (
            Mutex::new([0_u8; 3 << 20])?,
            proc_shm::RwLock::new([0_u8; 1 << 20])?,
            Value::new([0_u8; 1 << 16])?,
            Frozen::new(&vec![0_u8; 1 << 20])?,
            Semaphore::new(1)?,
            proc_shm::Barrier::new(1)?,
            RegionOptions::new(1).create(5 << 20)?,
            Array::<u8>::zeroed(20)?,
        );
        let files_now = files()?;
        assert_eq!(files_now.len(), 8);
        assert!(files_now.iter().all(|(size, memory)| memory >= size), "{files_now:?}");
        drop(_whole);
        // A long array has room for the locks of parts that there may never be; its elements have memory.
        let array = Array::<u64>::zeroed(1 << 20)?;
        let of_array = |files: Vec<(u64, u64)>| files.iter().map(|(_, memory)| *memory).max().unwrap_or(0);
        let before = of_array(files()?);
        assert!(before >= 8 << 20, "{before}");
        // And so have the locks, once it is parted.
        let parts = array.try_parts(1 << 14)?;
        assert!(of_array(files()?) >= before + (63 << 14));
        drop(parts);
        Ok(())
    }
    Process::spawn(alone, ()).unwrap().join().unwrap().unwrap();
}

/// What this machine has given to files in memory, in bytes.
fn shared_memory() -> u64 {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap();
    let line = info.lines().find(|line| line.starts_with("Shmem:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[test]
fn a_killed_process_leaves_no_memory() {
    const SIZE: u64 = 256 << 20;
    let before = shared_memory();
    let (made, ready) = (proc_shm::Event::new().unwrap(), proc_shm::Event::new().unwrap());
    let child = Process::spawn(
        |(made, ready): (proc_shm::Event, proc_shm::Event)| -> Result<(), RemoteError> {
            let array = Array::<u8>::zeroed(SIZE as usize)?;
            let _guard = array.lock()?;
            made.set();
            ready.wait()?;
            Ok(())
        },
        (made.clone(), ready),
    )
    .unwrap();
    assert!(made.wait_timeout(std::time::Duration::from_secs(30)).unwrap());
    assert!(shared_memory() >= before + SIZE / 2);
    child.kill().unwrap();
    assert!(child.join().is_err());
    // Others come and go meanwhile, with less.
    let start = std::time::Instant::now();
    while shared_memory() >= before + SIZE / 2 {
        assert!(
            start.elapsed() < std::time::Duration::from_secs(30),
            "the memory of the dead is still there"
        );
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// A full file system of names, where this process may make one: with a mount of its own.
#[test]
fn a_full_dev_shm() {
    fn in_a_small_one(name: String) -> Result<Option<[i32; 2]>, RemoteError> {
        use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
        use rustix::thread::UnshareFlags;
        let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        // SAFETY: the process has one thread.
        let unshared = unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNS) };
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        // Files belong to somebody in this namespace, too.
        let _ = std::fs::write("/proc/self/setgroups", "deny");
        let _ = std::fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"));
        let _ = std::fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"));
        let mounted = unshared
            .and_then(|()| mount_change("/", private))
            .and_then(|()| mount("none", "/dev/shm", "tmpfs", MountFlags::empty(), c"size=256k"));
        if mounted.is_err() {
            return Ok(None);
        }
        let errors =
            [16_usize << 10, 4 << 10].map(|kib| errno(SharedMemory::create(&name, kib << 10)).unwrap_or(0));
        // A failure leaves nothing, and what fits is made.
        let fits = SharedMemory::create(&name, 128 << 10)?;
        fits.write_at(0, &vec![1; 128 << 10]);
        assert!(SharedMemory::create(&format!("{name}-2"), 192 << 10).is_err());
        Ok(Some(errors))
    }
    let name = format!("proc-shm-test-full-{}", std::process::id());
    let child = Process::spawn(in_a_small_one, name).unwrap();
    match child.join().unwrap().unwrap() {
        Some(errors) => assert_eq!(errors, [libc::ENOSPC; 2]),
        None => eprintln!("this system lets nobody mount: the error of a full /dev/shm was not seen"),
    }
}
