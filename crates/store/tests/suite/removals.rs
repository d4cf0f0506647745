//! Requests to remove somebody, in the order in which the contract looks at them.

use convoke_domain::{ChatId, ChatStatus, Operation, OperationStatus, OperationType, ParticipantId};
use convoke_provider::ProviderEventKind;
use convoke_store::{IdempotencyKey, NewRemoval, Outcome, Removal};

use crate::world::{World, at_once, closed, event, joined, key, left, person, rejected, second, tenant};

pub async fn a_removal_is_accepted_as_work_to_be_done(world: &World) {
    let acme = tenant("acme");
    let chat = world.active_chat(&acme, "Open").await;
    let ana = world.join(&chat, "ana", second(1)).await;
    let before = world.document(&acme, chat.id).await;
    let removal = world.new_removal(chat.id, ana);
    assert_eq!(world.remove(&acme, &removal).await, Removal::Accepted(removal.operation_id));
    let expected = Operation {
        id: removal.operation_id,
        kind: OperationType::RemoveParticipant,
        status: OperationStatus::Pending,
        chat_id: chat.id,
        attempts: 0,
        created_at: removal.at,
        updated_at: removal.at,
        next_attempt_at: Some(removal.at),
        completed_at: None,
        error: None,
    };
    assert_eq!(world.operation(&acme, removal.operation_id).await, expected);
    assert_eq!(world.document(&acme, chat.id).await, before, "the stay ends when the messenger confirms");
}

pub async fn what_is_unknown_can_not_be_removed(world: &World) {
    let acme = tenant("acme");
    let chat = world.active_chat(&acme, "Open").await;
    let elsewhere = world.active_chat(&acme, "Elsewhere").await;
    let ana = world.join(&elsewhere, "ana", second(1)).await;
    let unknown_chat = world.new_removal(ChatId(ana.0), ana);
    assert_eq!(world.remove(&acme, &unknown_chat).await, Removal::NoSuchChat);
    let never_in = world.new_removal(chat.id, ana);
    assert_eq!(world.remove(&acme, &never_in).await, Removal::NoSuchParticipant);
    let nobody = world.new_removal(chat.id, ParticipantId(chat.id.0));
    assert_eq!(world.remove(&acme, &nobody).await, Removal::NoSuchParticipant);
    let in_the_making = world.register_new(&acme, world.new_chat("In the making")).await;
    let nobody_yet = world.new_removal(in_the_making.chat_id, ana);
    assert_eq!(world.remove(&acme, &nobody_yet).await, Removal::NoSuchParticipant);
    assert_eq!(world.claim(10, second(9)).await.len(), 1, "there is nothing to do but to make the chat");
}

pub async fn nobody_is_removed_from_a_closed_chat(world: &World) {
    let acme = tenant("acme");
    let chat = world.active_chat(&acme, "Open").await;
    let ana = world.join(&chat, "ana", second(1)).await;
    world.record(&[closed(&chat.group, second(2))]).await;
    let expected = Removal::NotActive(ChatStatus::Closed);
    assert_eq!(world.remove(&acme, &world.new_removal(chat.id, ana)).await, expected);
    assert_eq!(world.remove(&acme, &world.new_removal(chat.id, chat.owner)).await, expected);
    let never_in = world.new_removal(chat.id, ParticipantId(chat.id.0));
    assert_eq!(world.remove(&acme, &never_in).await, Removal::NoSuchParticipant, "this is looked at first");
}

pub async fn the_owner_can_not_be_removed(world: &World) {
    let acme = tenant("acme");
    let chat = world.active_chat(&acme, "Open").await;
    let removal = world.new_removal(chat.id, chat.owner);
    assert_eq!(world.remove(&acme, &removal).await, Removal::IsOwner);
    world.record(&[left(&chat.group, second(1), "nobody")]).await;
    let goes = convoke_provider::SeenPerson { external_id: "owner".to_owned(), ..person("") };
    world.record(&[event(&chat.group, second(2), ProviderEventKind::Left { person: goes })]).await;
    assert!(!world.chat(&acme, chat.id).await.participants[0].is_in());
    assert_eq!(world.remove(&acme, &removal).await, Removal::IsOwner, "even when out");
}

