//! Unrelated processes meet: a [`Listener`] at a path or an abstract name, and [`Client`]s that connect to it.
//!
//! # The handshake
//!
//! It goes over a `SOCK_SEQPACKET` Unix socket, which both sides drop after it:
//!
//! | | from | what |
//! |---|---|---|
//! | 1 | client | hello: version, hashes of the types, PID namespace, nonce |
//! | 2 | listener | the same, or a refusal and its reason |
//! | 3 | client | with a key only: HMAC-SHA256 over its role and both hellos |
//! | 4 | listener | with a key the same for its own role; and an end of a fresh pipe, as descriptors |
//!
//! The client proves that it has the key first, so a listener tells strangers nothing that they could try keys on. The
//! roles in the proofs keep one side from sending back what the other has said, the nonces from replaying it. Memory is
//! allocated after all checks.
//!
//! A listener keeps all handshakes that are under way in one epoll instance, and takes one step at a time of whichever is
//! ready. States of one: *hello expected, proof expected*, then connected or gone.

mod address;
mod builder;
mod client;
mod error;
mod handshake;
mod hello;
mod incoming;
mod key;
mod peer;
mod place;
mod state;

use std::{
    fmt, io,
    marker::PhantomData,
    os::fd::{AsFd, BorrowedFd},
    path::Path,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use proc_core::Message;

pub(crate) use self::state::Watching;
pub use self::{
    address::Address,
    builder::ListenerBuilder,
    client::Client,
    error::{ConnectError, Refusal},
    incoming::Incoming,
    peer::Peer,
};
use self::{place::Place, state::State};
use crate::Connection;

/// Where unrelated processes connect to this one: at a path, or an abstract name.
///
/// Each [`Client`] that gets in is a [`Connection`], just as from [`pipe`](crate::pipe()), over shared memory. Both sides
/// state the types that they send and receive; a client with others is refused. See [`ListenerBuilder`] for what is
/// checked, and for keys.
///
/// Clients that are refused, send garbage, or say nothing are dropped, and hold up nobody: handshakes go on side by side,
/// up to 256 of them, each for at most 10 s ([`handshake_timeout`](ListenerBuilder::handshake_timeout)). They go on while
/// a thread is in one of the methods, or in a [`wait`](crate::wait()), only; there is no hidden thread. A `wait` sleeps until
/// a client does something, so it drops those whose time is over no sooner than that, or its own end.
///
/// Dropping it removes the socket file, if it still is the one that it made; a forked child's copy does not. A file that a
/// killed process left is taken over by the next [`bind`](Listener::bind).
///
/// It has two descriptors, and one more for each handshake.
///
/// Compared with Python's `multiprocessing.connection.Listener`: a silent client does not block `accept`; keys are
/// optional, as users are checked by the kernel; and the connection is as fast as a pipe.
///
/// # Examples
///
/// ```
/// use proc_ipc::{Client, Connection, Listener};
///
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("squares");
/// let listener = Listener::<u64, u32>::bind(&path)?;
///
/// let client = std::thread::spawn(move || { // usually in another program
///     let server: Connection<u32, u64> = Client::new(&path).connect()?;
///     server.send(12)?;
///     Ok::<_, Box<dyn std::error::Error + Send + Sync>>(server.recv()?)
/// });
/// let connection = listener.accept()?;
/// let number = connection.recv()?;
/// connection.send(u64::from(number) * u64::from(number))?;
/// assert_eq!(client.join().unwrap().unwrap(), 144);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Listener<S, R = S> {
    place: Place,
    state: Mutex<State>,
    messages: PhantomData<fn(S) -> R>,
}

impl Listener<(), ()> {
    /// One with options.
    pub fn builder() -> ListenerBuilder {
        ListenerBuilder::new()
    }
}

