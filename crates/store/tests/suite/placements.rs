//! Which account makes a chat's group.

use std::{collections::BTreeMap, time::Duration};

use convoke_domain::{ChatId, Environment as _, Service, TenantId, Timestamp};
use convoke_provider::{AccountCondition, AccountGroup, AccountId, AccountState, NewPlacement, Placement};
use convoke_store::Outcome;

use crate::{
    accounts::new_account,
    world::{World, at_once, closed, rejected, second, tenant},
};

const DAY: Duration = Duration::from_hours(24);

fn asked(tenant: &TenantId, chat_id: ChatId, now: Timestamp, budget: u32) -> NewPlacement {
    NewPlacement { service: Service::Sandbox, tenant: tenant.clone(), chat_id, now, budget, capacity: 500 }
}

impl World {
    /// A chat whose group is to be made; the work is claimed, so that it does not wait.
    async fn provisioning(&self, tenant: &TenantId) -> ChatId {
        self.register_new(tenant, self.new_chat("To be placed")).await.chat_id
    }

    async fn place(&self, placement: &NewPlacement) -> Placement {
        self.store.place_chat(placement).await.expect("an answer")
    }

    /// Places a new chat of this tenant.
    async fn place_new(&self, tenant: &TenantId, now: Timestamp, budget: u32) -> Placement {
        let chat = self.provisioning(tenant).await;
        self.place(&asked(tenant, chat, now, budget)).await
    }

    /// As if the groups of all chats that were placed had been made just then.
    async fn all_are_made(&self) {
        let made = "update provider_groups set provider_chat_id = 'made at ' || placed_at, state = ''";
        self.execute(&format!("{made} where provider_chat_id is null")).await;
    }

    /// Ends the work on all chats that are being made, so that nobody waits for an account; none of them fails.
    async fn nobody_waits(&self) {
        for claimed in self.claim(1_000, second(0)).await {
            let put_off = Outcome::Postponed { until: Timestamp::MAX, counts: false };
            assert!(self.finish(&claimed.lease, put_off).await);
        }
        self.execute("update operations set lane = 'elsewhere' where state = 'waitingForProvider'").await;
    }
}

pub async fn the_least_used_account_is_chosen(world: &World) {
    let acme = tenant("acme");
    let [b, a, c] = [world.account("b").await, world.account("a").await, world.account("c").await];
    let mut chosen = Vec::new();
    for _ in 0..6 {
        chosen.push(world.place_new(&acme, second(0), 20).await);
    }
    assert_eq!(chosen, [a, b, c, a, b, c].map(Placement::On));
    let chat = world.provisioning(&acme).await;
    assert_eq!(world.store.find_placement(&acme, chat).await.unwrap(), None);
    world.place(&asked(&acme, chat, second(0), 20)).await;
    assert_eq!(world.store.find_placement(&acme, chat).await.unwrap(), Some(a));
    assert_eq!(world.store.find_placement(&tenant("other"), chat).await.unwrap(), None);
    assert_eq!(world.store.list_groups(a).await.unwrap(), [], "none is made yet");
}

pub async fn an_account_makes_the_groups_of_its_tenants(world: &World) {
    let (acme, other) = (tenant("acme"), tenant("other"));
    let own = world.store.save_account(new_account("z", &["acme", "third"])).await.unwrap();
    assert_eq!(world.place_new(&acme, second(0), 20).await, Placement::On(own));
    let nowhere = world.place_new(&other, second(0), 20).await;
    assert_eq!(nowhere, Placement::Nowhere("no account makes groups of this tenant".to_owned()));
    let common = world.account("common").await;
    assert_eq!(world.place_new(&other, second(0), 20).await, Placement::On(common));
    assert_eq!(world.place_new(&other, second(0), 20).await, Placement::On(common));
    assert_eq!(world.place_new(&tenant("third"), second(0), 20).await, Placement::On(own), "it is the less used");
}

