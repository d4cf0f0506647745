//! Work that is claimed under a lease.

use std::collections::HashSet;

use convoke_domain::{Environment as _, OperationId, OperationStatus, OperationType, Service, TenantId, Timestamp};
use convoke_provider::Lane;
use convoke_store::{Claim, ClaimedOperation, Lease, NewChat, NewRemoval, Origin, Outcome, Removal, Work};

use crate::world::{World, at_once, chat_made, claim, description, group_of, rejected, renamed, second, soon, tenant};

/// A lane of which many operations may be claimed at once.
fn together(name: &str) -> Lane {
    Lane { name: name.to_owned(), one_at_a_time: false }
}

fn ids(claimed: &[ClaimedOperation]) -> Vec<OperationId> {
    claimed.iter().map(|operation| operation.lease.operation_id).collect()
}

/// Registers a chat that is due at `at`; returns the work to make it.
async fn work_due(world: &World, tenant: &TenantId, at: Timestamp) -> OperationId {
    world.register_new(tenant, NewChat { at, ..world.new_chat("To be made") }).await.operation_id
}

pub async fn a_claim_takes_what_is_to_be_done_under_a_lease(world: &World) {
    let acme = tenant("acme");
    let chat = NewChat { description: description("about"), ..world.new_chat("To be made") };
    let accepted = world.register_new(&acme, chat).await;
    let claimed = world.claim(10, second(1)).await;
    assert_eq!(claimed.len(), 1);
    let operation = &claimed[0];
    let lease = Lease { tenant: acme.clone(), operation_id: accepted.operation_id, fence: operation.lease.fence };
    assert_eq!(operation.lease, lease);
    assert_eq!((operation.chat_id, operation.service), (accepted.chat_id, Service::Sandbox));
    assert_eq!((operation.attempts, &operation.progress), (1, &None));
    let work = Work::CreateChat { title: "To be made".to_owned(), description: Some("about".to_owned()) };
    assert_eq!(operation.work, work);

    let shown = world.operation(&acme, accepted.operation_id).await;
    assert_eq!((shown.status, shown.attempts), (OperationStatus::Running, 1));
    assert_eq!((shown.updated_at, shown.next_attempt_at, shown.completed_at), (second(1), None, None));
    assert_eq!(world.claim(10, second(1)).await.len(), 0, "it is taken");
}

