//! The description of a program to run.

mod bounds;
mod from_std;
mod io;
mod settings;
mod shown;
mod verbs;

pub use settings::Resource;
pub(crate) use settings::Settings;
pub(crate) use shown::Shown;
pub(crate) use verbs::decoded;
pub use verbs::run;

use crate::cancel::CancelToken;
use crate::encoding::Encoding;
use crate::engine::{Check, KillScope, Overflow};
use crate::stdio::{Input, Observer, Once, Sink};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::fd::{OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A program to run: what, where, with which input, within which bounds.
///
/// It is built as a [`std::process::Command`] is, can be run any number of times, and cloned. What runs it are its
/// verbs:
///
/// | verb | input | output | gives | a bad status is |
/// |---|---|---|---|---|
/// | [`run`](Self::run) | null | captured | [`Output`](crate::Output) | an error |
/// | [`read`](Self::read) | null | captured | text of standard output, without the ends of lines at its end | an error |
/// | [`output`](Self::output) | null | captured | [`Output`](crate::Output) | told |
/// | [`status`](Self::status) | ours | ours | [`ExitStatus`](proc_core::ExitStatus) | told |
/// | [`lines`](Self::lines) | null | line by line | an iterator | an error, as the last item |
/// | [`spawn`](Self::spawn) | ours | ours | [`Child`](crate::Child) | an error of `wait` |
/// | [`interactive`](Self::interactive) | written | line by line | [`Session`](crate::Session) | an error of `finish` |
/// | [`pipe`](Self::pipe) | as the verb of the pipeline says | | [`Pipeline`](crate::Pipeline) | |
///
/// [`stdin`](Self::stdin), [`stdout`](Self::stdout), [`stderr`](Self::stderr), [`check`](Self::check) and their like
/// change these defaults.
///
/// # Compared with `std::process::Command`
///
/// - A program with a slash in its name is found from *our* directory, whatever [`current_dir`](Self::current_dir)
///   says; one without is looked up in the *child's* `PATH`.
/// - The program has descriptors 0 to 2 and those that were named, and no others.
/// - No setting makes a start slow: its cost does not grow with our memory. ([`user`](Self::user) and its kin are the
///   exception.)
///
/// # Examples
///
/// ```
/// use proc_exec::Command;
/// use std::time::Duration;
///
/// let mut sort = Command::new("sort");
/// sort.arg("-r").env("LC_ALL", "C").timeout(Duration::from_secs(10));
/// assert_eq!(sort.input("a\nb\n").read()?, "b\na");
/// assert_eq!(sort.input("c\nd\n").read()?, "d\nc");
/// # Ok::<(), proc_exec::RunError>(())
/// ```
#[derive(Clone)]
pub struct Command {
    pub(crate) program: OsString,
    /// The program is a path, even without a slash.
    pub(crate) is_file: bool,
    pub(crate) arg0: Option<OsString>,
    pub(crate) args: Vec<Arg>,
    pub(crate) clear_env: bool,
    pub(crate) env: BTreeMap<OsString, Option<OsString>>,
    pub(crate) dir: Option<PathBuf>,
    pub(crate) stdin: Option<Input>,
    pub(crate) stdout: Option<Sink>,
    pub(crate) stderr: Option<Sink>,
    pub(crate) fds: Vec<(RawFd, Once<OwnedFd>)>,
    pub(crate) inherit_others: bool,
    pub(crate) settings: Settings,
    pub(crate) limits: Limits,
    pub(crate) check: Option<Check>,
    pub(crate) encoding: Encoding,
    /// Of standard output and of standard error.
    pub(crate) observers: [Vec<Observer>; 2],
    pub(crate) keep_output: bool,
    #[cfg(feature = "pty")]
    pub(crate) pty: Option<crate::pty::Window>,
}

/// An argument, and whether it may be shown.
#[derive(Clone)]
pub(crate) struct Arg {
    pub(crate) value: OsString,
    pub(crate) is_secret: bool,
}

/// What bounds a call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Limits {
    pub(crate) timeout: Option<Duration>,
    pub(crate) grace: Option<Duration>,
    pub(crate) drain_grace: Option<Duration>,
    pub(crate) scope: Option<KillScope>,
    pub(crate) stop_signal: Option<i32>,
    pub(crate) output: Option<(usize, Overflow)>,
    pub(crate) cancel: Option<CancelToken>,
    pub(crate) die_with_parent: Option<bool>,
}

