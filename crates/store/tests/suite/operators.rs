//! What operators are told of operations and do with them by hand.

use convoke_domain::{
    ChatStatus, OperationError, OperationErrorCode, OperationId, OperationStatus, OperationType, Service, TenantId,
    Timestamp,
};
use convoke_store::{
    AcceptedChat, Cancellation, ClaimedOperation, OperationDetails, OperationFilter, Outcome, Removal, Retry,
};

use crate::world::{World, at_once, chat_made, closed, group_of, left, rejected, second, soon, tenant};

impl World {
    async fn retry(&self, tenant: &TenantId, id: OperationId, at: Timestamp) -> Retry {
        self.store.retry_operation(tenant, id, at).await.expect("an answer")
    }

    async fn cancel(&self, tenant: &TenantId, id: OperationId, at: Timestamp) -> Cancellation {
        self.store.cancel_operation(tenant, id, at).await.expect("an answer")
    }

    async fn details(&self, id: OperationId) -> OperationDetails {
        self.store.find_operation_details(id).await.expect("an answer").expect("it is there")
    }

    async fn listed(&self, tenant: Option<&TenantId>, status: Option<OperationStatus>, limit: u32) -> Vec<OperationId> {
        let filter = OperationFilter { tenant: tenant.cloned(), status, limit };
        let listed = self.store.list_operations(&filter).await.expect("an answer");
        listed.into_iter().map(|details| details.operation.id).collect()
    }

    async fn status_of(&self, tenant: &TenantId, accepted: &AcceptedChat) -> (OperationStatus, ChatStatus) {
        let operation = self.operation(tenant, accepted.operation_id).await;
        (operation.status, self.chat(tenant, accepted.chat_id).await.status)
    }

    /// Registers a chat that can't be made.
    async fn failed_chat(&self, tenant: &TenantId, at: Timestamp) -> AcceptedChat {
        let accepted = self.register_new(tenant, self.new_chat("Not to be made")).await;
        let claimed = self.claim_at(at).await;
        self.give_up(&claimed, at).await;
        accepted
    }

    async fn give_up(&self, claimed: &ClaimedOperation, at: Timestamp) {
        assert!(self.store.finish_attempt(&claimed.lease, Outcome::GivenUp(rejected()), at).await.unwrap());
    }
}

pub async fn what_is_open_is_listed_waiting_longest_first(world: &World) {
    let (acme, other) = (tenant("acme"), tenant("other"));
    let mut accepted = Vec::new();
    for tenant in [&acme, &other, &acme, &acme] {
        accepted.push(world.register_new(tenant, world.new_chat("Open")).await.operation_id);
    }
    let [first, second_one, third, fourth] = accepted[..] else { unreachable!("there are four") };
    assert_eq!(world.listed(None, None, 50).await, [first, second_one, third, fourth]);
    assert_eq!(world.listed(None, None, 2).await, [first, second_one]);
    assert_eq!(world.listed(Some(&acme), None, 50).await, [first, third, fourth]);

    let mut claimed = world.claim(4, second(0)).await;
    // What is left once every tenant had its share.
    claimed.extend(world.claim(4, second(0)).await);
    let find = |id| claimed.iter().find(|one| one.lease.operation_id == id).expect("it was claimed");
    world.give_up(find(first), second(1)).await;
    world.give_up(find(third), second(2)).await;
    let put_off = Outcome::Postponed { until: second(99), counts: true };
    assert!(world.store.finish_attempt(&find(second_one).lease, put_off, second(3)).await.unwrap());
    assert_eq!(world.listed(None, None, 50).await, [second_one, fourth]);
    let of = async |status| world.listed(None, Some(status), 50).await;
    assert_eq!(of(OperationStatus::Failed).await, [third, first], "last ended first");
    assert_eq!(of(OperationStatus::Running).await, [fourth]);
    assert_eq!(of(OperationStatus::WaitingForProvider).await, [second_one]);
    assert_eq!((of(OperationStatus::Pending).await, of(OperationStatus::Succeeded).await), (Vec::new(), Vec::new()));
    assert_eq!(world.listed(Some(&other), Some(OperationStatus::Failed), 50).await, []);

    let running = world.details(fourth).await;
    assert_eq!((running.tenant, running.lane.as_str()), (acme.clone(), "sandbox"));
    assert_eq!(running.lease, Some(("worker".to_owned(), second(30))));
    assert_eq!((running.operation, running.person), (world.operation(&acme, fourth).await, None));
    let waiting = world.details(second_one).await;
    assert_eq!((waiting.tenant, waiting.lease), (other, None));
    assert_eq!((waiting.operation.attempts, waiting.operation.next_attempt_at), (1, Some(second(99))));
    let unknown = OperationId(claimed[0].chat_id.0);
    assert_eq!(world.store.find_operation_details(unknown).await.unwrap(), None);
}

