//! A group as it stands, and what may happen in it. No I/O: what time it is, and the ids of people, are passed in.

use convoke_domain::{EventSource, ParticipantId, Timestamp, UserProperties};
use convoke_provider::{ProviderEvent, ProviderEventKind, SeenPerson};
use serde::{Deserialize, Serialize};

use crate::Refusal;

/// The username of the account that makes every group; nobody else may have it.
pub const OWNER_USERNAME: &str = "convoke";

/// What that account is called.
pub const OWNER_FIRSTNAME: &str = "Convoke";

/// How many people a group holds at a time, the account that made it among them.
pub const MAX_PEOPLE: usize = 1000;

/// A group, as it is kept: JSON, replaced as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupState {
    /// Its title now.
    pub title: String,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// When it was made.
    pub made_at: Timestamp,
    /// When it was closed, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<Timestamp>,
    /// When something last happened in it: nothing happens before that any more, whatever the clock says.
    pub last_at: Timestamp,
    /// Everybody who has ever been in, in the order of their first joining; the first is the owner.
    pub members: Vec<Member>,
}

/// Somebody who is or was in a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// The id under which the record shows them.
    pub participant_id: ParticipantId,
    /// The messenger's own name for them, compared as written.
    pub username: String,
    /// First name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firstname: Option<String>,
    /// Last name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lastname: Option<String>,
    /// When they last came in.
    pub joined_at: Timestamp,
    /// Whether they are in now.
    pub is_in: bool,
}

/// Somebody who wants to come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newcomer {
    /// The id under which the record shows them.
    pub participant_id: ParticipantId,
    /// Who it is.
    pub username: String,
    /// First name; where it is left out, what was known stays.
    pub firstname: Option<String>,
    /// Last name; where it is left out, what was known stays.
    pub lastname: Option<String>,
    /// Who brings them in.
    pub invited_by: Option<ParticipantId>,
}

/// The circumstances of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment<'a> {
    /// The code of the group.
    pub code: &'a str,
    /// The version that the group has once the change is saved. It names the event, so that the events of a group sort
    /// in the order in which they were saved, and none is kept twice.
    pub version: i64,
    /// What time it is.
    pub now: Timestamp,
}

impl Member {
    /// The person, as events tell of them.
    #[must_use]
    pub fn as_seen(&self) -> SeenPerson {
        SeenPerson {
            external_id: self.username.clone(),
            properties: UserProperties {
                firstname: self.firstname.clone(),
                lastname: self.lastname.clone(),
                username: Some(self.username.clone()),
            },
        }
    }
}

impl GroupState {
    /// A new group with nobody but its owner in it.
    #[must_use]
    pub fn new(title: String, description: Option<String>, owner: ParticipantId, now: Timestamp) -> Self {
        let owner = Member {
            participant_id: owner,
            username: OWNER_USERNAME.to_owned(),
            firstname: Some(OWNER_FIRSTNAME.to_owned()),
            lastname: None,
            joined_at: now,
            is_in: true,
        };
        Self { title, description, made_at: now, closed_at: None, last_at: now, members: vec![owner] }
    }

    /// The account that made the group.
    ///
    /// # Panics
    /// If the group has no members: none is made that way.
    #[must_use]
    pub fn owner(&self) -> &Member {
        self.members.first().expect("a group is made with its owner in it")
    }

