//! The descriptors of a call: the ends that go to the programs, and those that we keep.

use super::{Mode, spawner::Reach};
use crate::command::{Command, Limits};
use crate::engine::{Feed, Outlet};
use crate::error::Cause;
use crate::stdio::{Held, Input, Source, Stream, Target};
use crate::sys::descriptors;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What one program gets as its descriptors 0 to 2. `None`: ours.
#[derive(Debug, Default)]
pub(super) struct Ends {
    pub(super) stdin: Option<Held>,
    pub(super) stdout: Option<Held>,
    pub(super) stderr: Option<Held>,
    /// Descriptors 0 to 2 are a terminal, which is to control the program.
    pub(super) terminal: Option<OwnedFd>,
}

pub(super) struct Plan {
    pub(super) ends: Vec<Ends>,
    pub(super) feed: Option<Feed>,
    pub(super) outlets: Vec<Outlet>,
}

type Failure = (Cause, usize);

fn io_failure(what: &'static str, path: Option<PathBuf>, at: usize) -> impl FnOnce(io::Error) -> Failure {
    move |error| (Cause::Prepare(what, path, error), at)
}

fn pipe(at: usize) -> Result<(OwnedFd, OwnedFd), Failure> {
    descriptors::pipe().map_err(io_failure("no pipe could be made", None, at))
}

fn null(at: usize) -> Result<Held, Failure> {
    let path = Some(PathBuf::from("/dev/null"));
    Ok(Held::Own(descriptors::open_null().map_err(io_failure("a file could not be opened", path, at))?))
}

fn given_away(what: &str, at: usize) -> Failure {
    (Cause::InvalidInput(format!("{what} was given to an earlier start")), at)
}

impl Plan {
    pub(super) fn new(
        stages: &[&Command],
        mode: &Mode,
        limits: &Limits,
        reach: &Reach,
    ) -> Result<Self, Failure> {
        let mut plan = Plan { ends: Vec::with_capacity(stages.len()), feed: None, outlets: Vec::new() };
        #[cfg(feature = "pty")]
        if let [stage] = stages {
            if let Some(window) = stage.pty {
                plan.on_terminal(stage, mode, limits, window)?;
                return Ok(plan);
            }
        }
        let last = stages.len() - 1;
        // What the stage before has left for this one to read.
        let mut from_before = None;
        for (i, stage) in stages.iter().enumerate() {
            let chosen =
                if i == 0 { mode.input.as_ref().or(stage.stdin.as_ref()) } else { stage.stdin.as_ref() };
            let stdin = match (chosen, from_before.take()) {
                (None, Some(before)) => Some(Held::Own(before)),
                (Some(input), _) => plan.input(input, mode, i)?,
                (None, None) if i == 0 => plan.input(&mode.stdin, mode, i)?,
                (None, None) => Some(null(i)?),
            };
            if stdin.is_none() {
                refuse_background_terminal(reach, i)?;
            }
            plan.ends.push(Ends { stdin, ..Ends::default() });
            if i < last && stage.stdout.is_none() {
                let (read, write) = pipe(i)?;
                from_before = Some(read);
                plan.outputs(stage, Some(write), mode, limits, i)?;
            } else {
                plan.outputs(stage, None, mode, limits, i)?;
            }
        }
        // Standard output comes first, then each stage's standard error in order: `sort_by_key` is stable.
        plan.outlets.sort_by_key(|outlet| outlet.stream == Stream::Stderr);
        Ok(plan)
    }

    fn input(&mut self, input: &Input, mode: &Mode, at: usize) -> Result<Option<Held>, Failure> {
        let source = &input.0;
        if source.is_piped() || mode.interactive && at == 0 {
            return self.feed(source, mode, at).map(Some);
        }
        Ok(match source {
            Source::Null => Some(null(at)?),
            Source::Path(path) => {
                let open = descriptors::open_read(path);
                let failed = io_failure("its input could not be opened", Some(path.clone()), at);
                Some(Held::Own(open.map_err(failed)?))
            }
            Source::File(file) => Some(Held::Shared(file.clone())),
            Source::Given(once) => Some(once.held().ok_or_else(|| given_away("its input", at))?),
            Source::Inherit | Source::Pipe | Source::Bytes(_) | Source::Reader(_) => None,
        })
    }

    fn feed(&mut self, source: &Source, mode: &Mode, at: usize) -> Result<Held, Failure> {
        let (read, write) = pipe(at)?;
        let mut feed = Feed::new(write);
        feed.for_taking = mode.has_handle && matches!(source, Source::Pipe);
        feed.stays_open = mode.interactive || feed.for_taking;
        match source {
            Source::Bytes(bytes) => feed.push(bytes.clone()),
            Source::Reader(reader) => {
                let reader = reader.take().ok_or_else(|| given_away("the reader of its input", at))?;
                feed.read_from(reader);
            }
            _ => {}
        }
        if self.feed.replace(feed).is_some() {
            let what =
                "only one program of a pipeline can have an input of bytes, a reader or a pipe".to_owned();
            return Err((Cause::InvalidInput(what), at));
        }
        Ok(Held::Own(read))
    }

