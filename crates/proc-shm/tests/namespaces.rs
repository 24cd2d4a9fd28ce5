//! Tests for processes in another PID namespace: what is bound to thread ids is refused there, the rest works.

use std::{
    io::{Read, Write},
    os::fd::OwnedFd,
};

use proc_core::{
    Fork, Process, RemoteError,
    transfer::{Packed, pack, unpack},
};
use proc_shm::{Array, Barrier, Condvar, Event, Frozen, Mutex, RwLock, Semaphore, Value};
use rustix::thread::UnshareFlags;
use serde::de::DeserializeOwned;

proc_core::init_for_tests!();

#[test]
fn smoke() {
    let packed = pack(&Mutex::new(1).unwrap()).unwrap();
    assert_eq!(*unpack::<Mutex<i32>>(&packed.bytes, packed.fds).unwrap().lock().unwrap(), 1);
}

fn open<T: DeserializeOwned + 'static>(bytes: &[u8], fd: &OwnedFd) -> Result<T, String> {
    unpack(bytes, vec![fd.try_clone().unwrap()]).map_err(|e| e.to_string())
}

#[test]
fn locks_are_refused_and_the_rest_works() {
    /// What the process in the namespace finds wrong, or nothing.
    fn inside(packed: &[Packed]) -> Option<&'static str> {
        let at = |i: usize| (&*packed[i].bytes, &packed[i].fds[0]);
        fn refused<T: DeserializeOwned + 'static>((bytes, fd): (&[u8], &OwnedFd)) -> bool {
            open::<T>(bytes, fd).is_err_and(|e| e.contains("namespace"))
        }
        if !(refused::<Mutex<i32>>(at(0)) && refused::<Value<i32>>(at(1)) && refused::<Array<i32>>(at(2))) {
            return Some("data with a lock was not refused");
        }
        if !(refused::<RwLock<i32>>(at(3)) && refused::<Semaphore>(at(4)) && refused::<Barrier>(at(5))) {
            return Some("a lock was not refused");
        }
        let Ok(event) = open::<Event>(at(6).0, at(6).1) else { return Some("the event was refused") };
        event.set();
        let Ok(frozen) = open::<Frozen<[i32]>>(at(7).0, at(7).1) else { return Some("the data was refused") };
        if *frozen != [1, 2, 3] {
            return Some("the data is not there");
        }
        let Ok(condvar) = open::<Condvar>(at(8).0, at(8).1) else { return Some("the condvar was refused") };
        condvar.notify_all();
        // What is made here works here, even though /proc is still that of the other namespace.
        let own = (Mutex::new(1).ok()?, Semaphore::new(1).ok()?, Barrier::new(1).ok()?);
        let permit = own.1.acquire().ok()?;
        let locked = own.0.lock().is_ok() && own.1.try_acquire().ok()?.is_none() && own.2.wait().is_ok();
        drop(permit);
        if !locked {
            return Some("what was made inside does not work");
        }
        None
    }
    fn outside(_: ()) -> Result<String, RemoteError> {
        let event = Event::new()?;
        let packed = [
            pack(&Mutex::new(1)?).unwrap(),
            pack(&Value::new(1)?).unwrap(),
            pack(&Array::<i32>::zeroed(1)?).unwrap(),
            pack(&RwLock::new(1)?).unwrap(),
            pack(&Semaphore::new(1)?).unwrap(),
            pack(&Barrier::new(1)?).unwrap(),
            pack(&event).unwrap(),
            pack(&Frozen::new(&[1, 2, 3])?).unwrap(),
            pack(&Condvar::new()?).unwrap(),
        ];
        // SAFETY: the process has one thread.
        let unshared =
            unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWPID) };
        if let Err(e) = unshared {
            return Ok(format!("no namespace: {e}"));
        }
        let (mut read, mut write) = std::os::unix::net::UnixStream::pair()?;
        // SAFETY: the process has one thread.
        match unsafe { proc_core::fork()? } {
            Fork::Child => {
                let answer = std::panic::catch_unwind(|| inside(&packed)).unwrap_or(Some("it panicked"));
                write.write_all(answer.unwrap_or("all is well").as_bytes()).unwrap();
                std::process::exit(0);
            }
            Fork::Parent(child) => {
                drop(write);
                let mut answer = String::new();
                read.read_to_string(&mut answer)?;
                child.join()?;
                assert!(event.is_set());
                Ok(answer)
            }
        }
    }
    let answer = Process::spawn(outside, ()).unwrap().join().unwrap().unwrap();
    if answer.starts_with("no namespace") {
        eprintln!("this system lets nobody make a PID namespace, so nothing was seen: {answer}");
    } else {
        assert_eq!(answer, "all is well");
    }
}
