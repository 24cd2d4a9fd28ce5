//! A start made ready: every string and array that the child will need, so that it need not allocate.

use super::{LifelineScope, Spawner, StartError, Step, search};
use crate::settings;
use crate::sys::signals;
use std::ffi::{CString, NulError, OsStr, OsString, c_char};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

/// Ignored by language runtimes (Rust: SIGPIPE; Python: both), and not expected to be so by programs.
const RESET_IGNORED: u64 = signals::bit(libc::SIGPIPE) | signals::bit(libc::SIGXFSZ);

pub(super) struct Plan<'a> {
    pub(super) spawner: &'a Spawner<'a>,
    pub(super) candidates: Vec<CString>,
    pub(super) argv: Pointers,
    pub(super) envp: Pointers,
    /// Source and target of each descriptor.
    pub(super) fds: Vec<(RawFd, RawFd)>,
    /// A copy of `fds` whose sources the child may rewrite; made again for each attempt.
    pub(super) scratch: Vec<(RawFd, RawFd)>,
    pub(super) terminal: Option<RawFd>,
    pub(super) cgroup: Option<RawFd>,
    pub(super) lifeline: Option<(RawFd, LifelineScope)>,
    pub(super) parent: i32,
    pub(super) reset_ignored: u64,
}

/// A null-terminated array of C strings, with the strings it points to.
pub(super) struct Pointers {
    strings: Vec<CString>,
    pointers: Vec<*const c_char>,
}

impl Pointers {
    fn new(strings: Vec<CString>) -> Self {
        let pointers = strings.iter().map(|s| s.as_ptr()).chain([ptr::null()]).collect();
        Pointers { strings, pointers }
    }

    /// Bytes of all strings with their ends, and of the longest.
    pub(super) fn sizes(&self) -> (usize, usize) {
        let sizes = || self.strings.iter().map(|s| s.as_bytes_with_nul().len());
        (sizes().sum(), sizes().max().unwrap_or(0))
    }

    pub(super) fn as_ptr(&self) -> *const *const c_char {
        self.pointers.as_ptr()
    }
}

impl<'a> Plan<'a> {
    pub(super) fn new(spawner: &'a Spawner<'a>) -> Result<Self, StartError> {
        let refuse = |what: String| {
            let source = io::Error::from(io::ErrorKind::InvalidInput);
            StartError::new(Path::new(&spawner.program), Step::Arguments, source).with_detail(what)
        };
        let c_string = |s: &OsStr, what: &str| {
            CString::new(s.as_bytes()).map_err(|_| refuse(format!("{what} {s:?} has a NUL byte in it")))
        };
        // Only what was set here: what we inherited may hold odd names, and the child is to have them as we do.
        let mut variables = spawner.env.iter();
        let fault = variables.find_map(|(name, value)| settings::fault_of_variable(name, value.as_deref()));
        if let Some(fault) = spawner.settings.fault().or(fault) {
            return Err(refuse(fault));
        }
        if let Some((_, number)) = spawner.fds.iter().find(|(_, number)| *number < 0) {
            return Err(refuse(format!("{number} is no descriptor number")));
        }
        let program = &spawner.program;
        let arg0 = c_string(spawner.arg0.as_ref().unwrap_or(program), "the program")?;
        let args = spawner.args.iter().map(|arg| c_string(arg, "argument"));
        let argv: Vec<_> = [Ok(arg0)].into_iter().chain(args).collect::<Result<_, _>>()?;
        let environment = environment(spawner);
        let envp: Vec<_> = environment
            .iter()
            .map(|(name, value)| {
                variable(name, value).map_err(|_| refuse(format!("variable {name:?} has a NUL byte in it")))
            })
            .collect::<Result<_, _>>()?;
        let path = environment.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.as_os_str());
        let candidates = search::candidates(program, path)
            .iter()
            .map(|path| c_string(path, "the program"))
            .collect::<Result<_, _>>()?;
        Ok(Plan {
            spawner,
            candidates,
            argv: Pointers::new(argv),
            envp: Pointers::new(envp),
            fds: spawner.fds.iter().map(|(fd, number)| (fd.as_raw_fd(), *number)).collect(),
            scratch: Vec::new(),
            terminal: spawner.terminal.map(|fd| fd.as_raw_fd()),
            cgroup: spawner.cgroup.map(|fd| fd.as_raw_fd()),
            lifeline: spawner.lifeline.map(|(fd, scope)| (fd.as_raw_fd(), scope)),
            parent: crate::sys::steps::own_pid(),
            reset_ignored: if spawner.keep_sigpipe { 0 } else { RESET_IGNORED },
        })
    }
}

/// The child's environment: ours with the changes applied.
fn environment(spawner: &Spawner<'_>) -> Vec<(OsString, OsString)> {
    let inherited = if spawner.clear_env { Vec::new() } else { std::env::vars_os().collect() };
    let kept = inherited.into_iter().filter(|(name, _)| !spawner.env.contains_key(name));
    let set = spawner.env.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?)));
    kept.chain(set).collect()
}

/// One allocation: a start has dozens of variables, and nothing else of it takes as long on our side.
fn variable(name: &OsStr, value: &OsStr) -> Result<CString, NulError> {
    let mut bytes = Vec::with_capacity(name.len() + value.len() + 2);
    bytes.extend_from_slice(name.as_bytes());
    bytes.push(b'=');
    bytes.extend_from_slice(value.as_bytes());
    CString::new(bytes)
}
