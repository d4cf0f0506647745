//! The list of a group's members, compared with the record: what neither the stream nor the log told.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use convoke_domain::{EventSource, Timestamp, UserProperties};
use convoke_provider::{ProviderEvent, ProviderEventKind};
use grammers_client::tl::{self, enums::ChannelParticipant};

use super::{
    events::{event, instant, is_banned, user_of},
    names::{Names, Sight},
    people::People,
};

/// How far Telegram's clock may be from ours: whoever came in this long before a reading began may be missing from it.
const CLOCK_TOLERANCE: Duration = Duration::from_mins(1);

/// A list of members, page by page.
#[derive(Debug)]
pub struct MemberList {
    started_at: Timestamp,
    total: usize,
    members: BTreeMap<i64, Listed>,
    people: People,
}

/// Somebody in the list.
#[derive(Debug)]
struct Listed {
    joined_at: Option<Timestamp>,
    invited_by: Option<i64>,
}

impl MemberList {
    /// A list whose reading begins now, our time.
    pub fn new(started_at: Timestamp) -> Self {
        Self { started_at, total: 0, members: BTreeMap::new(), people: People::default() }
    }

    /// Takes in a page.
    pub fn add(&mut self, page: &tl::types::channels::ChannelParticipants) {
        self.people.add(&page.users);
        self.total = self.total.max(usize::try_from(page.count).unwrap_or(0));
        let listed = page.participants.iter().filter_map(|participant| self.listed(participant));
        self.members.extend(listed.collect::<Vec<_>>());
    }

    /// Whether everybody is in it whom Telegram counts. Members go and come while a list is read, and long lists are
    /// never given whole: who is missing from one of those may be in nevertheless.
    pub fn is_whole(&self) -> bool {
        !self.members.is_empty() && self.members.len() >= self.total
    }

    fn listed(&self, participant: &ChannelParticipant) -> Option<(i64, Listed)> {
        let at = |date| instant(date).or(Some(self.started_at));
        let (person, joined_at, invited_by) = match participant {
            ChannelParticipant::Participant(member) => (member.user_id, at(member.date), None),
            ChannelParticipant::ParticipantSelf(member) => (member.user_id, at(member.date), Some(member.inviter_id)),
            ChannelParticipant::Admin(member) => (member.user_id, at(member.date), member.inviter_id),
            // Is in since the group was made, which is told otherwise.
            ChannelParticipant::Creator(member) => (member.user_id, None, None),
            // Whoever may only do less is in, and came before that was decided.
            ChannelParticipant::Banned(limited) if !limited.left && !is_banned(participant) => {
                (user_of(&limited.peer)?, at(limited.date), None)
            }
            ChannelParticipant::Banned(_) | ChannelParticipant::Left(_) => return None,
        };
        Some((person, Listed { joined_at, invited_by }))
    }

    /// What the list tells that the record of who is in, and since when, does not have yet. Coming is told when it was;
    /// going as of the beginning of the reading, by the latest.
    pub fn differences(&self, group: &str, on_record: &[(String, Timestamp)]) -> Vec<ProviderEvent> {
        let on_record: HashMap<&str, Timestamp> = on_record.iter().map(|(id, since)| (id.as_str(), *since)).collect();
        let mut told: Vec<ProviderEvent> = self
            .members
            .iter()
            .filter(|(person, _)| !on_record.contains_key(person.to_string().as_str()))
            .filter_map(|(person, listed)| self.joined(group, *person, listed))
            .collect();
        if self.is_whole() {
            let long_in = |since: Timestamp| since < self.started_at.minus(CLOCK_TOLERANCE);
            let gone = on_record.iter().filter(|(_, since)| long_in(**since));
            // An id that is no number is none of Telegram's.
            let gone = gone.filter_map(|(id, _)| id.parse().ok()).filter(|id| !self.members.contains_key(id));
            told.extend(gone.map(|person: i64| self.left(group, person)));
        }
        told.sort_by(|a, b| (a.at, &a.key).cmp(&(b.at, &b.key)));
        told
    }

    /// The names of those in the list that are news.
    pub fn names(&self, group: &str, channel: i64, told: &mut Names) -> Vec<ProviderEvent> {
        let mut events: Vec<ProviderEvent> = self
            .people
            .whole()
            .filter(|(person, _)| self.members.contains_key(person))
            .filter_map(|(person, names)| {
                let seen_at = match told.see(channel, person, names) {
                    Sight::Same => return None,
                    // Told once a month at most, however often the process is started: mostly it is on record.
                    Sight::First => month_of(self.started_at),
                    Sight::Changed => self.started_at.as_millis() / 1000,
                };
                let key = format!("list:{seen_at:020}:{person}:seen:{:016x}", digest(names));
                let kind = ProviderEventKind::Seen { person: self.people.person(person) };
                Some(event(group, key, EventSource::MemberList, self.started_at, kind))
            })
            .collect();
        events.sort_by(|a, b| a.key.cmp(&b.key));
        events
    }

