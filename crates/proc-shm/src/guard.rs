//! Guards: access to what a lock guards.

use std::{
    fmt,
    marker::PhantomData,
    ops::{Deref, DerefMut},
    ptr::NonNull,
};

use crate::held::Held;

/// Access to the data of a [`Mutex`](crate::Mutex), an [`Array`](crate::Array) or a part of one; dropping it unlocks.
///
/// It is bound to the thread that locked. A guard that is leaked keeps the lock until its thread ends, which then counts
/// as the owner's death. A child forked while a guard is held has neither the lock nor the memory, and dropping the guard
/// there does nothing.
///
/// # Panics
///
/// Any use of the data in a forked child that has inherited the guard, here and with the other guards: what is mapped there
/// now may be anything.
///
/// # Examples
///
/// A guard can be narrowed to a part of the data:
///
/// ```
/// use proc_shm::{Guard, Mutex};
///
/// let table = Mutex::new([[0_u8; 4]; 3])?;
/// let mut row = Guard::map(table.lock()?, |table| &mut table[1]);
/// row.fill(7);
/// drop(row);
/// assert_eq!(table.lock()?[1], [7; 4]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "if it is not used, the lock is given up at once"]
pub struct Guard<'a, T: ?Sized> {
    data: NonNull<T>,
    held: Held<'a>,
    mutable: PhantomData<&'a mut T>,
}

/// Access to a part of the data of a lock, made by the `map` of a guard; dropping it unlocks.
#[must_use = "if it is not used, the lock is given up at once"]
pub struct MappedGuard<'a, T: ?Sized> {
    data: NonNull<T>,
    held: Held<'a>,
    mutable: PhantomData<&'a mut T>,
}

impl<'a, T: ?Sized> Guard<'a, T> {
    /// # Safety
    ///
    /// `held` guards `data`, which is mapped for `'a` and reached by others under the same lock only.
    #[inline(always)]
    pub(crate) unsafe fn new(held: Held<'a>, data: NonNull<T>) -> Guard<'a, T> {
        Guard { data, held, mutable: PhantomData }
    }

    /// Unlocks while `wait` runs.
    pub(crate) fn unlocked(self, wait: impl FnOnce()) -> Result<Guard<'a, T>, crate::LockError> {
        let data = self.data;
        self.held.unlocked(wait).map(|held| Guard { data, held, mutable: PhantomData })
    }
}

/// Access to the data of an [`RwLock`](crate::RwLock), alone; dropping it unlocks.
///
/// It is bound to its thread, as a [`Guard`] is.
#[must_use = "if it is not used, the lock is given up at once"]
pub struct WriteGuard<'a, T: ?Sized> {
    data: NonNull<T>,
    held: Held<'a>,
    mutable: PhantomData<&'a mut T>,
}

/// Access to the data of an [`RwLock`](crate::RwLock), together with other readers; dropping it unlocks.
///
/// It is bound to its thread, as a [`Guard`] is.
#[must_use = "if it is not used, the lock is given up at once"]
pub struct ReadGuard<'a, T: ?Sized> {
    data: NonNull<T>,
    held: Held<'a>,
    shared: PhantomData<&'a T>,
}

/// Access to a part of the data of an [`RwLock`](crate::RwLock), made by [`ReadGuard::map`]; dropping it unlocks.
#[must_use = "if it is not used, the lock is given up at once"]
pub struct MappedReadGuard<'a, T: ?Sized> {
    data: NonNull<T>,
    held: Held<'a>,
    shared: PhantomData<&'a T>,
}

