//! The choice, case by case and in random ones.

use std::collections::BTreeMap;

use convoke_domain::{ChatId, Environment, Service};
use convoke_test_support::TestEnvironment;
use uuid::Uuid;

use super::*;

const NOW: Timestamp = TestEnvironment::START;

fn tenant(name: &str) -> TenantId {
    name.parse().unwrap()
}

fn account(number: u128, tenants: &[&str]) -> Candidate {
    Candidate {
        id: AccountId(Uuid::from_u128(number)),
        name: format!("account {number}"),
        tenants: tenants.iter().map(|name| tenant(name)).collect(),
        state: AccountState::default(),
        groups: 0,
        placements: Vec::new(),
    }
}

/// The account, with this many placements of this tenant just now.
fn used(mut account: Candidate, by: &str, number: usize) -> Candidate {
    account.placements.extend(vec![(tenant(by), NOW); number]);
    account
}

fn asked(by: &str, budget: u32) -> NewPlacement {
    NewPlacement {
        service: Service::Telegram,
        tenant: tenant(by),
        chat_id: ChatId(Uuid::from_u128(1)),
        now: NOW,
        budget,
        capacity: 500,
    }
}

fn tenants(names: &[&str]) -> BTreeSet<TenantId> {
    names.iter().map(|name| tenant(name)).collect()
}

fn on(number: u128) -> Placement {
    Placement::On(AccountId(Uuid::from_u128(number)))
}

fn minutes(number: u64) -> Timestamp {
    NOW.plus(Duration::from_mins(number))
}

#[test]
fn fewest_groups_then_fewest_placements_then_the_name_decide() {
    let mut accounts = [account(3, &[]), account(2, &[]), account(1, &[])];
    let choose = |accounts: &[Candidate]| choose(&asked("a", 9), accounts, None, &BTreeSet::new());
    assert_eq!(choose(&accounts), on(1));
    accounts[2] = used(account(1, &[]), "a", 1);
    assert_eq!(choose(&accounts), on(2));
    accounts[0].groups = 1;
    accounts[1].groups = 2;
    accounts[2].groups = 1;
    assert_eq!(choose(&accounts), on(3));
}

#[test]
fn a_cool_down_and_a_budget_have_to_be_over_both() {
    let mut account = used(account(1, &[]), "a", 1);
    account.placements[0].1 = minutes(0).minus(WINDOW).plus(Duration::from_mins(10));
    account.state.cooldown_until = Some(minutes(5));
    let choose = |account: &Candidate| choose(&asked("a", 1), std::slice::from_ref(account), None, &BTreeSet::new());
    assert_eq!(choose(&account), Placement::NotBefore(minutes(10)));
    account.state.cooldown_until = Some(minutes(15));
    assert_eq!(choose(&account), Placement::NotBefore(minutes(15)));
    account.placements.clear();
    assert_eq!(choose(&account), Placement::NotBefore(minutes(15)));
    account.state.cooldown_until = Some(minutes(0));
    assert_eq!(choose(&account), on(1));
}

#[test]
fn a_budget_that_was_lowered_has_to_be_worked_off() {
    let mut account = account(1, &[]);
    account.placements = (1..=5).map(|n| (tenant("a"), NOW.minus(WINDOW).plus(Duration::from_mins(n)))).collect();
    let choose = |budget| choose(&asked("a", budget), std::slice::from_ref(&account), None, &BTreeSet::new());
    assert_eq!(choose(6), on(1));
    assert_eq!(choose(5), Placement::NotBefore(minutes(1)));
    assert_eq!(choose(2), Placement::NotBefore(minutes(4)));
}

#[test]
fn the_account_that_leaves_enough_to_others_is_taken_from() {
    // The least used one is the only one for those who wait.
    let mut common = account(1, &[]);
    common.groups = 0;
    let mut own = account(2, &["a"]);
    own.groups = 7;
    let had = used(account(3, &[]), "a", 1);
    let accounts = [common, own, had];
    assert_eq!(choose(&asked("a", 1), &accounts, None, &tenants(&["b"])), on(2));
    assert_eq!(choose(&asked("a", 1), &accounts, None, &tenants(&["a"])), on(1), "nobody else waits");
    let without_own = [accounts[0].clone(), accounts[2].clone()];
    assert_eq!(choose(&asked("a", 1), &without_own, None, &tenants(&["b"])), Placement::NotBefore(minutes(1)));
    assert_eq!(choose(&asked("b", 1), &without_own, None, &tenants(&["a", "b"])), on(1));
}

