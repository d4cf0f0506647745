//! What people do to groups: every change leaves its service message and its entry in the admin log, and is pushed to
//! whoever is connected.

use std::collections::{BTreeMap, BTreeSet};

use grammers_tl_types::{self as tl, Serializable};

use super::group::{Ban, Entry, Event, Group, Happening, Invite, Logged, Member};
use super::{ConnectionId, GroupId, UserId, World};
use crate::refusal::Refusal;
use crate::tl_form;
use crate::wire;

/// Something that was done to a group.
pub struct Change {
    pub group: GroupId,
    /// The service message, unless it was not sent.
    pub event: Option<Event>,
    /// Whose own view of the group changed: they are told of it without a pts.
    pub touched: BTreeSet<UserId>,
}

impl World {
    /// The group, unless there is none any more.
    pub fn group(&self, id: GroupId) -> Result<&Group, Refusal> {
        self.groups.get(&id).filter(|group| !group.deleted).ok_or_else(|| Refusal::bad("CHANNEL_PRIVATE"))
    }

    fn group_mut(&mut self, id: GroupId) -> Result<&mut Group, Refusal> {
        self.groups.get_mut(&id).filter(|group| !group.deleted).ok_or_else(|| Refusal::bad("CHANNEL_PRIVATE"))
    }

    pub fn create(&mut self, by: UserId, title: &str, about: &str) -> Result<Change, Refusal> {
        if title.trim().is_empty() || title.encode_utf16().count() > 128 {
            return Err(Refusal::bad("CHAT_TITLE_EMPTY"));
        }
        if about.encode_utf16().count() > 255 {
            return Err(Refusal::bad("CHAT_ABOUT_TOO_LONG"));
        }
        let of_theirs = self.groups.values().filter(|group| !group.deleted && group.members.contains_key(&by)).count();
        if self.settings.most_groups.is_some_and(|most| of_theirs >= most) {
            return Err(Refusal::bad("CHANNELS_TOO_MUCH"));
        }
        let (id, made_at) = (GroupId(self.new_id()), self.now());
        let group = Group {
            id,
            title: title.to_owned(),
            about: about.to_owned(),
            creator: by,
            made_at,
            deleted: false,
            members: [(by, Member { joined_at: made_at, invited_by: None })].into(),
            banned: BTreeMap::new(),
            requests: BTreeSet::new(),
            invites: Vec::new(),
            events: Vec::new(),
            log: Vec::new(),
            silent: false,
            left: BTreeMap::new(),
        };
        self.groups.insert(id, group);
        if self.settings.invite_from_start {
            self.invite(id, by, false)?;
        }
        self.happened(id, by, Happening::Created, None, [by])
    }

    /// Makes another invitation link of this user's.
    pub fn invite(&mut self, group: GroupId, by: UserId, by_request: bool) -> Result<Invite, Refusal> {
        let made_at = self.now();
        let group = self.group_mut(group)?;
        let number = group.invites.len().to_le_bytes();
        let hash = wire::sha256(&[b"invite", &group.id.0.to_le_bytes(), &number]);
        let hash = format!("{:016x}", u64::from_le_bytes(hash[..8].try_into().expect("8 bytes of 32")));
        let invite = Invite { hash, by, made_at, by_request, revoked: false, used: 0 };
        group.invites.push(invite.clone());
        Ok(invite)
    }

    /// Makes this user's plain links useless.
    pub fn revoke_invites(&mut self, group: GroupId, by: UserId) -> Result<(), Refusal> {
        let invites = self.group_mut(group)?.invites.iter_mut();
        invites.filter(|invite| invite.by == by && !invite.by_request).for_each(|invite| invite.revoked = true);
        Ok(())
    }

