//! From what Telegram says of a group to events: service messages and entries of the admin log. Each of the two tells by
//! itself all that it has; what both tell becomes one in the record.

use convoke_domain::{EventSource, Timestamp};
use convoke_provider::{ProviderEvent, ProviderEventKind, SeenPerson};
use grammers_client::tl::{
    self,
    enums::{ChannelAdminLogEventAction as Entry, ChannelParticipant, ExportedChatInvite, MessageAction, Peer},
};

use super::people::People;

/// What a message in the group tells: nothing, unless it is a service message of somebody's coming or going, or of a title.
pub fn of_message(group: &str, message: &tl::enums::Message, people: &People) -> Vec<ProviderEvent> {
    let tl::enums::Message::Service(message) = message else { return Vec::new() };
    let Some(at) = instant(message.date) else { return Vec::new() };
    let actor = message.from_id.as_ref().and_then(user_of);
    let key = message_key(message.id);
    kinds_of_message(&message.action, actor, people)
        .into_iter()
        .enumerate()
        .map(|(place, kind)| event(group, numbered(&key, place), EventSource::Stream, at, kind))
        .collect()
}

/// What an entry of the group's admin log tells.
pub fn of_log_entry(group: &str, entry: &tl::enums::ChannelAdminLogEvent, people: &People) -> Option<ProviderEvent> {
    let tl::enums::ChannelAdminLogEvent::Event(entry) = entry;
    let at = instant(entry.date)?;
    let kind = kind_of_entry(&entry.action, entry.user_id, people)?;
    Some(event(group, format!("log:{:020}", entry.id), EventSource::Log, at, kind))
}

/// That these people were seen under other names than before, beside a message in the group.
pub fn seen_by_message(
    group: &str,
    message: &tl::enums::Message,
    changed: Vec<i64>,
    people: &People,
) -> Vec<ProviderEvent> {
    let (id, date) = match message {
        tl::enums::Message::Service(message) => (message.id, message.date),
        tl::enums::Message::Message(message) => (message.id, message.date),
        tl::enums::Message::Empty(_) => return Vec::new(),
    };
    let Some(at) = instant(date) else { return Vec::new() };
    let seen = |person: i64| {
        let kind = ProviderEventKind::Seen { person: people.person(person) };
        event(group, format!("{}.seen.{person:020}", message_key(id)), EventSource::Stream, at, kind)
    };
    changed.into_iter().map(seen).collect()
}

/// An event of this group.
pub fn event(group: &str, key: String, source: EventSource, at: Timestamp, kind: ProviderEventKind) -> ProviderEvent {
    ProviderEvent { provider_chat_id: group.to_owned(), key, source, at, kind }
}

/// What names a message's events.
fn message_key(id: i32) -> String {
    format!("msg:{id:020}")
}

/// The instant that Telegram means by a number of seconds; none if it says none.
pub fn instant(date: i32) -> Option<Timestamp> {
    (date > 0).then(|| Timestamp::from_millis(i64::from(date) * 1000))
}

/// The key of one of several things that one message tells, which sorts behind those before it.
fn numbered(key: &str, place: usize) -> String {
    if place == 0 { key.to_owned() } else { format!("{key}.{place:04}") }
}

/// The user whom this is, if it is one.
pub fn user_of(peer: &Peer) -> Option<i64> {
    match peer {
        Peer::User(user) => Some(user.user_id),
        Peer::Chat(_) | Peer::Channel(_) => None,
    }
}

fn kinds_of_message(action: &MessageAction, actor: Option<i64>, people: &People) -> Vec<ProviderEventKind> {
    let by_themselves = |invited_by: Option<i64>| actor.map(|person| joined(people, person, invited_by));
    match action {
        MessageAction::ChatAddUser(added) => added.users.iter().map(|person| joined(people, *person, actor)).collect(),
        MessageAction::ChatJoinedByLink(link) => by_themselves(Some(link.inviter_id)).into_iter().collect(),
        // Who approved a request stands in the log alone.
        MessageAction::ChatJoinedByRequest | MessageAction::ChatJoinedViaCommunity(_) => {
            by_themselves(None).into_iter().collect()
        }
        MessageAction::ChatDeleteUser(deleted) => vec![gone(people, deleted.user_id, actor)],
        MessageAction::ChatEditTitle(edited) => vec![ProviderEventKind::Renamed { title: edited.title.clone() }],
        _ => Vec::new(),
    }
}

