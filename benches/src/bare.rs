//! The bare system calls that start a process.

use std::ffi::CString;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::ptr;

unsafe extern "C" {
    static environ: *const *const libc::c_char;
}

/// A copy of this process that ends at once, reaped.
pub fn fork_exit_wait() {
    // SAFETY: the child calls only `_exit`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: ends the child without running anything of the parent's.
        unsafe { libc::_exit(0) };
    }
    wait(child);
}

fn wait(child: libc::pid_t) {
    assert!(child > 0, "no child: {}", std::io::Error::last_os_error());
    let mut status = 0;
    // SAFETY: `status` is valid for the call.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0, "the child's status");
}

/// A program, started by the cheapest road there is: a child on our memory that only executes.
#[derive(Debug)]
pub struct VforkExec {
    _words: [CString; 2],
    argv: [*const libc::c_char; 3],
    stack: Vec<u128>,
}

impl VforkExec {
    /// With its path and one argument.
    pub fn new(path: &str, argument: &str) -> Self {
        let words = [path, argument].map(|word| CString::new(word).expect("no zero byte"));
        let argv = [words[0].as_ptr(), words[1].as_ptr(), ptr::null()];
        VforkExec { _words: words, argv, stack: vec![0; 4096] }
    }

    /// Starts it and waits for its success.
    pub fn run(&mut self) {
        extern "C" fn execute(argv: *mut libc::c_void) -> libc::c_int {
            let argv = argv as *const *const libc::c_char;
            // SAFETY: `run` passes a null-terminated array of strings, and stands still until this has executed.
            unsafe {
                libc::execve(*argv, argv, environ);
                libc::_exit(127)
            }
        }
        let top = self.stack.as_mut_ptr_range().end;
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        // SAFETY: the stack is ours alone, aligned to 16 and 64 KiB deep; the child only executes or exits, and we are
        // suspended until then.
        let child = unsafe { libc::clone(execute, top.cast(), flags, (&raw mut self.argv).cast()) };
        wait(child);
    }
}

/// A child that forks a child of its own for each byte that it reads, waits for it, and answers a byte.
#[derive(Debug)]
pub struct ForkServer {
    link: UnixStream,
    server: libc::pid_t,
}

impl ForkServer {
    /// Forks it from this process, which must have one thread.
    #[allow(clippy::new_without_default, reason = "a fork is no default")]
    pub fn new() -> Self {
        let (link, mut end) = UnixStream::pair().expect("a socket pair");
        // SAFETY: this process has one thread here; the child runs plain reads, writes and forks, and leaves by `_exit`.
        let server = unsafe { libc::fork() };
        assert!(server >= 0, "no child: {}", std::io::Error::last_os_error());
        if server == 0 {
            // The parent's end, which must not keep the link open here.
            drop(link);
            let mut byte = [0];
            while end.read_exact(&mut byte).is_ok() {
                fork_exit_wait();
                if end.write_all(&byte).is_err() {
                    break;
                }
            }
            // SAFETY: ends the server without running anything of the parent's.
            unsafe { libc::_exit(0) };
        }
        ForkServer { link, server }
    }

    /// Has it fork once, and waits until the child's end was told.
    pub fn fork(&mut self) {
        let mut byte = [1];
        self.link.write_all(&byte).expect("the server reads");
        self.link.read_exact(&mut byte).expect("the server answers");
    }
}

impl Drop for ForkServer {
    fn drop(&mut self) {
        let _ = self.link.shutdown(std::net::Shutdown::Both);
        wait(self.server);
    }
}
