//! Tests for the lab itself: it holds what is right and catches what is broken.

use std::process::{Command, Output};

fn lab(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_crashlab")).args(args).output().unwrap()
}

fn text(out: &Output) -> String {
    String::from_utf8_lossy(&out.stdout).into_owned()
}

#[test]
fn smoke() {
    let out = lab(&["--list"]);
    assert!(out.status.success());
    assert!(text(&out).lines().any(|line| line == "mutants/lock/right"), "{}", text(&out));
}

#[test]
fn a_right_protocol_holds_at_every_step() {
    let out = lab(&["--seconds", "5", "mutants/lock/right"]);
    assert!(out.status.success(), "{}", text(&out));
    assert!(text(&out).contains("holds"), "{}", text(&out));
}

#[test]
fn a_broken_protocol_is_caught() {
    let out = lab(&["mutants/lock/free-too-early"]);
    assert!(out.status.success(), "{}", text(&out));
    assert!(text(&out).contains("caught, as it must"), "{}", text(&out));
}

#[test]
fn unknown_scenarios_and_options_are_errors() {
    for args in [["no-such-thing"], ["--no-such-option"], ["--at"]] {
        assert_eq!(lab(&args).status.code(), Some(2), "{args:?}");
    }
}
