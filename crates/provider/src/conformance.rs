//! The suite that every provider passes.
//!
//! A provider's tests write [`Actors`], which lets people act in the messenger as they would with their own apps, and a
//! function that starts a messenger of its own for each check; [`conformance_tests!`](crate::conformance_tests) makes
//! one test of every check here. A feed may tell the same thing from several sources: what counts is that it is told,
//! by each source in order, and under keys that stay.

#![expect(clippy::missing_panics_doc, reason = "a check fails by a panic")]

use std::{collections::HashMap, fmt::Debug, sync::Arc, time::Duration};

use async_trait::async_trait;
use convoke_domain::{EventSource, Timestamp};

use crate::{
    CreateChat, CreatedGroup, EventBatch, Provider, ProviderError, ProviderEvent, ProviderEventKind, SeenPerson,
};

/// How long a check waits for the feed before it says that nothing was told.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a check listens to a feed that should have nothing to tell.
const SILENCE: Duration = Duration::from_millis(300);

/// How far an event's time may lie from the clock: messengers tell time in seconds, and their clock is not ours.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(2);

/// Lets people act in a messenger, and the messenger misbehave. What can't be done is a panic.
#[async_trait]
pub trait Actors: Send + Sync + Debug {
    /// Has a chat registered, as far as the provider needs that, and returns what the worker would ask for.
    async fn register(&self, title: &str) -> CreateChat;

    /// One of at least three people who have accounts of the messenger, and are in no group; counted from 0.
    fn person(&self, number: usize) -> SeenPerson;

    /// What time it is in the messenger.
    fn now(&self) -> Timestamp;

    /// A person comes in by the link alone.
    async fn join(&self, group: &CreatedGroup, invitation: &str, who: &SeenPerson);

    /// Whom the messenger names as the one who invited those who come by the link alone: nobody, unless it names who
    /// made the link.
    fn inviter_by_link(&self, _group: &CreatedGroup) -> Option<SeenPerson> {
        None
    }

    /// Somebody who is in brings somebody else in.
    async fn bring_in(&self, group: &CreatedGroup, by: &SeenPerson, who: &SeenPerson);

    /// Somebody goes.
    async fn leave(&self, group: &CreatedGroup, who: &SeenPerson);

    /// Somebody who is in gives the group another title.
    async fn rename(&self, group: &CreatedGroup, by: &SeenPerson, title: &str);

    /// The group comes to its end.
    async fn close(&self, group: &CreatedGroup, by: &SeenPerson);

    /// Has the messenger misbehave at the provider's next call.
    async fn misbehave(&self, misbehaviour: Misbehaviour);

    /// How many groups there are that were made for the chat.
    async fn groups_of(&self, chat: &CreateChat) -> usize;

    /// Another provider over the same storage, as after a restart; the earlier one is not used any more.
    async fn restart(&self) -> Arc<dyn Provider>;
}

/// How a messenger may misbehave at one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misbehaviour {
    /// It does what it is told to, but the answer does not arrive.
    LostAnswer,
    /// It does nothing, and takes no calls for this many seconds.
    RetryAfter(u32),
    /// It does nothing, and never will.
    Reject,
}

/// Makes a test of every check, each with a messenger of its own. The function named returns a future of
/// `(Arc<dyn Provider>, impl Actors)`; the calling crate needs tokio's macros.
#[macro_export]
macro_rules! conformance_tests {
    ($new_messenger:path) => {
        $crate::conformance_tests! { @each $new_messenger:
            a_group_is_made_and_found_again
            nothing_is_found_before_it_is_made
            a_group_from_before_the_search_is_not_taken
            a_lost_answer_leaves_one_group_that_is_found
            an_invitation_is_there_and_stays
            a_call_put_off_does_nothing
            a_rejected_call_does_nothing
            what_people_do_is_told
            a_close_is_told
            groups_are_told_apart
            a_removal_is_told_under_the_keys_it_returned
            a_removal_with_a_lost_answer_is_told
            whoever_is_out_is_not_removed_again
            what_is_not_acknowledged_is_told_again
            what_is_acknowledged_is_not_told_again
        }
    };
    (@each $new_messenger:path: $($check:ident)*) => {
        $(
            #[tokio::test]
            async fn $check() {
                let (provider, actors) = $new_messenger().await;
                $crate::conformance::$check(&*provider, &actors).await;
            }
        )*
    };
}

/// A feed that is read, acknowledged and kept.
struct Feed<'a> {
    provider: &'a dyn Provider,
    told: Vec<ProviderEvent>,
}

