//! What may lie in shared memory.

use std::sync::atomic::{
    AtomicBool, AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicIsize, AtomicU8, AtomicU16, AtomicU32,
    AtomicU64, AtomicUsize,
};

/// What may lie in shared memory: numbers, arrays of them, atomics, and by [`shared!`](crate::shared) your own plain
/// structs.
///
/// # Safety
///
/// - It holds no pointer, reference, descriptor or other thing that means something in one process only.
/// - It has no padding: whatever a process leaves there is read by others as bytes.
/// - Every pattern of bits is a valid value, zero among them, as a process may be killed in the middle of a store. (For
///   [`AtomicBool`]: every pattern that a live writer can leave.)
/// - Its alignment is at most 64.
/// - [`LOCK_FREE`](Shared::LOCK_FREE) and [`ANY_BYTES`](Shared::ANY_BYTES) are false, or true as they are described.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot lie in shared memory",
    note = "derive `bytemuck::Pod` for it and write `shared!({Self});`"
)]
pub unsafe trait Shared: Send + Sized + 'static {
    /// Whether it consists of atomics alone. Set it where you implement [`LockFree`] for a type of yours: an
    /// [`Array`](crate::Array) of it is usable in forked children then.
    const LOCK_FREE: bool = false;

    /// Whether any bytes are a value of it, whoever wrote them: true of numbers and atomic numbers, not of
    /// [`AtomicBool`]. Set it where you implement [`LockFree`] for a type of yours, so that
    /// [`SharedMemory`](crate::SharedMemory::atomic) takes it.
    const ANY_BYTES: bool = false;
}

/// Plain data: it is reached only under a lock.
///
/// # Safety
///
/// As for [`Shared`], and it has no interior mutability.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not plain data that can lie in shared memory under a lock",
    note = "derive `bytemuck::Pod` for it and write `shared!({Self});`"
)]
pub unsafe trait Plain: Shared + Copy {}

/// Atomics: they are reached at any time, without a lock.
///
/// # Safety
///
/// As for [`Shared`], and every field is atomic.
#[diagnostic::on_unimplemented(message = "`{Self}` can be reached in shared memory under a lock only")]
pub unsafe trait LockFree: Shared + Sync {}

macro_rules! plain {
    ($($t:ty)*) => {
        $(
            // SAFETY: a number: no pointer, no padding, any bits are one.
            unsafe impl Shared for $t {
                const ANY_BYTES: bool = true;
            }
            // SAFETY: as above.
            unsafe impl Plain for $t {}
        )*
    };
}

macro_rules! lock_free {
    ($any_bytes:literal: $($t:ty)*) => {
        $(
            // SAFETY: an atomic number, or an atomic bool to which no writer writes anything but 0 and 1.
            unsafe impl Shared for $t {
                const LOCK_FREE: bool = true;
                const ANY_BYTES: bool = $any_bytes;
            }
            // SAFETY: as above.
            unsafe impl LockFree for $t {}
        )*
    };
}

plain!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64);
lock_free!(true: AtomicU8 AtomicU16 AtomicU32 AtomicU64 AtomicUsize AtomicI8 AtomicI16 AtomicI32 AtomicI64 AtomicIsize);
lock_free!(false: AtomicBool);

// SAFETY: elements lie side by side, without padding between them.
unsafe impl<T: Shared, const N: usize> Shared for [T; N] {
    const LOCK_FREE: bool = T::LOCK_FREE;
    const ANY_BYTES: bool = T::ANY_BYTES;
}
// SAFETY: as above.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {}
// SAFETY: as above.
unsafe impl<T: LockFree, const N: usize> LockFree for [T; N] {}

/// Admits types of yours that are `bytemuck::Pod` to shared memory.
///
/// # Examples
///
/// ```
/// use bytemuck::{Pod, Zeroable};
/// use proc_shm::{Value, shared};
///
/// #[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
/// #[repr(C)]
/// struct Point {
///     x: f64,
///     y: f64,
/// }
/// shared!(Point);
///
/// let point = Value::new(Point { x: 1.0, y: 2.0 })?;
/// point.lock()?.y = 3.0;
/// assert_eq!(point.get(), Point { x: 1.0, y: 3.0 });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[macro_export]
macro_rules! shared {
    ($($t:ty),+ $(,)?) => {
        $(
            const _: fn() = || {
                fn is_pod<T: $crate::__bytemuck::Pod>() {}
                is_pod::<$t>();
            };
            // SAFETY: `Pod` is: no pointer, no padding, any bits are valid, no interior mutability.
            unsafe impl $crate::Shared for $t {}
            // SAFETY: as above.
            unsafe impl $crate::Plain for $t {}
        )+
    };
}

/// Tells types apart in the header of a region. Both sides are one program, so that a name is a type, or nearly: the size
/// and the alignment are in it too.
pub(crate) fn layout_of<T>() -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in std::any::type_name::<T>().bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash.rotate_left(20) ^ ((size_of::<T>() as u64) << 8) ^ align_of::<T>() as u64
}
