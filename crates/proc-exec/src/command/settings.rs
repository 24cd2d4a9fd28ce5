//! What the program is given beside its arguments.

use super::Command;
use std::path::PathBuf;

/// Settings that the child applies before it runs the program.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) session: bool,
    pub(crate) group: Option<i32>,
    pub(crate) cgroup: Option<PathBuf>,
    pub(crate) umask: Option<u32>,
    pub(crate) nice: Option<i32>,
    pub(crate) cpus: Option<Vec<usize>>,
    pub(crate) limits: Vec<(Resource, u64, u64)>,
    pub(crate) user: Option<u32>,
    pub(crate) gid: Option<u32>,
    pub(crate) groups: Option<Vec<u32>>,
    pub(crate) no_new_privs: bool,
    pub(crate) parent_death_signal: Option<i32>,
    pub(crate) signal_mask: Option<u64>,
    pub(crate) keep_sigpipe: bool,
}

/// A resource that [`Command::resource_limit`] bounds. The manual page of `setrlimit` has the units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Resource {
    /// Bytes of address space.
    AddressSpace,
    /// Bytes of a core dump.
    Core,
    /// Seconds on a CPU; SIGXCPU, then SIGKILL.
    Cpu,
    /// Bytes of data.
    Data,
    /// Bytes of a file that it writes; SIGXFSZ.
    FileSize,
    /// Bytes of locked memory.
    LockedMemory,
    /// One more than the highest descriptor.
    OpenFiles,
    /// Processes and threads of its user.
    Processes,
    /// Bytes of stack.
    Stack,
}

impl Resource {
    pub(crate) fn number(self) -> u32 {
        match self {
            Resource::AddressSpace => libc::RLIMIT_AS,
            Resource::Core => libc::RLIMIT_CORE,
            Resource::Cpu => libc::RLIMIT_CPU,
            Resource::Data => libc::RLIMIT_DATA,
            Resource::FileSize => libc::RLIMIT_FSIZE,
            Resource::LockedMemory => libc::RLIMIT_MEMLOCK,
            Resource::OpenFiles => libc::RLIMIT_NOFILE,
            Resource::Processes => libc::RLIMIT_NPROC,
            Resource::Stack => libc::RLIMIT_STACK,
        }
    }
}

impl Command {
    /// Makes the program the leader of a session of its own, without a terminal. What asks at `/dev/tty` for a password
    /// (ssh, sudo) can't do so there.
    ///
    /// Its group is what a [kill](Self::kill_scope) reaches. What it has left in the background when it ends well is left
    /// alone, unless there is a bound, a scope or a tie: see [`timeout`](Self::timeout).
    pub fn session(&mut self) -> &mut Self {
        self.settings.session = true;
        self
    }

    /// Puts the program in process group `group`; 0 makes a group of its own, which a kill reaches as that of a
    /// [`session`](Self::session).
    pub fn process_group(&mut self, group: i32) -> &mut Self {
        self.settings.group = Some(group);
        self
    }

    /// The program's file mode creation mask.
    pub fn umask(&mut self, mask: u32) -> &mut Self {
        self.settings.umask = Some(mask);
        self
    }

    /// The program's priority, -20 (favoured) to 19. Lower than ours needs a privilege.
    pub fn nice(&mut self, nice: i32) -> &mut Self {
        self.settings.nice = Some(nice);
        self
    }

    /// The CPUs that the program may run on, by number.
    pub fn affinity(&mut self, cpus: impl IntoIterator<Item = usize>) -> &mut Self {
        self.settings.cpus = Some(cpus.into_iter().collect());
        self
    }

    /// A resource limit of the program: soft and hard value.
    pub fn resource_limit(&mut self, resource: Resource, soft: u64, hard: u64) -> &mut Self {
        self.settings.limits.retain(|(other, _, _)| *other != resource);
        self.settings.limits.push((resource, soft, hard));
        self
    }

    /// The user that the program runs as, by number. Supplementary groups are cleared, unless [`groups`](Self::groups)
    /// names some. Groups, group and user are changed in this order, each checked.
    ///
    /// This, [`group`](Self::group) and `groups` start the program by a fork, whose cost grows with our memory: a child
    /// on our own memory that changed its user would take from us the right to be debugged and to dump core.
    pub fn user(&mut self, uid: u32) -> &mut Self {
        self.settings.user = Some(uid);
        self
    }

    /// The group that the program runs as, by number.
    pub fn group(&mut self, gid: u32) -> &mut Self {
        self.settings.gid = Some(gid);
        self
    }

    /// The program's supplementary groups, by number; none clears them.
    pub fn groups(&mut self, groups: impl IntoIterator<Item = u32>) -> &mut Self {
        self.settings.groups = Some(groups.into_iter().collect());
        self
    }

    /// Forbids the program and all that it starts ever to gain privileges by an exec.
    pub fn no_new_privs(&mut self) -> &mut Self {
        self.settings.no_new_privs = true;
        self
    }

    /// A signal that the kernel sends to the program when the *thread* that started it ends. A trap: a thread pool that
    /// retires the thread kills the program. [`die_with_parent`](Self::die_with_parent) has no such trap. It is set
    /// after a change of user, which would clear it; a setuid program clears it.
    pub fn parent_death_signal(&mut self, signal: i32) -> &mut Self {
        self.settings.parent_death_signal = Some(signal);
        self
    }

    /// The program's signal mask: bit `n - 1` blocks signal `n`. Empty by default, whatever ours is.
    pub fn signal_mask(&mut self, mask: u64) -> &mut Self {
        self.settings.signal_mask = Some(mask);
        self
    }

    /// Leaves SIGPIPE and SIGXFSZ ignored in the program if they are so here. Default: no. Rust ignores SIGPIPE, and
    /// programs don't expect that. Other signals that are ignored here stay ignored: `nohup` means what it says.
    pub fn keep_sigpipe(&mut self, yes: bool) -> &mut Self {
        self.settings.keep_sigpipe = yes;
        self
    }
}
