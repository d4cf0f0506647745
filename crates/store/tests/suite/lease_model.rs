//! Claims, leases and attempts in random sequences, compared with a small model.

use std::{collections::BTreeMap, time::Duration};

use convoke_domain::{OperationId, OperationStatus, Service, TenantId, Timestamp};
use convoke_provider::Lane;
use convoke_store::{Claim, Lease, NewChat, Outcome};

use crate::world::{Chance, World, chat_made, group_of, rejected, second, tenant};

/// How many sequences; `cargo xtask torture lease-model` sets the variable to more.
const SEQUENCES: u64 = 200;
const SEQUENCES_VARIABLE: &str = "CONVOKE_TEST_SEQUENCES";
const STEPS: u64 = 20;
const OWNERS: [&str; 2] = ["one", "two"];

/// What the model knows of an operation.
#[derive(Debug, Clone, PartialEq)]
struct Known {
    tenant: TenantId,
    status: OperationStatus,
    attempts: u32,
    fence: i64,
    due_at: Timestamp,
    lease_until: Timestamp,
    owner: &'static str,
    progress: Option<String>,
}

impl Known {
    fn waits(&self) -> bool {
        matches!(self.status, OperationStatus::Pending | OperationStatus::WaitingForProvider)
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.waits() && self.due_at <= now
    }

    fn is_held(&self, lease: &Lease) -> bool {
        self.status == OperationStatus::Running && self.fence == lease.fence
    }
}

struct Model<'a> {
    world: &'a World,
    chance: Chance,
    now: Timestamp,
    operations: BTreeMap<OperationId, Known>,
    /// Every lease that was ever given.
    leases: Vec<(Lease, convoke_domain::ChatId)>,
}

