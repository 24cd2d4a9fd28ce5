//! `Process::fork` against the system call.

use crate::{places, python};
use benches::{Ballast, Suite, Unit, bare, calls};
use proc_core::Process;

pub(crate) fn register(suite: &mut Suite, key: &str, parent: &str, mib: usize) {
    let entry = suite
        .case(
            &format!("fork-{key}"),
            &format!("Fork, {parent}"),
            "Fork this process, have a u64 back from a closure, join.",
            Unit::Time,
            places(mib),
        )
        .ours("fork", "Process::fork + join", move |_| {
            let ballast = Ballast::mib(mib);
            Ok(calls(move || {
                let _held = &ballast;
                let process = Process::fork(|| 42_u64).expect("a fork");
                assert_eq!(process.join().expect("its result"), 42);
            }))
        })
        .floor("raw", "fork, _exit, waitpid", move |_| {
            let ballast = Ballast::mib(mib);
            Ok(calls(move || {
                let _held = &ballast;
                bare::fork_exit_wait();
            }))
        });
    let entry = if mib == 0 { entry } else { entry.following() };
    entry.rival("python", "Python Process (fork)", python("fork", mib));
}
