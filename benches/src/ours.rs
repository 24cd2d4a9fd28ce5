//! A peer of ours: a forked process that was given handles.

use crate::Setting;
use proc_core::{Message, Process};

/// A process that runs `part` with handles of its own, bound to the peer's CPU; killed when dropped.
///
/// # Errors
/// A sentence, if it can't be forked.
pub fn our_peer<H: Message>(
    setting: &Setting,
    handles: H,
    part: impl FnOnce(H),
) -> Result<Process<()>, String> {
    let setting = *setting;
    let process = Process::builder().daemon(true).fork_with(handles, move |handles| {
        setting.bind_peer();
        part(handles);
    });
    process.map_err(|e| e.to_string())
}
