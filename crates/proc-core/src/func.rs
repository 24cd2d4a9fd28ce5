//! A function as a value that crosses.

use crate::family;
use crate::image::{self, Code, ImageId};
use crate::transfer;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use std::fmt;

/// A function as a value that crosses to another process of the same program: a framework sends its user's function
/// along with the data, and calls it there.
///
/// What crosses is the function's place in the executable, with the executable's identity, a hash of the types, and a
/// mark that only processes of one family can make: a process that was started by no other of this program, and all that
/// it started, directly or not. The other side refuses what doesn't match, so bytes that somebody made up never become a
/// function. It serialises only inside a transfer (an argument, a result, a message): a file would outlive the program
/// that the place belongs to.
///
/// ```
/// use proc_core::{Func, Process};
///
/// fn double(x: u32) -> u32 { x * 2 }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// proc_core::init();
/// let p = Process::spawn(|(f, x): (Func<u32, u32>, u32)| f.call(x), (Func::new(double), 21))?;
/// assert_eq!(p.join()?, 42);
/// # Ok(())
/// # }
/// ```
pub struct Func<A, R>(fn(A) -> R);

impl<A, R> Func<A, R> {
    /// Wraps a function or a closure without captures.
    pub fn new(f: fn(A) -> R) -> Self {
        Func(f)
    }

    /// Calls it.
    pub fn call(self, arg: A) -> R {
        (self.0)(arg)
    }
}

impl<A, R> Clone for Func<A, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A, R> Copy for Func<A, R> {}

impl<A, R> fmt::Debug for Func<A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Func<{}>", std::any::type_name::<fn(A) -> R>())
    }
}

#[derive(Serialize, Deserialize)]
struct Wire {
    image: ImageId,
    code: Code,
    types: u64,
    mark: u64,
}

impl<A: 'static, R: 'static> Serialize for Func<A, R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !transfer::is_active() {
            return Err(ser::Error::custom(
                "a function crosses only to another process, not into other data",
            ));
        }
        let wire = || {
            let (code, types) = (Code::of(self.0 as *const ())?, image::types_hash::<A, R>());
            Ok(Wire { image: image::id()?.clone(), code, types, mark: family::mark(code.offset(), types) })
        };
        wire().map_err(|e: image::ImageError| ser::Error::custom(e))?.serialize(serializer)
    }
}

impl<'de, A: 'static, R: 'static> Deserialize<'de> for Func<A, R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !transfer::is_active() {
            return Err(de::Error::custom(
                "a function crosses only from another process, not out of other data",
            ));
        }
        let wire = Wire::deserialize(deserializer)?;
        if image::own_id().map_err(de::Error::custom)? != &wire.image {
            return Err(de::Error::custom(image::ImageError::Other));
        }
        if wire.types != image::types_hash::<A, R>() {
            return Err(de::Error::custom("the function has other types than the ones it was sent with"));
        }
        let address = wire.code.address().map_err(de::Error::custom)?;
        if wire.mark != family::mark(wire.code.offset(), wire.types) {
            return Err(de::Error::custom("no process of this family has sent this function"));
        }
        // SAFETY: the mark says that a process of this family made it from a `Func` of these same types (by their ids, and
        // without lifetimes, as both are 'static) at this offset of this same image (same identity).
        Ok(Func(unsafe { std::mem::transmute::<*const (), fn(A) -> R>(address) }))
    }
}