pub async fn work_is_told_with_the_request_that_asked_for_it(world: &World) {
    let acme = tenant("acme");
    let trace = [("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), ("tracestate", "a=1")];
    let trace = trace.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let origin = Some(Origin { request_id: Some("my-\"7\"".to_owned()), trace: trace.into() });
    let told = NewChat { origin: origin.clone(), ..world.new_chat("Told") };
    let told_by_its_id = NewChat { id_is_clients: true, origin: origin.clone(), ..world.new_chat("Told") };
    for chat in [told, told_by_its_id] {
        world.register_new(&acme, chat).await;
        let first = world.claim_only().await;
        assert_eq!(first.origin, origin);
        // And again once it was put off.
        let until = world.environment.now();
        assert!(world.finish(&first.lease, Outcome::Postponed { until, counts: true }).await);
        let again = world.claim_only().await;
        assert_eq!(again.origin, origin);
        assert!(world.finish(&again.lease, Outcome::GivenUp(rejected())).await);
    }
    let chat = world.active_chat(&acme, "Open").await;
    let ana = world.join(&chat, "ana", second(1)).await;
    let removal = NewRemoval { origin: origin.clone(), ..world.new_removal(chat.id, ana) };
    assert!(matches!(world.remove(&acme, &removal).await, Removal::Accepted(_)));
    assert_eq!(world.claim_at(second(9)).await.origin, origin);
    let untold = world.register_new(&acme, world.new_chat("Untold")).await;
    let claimed = world.claim_only().await;
    assert_eq!((claimed.lease.operation_id, claimed.origin), (untold.operation_id, None));
}

pub async fn open_operations_are_counted_by_kind_and_state(world: &World) {
    let acme = tenant("acme");
    let counted = async || {
        let mut open = world.store.count_open_operations().await.unwrap();
        open.sort_by_key(|open| open.status.as_str());
        open.iter().map(|open| (open.kind, open.status, open.number, open.due_at)).collect::<Vec<_>>()
    };
    assert_eq!(counted().await, []);
    let (pending, running) = (OperationStatus::Pending, OperationStatus::Running);
    let kind = OperationType::CreateChat;
    work_due(world, &acme, second(7)).await;
    work_due(world, &acme, second(3)).await;
    work_due(world, &tenant("other"), second(5)).await;
    assert_eq!(counted().await, [(kind, pending, 3, Some(second(3)))]);

    let claimed = world.claim(2, second(10)).await;
    assert!(claimed.iter().all(|claimed| [3, 5, 7].map(second).contains(&claimed.created_at)), "{claimed:?}");
    let left = [3, 5, 7].map(second).into_iter().find(|at| claimed.iter().all(|claimed| claimed.created_at != *at));
    assert_eq!(counted().await, [(kind, pending, 1, left), (kind, running, 2, None)]);
    let later = Outcome::Postponed { until: second(99), counts: false };
    assert!(world.finish(&claimed[0].lease, later).await);
    assert!(world.finish(&claimed[1].lease, Outcome::GivenUp(rejected())).await);
    let waiting = (kind, OperationStatus::WaitingForProvider, 1, Some(second(99)));
    assert_eq!(counted().await, [(kind, pending, 1, left), waiting]);
}

pub async fn a_claim_takes_only_its_lanes(world: &World) {
    let acme = tenant("acme");
    let sandbox = work_due(world, &acme, second(0)).await;
    let telegram = NewChat { service: Service::Telegram, ..world.new_chat("On Telegram") };
    let telegram = world.register_new(&acme, telegram).await.operation_id;
    let in_lanes = async |lanes: &[&str]| {
        let lanes = lanes.iter().map(|lane| together(lane)).collect();
        let claimed = world.store.claim_operations(&Claim { lanes, ..claim(10, second(1)) }).await.unwrap();
        assert!(claimed.iter().all(|claimed| claimed.lane == claimed.service.as_str()), "{claimed:?}");
        ids(&claimed)
    };
    assert_eq!(in_lanes(&[]).await, []);
    assert_eq!(in_lanes(&["telegram:one", "sand", "sandbox2"]).await, []);
    assert_eq!(in_lanes(&["telegram"]).await, [telegram]);
    assert_eq!(in_lanes(&["telegram", "sandbox"]).await, [sandbox]);
}

pub async fn a_claim_takes_only_what_is_due_and_the_longest_due_first(world: &World) {
    let acme = tenant("acme");
    let late = work_due(world, &acme, second(30)).await;
    let early = work_due(world, &acme, second(10)).await;
    let middle = work_due(world, &acme, second(20)).await;
    let just_before = Timestamp::from_millis(second(10).as_millis() - 1);
    assert_eq!(world.claim(10, just_before).await.len(), 0);
    assert_eq!(ids(&world.claim(1, second(20)).await), [early]);
    assert_eq!(ids(&world.claim(10, second(20)).await), [middle], "what is due at this very instant");
    assert_eq!(ids(&world.claim(10, second(40)).await), [late]);
}

pub async fn a_claim_takes_no_more_than_its_limit(world: &World) {
    let (acme, other) = (tenant("acme"), tenant("other"));
    for _ in 0..5 {
        work_due(world, &acme, second(0)).await;
        work_due(world, &other, second(0)).await;
    }
    assert_eq!(world.claim(0, second(1)).await.len(), 0);
    let mut claimed = Vec::new();
    for limit in [1, 2, 3, 3, 3] {
        let batch = world.claim(limit, second(1)).await;
        assert!((1..=limit as usize).contains(&batch.len()), "{} of {limit}", batch.len());
        claimed.extend(ids(&batch));
    }
    claimed.extend(ids(&world.claim(100, second(1)).await));
    assert_eq!(claimed.len(), 10);
    assert_eq!(claimed.into_iter().collect::<HashSet<_>>().len(), 10);
}

pub async fn one_tenants_queue_does_not_starve_another(world: &World) {
    let (busy, quiet) = (tenant("busy"), tenant("quiet"));
    for _ in 0..100 {
        work_due(world, &busy, second(0)).await;
    }
    let wanted = work_due(world, &quiet, second(1)).await;
    let claimed = world.claim(10, second(2)).await;
    assert!(ids(&claimed).contains(&wanted));
    assert!(claimed.len() > 5, "the busy one is served too: {}", claimed.len());
}

pub async fn tenants_are_served_in_turn(world: &World) {
    let tenants = [tenant("a"), tenant("b"), tenant("c")];
    for tenant in &tenants {
        for _ in 0..4 {
            work_due(world, tenant, second(0)).await;
        }
    }
    for _ in 0..3 {
        let mut served = Vec::new();
        for _ in 0..3 {
            let claimed = world.claim(1, second(1)).await;
            served.push(claimed[0].lease.tenant.clone());
        }
        served.sort();
        assert_eq!(served, tenants);
    }
}

pub async fn claims_at_once_share_nothing(world: &World) {
    for number in 0..60 {
        work_due(world, &tenant(["a", "b", "c"][number % 3]), second(0)).await;
    }
    let worlds = world.twice().await;
    let claimed = at_once((0..8).map(|number| {
        let world = worlds[number % 2].clone();
        async move {
            let mut mine = Vec::new();
            loop {
                let batch = world.claim(7, second(1)).await;
                if batch.is_empty() {
                    return mine;
                }
                mine.extend(ids(&batch));
            }
        }
    }))
    .await;
    // Of claims at once one may find only what others are just taking.
    let mut claimed = claimed.concat();
    claimed.extend(ids(&world.claim(100, second(1)).await));
    assert_eq!(claimed.len(), 60);
    assert_eq!(claimed.into_iter().collect::<HashSet<_>>().len(), 60);
}

pub async fn progress_is_given_to_the_next_claim(world: &World) {
    let acme = tenant("acme");
    let operation = work_due(world, &acme, second(0)).await;
    let claimed = world.claim_at(second(1)).await;
    let group = group_of(claimed.chat_id, second(1));
    let progress = r#"{"step":"é"}"#.to_owned();
    assert!(world.store.save_progress(&claimed.lease, Some(progress.clone()), Some(&group), second(2)).await.unwrap());
    assert_eq!(world.operation(&acme, operation).await.updated_at, second(2));
    assert_eq!(world.store.sweep_expired_leases(second(100)).await.unwrap(), 1);
    let again = world.claim_at(second(100)).await;
    assert_eq!(again.progress, Some(progress));
    assert_eq!(again.attempts, 2);
    assert!(again.lease.fence > claimed.lease.fence);
    let newer = "{}".to_owned();
    assert!(world.store.save_progress(&again.lease, Some(newer.clone()), None, second(101)).await.unwrap());
    assert!(world.finish(&again.lease, Outcome::Postponed { until: second(102), counts: true }).await);
    assert_eq!(world.claim_at(second(102)).await.progress, Some(newer));
}

pub async fn a_chat_is_made_under_the_title_it_was_registered_with(world: &World) {
    let acme = tenant("acme");
    work_due(world, &acme, second(0)).await;
    let claimed = world.claim_at(second(1)).await;
    let group = group_of(claimed.chat_id, second(1));
    assert!(world.store.save_progress(&claimed.lease, Some("{}".to_owned()), Some(&group), second(1)).await.unwrap());
    // The group is there, and somebody renames it before its making is confirmed.
    world.record(&[renamed(&group.provider_chat_id, second(2), "Another title")]).await;
    assert_eq!(world.store.sweep_expired_leases(second(100)).await.unwrap(), 1);
    let work = Work::CreateChat { title: "To be made".to_owned(), description: None };
    assert_eq!(world.claim_at(second(100)).await.work, work);
}

pub async fn an_extended_lease_is_not_swept(world: &World) {
    let acme = tenant("acme");
    let (kept, lost) = (work_due(world, &acme, second(0)).await, work_due(world, &acme, second(0)).await);
    let claimed = world.claim(10, second(1)).await;
    assert_eq!(world.store.sweep_expired_leases(second(30)).await.unwrap(), 0, "they last for half a minute");
    let extended: Vec<Lease> =
        claimed.iter().map(|one| one.lease.clone()).filter(|lease| lease.operation_id == kept).collect();
    assert_eq!(world.store.extend_leases(&extended, second(90)).await.unwrap(), []);
    assert_eq!(world.store.extend_leases(&[], second(90)).await.unwrap(), []);
    assert_eq!(world.store.sweep_expired_leases(second(60)).await.unwrap(), 1);
    assert_eq!(world.operation(&acme, kept).await.status, OperationStatus::Running);
    assert_eq!(world.operation(&acme, lost).await.status, OperationStatus::Pending);
    let all: Vec<Lease> = claimed.into_iter().map(|one| one.lease).collect();
    assert_eq!(world.store.extend_leases(&all, second(120)).await.unwrap(), [lost], "the rest are extended");
    assert_eq!(world.store.sweep_expired_leases(second(100)).await.unwrap(), 0);
}

pub async fn an_expired_lease_is_swept_and_the_attempt_counts(world: &World) {
    let acme = tenant("acme");
    let operation = work_due(world, &acme, second(0)).await;
    world.claim_at(second(1)).await;
    assert_eq!(world.store.sweep_expired_leases(second(60)).await.unwrap(), 1);
    let shown = world.operation(&acme, operation).await;
    assert_eq!((shown.status, shown.attempts), (OperationStatus::Pending, 1));
    assert_eq!((shown.next_attempt_at, shown.updated_at), (Some(second(60)), second(60)));
    assert_eq!(world.store.sweep_expired_leases(second(60)).await.unwrap(), 0);
    assert_eq!(world.claim_at(second(60)).await.attempts, 2);
}

pub async fn a_released_lease_counts_as_an_attempt(world: &World) {
    let acme = tenant("acme");
    let operation = work_due(world, &acme, second(0)).await;
    let claimed = world.claim_at(second(1)).await;
    assert_eq!(world.store.release_leases("somebody else", second(2)).await.unwrap(), 0);
    assert_eq!(world.operation(&acme, operation).await.status, OperationStatus::Running);
    assert_eq!(world.store.release_leases("worker", second(2)).await.unwrap(), 1);
    let shown = world.operation(&acme, operation).await;
    assert_eq!((shown.status, shown.attempts), (OperationStatus::Pending, 1), "what it called may have been done");
    assert_eq!(shown.next_attempt_at, Some(second(2)));
    assert!(!world.finish(&claimed.lease, Outcome::GivenUp(rejected())).await, "it was given back");
    assert_eq!(world.claim_at(second(2)).await.attempts, 2);
    assert_eq!(world.store.release_leases("worker", second(3)).await.unwrap(), 1);
}

pub async fn a_stale_lease_changes_nothing(world: &World) {
    let acme = tenant("acme");
    let operation = work_due(world, &acme, second(0)).await;
    let stale = world.claim_at(second(1)).await;
    world.store.sweep_expired_leases(second(60)).await.unwrap();
    assert_changes_nothing(world, &stale).await;
    let held = world.claim_at(second(60)).await;
    assert_changes_nothing(world, &stale).await;
    let of_another_tenant =
        ClaimedOperation { lease: Lease { tenant: tenant("other"), ..held.lease.clone() }, ..held.clone() };
    assert_changes_nothing(world, &of_another_tenant).await;
    let from_the_future =
        ClaimedOperation { lease: Lease { fence: held.lease.fence + 1, ..held.lease.clone() }, ..held.clone() };
    assert_changes_nothing(world, &from_the_future).await;

    assert!(world.finish(&held.lease, chat_made(group_of(held.chat_id, second(61)))).await);
    assert_changes_nothing(world, &held).await;
    assert_changes_nothing(world, &stale).await;
    assert_eq!(world.operation(&acme, operation).await.status, OperationStatus::Succeeded);
}

async fn assert_changes_nothing(world: &World, claimed: &ClaimedOperation) {
    let (lease, chat) = (&claimed.lease, claimed.chat_id);
    let acme = tenant("acme");
    let seen = async || {
        let invitation = world.store.find_invitation(&acme, chat).await.unwrap();
        (world.operation(&acme, lease.operation_id).await, world.document(&acme, chat).await, invitation)
    };
    let before = seen().await;
    let other_group =
        convoke_provider::CreatedGroup { provider_chat_id: "another group".to_owned(), ..group_of(chat, second(70)) };
    let saved = world.store.save_progress(lease, Some("[]".to_owned()), Some(&other_group), second(70)).await.unwrap();
    assert!(!saved);
    let outcomes = [
        chat_made(other_group),
        Outcome::ParticipantRemoved { events: vec![renamed("another group", second(70), "Lost")] },
        Outcome::Postponed { until: second(70), counts: false },
        Outcome::Moved { lane: "elsewhere".to_owned() },
        Outcome::GivenUp(rejected()),
    ];
    for outcome in outcomes {
        assert!(!world.finish(lease, outcome.clone()).await, "{outcome:?}");
    }
    let lost = world.store.extend_leases(std::slice::from_ref(lease), second(10_000)).await.unwrap();
    assert_eq!(lost, [lease.operation_id]);
    assert_eq!(seen().await, before);
    world.record(&[renamed("another group", second(71), "Lost")]).await;
    assert_eq!(seen().await, before, "the group was not kept either");
}

pub async fn whoever_waits_for_work_is_woken(world: &World) {
    let acme = tenant("acme");
    let waiting = world.store.clone();
    let registered = tokio::spawn(async move { soon(waiting.changes().operations.notified()).await });
    let chat = world.active_chat(&acme, "Open").await;
    registered.await.expect("a registration wakes");
    let ana = world.join(&chat, "ana", second(1)).await;

    let mut woken = std::pin::pin!(world.store.changes().operations.notified());
    woken.as_mut().enable();
    world.remove(&acme, &world.new_removal(chat.id, ana)).await;
    soon(woken).await;
    let claimed = world.claim_at(second(2)).await;
    let mut woken = std::pin::pin!(world.store.changes().operations.notified());
    woken.as_mut().enable();
    assert!(world.finish(&claimed.lease, Outcome::Moved { lane: "sandbox".to_owned() }).await);
    soon(woken).await;
}
