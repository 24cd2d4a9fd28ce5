//! `/bin/true`, with nothing set; and `echo hi`, captured.

use crate::python;
use benches::{Ballast, Place, Suite, Unit, bare, calls};
use std::process;

const TRUE: &str = "/bin/true";

pub(crate) fn register(suite: &mut Suite, key: &str, parent: &str, mib: usize) {
    let places: &[Place] = if mib == 0 { &[Place::Free, Place::OneCpu] } else { &[Place::Free] };
    let entry = suite
        .case(
            &format!("true-{key}"),
            &format!("/bin/true, {parent}"),
            "Run /bin/true and wait for it. `run` captures both outputs, as its default is, and so does std's `output`; all \
             others here leave them alone.",
            Unit::Time,
            places,
        )
        .ours("run", "proc_exec::run", move |_| {
            let ballast = Ballast::mib(mib);
            Ok(calls(move || {
                let _held = &ballast;
                proc_exec::run([TRUE]).expect("success")
            }))
        })
        .ours("status", "proc_exec Command::status", move |_| {
            let ballast = Ballast::mib(mib);
            Ok(calls(move || {
                let _held = &ballast;
                assert!(proc_exec::Command::new(TRUE).status().expect("an end").success());
            }))
        })
        .floor("vfork-exec", "vfork + exec", move |_| {
            let ballast = Ballast::mib(mib);
            let mut program = bare::VforkExec::new(TRUE, "x");
            Ok(calls(move || {
                let _held = &ballast;
                program.run();
            }))
        })
        .rival("std", "std Command::status", move |_| {
            let ballast = Ballast::mib(mib);
            Ok(calls(move || {
                let _held = &ballast;
                assert!(process::Command::new(TRUE).status().expect("an end").success());
            }))
        })
        .rival("std-output", "std Command::output", move |_| {
            let ballast = Ballast::mib(mib);
            Ok(calls(move || {
                let _held = &ballast;
                assert!(process::Command::new(TRUE).output().expect("an end").status.success());
            }))
        });
    let entry = if mib == 0 { entry } else { entry.following() };
    #[cfg(feature = "rivals")]
    let entry = entry
        .rival("duct", "duct run", move |_| {
            let ballast = Ballast::mib(mib);
            Ok(calls(move || {
                let _held = &ballast;
                duct::cmd!(TRUE).run().expect("success")
            }))
        })
        .rival("subprocess", "subprocess join", move |_| {
            let ballast = Ballast::mib(mib);
            Ok(calls(move || {
                let _held = &ballast;
                assert!(subprocess::Exec::cmd(TRUE).join().expect("an end").success());
            }))
        })
        .rival("tokio", "tokio Command::status", move |_| {
            let runtime = runtime()?;
            let ballast = Ballast::mib(mib);
            Ok(calls(move || {
                let _held = &ballast;
                let status = runtime.block_on(async { tokio::process::Command::new(TRUE).status().await });
                assert!(status.expect("an end").success());
            }))
        });
    entry.rival("python", "Python subprocess.run", python("true", mib));
}

pub(crate) fn echo(suite: &mut Suite) {
    const ECHO: &str = "/bin/echo";
    let entry = suite
        .case(
            "echo",
            "echo hi, captured",
            "Run /bin/echo with one word, capture standard output and standard error, check the text.",
            Unit::Time,
            &[Place::Free, Place::OneCpu],
        )
        .ours("run", "proc_exec::run", |_| {
            Ok(calls(|| assert_eq!(proc_exec::run([ECHO, "hi"]).expect("success").stdout, b"hi\n")))
        })
        .rival("std", "std Command::output", |_| {
            Ok(calls(|| {
                let output = process::Command::new(ECHO).arg("hi").output().expect("an end");
                assert_eq!(output.stdout, b"hi\n");
            }))
        });
    #[cfg(feature = "rivals")]
    let entry = entry
        .rival("duct", "duct stdout_capture, stderr_capture", |_| {
            Ok(calls(|| {
                let output = duct::cmd!(ECHO, "hi").stdout_capture().stderr_capture().run().expect("success");
                assert_eq!(output.stdout, b"hi\n");
            }))
        })
        .rival("subprocess", "subprocess capture", |_| {
            Ok(calls(|| {
                let output = subprocess::Exec::cmd(ECHO).arg("hi").capture().expect("an end");
                assert_eq!(output.stdout, b"hi\n");
            }))
        })
        .rival("tokio", "tokio Command::output", |_| {
            let runtime = runtime()?;
            Ok(calls(move || {
                let output =
                    runtime.block_on(async { tokio::process::Command::new(ECHO).arg("hi").output().await });
                assert_eq!(output.expect("an end").stdout, b"hi\n");
            }))
        });
    entry.rival("python", "Python subprocess.run, captured", python("echo", 0));
}

#[cfg(feature = "rivals")]
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())
}
