//! How attempts end, and what follows for the chat.

use convoke_domain::{
    Chat, ChatStatus, EndReason, OperationStatus, Participant, Participation, Service, UserProperties,
};
use convoke_provider::{ProviderEvent, ProviderEventKind, SeenPerson};
use convoke_store::{ChatInvitation, Outcome, Removal, Work};

use crate::world::{ActiveChat, World, event, group_of, joined, left, person, rejected, second, tenant};

/// The messenger tells that the owner removed somebody.
fn removed_by_owner(chat: &ActiveChat, name: &str, at: u64) -> ProviderEvent {
    let owner = SeenPerson { external_id: "owner".to_owned(), properties: UserProperties::default() };
    event(&chat.group, second(at), ProviderEventKind::Removed { person: person(name), removed_by: Some(owner) })
}

pub async fn a_chat_that_is_made_is_active_with_its_owner_and_invitation(world: &World) {
    let acme = tenant("acme");
    let accepted = world.register_new(&acme, world.new_chat("To be made")).await;
    let registered = world.chat(&acme, accepted.chat_id).await;
    let before = world.document(&acme, accepted.chat_id).await;
    let claimed = world.claim_only().await;
    let group = group_of(accepted.chat_id, second(1));
    let made = Outcome::ChatMade { group, invitation: "https://t.me/+abc".to_owned() };
    assert!(world.store.finish_attempt(&claimed.lease, made, second(2)).await.unwrap());

    let active = world.chat(&acme, accepted.chat_id).await;
    let owner = Participant {
        id: active.participants[0].id,
        user_properties: UserProperties { firstname: Some("Convoke".to_owned()), ..UserProperties::default() },
        participations: vec![Participation {
            is_active: true,
            joined_at: second(1),
            invited_by: None,
            left_at: None,
            end_reason: None,
            removed_by: None,
        }],
    };
    let expected = Chat {
        is_active: true,
        status: ChatStatus::Active,
        updated_at: second(2),
        participants: vec![owner],
        ..registered
    };
    assert_eq!(active, expected);
    let document = world.document(&acme, accepted.chat_id).await;
    assert_eq!(document.status, ChatStatus::Active);
    assert!(document.version > before.version);

    let invitation = world.store.find_invitation(&acme, accepted.chat_id).await.unwrap().unwrap();
    let link = Some("https://t.me/+abc".to_owned());
    assert_eq!(invitation, ChatInvitation { service: Service::Sandbox, status: ChatStatus::Active, link });

    let operation = world.operation(&acme, accepted.operation_id).await;
    assert_eq!((operation.status, operation.attempts), (OperationStatus::Succeeded, 1));
    assert_eq!((operation.completed_at, operation.updated_at), (Some(second(2)), second(2)));
    assert_eq!((operation.next_attempt_at, operation.error), (None, None));
    assert_eq!(world.claim(10, second(100)).await.len(), 0);
}

pub async fn a_postponed_attempt_waits_and_counts_if_it_was_one(world: &World) {
    let acme = tenant("acme");
    let accepted = world.register_new(&acme, world.new_chat("To be made")).await;
    let mut now = 0;
    for (counts, attempts) in [(true, 1), (false, 1), (false, 1), (true, 2)] {
        let claimed = world.claim_at(second(now)).await;
        assert_eq!(claimed.attempts, attempts + u32::from(!counts));
        let postponed = Outcome::Postponed { until: second(now + 20), counts };
        assert!(world.store.finish_attempt(&claimed.lease, postponed, second(now + 1)).await.unwrap());
        let operation = world.operation(&acme, accepted.operation_id).await;
        assert_eq!((operation.status, operation.attempts), (OperationStatus::WaitingForProvider, attempts));
        assert_eq!(operation.next_attempt_at, Some(second(now + 20)));
        assert_eq!((operation.updated_at, operation.completed_at), (second(now + 1), None));
        assert_eq!(world.claim(10, second(now + 19)).await.len(), 0, "it is not due");
        now += 20;
    }
    assert_eq!(world.chat(&acme, accepted.chat_id).await.status, ChatStatus::Provisioning);
}

pub async fn a_creation_that_is_given_up_fails_the_chat(world: &World) {
    let acme = tenant("acme");
    let accepted = world.register_new(&acme, world.new_chat("To be made")).await;
    let claimed = world.claim_only().await;
    assert!(world.store.finish_attempt(&claimed.lease, Outcome::GivenUp(rejected()), second(1)).await.unwrap());
    let operation = world.operation(&acme, accepted.operation_id).await;
    assert_eq!((operation.status, operation.error), (OperationStatus::Failed, Some(rejected())));
    assert_eq!(operation.completed_at, Some(second(1)));
    let chat = world.chat(&acme, accepted.chat_id).await;
    assert_eq!((chat.status, chat.is_active, chat.updated_at), (ChatStatus::Failed, false, second(1)));
    assert_eq!(chat.participants, []);
    let invitation = world.store.find_invitation(&acme, accepted.chat_id).await.unwrap().unwrap();
    assert_eq!((invitation.status, invitation.link), (ChatStatus::Failed, None));
}

