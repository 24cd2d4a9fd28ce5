//! Programs on a terminal of their own.
//!
//! What talks to people behaves otherwise on a terminal: it writes at once, asks for passwords, shows colours and
//! progress. [`Command::pty`] gives a program one.
//!
//! ```
//! use proc_exec::{cmd, pty::Window};
//!
//! let mut size = cmd!("sh", "-c", "stty size; tty");
//! let text = size.pty(Window { rows: 50, columns: 132, ..Window::default() }).read()?;
//! assert!(text.starts_with("50 132\r\n/dev/pts/"), "{text:?}");
//! # Ok::<(), proc_exec::RunError>(())
//! ```

use crate::command::Command;

/// Size and manner of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Lines of text.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
    /// Whether what is written to the program comes back as output, as it does for a person who types. Default: no.
    pub echo: bool,
}

/// 24 rows of 80 columns, no echo.
impl Default for Window {
    fn default() -> Self {
        Window { rows: 24, columns: 80, echo: false }
    }
}

impl Command {
    /// Runs the program on a terminal of its own: its input, standard output and standard error are this terminal, and
    /// it leads a session that the terminal controls.
    ///
    /// Both streams are captured as standard output; the terminal ends lines with `\r\n`. The end of an input of bytes
    /// is the terminal's end-of-file character (Ctrl-D); without an input, the program waits for one that never comes.
    /// A terminal takes lines of 4095 bytes at most. Other settings of the streams have no effect, and in a
    /// [`Pipeline`](crate::Pipeline) there is no terminal. `TERM` is as in our environment.
    pub fn pty(&mut self, window: Window) -> &mut Self {
        self.pty = Some(window);
        self
    }
}