impl<'a> Feed<'a> {
    fn of(provider: &'a dyn Provider) -> Self {
        Self { provider, told: Vec::new() }
    }

    /// Reads on until an event like this was told, and returns the first.
    async fn wait_for(&mut self, what: &str, is_it: impl Fn(&ProviderEvent) -> bool) -> ProviderEvent {
        loop {
            if let Some(event) = self.told.iter().find(|event| is_it(event)) {
                return event.clone();
            }
            let batch = tokio::time::timeout(PATIENCE, next(self.provider)).await;
            let batch = batch.unwrap_or_else(|_| panic!("the feed did not tell {what}; it told {:#?}", self.told));
            self.provider.acknowledge(batch.checkpoint).await.expect("a batch is acknowledged");
            for event in batch.events {
                let known = self
                    .told
                    .iter()
                    .find(|known| known.key == event.key && known.provider_chat_id == event.provider_chat_id);
                match known {
                    Some(known) => assert_eq!(*known, event, "two events have one key"),
                    None => self.told.push(event),
                }
            }
        }
    }

    /// The keys of one group and source sort in the order in which things were told.
    fn assert_keys_in_order(&self) {
        let mut newest: HashMap<(&str, EventSource), &str> = HashMap::new();
        for event in &self.told {
            let earlier = newest.insert((&event.provider_chat_id, event.source), &event.key);
            if let Some(earlier) = earlier {
                assert!(earlier < event.key.as_str(), "key {earlier} was told before {}", event.key);
            }
        }
    }
}

async fn next(provider: &dyn Provider) -> EventBatch {
    provider.next_events().await.expect("the feed tells")
}

fn joined(event: &ProviderEvent, who: &SeenPerson) -> bool {
    matches!(&event.kind, ProviderEventKind::Joined { person, .. } if person.external_id == who.external_id)
}

fn left(event: &ProviderEvent, who: &SeenPerson) -> bool {
    matches!(&event.kind, ProviderEventKind::Left { person } if person.external_id == who.external_id)
}

fn removed(event: &ProviderEvent, who: &SeenPerson) -> bool {
    matches!(&event.kind, ProviderEventKind::Removed { person, .. } if person.external_id == who.external_id)
}

fn renamed(event: &ProviderEvent, to: &str) -> bool {
    matches!(&event.kind, ProviderEventKind::Renamed { title } if title == to)
}

/// Long ago enough for every group to be newer.
fn before(now: Timestamp) -> Timestamp {
    now.minus(Duration::from_mins(1))
}

async fn make(provider: &dyn Provider, actors: &dyn Actors, title: &str) -> (CreateChat, CreatedGroup) {
    let request = actors.register(title).await;
    let group = provider.create_chat(&request).await.expect("a group is made");
    (request, group)
}

/// A group with one person in it.
async fn make_with(provider: &dyn Provider, actors: &dyn Actors, who: &SeenPerson) -> CreatedGroup {
    let (_, group) = make(provider, actors, "A chat").await;
    let invitation = provider.invitation(&group.provider_chat_id).await.expect("there is an invitation");
    actors.join(&group, &invitation, who).await;
    group
}

/// What was made is what is found, and it is found for its own chat only.
pub async fn a_group_is_made_and_found_again(provider: &dyn Provider, actors: &dyn Actors) {
    let since = before(actors.now());
    let (request, group) = make(provider, actors, "One").await;
    let (other_request, other_group) = make(provider, actors, "One").await;
    assert!(!group.provider_chat_id.is_empty(), "a group has a name");
    assert!(!group.owner.external_id.is_empty(), "a group's owner has a name");
    assert_ne!(group.provider_chat_id, other_group.provider_chat_id, "two groups have two names");
    let now = actors.now();
    assert!(
        group.made_at >= now.minus(CLOCK_TOLERANCE) && group.made_at <= now.plus(CLOCK_TOLERANCE),
        "made at {} when it is {now}",
        group.made_at
    );
    let found = provider.find_created(&request, since).await.expect("a search is answered");
    assert_eq!(found, Some(group), "the group that was made is found");
    let found = provider.find_created(&other_request, since).await.expect("a search is answered");
    assert_eq!(found, Some(other_group), "each chat finds its own");
    assert_eq!(actors.groups_of(&request).await, 1);
}

/// No group, nothing found.
pub async fn nothing_is_found_before_it_is_made(provider: &dyn Provider, actors: &dyn Actors) {
    let request = actors.register("One").await;
    let found = provider.find_created(&request, before(actors.now())).await.expect("a search is answered");
    assert_eq!(found, None, "nothing was made yet");
    assert_eq!(actors.groups_of(&request).await, 0, "a search makes nothing");
}

