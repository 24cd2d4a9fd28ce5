//! `Process::spawn` against others that execute this same program again.

use crate::{NOTHING, places, python};
use benches::{Ballast, Suite, Unit, bare, calls};
use proc_core::Process;
use std::process::Command;

pub(crate) fn register(suite: &mut Suite, key: &str, parent: &str, mib: usize) {
    let entry = suite
        .case(
            &format!("spawn-{key}"),
            &format!("Spawn, {parent}"),
            "Execute this program again, run a function of a u64 there, have its result back, join. The bare call and \
             std's Command execute this same program, which returns from main at once. crossmist 1.1.2 builds, but panics at \
             every start by rustc 1.95: it tells plain data from other types by how an array is cloned, which no compiler \
             promises.",
            Unit::Time,
            places(mib),
        )
        .ours("spawn", "Process::spawn + join", move |_| {
            let ballast = Ballast::mib(mib);
            Ok(calls(move || {
                let _held = &ballast;
                let process = Process::spawn(|x: u64| x * 2, 21).expect("a start");
                assert_eq!(process.join().expect("its result"), 42);
            }))
        })
        .floor("vfork-exec", "vfork + exec of itself", move |_| {
            let ballast = Ballast::mib(mib);
            let mut again = bare::VforkExec::new("/proc/self/exe", NOTHING);
            Ok(calls(move || {
                let _held = &ballast;
                again.run();
            }))
        })
        .rival("command", "std Command, itself", move |_| {
            let ballast = Ballast::mib(mib);
            Ok(calls(move || {
                let _held = &ballast;
                let status = Command::new("/proc/self/exe").arg(NOTHING).status().expect("a start");
                assert!(status.success());
            }))
        });
    let entry = if mib == 0 { entry } else { entry.following() };
    #[cfg(feature = "rivals")]
    let entry = entry.rival("procspawn", "procspawn::spawn + join", move |_| {
        let ballast = Ballast::mib(mib);
        Ok(calls(move || {
            let _held = &ballast;
            assert_eq!(procspawn::spawn(21_u64, |x| x * 2).join().expect("its result"), 42);
        }))
    });
    entry.rival("python", "Python Process (spawn)", python("spawn", mib));
}
