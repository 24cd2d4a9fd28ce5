//! Tests for sandboxes that refuse what a start needs, or pretend to grant it: it falls back, or says so.
#![cfg(feature = "functions")]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use common::{METHODS, children, eventually, inside, start};
use proc_core::spawner::{Spawner, StartErrorKind};
use proc_core::{Fd, Process, StartMethod};

proc_core::init_for_tests!();

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;

fn refuse(errno: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | errno as u32
}

/// From now on `filter` is asked about every system call of this process and its children.
fn confine(filter: &mut [libc::sock_filter]) {
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: prctl with numbers, and with a pointer to a live program.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program), 0);
    }
}

fn load(offset: u32) -> libc::sock_filter {
    libc::sock_filter { code: (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16, jt: 0, jf: 0, k: offset }
}

/// Goes on with the next if they are equal, and else skips so many.
fn unless_equal(k: libc::c_long, skip: u8) -> libc::sock_filter {
    libc::sock_filter {
        code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
        jt: 0,
        jf: skip,
        k: k as u32,
    }
}

/// Skips so many if one of the bits is set.
fn if_any(k: i32, skip: u8) -> libc::sock_filter {
    libc::sock_filter {
        code: (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16,
        jt: skip,
        jf: 0,
        k: k as u32,
    }
}

fn answer(k: u32) -> libc::sock_filter {
    libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k }
}

/// No descriptors of processes by their number.
fn without_pidfd_open(errno: i32) {
    confine(&mut [load(0), unless_equal(libc::SYS_pidfd_open, 1), answer(refuse(errno)), answer(ALLOW)]);
}

/// No children on our memory; threads are left alone. The flags are the first argument, at 16.
fn without_vfork(errno: i32) {
    confine(&mut [
        load(0),
        unless_equal(libc::SYS_clone, 4),
        load(16),
        if_any(libc::CLONE_THREAD, 2),
        if_any(libc::CLONE_VFORK, 2),
        answer(ALLOW),
        answer(ALLOW),
        answer(refuse(errno)),
    ]);
}

fn everything_starts() {
    for m in METHODS {
        assert_eq!(start(m, |x: u32| x + 1, 1).join().unwrap(), 2, "{m:?}");
        let mut p =
            Process::builder().start_method(m).daemon(true).spawn(|()| std::thread::park(), ()).unwrap();
        assert_eq!(p.try_join().unwrap(), None);
    }
    let e = Spawner::new("/no/such").start().unwrap_err();
    assert_eq!(e.kind(), StartErrorKind::ProgramNotFound);
    assert!(Spawner::new("true").start().unwrap().wait().unwrap().status.success());
}

fn nobody_is_left(helpers: usize) {
    eventually("nobody is left", || {
        proc_core::active_children();
        children().len() == helpers
    });
}

#[test]
fn smoke() {
    fn body((): ()) {
        everything_starts();
        nobody_is_left(1);
    }
    inside(body, ());
}

#[test]
fn a_sandbox_without_children_on_our_memory_is_given_forks() {
    for errno in [libc::EPERM, libc::EINVAL, libc::ENOSYS] {
        let body = |errno| {
            without_vfork(errno);
            everything_starts();
            nobody_is_left(1);
        };
        inside(body, errno);
    }
}

#[test]
fn a_sandbox_without_pidfd_open_is_told_of_where_it_matters() {
    for errno in [libc::EPERM, libc::ENOSYS] {
        let body = |errno| {
            without_pidfd_open(errno);
            // Its descriptor comes with the process.
            assert_eq!(start(StartMethod::Spawn, |x: u32| x + 1, 1).join().unwrap(), 2);
            assert!(Spawner::new("true").start().unwrap().wait().unwrap().status.success());
            // There it does not.
            for m in [StartMethod::Zygote, StartMethod::Fork] {
                let error = Process::builder().start_method(m).spawn(|x: u32| x, 1).unwrap_err();
                assert!(error.to_string().contains("pidfd"), "{error}");
            }
            nobody_is_left(1);
        };
        inside(body, errno);
    }
}

#[test]
fn a_sandbox_without_either_starts_nothing() {
    let body = |()| {
        without_vfork(libc::EPERM);
        without_pidfd_open(libc::EPERM);
        for m in METHODS {
            Process::builder().start_method(m).spawn(|x: u32| x, 1).unwrap_err();
        }
        Spawner::new("true").start().unwrap_err();
        nobody_is_left(0);
    };
    inside(body, ());
}

/// Starts a program that leaves a trace of each of its runs, while a tracer takes CLONE_VM from its calls.
fn deceived((to, path): (Fd<UnixStream>, String)) -> (bool, bool, u32, usize) {
    (&to.0).write_all(&[1]).unwrap();
    (&to.0).read_exact(&mut [0]).unwrap();
    let script = format!("echo ran >> {path}");
    let good = Spawner::new("sh").args(["-c", &script]).start().unwrap().wait().unwrap().status;
    let error = Spawner::new("/no/such").start().unwrap_err();
    let value = start(StartMethod::Spawn, |x: u32| x + 1, 41).join().unwrap();
    proc_core::active_children();
    (good.success(), error.kind() == StartErrorKind::ProgramNotFound, value, children().len())
}

#[cfg(target_arch = "x86_64")]
#[test]
fn an_emulator_that_ignores_the_flag_runs_each_program_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace");
    let (ours, theirs) = UnixStream::pair().unwrap();
    let p = Process::spawn(deceived, (Fd(theirs), path.to_str().unwrap().to_owned())).unwrap();
    (&ours).read_exact(&mut [0]).unwrap();
    let changed = without_vm(p.id() as i32, || (&ours).write_all(&[1]).unwrap());
    assert!(changed >= 3, "{changed} calls were changed");
    let (ran, told, value, left) = p.join().unwrap();
    assert_eq!((ran, told, value, left), (true, true, 42, 0));
    assert_eq!(fs::read_to_string(path).unwrap(), "ran\n");
}

