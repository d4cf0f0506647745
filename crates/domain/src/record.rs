//! The function from the set of a chat's events to its record.
//!
//! The record depends on the set alone: any order of arrival, repeats, and two sources that tell the same give one and
//! the same record, and an event that turns up late falls into its place.
//!
//! **One instant, two sources.** Messengers tell time in seconds, so that a coming and a going can share an instant,
//! and two sources may tell each of them. Starting from whether a person was in before that instant, what one source
//! tells is a number of steps (in, out, in, …); two sources tell the same steps, or one tells fewer because it missed
//! some. So the steps taken are the most that any one source tells, and the others only fill what was missing. Titles
//! go the same way: what a second source tells of an instant is first looked for in what the first one told.

use std::collections::{HashMap, HashSet};

use crate::{
    Chat, ChatEvent, ChatEventKind, ChatId, ChatStatus, EndReason, EventSource, Participant, ParticipantId,
    Participation, Timestamp, TitleEntry, UserProperties, chat::TITLE_CONTENT_TYPE,
};

/// Why there is no record.
///
/// ```
/// use convoke_domain::{ChatId, Record, RecordError};
///
/// let id: ChatId = "9a983789-1709-4543-aa31-a02867680017".parse()?;
/// assert_eq!(Record::from_events(id, &[]), Err(RecordError::NotRegistered));
/// # Ok::<(), convoke_domain::Mistake>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The set holds no `Registered`, or it is not the first to be applied.
    #[error("the events of a chat must begin with its registration")]
    NotRegistered,
}

/// A chat's record, ready to take what comes next.
///
/// ```
/// use convoke_domain::Record;
///
/// # use convoke_domain::{ChatEvent, ChatEventKind, ChatId, EventSource, Service, Timestamp};
/// # let id: ChatId = "9a983789-1709-4543-aa31-a02867680017".parse()?;
/// # let event = |millis, kind| ChatEvent {
/// #     key: format!("log-{millis}"),
/// #     source: EventSource::Log,
/// #     at: Timestamp::from_millis(millis),
/// #     recorded_at: Timestamp::from_millis(millis),
/// #     kind,
/// # };
/// # let title = "Kick-off".to_owned();
/// # let registered = event(
/// #     1,
/// #     ChatEventKind::Registered { service: Service::Sandbox, title, created_by: None, description: None },
/// # );
/// # let renamed = event(2, ChatEventKind::Renamed { title: "Project".to_owned() });
/// # let closed = event(3, ChatEventKind::Closed);
/// let record = Record::from_events(id, &[registered, closed])?;
/// assert_eq!(record.last_event_at, Timestamp::from_millis(3));
/// assert!(!record.chat.is_active);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What the contract shows.
    pub chat: Chat,
    /// The instant of the newest event that went into it.
    pub last_event_at: Timestamp,
}

