//! Tests for an array that can't be parted as it was asked to be.

use proc_shm::{Array, LockError};

#[test]
fn smoke() {
    let parts = Array::from_slice(&[1_u8, 2, 3]).unwrap().parts(2);
    assert_eq!(
        parts.iter().map(|part| part.lock().unwrap().to_vec()).collect::<Vec<_>>(),
        [vec![1, 2], vec![3]]
    );
}

#[test]
fn parts_that_there_are_not_say_so_when_they_are_locked() {
    let array = Array::<u8>::zeroed(3).unwrap();
    let parts = array.parts(4);
    assert_eq!(parts.len(), 4, "as many as were asked for");
    for part in &parts {
        assert!(part.is_empty());
        assert_eq!(part.lock().unwrap_err(), LockError::NoSuchParts);
        assert_eq!(part.try_lock().unwrap_err(), LockError::NoSuchParts);
        assert!(proc_core::transfer::pack(part).is_err(), "nor do they cross");
    }
    assert!(array.parts(0).is_empty());
    assert!(
        array.parts(usize::MAX).iter().all(|part| part.lock().is_err()),
        "and the memory for them is bounded"
    );
    assert!(array.try_parts(4).is_err() && array.try_parts(0).is_err());
}

#[test]
fn an_array_is_parted_once() {
    let array = Array::<u8>::zeroed(8).unwrap();
    assert!(array.parts(2).iter().all(|part| part.lock().is_ok()));
    assert!(array.parts(4).iter().all(|part| part.lock().is_err()));
    assert!(array.parts(2).iter().all(|part| part.lock().is_ok()), "the ones there were");
}