pub async fn whoever_is_out_already_gets_a_new_operation_that_has_succeeded(world: &World) {
    let acme = tenant("acme");
    let chat = world.active_chat(&acme, "Open").await;
    let ana = world.join(&chat, "ana", second(1)).await;
    world.record(&[left(&chat.group, second(2), "ana")]).await;
    let document = world.document(&acme, chat.id).await;
    for _ in 0..2 {
        let removal = world.new_removal(chat.id, ana);
        assert_eq!(world.remove(&acme, &removal).await, Removal::Accepted(removal.operation_id));
        let operation = world.operation(&acme, removal.operation_id).await;
        assert_eq!(operation.status, OperationStatus::Succeeded);
        assert_eq!((operation.completed_at, operation.next_attempt_at), (Some(removal.at), None));
        assert_eq!((operation.attempts, operation.error), (0, None));
    }
    assert_eq!(world.claim(10, second(9)).await.len(), 0);
    assert_eq!(world.document(&acme, chat.id).await, document);
}

pub async fn whoever_left_while_the_removal_is_under_way_is_out_already(world: &World) {
    let acme = tenant("acme");
    let chat = world.active_chat(&acme, "Open").await;
    let ana = world.join(&chat, "ana", second(1)).await;
    let first = world.new_removal(chat.id, ana);
    assert_eq!(world.remove(&acme, &first).await, Removal::Accepted(first.operation_id));
    world.record(&[left(&chat.group, second(2), "ana")]).await;
    let next = world.new_removal(chat.id, ana);
    assert_eq!(world.remove(&acme, &next).await, Removal::Accepted(next.operation_id), "this is looked at first");
    assert_eq!(world.operation(&acme, next.operation_id).await.status, OperationStatus::Succeeded);
    assert_eq!(world.operation(&acme, first.operation_id).await.status, OperationStatus::Pending);
}

pub async fn a_removal_under_way_is_answered_with_its_operation(world: &World) {
    let acme = tenant("acme");
    let chat = world.active_chat(&acme, "Open").await;
    let ana = world.join(&chat, "ana", second(1)).await;
    let ben = world.join(&chat, "ben", second(1)).await;
    let first = world.new_removal(chat.id, ana);
    world.remove(&acme, &first).await;
    let again = async || world.remove(&acme, &world.new_removal(chat.id, ana)).await;
    assert_eq!(again().await, Removal::Accepted(first.operation_id), "while it waits");
    let claimed = world.claim_only().await;
    assert_eq!(again().await, Removal::Accepted(first.operation_id), "while it is done");
    assert!(world.finish(&claimed.lease, Outcome::Postponed { until: second(9), counts: true }).await);
    assert_eq!(again().await, Removal::Accepted(first.operation_id), "while it is put off");
    let of_ben = world.new_removal(chat.id, ben);
    assert_eq!(
        world.remove(&acme, &of_ben).await,
        Removal::Accepted(of_ben.operation_id),
        "another person's is its own"
    );
}

pub async fn removals_at_once_agree_on_one_operation(world: &World) {
    let acme = tenant("acme");
    let chat = world.active_chat(&acme, "Open").await;
    let ana = world.join(&chat, "ana", second(1)).await;
    let worlds = world.twice().await;
    let mut answers = at_once((0..20).map(|number| {
        let (world, acme, removal) = (worlds[number % 2].clone(), acme.clone(), world.new_removal(chat.id, ana));
        async move { world.remove(&acme, &removal).await }
    }))
    .await;
    answers.dedup();
    let [Removal::Accepted(operation)] = answers[..] else { panic!("one operation: {answers:?}") };
    assert_eq!(world.claim_only().await.lease.operation_id, operation);
}

