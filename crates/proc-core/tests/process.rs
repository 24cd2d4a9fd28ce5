//! Tests for processes by each start method, beside the conformance suite.
#![cfg(feature = "functions")]

use proc_core::{Func, JoinError, Process, StartMethod, Zygote};

proc_core::init_for_tests!();

#[test]
fn smoke() {
    let p = Process::spawn(|(a, b): (u32, u32)| a + b, (20, 22)).unwrap();
    assert_eq!(p.join().unwrap(), 42);
}

#[test]
fn zygote_smoke() {
    let p = Process::builder().start_method(StartMethod::Zygote).spawn(|x: u32| x * 2, 21).unwrap();
    assert_eq!(p.join().unwrap(), 42);
    let z = Zygote::preload(|n: u32| vec![n; 1000], 7).unwrap();
    let p = z.spawn(|v: &'static Vec<u32>, i: usize| v[i], 3).unwrap();
    assert_eq!(p.join().unwrap(), 7);
}

#[test]
fn fork_smoke() {
    let p = Process::spawn(
        |()| {
            let x = 41;
            Process::fork(|| x + 1).unwrap().join().unwrap()
        },
        (),
    );
    assert_eq!(p.unwrap().join().unwrap(), 42);
}

#[test]
fn panic_has_message_and_place() {
    let p = Process::spawn(|x: u32| -> u32 { panic!("boom {x}") }, 1).unwrap();
    match p.join() {
        Err(JoinError::Panicked(p)) => {
            assert_eq!(p.message, "boom 1");
            assert!(p.location.unwrap().contains("process.rs:"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn func_crosses() {
    let p =
        Process::spawn(|(f, x): (Func<u32, u32>, u32)| f.call(x), (Func::new(|x: u32| x + 1), 1)).unwrap();
    assert_eq!(p.join().unwrap(), 2);
}