impl<S: Message, R: Message> Listener<S, R> {
    /// Listens at `address`, for processes of the same user.
    ///
    /// # Errors
    ///
    /// - `AddrInUse`: somebody listens there, or there is a file that is no socket;
    /// - `NotFound`, `PermissionDenied`, `NotADirectory`, ...: a file can't be made there;
    /// - `InvalidInput`: the address is empty, has a NUL in its path, or an abstract name is longer than 107 bytes;
    /// - the process is out of descriptors.
    pub fn bind(address: impl Into<Address>) -> io::Result<Listener<S, R>> {
        ListenerBuilder::new().bind(address)
    }

    /// Waits for the next client that gets in.
    ///
    /// # Errors
    ///
    /// What a client does wrong is no error here. There are:
    ///
    /// - `EMFILE`, `ENFILE`, `ENOMEM`: there are no descriptors or no memory for another client;
    /// - `NotInherited` (as [`io::ErrorKind::Unsupported`]): this is a forked child of the process that listens.
    pub fn accept(&self) -> io::Result<Connection<S, R>> {
        loop {
            if let Some(connection) = self.accept_until(None)? {
                return Ok(connection);
            }
        }
    }

    /// A client that gets in without waiting. Each call takes the steps of handshakes that can be taken, up to 1024.
    ///
    /// # Errors
    ///
    /// As [`accept`](Listener::accept).
    pub fn try_accept(&self) -> io::Result<Option<Connection<S, R>>> {
        self.place.check()?;
        // Another thread waits for clients: there is none for us.
        let Some(mut state) = self.state.try_lock() else { return Ok(None) };
        Ok(state.next(Some(Instant::now()))?.map(Connection::new))
    }

    /// [`accept`](Listener::accept) for at most `timeout`; never shorter. [`Duration::MAX`] is for ever.
    ///
    /// # Errors
    ///
    /// As [`accept`](Listener::accept).
    pub fn accept_timeout(&self, timeout: Duration) -> io::Result<Option<Connection<S, R>>> {
        self.accept_until(Instant::now().checked_add(timeout))
    }

    /// [`accept`](Listener::accept) until `deadline` at most.
    ///
    /// # Errors
    ///
    /// As [`accept`](Listener::accept).
    pub fn accept_deadline(&self, deadline: Instant) -> io::Result<Option<Connection<S, R>>> {
        self.accept_until(Some(deadline))
    }

    /// The clients, waiting for each, for ever.
    pub fn incoming(&self) -> Incoming<'_, S, R> {
        Incoming::new(self)
    }

    fn accept_until(&self, deadline: Option<Instant>) -> io::Result<Option<Connection<S, R>>> {
        self.place.check()?;
        let state = match deadline {
            None => Some(self.state.lock()),
            Some(deadline) => self.state.try_lock_until(deadline),
        };
        let Some(mut state) = state else { return Ok(None) };
        Ok(state.next(deadline)?.map(Connection::new))
    }
}

impl<S, R> Listener<S, R> {
    /// Where it listens.
    pub fn address(&self) -> &Address {
        self.place.address()
    }

    /// The socket file; `None` for an abstract name.
    pub fn path(&self) -> Option<&Path> {
        self.place.path()
    }

    /// How many clients were refused or dropped in their handshake, whatever the reason. Waits while another thread is in
    /// [`accept`](Listener::accept).
    pub fn refused(&self) -> u64 {
        self.state.lock().refused()
    }

    /// For [`wait`](crate::wait()): it has the listener to itself meanwhile.
    pub(crate) fn readiness(&self) -> io::Result<Watching<'_>> {
        self.place.check()?;
        let state = self.state.try_lock().ok_or(io::ErrorKind::ResourceBusy)?;
        Ok(Watching::new(state, self.place.epoll()))
    }
}

/// Readable when a step of a handshake can be taken: call [`try_accept`](Listener::try_accept) then, until it is `None`.
impl<S, R> AsFd for Listener<S, R> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.place.epoll().as_fd()
    }
}

impl<S, R> fmt::Debug for Listener<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("address", self.address()).finish_non_exhaustive()
    }
}
