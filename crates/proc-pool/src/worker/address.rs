//! The address of a function of any type as data.
//!
//! [`Func`] carries functions of one argument and gives no pointer out. Here functions of two arguments cross, and of
//! references. So the address crosses as the distance from a function of this crate, and three [`Func`]s ride along
//! for the check that both lie in the program's own image and that it is the same image over there.

use proc_core::Func;
use serde::{Deserialize, Serialize};

/// Where a function is, for another process of the same image.
#[derive(Serialize, Deserialize)]
pub(crate) struct Address {
    target: Func<Opaque, ()>,
    anchor: Func<Opaque, ()>,
    distance: i64,
    types: String,
}

/// Stands for the arguments of a function that is never called by this type.
pub(crate) struct Opaque(());

fn anchor(_: Opaque) {}

impl Address {
    /// The place of a function pointer of type `F`.
    pub(crate) fn of<F>(pointer: *const ()) -> Address {
        let here = anchor as fn(Opaque) as usize;
        Address {
            target: opaque(pointer),
            anchor: Func::new(anchor),
            distance: (pointer as usize).wrapping_sub(here) as i64,
            types: std::any::type_name::<F>().to_owned(),
        }
    }

    /// The pointer here.
    ///
    /// # Errors
    /// It was made for another type.
    pub(crate) fn pointer<F>(&self) -> Result<*const (), String> {
        if self.types != std::any::type_name::<F>() {
            return Err("the function has other types than the ones it was sent with".into());
        }
        let here = anchor as fn(Opaque) as usize;
        Ok(here.wrapping_add(self.distance as usize) as *const ())
    }
}

/// A function that may be kept whatever its type says of lifetimes: a pointer to code is good for ever, but the compiler
/// takes it to live as long as the types that it names.
pub(crate) fn lasting<A, R>(f: fn(A) -> R) -> impl FnOnce(A) -> R + Send + 'static {
    // SAFETY: all function pointers have one size, and this one is not called by this type.
    let kept = unsafe { std::mem::transmute::<fn(A) -> R, fn()>(f) };
    move |arg| {
        // SAFETY: `kept` was made of a pointer of this very type.
        let f = unsafe { std::mem::transmute::<fn(), fn(A) -> R>(kept) };
        f(arg)
    }
}

fn opaque(pointer: *const ()) -> Func<Opaque, ()> {
    // SAFETY: all function pointers have one size, and this one is never called: it only names a place.
    Func::new(unsafe { std::mem::transmute::<*const (), fn(Opaque)>(pointer) })
}
