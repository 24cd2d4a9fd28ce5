//! What a zygote is started with: the function that runs first in it, and what its children see of the value.

use super::server;
use crate::func::Func;
use crate::message::Message;
use crate::process::Reply;
use crate::start::{panics, work};
use crate::sys::threads;
use crate::transfer::{self, Packed};
use std::any::TypeId;
use std::sync::OnceLock;
use std::time::Duration;

/// How long the threads of a preload function may take to end after it has returned.
const THREAD_PATIENCE: Duration = Duration::from_millis(100);

/// What `preload` made, of the type that the zygote was started for. It is leaked: children refer to it for ever.
static PRELOADED: OnceLock<Preloaded> = OnceLock::new();

struct Preloaded {
    kind: TypeId,
    value: *mut (),
}

// SAFETY: the value is read only by processes with one thread at the time (a zygote's children before user code), and
// through a shared reference afterwards, which the child's own function decides what to do with.
unsafe impl Send for Preloaded {}
// SAFETY: as above.
unsafe impl Sync for Preloaded {}

/// The zygote's life.
///
/// # Safety
/// None of its own: the target is not used.
pub(super) unsafe fn zygote_entry<P: Message, M: 'static>(
    _target: *const (),
    types: u64,
    packed: Packed,
) -> Reply {
    if let Some(refused) = work::refuse_types::<(Func<P, M>, P), M>(types) {
        return refused;
    }
    let preload = || {
        let (f, arg) = transfer::unpack::<(Func<P, M>, P)>(&packed.bytes, packed.fds)
            .map_err(|e| format!("the preload argument could not be decoded: {e}"))?;
        let value = Box::into_raw(Box::new(f.call(arg)));
        let _ = PRELOADED.set(Preloaded { kind: TypeId::of::<M>(), value: value.cast() });
        Ok(())
    };
    match panics::catch(preload) {
        Err(panic) => return Reply::Panicked(panic),
        Ok(Err(why)) => return Reply::Refused(why),
        Ok(Ok(())) => {}
    }
    match threads::settled(THREAD_PATIENCE) {
        Ok(1) => {}
        Ok(n) => {
            return Reply::Refused(format!(
                "the preload function left {} threads running in the zygote",
                n - 1
            ));
        }
        Err(e) => return Reply::Refused(format!("the zygote's threads could not be counted: {e}")),
    }
    match panics::link() {
        Some(control) => server::serve(control),
        None => return Reply::Refused("the zygote has no link to its parent".into()),
    }
    // Only after the last child, and with nobody left to hear it.
    Reply::Ready
}

/// The entry of a process that a zygote forks.
///
/// # Safety
/// `target` is a `fn(&'static M, A) -> R`.
pub(super) unsafe fn preloaded_entry<M: 'static, A: Message, R: Message>(
    target: *const (),
    types: u64,
    packed: Packed,
) -> Reply {
    if let Some(refused) = work::refuse_types::<A, R>(types) {
        return refused;
    }
    let preloaded = PRELOADED.get().filter(|preloaded| preloaded.kind == TypeId::of::<M>());
    let Some(preloaded) = preloaded else {
        return Reply::Refused("the zygote has preloaded another type".into());
    };
    // SAFETY: the value was made as an `M` by `zygote_entry`, which the type id says, and is never freed or changed.
    let value: &'static M = unsafe { &*preloaded.value.cast::<M>() };
    // SAFETY: the caller's promise.
    let f = unsafe { std::mem::transmute::<*const (), fn(&'static M, A) -> R>(target) };
    work::call(packed, |arg| f(value, arg))
}