pub async fn a_removal_that_is_given_up_leaves_the_chat_as_it_is(world: &World) {
    let acme = tenant("acme");
    let chat = world.active_chat(&acme, "Open").await;
    let ana = world.join(&chat, "ana", second(1)).await;
    let document = world.document(&acme, chat.id).await;
    let removal = world.new_removal(chat.id, ana);
    world.remove(&acme, &removal).await;
    let claimed = world.claim_only().await;
    assert!(world.finish(&claimed.lease, Outcome::GivenUp(rejected())).await);
    let operation = world.operation(&acme, removal.operation_id).await;
    assert_eq!((operation.status, operation.error), (OperationStatus::Failed, Some(rejected())));
    assert_eq!(world.document(&acme, chat.id).await, document);
    assert_eq!(world.number("select count(*) as number from chat_events").await, 3, "nothing happened in the chat");
}

pub async fn a_confirmed_removal_ends_the_stay(world: &World) {
    let acme = tenant("acme");
    let chat = world.active_chat(&acme, "Open").await;
    let ana = world.join(&chat, "ana", second(1)).await;
    let removal = world.new_removal(chat.id, ana);
    world.remove(&acme, &removal).await;
    let claimed = world.claim_only().await;
    let events = vec![removed_by_owner(&chat, "ana", 5)];
    let confirmed = Outcome::ParticipantRemoved { events: events.clone() };
    assert!(world.store.finish_attempt(&claimed.lease, confirmed, second(6)).await.unwrap());

    let record = world.chat(&acme, chat.id).await;
    let stay = Participation {
        is_active: false,
        joined_at: second(1),
        invited_by: None,
        left_at: Some(second(5)),
        end_reason: Some(EndReason::Removed),
        removed_by: Some(chat.owner),
    };
    assert_eq!(record.participant(ana).unwrap().participations, [stay]);
    assert_eq!(record.updated_at, second(6));
    assert_eq!(world.operation(&acme, removal.operation_id).await.status, OperationStatus::Succeeded);
    // The feed tells it too.
    let document = world.document(&acme, chat.id).await;
    world.record(&events).await;
    assert_eq!(world.document(&acme, chat.id).await, document);
}

pub async fn a_removal_of_somebody_who_is_gone_succeeds_without_events(world: &World) {
    let acme = tenant("acme");
    let chat = world.active_chat(&acme, "Open").await;
    let ana = world.join(&chat, "ana", second(1)).await;
    let removal = world.new_removal(chat.id, ana);
    assert_eq!(world.remove(&acme, &removal).await, Removal::Accepted(removal.operation_id));
    world.record(&[left(&chat.group, second(2), "ana")]).await;
    let document = world.document(&acme, chat.id).await;
    let claimed = world.claim_only().await;
    assert!(world.finish(&claimed.lease, Outcome::ParticipantRemoved { events: Vec::new() }).await);
    assert_eq!(world.operation(&acme, removal.operation_id).await.status, OperationStatus::Succeeded);
    assert_eq!(world.document(&acme, chat.id).await, document);
}

pub async fn a_removal_tells_the_messengers_names(world: &World) {
    let acme = tenant("acme");
    let chat = world.active_chat(&acme, "Open").await;
    let ana = world.join(&chat, "ana", second(1)).await;
    world.remove(&acme, &world.new_removal(chat.id, ana)).await;
    let claimed = world.claim_only().await;
    let work = Work::RemoveParticipant { provider_chat_id: chat.group, external_id: "id of ana".to_owned() };
    assert_eq!((claimed.work, claimed.chat_id, claimed.attempts), (work, chat.id, 1));
}

pub async fn an_outcome_outlives_the_store(world: &mut World) {
    let acme = tenant("acme");
    let chat = world.active_chat(&acme, "Open").await;
    world.record(&[joined(&chat.group, second(1), "ana")]).await;
    let document = world.document(&acme, chat.id).await;
    let operation = world.operation(&acme, chat.operation).await;
    world.reopen().await;
    assert_eq!(world.document(&acme, chat.id).await, document);
    assert_eq!(world.operation(&acme, chat.operation).await, operation);
    world.record(&[left(&chat.group, second(2), "ana")]).await;
    assert!(!world.chat(&acme, chat.id).await.participants[1].is_in());
}
