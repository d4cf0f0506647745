//! The record is a function of the set of events: whatever their order, with repeats, from two sources that tell the
//! same, applied one by one or all at once.

use std::collections::BTreeMap;

use convoke_domain::{
    Chat, ChatEvent, ChatEventKind, ChatId, ChatStatus, EndReason, EventSource, ParticipantId, Record, Service,
    Timestamp, UserProperties,
    strategies::{event_kind, events as any_events},
};
use proptest::prelude::*;
use uuid::Uuid;

const CHAT: ChatId = ChatId(Uuid::from_u128(1));

fn person(number: u8) -> ParticipantId {
    ParticipantId(Uuid::from_u128(1000 + u128::from(number)))
}

fn event(number: usize, source: EventSource, at: i64, kind: ChatEventKind) -> ChatEvent {
    let at = Timestamp::from_millis(at);
    ChatEvent { key: format!("{}-{number:04}", source.as_str()), source, at, recorded_at: at, kind }
}

fn registered(at: i64) -> ChatEvent {
    let kind = ChatEventKind::Registered {
        service: Service::Sandbox,
        title: "t0".into(),
        created_by: Some("somebody".into()),
        description: None,
    };
    event(0, EventSource::Convoke, at, kind)
}

fn joined(who: u8, by: Option<u8>) -> ChatEventKind {
    ChatEventKind::Joined { person: person(who), invited_by: by.map(person), properties: UserProperties::default() }
}

fn left(who: u8) -> ChatEventKind {
    ChatEventKind::Left { person: person(who) }
}

fn removed(who: u8, by: Option<u8>) -> ChatEventKind {
    ChatEventKind::Removed { person: person(who), removed_by: by.map(person) }
}

