//! Tests for messages over a packet socket: bytes and descriptors arrive whole, in order, or not at all.
#![cfg(feature = "functions")]

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    thread,
    time::{Duration, Instant},
};

use proc_core::transfer::packet;

fn borrow(fds: &[OwnedFd]) -> Vec<BorrowedFd<'_>> {
    fds.iter().map(AsFd::as_fd).collect()
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 % 251) as u8).collect()
}

#[test]
fn smoke() {
    let (a, b) = packet::pair().unwrap();
    packet::send(&a, b"hello", &[], None).unwrap();
    let (bytes, fds) = packet::recv(&b, None).unwrap().unwrap();
    assert_eq!((&bytes[..], fds.len()), (&b"hello"[..], 0));
}

#[test]
fn every_size_arrives() {
    let (a, b) = packet::pair().unwrap();
    for len in [0, 1, 23, 24, 25, 4096, packet::INLINE - 1, packet::INLINE, packet::INLINE + 1, 8 << 20] {
        let sent = bytes(len);
        packet::send(&a, &sent, &[], None).unwrap();
        let (got, fds) = packet::recv(&b, None).unwrap().unwrap();
        assert!(got == sent, "{len}");
        assert!(fds.is_empty());
        assert!(got.capacity() <= 2 * len + 64, "a message of {len} bytes holds on to {}", got.capacity());
    }
}

#[test]
fn a_large_payload_does_not_wait_for_a_reader() {
    let (a, b) = packet::pair().unwrap();
    packet::send(&a, &bytes(8 << 20), &[], Some(Instant::now())).unwrap();
    drop(a);
    assert_eq!(packet::recv(&b, None).unwrap().unwrap().0.len(), 8 << 20);
    assert!(packet::recv(&b, None).unwrap().is_none());
}

#[test]
fn the_end_comes_after_all_messages() {
    let (a, b) = packet::pair().unwrap();
    for i in 0..10_u8 {
        packet::send(&a, &[i], &[], None).unwrap();
    }
    // Unread data at the closing end makes the kernel report a reset first.
    packet::send(&b, b"never read", &[], None).unwrap();
    drop(a);
    for i in 0..10 {
        assert_eq!(packet::recv(&b, None).unwrap().unwrap().0, [i]);
    }
    for _ in 0..3 {
        assert!(packet::recv(&b, None).unwrap().is_none());
    }
    let error = packet::send(&b, b"nobody", &[], None).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn a_deadline_is_kept_at_both_ends() {
    let (a, b) = packet::pair().unwrap();
    for limit in [Duration::ZERO, Duration::from_millis(30)] {
        let start = Instant::now();
        let error = packet::recv(&b, Some(start + limit)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(start.elapsed() >= limit);
    }
    let mut sent = 0;
    loop {
        match packet::send(&a, &bytes(5000), &[], Some(Instant::now())) {
            Ok(()) => sent += 1,
            Err(e) => {
                assert_eq!(e.kind(), io::ErrorKind::TimedOut);
                break;
            }
        }
    }
    let start = Instant::now();
    packet::send(&a, b"", &[], Some(start + Duration::from_millis(30))).unwrap_err();
    assert!(start.elapsed() >= Duration::from_millis(30));
    // What timed out was not sent, and disturbed nothing.
    drop(a);
    for _ in 0..sent {
        assert_eq!(packet::recv(&b, None).unwrap().unwrap().0.len(), 5000);
    }
    assert!(packet::recv(&b, None).unwrap().is_none());
}

#[test]
fn waits_for_a_slow_peer() {
    let (a, b) = packet::pair().unwrap();
    let sender = thread::spawn(move || {
        thread::sleep(Duration::from_millis(20));
        for i in 0..500_u32 {
            packet::send(&a, &bytes(i as usize * 100), &[], None).unwrap();
        }
    });
    for i in 0..500 {
        assert_eq!(packet::recv(&b, None).unwrap().unwrap().0.len(), i * 100);
    }
    sender.join().unwrap();
}

#[test]
fn any_number_of_descriptors_in_one_message() {
    let (a, b) = packet::pair().unwrap();
    for count in [1, 2, 251, 252, 253, 254, 300, 506, 507] {
        for len in [7, packet::INLINE + 1] {
            let (keep, other) = packet::pair().unwrap();
            // Alternately a socket and a file, so that a wrong order shows.
            let file = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
            let fds: Vec<_> =
                (0..count).map(|i| if i % 2 == 0 { other.as_fd() } else { file.as_fd() }).collect();
            packet::send(&a, &bytes(len), &fds, None).unwrap();
            let (got, fds) = packet::recv(&b, None).unwrap().unwrap();
            assert!(got == bytes(len), "{count} {len}");
            assert_eq!(fds.len(), count);
            for (i, fd) in fds.iter().enumerate() {
                assert_eq!(packet::send(fd, &[i as u8], &[], None).is_ok(), i % 2 == 0);
                if i % 2 == 0 {
                    assert_eq!(packet::recv(&keep, None).unwrap().unwrap().0, [i as u8]);
                }
            }
        }
    }
}

#[test]
fn sockets_with_small_buffers_carry_large_messages() {
    let (a, b) = packet::pair().unwrap();
    rustix::net::sockopt::set_socket_send_buffer_size(&a, 4096).unwrap();
    for len in [100, 10_000, packet::INLINE] {
        packet::send(&a, &bytes(len), &[], None).unwrap();
        assert!(packet::recv(&b, None).unwrap().unwrap().0 == bytes(len));
    }
    let fds: Vec<OwnedFd> = (0..300).map(|_| a.try_clone().unwrap()).collect();
    packet::send(&a, &bytes(10_000), &borrow(&fds), None).unwrap();
    assert_eq!(packet::recv(&b, None).unwrap().unwrap().1.len(), 300);
}
