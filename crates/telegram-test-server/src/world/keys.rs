//! Auth keys that client and server share from the start, in place of a handshake.

use std::net::SocketAddrV4;

use super::{KeyId, UserId, World};
use crate::session_string;
use crate::wire;

/// An auth key and who is logged in with it.
pub struct Key {
    pub bytes: [u8; 256],
    pub user: Option<UserId>,
    pub most_connections: usize,
}

/// What a key's connections were like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyFacts {
    /// How many connections are open with it now.
    pub connections: usize,
    /// The most that were ever open at once.
    pub most_connections: usize,
    /// Who is logged in with it.
    pub user: Option<UserId>,
}

impl World {
    /// Makes a key, logged in or not, and gives its session string.
    pub fn new_key(&mut self, user: Option<UserId>, address: SocketAddrV4) -> String {
        let mut bytes = [0; 256];
        getrandom::fill(&mut bytes).expect("the system gives randomness");
        self.keys.insert(wire::key_id_of(&bytes), Key { bytes, user, most_connections: 0 });
        session_string::write(address, &bytes)
    }

    /// The key of this id.
    pub fn key(&self, id: KeyId) -> Option<[u8; 256]> {
        self.keys.get(&id).map(|key| key.bytes)
    }
}