/// A search that begins long after a group was made does not take it for the one that is sought.
pub async fn a_group_from_before_the_search_is_not_taken(provider: &dyn Provider, actors: &dyn Actors) {
    let (request, group) = make(provider, actors, "One").await;
    let since = group.made_at.plus(Duration::from_hours(24));
    let found = provider.find_created(&request, since).await.expect("a search is answered");
    assert_eq!(found, None, "the group is a day too old");
}

/// The outcome is unknown, the group is there once, and it is found.
pub async fn a_lost_answer_leaves_one_group_that_is_found(provider: &dyn Provider, actors: &dyn Actors) {
    let since = before(actors.now());
    let request = actors.register("One").await;
    actors.misbehave(Misbehaviour::LostAnswer).await;
    let error = provider.create_chat(&request).await.expect_err("the answer was lost");
    assert!(matches!(error, ProviderError::Unknown(_)), "a lost answer is an unknown outcome, not {error:?}");
    assert_eq!(actors.groups_of(&request).await, 1, "the group was made");
    let found = provider.find_created(&request, since).await.expect("a search is answered");
    let found = found.expect("the group is found");
    let again = provider.find_created(&request, since).await.expect("a search is answered");
    assert_eq!(again, Some(found.clone()), "the same group is found again");
    let invitation = provider.invitation(&found.provider_chat_id).await.expect("it has an invitation");
    assert!(!invitation.is_empty());
    if provider.keeps_one_group() {
        assert_eq!(provider.create_chat(&request).await, Ok(found), "a chat has one group at most");
    }
    assert_eq!(actors.groups_of(&request).await, 1, "and it is the only one");
}

/// An invitation is there at once, and is the same whenever it is asked for.
pub async fn an_invitation_is_there_and_stays(provider: &dyn Provider, actors: &dyn Actors) {
    let (_, group) = make(provider, actors, "One").await;
    let (_, other) = make(provider, actors, "Two").await;
    let invitation = provider.invitation(&group.provider_chat_id).await.expect("there is an invitation");
    let again = provider.invitation(&group.provider_chat_id).await.expect("there is an invitation");
    assert!(
        invitation.starts_with("https://") || invitation.starts_with('/'),
        "an invitation is a URL or an absolute path: {invitation}"
    );
    assert_eq!(invitation, again, "an invitation stays");
    let invitation_to_other = provider.invitation(&other.provider_chat_id).await.expect("there is an invitation");
    assert_ne!(invitation, invitation_to_other, "each group has its own");
    let restarted = actors.restart().await;
    let after = restarted.invitation(&group.provider_chat_id).await.expect("there is an invitation");
    assert_eq!(invitation, after, "an invitation outlives a restart");
}

/// Every call that is put off says for how long, and does nothing.
pub async fn a_call_put_off_does_nothing(provider: &dyn Provider, actors: &dyn Actors) {
    let is_expected = |error: &ProviderError| *error == ProviderError::RetryAfter(Duration::from_secs(7));
    does_nothing(provider, actors, Misbehaviour::RetryAfter(7), is_expected).await;
}

/// Every call that is rejected says so, and does nothing.
pub async fn a_rejected_call_does_nothing(provider: &dyn Provider, actors: &dyn Actors) {
    let is_expected = |error: &ProviderError| matches!(error, ProviderError::Rejected(_));
    does_nothing(provider, actors, Misbehaviour::Reject, is_expected).await;
}

async fn does_nothing(
    provider: &dyn Provider,
    actors: &dyn Actors,
    misbehaviour: Misbehaviour,
    is_expected: impl Fn(&ProviderError) -> bool,
) {
    let since = before(actors.now());
    let request = actors.register("One").await;
    actors.misbehave(misbehaviour).await;
    let error = provider.create_chat(&request).await.expect_err("creating fails");
    assert!(is_expected(&error), "creating fails otherwise: {error:?}");
    assert_eq!(actors.groups_of(&request).await, 0, "nothing was made");
    assert_eq!(provider.find_created(&request, since).await, Ok(None), "nothing is found");

    let group = provider.create_chat(&request).await.expect("the next call is served");
    actors.misbehave(misbehaviour).await;
    let error = provider.find_created(&request, since).await.expect_err("searching fails");
    assert!(is_expected(&error), "searching fails otherwise: {error:?}");
    actors.misbehave(misbehaviour).await;
    let error = provider.invitation(&group.provider_chat_id).await.expect_err("inviting fails");
    assert!(is_expected(&error), "inviting fails otherwise: {error:?}");

    let person = actors.person(0);
    let invitation = provider.invitation(&group.provider_chat_id).await.expect("the next call is served");
    actors.join(&group, &invitation, &person).await;
    actors.misbehave(misbehaviour).await;
    let error = provider.remove_participant(&group.provider_chat_id, &person.external_id).await;
    let error = error.expect_err("removing fails");
    assert!(is_expected(&error), "removing fails otherwise: {error:?}");
    let events = provider.remove_participant(&group.provider_chat_id, &person.external_id).await;
    assert!(!events.expect("the next call is served").is_empty(), "the person was still in");
    assert_eq!(actors.groups_of(&request).await, 1, "one group was made");
}

