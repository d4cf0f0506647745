//! A group by itself: what may happen in it, and what is told of it.

use convoke_domain::{EventSource, ParticipantId, Timestamp};
use convoke_provider::{ProviderEvent, ProviderEventKind};
use convoke_sandbox::{GroupState, MAX_PEOPLE, Moment, Newcomer, OWNER_USERNAME, Refusal};
use uuid::Uuid;

fn id(number: usize) -> ParticipantId {
    ParticipantId(Uuid::from_u128(number as u128))
}

fn moment(version: i64, now: i64) -> Moment<'static> {
    Moment { code: "c0de", version, now: Timestamp::from_millis(now) }
}

fn newcomer(number: usize) -> Newcomer {
    let username = format!("person{number}");
    Newcomer { participant_id: id(number), username, firstname: None, lastname: None, invited_by: None }
}

fn group() -> GroupState {
    GroupState::new("A chat".into(), None, id(0), Timestamp::from_millis(1000))
}

fn joined(event: Option<ProviderEvent>) -> (String, Option<String>) {
    match event.expect("something happened").kind {
        ProviderEventKind::Joined { person, invited_by } => {
            (person.external_id, invited_by.map(|person| person.external_id))
        }
        other => panic!("{other:?} is no join"),
    }
}

#[test]
fn the_owner_is_in_from_the_start_and_stays() {
    let mut group = group();
    assert_eq!(group.owner().username, OWNER_USERNAME);
    assert_eq!(group.owner().as_seen().properties.firstname.as_deref(), Some("Convoke"));
    assert!(group.owner().is_in);
    let before = group.clone();
    assert_eq!(group.leave(id(0), moment(1, 2000)), Err(Refusal::OwnerStays));
    assert_eq!(group.remove(OWNER_USERNAME, moment(1, 2000)), Err(Refusal::OwnerStays));
    assert_eq!(group, before);
}

#[test]
fn events_are_named_by_version_and_sort_by_time_whatever_the_clock_says() {
    let mut group = group();
    let first = group.join(&newcomer(1), moment(9, 5000)).unwrap().unwrap();
    let second = group.rename(id(1), "Another", moment(10, 3000)).unwrap().unwrap();
    let third = group.leave(id(1), moment(11, 6000)).unwrap().unwrap();
    assert_eq!((first.key.as_str(), first.at), ("0000000009.0", Timestamp::from_millis(5000)));
    assert_eq!((second.key.as_str(), second.at), ("0000000010.0", Timestamp::from_millis(5000)));
    assert_eq!((third.key.as_str(), third.at), ("0000000011.0", Timestamp::from_millis(6000)));
    for event in [first, second, third] {
        assert_eq!((event.source, event.provider_chat_id.as_str()), (EventSource::Log, "c0de"));
    }
}

#[test]
fn joining_while_in_changes_nothing() {
    let mut group = group();
    group.join(&newcomer(1), moment(1, 2000)).unwrap();
    let before = group.clone();
    let again = Newcomer { firstname: Some("Other".into()), ..newcomer(1) };
    assert_eq!(group.join(&again, moment(2, 3000)), Ok(None));
    assert_eq!(group, before);
}

#[test]
fn names_left_empty_on_a_new_join_keep_what_was_known() {
    let mut group = group();
    let first = Newcomer { firstname: Some("Ada".into()), lastname: Some("Byron".into()), ..newcomer(1) };
    group.join(&first, moment(1, 2000)).unwrap();
    group.leave(id(1), moment(2, 3000)).unwrap();
    let second = Newcomer { lastname: Some("Lovelace".into()), ..newcomer(1) };
    let event = group.join(&second, moment(3, 4000)).unwrap().unwrap();
    let ProviderEventKind::Joined { person, .. } = event.kind else { panic!("a join") };
    assert_eq!(person.properties.firstname.as_deref(), Some("Ada"));
    assert_eq!(person.properties.lastname.as_deref(), Some("Lovelace"));
    assert_eq!(group.members.len(), 2);
    assert_eq!(group.members[1].joined_at, Timestamp::from_millis(4000));
}