pub async fn a_creation_that_failed_is_tried_again_and_its_chat_provisioned(world: &World) {
    let acme = tenant("acme");
    let accepted = world.failed_chat(&acme, second(0)).await;
    // The clock of who tries again may be behind, and what fails again may do so within the same millisecond.
    for at in [second(0), second(0), second(10)] {
        assert_eq!(world.status_of(&acme, &accepted).await, (OperationStatus::Failed, ChatStatus::Failed));
        assert_eq!(world.retry(&acme, accepted.operation_id, at).await, Retry::Accepted);
        let operation = world.operation(&acme, accepted.operation_id).await;
        assert_eq!((operation.status, operation.attempts), (OperationStatus::Pending, 0));
        assert_eq!((operation.completed_at, operation.error), (None, None));
        assert_eq!(operation.next_attempt_at, Some(at));
        let chat = world.chat(&acme, accepted.chat_id).await;
        assert_eq!((chat.status, chat.is_active), (ChatStatus::Provisioning, false));
        let claimed = world.claim_at(at).await;
        assert_eq!(claimed.attempts, 1);
        world.give_up(&claimed, at).await;
    }
    assert_eq!(world.retry(&acme, accepted.operation_id, second(20)).await, Retry::Accepted);
    let claimed = world.claim_at(second(20)).await;
    let made = chat_made(group_of(accepted.chat_id, second(21)));
    assert!(world.store.finish_attempt(&claimed.lease, made, second(21)).await.unwrap());
    assert_eq!(world.status_of(&acme, &accepted).await, (OperationStatus::Succeeded, ChatStatus::Active));
}

pub async fn what_was_begun_is_known_to_whoever_tries_again(world: &World) {
    let acme = tenant("acme");
    let accepted = world.register_new(&acme, world.new_chat("Begun")).await;
    let claimed = world.claim_only().await;
    let progress = Some("\"called\"".to_owned());
    assert!(world.store.save_progress(&claimed.lease, progress.clone(), None, second(0)).await.unwrap());
    world.give_up(&claimed, second(1)).await;
    assert!(world.details(accepted.operation_id).await.has_begun);
    assert_eq!(world.retry(&acme, accepted.operation_id, second(2)).await, Retry::Accepted);
    let again = world.claim_at(second(2)).await;
    assert_eq!(again.progress, progress);
    // The group that had been made before it all turns up.
    let made = chat_made(group_of(accepted.chat_id, second(0)));
    assert!(world.store.finish_attempt(&again.lease, made, second(3)).await.unwrap());
    assert_eq!(world.status_of(&acme, &accepted).await, (OperationStatus::Succeeded, ChatStatus::Active));
}

pub async fn only_what_failed_is_tried_again(world: &World) {
    let acme = tenant("acme");
    let chat = world.active_chat(&acme, "Open").await;
    let succeeded = Retry::NotFailed(OperationStatus::Succeeded);
    assert_eq!(world.retry(&acme, chat.operation, second(0)).await, succeeded);
    let accepted = world.register_new(&acme, world.new_chat("Waiting")).await;
    let id = accepted.operation_id;
    assert_eq!(world.retry(&acme, id, second(0)).await, Retry::NotFailed(OperationStatus::Pending));
    let claimed = world.claim_at(second(0)).await;
    assert_eq!(world.retry(&acme, id, second(0)).await, Retry::NotFailed(OperationStatus::Running));
    world.give_up(&claimed, second(1)).await;
    assert_eq!(world.retry(&tenant("other"), id, second(2)).await, Retry::NotFound);
    assert_eq!(world.retry(&acme, OperationId(accepted.chat_id.0), second(2)).await, Retry::NotFound);
    assert_eq!(world.status_of(&acme, &accepted).await, (OperationStatus::Failed, ChatStatus::Failed));
    // Whoever had it before it failed has lost it.
    assert_eq!(world.retry(&acme, id, second(2)).await, Retry::Accepted);
    world.claim_at(second(2)).await;
    assert!(!world.store.finish_attempt(&claimed.lease, Outcome::GivenUp(rejected()), second(3)).await.unwrap());
}

pub async fn of_many_who_try_again_at_once_one_does(world: &World) {
    let acme = tenant("acme");
    let accepted = world.failed_chat(&acme, second(0)).await;
    let worlds = world.twice().await;
    let answers = at_once((0..10).map(|number| {
        let (world, acme, id) = (worlds[number % 2].clone(), acme.clone(), accepted.operation_id);
        async move { world.retry(&acme, id, second(1)).await }
    }))
    .await;
    assert_eq!(answers.iter().filter(|one| **one == Retry::Accepted).count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|one| **one == Retry::NotFailed(OperationStatus::Pending)).count(), 9);
    assert_eq!(world.claim(10, second(1)).await.len(), 1);
}

