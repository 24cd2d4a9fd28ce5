//! Describing a process before it is started.

use super::error::SpawnError;
use super::stdio::Stdio;
use super::typed::Process;
use crate::message::Message;
use crate::settings::{self, Limit, Settings};
use crate::start::{self, StartMethod};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// Describes a process to start: name, start method, environment, directory, streams.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use proc_core::{Process, StartMethod};
///
/// proc_core::init();
/// let p = Process::builder()
///     .name("reader")
///     .start_method(StartMethod::Zygote)
///     .env("MODE", "fast")
///     .spawn(|()| std::env::var("MODE").unwrap_or_default(), ())?;
/// assert_eq!(p.join()?, "fast");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct ProcessBuilder {
    method: StartMethod,
    description: Description,
    stdio: [Stdio; 3],
}

/// What of a description crosses to a zygote.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Description {
    pub(crate) name: Option<String>,
    pub(crate) daemon: bool,
    pub(crate) detached: bool,
    /// Changes to the environment: a value, or `None` for a name that is taken out.
    pub(crate) env: BTreeMap<OsString, Option<OsString>>,
    pub(crate) settings: Settings,
}

impl Description {
    /// Whether a forked child has anything to apply that can fail.
    pub(crate) fn asks_for_settings(&self, stdio: &[Stdio; 3]) -> bool {
        self.settings != Settings::default() || stdio.iter().any(|stream| !matches!(stream, Stdio::Inherit))
    }
}

impl ProcessBuilder {
    pub(crate) fn into_parts(self) -> (Description, [Stdio; 3]) {
        (self.description, self.stdio)
    }

