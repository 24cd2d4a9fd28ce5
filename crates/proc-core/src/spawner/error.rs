//! Why a program could not be started.

use crate::remote_error::RemoteError;
use rustix::io::Errno;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The step of a start at which it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Step {
    /// The description itself: a NUL byte in a string, a number out of range.
    Arguments = 1,
    /// Making the child.
    Clone,
    /// A session of its own.
    Session,
    /// Joining a process group.
    ProcessGroup,
    /// Taking a controlling terminal.
    Terminal,
    /// Joining a control group.
    Cgroup,
    /// Tying the child to its parent's life.
    Lifeline,
    /// Changing the working directory.
    CurrentDir,
    /// Setting the priority.
    Nice,
    /// Setting the CPU affinity.
    Affinity,
    /// Putting the descriptors in their places.
    Descriptors,
    /// Closing all other descriptors.
    CloseDescriptors,
    /// Setting a resource limit.
    ResourceLimit,
    /// Setting the supplementary groups.
    Groups,
    /// Changing the group.
    Group,
    /// Changing the user.
    User,
    /// Forbidding new privileges.
    NoNewPrivileges,
    /// Asking for a signal at the parent's death.
    ParentDeathSignal,
    /// Running the program.
    Exec,
}

impl Step {
    pub(super) const ALL: [Step; 19] = [
        Step::Arguments,
        Step::Clone,
        Step::Session,
        Step::ProcessGroup,
        Step::Terminal,
        Step::Cgroup,
        Step::Lifeline,
        Step::CurrentDir,
        Step::Nice,
        Step::Affinity,
        Step::Descriptors,
        Step::CloseDescriptors,
        Step::ResourceLimit,
        Step::Groups,
        Step::Group,
        Step::User,
        Step::NoNewPrivileges,
        Step::ParentDeathSignal,
        Step::Exec,
    ];

    fn phrase(self) -> &'static str {
        match self {
            Step::Arguments => "its description is not valid",
            Step::Clone => "no process could be made",
            Step::Session => "setsid failed",
            Step::ProcessGroup => "joining the process group failed",
            Step::Terminal => "taking the controlling terminal failed",
            Step::Cgroup => "joining the control group failed",
            Step::Lifeline => "tying it to this process failed",
            Step::CurrentDir => "changing the working directory failed",
            Step::Nice => "setting its priority failed",
            Step::Affinity => "setting its CPUs failed",
            Step::Descriptors => "arranging its descriptors failed",
            Step::CloseDescriptors => "closing the other descriptors failed",
            Step::ResourceLimit => "setting a resource limit failed",
            Step::Groups => "setting its groups failed",
            Step::Group => "changing its group failed",
            Step::User => "changing its user failed",
            Step::NoNewPrivileges => "forbidding new privileges failed",
            Step::ParentDeathSignal => "its parent has died, or no death signal can be had",
            Step::Exec => "it could not be run",
        }
    }
}

/// What a failed start means for whoever wrote the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StartErrorKind {
    /// No such program, or not on the child's `PATH`.
    ProgramNotFound,
    /// The program exists and may not be executed.
    PermissionDenied,
    /// The program exists; the interpreter that its first line (or its header) names does not.
    InterpreterNotFound,
    /// The file is neither a program nor a script with `#!`.
    NotAProgram,
    /// Arguments and environment together, or one of them, are longer than the kernel takes.
    ArgumentsTooLong,
    /// The working directory is missing, no directory, or not to be entered.
    CurrentDir,
    /// The description is not valid: a NUL byte in a string, or a number out of range.
    InvalidInput,
    /// Another step failed; see [`StartError::step`] and its source.
    Other,
}

/// Why a program could not be started: the step, the path, the system's error.
pub struct StartError {
    pub(super) step: Step,
    pub(super) kind: StartErrorKind,
    pub(super) program: PathBuf,
    pub(super) path: Option<PathBuf>,
    pub(super) detail: Option<String>,
    pub(super) source: io::Error,
}

impl StartError {
    /// The step that failed.
    pub fn step(&self) -> Step {
        self.step
    }

    /// What it means.
    pub fn kind(&self) -> StartErrorKind {
        self.kind
    }

    /// The program as it was asked for.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The path that the step was about: the file that could not be run, the directory that could not be entered.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The system's error.
    pub fn io_error(&self) -> &io::Error {
        &self.source
    }

    pub(super) fn new(program: &Path, step: Step, source: io::Error) -> Self {
        let kind = if step == Step::Arguments { StartErrorKind::InvalidInput } else { StartErrorKind::Other };
        StartError { step, kind, program: program.to_owned(), path: None, detail: None, source }
    }

    pub(super) fn with_path(mut self, path: PathBuf) -> Self {
        self.path = Some(path);
        self
    }

    pub(super) fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Says what the step's error means, now that the path is known.
    pub(super) fn classified(mut self) -> Self {
        self.kind = match self.step {
            Step::CurrentDir => StartErrorKind::CurrentDir,
            Step::Exec => exec_kind(self.source.raw_os_error(), self.path.as_deref()),
            _ => return self,
        };
        self
    }
}

fn exec_kind(errno: Option<i32>, path: Option<&Path>) -> StartErrorKind {
    match errno.map(Errno::from_raw_os_error) {
        // The file is there, so it is its interpreter that isn't.
        Some(Errno::NOENT) if path.is_some_and(Path::exists) => StartErrorKind::InterpreterNotFound,
        Some(Errno::NOENT | Errno::NOTDIR) => StartErrorKind::ProgramNotFound,
        Some(Errno::ACCESS | Errno::PERM) => StartErrorKind::PermissionDenied,
        Some(Errno::NOEXEC | Errno::LIBBAD) => StartErrorKind::NotAProgram,
        Some(Errno::TOOBIG) => StartErrorKind::ArgumentsTooLong,
        _ => StartErrorKind::Other,
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.phrase())
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot start `{}`: ", self.program.display())?;
        match self.kind {
            StartErrorKind::ProgramNotFound => f.write_str("no such program")?,
            StartErrorKind::InterpreterNotFound => {
                f.write_str("the interpreter that the file names was not found")?;
            }
            StartErrorKind::NotAProgram => {
                f.write_str("the file is neither a program nor a script with `#!`")?
            }
            StartErrorKind::ArgumentsTooLong => f.write_str("arguments and environment are too long")?,
            _ => f.write_str(self.step.phrase())?,
        }
        if let Some(path) = self.path.as_deref().filter(|path| *path != self.program) {
            write!(f, " (`{}`)", path.display())?;
        }
        match &self.detail {
            Some(detail) => write!(f, ": {detail}"),
            None => write!(f, ": {}", self.source),
        }
    }
}

impl fmt::Debug for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

impl From<StartError> for io::Error {
    fn from(error: StartError) -> Self {
        io::Error::new(error.source.kind(), error)
    }
}

impl From<StartError> for RemoteError {
    fn from(error: StartError) -> Self {
        RemoteError::new(error)
    }
}