#[test]
fn only_whoever_is_in_brings_somebody_in() {
    let mut group = group();
    let by = |inviter| Newcomer { invited_by: Some(id(inviter)), ..newcomer(2) };
    assert_eq!(group.join(&by(1), moment(1, 2000)), Err(Refusal::InviterNotIn));
    group.join(&newcomer(1), moment(1, 2000)).unwrap();
    let event = group.join(&by(1), moment(2, 3000)).unwrap();
    assert_eq!(joined(event), ("person2".into(), Some("person1".into())));
    group.leave(id(1), moment(3, 4000)).unwrap();
    assert_eq!(group.join(&by(1), moment(4, 5000)), Err(Refusal::InviterNotIn));
}

#[test]
fn a_removal_is_the_owners_and_is_told_once() {
    let mut group = group();
    group.join(&newcomer(1), moment(1, 2000)).unwrap();
    let event = group.remove("person1", moment(2, 3000)).unwrap().unwrap();
    let ProviderEventKind::Removed { person, removed_by } = event.kind else { panic!("a removal") };
    assert_eq!(person.external_id, "person1");
    assert_eq!(removed_by.unwrap().external_id, OWNER_USERNAME);
    assert_eq!(group.remove("person1", moment(3, 4000)), Ok(None));
    assert_eq!(group.remove("nobody", moment(3, 4000)), Ok(None));
    assert_eq!(joined(group.join(&newcomer(1), moment(3, 4000)).unwrap()).0, "person1");
}

#[test]
fn the_same_title_again_is_nothing() {
    let mut group = group();
    assert_eq!(group.rename(id(0), "A chat", moment(1, 2000)), Ok(None));
    assert_eq!(group.rename(id(1), "Another", moment(1, 2000)), Err(Refusal::NotIn));
    assert!(group.rename(id(0), "Another", moment(1, 2000)).unwrap().is_some());
    assert_eq!(group.title, "Another");
}

#[test]
fn nothing_happens_in_a_closed_group() {
    let mut group = group();
    group.join(&newcomer(1), moment(1, 2000)).unwrap();
    assert_eq!(group.close(id(2), moment(2, 3000)), Err(Refusal::NotIn));
    assert_eq!(group.close(id(1), moment(2, 3000)).unwrap().unwrap().kind, ProviderEventKind::Closed);
    assert!(group.is_closed() && group.members.iter().all(|member| !member.is_in));
    let before = group.clone();
    assert_eq!(group.join(&newcomer(2), moment(3, 4000)), Err(Refusal::Closed));
    assert_eq!(group.leave(id(1), moment(3, 4000)), Err(Refusal::Closed));
    assert_eq!(group.rename(id(1), "x", moment(3, 4000)), Err(Refusal::Closed));
    assert_eq!(group.close(id(1), moment(3, 4000)), Err(Refusal::Closed));
    assert_eq!(group.remove("person1", moment(3, 4000)), Ok(None));
    assert_eq!(group, before);
}

#[test]
fn a_group_holds_so_many_at_a_time() {
    let mut group = group();
    // The owner is one of them.
    for number in 1..MAX_PEOPLE {
        group.join(&newcomer(number), moment(1, 2000)).unwrap();
    }
    assert_eq!(group.join(&newcomer(MAX_PEOPLE), moment(2, 3000)), Err(Refusal::Full));
    assert_eq!(group.join(&newcomer(1), moment(2, 3000)), Ok(None), "whoever is in is in");
    group.leave(id(1), moment(2, 3000)).unwrap();
    assert!(group.join(&newcomer(MAX_PEOPLE), moment(3, 4000)).unwrap().is_some());
}

#[test]
fn a_group_is_kept_as_json() {
    let mut group = group();
    group.join(&newcomer(1), moment(1, 2000)).unwrap();
    let text = serde_json::to_string(&group).unwrap();
    assert_eq!(serde_json::from_str::<GroupState>(&text).unwrap(), group);
}