/// As a store does it: one event after the other, computing anew where one is not newer than all before.
fn one_by_one(events: &[ChatEvent]) -> Record {
    let mut known: Vec<ChatEvent> = vec![events[0].clone()];
    let mut record = Record::from_events(CHAT, &known).unwrap();
    for event in &events[1..] {
        if known.iter().any(|earlier| earlier.key == event.key) {
            continue;
        }
        known.push(event.clone());
        record = match record.extended(std::slice::from_ref(event)) {
            Ok(extended) => extended,
            Err(_) => Record::from_events(CHAT, &known).unwrap(),
        };
    }
    record
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn order_and_repeats_do_not_matter((events, shuffled) in any_events().prop_flat_map(|events| {
        let twice: Vec<_> = events.iter().chain(&events).cloned().collect();
        (Just(events), Just(twice).prop_shuffle())
    })) {
        prop_assert_eq!(Record::from_events(CHAT, &events).unwrap(), Record::from_events(CHAT, &shuffled).unwrap());
    }

    #[test]
    fn one_by_one_equals_at_once((events, order) in any_events().prop_flat_map(|events| {
        let rest = events[1..].to_vec();
        (Just(events), Just(rest).prop_shuffle())
    })) {
        let arriving: Vec<_> = std::iter::once(events[0].clone()).chain(order).collect();
        prop_assert_eq!(one_by_one(&arriving), Record::from_events(CHAT, &events).unwrap());
    }

    #[test]
    fn batches_equal_at_once(events in any_events(), cut in 0..40usize) {
        let (old, new): (Vec<_>, Vec<_>) = events.iter().cloned().partition(|e| {
            matches!(e.kind, ChatEventKind::Registered { .. }) || usize::try_from(e.at.as_millis()).unwrap() <= cut
        });
        if let Ok(extended) = Record::from_events(CHAT, &old).unwrap().extended(&new) {
            prop_assert_eq!(extended, Record::from_events(CHAT, &events).unwrap());
        } else {
            // Only what is not newer than the registration can't be taken in.
            prop_assert!(cut < 5);
        }
    }

    #[test]
    fn a_second_source_that_tells_the_same_changes_nothing(events in any_events()) {
        // One source tells everything; the second tells the same happenings under keys of its own.
        let first: Vec<_> = events.iter().cloned().map(|e| ChatEvent { source: EventSource::Convoke, ..e }).collect();
        let second = first[1..].iter().cloned().map(|e| ChatEvent {
            key: e.key.replace('-', "-again-"), source: EventSource::Log, ..e
        });
        let both: Vec<_> = first.iter().cloned().chain(second).collect();
        prop_assert_eq!(Record::from_events(CHAT, &both).unwrap(), Record::from_events(CHAT, &first).unwrap());
    }

    #[test]
    fn stays_do_not_overlap_and_say_how_they_ended(events in any_events()) {
        let chat = Record::from_events(CHAT, &events).unwrap().chat;
        prop_assert_eq!(chat.is_active, chat.status == ChatStatus::Active);
        for participant in &chat.participants {
            prop_assert!(!participant.participations.is_empty());
            for pair in participant.participations.windows(2) {
                prop_assert!(pair[0].left_at.unwrap() <= pair[1].joined_at);
            }
            for stay in &participant.participations {
                prop_assert_eq!(stay.is_active, stay.left_at.is_none());
                prop_assert_eq!(stay.is_active, stay.end_reason.is_none());
                prop_assert!(stay.left_at.is_none_or(|left_at| left_at >= stay.joined_at));
                prop_assert!(!(stay.is_active && chat.status == ChatStatus::Closed));
            }
        }
        for pair in chat.title.windows(2) {
            prop_assert_ne!(&pair[0].value, &pair[1].value);
        }
    }

    #[test]
    fn nobody_who_came_is_lost(events in any_events()) {
        let record = Record::from_events(CHAT, &events).unwrap();
        let closed_at = events.iter().filter(|e| e.kind == ChatEventKind::Closed).map(|e| e.at).min();
        for event in &events {
            if closed_at.is_some_and(|closed_at| event.at > closed_at) {
                continue;
            }
            match &event.kind {
                ChatEventKind::Joined { person, .. } => {
                    let stays = &record.chat.participant(*person).unwrap().participations;
                    let within = |s: &convoke_domain::Participation| {
                        s.joined_at <= event.at && s.left_at.is_none_or(|left_at| left_at >= event.at)
                    };
                    prop_assert!(stays.iter().any(within));
                }
                ChatEventKind::Renamed { title } => {
                    prop_assert!(record.chat.title.iter().any(|entry| entry.value == *title));
                }
                _ => {}
            }
        }
    }

    #[test]
    fn who_was_in_and_the_title_then_are_those_of_the_record_as_it_was_then(events in any_events(), at in 0..35i64) {
        let at = Timestamp::from_millis(at);
        let now = Record::from_events(CHAT, &events).unwrap().chat;
        let told = |e: &&ChatEvent| e.at <= at || matches!(e.kind, ChatEventKind::Registered { .. });
        let then = Record::from_events(CHAT, &events.iter().filter(told).cloned().collect::<Vec<_>>()).unwrap().chat;
        // Who brought somebody in may be learnt later, the rest not.
        let present = |chat: &Chat| -> Vec<_> {
            chat.present_at(at).map(|(participant, stay)| (participant.id, stay.joined_at)).collect()
        };
        prop_assert_eq!(present(&now), present(&then));
        let inside: Vec<_> = then.participants.iter().filter(|p| p.is_in()).map(|p| p.id).collect();
        prop_assert_eq!(present(&now).into_iter().map(|(id, _)| id).collect::<Vec<_>>(), inside);
        prop_assert_eq!(now.title_at(at), then.title_at(at));
        if at >= now.registered_at {
            prop_assert_eq!(now.title_at(at), then.current_title());
        }
    }

    #[test]
    fn with_one_source_and_distinct_instants_it_is_a_plain_replay(kinds in proptest::collection::vec(event_kind(), 0..40)) {
        let mut events = vec![registered(0)];
        let mut inside: BTreeMap<ParticipantId, bool> = BTreeMap::new();
        for (number, kind) in kinds.into_iter().enumerate() {
            match &kind {
                ChatEventKind::Closed => break,
                ChatEventKind::Joined { person, .. } => { inside.insert(*person, true); }
                ChatEventKind::GroupMade { owner, .. } => { inside.insert(*owner, true); }
                ChatEventKind::Left { person } | ChatEventKind::Removed { person, .. } => {
                    inside.entry(*person).and_modify(|is_in| *is_in = false);
                }
                _ => {}
            }
            events.push(event(number + 1, EventSource::Log, i64::try_from(number).unwrap() + 1, kind));
        }
        let chat = Record::from_events(CHAT, &events).unwrap().chat;
        let shown: BTreeMap<_, _> = chat.participants.iter().map(|p| (p.id, p.is_in())).collect();
        prop_assert_eq!(shown, inside);
    }
}

fn record_of(told: Vec<(EventSource, i64, ChatEventKind)>) -> Record {
    let rest = told.into_iter().enumerate().map(|(number, (source, at, kind))| event(number + 1, source, at, kind));
    let events: Vec<_> = std::iter::once(registered(0)).chain(rest).collect();
    Record::from_events(CHAT, &events).unwrap()
}