fn kind_of_entry(action: &Entry, actor: i64, people: &People) -> Option<ProviderEventKind> {
    match action {
        Entry::ParticipantJoin => Some(joined(people, actor, None)),
        Entry::ParticipantJoinByInvite(join) => {
            let by = match &join.invite {
                ExportedChatInvite::ChatInviteExported(invite) => Some(invite.admin_id),
                ExportedChatInvite::ChatInvitePublicJoinRequests => None,
            };
            Some(joined(people, actor, by))
        }
        Entry::ParticipantJoinByRequest(join) => Some(joined(people, actor, Some(join.approved_by))),
        Entry::ParticipantInvite(invite) => {
            standing(&invite.participant).map(|(person, _)| joined(people, person, Some(actor)))
        }
        Entry::ParticipantLeave => Some(gone(people, actor, Some(actor))),
        Entry::ParticipantToggleBan(toggle) => {
            let (person, is_in) = standing(&toggle.new_participant)?;
            // Whoever may come back is out until they come, and was put out when they were banned.
            let is_unban = is_banned(&toggle.prev_participant) && !is_banned(&toggle.new_participant);
            (!is_in && !is_unban).then(|| gone(people, person, Some(actor)))
        }
        Entry::ChangeTitle(change) => Some(ProviderEventKind::Renamed { title: change.new_value.clone() }),
        _ => None,
    }
}

/// Whom this is about, and whether they are in.
fn standing(participant: &ChannelParticipant) -> Option<(i64, bool)> {
    match participant {
        ChannelParticipant::Participant(member) => Some((member.user_id, true)),
        ChannelParticipant::ParticipantSelf(member) => Some((member.user_id, true)),
        ChannelParticipant::Creator(member) => Some((member.user_id, true)),
        ChannelParticipant::Admin(member) => Some((member.user_id, true)),
        ChannelParticipant::Banned(banned) => Some((user_of(&banned.peer)?, !is_banned(participant))),
        ChannelParticipant::Left(left) => Some((user_of(&left.peer)?, false)),
    }
}

/// Whether somebody may not even see the group; whoever may only do less in it is not banned.
pub fn is_banned(participant: &ChannelParticipant) -> bool {
    let ChannelParticipant::Banned(banned) = participant else { return false };
    let tl::enums::ChatBannedRights::Rights(rights) = &banned.banned_rights;
    rights.view_messages
}

/// Somebody came, brought in by somebody unless it was they themselves.
fn joined(people: &People, person: i64, invited_by: Option<i64>) -> ProviderEventKind {
    let invited_by: Option<SeenPerson> = invited_by.filter(|by| *by != person).map(|by| people.person(by));
    ProviderEventKind::Joined { person: people.person(person), invited_by }
}

/// Somebody went by themselves, or was removed by somebody else.
fn gone(people: &People, person: i64, actor: Option<i64>) -> ProviderEventKind {
    if actor == Some(person) {
        ProviderEventKind::Left { person: people.person(person) }
    } else {
        let removed_by = actor.map(|by| people.person(by));
        ProviderEventKind::Removed { person: people.person(person), removed_by }
    }
}

#[cfg(test)]
mod tests {
    use convoke_domain::UserProperties;

    use super::*;
    use crate::feed::samples::{
        CHANNEL, GROUP, banned, creator, entry, invite, left, named, participant, peer, service, user,
    };

    const ADA: i64 = 7;
    const BEN: i64 = 8;
    const OWNER: i64 = 1;
    const DATE: i32 = 1_733_907_243;
    const AT: Timestamp = Timestamp::from_millis(1_733_907_243_000);

    fn people() -> People {
        People::new(&[named(ADA, "Ada"), named(BEN, "Ben"), named(OWNER, "Convoke")])
    }

    /// What a message of this action tells.
    fn message(from: Option<i64>, action: impl Into<MessageAction>) -> Vec<ProviderEventKind> {
        let events = of_message(GROUP, &service(12, from, DATE, action), &people());
        for event in &events {
            assert_eq!((event.provider_chat_id.as_str(), event.source, event.at), (GROUP, EventSource::Stream, AT));
        }
        events.into_iter().map(|event| event.kind).collect()
    }

