//! Tests for what every public type has: `Send` or not, `Debug`, errors that read well and cross.

use std::{error::Error, io};

use proc_core::{
    RemoteError,
    transfer::{pack, unpack},
};
use proc_shm::{
    Array, Barrier, BarrierError, Condvar, Event, Frozen, Guard, LockError, MappedGuard, Mutex, Part, Permit,
    ReadGuard, RecursiveGuard, RecursiveMutex, RwLock, Semaphore, SharedMemory, Value, ValueGuard,
    WriteGuard,
    raw::{Bell, Section, SectionGuard, UserLock, UserLockError},
    region::{Region, RegionError, RegionOptions},
};

#[test]
fn smoke() {
    fn is_error<E: Error + Send + Sync + Clone + Into<io::Error> + 'static>() {}
    is_error::<LockError>();
    is_error::<BarrierError>();
    is_error::<RegionError>();
}

#[test]
fn handles_go_everywhere_and_guards_stay() {
    fn goes<T: Send + Sync + std::fmt::Debug>() {}
    goes::<Value<u8>>();
    goes::<Value<std::sync::atomic::AtomicU8>>();
    goes::<Array<u8>>();
    goes::<Part<u8>>();
    goes::<Mutex<u8>>();
    goes::<RecursiveMutex<u8>>();
    goes::<RwLock<u8>>();
    goes::<Semaphore>();
    goes::<Permit<'_>>();
    goes::<Condvar>();
    goes::<Event>();
    goes::<Barrier>();
    goes::<Frozen<[u8]>>();
    goes::<SharedMemory>();
    goes::<Region>();
    goes::<RegionOptions>();
    goes::<Section>();
    goes::<UserLock>();
    goes::<Bell>();

    // A type that is `Send` makes the call below ambiguous.
    trait Stays<A> {
        fn here() {}
    }
    impl<T: ?Sized> Stays<()> for T {}
    impl<T: ?Sized + Send> Stays<u8> for T {}
    <Guard<'_, u8> as Stays<_>>::here();
    <MappedGuard<'_, u8> as Stays<_>>::here();
    <ReadGuard<'_, u8> as Stays<_>>::here();
    <WriteGuard<'_, u8> as Stays<_>>::here();
    <ValueGuard<'_, u8> as Stays<_>>::here();
    <RecursiveGuard<'_, u8> as Stays<_>>::here();
    <SectionGuard<'_> as Stays<_>>::here();
}

#[test]
fn errors_read_well_and_cross() {
    for error in [
        LockError::OwnerDied,
        LockError::Deadlock,
        LockError::TooMany,
        LockError::AboveBound,
        LockError::NotInherited,
    ] {
        let text = error.to_string();
        assert!(!text.is_empty() && !text.ends_with('.') && text.starts_with(char::is_lowercase), "{text}");
        // `main` prints this one.
        assert_eq!(format!("{error:?}"), text);
        let packed = pack(&error).unwrap();
        assert_eq!(unpack::<LockError>(&packed.bytes, packed.fds).unwrap(), error);
        assert_eq!(RemoteError::from(error).to_string(), text);
        assert_eq!(io::Error::from(error).to_string(), text);
    }
    assert_eq!(io::Error::from(LockError::Deadlock).kind(), io::ErrorKind::Deadlock);
    assert_eq!(io::Error::from(LockError::NotInherited).kind(), io::ErrorKind::Unsupported);
    for error in [BarrierError::Broken, BarrierError::TooMany, BarrierError::NotInherited] {
        assert_eq!(format!("{error:?}"), error.to_string());
        assert_eq!(RemoteError::from(error).to_string(), io::Error::from(error).to_string());
    }
    assert_eq!(io::Error::from(RegionError::Namespace).kind(), io::ErrorKind::Unsupported);
    assert_eq!(io::Error::from(RegionError::Foreign).kind(), io::ErrorKind::InvalidData);
    assert!(!UserLockError::TooMany.to_string().is_empty());
}

#[test]
fn debug_shows_what_matters_and_never_waits() {
    let mutex = Mutex::new(5).unwrap();
    assert_eq!(format!("{mutex:?}"), "Mutex { data: 5 }");
    let guard = mutex.lock().unwrap();
    let shown = std::thread::scope(|s| s.spawn(|| format!("{mutex:?}")).join().unwrap());
    assert_eq!(shown, "Mutex { data: <locked> }");
    drop(guard);
    assert!(format!("{:?}", Array::from_slice(&[1_u8]).unwrap()).contains("len: 1"));
    assert!(format!("{:?}", Frozen::new(&[1_u8]).unwrap()).contains("len: 1"));
    assert!(format!("{:?}", Semaphore::new(3).unwrap()).contains("available: 3"));
    assert!(format!("{:?}", Barrier::new(3).unwrap()).contains("parties: 3"));
    assert!(format!("{:?}", RegionOptions::new(1).create(10).unwrap()).contains("len: 10"));
}
