//! Operations that go from lane to lane, and lanes in which one operation ends before the next one is begun.

use std::collections::BTreeSet;

use convoke_domain::{Environment as _, OperationId, OperationStatus, Service, TenantId, Timestamp};
use convoke_provider::{AccountId, Lane};
use convoke_store::{Claim, ClaimedOperation, NewChat, Outcome};

use crate::world::{World, claim, second, tenant};

fn alone(name: &str) -> Lane {
    Lane { name: name.to_owned(), one_at_a_time: true }
}

impl World {
    async fn claim_in(&self, lanes: &[Lane], limit: u32, now: Timestamp) -> Vec<ClaimedOperation> {
        let claim = Claim { lanes: lanes.to_vec(), ..claim(limit, now) };
        self.store.claim_operations(&claim).await.expect("an answer")
    }

    /// Registers chats of these tenants whose work is in this lane then, due in this order.
    async fn work_in(&self, lane: &str, tenants: &[&TenantId]) -> Vec<OperationId> {
        let mut operations = Vec::new();
        for (tenant, number) in tenants.iter().zip(0..) {
            let chat = self.register_new(tenant, self.new_chat("To be made")).await;
            let claimed = self.claim_only().await;
            let moved = Outcome::Moved { lane: lane.to_owned() };
            assert!(self.store.finish_attempt(&claimed.lease, moved, second(number)).await.expect("an answer"));
            operations.push(chat.operation_id);
        }
        operations
    }
}

fn ids(claimed: &[ClaimedOperation]) -> Vec<OperationId> {
    claimed.iter().map(|operation| operation.lease.operation_id).collect()
}

pub async fn a_moved_operation_is_due_in_its_new_lane(world: &World) {
    let acme = tenant("acme");
    let operation = world.register_new(&acme, world.new_chat("To be made")).await.operation_id;
    let claimed = world.claim_only().await;
    let progress = "[1]".to_owned();
    assert!(world.store.save_progress(&claimed.lease, Some(progress.clone()), None, second(1)).await.unwrap());
    let moved = Outcome::Moved { lane: "sandbox:one".to_owned() };
    assert!(world.store.finish_attempt(&claimed.lease, moved, second(2)).await.unwrap());
    let shown = world.operation(&acme, operation).await;
    assert_eq!((shown.status, shown.attempts), (OperationStatus::Pending, 0));
    assert_eq!((shown.next_attempt_at, shown.updated_at), (Some(second(2)), second(2)));
    assert!(!world.finish(&claimed.lease, Outcome::Moved { lane: "elsewhere".to_owned() }).await, "it is given back");
    assert_eq!(world.claim(10, second(3)).await.len(), 0, "it is not in its service's own lane");
    let claimed = world.claim_in(&[alone("sandbox:one")], 10, second(2)).await;
    assert_eq!(ids(&claimed), [operation]);
    assert_eq!((claimed[0].lane.as_str(), claimed[0].service), ("sandbox:one", Service::Sandbox));
    assert_eq!((claimed[0].attempts, &claimed[0].progress), (1, &Some(progress)));
    // What is swept or given back stays in its lane.
    assert_eq!(world.store.sweep_expired_leases(second(100)).await.unwrap(), 1);
    assert_eq!(world.claim(10, second(100)).await.len(), 0);
    let claimed = world.claim_in(&[alone("sandbox:one")], 10, second(100)).await;
    assert_eq!(world.store.release_leases("worker", second(101)).await.unwrap(), 1);
    assert_eq!(world.claim_in(&[alone("sandbox:one")], 10, second(101)).await[0].attempts, claimed[0].attempts + 1);
}

pub async fn of_a_lane_one_operation_is_claimed_at_a_time(world: &World) {
    let acme = tenant("acme");
    let one = world.work_in("sandbox:one", &[&acme, &acme, &acme]).await;
    let two = world.work_in("sandbox:two", &[&acme, &acme]).await;
    let mut common = Vec::new();
    for _ in 0..3 {
        let chat = NewChat { at: second(0), ..world.new_chat("To be made") };
        common.push(world.register_new(&acme, chat).await.operation_id);
    }
    let lanes = [alone("sandbox:none"), alone("sandbox:one"), Lane::of(Service::Sandbox), alone("sandbox:two")];
    assert_eq!(world.claim_in(&lanes, 0, second(9)).await.len(), 0);
    // A lane without work takes nobody's place, and those with work are served in turn.
    for lane in ["sandbox:one", "sandbox:two", "sandbox:one"] {
        let claimed = world.claim_in(&lanes, 1, second(9)).await;
        assert_eq!(claimed.into_iter().map(|claimed| claimed.lane).collect::<Vec<_>>(), [lane]);
        world.store.release_leases("worker", second(9)).await.unwrap();
    }
    assert_eq!(world.claim_in(&lanes, 1, second(9)).await.len(), 1, "no more than the limit");
    world.store.release_leases("worker", second(9)).await.unwrap();
    let claimed = world.claim_in(&lanes, 4, second(9)).await;
    let of_lane = |claimed: &[ClaimedOperation], lane: &str| {
        claimed.iter().filter(|claimed| claimed.lane == lane).map(|one| one.lease.operation_id).collect::<Vec<_>>()
    };
    assert_eq!((of_lane(&claimed, "sandbox:one").len(), of_lane(&claimed, "sandbox:two").len()), (1, 1));
    assert_eq!(of_lane(&claimed, "sandbox").len(), 2, "what is left of the limit");
    let rest = world.claim_in(&lanes, 10, second(9)).await;
    assert_eq!((of_lane(&rest, "sandbox:one").len(), of_lane(&rest, "sandbox:two").len()), (1, 1));
    assert_eq!(of_lane(&rest, "sandbox").len(), 1);
    let last = world.claim_in(&lanes, 10, second(9)).await;
    assert_eq!(last.len(), 1);
    let all: BTreeSet<OperationId> = ids(&[claimed, rest, last].concat()).into_iter().collect();
    assert_eq!(all, one.into_iter().chain(two).chain(common).collect());
}