/// Joining, being brought in, leaving, coming back, renaming: each is told as what it is, when it was.
pub async fn what_people_do_is_told(provider: &dyn Provider, actors: &dyn Actors) {
    let (_, group) = make(provider, actors, "One").await;
    let invitation = provider.invitation(&group.provider_chat_id).await.expect("there is an invitation");
    let (first, second) = (actors.person(0), actors.person(1));
    let mut feed = Feed::of(provider);
    let started = actors.now();

    actors.join(&group, &invitation, &first).await;
    let event = feed.wait_for("that somebody joined", |event| joined(event, &first)).await;
    let ProviderEventKind::Joined { person, invited_by } = event.kind else { unreachable!("it is a join") };
    let by_link = actors.inviter_by_link(&group).map(|by| by.external_id);
    assert_eq!(invited_by.map(|by| by.external_id), by_link, "by the link alone nobody else brought them in");
    assert_eq!(person.properties, first.properties, "a person is told by the names they have");

    actors.bring_in(&group, &first, &second).await;
    let event = feed.wait_for("that somebody was brought in", |event| joined(event, &second)).await;
    let ProviderEventKind::Joined { invited_by, .. } = event.kind else { unreachable!("it is a join") };
    assert_eq!(invited_by.map(|by| by.external_id), Some(first.external_id.clone()), "it is told who brought them in");

    actors.rename(&group, &second, "Another title").await;
    feed.wait_for("the new title", |event| renamed(event, "Another title")).await;

    actors.leave(&group, &first).await;
    let event = feed.wait_for("that somebody left", |event| left(event, &first)).await;
    let leave = event;

    actors.join(&group, &invitation, &first).await;
    let is_return =
        |event: &ProviderEvent| joined(event, &first) && event.source == leave.source && event.key > leave.key;
    feed.wait_for("that somebody came back", is_return).await;

    let ended = actors.now();
    for event in &feed.told {
        assert_eq!(event.provider_chat_id, group.provider_chat_id, "it happened in this group");
        assert!(
            event.at >= started.minus(CLOCK_TOLERANCE) && event.at <= ended.plus(CLOCK_TOLERANCE),
            "{event:?} did not happen between {started} and {ended}"
        );
    }
    feed.assert_keys_in_order();
}

/// The end of a group is told.
pub async fn a_close_is_told(provider: &dyn Provider, actors: &dyn Actors) {
    let person = actors.person(0);
    let group = make_with(provider, actors, &person).await;
    actors.close(&group, &person).await;
    let mut feed = Feed::of(provider);
    let event = feed.wait_for("that the group is gone", |event| event.kind == ProviderEventKind::Closed).await;
    assert_eq!(event.provider_chat_id, group.provider_chat_id);
    feed.assert_keys_in_order();
}

/// What happens in two groups is told of the one in which it happened; a person is one and the same in both.
pub async fn groups_are_told_apart(provider: &dyn Provider, actors: &dyn Actors) {
    let person = actors.person(0);
    let one = make_with(provider, actors, &person).await;
    let two = make_with(provider, actors, &person).await;
    let mut feed = Feed::of(provider);
    for group in [&one, &two] {
        let in_group =
            |event: &ProviderEvent| joined(event, &person) && event.provider_chat_id == group.provider_chat_id;
        feed.wait_for("a join in each group", in_group).await;
    }
    actors.leave(&one, &person).await;
    let event = feed.wait_for("a leave", |event| left(event, &person)).await;
    assert_eq!(event.provider_chat_id, one.provider_chat_id);
    feed.assert_keys_in_order();
}

