//! Options of a listener.

use std::{fmt, io, marker::PhantomData, time::Duration};

use parking_lot::Mutex;
use proc_core::Message;

use super::{
    Listener,
    address::Address,
    hello::Types,
    key::Key,
    peer::{Peer, Users},
    place::Place,
    state::{Rules, State},
};

/// Options of a [`Listener`], from [`Listener::builder`].
///
/// # Examples
///
/// ```
/// use proc_ipc::{Address, Listener};
/// use std::time::Duration;
///
/// let listener = Listener::builder()
///     .handshake_timeout(Duration::from_secs(2))
///     .protocol("weather v3")
///     .bind::<String, u32>(Address::from_abstract(format!("weather-{}", std::process::id())))?;
/// assert!(listener.try_accept()?.is_none());
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct ListenerBuilder {
    users: Users,
    key: Option<Key>,
    protocol: Option<String>,
    handshake_timeout: Duration,
}

impl ListenerBuilder {
    pub(super) fn new() -> ListenerBuilder {
        ListenerBuilder {
            users: Users::default(),
            key: None,
            protocol: None,
            handshake_timeout: Duration::from_secs(10),
        }
    }

    /// Which clients may connect; by default those whose effective user is ours.
    ///
    /// Others need to be allowed by the socket file too: it has the permissions that the umask left, and connecting
    /// needs the right to write. The [`Client`](crate::Client) has to allow this user in turn.
    #[must_use]
    pub fn allow(mut self, filter: impl Fn(&Peer) -> bool + Send + Sync + 'static) -> ListenerBuilder {
        self.users = Users(Some(Box::new(filter)));
        self
    }

    /// Clients have to prove that they have this key, and this listener proves it to them (HMAC-SHA256; the key itself
    /// never leaves the process). For clients that get in by [`allow`](ListenerBuilder::allow).
    ///
    /// It proves who is there when the connection is made. Take 16 random bytes or more: a password can be guessed by
    /// a listener that pretends to be this one.
    #[cfg(feature = "auth")]
    #[must_use]
    pub fn key(mut self, key: impl AsRef<[u8]>) -> ListenerBuilder {
        self.key = Some(Key::new(key.as_ref()));
        self
    }

    /// The name of what is spoken, instead of the names of the types, which then are not compared.
    ///
    /// The names of types have the crate in them where they are defined. Two programs that define the same messages each
    /// for itself agree by a name of this kind, with a version in it.
    #[must_use]
    pub fn protocol(mut self, name: impl Into<String>) -> ListenerBuilder {
        self.protocol = Some(name.into());
        self
    }

    /// How long a client may take from its `connect` being accepted until it gets in; 10 s by default.
    #[must_use]
    pub fn handshake_timeout(mut self, timeout: Duration) -> ListenerBuilder {
        self.handshake_timeout = timeout;
        self
    }

    /// Listens at `address`.
    ///
    /// # Errors
    ///
    /// As [`Listener::bind`].
    pub fn bind<S: Message, R: Message>(self, address: impl Into<Address>) -> io::Result<Listener<S, R>> {
        let rules = Rules {
            users: self.users,
            key: self.key,
            types: Types::of::<S, R>(self.protocol.as_deref()),
            timeout: self.handshake_timeout,
        };
        let (place, sock) = Place::bind(address.into())?;
        let state = State::new(sock, place.epoll().clone(), rules)?;
        Ok(Listener { place, state: Mutex::new(state), messages: PhantomData })
    }
}

impl fmt::Debug for ListenerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListenerBuilder")
            .field("has_key", &self.key.is_some())
            .field("protocol", &self.protocol)
            .field("handshake_timeout", &self.handshake_timeout)
            .finish_non_exhaustive()
    }
}