    /// Standard output and standard error of one stage; `next` is the write end of a pipe to the next one.
    fn outputs(
        &mut self,
        stage: &Command,
        next: Option<OwnedFd>,
        mode: &Mode,
        limits: &Limits,
        at: usize,
    ) -> Result<(), Failure> {
        let stdout = &stage.stdout.as_ref().unwrap_or(&mode.stdout).0;
        let stderr = &stage.stderr.as_ref().unwrap_or(&mode.stderr).0;
        let is_merge = |target: &Target| matches!(target, Target::Merge);
        if is_merge(stdout) && is_merge(stderr) {
            let what = "each of its two output streams is to go where the other goes".to_owned();
            return Err((Cause::InvalidInput(what), at));
        }
        let shared = |held: Option<Held>| match held {
            // Twice the same: both streams share one open file, and its position.
            Some(Held::Own(fd)) => Some(Arc::new(fd)),
            Some(Held::Shared(fd)) => Some(fd),
            None => None,
        };
        let (out, err) = if is_merge(stderr) {
            let out = match next {
                Some(next) => Some(Held::Own(next)),
                None => self.output(stdout, Stream::Stdout, stage, limits, at)?,
            };
            self.twice(shared(out), 1, at)?
        } else if is_merge(stdout) && next.is_none() {
            let err = self.output(stderr, Stream::Stderr, stage, limits, at)?;
            self.twice(shared(err), 2, at)?
        } else {
            let out = match next {
                Some(next) => Some(Held::Own(next)),
                None => self.output(stdout, Stream::Stdout, stage, limits, at)?,
            };
            (out, self.output(stderr, Stream::Stderr, stage, limits, at)?)
        };
        (self.ends[at].stdout, self.ends[at].stderr) = (out, err);
        Ok(())
    }

    /// The same descriptor for both streams; `None` is our own descriptor `number`, for both.
    fn twice(
        &self,
        shared: Option<Arc<OwnedFd>>,
        number: i32,
        at: usize,
    ) -> Result<(Option<Held>, Option<Held>), Failure> {
        let shared = match shared {
            Some(fd) => fd,
            None => {
                let own = if number == 1 {
                    io::stdout().as_fd().try_clone_to_owned()
                } else {
                    io::stderr().as_fd().try_clone_to_owned()
                };
                Arc::new(own.map_err(io_failure("our own stream could not be handed on", None, at))?)
            }
        };
        Ok((Some(Held::Shared(shared.clone())), Some(Held::Shared(shared))))
    }

    fn output(
        &mut self,
        target: &Target,
        stream: Stream,
        stage: &Command,
        limits: &Limits,
        at: usize,
    ) -> Result<Option<Held>, Failure> {
        let observed = !stage.observers[usize::from(stream == Stream::Stderr)].is_empty();
        Ok(match target {
            Target::Inherit if !observed => None,
            Target::Null if !observed => Some(null(at)?),
            Target::Path { path, append } => Some(Held::Own(create(path, *append, at)?)),
            Target::File(file) => Some(Held::Shared(file.clone())),
            Target::Given(once) => Some(once.held().ok_or_else(|| given_away("where its output goes", at))?),
            // Who wants to see it must read it.
            Target::Inherit | Target::Null | Target::Capture | Target::Merge => {
                let (read, write) = pipe(at)?;
                self.outlets.push(outlet(read, stream, stage, limits, at));
                Some(Held::Own(write))
            }
        })
    }

    #[cfg(feature = "pty")]
    fn on_terminal(
        &mut self,
        stage: &Command,
        mode: &Mode,
        limits: &Limits,
        window: crate::pty::Window,
    ) -> Result<(), Failure> {
        let failed = |error| io_failure("no terminal could be made", None, 0)(error);
        let (ours, theirs) = crate::sys::pty::open(window).map_err(failed)?;
        let theirs = Arc::new(theirs);
        let input = mode.input.as_ref().or(stage.stdin.as_ref()).unwrap_or(&mode.stdin);
        let mut feed = Feed::new(ours.try_clone().map_err(failed)?);
        feed.is_terminal = true;
        feed.stays_open = true;
        match &input.0 {
            Source::Bytes(bytes) => {
                feed.push(bytes.clone());
                if !mode.interactive {
                    feed.finish();
                }
            }
            Source::Pipe if mode.has_handle => feed.for_taking = true,
            Source::Pipe if !mode.interactive => feed.finish(),
            Source::Pipe | Source::Inherit | Source::Null => {}
            _ => {
                let what = "a terminal takes bytes as its input only".to_owned();
                return Err((Cause::InvalidInput(what), 0));
            }
        }
        self.feed = Some(feed);
        let mut outlet = outlet(ours, Stream::Stdout, stage, limits, 0);
        outlet.is_terminal = true;
        self.outlets.push(outlet);
        let terminal = theirs.try_clone().map_err(failed)?;
        let held = || Some(Held::Shared(theirs.clone()));
        self.ends.push(Ends { stdin: held(), stdout: held(), stderr: held(), terminal: Some(terminal) });
        Ok(())
    }
}

fn outlet(read: OwnedFd, stream: Stream, stage: &Command, limits: &Limits, at: usize) -> Outlet {
    let observers = stage.observers[usize::from(stream == Stream::Stderr)].clone();
    let keep = stage.keep_output || observers.is_empty();
    Outlet::new(read, stream, at, limits.output, observers, keep)
}

fn create(path: &Path, append: bool, at: usize) -> Result<OwnedFd, Failure> {
    let failed = io_failure("the file for its output could not be opened", Some(path.to_owned()), at);
    descriptors::open_write(path, append).map_err(failed)
}

/// A program in a group of its own that reads our terminal is stopped, and would wait until its time limit.
fn refuse_background_terminal(reach: &Reach, at: usize) -> Result<(), Failure> {
    if !reach.makes_group || !descriptors::is_our_terminal(io::stdin().as_fd()) {
        return Ok(());
    }
    let what = "a program in a process group of its own can't read our terminal: give it an input, or say \
                `kill_scope(KillScope::Child)`";
    Err((Cause::InvalidInput(what.to_owned()), at))
}