impl Model<'_> {
    async fn step(&mut self) {
        self.now = self.now.plus(Duration::from_secs(self.chance.below(20)));
        match self.chance.below(10) {
            0..2 => self.register().await,
            2..5 => self.claim().await,
            5 => self.save_progress().await,
            6..8 => self.finish().await,
            8 => self.extend().await,
            _ if self.chance.once_in(2) => self.sweep().await,
            _ => self.release().await,
        }
        self.compare().await;
    }

    async fn register(&mut self) {
        let tenant = tenant(["a", "b", "c"][self.chance.place(3)]);
        let due_at = self.now.plus(Duration::from_secs(self.chance.below(10)));
        let chat = NewChat { at: due_at, ..self.world.new_chat("To be made") };
        let operation = self.world.register_new(&tenant, chat).await.operation_id;
        let known = Known {
            tenant,
            status: OperationStatus::Pending,
            attempts: 0,
            fence: 0,
            due_at,
            lease_until: Timestamp::MIN,
            owner: "",
            progress: None,
        };
        self.operations.insert(operation, known);
    }

    async fn claim(&mut self) {
        let limit = u32::try_from(self.chance.below(4)).unwrap();
        let owner = *self.chance.one_of(&OWNERS);
        self.claim_up_to(limit, owner).await;
    }

    async fn claim_up_to(&mut self, limit: u32, owner: &'static str) {
        let due = self.operations.values().filter(|known| known.is_due(self.now)).count();
        let lease_until = self.now.plus(Duration::from_secs(30));
        let claim = Claim {
            lanes: vec![Lane::of(Service::Sandbox)],
            owner: owner.to_owned(),
            limit,
            now: self.now,
            lease_until,
        };
        let claimed = self.world.store.claim_operations(&claim).await.unwrap();
        assert!(claimed.len() <= limit as usize);
        assert_eq!(claimed.is_empty(), limit == 0 || due == 0, "something is claimed if something is due");
        for claimed in claimed {
            let known = self.operations.get_mut(&claimed.lease.operation_id).expect("what was registered");
            assert!(known.is_due(self.now), "{known:?}");
            assert_eq!((&claimed.lease.tenant, &claimed.progress), (&known.tenant, &known.progress));
            assert!(claimed.lease.fence > known.fence);
            known.fence = claimed.lease.fence;
            known.attempts += 1;
            assert_eq!(claimed.attempts, known.attempts);
            (known.status, known.owner, known.lease_until) = (OperationStatus::Running, owner, lease_until);
            self.leases.push((claimed.lease, claimed.chat_id));
        }
    }

    /// One of the leases, and what it is a lease on if it is still held.
    fn any_lease(&mut self) -> Option<(Lease, convoke_domain::ChatId, Option<&mut Known>)> {
        if self.leases.is_empty() {
            return None;
        }
        // Mostly one of the newest, which may still be held.
        let newest = self.leases.len().min(4);
        let back =
            if self.chance.once_in(4) { self.chance.place(self.leases.len()) } else { self.chance.place(newest) };
        let (lease, chat) = self.leases[self.leases.len() - 1 - back].clone();
        let known = self.operations.get_mut(&lease.operation_id).expect("what was claimed");
        let held = known.is_held(&lease);
        Some((lease, chat, held.then_some(known)))
    }

    async fn save_progress(&mut self) {
        let (world, now) = (self.world, self.now);
        let progress = format!("[{}]", self.chance.below(1_000));
        let Some((lease, _, known)) = self.any_lease() else { return };
        let saved = world.store.save_progress(&lease, Some(progress.clone()), None, now).await.unwrap();
        assert_eq!(saved, known.is_some());
        if let Some(known) = known {
            known.progress = Some(progress);
        }
    }

    async fn finish(&mut self) {
        let (world, now, which) = (self.world, self.now, self.chance.below(7));
        let Some((lease, chat, known)) = self.any_lease() else { return };
        let until = now.plus(Duration::from_secs(15));
        let outcome = match which {
            0 => chat_made(group_of(chat, now)),
            1 => Outcome::GivenUp(rejected()),
            6 => Outcome::Moved { lane: "sandbox".to_owned() },
            _ => Outcome::Postponed { until, counts: which < 4 },
        };
        let finished = world.store.finish_attempt(&lease, outcome, now).await.unwrap();
        assert_eq!(finished, known.is_some());
        let Some(known) = known else { return };
        known.status = match which {
            0 => OperationStatus::Succeeded,
            1 => OperationStatus::Failed,
            6 => OperationStatus::Pending,
            _ => OperationStatus::WaitingForProvider,
        };
        if which >= 2 {
            known.due_at = if which == 6 { now } else { until };
            known.attempts -= u32::from(which >= 4);
        }
    }

    async fn extend(&mut self) {
        let until = self.now.plus(Duration::from_secs(30));
        let mut leases: Vec<Lease> = Vec::new();
        for _ in 0..3 {
            match self.any_lease() {
                Some((lease, ..)) if leases.iter().all(|other| other.operation_id != lease.operation_id) => {
                    leases.push(lease);
                }
                _ => {}
            }
        }
        let mut lost = self.world.store.extend_leases(&leases, until).await.unwrap();
        let mut expected = Vec::new();
        for lease in &leases {
            let known = self.operations.get_mut(&lease.operation_id).expect("what was claimed");
            if known.is_held(lease) {
                known.lease_until = until;
            } else {
                expected.push(lease.operation_id);
            }
        }
        lost.sort();
        expected.sort();
        assert_eq!(lost, expected);
    }

    async fn sweep(&mut self) {
        let now = self.now;
        // Whether a lease is over at the very instant of its end is nobody's business.
        if self.operations.values().any(|known| known.lease_until == now) {
            return;
        }
        let swept = self.world.store.sweep_expired_leases(now).await.unwrap();
        let expired = |known: &Known| known.lease_until < now;
        assert_eq!(swept, self.give_back(expired));
    }

    async fn release(&mut self) {
        let owner = *self.chance.one_of(&OWNERS);
        let released = self.world.store.release_leases(owner, self.now).await.unwrap();
        assert_eq!(released, self.give_back(|known| known.owner == owner));
    }

    fn give_back(&mut self, which: impl Fn(&Known) -> bool) -> u64 {
        let mut number = 0;
        for known in self.operations.values_mut() {
            if known.status == OperationStatus::Running && which(known) {
                known.status = OperationStatus::Pending;
                known.due_at = self.now;
                number += 1;
            }
        }
        number
    }

    async fn compare(&self) {
        for (id, known) in &self.operations {
            let shown = self.world.operation(&known.tenant, *id).await;
            assert_eq!((shown.status, shown.attempts), (known.status, known.attempts));
            assert_eq!(shown.next_attempt_at, known.waits().then_some(known.due_at));
            let has_ended = matches!(known.status, OperationStatus::Succeeded | OperationStatus::Failed);
            assert_eq!(shown.completed_at.is_some(), has_ended);
        }
    }

    /// Ends everything, so that the next sequence begins with nothing to be done.
    async fn end(&mut self) {
        for owner in OWNERS {
            self.world.store.release_leases(owner, self.now).await.unwrap();
        }
        self.give_back(|_| true);
        self.now = self.now.plus(Duration::from_secs(100));
        while self.operations.values().any(Known::waits) {
            self.claim_up_to(100, OWNERS[0]).await;
            for (lease, _) in self.leases.split_off(0) {
                let known = self.operations.get_mut(&lease.operation_id).expect("what was claimed");
                let finished = self.world.finish(&lease, Outcome::GivenUp(rejected())).await;
                assert_eq!(finished, known.is_held(&lease));
                if finished {
                    known.status = OperationStatus::Failed;
                }
            }
        }
        self.compare().await;
    }
}

pub async fn leases_follow_a_small_model(world: &World) {
    let mut now = second(0);
    let asked_for = std::env::var(SEQUENCES_VARIABLE).ok().map(|number| number.parse().expect("a number"));
    for seed in 0..asked_for.unwrap_or(SEQUENCES) {
        let chance = Chance::new(seed);
        let mut model = Model { world, chance, now, operations: BTreeMap::new(), leases: Vec::new() };
        for _ in 0..STEPS {
            model.step().await;
        }
        model.end().await;
        now = model.now;
    }
}
