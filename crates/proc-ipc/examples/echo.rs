//! An echo server at a path, and clients that did not start it.
//!
//! Prints:
//!
//! ```text
//! is there anybody?
//! is there anybody?
//! is there anybody?
//! ```
//!
//! `cargo run -p proc-ipc --example echo` shows both. In two terminals: `... --example echo -- serve /tmp/echo`, and
//! `... --example echo -- say /tmp/echo hello`.

use std::{error::Error, path::PathBuf, thread, time::Duration};

use proc_core::Process;
use proc_ipc::{Client, Connection, Listener};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Serves so many clients, each in a thread.
fn serve(path: &PathBuf, clients: usize) -> Result<()> {
    let listener = Listener::<String>::bind(path)?;
    thread::scope(|s| {
        for connection in listener.incoming().take(clients) {
            let connection = connection?;
            s.spawn(move || {
                for line in &connection {
                    match line {
                        Ok(line) if connection.send(line.clone()).is_ok() => {}
                        // The client is gone, which is its own affair.
                        _ => break,
                    }
                }
            });
        }
        Ok(())
    })
}

fn say(path: PathBuf, text: &str) -> Result<String> {
    let server: Connection<String> = Client::new(path).wait(Duration::from_secs(5)).connect()?;
    server.send(text.to_string())?;
    Ok(server.recv()?)
}

fn main() -> Result<()> {
    proc_core::init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", path] => serve(&path.into(), usize::MAX),
        ["say", path, text] => {
            println!("{}", say(path.into(), text)?);
            Ok(())
        }
        _ => {
            let dir = tempfile::tempdir()?;
            let path = dir.path().join("echo");
            let client = |path: PathBuf| say(path, "is there anybody?").map_err(|e| e.to_string());
            let children = (0..3).map(|_| Process::spawn(client, path.clone())).collect::<Vec<_>>();
            serve(&path, children.len())?;
            for child in children {
                println!("{}", child?.join()??);
            }
            Ok(())
        }
    }
}