impl<'a, T: ?Sized> WriteGuard<'a, T> {
    /// # Safety
    ///
    /// As for [`Guard::new`].
    #[inline(always)]
    pub(crate) unsafe fn new(held: Held<'a>, data: NonNull<T>) -> WriteGuard<'a, T> {
        WriteGuard { data, held, mutable: PhantomData }
    }
}

impl<'a, T: ?Sized> ReadGuard<'a, T> {
    /// # Safety
    ///
    /// `held` keeps everybody from changing `data`, which is mapped for `'a`.
    #[inline(always)]
    pub(crate) unsafe fn new(held: Held<'a>, data: NonNull<T>) -> ReadGuard<'a, T> {
        ReadGuard { data, held, shared: PhantomData }
    }
}

macro_rules! shared_access {
    ($guard:ident) => {
        impl<'a, T: ?Sized> $guard<'a, T> {
            /// Narrows the guard to a part of the data. It is an associated function, as a method would hide one of the
            /// data's.
            #[inline]
            pub fn map<U: ?Sized>(guard: Self, part: impl FnOnce(&T) -> &U) -> MappedReadGuard<'a, U> {
                guard.held.assert_here();
                // SAFETY: as in `deref`; the result lives in the data, or for ever.
                let data = NonNull::from(part(unsafe { guard.data.as_ref() }));
                MappedReadGuard { data, held: guard.held, shared: PhantomData }
            }

            /// Narrows the guard to a part of the data, if there is one; else it gives the guard back.
            ///
            /// # Errors
            ///
            /// `part` returned `None`.
            #[inline]
            pub fn filter_map<U: ?Sized>(
                guard: Self,
                part: impl FnOnce(&T) -> Option<&U>,
            ) -> Result<MappedReadGuard<'a, U>, Self> {
                guard.held.assert_here();
                // SAFETY: as in `map`.
                match part(unsafe { guard.data.as_ref() }).map(NonNull::from) {
                    Some(data) => Ok(MappedReadGuard { data, held: guard.held, shared: PhantomData }),
                    None => Err(guard),
                }
            }
        }
    };
}

shared_access!(ReadGuard);
shared_access!(MappedReadGuard);

macro_rules! access {
    ($guard:ident) => {
        impl<'a, T: ?Sized> $guard<'a, T> {
            /// Narrows the guard to a part of the data. It is an associated function, as a method would hide one of the
            /// data's.
            #[inline]
            pub fn map<U: ?Sized>(guard: Self, part: impl FnOnce(&mut T) -> &mut U) -> MappedGuard<'a, U> {
                let $guard { mut data, held, .. } = guard;
                held.assert_here();
                // SAFETY: as in `deref_mut`; the result lives in the data, or for ever.
                let data = NonNull::from(part(unsafe { data.as_mut() }));
                MappedGuard { data, held, mutable: PhantomData }
            }

            /// Narrows the guard to a part of the data, if there is one; else it gives the guard back.
            ///
            /// # Errors
            ///
            /// `part` returned `None`.
            #[inline]
            pub fn filter_map<U: ?Sized>(
                guard: Self,
                part: impl FnOnce(&mut T) -> Option<&mut U>,
            ) -> Result<MappedGuard<'a, U>, Self> {
                let mut whole = guard.data;
                guard.held.assert_here();
                // SAFETY: as in `map`.
                match part(unsafe { whole.as_mut() }).map(NonNull::from) {
                    Some(data) => Ok(MappedGuard { data, held: guard.held, mutable: PhantomData }),
                    None => Err(guard),
                }
            }
        }

        impl<T: ?Sized> DerefMut for $guard<'_, T> {
            #[inline]
            fn deref_mut(&mut self) -> &mut T {
                self.held.assert_here();
                // SAFETY: as in `deref`.
                unsafe { self.data.as_mut() }
            }
        }
    };
}

access!(Guard);
access!(WriteGuard);
access!(MappedGuard);

macro_rules! look {
    ($($guard:ident)*) => {$(
        impl<T: ?Sized> Deref for $guard<'_, T> {
            type Target = T;

            #[inline]
            fn deref(&self) -> &T {
                self.held.assert_here();
                // SAFETY: the lock is held, so nobody changes it, and the memory is mapped: this is the process that locked.
                unsafe { self.data.as_ref() }
            }
        }

        // SAFETY: a shared guard gives shared access to the data, and the lock can't be given up through it.
        unsafe impl<T: ?Sized + Sync> Sync for $guard<'_, T> {}

        impl<T: ?Sized + fmt::Debug> fmt::Debug for $guard<'_, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&**self, f)
            }
        }

        impl<T: ?Sized + fmt::Display> fmt::Display for $guard<'_, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&**self, f)
            }
        }
    )*};
}

look!(Guard WriteGuard MappedGuard ReadGuard MappedReadGuard);
