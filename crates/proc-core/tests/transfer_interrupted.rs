//! Tests for interruption: a signal that arrives all the time, with a handler that does not restart calls, changes
//! nothing but the time.
#![cfg(feature = "functions")]

use std::{
    fs::File,
    mem,
    os::fd::OwnedFd,
    ptr,
    sync::{
        Once,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use proc_core::{
    Fd,
    inherit::LocalFd,
    transfer::{pack, packet, unpack},
};

static HANDLED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn handle(_: libc::c_int) {
    HANDLED.fetch_add(1, Relaxed);
}

/// Runs `work` while its thread gets a signal five times a millisecond.
fn interrupted(work: impl FnOnce()) {
    static HANDLER: Once = Once::new();
    HANDLER.call_once(|| {
        // SAFETY: a valid action, whose handler does one atomic addition.
        unsafe {
            let mut action: libc::sigaction = mem::zeroed();
            action.sa_sigaction = handle as *const () as usize;
            assert_eq!(libc::sigaction(libc::SIGUSR1, &raw const action, ptr::null_mut()), 0);
        }
    });
    // SAFETY: no preconditions.
    let target = unsafe { libc::pthread_self() };
    let done = AtomicBool::new(false);
    thread::scope(|s| {
        s.spawn(|| {
            while !done.load(Relaxed) {
                // SAFETY: `target` is the thread that waits for this one below.
                unsafe { libc::pthread_kill(target, libc::SIGUSR1) };
                thread::sleep(Duration::from_micros(200));
            }
        });
        struct Done<'a>(&'a AtomicBool);
        impl Drop for Done<'_> {
            fn drop(&mut self) {
                self.0.store(true, Relaxed);
            }
        }
        let _done = Done(&done);
        let before = HANDLED.load(Relaxed);
        work();
        while HANDLED.load(Relaxed) == before {
            thread::yield_now();
        }
    });
}

fn files(count: usize) -> Vec<Fd<File>> {
    (0..count).map(|_| Fd(File::open("/dev/null").unwrap())).collect()
}

#[test]
fn smoke() {
    interrupted(|| {
        let packed = pack(&files(10)).unwrap();
        assert_eq!(unpack::<Vec<Fd<File>>>(&packed.bytes, packed.fds).unwrap().len(), 10);
    });
}

#[test]
fn a_receiver_waits_on() {
    let (a, b) = packet::pair().unwrap();
    let sender = thread::spawn(move || {
        for i in 0..20_u8 {
            thread::sleep(Duration::from_millis(5));
            packet::send(&a, &[i], &[], None).unwrap();
        }
    });
    interrupted(|| {
        for i in 0..20 {
            assert_eq!(packet::recv(&b, None).unwrap().unwrap().0, [i]);
        }
        assert!(packet::recv(&b, None).unwrap().is_none());
    });
    sender.join().unwrap();
}

#[test]
fn a_sender_waits_on() {
    let (a, b) = packet::pair().unwrap();
    let receiver = thread::spawn(move || {
        let mut count = 0;
        while let Some((bytes, fds)) = packet::recv(&b, None).unwrap() {
            assert_eq!((bytes.len(), fds.len()), (50_000, 1));
            count += 1;
            thread::sleep(Duration::from_millis(1));
        }
        count
    });
    interrupted(|| {
        let packed =
            proc_core::transfer::Packed { bytes: vec![1; 50_000], fds: vec![a.try_clone().unwrap()] };
        for _ in 0..100 {
            packet::send_packed(&a, &packed, None).unwrap();
        }
    });
    drop(a);
    assert_eq!(receiver.join().unwrap(), 100);
}

#[test]
fn deadlines_are_neither_early_nor_put_off() {
    let (_a, b) = packet::pair().unwrap();
    interrupted(|| {
        let (start, limit) = (Instant::now(), Duration::from_millis(100));
        packet::recv(&b, Some(start + limit)).unwrap_err();
        assert!(start.elapsed() >= limit);
        assert!(start.elapsed() < Duration::from_secs(20));
    });
}

#[test]
fn large_messages_are_whole() {
    let (a, b) = packet::pair().unwrap();
    interrupted(|| {
        for round in 0..5_u8 {
            let packed = pack(&(files(300), vec![round; 1 << 20])).unwrap();
            packet::send_packed(&a, &packed, None).unwrap();
            let (bytes, fds) = packet::recv(&b, None).unwrap().unwrap();
            let (files, numbers): (Vec<Fd<File>>, Vec<u8>) = unpack(&bytes, fds).unwrap();
            assert_eq!(files.len(), 300);
            assert!(numbers.len() == 1 << 20 && numbers.iter().all(|n| *n == round));
        }
    });
}

#[test]
fn local_descriptors_come_and_go() {
    interrupted(|| {
        for _ in 0..1000 {
            let local = LocalFd::new(OwnedFd::from(File::open("/dev/null").unwrap()));
            assert!(local.get().is_ok());
        }
    });
}