    /// Which group a link leads to. Takes the whole link or its hash.
    pub fn invited_to(&self, link: &str) -> Result<(GroupId, Invite), Refusal> {
        let hash = link.rsplit(['/', '+']).next().unwrap_or_default();
        let live = self.groups.values().filter(|group| !group.deleted);
        let found = live.flat_map(|group| group.invites.iter().map(move |invite| (group.id, invite)));
        let (group, invite) = found
            .into_iter()
            .find(|(_, invite)| invite.hash == hash)
            .ok_or_else(|| Refusal::bad("INVITE_HASH_INVALID"))?;
        if invite.revoked {
            return Err(Refusal::bad("INVITE_HASH_EXPIRED"));
        }
        Ok((group, invite.clone()))
    }

    /// Follows an invitation link: in, or waiting for an admin.
    pub fn join(&mut self, user: UserId, link: &str) -> Result<Change, Refusal> {
        let (id, invite) = self.invited_to(link)?;
        let group = self.group_mut(id)?;
        if group.members.contains_key(&user) {
            return Err(Refusal::bad("USER_ALREADY_PARTICIPANT"));
        }
        if group.banned.contains_key(&user) {
            return Err(Refusal::bad("INVITE_HASH_EXPIRED"));
        }
        if invite.by_request {
            group.requests.insert(user);
            return Err(Refusal::bad("INVITE_REQUEST_SENT"));
        }
        let link_of = invite.by;
        self.enter(id, user, Some(link_of))?;
        self.happened(id, user, Happening::JoinedByLink { link_of }, Some((user, Logged::JoinedByLink(invite))), [user])
    }

    /// Lets somebody in who asked.
    pub fn approve(&mut self, id: GroupId, by: UserId, user: UserId) -> Result<Change, Refusal> {
        let group = self.group_mut(id)?;
        if !group.requests.remove(&user) {
            return Err(Refusal::bad("HIDE_REQUESTER_MISSING"));
        }
        let invite = group.invites.iter().find(|invite| invite.by_request).cloned();
        let invite = invite.ok_or_else(|| Refusal::bad("INVITE_HASH_INVALID"))?;
        self.enter(id, user, Some(by))?;
        let logged = Logged::JoinedByRequest { invite, approved_by: by };
        self.happened(id, user, Happening::JoinedByRequest, Some((user, logged)), [user])
    }

    /// Brings somebody in.
    pub fn add(&mut self, id: GroupId, by: UserId, user: UserId) -> Result<Change, Refusal> {
        let at = self.now();
        if self.group(id)?.members.contains_key(&user) {
            return Err(Refusal::bad("USER_ALREADY_PARTICIPANT"));
        }
        self.group_mut(id)?.banned.remove(&user);
        self.enter(id, user, Some(by))?;
        self.happened(id, by, Happening::Added(user), Some((by, Logged::Added { user, at })), [user])
    }

    pub fn leave(&mut self, id: GroupId, user: UserId) -> Result<Change, Refusal> {
        self.exit(id, user)?;
        self.happened(id, user, Happening::Gone(user), Some((user, Logged::Left)), [user])
    }

    /// Removes somebody for good.
    pub fn ban(&mut self, id: GroupId, by: UserId, user: UserId) -> Result<Change, Refusal> {
        let at = self.now();
        if self.group(id)?.creator == user {
            return Err(Refusal::bad("USER_ADMIN_INVALID"));
        }
        let was_in = self.exit(id, user);
        self.group_mut(id)?.banned.insert(user, Ban { by, at });
        let Ok(member) = was_in else {
            return Ok(Change { group: id, event: None, touched: [user].into() });
        };
        let logged = Logged::Banned { user, joined_at: member.joined_at };
        self.happened(id, by, Happening::Gone(user), Some((by, logged)), [user])
    }

    /// Lets somebody come back who was removed.
    pub fn unban(&mut self, id: GroupId, by: UserId, user: UserId) -> Result<Change, Refusal> {
        let at = self.now();
        let ban = self.group_mut(id)?.banned.remove(&user);
        if let Some(ban) = ban {
            self.log(id, Entry { id: 0, at, by, what: Logged::Unbanned { user, ban } })?;
        }
        Ok(Change { group: id, event: None, touched: BTreeSet::new() })
    }