impl Record {
    /// Computes the record of chat `id` from all its events, in whatever order they are given; repeats (by key) count once.
    ///
    /// # Errors
    /// [`RecordError::NotRegistered`] if the registration is not among them.
    ///
    /// ```
    /// use convoke_domain::Record;
    ///
    /// # use convoke_domain::{ChatEvent, ChatEventKind, ChatId, EventSource, Service, Timestamp};
    /// # let id: ChatId = "9a983789-1709-4543-aa31-a02867680017".parse()?;
    /// # let event = |millis, kind| ChatEvent {
    /// #     key: format!("log-{millis}"),
    /// #     source: EventSource::Log,
    /// #     at: Timestamp::from_millis(millis),
    /// #     recorded_at: Timestamp::from_millis(millis),
    /// #     kind,
    /// # };
    /// # let title = "Kick-off".to_owned();
    /// # let registered = event(
    /// #     1,
    /// #     ChatEventKind::Registered { service: Service::Sandbox, title, created_by: None, description: None },
    /// # );
    /// # let renamed = event(2, ChatEventKind::Renamed { title: "Project".to_owned() });
    /// # let closed = event(3, ChatEventKind::Closed);
    /// let in_order = Record::from_events(id, &[registered.clone(), renamed.clone()])?;
    /// let repeated = Record::from_events(id, &[renamed.clone(), registered, renamed])?;
    /// assert_eq!(in_order, repeated);
    /// assert_eq!(in_order.chat.current_title(), Some("Project"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_events(id: ChatId, events: &[ChatEvent]) -> Result<Self, RecordError> {
        let events = in_order(events);
        let (first, rest) = events.split_first().ok_or(RecordError::NotRegistered)?;
        let mut fold = Fold::begin(id, first)?;
        for event in rest {
            fold.apply(event);
        }
        Ok(fold.finish())
    }

    /// Takes in events that are all newer than everything taken in before, in whatever order they are given.
    /// Returns the record as it was, as an error, if one of them is not newer: then the record is to be computed from
    /// all events.
    ///
    /// # Errors
    /// The unchanged record, boxed.
    ///
    /// ```
    /// use convoke_domain::Record;
    ///
    /// # use convoke_domain::{ChatEvent, ChatEventKind, ChatId, EventSource, Service, Timestamp};
    /// # let id: ChatId = "9a983789-1709-4543-aa31-a02867680017".parse()?;
    /// # let event = |millis, kind| ChatEvent {
    /// #     key: format!("log-{millis}"),
    /// #     source: EventSource::Log,
    /// #     at: Timestamp::from_millis(millis),
    /// #     recorded_at: Timestamp::from_millis(millis),
    /// #     kind,
    /// # };
    /// # let title = "Kick-off".to_owned();
    /// # let registered = event(
    /// #     1,
    /// #     ChatEventKind::Registered { service: Service::Sandbox, title, created_by: None, description: None },
    /// # );
    /// # let renamed = event(2, ChatEventKind::Renamed { title: "Project".to_owned() });
    /// # let closed = event(3, ChatEventKind::Closed);
    /// let record = Record::from_events(id, &[registered])?;
    /// let closed = record.extended(&[closed]).expect("the end is newer than the registration");
    /// let Err(unchanged) = closed.extended(&[renamed]) else { panic!("the new name is older than the end") };
    /// assert_eq!(unchanged.chat.current_title(), Some("Kick-off"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn extended(self, events: &[ChatEvent]) -> Result<Self, Box<Self>> {
        if events.iter().any(|event| event.at <= self.last_event_at) {
            return Err(Box::new(self));
        }
        let events = in_order(events);
        let mut fold = Fold::resume(self);
        for event in events {
            fold.apply(event);
        }
        Ok(fold.finish())
    }
}

/// The events in the order in which they make the record, each key once.
fn in_order(events: &[ChatEvent]) -> Vec<&ChatEvent> {
    let mut ordered: Vec<&ChatEvent> = events.iter().collect();
    ordered.sort_by(|a, b| a.position().cmp(&b.position()));
    let mut keys = HashSet::new();
    ordered.retain(|event| keys.insert(event.key.as_str()));
    ordered
}

/// What a source tells of a person within one instant, beside what was taken from all sources so far.
#[derive(Clone, Copy)]
struct Steps {
    was_in: bool,
    taken: usize,
    told: usize,
    teller: EventSource,
}

/// Where one source's story of the titles of an instant stands, as a place in the list of titles.
#[derive(Clone, Copy)]
struct TitlesTold {
    before: usize,
    told: usize,
    teller: EventSource,
}

/// How a person's being in changes.
enum Change<'a> {
    In { invited_by: Option<ParticipantId>, properties: &'a UserProperties },
    Out { reason: EndReason, removed_by: Option<ParticipantId> },
}

/// The record while events are applied in their order.
struct Fold {
    chat: Chat,
    last_event_at: Timestamp,
    places: HashMap<ParticipantId, usize>,
    /// The instant whose steps are kept.
    instant: Timestamp,
    steps: HashMap<ParticipantId, Steps>,
    titles: Option<TitlesTold>,
}

