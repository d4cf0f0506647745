//! Everything that the server knows: people, groups, keys, connections, and what was called.

mod change;
mod group;
mod keys;
mod time;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use change::Change;
pub use group::{Entry, Event, Group, Happening, Invite, Logged};
pub use keys::{Key, KeyFacts};
pub use time::message_id;
use tokio::sync::mpsc::UnboundedSender;

use crate::connection::Outgoing;
use crate::look::Call;
use crate::refusal::Refusal;
use crate::script::{Fault, Script};
use crate::wire;

/// A person's id in Telegram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(pub i64);

/// A supergroup's id in Telegram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub i64);

/// The name by which packets call a key.
pub type KeyId = [u8; 8];

/// A connection, for as long as it lasts.
pub type ConnectionId = u64;

/// Who makes a call.
#[derive(Clone, Copy)]
pub struct Caller {
    pub connection: ConnectionId,
    pub key: KeyId,
}

/// The world, shared by connections and tests.
#[derive(Clone, Default)]
pub struct Shared(Arc<Mutex<World>>);

impl Shared {
    /// The world, for as long as nobody else may see it. Never held across an await.
    pub fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody.
pub struct Person {
    pub first: String,
    pub last: String,
    pub username: String,
    pub phone: String,
    pub password: Option<String>,
}

/// See the module.
#[derive(Default)]
pub struct World {
    pub people: BTreeMap<UserId, Person>,
    pub groups: BTreeMap<GroupId, Group>,
    pub keys: HashMap<KeyId, Key>,
    pub login: crate::methods::login::Logins,
    pub script: Script,
    pub calls: Vec<Call>,
    pub settings: Settings,
    pub clock: time::Clock,
    connections: BTreeMap<ConnectionId, Connection>,
    made_connections: u64,
    made_ids: i64,
    made_log_entries: i64,
}

/// How the server behaves, as tests set it.
pub struct Settings {
    /// Whether connections are served; while it is not so they are cut.
    pub running: bool,
    /// Whether a key's second connection at the same time is refused.
    pub duplicates_refused: bool,
    /// How many groups a user may be in.
    pub most_groups: Option<usize>,
    /// Whether a new group has an invitation before anybody asks for one.
    pub invite_from_start: bool,
    /// How many events a difference may be behind before it is "too long".
    pub too_long: usize,
    /// The addresses that `help.getConfig` announces.
    pub data_centres: Vec<(i32, std::net::SocketAddrV4)>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            running: true,
            duplicates_refused: false,
            most_groups: None,
            invite_from_start: false,
            too_long: 1000,
            data_centres: Vec::new(),
        }
    }
}

struct Connection {
    key: KeyId,
    duplicate: bool,
    to: UnboundedSender<Outgoing>,
}

impl World {
    /// Now, in Unix seconds of the server's clock.
    pub fn now(&self) -> i32 {
        self.clock.now()
    }

    /// The next id of a person or group.
    pub fn new_id(&mut self) -> i64 {
        self.made_ids += 1;
        1_000_000 + self.made_ids
    }

    /// The next id in the admin logs.
    pub fn new_log_id(&mut self) -> i64 {
        self.made_log_entries += 1;
        7_000_000_000 + self.made_log_entries
    }

    pub fn new_connection_id(&mut self) -> ConnectionId {
        self.made_connections += 1;
        self.made_connections
    }

    /// The hash that this viewer needs to name a person or group: everybody gets another one.
    pub fn access_hash(viewer: UserId, peer: i64) -> i64 {
        let hash = wire::sha256(&[b"access", &viewer.0.to_le_bytes(), &peer.to_le_bytes()]);
        i64::from_le_bytes(hash[..8].try_into().expect("8 bytes of 32"))
    }

    /// The user who is logged in with this call's key.
    pub fn user(&self, caller: Caller) -> Result<UserId, Refusal> {
        let user = self.keys.get(&caller.key).and_then(|key| key.user);
        user.ok_or_else(|| Refusal::new(401, "AUTH_KEY_UNREGISTERED"))
    }

    /// Notes a call and tells what the script has for it.
    pub fn called(&mut self, caller: Caller, method: &str) -> Option<Fault> {
        let user = self.user(caller).ok();
        self.calls.push(Call { method: method.to_owned(), user, at: self.now() });
        if self.connections.get(&caller.connection).is_some_and(|connection| connection.duplicate) {
            return Some(Fault::refuse(406, "AUTH_KEY_DUPLICATED"));
        }
        self.script.take(method, user)
    }

    pub fn has_connections(&self, key: KeyId) -> bool {
        self.connections.values().any(|connection| connection.key == key)
    }

    pub fn connected(&mut self, id: ConnectionId, key: KeyId, to: UnboundedSender<Outgoing>) {
        let duplicate = self.settings.duplicates_refused && self.has_connections(key);
        self.connections.insert(id, Connection { key, duplicate, to });
        let open = self.connections.values().filter(|connection| connection.key == key).count();
        if let Some(key) = self.keys.get_mut(&key) {
            key.most_connections = key.most_connections.max(open);
        }
    }

    pub fn disconnected(&mut self, id: ConnectionId) {
        self.connections.remove(&id);
    }

    /// Cuts every connection, or those of one user.
    pub fn cut_connections(&mut self, of: Option<UserId>) {
        for connection in self.connections.values() {
            let user = self.keys.get(&connection.key).and_then(|key| key.user);
            if of.is_none() || user == of {
                let _ = connection.to.send(Outgoing::Cut);
            }
        }
    }

    /// How many connections these keys have now.
    pub fn open_connections(&self, key: KeyId) -> usize {
        self.connections.values().filter(|connection| connection.key == key).count()
    }

    /// Who is connected by what.
    fn listeners(&self) -> Vec<(ConnectionId, UserId)> {
        let user = |connection: &Connection| self.keys.get(&connection.key).and_then(|key| key.user);
        let live = self.connections.iter().filter(|(_, connection)| !connection.duplicate);
        live.filter_map(|(id, connection)| Some((*id, user(connection)?))).collect()
    }

    /// Pushes something to a connection, as the script has it.
    pub fn push(&mut self, connection: ConnectionId, body: &[u8]) {
        let times = if self.script.drop_pushes > 0 {
            self.script.drop_pushes -= 1;
            0
        } else if self.script.double_pushes > 0 {
            self.script.double_pushes -= 1;
            2
        } else {
            1
        };
        for _ in 0..times {
            if let Some(connection) = self.connections.get(&connection) {
                let _ = connection.to.send(Outgoing::Push(body.to_vec()));
            }
        }
    }
}