pub async fn only_usable_accounts_are_chosen(world: &World) {
    let acme = tenant("acme");
    let nowhere = |reason: &str| Placement::Nowhere(reason.to_owned());
    assert_eq!(world.place_new(&acme, second(0), 20).await, nowhere("there is no account"));
    let a = world.account("a").await;
    let b = world.account("b").await;
    let (lease_of_a, lease_of_b) = (world.hold(a).await, world.hold(b).await);
    let state = |condition: AccountCondition| AccountState { condition, ..AccountState::default() };
    world.account_state(&lease_of_a, state(AccountCondition::Full)).await;
    assert_eq!(world.place_new(&acme, second(0), 20).await, Placement::On(b));
    world.account_state(&lease_of_b, state(AccountCondition::Unusable("banned".to_owned()))).await;
    assert_eq!(world.place_new(&acme, second(0), 20).await, nowhere("every account that can be used is full"));
    world.account_state(&lease_of_a, state(AccountCondition::Unusable("banned".to_owned()))).await;
    assert_eq!(world.place_new(&acme, second(0), 20).await, nowhere("no account can be used"));
    world.account_state(&lease_of_a, state(AccountCondition::Full)).await;
    world.account_state(&lease_of_b, state(AccountCondition::Full)).await;
    assert_eq!(world.place_new(&acme, second(0), 20).await, nowhere("every account is full"));

    let cooling = |until: Timestamp| AccountState { cooldown_until: Some(until), ..AccountState::default() };
    world.account_state(&lease_of_a, cooling(second(200))).await;
    world.account_state(&lease_of_b, cooling(second(100))).await;
    assert_eq!(world.place_new(&acme, second(99), 20).await, Placement::NotBefore(second(100)));
    assert_eq!(world.place_new(&acme, second(100), 20).await, Placement::On(b));
    world.account_state(&lease_of_b, state(AccountCondition::Full)).await;
    assert_eq!(world.place_new(&acme, second(100), 20).await, Placement::NotBefore(second(200)));
}

pub async fn a_budget_lasts_for_24_hours(world: &World) {
    let acme = tenant("acme");
    let [a, b] = [world.account("a").await, world.account("b").await];
    for (at, account) in [(0, a), (1, b), (2, a), (3, b)] {
        assert_eq!(world.place_new(&acme, second(at), 2).await, Placement::On(account));
    }
    world.all_are_made().await;
    let wanted = world.provisioning(&acme).await;
    let place = async |now: Timestamp| world.place(&asked(&acme, wanted, now, 2)).await;
    assert_eq!(place(second(4)).await, Placement::NotBefore(second(0).plus(DAY)));
    let just_before = Timestamp::from_millis(second(0).plus(DAY).as_millis() - 1);
    assert_eq!(place(just_before).await, Placement::NotBefore(second(0).plus(DAY)));
    assert_eq!(place(second(0).plus(DAY)).await, Placement::On(a));
    assert_eq!(world.place_new(&acme, second(0).plus(DAY), 2).await, Placement::NotBefore(second(1).plus(DAY)));
    assert_eq!(
        world.place_new(&acme, second(0).plus(DAY), 3).await,
        Placement::On(b),
        "a greater budget holds at once"
    );
    assert_eq!(
        world.place_new(&acme, second(0).plus(DAY), 0).await,
        Placement::Nowhere("the budget of new groups is nothing".to_owned())
    );
}

pub async fn an_account_that_has_enough_groups_is_full(world: &World) {
    let acme = tenant("acme");
    let account = world.account("a").await;
    let lease = world.hold(account).await;
    let chat = world.active_chat(&acme, "Open").await;
    let group = AccountGroup {
        tenant: acme.clone(),
        chat_id: chat.id,
        provider_chat_id: chat.group.clone(),
        state: String::new(),
    };
    assert!(world.store.save_account_group(&lease, group).await.unwrap());
    let place = async |chat: ChatId| {
        let placement = NewPlacement { capacity: 2, ..asked(&acme, chat, second(0), 20) };
        world.place(&placement).await
    };
    let (one, two) = (world.provisioning(&acme).await, world.provisioning(&acme).await);
    assert_eq!(place(one).await, Placement::On(account));
    assert_eq!(place(one).await, Placement::On(account), "its own place is not another one");
    assert_eq!(place(two).await, Placement::Nowhere("every account is full".to_owned()));
    world.record(&[closed(&chat.group, second(1))]).await;
    assert_eq!(place(two).await, Placement::On(account));
    // Chats that failed need no group either.
    let failing = world.claim(2, second(0)).await;
    assert_eq!(place(world.provisioning(&acme).await).await, Placement::Nowhere("every account is full".to_owned()));
    for claimed in failing {
        assert!(world.finish(&claimed.lease, Outcome::GivenUp(rejected())).await);
    }
    assert_eq!(place(world.provisioning(&acme).await).await, Placement::On(account));
}