    /// What a log entry of this action tells.
    fn log(by: i64, action: impl Into<Entry>) -> Option<ProviderEventKind> {
        let event = of_log_entry(GROUP, &entry(34, by, DATE, action), &people())?;
        assert_eq!(event.key, "log:00000000000000000034");
        assert_eq!((event.provider_chat_id.as_str(), event.source, event.at), (GROUP, EventSource::Log, AT));
        Some(event.kind)
    }

    fn join(person: i64, invited_by: Option<i64>) -> ProviderEventKind {
        let (person, invited_by) = (people().person(person), invited_by.map(|by| people().person(by)));
        ProviderEventKind::Joined { person, invited_by }
    }

    fn leave(person: i64) -> ProviderEventKind {
        ProviderEventKind::Left { person: people().person(person) }
    }

    fn removal(person: i64, by: Option<i64>) -> ProviderEventKind {
        ProviderEventKind::Removed { person: people().person(person), removed_by: by.map(|by| people().person(by)) }
    }

    fn toggle(prev: ChannelParticipant, new: ChannelParticipant) -> Entry {
        tl::types::ChannelAdminLogEventActionParticipantToggleBan { prev_participant: prev, new_participant: new }
            .into()
    }

    #[test]
    fn a_join_by_link_is_by_whoever_made_the_link() {
        let by_link = |by| tl::types::MessageActionChatJoinedByLink { inviter_id: by };
        assert_eq!(message(Some(ADA), by_link(OWNER)), [join(ADA, Some(OWNER))]);
        assert_eq!(message(Some(ADA), by_link(ADA)), [join(ADA, None)], "nobody brings themselves in");
        assert_eq!(message(None, by_link(OWNER)), [], "it is not said who");
        let by_invite =
            |invite| tl::types::ChannelAdminLogEventActionParticipantJoinByInvite { via_chatlist: false, invite };
        assert_eq!(log(ADA, by_invite(invite(OWNER))), Some(join(ADA, Some(OWNER))));
        assert_eq!(log(ADA, by_invite(invite(ADA))), Some(join(ADA, None)));
        assert_eq!(log(ADA, by_invite(ExportedChatInvite::ChatInvitePublicJoinRequests)), Some(join(ADA, None)));
    }

    #[test]
    fn whoever_is_added_is_brought_in_by_whoever_added_them() {
        let add = |users| tl::types::MessageActionChatAddUser { users };
        assert_eq!(message(Some(ADA), add(vec![BEN])), [join(BEN, Some(ADA))]);
        assert_eq!(message(Some(ADA), add(vec![ADA])), [join(ADA, None)], "who adds themselves comes by themselves");
        assert_eq!(message(None, add(vec![BEN])), [join(BEN, None)]);
        assert_eq!(message(Some(OWNER), add(vec![ADA, BEN])), [join(ADA, Some(OWNER)), join(BEN, Some(OWNER))]);
        assert_eq!(message(Some(OWNER), add(vec![])), []);
        let invite = |participant| tl::types::ChannelAdminLogEventActionParticipantInvite { participant };
        assert_eq!(log(ADA, invite(participant(BEN, 5))), Some(join(BEN, Some(ADA))));
        assert_eq!(log(ADA, invite(participant(ADA, 5))), Some(join(ADA, None)));
    }

    #[test]
    fn a_request_is_granted_by_whoever_approved_it() {
        assert_eq!(message(Some(ADA), MessageAction::ChatJoinedByRequest), [join(ADA, None)]);
        let by_request =
            tl::types::ChannelAdminLogEventActionParticipantJoinByRequest { invite: invite(OWNER), approved_by: BEN };
        assert_eq!(log(ADA, by_request), Some(join(ADA, Some(BEN))));
    }

    #[test]
    fn other_ways_in_are_by_oneself() {
        let community = tl::types::MessageActionChatJoinedViaCommunity { community_id: 3 };
        assert_eq!(message(Some(ADA), community), [join(ADA, None)]);
        assert_eq!(log(ADA, Entry::ParticipantJoin), Some(join(ADA, None)));
    }

    #[test]
    fn whoever_goes_leaves_or_is_removed() {
        let delete = |user_id| tl::types::MessageActionChatDeleteUser { user_id };
        assert_eq!(message(Some(ADA), delete(ADA)), [leave(ADA)]);
        assert_eq!(message(Some(OWNER), delete(ADA)), [removal(ADA, Some(OWNER))]);
        assert_eq!(message(None, delete(ADA)), [removal(ADA, None)], "admins may be anonymous");
        assert_eq!(log(ADA, Entry::ParticipantLeave), Some(leave(ADA)));
    }