#[test]
fn a_choice_is_kept_whatever_others_wait_for() {
    let mut accounts = [used(account(1, &[]), "a", 5), account(2, &[])];
    let waiting = tenants(&["b"]);
    let chosen = Some(accounts[0].id);
    assert_eq!(choose(&asked("a", 5), &accounts, chosen, &waiting), on(1));
    accounts[0].state.cooldown_until = Some(minutes(1));
    assert_eq!(choose(&asked("a", 5), &accounts, chosen, &waiting), on(2));
    accounts[0].state.cooldown_until = None;
    accounts[0].tenants = vec![tenant("b")];
    assert_eq!(choose(&asked("a", 5), &accounts, chosen, &waiting), on(2));
    accounts[0].tenants = Vec::new();
    accounts[0].groups = 500;
    assert_eq!(choose(&asked("a", 5), &accounts, chosen, &waiting), on(2));
}

/// Chance that can be foretold.
struct Chance(TestEnvironment);

impl Chance {
    fn below(&self, bound: usize) -> usize {
        let mut bytes = [0; 8];
        self.0.fill_random(&mut bytes);
        usize::try_from(u64::from_le_bytes(bytes) % bound as u64).unwrap()
    }

    fn some_of(&self, names: &[&'static str]) -> Vec<&'static str> {
        names.iter().copied().filter(|_| self.below(2) == 0).collect()
    }
}

/// To how many of the tenants one can be given at most: every way is tried.
fn most_served(tenants: &[&TenantId], left: &[(&Candidate, usize)]) -> usize {
    let Some((first, others)) = tenants.split_first() else { return 0 };
    let mut most = most_served(others, left);
    for place in 0..left.len() {
        if left[place].1 > 0 && left[place].0.serves(first) {
            let mut after = left.to_vec();
            after[place].1 -= 1;
            most = most.max(1 + most_served(others, &after));
        }
    }
    most
}

#[test]
fn as_many_are_counted_as_every_way_of_sharing_yields() {
    const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    let mut seen = BTreeSet::new();
    for seed in 0..500 {
        let chance = Chance(TestEnvironment::seeded(seed));
        let accounts: Vec<Candidate> = (0..3).map(|number| account(number, &chance.some_of(&NAMES))).collect();
        let left: Vec<(&Candidate, usize)> = accounts.iter().map(|account| (account, chance.below(3))).collect();
        let waiting = tenants(&chance.some_of(&NAMES));
        let sharing = Sharing { left: left.clone(), needier: waiting.iter().collect() };
        let most = most_served(&waiting.iter().collect::<Vec<_>>(), &left);
        assert_eq!(sharing.number_served(&left), most, "seed {seed}");
        seen.insert(most);
    }
    assert!(seen.len() > 4, "{seen:?}");
}

#[test]
fn a_day_of_requests_keeps_to_the_budget_and_is_shared() {
    const NAMES: [&str; 4] = ["a", "b", "c", "d"];
    const BUDGET: u32 = 4;
    for seed in 0..100 {
        let chance = Chance(TestEnvironment::seeded(seed));
        let mut accounts = [account(0, &[]), account(1, &[]), account(2, &[])];
        // Each tenant wants a number of groups; those that want more than they have got wait.
        let mut wanted: BTreeMap<TenantId, usize> = NAMES.iter().map(|name| (tenant(name), chance.below(12))).collect();
        let mut got: BTreeMap<TenantId, usize> = BTreeMap::new();
        let mut now = NOW;
        let end = NOW.plus(Duration::from_hours(23));
        while now < end {
            let waiting: BTreeSet<TenantId> =
                wanted.iter().filter(|(_, number)| **number > 0).map(|(tenant, _)| tenant.clone()).collect();
            let name = tenant(NAMES[chance.below(NAMES.len())]);
            now = now.plus(Duration::from_mins(1));
            if !waiting.contains(&name) {
                continue;
            }
            let request = NewPlacement { now, ..asked(name.as_str(), BUDGET) };
            match choose(&request, &accounts, None, &waiting) {
                Placement::On(id) => {
                    let account = accounts.iter_mut().find(|account| account.id == id).unwrap();
                    account.placements.push((name.clone(), now));
                    *wanted.get_mut(&name).unwrap() -= 1;
                    *got.entry(name).or_default() += 1;
                }
                Placement::NotBefore(at) => assert!(at > now),
                Placement::Nowhere(reason) => panic!("{reason}"),
            }
        }
        assert!(accounts.iter().all(|account| account.placements.len() <= BUDGET as usize), "seed {seed}");
        let left = accounts.len() * BUDGET as usize - got.values().sum::<usize>();
        let still_wanted: usize = wanted.values().sum();
        assert!(left == 0 || still_wanted == 0, "seed {seed}: {left} left, and {still_wanted} wanted");
        // Whoever still waits had as many as anybody, but for the one that was left for each.
        for (name, _) in wanted.iter().filter(|(_, number)| **number > 0) {
            let own = got.get(name).copied().unwrap_or_default();
            assert!(own > 0, "seed {seed}: {name} got nothing of {got:?}");
        }
    }
}
