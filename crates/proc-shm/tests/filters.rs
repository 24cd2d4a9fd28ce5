//! Tests for a process that may not ask the system whether others live: what it can't learn it takes for alive.

mod common;

use std::{thread, time::Duration};

use common::{LONG, eventually};
use proc_core::{Process, RemoteError};
use proc_shm::{Event, LockError, Mutex, Semaphore};

proc_core::init_for_tests!();

/// From here on `tkill` fails in this process, as under a filter that does not know it.
fn without_tkill(errno: i32) {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut filter = [
        // The number of the call is the first word.
        step(LOAD, 0, 0, 0),
        step(EQUAL, 0, 1, libc::SYS_tkill as u32),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | errno as u32),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the program is there during the call, and the kernel copies it.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program), 0);
    }
}

#[test]
fn smoke() {
    let child = Process::spawn(
        |()| {
            without_tkill(libc::ENOSYS);
            *Mutex::new(1).unwrap().lock().unwrap()
        },
        (),
    );
    assert_eq!(child.unwrap().join().unwrap(), 1);
}

#[test]
fn a_lock_is_not_taken_from_somebody_who_lives() {
    for errno in [libc::ENOSYS, libc::EPERM, libc::EAGAIN] {
        let (lock, started) = (Mutex::new(1).unwrap(), Event::new().unwrap());
        let guard = lock.lock().unwrap();
        let child = Process::spawn(
            |(lock, started, errno): (Mutex<i32>, Event, i32)| -> Result<bool, LockError> {
                without_tkill(errno);
                started.set();
                // Longer than a sleeper takes to look at the owner.
                Ok(lock.lock_timeout(Duration::from_millis(700))?.is_some())
            },
            (lock.clone(), started.clone(), errno),
        )
        .unwrap();
        assert!(started.wait_timeout(LONG).unwrap());
        assert_eq!(child.join().unwrap(), Ok(false), "{errno}");
        drop(guard);
        assert!(!lock.is_poisoned());
    }
}

#[test]
fn permits_of_the_living_stay_theirs() {
    let (semaphore, got) = (Semaphore::new(1).unwrap(), Event::new().unwrap());
    let permit = semaphore.acquire().unwrap();
    let child = Process::spawn(
        |(semaphore, got): (Semaphore, Event)| -> Result<(), RemoteError> {
            without_tkill(libc::ENOSYS);
            let early = semaphore.acquire_timeout(Duration::from_millis(700))?;
            assert!(early.is_none());
            got.set();
            drop(semaphore.acquire()?);
            Ok(())
        },
        (semaphore.clone(), got.clone()),
    )
    .unwrap();
    assert!(got.wait_timeout(LONG).unwrap());
    thread::sleep(Duration::from_millis(1));
    drop(permit);
    child.join().unwrap().unwrap();
    eventually("the return of the permit", || semaphore.available() == 1);
}