pub async fn a_choice_stays_as_long_as_its_account_can_be_used(world: &World) {
    let acme = tenant("acme");
    let [a, b] = [world.account("a").await, world.account("b").await];
    let lease = world.hold(a).await;
    let chat = world.provisioning(&acme).await;
    let place = async |now: Timestamp| world.place(&asked(&acme, chat, now, 1)).await;
    assert_eq!(place(second(0)).await, Placement::On(a));
    assert_eq!(world.place_new(&acme, second(0), 1).await, Placement::On(b));
    assert_eq!(place(second(1)).await, Placement::On(a), "it is in the budget already");
    assert_eq!(place(second(0).plus(3 * DAY)).await, Placement::On(a), "however long ago");

    let cooling = AccountState { cooldown_until: Some(second(100)), ..AccountState::default() };
    world.account_state(&lease, cooling).await;
    assert_eq!(place(second(10)).await, Placement::NotBefore(second(100)), "the other one's budget is used up");
    assert_eq!(world.store.find_placement(&acme, chat).await.unwrap(), Some(a));
    let c = world.account("c").await;
    assert_eq!(place(second(10)).await, Placement::On(c));
    assert_eq!(world.store.find_placement(&acme, chat).await.unwrap(), Some(c));
    assert_eq!(place(second(100)).await, Placement::On(c), "the first one takes calls again, but is not asked for");
    assert_eq!(
        world.place_new(&acme, second(100), 1).await,
        Placement::On(a),
        "nothing is left there of the first choice"
    );
}

pub async fn a_choice_counts_until_a_day_after_its_group_is_made(world: &World) {
    let acme = tenant("acme");
    let account = world.account("a").await;
    let lease = world.hold(account).await;
    let chat = world.provisioning(&acme).await;
    let placed_at = world.environment.now().minus(9 * DAY);
    assert_eq!(world.place(&asked(&acme, chat, placed_at, 1)).await, Placement::On(account));
    // Its group may be made at any time, so that nobody else may take its place.
    let later = placed_at.plus(3 * DAY);
    assert_eq!(world.place_new(&acme, later, 1).await, Placement::NotBefore(later.plus(Duration::from_mins(1))));
    let before = world.environment.now();
    let group = AccountGroup { tenant: acme.clone(), chat_id: chat, provider_chat_id: "g".into(), state: "s".into() };
    assert!(world.store.save_account_group(&lease, group.clone()).await.unwrap());
    let Placement::NotBefore(at) = world.place_new(&acme, before, 1).await else { panic!("it was made just now") };
    assert!(at > before.plus(DAY) && at < world.environment.now().plus(DAY));
    // Whatever is kept of it later, it was made once.
    world.environment.advance(Duration::from_mins(1));
    let newer = AccountGroup { state: "newer".into(), ..group };
    assert!(world.store.save_account_group(&lease, newer).await.unwrap());
    assert_eq!(world.place_new(&acme, at, 1).await, Placement::On(account));
    // A chat that is given up needs its place no more.
    for claimed in world.claim(10, second(0)).await {
        assert!(world.finish(&claimed.lease, Outcome::GivenUp(rejected())).await);
    }
    assert_eq!(world.place_new(&acme, at.plus(3 * DAY), 1).await, Placement::On(account));
}

pub async fn a_group_that_is_made_stays_with_its_account(world: &World) {
    let acme = tenant("acme");
    let a = world.account("a").await;
    let lease = world.hold(a).await;
    let chat = world.provisioning(&acme).await;
    assert_eq!(world.place(&asked(&acme, chat, second(0), 20)).await, Placement::On(a));
    let group = AccountGroup { tenant: acme.clone(), chat_id: chat, provider_chat_id: "g".into(), state: "s".into() };
    assert!(world.store.save_account_group(&lease, group.clone()).await.unwrap());
    let full = AccountState { condition: AccountCondition::Full, ..AccountState::default() };
    world.account_state(&lease, full).await;
    let b = world.account("b").await;
    assert_eq!(world.place(&asked(&acme, chat, second(0), 20)).await, Placement::On(a));
    assert_eq!(world.store.find_group_account(Service::Sandbox, "g").await.unwrap(), Some((a, group)));
    // Unless that is gone, and the group with it.
    assert!(world.store.delete_account(Service::Sandbox, "a").await.unwrap());
    assert_eq!(world.store.find_placement(&acme, chat).await.unwrap(), None);
    assert_eq!(world.place(&asked(&acme, chat, second(0), 20)).await, Placement::On(b));
    assert_eq!(world.store.find_group_account(Service::Sandbox, "g").await.unwrap(), None);
    assert_eq!(world.store.find_placement(&acme, chat).await.unwrap(), Some(b));
}