pub async fn tenants_are_served_in_turn_in_each_lane(world: &World) {
    let [a, b, c] = ["a", "b", "c"].map(tenant);
    world.work_in("sandbox:one", &[&a, &a, &a, &a, &b, &b, &c]).await;
    world.work_in("sandbox:two", &[&b, &b, &b, &c]).await;
    let mut served = [String::new(), String::new()];
    for round in 0..7 {
        // Whoever is served elsewhere meanwhile makes no difference here.
        world.register_new(&b, world.new_chat("Elsewhere")).await;
        let lanes = [alone("sandbox:one"), alone("sandbox:two"), Lane::of(Service::Sandbox)];
        let claimed = world.claim_in(&lanes, 10, second(9)).await;
        for (place, lane) in ["sandbox:one", "sandbox:two"].into_iter().enumerate() {
            let of_lane = claimed.iter().find(|claimed| claimed.lane == lane);
            served[place] += of_lane.map_or("-", |claimed| claimed.lease.tenant.as_str());
        }
        assert!(claimed.iter().any(|claimed| claimed.lane == "sandbox"), "{round}");
    }
    assert_eq!(served, ["abcabaa", "bcbb---"]);
}

pub async fn work_of_a_deleted_account_waits_for_any_account(world: &World) {
    let acme = tenant("acme");
    let account = world.account("one").await;
    let lane = account.lane(Service::Sandbox);
    let other_lane = world.account("two").await.lane(Service::Sandbox);
    let operations = world.work_in(&lane, &[&acme, &acme, &acme, &acme]).await;
    let elsewhere = world.work_in(&other_lane, &[&acme]).await;
    // One has ended, one is under way, one is put off, one is due.
    let mut claimed = Vec::new();
    for _ in 0..3 {
        claimed.extend(world.claim_in(&[alone(&lane)], 1, second(9)).await);
    }
    let [ended, running, put_off] = &claimed[..] else { panic!("{claimed:?}") };
    let given_up = Outcome::GivenUp(crate::world::rejected());
    assert!(world.finish(&ended.lease, given_up).await);
    assert!(world.finish(&put_off.lease, Outcome::Postponed { until: second(9_000), counts: false }).await);
    world.environment.advance(std::time::Duration::from_hours(2));
    let mut woken = std::pin::pin!(world.store.changes().operations.notified());
    woken.as_mut().enable();
    assert!(world.store.delete_account(Service::Sandbox, "one").await.unwrap());
    crate::world::soon(woken).await;
    let now = world.environment.now();
    let waiting = world.claim(10, now).await;
    let expected: BTreeSet<OperationId> = operations
        .iter()
        .copied()
        .filter(|id| ![ended, running].map(|one| one.lease.operation_id).contains(id))
        .collect();
    assert_eq!(ids(&waiting).into_iter().collect::<BTreeSet<_>>(), expected);
    assert_eq!(ids(&world.claim_in(&[alone(&other_lane)], 10, now).await), elsewhere);
    // What is under way goes on, and waits in the service's own lane if it must.
    assert_eq!(world.operation(&acme, running.lease.operation_id).await.status, OperationStatus::Running);
    assert!(world.finish(&running.lease, Outcome::Postponed { until: now, counts: false }).await);
    assert_eq!(ids(&world.claim(10, now).await), [running.lease.operation_id]);
    assert_eq!(world.claim_in(&[alone(&lane)], 10, now).await.len(), 0);
}

pub async fn nothing_moves_into_the_lane_of_an_account_that_is_gone(world: &World) {
    let acme = tenant("acme");
    let account = world.account("one").await;
    let lane = account.lane(Service::Sandbox);
    assert_eq!((AccountId::of_lane(&lane), AccountId::of_lane("sandbox")), (Some(account), None));
    let operations = world.work_in(&lane, &[&acme]).await;
    assert!(world.store.delete_account(Service::Sandbox, "one").await.unwrap());
    let claimed = world.claim(10, world.environment.now()).await;
    assert_eq!(ids(&claimed), operations);
    assert!(world.finish(&claimed[0].lease, Outcome::Moved { lane: lane.clone() }).await);
    assert_eq!(world.claim_in(&[alone(&lane)], 10, second(9)).await.len(), 0);
    assert_eq!(ids(&world.claim(10, world.environment.now()).await), operations);
}

pub async fn what_waits_for_an_account_is_due_when_one_is_saved(world: &World) {
    let acme = tenant("acme");
    let operation = world.register_new(&acme, world.new_chat("To be made")).await.operation_id;
    let claimed = world.claim_only().await;
    assert!(world.finish(&claimed.lease, Outcome::Postponed { until: second(9_000), counts: false }).await);
    let beside = world.work_in("sandbox:one", &[&acme]).await;
    let claimed = world.claim_in(&[alone("sandbox:one")], 1, second(9)).await;
    assert!(world.finish(&claimed[0].lease, Outcome::Postponed { until: second(9_000), counts: false }).await);
    assert_eq!(world.claim(10, second(9)).await.len(), 0);
    let mut woken = std::pin::pin!(world.store.changes().operations.notified());
    woken.as_mut().enable();
    world.account("new").await;
    crate::world::soon(woken).await;
    assert_eq!(ids(&world.claim(10, second(9)).await), [operation]);
    assert_eq!(world.operation(&acme, beside[0]).await.next_attempt_at, Some(second(9_000)), "it has an account");
}