pub async fn a_removal_may_be_asked_for_again_once_the_person_is_back(world: &World) {
    let acme = tenant("acme");
    let chat = world.active_chat(&acme, "Open").await;
    let ana = world.join(&chat, "ana", second(1)).await;
    let first = world.new_removal(chat.id, ana);
    world.remove(&acme, &first).await;
    let claimed = world.claim_only().await;
    let removed = event(&chat.group, second(2), ProviderEventKind::Removed { person: person("ana"), removed_by: None });
    assert!(world.finish(&claimed.lease, Outcome::ParticipantRemoved { events: vec![removed] }).await);
    world.record(&[joined(&chat.group, second(3), "ana")]).await;

    let second_time = world.new_removal(chat.id, ana);
    assert_eq!(world.remove(&acme, &second_time).await, Removal::Accepted(second_time.operation_id));
    let claimed = world.claim_only().await;
    assert_eq!(claimed.lease.operation_id, second_time.operation_id);
    assert!(world.finish(&claimed.lease, Outcome::GivenUp(rejected())).await);
    let third_time = world.new_removal(chat.id, ana);
    assert_eq!(
        world.remove(&acme, &third_time).await,
        Removal::Accepted(third_time.operation_id),
        "after a failure too"
    );
    assert!(world.finish(&world.claim_only().await.lease, Outcome::GivenUp(rejected())).await);

    // And while the first one is under way, for that was to end a stay that is over.
    let ben = world.join(&chat, "ben", second(4)).await;
    let lost = world.new_removal(chat.id, ben);
    world.remove(&acme, &lost).await;
    let claimed = world.claim_only().await;
    let removed = event(&chat.group, second(5), ProviderEventKind::Removed { person: person("ben"), removed_by: None });
    world.record(&[removed, joined(&chat.group, second(6), "ben")]).await;
    let of_today = || NewRemoval { at: second(7), ..world.new_removal(chat.id, ben) };
    let again = of_today();
    assert_eq!(world.remove(&acme, &again).await, Removal::Accepted(again.operation_id));
    let ended = world.operation(&acme, lost.operation_id).await;
    assert_eq!((ended.status, ended.completed_at), (OperationStatus::Succeeded, Some(second(7))));
    assert!(!world.finish(&claimed.lease, Outcome::GivenUp(rejected())).await, "whoever was at it has lost it");
    assert_eq!(world.remove(&acme, &of_today()).await, Removal::Accepted(again.operation_id), "that is under way");
    assert_eq!(world.claim_at(second(7)).await.lease.operation_id, again.operation_id);
}

pub async fn removal_keys_are_kept(world: &World) {
    let acme = tenant("acme");
    let chat = world.active_chat(&acme, "Open").await;
    let ana = world.join(&chat, "ana", second(1)).await;
    let with_key = |name: &str, request| NewRemoval {
        idempotency: Some(IdempotencyKey { route: "DELETE".to_owned(), ..key(name, request) }),
        ..world.new_removal(chat.id, ana)
    };
    let first = with_key("k", 1);
    let operation = first.operation_id;
    assert_eq!(world.remove(&acme, &first).await, Removal::Accepted(operation));
    assert_eq!(world.remove(&acme, &with_key("k", 1)).await, Removal::RepeatedKey(operation));
    assert_eq!(world.remove(&acme, &with_key("k", 2)).await, Removal::KeyReused);
    assert_eq!(world.remove(&acme, &with_key("other", 1)).await, Removal::Accepted(operation), "it is under way");
    world.record(&[left(&chat.group, second(2), "ana"), closed(&chat.group, second(3))]).await;
    assert_eq!(world.remove(&acme, &with_key("k", 1)).await, Removal::RepeatedKey(operation), "keys come first");
    assert_eq!(world.remove(&acme, &with_key("other", 1)).await, Removal::RepeatedKey(operation));
    assert_eq!(world.remove(&acme, &with_key("other", 3)).await, Removal::KeyReused);
    // A refusal is not kept.
    assert_eq!(world.remove(&acme, &with_key("new", 1)).await, Removal::NotActive(ChatStatus::Closed));
    assert_eq!(world.remove(&acme, &with_key("new", 2)).await, Removal::NotActive(ChatStatus::Closed));
}

pub async fn of_many_removals_with_one_key_at_once_all_get_one_answer(world: &World) {
    let acme = tenant("acme");
    let chat = world.active_chat(&acme, "Open").await;
    let ana = world.join(&chat, "ana", second(1)).await;
    let worlds = world.twice().await;
    let answers = at_once((0..20).map(|number| {
        let removal = NewRemoval { idempotency: Some(key("k", 1)), ..world.new_removal(chat.id, ana) };
        let (world, acme) = (worlds[number % 2].clone(), acme.clone());
        async move { world.remove(&acme, &removal).await }
    }))
    .await;
    let operation = world.claim_only().await.lease.operation_id;
    assert_eq!(answers.iter().filter(|one| **one == Removal::Accepted(operation)).count(), 1);
    assert_eq!(answers.iter().filter(|one| **one == Removal::RepeatedKey(operation)).count(), 19);
}