pub async fn a_removal_that_failed_is_tried_again_unless_another_one_is_under_way(world: &World) {
    let acme = tenant("acme");
    let chat = world.active_chat(&acme, "Open").await;
    let ana = world.join(&chat, "ana", second(1)).await;
    let first = world.new_removal(chat.id, ana);
    world.remove(&acme, &first).await;
    world.give_up(&world.claim_only().await, second(2)).await;
    let document = world.document(&acme, chat.id).await;
    assert_eq!(world.retry(&acme, first.operation_id, second(3)).await, Retry::Accepted);
    let again = world.new_removal(chat.id, ana);
    assert_eq!(world.remove(&acme, &again).await, Removal::Accepted(first.operation_id), "it is under way");
    let details = world.details(first.operation_id).await;
    assert_eq!((details.person, details.operation.kind), (Some(ana), OperationType::RemoveParticipant));
    world.give_up(&world.claim_at(second(3)).await, second(4)).await;

    let other = world.new_removal(chat.id, ana);
    assert_eq!(world.remove(&acme, &other).await, Removal::Accepted(other.operation_id));
    assert_eq!(world.retry(&acme, first.operation_id, second(5)).await, Retry::UnderWay(other.operation_id));
    world.give_up(&world.claim_at(second(5)).await, second(6)).await;
    assert_eq!(world.document(&acme, chat.id).await, document, "nothing happened in the chat");
    world.record(&[closed(&chat.group, second(7))]).await;
    let closed = Retry::ChatIs(ChatStatus::Closed);
    assert_eq!(world.retry(&acme, first.operation_id, second(8)).await, closed);
}

pub async fn what_waits_for_an_account_that_is_gone_is_tried_again_by_any(world: &World) {
    let acme = tenant("acme");
    let lane = world.account("gone").await.lane(Service::Sandbox);
    let accepted = world.failed_chat(&acme, second(0)).await;
    world.execute(&format!("update operations set lane = '{lane}'")).await;
    assert_eq!(world.retry(&acme, accepted.operation_id, second(1)).await, Retry::Accepted);
    assert_eq!(world.details(accepted.operation_id).await.lane, lane, "what was begun there is looked for there");
    assert_eq!(world.cancel(&acme, accepted.operation_id, second(2)).await, Cancellation::Cancelled);
    assert!(world.store.delete_account(Service::Sandbox, "gone").await.unwrap());
    assert_eq!(world.retry(&acme, accepted.operation_id, second(3)).await, Retry::Accepted);
    assert_eq!(world.details(accepted.operation_id).await.lane, "sandbox");
}

pub async fn what_was_not_begun_is_cancelled(world: &World) {
    let acme = tenant("acme");
    let accepted = world.register_new(&acme, world.new_chat("Not wanted")).await;
    let id = accepted.operation_id;
    // Progress that is taken back counts as none.
    let claimed = world.claim_only().await;
    for progress in [Some("{}".to_owned()), None] {
        assert!(world.store.save_progress(&claimed.lease, progress, None, second(0)).await.unwrap());
    }
    assert_eq!(world.cancel(&acme, id, second(0)).await, Cancellation::NotWaiting(OperationStatus::Running));
    let put_off = Outcome::Postponed { until: second(50), counts: false };
    assert!(world.store.finish_attempt(&claimed.lease, put_off, second(1)).await.unwrap());
    assert_eq!(world.cancel(&tenant("other"), id, second(2)).await, Cancellation::NotFound);
    assert_eq!(world.cancel(&acme, id, second(2)).await, Cancellation::Cancelled);
    assert_eq!(world.status_of(&acme, &accepted).await, (OperationStatus::Failed, ChatStatus::Failed));
    let operation = world.operation(&acme, id).await;
    assert!(matches!(operation.error, Some(OperationError { code: OperationErrorCode::Cancelled, .. })));
    assert_eq!(operation.completed_at, Some(second(2)));
    assert_eq!(world.claim(10, second(100)).await.len(), 0);
    assert_eq!(world.cancel(&acme, id, second(3)).await, Cancellation::NotWaiting(OperationStatus::Failed));
    assert_eq!(world.retry(&acme, id, second(4)).await, Retry::Accepted);
    assert_eq!(world.status_of(&acme, &accepted).await, (OperationStatus::Pending, ChatStatus::Provisioning));
}