    pub fn rename(&mut self, id: GroupId, by: UserId, title: &str) -> Result<Change, Refusal> {
        if title.trim().is_empty() || title.encode_utf16().count() > 128 {
            return Err(Refusal::bad("CHAT_TITLE_EMPTY"));
        }
        let group = self.group_mut(id)?;
        if group.title == title {
            return Err(Refusal::bad("CHAT_NOT_MODIFIED"));
        }
        let from = std::mem::replace(&mut group.title, title.to_owned());
        let logged = Logged::Renamed { from, to: title.to_owned() };
        self.happened(id, by, Happening::Renamed(title.to_owned()), Some((by, logged)), [])
    }

    pub fn describe(&mut self, id: GroupId, by: UserId, about: &str) -> Result<Change, Refusal> {
        if about.encode_utf16().count() > 255 {
            return Err(Refusal::bad("CHAT_ABOUT_TOO_LONG"));
        }
        let at = self.now();
        let group = self.group_mut(id)?;
        if group.about == about {
            return Err(Refusal::bad("CHAT_ABOUT_NOT_MODIFIED"));
        }
        let from = std::mem::replace(&mut group.about, about.to_owned());
        self.log(id, Entry { id: 0, at, by, what: Logged::Described { from, to: about.to_owned() } })?;
        Ok(Change { group: id, event: None, touched: BTreeSet::new() })
    }

    /// Deletes the group for everybody.
    pub fn delete(&mut self, id: GroupId) -> Result<Change, Refusal> {
        let at = self.now();
        let group = self.group_mut(id)?;
        group.deleted = true;
        let touched: BTreeSet<UserId> = group.members.keys().copied().collect();
        group.left.extend(touched.iter().map(|user| (*user, at)));
        Ok(Change { group: id, event: None, touched })
    }

    fn enter(&mut self, id: GroupId, user: UserId, invited_by: Option<UserId>) -> Result<(), Refusal> {
        let joined_at = self.now();
        let group = self.group_mut(id)?;
        group.requests.remove(&user);
        group.left.remove(&user);
        group.members.insert(user, Member { joined_at, invited_by });
        Ok(())
    }

    fn exit(&mut self, id: GroupId, user: UserId) -> Result<Member, Refusal> {
        let at = self.now();
        let group = self.group_mut(id)?;
        let member = group.members.remove(&user).ok_or_else(|| Refusal::bad("USER_NOT_PARTICIPANT"))?;
        group.left.insert(user, at);
        Ok(member)
    }

    fn log(&mut self, id: GroupId, entry: Entry) -> Result<(), Refusal> {
        let entry = Entry { id: self.new_log_id(), ..entry };
        self.group_mut(id)?.log.push(entry);
        Ok(())
    }

    fn happened<const N: usize>(
        &mut self,
        id: GroupId,
        by: UserId,
        what: Happening,
        logged: Option<(UserId, Logged)>,
        touched: [UserId; N],
    ) -> Result<Change, Refusal> {
        let at = self.now();
        if let Some((by, what)) = logged {
            self.log(id, Entry { id: 0, at, by, what })?;
        }
        let group = self.group_mut(id)?;
        let told = !(group.silent && what.is_of_members());
        let event = told.then(|| {
            let message = i32::try_from(group.events.len()).unwrap_or(i32::MAX) + 1;
            let event = Event { id: message, pts: message + 1, by, at, what };
            group.events.push(event.clone());
            event
        });
        Ok(Change { group: id, event, touched: touched.into() })
    }

    /// Pushes a change to everybody who is connected and has to do with it, but not to the connection that made it.
    pub fn tell(&mut self, change: &Change, but: Option<ConnectionId>) {
        for (connection, user) in self.listeners() {
            if Some(connection) == but {
                continue;
            }
            let updates = tl_form::updates(self, user, change);
            if let tl::enums::Updates::Updates(inner) = &updates
                && !inner.updates.is_empty()
            {
                self.push(connection, &updates.to_bytes());
            }
        }
    }
}
