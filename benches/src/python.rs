//! Python's modules as rivals: a script beside us, which we ask for iterations.

use crate::{Routine, Setting};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// A running Python script of `benches/python`.
///
/// It gets its words and the peer's CPU as arguments, says `ready`, and then answers each number of iterations on its
/// standard input with the nanoseconds they took, by its own clock. So neither Python's start nor our pipe is counted.
#[derive(Debug)]
pub struct Python {
    child: Child,
    /// `None` once it has been told to end.
    ask: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Python {
    /// The routine of `script` with these words.
    ///
    /// # Errors
    /// A sentence, if there is no `python3` or the script ends before it is ready.
    pub fn routine(script: &str, words: &[&str], setting: &Setting) -> Result<Routine, String> {
        let mut python = Python::start(script, words, setting)?;
        Ok(Box::new(move |n| match python.iterations(n) {
            Ok(time) => time,
            Err(why) => panic!("{why}"),
        }))
    }

    /// A number that the script finds out by itself: it is asked for one iteration.
    ///
    /// # Errors
    /// As [`routine`](Self::routine).
    pub fn value(script: &str, words: &[&str], setting: &Setting) -> Result<f64, String> {
        let mut python = Python::start(script, words, setting)?;
        python.ask(1)?;
        python.line()?.parse().map_err(|e| format!("{script}: {e}"))
    }

    /// Starts a script and waits until it is ready; it then stands still until it is asked for something.
    ///
    /// # Errors
    /// As [`routine`](Self::routine).
    pub fn start(script: &str, words: &[&str], setting: &Setting) -> Result<Self, String> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(script);
        let mut child = Command::new("python3")
            .arg(path)
            .args(words)
            .arg(setting.peer_cpu())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("python3: {e}"))?;
        let (Some(ask), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("python3 has no pipes".into());
        };
        let mut python = Python { child, ask: Some(ask), answers: BufReader::new(answers) };
        match python.line()?.as_str() {
            "ready" => Ok(python),
            other => Err(format!("{script}: {other}")),
        }
    }

    fn iterations(&mut self, n: u64) -> Result<Duration, String> {
        self.ask(n)?;
        self.line()?.parse().map(Duration::from_nanos).map_err(|e| format!("python3: {e}"))
    }

    fn ask(&mut self, n: u64) -> Result<(), String> {
        match &mut self.ask {
            Some(ask) => writeln!(ask, "{n}").map_err(|e| format!("python3 is gone: {e}")),
            None => Err("python3 has ended".into()),
        }
    }

    fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(0) => Err("python3 ended early".into()),
            Ok(_) => Ok(line.trim().to_owned()),
            Err(e) => Err(format!("python3: {e}")),
        }
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // At the end of its input the script ends, and its children with it. A stuck one must not hold up the figures.
        self.ask = None;
        let begun = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && begun.elapsed() < Duration::from_secs(1) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
