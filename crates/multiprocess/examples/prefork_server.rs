//! A prefork server: the parent listens, several processes accept, and a reload replaces them without losing a call.
//!
//! Prints:
//!
//! ```text
//! 4 calls answered by generation 1, by {} processes
//! a process was killed: its successor is there
//! 4 calls answered by generation 2, by {} processes
//! all processes have ended
//! ```
//!
//! Each child has the listening socket (it crossed in an `Fd`), accepts a call, answers it, and looks whether its
//! generation is to go: it ends between two calls, never within one.

use multiprocess::{Fd, JoinError, Process, RemoteError};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

const PROCESSES: usize = 2;

/// One accepting process, for as long as the other end of `leash` is open.
fn accept_calls(
    (listener, leash, generation): (Fd<TcpListener>, Fd<UnixStream>, u32),
) -> Result<u32, String> {
    let (listener, mut leash) = (listener.into_inner(), leash.into_inner());
    let say = |e: std::io::Error| e.to_string();
    // Several processes wait for one call; who comes late finds none.
    listener.set_nonblocking(true).map_err(say)?;
    leash.set_nonblocking(true).map_err(say)?;
    let mut answered = 0;
    loop {
        match listener.accept() {
            Ok((call, _)) => {
                answer(call, generation).map_err(say)?;
                answered += 1;
            }
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
                if let Ok(0) = leash.read(&mut [0]) {
                    return Ok(answered); // the parent has closed its end: time to go
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(e) => return Err(e.to_string()),
        }
    }
}

fn answer(mut call: TcpStream, generation: u32) -> std::io::Result<()> {
    call.set_nonblocking(false)?;
    write!(call, "{generation} {}", std::process::id())
}

/// The processes of one generation, and the ends of their leashes.
struct Generation {
    number: u32,
    processes: Vec<(Process<Result<u32, String>>, UnixStream)>,
}

impl Generation {
    fn start(listener: &TcpListener, number: u32) -> Result<Generation, RemoteError> {
        let mut generation = Generation { number, processes: Vec::new() };
        generation.fill(listener)?;
        Ok(generation)
    }

    /// Starts what is missing.
    fn fill(&mut self, listener: &TcpListener) -> Result<(), RemoteError> {
        self.processes.retain(|(process, _)| process.is_alive());
        while self.processes.len() < PROCESSES {
            let (ours, theirs) = UnixStream::pair()?;
            let given = (Fd(listener.try_clone()?), Fd(theirs), self.number);
            let process = Process::builder()
                .name(format!("accept-{}", self.number))
                .daemon(true)
                .spawn(accept_calls, given)?;
            self.processes.push((process, ours));
        }
        Ok(())
    }

    /// Lets each process end its call, and waits for them.
    fn retire(self) -> Result<(), RemoteError> {
        let (processes, leashes): (Vec<_>, Vec<_>) = self.processes.into_iter().unzip();
        drop(leashes);
        for process in processes {
            match process.join() {
                Ok(answered) => drop(answered?),
                Err(JoinError::Signaled { .. }) => {} // the one that was killed
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }
}

fn call(address: SocketAddr) -> std::io::Result<(u32, u32)> {
    let mut reply = String::new();
    TcpStream::connect(address)?.read_to_string(&mut reply)?;
    let mut numbers = reply.split(' ').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(generation)), Some(Ok(pid))) => Ok((generation, pid)),
        _ => Err(std::io::Error::other(format!("a strange reply: {reply:?}"))),
    }
}

fn call_four_times(address: SocketAddr) -> std::io::Result<()> {
    let replies = (0..4).map(|_| call(address)).collect::<Result<Vec<_>, _>>()?;
    let pids: BTreeSet<u32> = replies.iter().map(|(_, pid)| *pid).collect();
    let generation = replies[0].0;
    println!("4 calls answered by generation {generation}, by {} processes", pids.len());
    Ok(())
}

fn main() -> Result<(), RemoteError> {
    multiprocess::init();
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let mut first = Generation::start(&listener, 1)?;
    call_four_times(address)?;

    first.processes[0].0.kill()?;
    first.processes[0].0.wait_timeout(Duration::from_secs(10))?;
    first.fill(&listener)?;
    let started = Instant::now();
    while first.processes.iter().any(|(process, _)| !process.is_alive()) {
        if started.elapsed() > Duration::from_secs(10) {
            return Err("no successor came up; is the limit of processes reached?".into());
        }
    }
    println!("a process was killed: its successor is there");

    // A reload: the second generation accepts before the first one goes, so that no call finds nobody.
    let second = Generation::start(&listener, 2)?;
    first.retire()?;
    call_four_times(address)?;
    second.retire()?;
    println!("all processes have ended");
    Ok(())
}
