//! The side that connects.

use std::{
    fmt, io,
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use proc_core::{
    Message,
    inherit::LocalFd,
    transfer::{packet, unpack},
};

use super::{
    address::{Address, Kind},
    error::{ConnectError, Refusal},
    handshake::{HELLO, REFUSED, WELCOME},
    hello::{Hello, Types},
    key::{Key, Proof, Role},
    peer::{Peer, Users},
};
use crate::{
    Connection,
    sys::{local, socket},
};

/// Connects to a [`Listener`](crate::Listener).
///
/// # Examples
///
/// ```no_run
/// use proc_ipc::{Client, Connection};
/// use std::time::Duration;
///
/// // What this side sends, and what it receives: the other way round than in the listener's program.
/// let server: Connection<u32, String> = Client::new("/run/user/1000/app.sock")
///     .wait(Duration::from_secs(5)) // should the listener only be starting
///     .connect()?;
/// server.send(7)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Client {
    address: Address,
    users: Users,
    key: Option<Key>,
    protocol: Option<String>,
    timeout: Duration,
    wait: Duration,
}

impl Client {
    /// One that is going to connect to `address`.
    pub fn new(address: impl Into<Address>) -> Client {
        Client {
            address: address.into(),
            users: Users::default(),
            key: None,
            protocol: None,
            timeout: Duration::MAX,
            wait: Duration::ZERO,
        }
    }

    /// Which listeners are trusted; by default those whose effective user is ours.
    #[must_use]
    pub fn allow(mut self, filter: impl Fn(&Peer) -> bool + Send + Sync + 'static) -> Client {
        self.users = Users(Some(Box::new(filter)));
        self
    }

    /// The key that the listener has too. Each proves it to the other; see [`ListenerBuilder::key`].
    ///
    /// [`ListenerBuilder::key`]: crate::ListenerBuilder::key
    #[cfg(feature = "auth")]
    #[must_use]
    pub fn key(mut self, key: impl AsRef<[u8]>) -> Client {
        self.key = Some(Key::new(key.as_ref()));
        self
    }

    /// The name of what is spoken, instead of the names of the types; see [`ListenerBuilder::protocol`].
    ///
    /// [`ListenerBuilder::protocol`]: crate::ListenerBuilder::protocol
    #[must_use]
    pub fn protocol(mut self, name: impl Into<String>) -> Client {
        self.protocol = Some(name.into());
        self
    }

    /// How long [`connect`](Client::connect) may take in all; for ever by default.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Client {
        self.timeout = timeout;
        self
    }

    /// For how long to try again while nobody listens there; by default that is an error at once.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Client {
        self.wait = wait;
        self
    }

    /// Connects: waits until the listener has accepted.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`].
    pub fn connect<S: Message, R: Message>(&self) -> Result<Connection<S, R>, ConnectError> {
        let start = Instant::now();
        let deadline = start.checked_add(self.timeout);
        let sock = LocalFd::new(self.reach(start.checked_add(self.wait), deadline)?);
        match Peer::of(sock.as_fd()).map_err(ConnectError::Io)? {
            None => return Err(ConnectError::Refused(Refusal::Namespace)),
            Some(peer) if !self.users.allow(&peer) => return Err(ConnectError::Refused(Refusal::User)),
            Some(_) => {}
        }

        let ours = Hello::new(&Types::of::<S, R>(self.protocol.as_deref()), self.key.as_ref());
        let ours = ours.map_err(ConnectError::Io)?;
        // A refusal may have come before: whether this arrives is seen by the answer.
        let _ = socket::send(sock.as_fd(), &ours.to_bytes());
        let (bytes, _) = hear(&sock, HELLO, deadline)?;
        let theirs = Hello::from_bytes(&bytes)
            .map_err(|refusal| refusal.map_or_else(|| garbled("no hello"), ConnectError::Refused))?;
        ours.agree(&theirs).map_err(ConnectError::Refused)?;

        if let Some(key) = &self.key {
            let _ = socket::send(sock.as_fd(), &key.prove(Role::Client, &ours, &theirs));
        }
        let (bytes, fds) = hear(&sock, WELCOME, deadline)?;
        let mut rest = &bytes[..];
        if let Some(key) = &self.key {
            let (proof, packed) = bytes.split_at_checked(size_of::<Proof>()).unwrap_or((&bytes, &[]));
            if !key.verify(Role::Listener, &ours, &theirs, proof) {
                return Err(ConnectError::Refused(Refusal::Key));
            }
            rest = packed;
        }
        unpack(rest, fds).map(Connection::new).map_err(garbled)
    }

    /// A socket that is connected.
    fn reach(&self, wait: Option<Instant>, deadline: Option<Instant>) -> Result<OwnedFd, ConnectError> {
        let over = |until: Option<Instant>| until.is_some_and(|t| Instant::now() >= t);
        let mut pause = Duration::from_micros(100);
        loop {
            let sock = local::socket().map_err(ConnectError::Io)?;
            let result = match &self.address.0 {
                Kind::Path(path) => local::connect_path(sock.as_fd(), path),
                Kind::Abstract(name) => local::connect_abstract(sock.as_fd(), name),
            };
            match result {
                Ok(()) => return Ok(sock),
                Err(e) => match e.kind() {
                    // Its queue is full: the kernel has no way to wait for room with a deadline.
                    io::ErrorKind::WouldBlock => {}
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused if over(wait) => {
                        return Err(ConnectError::NotListening(e));
                    }
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {}
                    _ => return Err(ConnectError::Io(e)),
                },
            }
            if over(deadline) {
                return Err(ConnectError::TimedOut);
            }
            let left = deadline.map_or(pause, |t| t.saturating_duration_since(Instant::now()));
            std::thread::sleep(pause.min(left));
            pause = (pause * 2).min(Duration::from_millis(10));
        }
    }
}

/// What the listener says next, which must be of this kind.
fn hear(sock: &LocalFd, tag: u8, deadline: Option<Instant>) -> Result<(Vec<u8>, Vec<OwnedFd>), ConnectError> {
    let (mut bytes, fds) = match packet::recv(sock, deadline) {
        Ok(Some(message)) => message,
        Ok(None) => return Err(ConnectError::Dropped),
        Err(e) => {
            return Err(match e.kind() {
                io::ErrorKind::TimedOut => ConnectError::TimedOut,
                io::ErrorKind::InvalidData => garbled(e),
                _ => ConnectError::Io(e),
            });
        }
    };
    match bytes.first() {
        Some(first) if *first == tag => {
            bytes.remove(0);
            Ok((bytes, fds))
        }
        Some(&REFUSED) => match bytes.get(1).and_then(|code| Refusal::from_code(*code, &bytes[2..])) {
            Some(refusal) => Err(ConnectError::Refused(refusal)),
            None => Err(garbled("an unknown refusal")),
        },
        _ => Err(garbled("something out of turn")),
    }
}

fn garbled(what: impl fmt::Display) -> ConnectError {
    ConnectError::Garbled(what.to_string())
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("address", &self.address)
            .field("has_key", &self.key.is_some())
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}