pub async fn what_may_have_been_begun_is_not_cancelled(world: &World) {
    let acme = tenant("acme");
    let accepted = world.register_new(&acme, world.new_chat("Begun")).await;
    let claimed = world.claim_only().await;
    let progress = Some("\"called\"".to_owned());
    assert!(world.store.save_progress(&claimed.lease, progress, None, second(0)).await.unwrap());
    let put_off = Outcome::Postponed { until: Timestamp::MAX, counts: false };
    assert!(world.store.finish_attempt(&claimed.lease, put_off.clone(), second(1)).await.unwrap());
    assert_eq!(world.cancel(&acme, accepted.operation_id, second(2)).await, Cancellation::HasBegun);
    let expected = (OperationStatus::WaitingForProvider, ChatStatus::Provisioning);
    assert_eq!(world.status_of(&acme, &accepted).await, expected);

    let chat = world.active_chat(&acme, "Open").await;
    let ana = world.join(&chat, "ana", second(1)).await;
    let removal = world.new_removal(chat.id, ana);
    world.remove(&acme, &removal).await;
    let claimed = world.claim_only().await;
    assert!(world.finish(&claimed.lease, Outcome::Postponed { until: second(2), counts: true }).await);
    assert_eq!(world.cancel(&acme, removal.operation_id, second(2)).await, Cancellation::HasBegun);
    assert!(world.details(removal.operation_id).await.has_begun);

    // Nothing is kept before a call where a service keeps one group: every attempt that counts may have made it.
    let kept = world.register_new(&acme, world.new_chat("Made, perhaps")).await.operation_id;
    let claimed = world.claim_only().await;
    assert!(world.finish(&claimed.lease, Outcome::Postponed { until: second(2), counts: true }).await);
    assert_eq!(world.cancel(&acme, kept, second(2)).await, Cancellation::HasBegun);
    assert!(world.details(kept).await.has_begun);

    // Whoever stops in order may do so in the middle of a call.
    let given_back = world.register_new(&acme, world.new_chat("Given back")).await.operation_id;
    world.claim_only().await;
    assert_eq!(world.store.release_leases("worker", second(2)).await.unwrap(), 1);
    assert_eq!(world.cancel(&acme, given_back, second(2)).await, Cancellation::HasBegun);
}

pub async fn a_removal_that_is_cancelled_leaves_the_participation_as_it_is(world: &World) {
    let acme = tenant("acme");
    let chat = world.active_chat(&acme, "Open").await;
    let ana = world.join(&chat, "ana", second(1)).await;
    let removal = world.new_removal(chat.id, ana);
    world.remove(&acme, &removal).await;
    let claimed = world.claim_only().await;
    assert!(world.finish(&claimed.lease, Outcome::Postponed { until: second(2), counts: false }).await);
    let document = world.document(&acme, chat.id).await;
    assert_eq!(world.cancel(&acme, removal.operation_id, second(2)).await, Cancellation::Cancelled);
    assert_eq!(world.document(&acme, chat.id).await, document);
    let again = world.new_removal(chat.id, ana);
    assert_eq!(world.remove(&acme, &again).await, Removal::Accepted(again.operation_id), "it may be asked for again");
    world.record(&[left(&chat.group, second(3), "ana")]).await;
}

pub async fn a_claim_and_a_cancellation_at_once_share_nothing(world: &World) {
    let acme = tenant("acme");
    let [one, beside] = world.twice().await;
    for _ in 0..20 {
        let accepted = world.register_new(&acme, world.new_chat("Wanted or not")).await;
        let (canceller, claimer, tenant) = (one.clone(), beside.clone(), acme.clone());
        let cancelling = tokio::spawn(async move { canceller.cancel(&tenant, accepted.operation_id, second(0)).await });
        let claimed = claimer.claim(10, second(0)).await;
        let cancelled = cancelling.await.unwrap();
        let expected = match &claimed[..] {
            [] => Cancellation::Cancelled,
            [claimed] => {
                world.give_up(claimed, second(1)).await;
                Cancellation::NotWaiting(OperationStatus::Running)
            }
            more => panic!("one is there, but {more:?}"),
        };
        assert_eq!(cancelled, expected);
        assert_eq!(world.status_of(&acme, &accepted).await, (OperationStatus::Failed, ChatStatus::Failed));
    }
}

pub async fn whoever_waits_for_work_is_woken_by_a_retry(world: &World) {
    let acme = tenant("acme");
    let accepted = world.failed_chat(&acme, second(0)).await;
    let watched = world.store.changes().watch_chat(accepted.chat_id);
    let mut changed = std::pin::pin!(watched.notified());
    changed.as_mut().enable();
    // The registration has woken somebody; that is taken first.
    soon(world.store.changes().operations.notified()).await;
    let woken = world.store.changes().operations.notified();
    assert_eq!(world.retry(&acme, accepted.operation_id, second(1)).await, Retry::Accepted);
    soon(woken).await;
    soon(changed).await;
}