    fn joined(&self, group: &str, person: i64, listed: &Listed) -> Option<ProviderEvent> {
        let at = listed.joined_at?;
        let invited_by = listed.invited_by.filter(|by| *by != person).map(|by| self.people.person(by));
        let kind = ProviderEventKind::Joined { person: self.people.person(person), invited_by };
        Some(event(group, key(at, person, "in"), EventSource::MemberList, at, kind))
    }

    fn left(&self, group: &str, person: i64) -> ProviderEvent {
        let kind = ProviderEventKind::Left { person: self.people.person(person) };
        event(group, key(self.started_at, person, "out"), EventSource::MemberList, self.started_at, kind)
    }
}

fn key(at: Timestamp, person: i64, what: &str) -> String {
    format!("list:{:020}:{person}:{what}", at.as_millis() / 1000)
}

/// The beginning of the thirty days in which this lies, in seconds.
fn month_of(at: Timestamp) -> i64 {
    const MONTH: i64 = 30 * 24 * 3600;
    at.as_millis() / 1000 / MONTH * MONTH
}

/// A number for these names, the same wherever it is computed (FNV-1a, 64 bits).
fn digest(names: &UserProperties) -> u64 {
    let fields = [&names.firstname, &names.lastname, &names.username];
    let bytes = fields.into_iter().flat_map(|field| field.as_deref().unwrap_or_default().bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::samples::{CHANNEL, GROUP, banned, creator, left, named, participant};

    const OWNER: i64 = 1;
    const ADA: i64 = 7;
    const BEN: i64 = 8;
    const MADE: i32 = 1_733_900_000;
    const STARTED: Timestamp = Timestamp::from_millis(1_733_990_000_000);

    fn page(count: i32, participants: Vec<ChannelParticipant>) -> tl::types::channels::ChannelParticipants {
        let users = vec![named(OWNER, "Convoke"), named(ADA, "Ada"), named(BEN, "Ben")];
        tl::types::channels::ChannelParticipants { count, participants, chats: Vec::new(), users }
    }

    fn list(count: i32, participants: Vec<ChannelParticipant>) -> MemberList {
        let mut list = MemberList::new(STARTED);
        list.add(&page(count, participants));
        list
    }

    fn since(date: i32) -> Timestamp {
        instant(date).expect("a time")
    }

    fn on_record(people: &[(i64, i32)]) -> Vec<(String, Timestamp)> {
        people.iter().map(|(id, date)| (id.to_string(), since(*date))).collect()
    }

    #[test]
    fn who_is_on_record_and_listed_is_no_news() {
        let list = list(2, vec![creator(OWNER), participant(ADA, MADE + 5)]);
        assert!(list.is_whole());
        assert_eq!(list.differences(GROUP, &on_record(&[(OWNER, MADE), (ADA, MADE + 5)])), []);
        assert_eq!(list.differences(GROUP, &on_record(&[(OWNER, MADE), (ADA, MADE + 3)])), [], "came back in between");
    }

    #[test]
    fn who_is_listed_but_not_on_record_came_in_then() {
        let mut list = list(3, vec![creator(OWNER)]);
        assert!(!list.is_whole(), "there is more to come");
        list.add(&page(3, vec![participant(ADA, MADE + 5), participant(BEN, MADE + 4)]));
        let told = list.differences(GROUP, &on_record(&[(OWNER, MADE)]));
        let expected = |id: i64, date| {
            let kind = ProviderEventKind::Joined { person: list.people.person(id), invited_by: None };
            let key = format!("list:{date:020}:{id}:in");
            event(GROUP, key, EventSource::MemberList, since(date), kind)
        };
        assert_eq!(told, [expected(BEN, MADE + 4), expected(ADA, MADE + 5)]);
        assert_eq!(list.people.person(ADA).properties.firstname.as_deref(), Some("Ada"));
    }

    #[test]
    fn who_made_the_group_is_told_otherwise() {
        assert_eq!(list(1, vec![creator(OWNER)]).differences(GROUP, &[]), []);
    }

    #[test]
    fn who_is_on_record_but_not_listed_is_gone_by_the_beginning_of_the_reading() {
        let list = list(1, vec![creator(OWNER)]);
        let told = list.differences(GROUP, &on_record(&[(OWNER, MADE), (ADA, MADE + 5)]));
        let kind = ProviderEventKind::Left { person: list.people.person(ADA) };
        let key = format!("list:{:020}:7:out", STARTED.as_millis() / 1000);
        assert_eq!(told, [event(GROUP, key, EventSource::MemberList, STARTED, kind)]);
    }

    #[test]
    fn banned_people_are_out_whatever_list_they_are_in() {
        let list = list(1, vec![creator(OWNER), banned(ADA, OWNER, true), left(BEN)]);
        assert_eq!(list.differences(GROUP, &on_record(&[(OWNER, MADE), (ADA, MADE)])).len(), 1);
    }

    #[test]
    fn whoever_may_only_do_less_is_in() {
        let limited = list(2, vec![creator(OWNER), banned(ADA, OWNER, false)]);
        assert!(limited.is_whole());
        assert_eq!(limited.differences(GROUP, &on_record(&[(OWNER, MADE), (ADA, MADE)])), []);
        let told = limited.differences(GROUP, &on_record(&[(OWNER, MADE)]));
        let kind = ProviderEventKind::Joined { person: limited.people.person(ADA), invited_by: None };
        let key = format!("list:{:020}:7:in", 9);
        assert_eq!(
            told,
            [event(GROUP, key, EventSource::MemberList, since(9), kind)],
            "when that was decided, at the latest"
        );
        let ChannelParticipant::Banned(mut gone) = banned(ADA, OWNER, false) else { panic!("a restriction") };
        gone.left = true;
        let told = list(1, vec![creator(OWNER), gone.into()]).differences(GROUP, &on_record(&[(ADA, MADE)]));
        assert_eq!(told.len(), 1, "who left is out, whatever they might do: {told:#?}");
    }

    #[test]
    fn who_came_in_while_it_was_read_is_not_gone() {
        let list = list(1, vec![creator(OWNER)]);
        let now = i32::try_from(STARTED.as_millis() / 1000).unwrap();
        for date in [now - 60, now, now + 5] {
            assert_eq!(list.differences(GROUP, &on_record(&[(OWNER, MADE), (ADA, date)])), [], "{date}");
        }
        assert_eq!(list.differences(GROUP, &on_record(&[(OWNER, MADE), (ADA, now - 61)])).len(), 1);
    }

    #[test]
    fn nobody_is_gone_by_a_list_that_is_not_whole() {
        let record = on_record(&[(OWNER, MADE), (ADA, MADE)]);
        assert_eq!(list(2, vec![creator(OWNER)]).differences(GROUP, &record), []);
        assert_eq!(list(0, vec![]).differences(GROUP, &record), [], "a list without anybody is none");
        let told = list(4, vec![creator(OWNER), participant(BEN, MADE + 5)]).differences(GROUP, &record);
        assert_eq!(told.len(), 1, "who is listed is in all the same: {told:#?}");
    }

    #[test]
    fn garbage_on_record_is_left_alone() {
        let record = vec![("hearsay".to_owned(), since(MADE))];
        assert_eq!(list(1, vec![creator(OWNER)]).differences(GROUP, &record), []);
    }

    #[test]
    fn names_are_told_once_and_when_they_change() {
        let mut told = Names::default();
        let list = list(2, vec![creator(OWNER), participant(ADA, MADE)]);
        let first = list.names(GROUP, CHANNEL, &mut told);
        assert_eq!(first.len(), 2, "those in the list, nobody else it carries: {first:#?}");
        assert_eq!(list.names(GROUP, CHANNEL, &mut told), []);
        assert_eq!(list.names(GROUP, CHANNEL, &mut Names::default()), first, "the same keys after a restart");
        let mut later = MemberList::new(STARTED.plus(Duration::from_hours(24)));
        let renamed = vec![named(OWNER, "Convoke"), named(ADA, "Adele")];
        later
            .add(&tl::types::channels::ChannelParticipants { users: renamed, ..page(1, vec![participant(ADA, MADE)]) });
        let changed = later.names(GROUP, CHANNEL, &mut told);
        let kind = ProviderEventKind::Seen { person: later.people.person(ADA) };
        assert_eq!(changed.iter().map(|event| &event.kind).collect::<Vec<_>>(), [&kind]);
        assert!(first.iter().all(|event| event.key != changed[0].key));
    }
}