/// Traces a process to its end and takes CLONE_VM from its calls of `clone` that make no thread. Gives their number.
#[cfg(target_arch = "x86_64")]
fn without_vm(pid: i32, go: impl FnOnce()) -> u32 {
    let nothing = std::ptr::null_mut::<libc::c_void>();
    let mut status = 0;
    // SAFETY: ptrace and waitpid on a child of ours, with pointers to live structures.
    unsafe {
        let options = libc::PTRACE_O_TRACESYSGOOD as usize as *mut libc::c_void;
        assert_eq!(libc::ptrace(libc::PTRACE_SEIZE, pid, nothing, options), 0);
        assert_eq!(libc::ptrace(libc::PTRACE_INTERRUPT, pid, nothing, nothing), 0);
        assert_eq!(libc::waitpid(pid, &mut status, libc::__WALL), pid);
    }
    go();
    let (mut changed, mut deliver) = (0, 0_usize);
    loop {
        // SAFETY: as above; all zeros is a valid set of registers.
        unsafe {
            libc::ptrace(libc::PTRACE_SYSCALL, pid, nothing, deliver as *mut libc::c_void);
            assert_eq!(libc::waitpid(pid, &mut status, libc::__WALL), pid);
            if !libc::WIFSTOPPED(status) {
                return changed;
            }
            deliver = 0;
            if libc::WSTOPSIG(status) != libc::SIGTRAP | 0x80 {
                if status >> 16 == 0 {
                    deliver = libc::WSTOPSIG(status) as usize;
                }
                continue;
            }
            let mut regs: libc::user_regs_struct = std::mem::zeroed();
            assert_eq!(libc::ptrace(libc::PTRACE_GETREGS, pid, nothing, &mut regs), 0);
            // At the entry, where the result is not there yet.
            let entry = regs.rax as i64 == -i64::from(libc::ENOSYS);
            let (vm, thread) = (libc::CLONE_VM as u64, libc::CLONE_THREAD as u64);
            if entry
                && regs.orig_rax == libc::SYS_clone as u64
                && regs.rdi & vm != 0
                && regs.rdi & thread == 0
            {
                regs.rdi &= !vm;
                assert_eq!(libc::ptrace(libc::PTRACE_SETREGS, pid, nothing, &regs), 0);
                changed += 1;
            }
        }
    }
}
