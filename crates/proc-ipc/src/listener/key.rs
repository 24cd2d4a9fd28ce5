//! Proofs that both sides have the same key.

use super::hello::Hello;

/// A proof on the wire.
pub(super) type Proof = [u8; 32];

/// Whose proof it is: one side's is worthless as the other's.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    Client,
    Listener,
}

/// A shared key. It has no `Debug`: it is in nobody's logs.
pub(super) struct Key(
    #[cfg(feature = "auth")] Vec<u8>,
    #[cfg(not(feature = "auth"))] std::convert::Infallible,
);

#[cfg(feature = "auth")]
impl Key {
    pub(super) fn new(key: &[u8]) -> Key {
        Key(key.to_vec())
    }

    fn mac(&self, role: Role, client: &Hello, listener: &Hello) -> hmac::Hmac<sha2::Sha256> {
        use hmac::{KeyInit, Mac};
        let mut mac =
            hmac::Hmac::<sha2::Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(match role {
            Role::Client => b"proc-ipc handshake: client",
            Role::Listener => b"proc-ipc handshake: server",
        });
        mac.update(&client.to_bytes());
        mac.update(&listener.to_bytes());
        mac
    }

    pub(super) fn prove(&self, role: Role, client: &Hello, listener: &Hello) -> Proof {
        use hmac::Mac;
        self.mac(role, client, listener).finalize().into_bytes().into()
    }

    /// In constant time.
    pub(super) fn verify(&self, role: Role, client: &Hello, listener: &Hello, proof: &[u8]) -> bool {
        use hmac::Mac;
        self.mac(role, client, listener).verify_slice(proof).is_ok()
    }
}

#[cfg(not(feature = "auth"))]
impl Key {
    pub(super) fn prove(&self, _: Role, _: &Hello, _: &Hello) -> Proof {
        match self.0 {}
    }

    pub(super) fn verify(&self, _: Role, _: &Hello, _: &Hello, _: &[u8]) -> bool {
        match self.0 {}
    }
}