pub async fn tenants_that_wait_share_what_is_left(world: &World) {
    let (busy, quiet, third) = (tenant("busy"), tenant("quiet"), tenant("third"));
    let a = world.account("a").await;
    for _ in 0..3 {
        assert_eq!(world.place_new(&busy, second(0), 5).await, Placement::On(a));
    }
    world.nobody_waits().await;
    let of_quiet = world.provisioning(&quiet).await;
    let of_busy = world.provisioning(&busy).await;
    let place_busy = async |now: Timestamp| world.place(&asked(&busy, of_busy, now, 5)).await;
    assert_eq!(place_busy(second(1)).await, Placement::On(a), "one is left for who waits");
    let next_of_busy = world.provisioning(&busy).await;
    let place_next = async |now: Timestamp| world.place(&asked(&busy, next_of_busy, now, 5)).await;
    assert_eq!(place_next(second(2)).await, Placement::NotBefore(second(62)), "the last one is the other's");
    // Work that is under way waits as well: it is about to ask.
    let claimed = world.claim(10, second(0)).await;
    assert_eq!(place_next(second(2)).await, Placement::NotBefore(second(62)));
    let before_the_return = Timestamp::from_millis(second(0).plus(DAY).as_millis() - 5_000);
    assert_eq!(place_next(before_the_return).await, Placement::NotBefore(second(0).plus(DAY)));
    // Who waits for something else does not wait for an account.
    for claimed in claimed.iter().filter(|claimed| claimed.lease.tenant == quiet) {
        assert!(world.finish(&claimed.lease, Outcome::GivenUp(rejected())).await);
    }
    assert_eq!(place_next(second(2)).await, Placement::On(a));
    assert_eq!(world.place(&asked(&quiet, of_quiet, second(3), 5)).await, Placement::NotBefore(second(0).plus(DAY)));
    // Nor who has had as much, or has no account that serves them.
    world.store.save_account(new_account("b", &["busy", "third"])).await.unwrap();
    let taken = world.place_new(&third, second(4), 2).await;
    let Placement::On(b) = taken else { panic!("{taken:?}") };
    world.nobody_waits().await;
    world.provisioning(&quiet).await;
    assert_eq!(world.place_new(&busy, second(4), 2).await, Placement::On(b), "it is of no use to who waits");
}

pub async fn placements_at_once_keep_to_the_budget(world: &World) {
    const BUDGET: usize = 3;
    let tenants = [tenant("a"), tenant("b")];
    let accounts = [world.account("one").await, world.account("two").await];
    let mut chats = Vec::new();
    for number in 0..20 {
        let of = tenants[number % 2].clone();
        chats.push((of.clone(), world.provisioning(&of).await));
    }
    world.nobody_waits().await;
    let worlds = world.twice().await;
    let placed = at_once(chats.into_iter().enumerate().map(|(number, (of, chat))| {
        let world = worlds[number % 2].clone();
        async move { world.place(&asked(&of, chat, second(1), u32::try_from(BUDGET).unwrap())).await }
    }))
    .await;
    let mut number: BTreeMap<AccountId, usize> = BTreeMap::new();
    for placement in placed {
        match placement {
            Placement::On(account) => *number.entry(account).or_default() += 1,
            other => assert_eq!(other, Placement::NotBefore(second(1).plus(DAY))),
        }
    }
    assert_eq!(number, accounts.map(|account| (account, BUDGET)).into());
}

pub async fn choices_are_counted_as_they_count(world: &World) {
    let acme = tenant("acme");
    let counted = async |now| world.store.count_choices(Service::Sandbox, now).await.unwrap();
    let [a, b] = [world.account("a").await, world.account("b").await];
    assert_eq!(counted(second(0)).await, []);
    for number in 0..3 {
        world.place_new(&acme, second(number), 20).await;
    }
    let mut both = counted(second(2)).await;
    both.sort_unstable();
    let mut expected = [(a, 2), (b, 1)];
    expected.sort_unstable();
    assert_eq!(both, expected);
    assert_eq!(world.store.count_choices(Service::Telegram, second(2)).await.unwrap(), []);
    assert_eq!(counted(second(2).plus(DAY)).await.len(), 2, "they may be made at any time");
    world.all_are_made().await;
    assert_eq!(counted(second(1).plus(DAY)).await, [(a, 1)]);
    assert_eq!(counted(second(2).plus(DAY)).await, []);
}