impl Fold {
    fn begin(id: ChatId, first: &ChatEvent) -> Result<Self, RecordError> {
        let ChatEventKind::Registered { service, title, created_by, description } = &first.kind else {
            return Err(RecordError::NotRegistered);
        };
        let chat = Chat {
            id,
            is_active: false,
            status: ChatStatus::Provisioning,
            service: *service,
            registered_at: first.at,
            updated_at: first.recorded_at,
            created_by: created_by.clone(),
            description: description.clone(),
            title: vec![title_entry(title, first.at)],
            participants: Vec::new(),
        };
        Ok(Self::resume(Record { chat, last_event_at: first.at }))
    }

    fn resume(record: Record) -> Self {
        let places = record.chat.participants.iter().enumerate().map(|(place, p)| (p.id, place)).collect();
        let instant = record.last_event_at;
        Self { chat: record.chat, last_event_at: instant, places, instant, steps: HashMap::new(), titles: None }
    }

    fn finish(self) -> Record {
        Record { chat: self.chat, last_event_at: self.last_event_at }
    }

    fn apply(&mut self, event: &ChatEvent) {
        if event.at != self.instant {
            self.steps.clear();
            self.titles = None;
            self.instant = event.at;
            self.last_event_at = self.last_event_at.max(event.at);
        }
        // Nothing happens in a chat that is closed, and nobody but its end is waited for.
        let changed = self.chat.status != ChatStatus::Closed && self.happens(event);
        if changed {
            self.chat.updated_at = self.chat.updated_at.max(event.recorded_at);
        }
    }

    /// Lets the event have its effect; returns whether it had any.
    fn happens(&mut self, event: &ChatEvent) -> bool {
        match &event.kind {
            // The first one began the record; a chat is registered once.
            ChatEventKind::Registered { .. } => false,
            ChatEventKind::GroupMade { owner, properties } => {
                let first = self.chat.status != ChatStatus::Active;
                self.set_status(ChatStatus::Active);
                let came = self.steps_to(event, *owner, &Change::In { invited_by: None, properties });
                first || came
            }
            ChatEventKind::Failed => {
                let first = self.chat.status == ChatStatus::Provisioning;
                if first {
                    self.set_status(ChatStatus::Failed);
                }
                first
            }
            ChatEventKind::Retried => {
                let had_failed = self.chat.status == ChatStatus::Failed;
                if had_failed {
                    self.set_status(ChatStatus::Provisioning);
                }
                had_failed
            }
            ChatEventKind::Joined { person, invited_by, properties } => {
                self.steps_to(event, *person, &Change::In { invited_by: *invited_by, properties })
            }
            ChatEventKind::Left { person } => {
                self.steps_to(event, *person, &Change::Out { reason: EndReason::Left, removed_by: None })
            }
            ChatEventKind::Removed { person, removed_by } => {
                self.steps_to(event, *person, &Change::Out { reason: EndReason::Removed, removed_by: *removed_by })
            }
            ChatEventKind::Renamed { title } => self.rename(event, title),
            ChatEventKind::Seen { person, properties } => {
                let place = self.places.get(person).copied();
                place.is_some_and(|place| self.chat.participants[place].user_properties.learn(properties))
            }
            ChatEventKind::Closed => {
                self.set_status(ChatStatus::Closed);
                for participant in &mut self.chat.participants {
                    end(participant, event.at, EndReason::ChatClosed, None);
                }
                true
            }
        }
    }

    fn set_status(&mut self, status: ChatStatus) {
        self.chat.status = status;
        self.chat.is_active = status == ChatStatus::Active;
    }