    /// The process's name: [`ProcessHandle::name`](crate::ProcessHandle::name) here and there, and, cut to 15 bytes,
    /// what `ps` shows.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.description.name = Some(name.into());
        self
    }

    /// How [`spawn`](Self::spawn) starts it.
    pub fn start_method(mut self, method: StartMethod) -> Self {
        self.method = method;
        self
    }

    /// Makes it a daemon: it dies with this process, however that ends, and when its [`Process`] is dropped.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use proc_core::Process;
    /// use std::time::Duration;
    ///
    /// proc_core::init();
    /// let p = Process::builder().daemon(true).spawn(|()| std::thread::sleep(Duration::from_secs(60)), ())?;
    /// let handle = p.handle();
    /// drop(p);
    /// assert_eq!(handle.wait()?.signal(), Some(9));
    /// # Ok(())
    /// # }
    /// ```
    pub fn daemon(mut self, yes: bool) -> Self {
        self.description.daemon = yes;
        self
    }

    /// Detaches it: it is no child of this process, so it never becomes a zombie of it, and nobody need ever join it.
    ///
    /// The new process forks once more, and the one in between ends at once. The parent is then whoever adopts orphans:
    /// process 1, or the nearest subreaper. It costs one fork of a small process.
    ///
    /// [`Process::join`](crate::Process::join) still gives the value. A status without a value is known where the kernel
    /// keeps it (Linux 6.15 and newer) and the adopter has reaped the process; otherwise it is
    /// [`Lost`](crate::ExitStatus::Lost). It stays in this process's session and group; see
    /// [`process_group`](Self::process_group). A daemon can't be detached.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use proc_core::Process;
    ///
    /// proc_core::init();
    /// let p = Process::builder().detached(true).process_group().spawn(|x: u32| x + 1, 1)?;
    /// assert_eq!(p.join()?, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn detached(mut self, yes: bool) -> Self {
        self.description.detached = yes;
        self
    }

    /// Sets a variable of its environment.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.description.env.insert(name.as_ref().to_owned(), Some(value.as_ref().to_owned()));
        self
    }

    /// Takes a variable out of its environment.
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.description.env.insert(name.as_ref().to_owned(), None);
        self
    }

    /// Its working directory.
    pub fn current_dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.description.settings.current_dir = Some(settings::path_or_poison(dir.as_ref()));
        self
    }

    /// Puts it in a process group of its own, which it leads: Ctrl-C on the terminal does not reach it.
    pub fn process_group(mut self) -> Self {
        self.description.settings.group = Some(0);
        self
    }

    /// Its file mode creation mask.
    pub fn umask(mut self, mask: u32) -> Self {
        self.description.settings.umask = Some(mask & 0o777);
        self
    }

    /// Its priority, -20 (favoured) to 19.
    pub fn nice(mut self, nice: i32) -> Self {
        self.description.settings.nice = Some(nice);
        self
    }

    /// The CPUs that it may run on, by number, up to 1023; none: those of this process. Numbers that the machine does not
    /// have are passed over by the system; that none is left is the start's error.
    /// [`available_parallelism`](crate::available_parallelism) there counts them.
    pub fn affinity(mut self, cpus: impl IntoIterator<Item = usize>) -> Self {
        self.description.settings.affinity = cpus.into_iter().collect();
        self
    }

    /// A resource limit (`libc::RLIMIT_*`): soft and hard value.
    pub fn resource_limit(mut self, resource: u32, soft: u64, hard: u64) -> Self {
        self.description.settings.limits.push(Limit { resource, soft, hard });
        self
    }

    /// Its standard input.
    pub fn stdin(mut self, stdio: impl Into<Stdio>) -> Self {
        self.stdio[0] = stdio.into();
        self
    }

    /// Its standard output.
    pub fn stdout(mut self, stdio: impl Into<Stdio>) -> Self {
        self.stdio[1] = stdio.into();
        self
    }

    /// Its standard error.
    pub fn stderr(mut self, stdio: impl Into<Stdio>) -> Self {
        self.stdio[2] = stdio.into();
        self
    }

    /// Starts it: it runs `f(arg)`, and [`Process::join`] gives the value.
    ///
    /// # Errors
    /// As [`Process::spawn`].
    pub fn spawn<A: Message, R: Message>(self, f: fn(A) -> R, arg: A) -> Result<Process<R>, SpawnError> {
        start::spawn(self.method, &self.description, &self.stdio, f, arg)
    }

    /// Starts it by `zygote`, whatever the start method: it runs `f(arg)` on a copy of the zygote's memory.
    /// [`Zygote::spawn_with`](crate::Zygote::spawn_with) is for a function that takes what the zygote has preloaded.
    ///
    /// # Errors
    /// As [`Zygote::spawn`](crate::Zygote::spawn).
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use proc_core::{Process, Zygote};
    ///
    /// proc_core::init();
    /// let zygote = Zygote::preload(|()| (), ())?;
    /// let p = Process::builder().name("one").spawn_from(&zygote, |x: u32| x + 1, 1)?;
    /// assert_eq!(p.join()?, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn_from<M: 'static, A: Message, R: Message>(
        self,
        zygote: &start::Zygote<M>,
        f: fn(A) -> R,
        arg: A,
    ) -> Result<Process<R>, SpawnError> {
        start::start_from(zygote, &self.description, &self.stdio, f, &arg)
    }

    /// Forks it from this process: it runs `f()`. The start method is not looked at.
    ///
    /// # Errors
    /// As [`Process::fork`].
    pub fn fork<R: Message, F: FnOnce() -> R>(self, f: F) -> Result<Process<R>, SpawnError> {
        start::fork_checked(&self.description, &self.stdio, (), |()| f())
    }

    /// Forks it from this process, with handles of ours that it uses.
    ///
    /// # Errors
    /// As [`Process::fork_with`].
    pub fn fork_with<H: Message, R: Message, F: FnOnce(H) -> R>(
        self,
        handles: H,
        f: F,
    ) -> Result<Process<R>, SpawnError> {
        start::fork_checked(&self.description, &self.stdio, handles, f)
    }
}