/// A removal returns what the feed tells of it, and says who removed.
pub async fn a_removal_is_told_under_the_keys_it_returned(provider: &dyn Provider, actors: &dyn Actors) {
    let person = actors.person(0);
    let group = make_with(provider, actors, &person).await;
    let returned = provider.remove_participant(&group.provider_chat_id, &person.external_id).await;
    let returned = returned.expect("a removal is done");
    assert!(returned.iter().any(|event| removed(event, &person)), "the removal is returned, not {returned:?}");
    let mut feed = Feed::of(provider);
    for event in &returned {
        let told = feed.wait_for("what the removal returned", |told| told.key == event.key).await;
        assert_eq!(told, *event, "the feed tells the same");
        if let ProviderEventKind::Removed { removed_by: Some(by), .. } = &event.kind {
            assert_eq!(by.external_id, group.owner.external_id, "the account that made the group removes");
        }
    }
    feed.wait_for("the join before the removal", |event| joined(event, &person)).await;
}

/// A removal whose answer is lost has happened, and is told.
pub async fn a_removal_with_a_lost_answer_is_told(provider: &dyn Provider, actors: &dyn Actors) {
    let person = actors.person(0);
    let group = make_with(provider, actors, &person).await;
    actors.misbehave(Misbehaviour::LostAnswer).await;
    let error = provider.remove_participant(&group.provider_chat_id, &person.external_id).await;
    let error = error.expect_err("the answer was lost");
    assert!(matches!(error, ProviderError::Unknown(_)), "a lost answer is an unknown outcome, not {error:?}");
    let again = provider.remove_participant(&group.provider_chat_id, &person.external_id).await;
    assert_eq!(again, Ok(Vec::new()), "they are out already");
    let mut feed = Feed::of(provider);
    feed.wait_for("the removal", |event| removed(event, &person)).await;
}

/// Removing somebody who left, who was removed, or who was never in does nothing.
pub async fn whoever_is_out_is_not_removed_again(provider: &dyn Provider, actors: &dyn Actors) {
    let (gone, removed, stranger) = (actors.person(0), actors.person(1), actors.person(2));
    let group = make_with(provider, actors, &gone).await;
    actors.bring_in(&group, &gone, &removed).await;
    actors.leave(&group, &gone).await;
    let events = provider.remove_participant(&group.provider_chat_id, &removed.external_id).await;
    assert!(!events.expect("a removal is done").is_empty(), "they were in");
    for person in [gone, removed, stranger] {
        let events = provider.remove_participant(&group.provider_chat_id, &person.external_id).await;
        assert_eq!(events, Ok(Vec::new()), "{} is out", person.external_id);
    }
}

/// What was told but not acknowledged is told again under the same keys: by the same provider, and after a restart.
pub async fn what_is_not_acknowledged_is_told_again(provider: &dyn Provider, actors: &dyn Actors) {
    let person = actors.person(0);
    make_with(provider, actors, &person).await;
    let first = tokio::time::timeout(PATIENCE, next(provider)).await.expect("the join is told");
    assert!(!first.events.is_empty(), "a batch holds events");
    let again = tokio::time::timeout(PATIENCE, next(provider)).await.expect("it is told again");
    assert!(first.events.iter().all(|event| again.events.contains(event)), "{again:?} lacks some of {first:?}");
    let restarted = actors.restart().await;
    let mut feed = Feed::of(&*restarted);
    for event in &first.events {
        let is_same = |told: &ProviderEvent| told.key == event.key && told.provider_chat_id == event.provider_chat_id;
        let told = feed.wait_for("again what was not acknowledged", is_same).await;
        assert_eq!(told, *event, "the same is told again");
    }
    feed.wait_for("the join", |event| joined(event, &person)).await;
}

/// What was acknowledged is not told again: the feed waits for something new, after a restart too.
pub async fn what_is_acknowledged_is_not_told_again(provider: &dyn Provider, actors: &dyn Actors) {
    let person = actors.person(0);
    let group = make_with(provider, actors, &person).await;
    let mut feed = Feed::of(provider);
    feed.wait_for("the join", |event| joined(event, &person)).await;
    let restarted = actors.restart().await;
    for provider in [provider, &*restarted] {
        // Another source may have more to tell; only what was told and acknowledged must not come again.
        if let Ok(batch) = tokio::time::timeout(SILENCE, next(provider)).await {
            for event in batch.events {
                assert!(feed.told.iter().all(|told| told.key != event.key), "{event:?} was acknowledged");
            }
        }
    }
    actors.leave(&group, &person).await;
    Feed::of(&*restarted).wait_for("the leave", |event| left(event, &person)).await;
}