    /// Takes one step of a person in or out, unless another source told it already: then fills what was missing.
    fn steps_to(&mut self, event: &ChatEvent, person: ParticipantId, change: &Change<'_>) -> bool {
        let place = self.places.get(&person).copied();
        let is_in = place.is_some_and(|place| self.chat.participants[place].is_in());
        let untold = Steps { was_in: is_in, taken: 0, told: 0, teller: event.source };
        let steps = self.steps.entry(person).or_insert(untold);
        if steps.teller != event.source {
            (steps.told, steps.teller) = (0, event.source);
        }
        // Where this source's own story of the instant stands.
        let told_in = steps.was_in ^ (steps.told % 2 == 1);
        let repeats = told_in == matches!(change, Change::In { .. });
        if !repeats {
            steps.told += 1;
        }
        let is_new = steps.told > steps.taken;
        if is_new {
            steps.taken = steps.told;
        }
        // A step behind the last one taken belongs to a stay that may be over: only the newest is filled.
        let is_latest = steps.told == steps.taken;
        match change {
            Change::In { invited_by, properties } => {
                let place = self.place_of(person);
                let participant = &mut self.chat.participants[place];
                let learnt = participant.user_properties.learn(properties);
                if is_new {
                    participant.participations.push(stay_from(event.at, *invited_by));
                }
                let filled = !is_new && is_latest && fill_invited_by(participant, *invited_by);
                is_new || filled || learnt
            }
            Change::Out { reason, removed_by } => {
                let Some(place) = place else { return false };
                let participant = &mut self.chat.participants[place];
                if is_new {
                    end(participant, event.at, *reason, *removed_by)
                } else {
                    is_latest && fill_removed_by(participant, event.at, *removed_by)
                }
            }
        }
    }

    /// Adds a title, unless it is the one there is, or another source told of it at this instant already.
    fn rename(&mut self, event: &ChatEvent, title: &str) -> bool {
        let newest = self.chat.title.len() - 1;
        let story = self.titles.get_or_insert(TitlesTold { before: newest, told: newest, teller: event.source });
        if story.teller != event.source {
            (story.told, story.teller) = (story.before, event.source);
        }
        let known = self.chat.title[story.told..].iter().position(|entry| entry.value == title);
        if let Some(further) = known {
            story.told += further;
        } else {
            self.chat.title.push(title_entry(title, event.at));
            story.told = newest + 1;
        }
        known.is_none()
    }

    fn place_of(&mut self, person: ParticipantId) -> usize {
        *self.places.entry(person).or_insert_with(|| {
            self.chat.participants.push(Participant {
                id: person,
                user_properties: UserProperties::default(),
                participations: Vec::new(),
            });
            self.chat.participants.len() - 1
        })
    }
}

fn title_entry(title: &str, at: Timestamp) -> TitleEntry {
    TitleEntry { value: title.to_owned(), content_type: TITLE_CONTENT_TYPE.to_owned(), captured_at: at }
}

fn stay_from(joined_at: Timestamp, invited_by: Option<ParticipantId>) -> Participation {
    Participation { is_active: true, joined_at, invited_by, left_at: None, end_reason: None, removed_by: None }
}

/// Whoever came in by the link alone and is told again as brought in by somebody, was brought in.
fn fill_invited_by(participant: &mut Participant, invited_by: Option<ParticipantId>) -> bool {
    match participant.participations.last_mut() {
        Some(stay) if stay.invited_by.is_none() && invited_by.is_some() => {
            stay.invited_by = invited_by;
            true
        }
        _ => false,
    }
}

/// Whoever was removed at this instant, and by whom is told only now, was removed by them.
fn fill_removed_by(participant: &mut Participant, at: Timestamp, removed_by: Option<ParticipantId>) -> bool {
    match participant.participations.last_mut() {
        Some(stay)
            if stay.end_reason == Some(EndReason::Removed)
                && stay.left_at == Some(at)
                && stay.removed_by.is_none()
                && removed_by.is_some() =>
        {
            stay.removed_by = removed_by;
            true
        }
        _ => false,
    }
}

/// Ends the stay that goes on, if there is one.
fn end(participant: &mut Participant, at: Timestamp, reason: EndReason, removed_by: Option<ParticipantId>) -> bool {
    match participant.participations.last_mut() {
        Some(stay) if stay.is_active => {
            stay.is_active = false;
            stay.left_at = Some(at);
            stay.end_reason = Some(reason);
            stay.removed_by = removed_by;
            true
        }
        _ => false,
    }
}
