//! One supergroup: who is in, what happened in it, and what its admin log says.

use std::collections::{BTreeMap, BTreeSet};

use super::{GroupId, UserId};

/// A supergroup.
pub struct Group {
    pub id: GroupId,
    pub title: String,
    pub about: String,
    pub creator: UserId,
    pub made_at: i32,
    pub deleted: bool,
    pub members: BTreeMap<UserId, Member>,
    pub banned: BTreeMap<UserId, Ban>,
    pub requests: BTreeSet<UserId>,
    pub invites: Vec<Invite>,
    /// Its service messages; the pts after the event at index n is n + 2.
    pub events: Vec<Event>,
    pub log: Vec<Entry>,
    /// Whether comings and goings are told by the admin log alone.
    pub silent: bool,
    /// Who was in at some time: they are told once more when it ends for them.
    pub left: BTreeMap<UserId, i32>,
}

/// Somebody's stay.
#[derive(Clone)]
pub struct Member {
    pub joined_at: i32,
    pub invited_by: Option<UserId>,
}

/// Somebody who may not come back.
#[derive(Clone)]
pub struct Ban {
    pub by: UserId,
    pub at: i32,
}

/// An invitation link.
#[derive(Clone)]
pub struct Invite {
    pub hash: String,
    pub by: UserId,
    pub made_at: i32,
    pub by_request: bool,
    pub revoked: bool,
    pub used: i32,
}

impl Invite {
    /// As people see it.
    pub fn link(&self) -> String {
        format!("https://t.me/+{}", self.hash)
    }
}

/// A service message.
#[derive(Clone)]
pub struct Event {
    pub id: i32,
    pub pts: i32,
    pub by: UserId,
    pub at: i32,
    pub what: Happening,
}

/// What a service message tells.
#[derive(Clone)]
pub enum Happening {
    Created,
    JoinedByLink {
        link_of: UserId,
    },
    JoinedByRequest,
    Added(UserId),
    /// Left, or was removed: the message's sender tells which.
    Gone(UserId),
    Renamed(String),
}

/// An entry of the admin log.
#[derive(Clone)]
pub struct Entry {
    pub id: i64,
    pub at: i32,
    pub by: UserId,
    pub what: Logged,
}

/// What an entry of the admin log tells.
#[derive(Clone)]
pub enum Logged {
    JoinedByLink(Invite),
    JoinedByRequest { invite: Invite, approved_by: UserId },
    Added { user: UserId, at: i32 },
    Left,
    Banned { user: UserId, joined_at: i32 },
    Unbanned { user: UserId, ban: Ban },
    Renamed { from: String, to: String },
    Described { from: String, to: String },
}

impl Group {
    /// The pts of this moment: one more than there were events.
    pub fn pts(&self) -> i32 {
        self.events.last().map_or(1, |event| event.pts)
    }

    /// Whether this user may do what admins may.
    pub fn is_admin(&self, user: UserId) -> bool {
        self.creator == user
    }

    /// When anything last happened.
    pub fn last_at(&self) -> i32 {
        self.events.last().map_or(self.made_at, |event| event.at)
    }
}

impl Happening {
    /// Whom the message names beside its sender.
    pub fn names(&self) -> Option<UserId> {
        match self {
            Self::JoinedByLink { link_of: user } | Self::Added(user) | Self::Gone(user) => Some(*user),
            Self::Created | Self::JoinedByRequest | Self::Renamed(_) => None,
        }
    }

    /// Whether it is about who is in.
    pub fn is_of_members(&self) -> bool {
        !matches!(self, Self::Created | Self::Renamed(_))
    }
}