#[test]
fn without_its_registration_there_is_no_record() {
    assert!(Record::from_events(CHAT, &[event(1, EventSource::Log, 1, left(1))]).is_err());
    assert!(Record::from_events(CHAT, &[]).is_err());
}

#[test]
fn coming_and_going_within_one_second_is_told_once_by_two_sources() {
    use EventSource::{Log, Stream};
    let told = |source| [(source, 10, joined(1, Some(2))), (source, 10, left(1))];
    let record = record_of(told(Log).into_iter().chain(told(Stream)).collect());
    assert_eq!(record.chat.participants[0].participations.len(), 1);
    assert!(!record.chat.participants[0].is_in());
    // One source missed the coming back: the other's word stands.
    let record = record_of(vec![
        (Log, 5, joined(1, None)),
        (Log, 10, left(1)),
        (Stream, 10, left(1)),
        (Stream, 10, joined(1, None)),
    ]);
    assert!(record.chat.participants[0].is_in());
    assert_eq!(record.chat.participants[0].participations.len(), 2);
}

#[test]
fn what_one_source_did_not_know_the_other_fills_in() {
    use EventSource::{Log, Stream};
    let record = record_of(vec![
        (Log, 5, joined(1, None)),
        (Stream, 6, joined(1, Some(2))),
        (Log, 9, removed(1, None)),
        (Stream, 9, removed(1, Some(3))),
    ]);
    let stay = &record.chat.participants[0].participations[0];
    assert_eq!(stay.invited_by, Some(person(2)));
    assert_eq!((stay.end_reason, stay.removed_by), (Some(EndReason::Removed), Some(person(3))));
    assert_eq!(record.chat.participants[0].participations.len(), 1);
}

#[test]
fn the_registration_comes_first_even_where_another_clock_is_behind() {
    let early = event(1, EventSource::Log, 3, ChatEventKind::Renamed { title: "t0".into() });
    let made = ChatEventKind::GroupMade { owner: person(1), properties: UserProperties::default() };
    let made = event(2, EventSource::Convoke, 4, made);
    let chat = Record::from_events(CHAT, &[made, early, registered(5)]).unwrap().chat;
    assert_eq!(chat.title.len(), 1);
    assert_eq!(chat.title[0].captured_at, Timestamp::from_millis(5));
    assert_eq!(chat.status, ChatStatus::Active);
}

#[test]
fn a_close_ends_every_stay_and_nothing_comes_after_it() {
    let record = record_of(vec![
        (EventSource::Log, 1, joined(1, None)),
        (EventSource::Log, 2, ChatEventKind::Closed),
        (EventSource::Log, 3, joined(2, None)),
        (EventSource::Log, 3, ChatEventKind::Renamed { title: "late".into() }),
    ]);
    assert_eq!(record.chat.participants.len(), 1);
    assert_eq!(record.chat.participants[0].participations[0].end_reason, Some(EndReason::ChatClosed));
    assert_eq!(record.chat.title.len(), 1);
    assert_eq!(record.chat.status, ChatStatus::Closed);
}

#[test]
fn a_chat_that_failed_may_be_tried_again_whatever_is_learnt_first() {
    use ChatEventKind::{Failed, Retried};
    use EventSource::Convoke;
    let made = || ChatEventKind::GroupMade { owner: person(1), properties: UserProperties::default() };
    let status = |told: &[(i64, ChatEventKind)]| {
        let told = told.iter().cloned().map(|(at, kind)| (Convoke, at, kind));
        let (there, back): (Vec<_>, Vec<_>) = (told.clone().collect(), told.rev().collect());
        let statuses = [there, back].map(|told| record_of(told).chat.status);
        assert_eq!(statuses[0], statuses[1]);
        statuses[0]
    };
    assert_eq!(status(&[(5, Failed), (6, Retried)]), ChatStatus::Provisioning);
    assert_eq!(status(&[(5, Failed), (6, Retried), (7, Failed)]), ChatStatus::Failed);
    assert_eq!(status(&[(5, Failed), (6, Retried), (7, Failed), (8, Retried)]), ChatStatus::Provisioning);
    assert_eq!(status(&[(5, Failed), (6, Retried), (7, made())]), ChatStatus::Active);
    // The group that an attempt before the failure had made is found at last.
    assert_eq!(status(&[(4, made()), (5, Failed), (6, Retried)]), ChatStatus::Active);
    assert_eq!(status(&[(4, made()), (6, Retried)]), ChatStatus::Active);
    assert_eq!(status(&[(6, Retried)]), ChatStatus::Provisioning);
    assert_eq!(status(&[(5, Failed), (6, Retried), (7, ChatEventKind::Closed)]), ChatStatus::Closed);
}
