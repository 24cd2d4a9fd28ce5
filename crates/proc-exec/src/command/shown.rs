//! A command line as text that a shell makes the same arguments of.

use std::ffi::{OsStr, OsString};
use std::fmt::{self, Write};
use std::os::unix::ffi::OsStrExt;

/// Program and arguments; `None` is one that is not to be shown.
#[derive(Clone)]
pub(crate) struct Shown(pub(crate) Vec<Option<OsString>>);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, arg) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_char(' ')?;
            }
            match arg {
                Some(arg) if i == 0 && is_syntax(arg) => quoted(f, arg.as_bytes())?,
                Some(arg) => escaped(f, arg)?,
                None => f.write_str("'***'")?,
            }
        }
        Ok(())
    }
}

/// Words that are no program where a shell looks for one: of POSIX, bash and zsh.
const RESERVED: [&str; 19] = [
    "if", "then", "else", "elif", "fi", "do", "done", "case", "esac", "while", "until", "for", "in",
    "select", "function", "time", "coproc", "repeat", "foreach",
];

/// Whether a program's name is something else to a shell: `A=b` would set a variable, `time` measure what follows.
fn is_syntax(arg: &OsStr) -> bool {
    arg.as_bytes().contains(&b'=') || RESERVED.iter().any(|word| arg == *word)
}

/// One argument, as `sh` reads it. What is no text, or moves a terminal's cursor, is made by `printf` when it is read:
/// `$'...'` is shorter, and dash does not know it.
fn escaped(f: &mut fmt::Formatter<'_>, arg: &OsStr) -> fmt::Result {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(b);
    let bytes = arg.as_bytes();
    if !bytes.is_empty() && bytes.iter().all(plain) {
        return f.write_str(&arg.to_string_lossy());
    }
    quoted(f, bytes)
}

fn quoted(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    let mut is_open = false;
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            let is_control = c.is_control() && c != '\n' && c != '\t';
            match (c, is_control) {
                (_, true) => by_printf(f, &mut is_open, c.encode_utf8(&mut [0; 4]).as_bytes())?,
                ('\'', _) => {
                    quote(f, &mut is_open, false)?;
                    f.write_str("\\'")?;
                }
                _ => {
                    quote(f, &mut is_open, true)?;
                    f.write_char(c)?;
                }
            }
        }
        if !chunk.invalid().is_empty() {
            by_printf(f, &mut is_open, chunk.invalid())?;
        }
    }
    quote(f, &mut is_open, false)?;
    if bytes.is_empty() { f.write_str("''") } else { Ok(()) }
}

fn quote(f: &mut fmt::Formatter<'_>, is_open: &mut bool, open: bool) -> fmt::Result {
    if *is_open == open {
        return Ok(());
    }
    *is_open = open;
    f.write_char('\'')
}

fn by_printf(f: &mut fmt::Formatter<'_>, is_open: &mut bool, bytes: &[u8]) -> fmt::Result {
    quote(f, is_open, false)?;
    f.write_str("\"$(printf '")?;
    for byte in bytes {
        write!(f, "\\{byte:03o}")?;
    }
    f.write_str("')\"")
}