    #[test]
    fn a_ban_is_a_removal_and_its_end_is_nothing() {
        let (member, out) = (participant(ADA, 5), banned(ADA, OWNER, true));
        assert_eq!(log(OWNER, toggle(member.clone(), out.clone())), Some(removal(ADA, Some(OWNER))));
        assert_eq!(log(OWNER, toggle(member.clone(), left(ADA))), Some(removal(ADA, Some(OWNER))), "put out, unbanned");
        assert_eq!(log(OWNER, toggle(out.clone(), left(ADA))), None, "unbanned after a kick");
        assert_eq!(log(OWNER, toggle(out.clone(), member.clone())), None);
        let limited = banned(ADA, OWNER, false);
        assert_eq!(log(OWNER, toggle(member, limited.clone())), None, "whoever may do less is still in");
        assert_eq!(log(OWNER, toggle(limited, out)), Some(removal(ADA, Some(OWNER))));
        let channel = tl::types::ChannelParticipantLeft { peer: tl::types::PeerChannel { channel_id: CHANNEL }.into() };
        assert_eq!(log(OWNER, toggle(creator(OWNER), channel.into())), None, "a channel is nobody");
    }

    #[test]
    fn a_title_is_told() {
        let title = || "Another".to_owned();
        let edit = tl::types::MessageActionChatEditTitle { title: title() };
        assert_eq!(message(Some(ADA), edit), [ProviderEventKind::Renamed { title: title() }]);
        let change = tl::types::ChannelAdminLogEventActionChangeTitle { prev_value: "One".into(), new_value: title() };
        assert_eq!(log(ADA, change), Some(ProviderEventKind::Renamed { title: title() }));
    }

    #[test]
    fn everything_else_is_nothing() {
        assert_eq!(message(Some(OWNER), tl::types::MessageActionChannelCreate { title: "One".into() }), []);
        assert_eq!(message(Some(ADA), MessageAction::PinMessage), []);
        let about = tl::types::ChannelAdminLogEventActionChangeAbout { prev_value: "a".into(), new_value: "b".into() };
        assert_eq!(log(ADA, about), None);
        let empty = tl::types::MessageEmpty { id: 3, peer_id: Some(peer(ADA)) };
        assert_eq!(of_message(GROUP, &empty.into(), &people()), []);
    }

    #[test]
    fn what_has_no_time_is_not_told() {
        let delete = tl::types::MessageActionChatDeleteUser { user_id: ADA };
        assert_eq!(of_message(GROUP, &service(12, Some(ADA), 0, delete), &people()), []);
        assert_eq!(of_log_entry(GROUP, &entry(34, ADA, -1, Entry::ParticipantLeave), &people()), None);
    }

    #[test]
    fn keys_sort_in_the_order_of_happening() {
        let add = tl::types::MessageActionChatAddUser { users: (100..112).collect() };
        let mut told = of_message(GROUP, &service(9, Some(ADA), DATE, add.clone()), &people());
        told.extend(of_message(GROUP, &service(10, Some(ADA), DATE, add), &people()));
        assert_eq!((told.len(), told[0].key.as_str()), (24, "msg:00000000000000000009"));
        assert!(told.windows(2).all(|pair| pair[0].key < pair[1].key), "{told:#?}");
        let log = |id| of_log_entry(GROUP, &entry(id, ADA, DATE, Entry::ParticipantLeave), &people()).unwrap().key;
        assert!(log(99) < log(100) && log(100) < log(i64::MAX));
    }

    #[test]
    fn the_unknown_have_an_id_alone_and_what_is_shown_in_part_is_not_emptied() {
        let mut part = user(ADA);
        (part.min, part.first_name) = (true, Some("Ada".into()));
        let people = People::new(&[part.into()]);
        let add = tl::types::MessageActionChatAddUser { users: vec![ADA, BEN] };
        let told = of_message(GROUP, &service(9, Some(OWNER), DATE, add), &people);
        let named = |event: &ProviderEvent| match &event.kind {
            ProviderEventKind::Joined { person, .. } => person.clone(),
            other => panic!("a join, not {other:?}"),
        };
        assert_eq!(named(&told[0]).properties.firstname.as_deref(), Some("Ada"));
        assert_eq!(named(&told[0]).properties.lastname, None);
        assert_eq!(named(&told[1]), SeenPerson { external_id: "8".into(), properties: UserProperties::default() });
    }
}