impl Command {
    /// A program without arguments. A name without a slash is looked up in the child's `PATH`; to run a file of the
    /// working directory say [`file`](Self::file), or `./name`.
    pub fn new(program: impl AsRef<OsStr>) -> Command {
        Command {
            program: program.as_ref().to_owned(),
            is_file: false,
            arg0: None,
            args: Vec::new(),
            clear_env: false,
            env: BTreeMap::new(),
            dir: None,
            stdin: None,
            stdout: None,
            stderr: None,
            fds: Vec::new(),
            inherit_others: false,
            settings: Settings::default(),
            limits: Limits::default(),
            check: None,
            encoding: Encoding::default(),
            observers: [Vec::new(), Vec::new()],
            keep_output: true,
            #[cfg(feature = "pty")]
            pty: None,
        }
    }

    /// The program that is this file: `file("tool")` runs `./tool`, and never one from `PATH`.
    pub fn file(path: impl AsRef<Path>) -> Command {
        let mut command = Command::new(path.as_ref());
        command.is_file = true;
        command
    }

    /// A command line for `sh -c`. Whatever goes into it from elsewhere must be quoted: better are arguments.
    pub fn shell(line: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("sh");
        command.arg("-c").arg(line);
        command
    }

    /// Adds an argument.
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.args.push(Arg { value: arg.as_ref().to_owned(), is_secret: false });
        self
    }

    /// Adds an argument that errors and `Debug` show as `***`. The system shows it to every user (`ps`) all the same.
    pub fn secret_arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.args.push(Arg { value: arg.as_ref().to_owned(), is_secret: true });
        self
    }

    /// Adds arguments.
    pub fn args(&mut self, args: impl IntoIterator<Item: AsRef<OsStr>>) -> &mut Self {
        for arg in args {
            self.arg(arg);
        }
        self
    }

    /// The first element of the argument vector; otherwise it is the program as given.
    pub fn arg0(&mut self, arg0: impl AsRef<OsStr>) -> &mut Self {
        self.arg0 = Some(arg0.as_ref().to_owned());
        self
    }

    /// Sets a variable of the program's environment. The last value counts. `PATH` also decides where the program is
    /// looked up. Neither errors nor `Debug` show values: they may be secrets.
    pub fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.env.insert(name.as_ref().to_owned(), Some(value.as_ref().to_owned()));
        self
    }

    /// Sets variables.
    pub fn envs<K: AsRef<OsStr>, V: AsRef<OsStr>>(
        &mut self,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> &mut Self {
        for (name, value) in variables {
            self.env(name, value);
        }
        self
    }

    /// Takes a variable out of the environment.
    pub fn env_remove(&mut self, name: impl AsRef<OsStr>) -> &mut Self {
        self.env.insert(name.as_ref().to_owned(), None);
        self
    }

    /// Starts with an empty environment; variables that were set before this call are forgotten too.
    pub fn env_clear(&mut self) -> &mut Self {
        self.clear_env = true;
        self.env.clear();
        self
    }

    /// The program's working directory.
    pub fn current_dir(&mut self, dir: impl AsRef<Path>) -> &mut Self {
        self.dir = Some(dir.as_ref().to_owned());
        self
    }

    /// The program as given.
    pub fn get_program(&self) -> &OsStr {
        &self.program
    }

    /// The arguments, secret ones too.
    pub fn get_args(&self) -> impl ExactSizeIterator<Item = &OsStr> {
        self.args.iter().map(|arg| arg.value.as_os_str())
    }

    /// The changes to the environment, by name: a value, or `None` for a variable that is taken out.
    pub fn get_envs(&self) -> impl ExactSizeIterator<Item = (&OsStr, Option<&OsStr>)> {
        self.env.iter().map(|(name, value)| (name.as_os_str(), value.as_deref()))
    }

    /// The working directory, if it is not ours.
    pub fn get_current_dir(&self) -> Option<&Path> {
        self.dir.as_deref()
    }

    pub(crate) fn shown(&self) -> Shown {
        let args = self.args.iter().map(|arg| (!arg.is_secret).then(|| arg.value.clone()));
        Shown([Some(self.program.clone())].into_iter().chain(args).collect())
    }
}

/// The command line, escaped: `sh` makes the same arguments of it, empty ones and such that are no text too.
///
/// ```
/// use proc_exec::cmd;
///
/// assert_eq!(cmd!("printf", "%s", "it's", "").to_string(), r"printf %s 'it'\''s' ''");
/// ```
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shown().fmt(f)
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("line", &format_args!("{self}"))
            .field("dir", &self.dir)
            .field("env", &ShownEnv(&self.env))
            .field("stdin", &self.stdin)
            .field("stdout", &self.stdout)
            .field("stderr", &self.stderr)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// The names of the variables, without their values: keys and passwords are handed over by them.
struct ShownEnv<'a>(&'a BTreeMap<OsString, Option<OsString>>);

impl fmt::Debug for ShownEnv<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &Option<OsString>| if value.is_some() { "***" } else { "(removed)" };
        f.debug_map().entries(self.0.iter().map(|(name, value)| (name, shown(value)))).finish()
    }
}
