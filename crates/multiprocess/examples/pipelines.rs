//! Programs in a row, as a shell would run them, but with every status and without a shell.
//!
//! Prints:
//!
//! ```text
//! the commonest word: 3 the
//! lines: 2
//! bytes packed and unpacked: 20
//! false exited with code 1
//! in /: /
//! what went wrong: {}no-such-file{}
//! ```

use multiprocess::{Command, RemoteError, cmd, run};
use std::fs::{self, File};
use std::time::Duration;

fn main() -> Result<(), RemoteError> {
    let folder = tempfile::tempdir()?;
    let text = folder.path().join("text");
    fs::write(&text, "the\ncat\nthe\ndog\nthe\n")?;

    let counted = cmd!("sort", &text)
        .pipe(cmd!("uniq", "-c"))
        .pipe(cmd!("sort", "-rn"))
        .pipe(cmd!("head", "-n1"))
        .timeout(Duration::from_secs(60))
        .read()?;
    println!("the commonest word: {}", counted.trim());

    let lines = Command::new("cat").pipe(Command::new("wc").arg("-l")).input("a\nb\n").read()?;
    println!("lines: {}", lines.trim());

    let packed = cmd!("gzip", "-c").input(File::open(&text)?).run()?.stdout;
    let unpacked = cmd!("gzip", "-dc").input(packed).run()?.stdout;
    println!("bytes packed and unpacked: {}", unpacked.len());

    println!("false {}", cmd!("false").unchecked().run()?.status);
    println!("in /: {}", cmd!("pwd").current_dir("/").env("LC_ALL", "C").read()?.trim());

    match run(["cat", "no-such-file"]) {
        Ok(_) => println!("there is such a file"),
        Err(e) => println!("what went wrong: {}", e.to_string().replace('\n', " ")),
    }
    Ok(())
}
