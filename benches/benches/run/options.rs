//! `/bin/true` with every option set: where others leave their fast path.

use crate::python;
use benches::{Ballast, Place, Suite, Unit, calls};
use proc_exec::Resource;
use std::os::unix::process::CommandExt;
use std::process;
use std::time::Duration;

const TRUE: &str = "/bin/true";
const FILES: u64 = 512;

pub(crate) fn register(suite: &mut Suite, key: &str, parent: &str, mib: usize) {
    let places: &[Place] = if mib == 0 { &[Place::Free, Place::OneCpu] } else { &[Place::Free] };
    let entry = suite
        .case(
            &format!("options-{key}"),
            &format!("/bin/true with every option, {parent}"),
            "As before, with a directory, a variable, a group of its own, a umask, a limit on descriptors, a niceness and \
             a signal at the parent's death; ours with a time limit too. std needs a pre_exec closure for four of these, \
             and forks then. Python gets directory, variable, group, umask and a preexec_fn that does nothing. duct and \
             the subprocess crate have no such options.",
            Unit::Time,
            places,
        )
        .following()
        .ours("run", "proc_exec Command::run, every option", move |_| {
            let ballast = Ballast::mib(mib);
            Ok(calls(move || {
                let _held = &ballast;
                let mut command = proc_exec::Command::new(TRUE);
                command.current_dir("/").env("A", "b").process_group(0).umask(0o22).nice(1);
                command.resource_limit(Resource::OpenFiles, FILES, FILES).parent_death_signal(libc::SIGKILL);
                command.timeout(Duration::from_secs(60)).run().expect("success")
            }))
        })
        .rival("std", "std Command::status, pre_exec", move |_| {
            let ballast = Ballast::mib(mib);
            Ok(calls(move || {
                let _held = &ballast;
                let mut command = process::Command::new(TRUE);
                command.current_dir("/").env("A", "b").process_group(0);
                // SAFETY: the closure calls only functions that are safe between fork and exec.
                unsafe { command.pre_exec(settings) };
                assert!(command.status().expect("an end").success());
            }))
        });
    #[cfg(feature = "rivals")]
    let entry = entry.rival("tokio", "tokio Command::status, pre_exec", move |_| {
        let runtime = crate::nothing::runtime()?;
        let ballast = Ballast::mib(mib);
        Ok(calls(move || {
            let _held = &ballast;
            let mut command = tokio::process::Command::new(TRUE);
            command.current_dir("/").env("A", "b").process_group(0);
            // SAFETY: the closure calls only functions that are safe between fork and exec.
            unsafe { command.pre_exec(settings) };
            assert!(runtime.block_on(async { command.status().await }).expect("an end").success());
        }))
    });
    entry.rival("python", "Python subprocess.run, options", python("options", mib));
}

/// What std has no method for, in the child.
fn settings() -> std::io::Result<()> {
    let files = libc::rlimit { rlim_cur: FILES, rlim_max: FILES };
    // SAFETY: plain system calls on values of our own.
    unsafe {
        libc::umask(0o22);
        libc::setrlimit(libc::RLIMIT_NOFILE, &raw const files);
        libc::nice(1);
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
    }
    Ok(())
}