    /// Whether the group is gone.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed_at.is_some()
    }

    /// Whoever is in and has this id.
    #[must_use]
    pub fn member_in(&self, participant: ParticipantId) -> Option<&Member> {
        self.members.iter().find(|member| member.is_in && member.participant_id == participant)
    }

    /// Lets somebody in. Nothing changes if they are in already.
    ///
    /// # Errors
    /// [`Refusal::Closed`], [`Refusal::InviterNotIn`] or [`Refusal::Full`].
    pub fn join(&mut self, newcomer: &Newcomer, moment: Moment<'_>) -> Result<Option<ProviderEvent>, Refusal> {
        self.refuse_if_closed()?;
        let invited_by = match newcomer.invited_by {
            Some(inviter) => Some(self.member_in(inviter).ok_or(Refusal::InviterNotIn)?.as_seen()),
            None => None,
        };
        let known = self.members.iter().position(|member| member.username == newcomer.username);
        if known.is_some_and(|place| self.members[place].is_in) {
            return Ok(None);
        }
        if self.members.iter().filter(|member| member.is_in).count() >= MAX_PEOPLE {
            return Err(Refusal::Full);
        }
        let at = self.tick(moment);
        let place = known.unwrap_or_else(|| {
            self.members.push(Member {
                participant_id: newcomer.participant_id,
                username: newcomer.username.clone(),
                firstname: None,
                lastname: None,
                joined_at: at,
                is_in: false,
            });
            self.members.len() - 1
        });
        let member = &mut self.members[place];
        for (name, sent) in [(&mut member.firstname, &newcomer.firstname), (&mut member.lastname, &newcomer.lastname)] {
            if sent.is_some() {
                name.clone_from(sent);
            }
        }
        member.joined_at = at;
        member.is_in = true;
        let person = member.as_seen();
        Ok(Some(event(moment, at, ProviderEventKind::Joined { person, invited_by })))
    }

    /// Lets somebody go.
    ///
    /// # Errors
    /// [`Refusal::Closed`], [`Refusal::NotIn`] or [`Refusal::OwnerStays`].
    pub fn leave(&mut self, participant: ParticipantId, moment: Moment<'_>) -> Result<Option<ProviderEvent>, Refusal> {
        self.refuse_if_closed()?;
        let username = self.member_in(participant).ok_or(Refusal::NotIn)?.username.clone();
        let at = self.last_at.max(moment.now);
        let person = self.put_out(&username, at)?;
        Ok(person.map(|person| event(moment, at, ProviderEventKind::Left { person })))
    }

    /// Removes somebody, for the account that made the group. Nothing changes if they are out already.
    ///
    /// # Errors
    /// [`Refusal::OwnerStays`].
    pub fn remove(&mut self, username: &str, moment: Moment<'_>) -> Result<Option<ProviderEvent>, Refusal> {
        if self.is_closed() {
            return Ok(None);
        }
        let removed_by = Some(self.owner().as_seen());
        let at = self.last_at.max(moment.now);
        let person = self.put_out(username, at)?;
        Ok(person.map(|person| event(moment, at, ProviderEventKind::Removed { person, removed_by })))
    }

    /// Gives the group another title. Nothing changes if it is the one there is.
    ///
    /// # Errors
    /// [`Refusal::Closed`] or [`Refusal::NotIn`].
    pub fn rename(
        &mut self,
        participant: ParticipantId,
        title: &str,
        moment: Moment<'_>,
    ) -> Result<Option<ProviderEvent>, Refusal> {
        self.refuse_if_closed()?;
        self.member_in(participant).ok_or(Refusal::NotIn)?;
        if self.title == title {
            return Ok(None);
        }
        title.clone_into(&mut self.title);
        let at = self.tick(moment);
        Ok(Some(event(moment, at, ProviderEventKind::Renamed { title: title.to_owned() })))
    }

    /// Ends the group; everybody in it is out then.
    ///
    /// # Errors
    /// [`Refusal::Closed`] or [`Refusal::NotIn`].
    pub fn close(&mut self, participant: ParticipantId, moment: Moment<'_>) -> Result<Option<ProviderEvent>, Refusal> {
        self.refuse_if_closed()?;
        self.member_in(participant).ok_or(Refusal::NotIn)?;
        let at = self.tick(moment);
        self.closed_at = Some(at);
        for member in &mut self.members {
            member.is_in = false;
        }
        Ok(Some(event(moment, at, ProviderEventKind::Closed)))
    }

    fn refuse_if_closed(&self) -> Result<(), Refusal> {
        if self.is_closed() { Err(Refusal::Closed) } else { Ok(()) }
    }

    /// The instant of what happens now: never before what happened last, so that events sort by time as by key.
    fn tick(&mut self, moment: Moment<'_>) -> Timestamp {
        self.last_at = self.last_at.max(moment.now);
        self.last_at
    }

    /// Puts whoever has this username out, if they are in.
    fn put_out(&mut self, username: &str, at: Timestamp) -> Result<Option<SeenPerson>, Refusal> {
        if username == OWNER_USERNAME {
            return Err(Refusal::OwnerStays);
        }
        let Some(member) = self.members.iter_mut().find(|member| member.is_in && member.username == username) else {
            return Ok(None);
        };
        member.is_in = false;
        self.last_at = at;
        Ok(Some(member.as_seen()))
    }
}

/// One change makes one event; the number behind its version leaves room for changes that make more.
fn event(moment: Moment<'_>, at: Timestamp, kind: ProviderEventKind) -> ProviderEvent {
    ProviderEvent {
        provider_chat_id: moment.code.to_owned(),
        key: format!("{:010}.0", moment.version),
        source: EventSource::Log,
        at,
        kind,
    }
}
