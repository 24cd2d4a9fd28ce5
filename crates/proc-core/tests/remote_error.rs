//! Tests for the error that crosses: text, causes, kind and code are there on the other side.
#![cfg(feature = "functions")]

use std::{error::Error, fmt, io};

use proc_core::{
    RemoteError,
    transfer::{pack, unpack},
};

#[derive(Debug)]
struct Outer(io::Error);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot load the table")
    }
}

impl Error for Outer {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

fn cross(error: &RemoteError) -> RemoteError {
    let packed = pack(error).unwrap();
    let there = unpack(&packed.bytes, packed.fds).unwrap();
    assert_eq!(error, &there);
    there
}

#[test]
fn smoke() {
    let error = cross(&RemoteError::from("no such table"));
    assert_eq!(error.to_string(), "no such table");
    assert_eq!(error.chain().count(), 0);
    assert_eq!(error.io_kind(), None);
    assert_eq!(format!("{error:?}"), "no such table");
}

#[test]
fn causes_and_codes_cross() {
    let error = cross(&RemoteError::new(Outer(io::Error::from_raw_os_error(2))));
    assert_eq!(error.to_string(), "cannot load the table");
    assert_eq!(error.chain().collect::<Vec<_>>(), ["No such file or directory (os error 2)"]);
    assert_eq!(error.io_kind(), Some(io::ErrorKind::NotFound));
    assert_eq!(error.raw_os_error(), Some(2));
    assert!(error.debug().starts_with("Outer(Os { code: 2"), "{}", error.debug());
    assert_eq!(error.source().unwrap().to_string(), "No such file or directory (os error 2)");
    assert!(error.source().unwrap().source().is_none());
}

#[test]
fn reads_well_from_main() {
    let error = RemoteError::new(Outer(io::Error::other("disk\non fire")));
    assert_eq!(format!("{error:?}"), "cannot load the table\n\nCaused by:\n    disk\n    on fire");
}

#[test]
fn every_kind_without_a_code_crosses() {
    use io::ErrorKind as K;
    for kind in [
        K::Other,
        K::NotFound,
        K::PermissionDenied,
        K::ConnectionReset,
        K::BrokenPipe,
        K::AlreadyExists,
        K::WouldBlock,
        K::InvalidInput,
        K::InvalidData,
        K::TimedOut,
        K::WriteZero,
        K::Interrupted,
        K::Unsupported,
        K::UnexpectedEof,
        K::OutOfMemory,
        K::StorageFull,
        K::CrossesDevices,
    ] {
        let error = cross(&RemoteError::from(io::Error::new(kind, "text")));
        assert_eq!(error.io_kind(), Some(kind));
        assert_eq!(error.raw_os_error(), None);
        let back = io::Error::from(error);
        assert_eq!((back.kind(), back.to_string()), (kind, "text".to_string()));
    }
}

#[test]
fn an_error_that_crossed_twice_is_still_itself() {
    let first = RemoteError::new(Outer(io::Error::from_raw_os_error(13)));
    let boxed: Box<dyn Error + Send + Sync> = Box::new(first.clone());
    assert_eq!(RemoteError::from(boxed), first);
    assert_eq!(RemoteError::new(cross(&first)), first);
    let through_io = RemoteError::from(io::Error::from(first.clone()));
    assert_eq!(through_io.to_string(), first.to_string());
    assert_eq!(through_io.chain().collect::<Vec<_>>(), first.chain().collect::<Vec<_>>());
    assert_eq!(through_io.io_kind(), first.io_kind());
}

#[test]
fn a_chain_without_end_is_cut() {
    #[derive(Debug)]
    struct Endless;
    impl fmt::Display for Endless {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("again")
        }
    }
    impl Error for Endless {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(self)
        }
    }
    assert_eq!(cross(&RemoteError::new(Endless)).chain().count(), 32);
}

#[test]
fn made_by_a_question_mark() {
    fn all(n: u8) -> Result<(), RemoteError> {
        match n {
            0 => drop("x".parse::<u8>()?),
            1 => drop("x".parse::<f32>()?),
            2 => drop(u8::try_from(300)?),
            3 => drop(std::str::from_utf8(&[n + 0xfc])?.len()),
            4 => drop(String::from_utf8(vec![0xff])?),
            5 => drop(std::env::var("PROC_CORE_HAS_NO_SUCH_VARIABLE")?),
            6 => drop(std::fs::read("/no/such/file")?),
            7 => Err("text")?,
            8 => Err(format!("text {n}"))?,
            9 => Err(Box::<dyn Error + Send + Sync>::from("boxed"))?,
            10 => drop(pack(&(0..3).collect::<std::collections::LinkedList<_>>())?),
            11 => unpack::<()>(&[1], Vec::new())?,
            _ => {}
        }
        Ok(())
    }
    for n in (0..12).filter(|n| *n != 10) {
        let error = all(n).unwrap_err();
        assert!(!error.to_string().is_empty(), "{n}");
    }
    all(10).unwrap();
    all(12).unwrap();
}

#[test]
fn can_be_sent_between_threads() {
    fn sent<T: Send + Sync + 'static>() {}
    sent::<RemoteError>();
    sent::<proc_core::transfer::PackError>();
    sent::<proc_core::transfer::UnpackError>();
    sent::<proc_core::transfer::Packed>();
    sent::<proc_core::inherit::NotInherited>();
    sent::<proc_core::inherit::LocalFd>();
    sent::<proc_core::Fd<std::fs::File>>();
}
