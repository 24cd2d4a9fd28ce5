//! `Zygote` against a bare server that forks, and Python's fork server.

use crate::{places, python};
use benches::{Ballast, Suite, Unit, bare, calls};
use proc_core::Zygote;

pub(crate) fn register(suite: &mut Suite, key: &str, parent: &str, mib: usize) {
    let entry = suite
        .case(
            &format!("zygote-{key}"),
            &format!("Zygote, {parent}"),
            "A helper that is already up forks on request: run a function of a u64 there, have its result back, join. \
             The bare server reads one packet, forks, waits for the child, and writes one packet.",
            Unit::Time,
            places(mib),
        )
        .ours("zygote", "Zygote::spawn + join", move |_| {
            let zygote = Zygote::preload(|()| (), ()).map_err(|e| e.to_string())?;
            let ballast = Ballast::mib(mib);
            Ok(calls(move || {
                let _held = &ballast;
                let process = zygote.spawn(|(), x: u64| x * 2, 21).expect("a start");
                assert_eq!(process.join().expect("its result"), 42);
            }))
        })
        .floor("bare", "bare fork server", move |_| {
            let mut server = bare::ForkServer::new();
            let ballast = Ballast::mib(mib);
            Ok(calls(move || {
                let _held = &ballast;
                server.fork();
            }))
        });
    let entry = if mib == 0 { entry } else { entry.following() };
    entry.rival("python", "Python Process (forkserver)", python("forkserver", mib));
}
