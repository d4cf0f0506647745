//! What tests see of the server.

use crate::server::TestServer;
use crate::world::{Group, GroupId, Invite, KeyFacts, UserId};
use crate::{session_string, wire};

/// A call that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// As `channels.createChannel`.
    pub method: String,
    /// Who was logged in with the key that made it.
    pub user: Option<UserId>,
    /// When, in Unix seconds by the server's clock.
    pub at: i32,
}

/// A group as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupView {
    /// Its id.
    pub id: GroupId,
    /// Its title.
    pub title: String,
    /// Its description.
    pub about: String,
    /// Who made it.
    pub creator: UserId,
    /// When, in Unix seconds by the server's clock.
    pub made_at: i32,
    /// Whether it was deleted.
    pub deleted: bool,
    /// Who is in.
    pub members: Vec<UserId>,
    /// Who may not come back.
    pub banned: Vec<UserId>,
    /// Its invitation links, oldest first.
    pub invites: Vec<String>,
}

impl TestServer {
    /// Every group that was ever made, oldest first.
    #[must_use]
    pub fn groups(&self) -> Vec<GroupView> {
        self.world().groups.values().map(view).collect()
    }

    /// One group.
    ///
    /// # Panics
    /// If there never was one.
    #[must_use]
    pub fn group(&self, id: GroupId) -> GroupView {
        self.world().groups.get(&id).map(view).expect("there is a group of this id")
    }

    /// Every call so far, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.world().calls.clone()
    }

    /// How many calls of this method there were.
    #[must_use]
    pub fn calls_of(&self, method: &str) -> usize {
        self.world().calls.iter().filter(|call| call.method == method).count()
    }

    /// The connections of this session's key.
    ///
    /// # Panics
    /// If the session is not of this server.
    #[must_use]
    pub fn key(&self, session: &str) -> KeyFacts {
        let bytes = session_string::key(session).expect("a session string");
        let id = wire::key_id_of(&bytes);
        let world = self.world();
        let key = world.keys.get(&id).expect("a key of this server");
        KeyFacts { connections: world.open_connections(id), most_connections: key.most_connections, user: key.user }
    }
}

fn view(group: &Group) -> GroupView {
    GroupView {
        id: group.id,
        title: group.title.clone(),
        about: group.about.clone(),
        creator: group.creator,
        made_at: group.made_at,
        deleted: group.deleted,
        members: group.members.keys().copied().collect(),
        banned: group.banned.keys().copied().collect(),
        invites: group.invites.iter().map(Invite::link).collect(),
    }
}
