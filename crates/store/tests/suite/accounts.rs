//! Accounts of messengers, who holds them, and what is kept under a lease.

use std::{collections::BTreeSet, time::Duration};

use convoke_domain::{Service, Timestamp};
use convoke_provider::{
    Account, AccountCondition, AccountGroup, AccountId, AccountLease, AccountState, FeedState, NewAccount,
};

use crate::world::{ActiveChat, Database, World, at_once, closed, joined, left, person, second, tenant};

pub fn new_account(name: &str, tenants: &[&str]) -> NewAccount {
    let tenants = tenants.iter().map(|name| tenant(name)).collect();
    NewAccount { service: Service::Sandbox, name: name.to_owned(), tenants, secret: None }
}

impl World {
    /// Keeps an account that makes everybody's groups.
    pub async fn account(&self, name: &str) -> AccountId {
        self.store.save_account(new_account(name, &[])).await.expect("it is kept")
    }

    pub async fn accounts(&self) -> Vec<Account> {
        self.store.list_accounts(Service::Sandbox).await.expect("an answer")
    }

    /// Takes the account, which is free.
    pub async fn hold(&self, account: AccountId) -> AccountLease {
        let lease = self.store.lease_account(account, "holder", second(0), second(30)).await.expect("an answer");
        lease.expect("it is free")
    }

    pub async fn account_state(&self, lease: &AccountLease, state: AccountState) {
        assert!(self.store.save_account_state(lease, state).await.expect("an answer"), "the lease holds");
    }
}

/// The group of a chat, as an account's provider keeps it.
fn group(chat: &ActiveChat, state: &str) -> AccountGroup {
    let (tenant, name) = (chat.tenant.clone(), chat.group.clone());
    AccountGroup { tenant, chat_id: chat.id, provider_chat_id: name, state: state.to_owned() }
}

pub async fn accounts_are_kept_under_their_names(world: &mut World) {
    let secret = Some(vec![0, 255, 7]);
    let second_one = NewAccount { secret: secret.clone(), ..new_account("second", &["acme", "a.b-c_d"]) };
    let second_id = world.store.save_account(second_one).await.unwrap();
    let first_id = world.account("First").await;
    let elsewhere = NewAccount { service: Service::Telegram, ..new_account("second", &[]) };
    let elsewhere = world.store.save_account(elsewhere).await.unwrap();
    assert_eq!(BTreeSet::from([first_id, second_id, elsewhere]).len(), 3);
    world.reopen().await;
    let accounts = world.accounts().await;
    assert_eq!(accounts.iter().map(|account| account.name.as_str()).collect::<Vec<_>>(), ["First", "second"]);
    let [first, second] = &accounts[..] else { unreachable!("there are two") };
    assert_eq!((first.id, first.tenants.len(), &first.secret), (first_id, 0, &None));
    assert_eq!((second.id, &second.tenants), (second_id, &vec![tenant("acme"), tenant("a.b-c_d")]));
    assert_eq!((&second.secret, &second.state), (&secret, &AccountState::default()));
    assert_eq!((&second.held, &second.feed, second.fed_at, second.groups), (&None, &None, None, 0));
    assert_eq!(world.store.list_accounts(Service::Telegram).await.unwrap()[0].id, elsewhere);
}

pub async fn an_account_that_is_saved_again_keeps_what_it_is(world: &World) {
    let id = world.account("one").await;
    let lease = world.hold(id).await;
    world.store.save_account_user(id, "77").await.unwrap();
    assert_eq!(world.accounts().await[0].state.external_id.as_deref(), Some("77"));
    world.store.save_account_user(id, "78").await.unwrap();
    let state = AccountState { external_id: Some("77".to_owned()), ..AccountState::default() };
    assert_eq!(world.accounts().await[0].state, state, "whose it is does not change");
    let state = AccountState {
        external_id: Some("77".to_owned()),
        condition: AccountCondition::Unusable("banned".to_owned()),
        cooldown_until: Some(second(500)),
    };
    world.account_state(&lease, state.clone()).await;
    let feed = FeedState { feed: Some("fed".to_owned()), groups: Vec::new(), at: second(3) };
    assert!(world.store.save_feed(&lease, feed).await.unwrap());
    assert_eq!(world.accounts().await[0].state, state);

    let again = NewAccount { secret: Some(vec![1]), ..new_account("one", &["acme"]) };
    assert_eq!(world.store.save_account(again).await.unwrap(), id);
    let accounts = world.accounts().await;
    assert_eq!(accounts.len(), 1);
    assert_eq!((&accounts[0].tenants, &accounts[0].secret), (&vec![tenant("acme")], &Some(vec![1])));
    assert_eq!(accounts[0].state, AccountState { condition: AccountCondition::Usable, ..state });
    assert_eq!((accounts[0].feed.as_deref(), accounts[0].fed_at), (Some("fed"), Some(second(3))));
    assert_eq!(accounts[0].held, Some(("holder".to_owned(), second(30))));
    assert!(world.store.extend_account(&lease, second(60)).await.unwrap(), "whoever holds it goes on");
}

pub async fn an_account_is_held_by_one_at_a_time(world: &World) {
    let id = world.account("one").await;
    let [here, there] = world.twice().await;
    let take = async |world: &World, owner: &str, now: Timestamp| {
        world.store.lease_account(id, owner, now, now.plus(Duration::from_secs(30))).await.unwrap()
    };
    let first = take(&here, "here", second(0)).await.expect("nobody holds it");
    assert_eq!(take(&there, "there", second(29)).await, None);
    assert_eq!(take(&here, "here", second(29)).await, None, "not even to whoever holds it");
    assert!(here.store.extend_account(&first, second(60)).await.unwrap());
    assert_eq!(take(&there, "there", second(59)).await, None);
    assert_eq!(there.accounts().await[0].held, Some(("here".to_owned(), second(60))));
    // Nobody has taken it meanwhile, so that it may still be extended and used.
    assert!(here.store.extend_account(&first, second(100)).await.unwrap());
    let second_lease = take(&there, "there", second(101)).await.expect("it is over");
    assert!(second_lease.fence > first.fence);
    assert!(!here.store.extend_account(&first, second(200)).await.unwrap());
    here.store.release_account(&first).await.unwrap();
    assert_eq!(take(&here, "here", second(102)).await, None, "whoever lost it can't give it back");
    there.store.release_account(&second_lease).await.unwrap();
    assert_eq!(there.accounts().await[0].held, None);
    let third = take(&here, "here", second(103)).await.expect("it was given back");
    assert!(third.fence > second_lease.fence);
    assert_eq!(
        world.store.lease_account(AccountId(world.new_chat("x").id.0), "o", second(0), second(1)).await.unwrap(),
        None
    );
}

pub async fn of_many_who_want_an_account_at_once_one_gets_it(world: &World) {
    let id = world.account("one").await;
    let worlds = world.twice().await;
    for round in 0..5 {
        let (now, until) = (second(round * 100), second(round * 100 + 30));
        let leases = at_once((0..10).map(|number| {
            let world = worlds[number % 2].clone();
            async move { world.store.lease_account(id, &format!("owner {number}"), now, until).await.unwrap() }
        }))
        .await;
        assert_eq!(leases.iter().flatten().count(), 1, "{leases:?}");
    }
}

pub async fn a_lost_account_lease_changes_nothing(world: &World) {
    let acme = tenant("acme");
    let chat = world.active_chat(&acme, "Open").await;
    let id = world.account("one").await;
    let stale = world.hold(id).await;
    assert!(world.store.save_account_group(&stale, group(&chat, "as it was")).await.unwrap());
    let held = world.store.lease_account(id, "another", second(31), second(61)).await.unwrap().expect("it is over");
    assert_nothing_changes(world, &chat, &stale).await;
    let from_the_future = AccountLease { fence: held.fence + 1, ..held.clone() };
    assert_nothing_changes(world, &chat, &from_the_future).await;
    world.store.release_account(&held).await.unwrap();
    assert_nothing_changes(world, &chat, &held).await;
    let gone = world.hold(id).await;
    assert!(world.store.delete_account(Service::Sandbox, "one").await.unwrap());
    assert_nothing_changes(world, &chat, &gone).await;
}

async fn assert_nothing_changes(world: &World, chat: &ActiveChat, lease: &AccountLease) {
    let seen = async || {
        let accounts = format!("{:?}", world.accounts().await);
        (accounts, world.store.list_groups(lease.account).await.unwrap())
    };
    let before = seen().await;
    let store = &world.store;
    assert!(!store.extend_account(lease, second(1_000)).await.unwrap());
    let state = AccountState { condition: AccountCondition::Full, ..AccountState::default() };
    assert!(!store.save_account_state(lease, state).await.unwrap());
    let groups = vec![(chat.group.clone(), "lost".to_owned())];
    let feed = FeedState { feed: Some("lost".to_owned()), groups, at: second(1_000) };
    assert!(!store.save_feed(lease, feed).await.unwrap());
    assert!(!store.save_account_group(lease, group(chat, "lost")).await.unwrap());
    store.release_account(lease).await.unwrap();
    assert_eq!(seen().await, before);
}

pub async fn an_account_lease_outlives_the_store_where_others_may_serve(world: &mut World) {
    let id = world.account("one").await;
    world.hold(id).await;
    world.reopen().await;
    let taken = world.store.lease_account(id, "another", second(1), second(31)).await.unwrap();
    match world.home.kind() {
        Database::Sqlite => assert!(taken.is_some(), "whoever held it is gone: only one process serves"),
        Database::Postgres => assert_eq!(taken, None),
    }
}

pub async fn the_state_and_the_secret_are_the_holders_to_change(world: &World) {
    let id = world.account("one").await;
    let lease = world.hold(id).await;
    for condition in [AccountCondition::Full, AccountCondition::Unusable("é".to_owned()), AccountCondition::Usable] {
        let state = AccountState { condition, ..AccountState::default() };
        world.account_state(&lease, state.clone()).await;
        assert_eq!(world.accounts().await[0].state, state);
    }
}

pub async fn the_feed_and_the_groups_that_it_told_of_are_kept_together(world: &World) {
    let acme = tenant("acme");
    let (one, two) = (world.active_chat(&acme, "One").await, world.active_chat(&tenant("other"), "Two").await);
    let (id, beside) = (world.account("one").await, world.account("beside").await);
    let (lease, lease_beside) = (world.hold(id).await, world.hold(beside).await);
    let elsewhere = world.active_chat(&acme, "Elsewhere").await;
    for chat in [&one, &two] {
        assert!(world.store.save_account_group(&lease, group(chat, "new")).await.unwrap());
    }
    assert!(world.store.save_account_group(&lease_beside, group(&elsewhere, "new")).await.unwrap());
    let feed = |feed: Option<&str>, changed: &[(&str, &str)], at: Timestamp| {
        let groups = changed.iter().map(|(name, state)| ((*name).to_owned(), (*state).to_owned())).collect();
        FeedState { feed: feed.map(str::to_owned), groups, at }
    };
    let changed =
        [(one.group.as_str(), "first"), (one.group.as_str(), "last"), ("unknown", "x"), (&elsewhere.group, "x")];
    assert!(world.store.save_feed(&lease, feed(Some("at 7"), &changed, second(7))).await.unwrap());
    let states = async |account: AccountId| {
        let groups = world.store.list_groups(account).await.unwrap();
        groups.into_iter().map(|group| (group.provider_chat_id, group.state)).collect::<BTreeSet<_>>()
    };
    let now = BTreeSet::from([(one.group.clone(), "last".to_owned()), (two.group.clone(), "new".to_owned())]);
    assert_eq!(states(id).await, now);
    assert_eq!(states(beside).await, BTreeSet::from([(elsewhere.group.clone(), "new".to_owned())]));
    // Nothing new, but it was looked.
    assert!(world.store.save_feed(&lease, feed(None, &[], second(9))).await.unwrap());
    let accounts = world.accounts().await;
    let account = accounts.iter().find(|account| account.id == id).unwrap();
    assert_eq!((account.feed.as_deref(), account.fed_at, account.groups), (Some("at 7"), Some(second(9)), 2));
}

pub async fn a_group_is_its_accounts_while_that_is_kept(world: &mut World) {
    let acme = tenant("acme");
    let chat = world.active_chat(&acme, "Open").await;
    let id = world.account("one").await;
    let lease = world.hold(id).await;
    let find = async |world: &World, service: Service, name: &str| {
        world.store.find_group_account(service, name).await.unwrap()
    };
    assert_eq!(find(world, Service::Sandbox, &chat.group).await, None);
    assert!(world.store.save_account_group(&lease, group(&chat, "{}")).await.unwrap());
    world.reopen().await;
    assert_eq!(find(world, Service::Sandbox, &chat.group).await, Some((id, group(&chat, "{}"))));
    assert_eq!(find(world, Service::Telegram, &chat.group).await, None);
    assert_eq!(find(world, Service::Sandbox, "another").await, None);
    assert_eq!(world.store.find_placement(&acme, chat.id).await.unwrap(), Some(id));
    assert_eq!(world.store.list_groups(id).await.unwrap(), [group(&chat, "{}")]);
    // A group that is closed is not listed, but it is still its account's.
    world.record(&[closed(&chat.group, second(1))]).await;
    assert_eq!(world.store.list_groups(id).await.unwrap(), []);
    assert_eq!(world.accounts().await[0].groups, 0);
    assert_eq!(find(world, Service::Sandbox, &chat.group).await, Some((id, group(&chat, "{}"))));
    assert!(world.store.delete_account(Service::Sandbox, "one").await.unwrap());
    assert_eq!(find(world, Service::Sandbox, &chat.group).await, None);
    assert_eq!(world.number("select count(*) as number from provider_groups").await, 1, "it stays on record");
}

pub async fn a_name_is_one_groups(world: &World) {
    let acme = tenant("acme");
    let (one, two) = (world.active_chat(&acme, "One").await, world.active_chat(&acme, "Two").await);
    let lease = world.hold(world.account("one").await).await;
    assert!(world.store.save_account_group(&lease, group(&one, "{}")).await.unwrap());
    let the_same = AccountGroup { provider_chat_id: one.group.clone(), ..group(&two, "{}") };
    assert!(world.store.save_account_group(&lease, the_same).await.is_err());
    assert!(world.store.save_account_group(&lease, group(&one, "newer")).await.unwrap());
    assert_eq!(world.store.list_groups(lease.account).await.unwrap(), [group(&one, "newer")]);
}

pub async fn whoever_is_in_is_told_by_the_record(world: &World) {
    let chat = world.active_chat(&tenant("acme"), "Open").await;
    let beside = world.active_chat(&tenant("other"), "Beside").await;
    world.record(&[joined(&beside.group, second(1), "eve")]).await;
    let events = [
        joined(&chat.group, second(2), "ana"),
        joined(&chat.group, second(1), "bob"),
        joined(&chat.group, second(3), "eve"),
        left(&chat.group, second(4), "ana"),
        left(&chat.group, second(5), "eve"),
        joined(&chat.group, second(6), "ana"),
    ];
    world.record(&events).await;
    let members = async |service: Service, name: &str| world.store.members_on_record(service, name).await.unwrap();
    let owner = world.chat(&chat.tenant, chat.id).await.participants[0].participations[0].joined_at;
    let expected =
        [("owner".to_owned(), owner), (person("bob").external_id, second(1)), (person("ana").external_id, second(6))];
    assert_eq!(members(Service::Sandbox, &chat.group).await, expected);
    assert_eq!(members(Service::Telegram, &chat.group).await, []);
    assert_eq!(members(Service::Sandbox, "unknown").await, []);
    world.record(&[closed(&chat.group, second(7))]).await;
    assert_eq!(members(Service::Sandbox, &chat.group).await, []);
}

pub async fn what_an_account_knows_of_others_is_kept(world: &mut World) {
    let (one, two) = (world.account("one").await, world.account("two").await);
    let peers = |states: &[(&str, &str)]| states.iter().map(|(n, s)| ((*n).to_owned(), (*s).to_owned())).collect();
    world.store.save_peers(one, peers(&[("a", "1"), ("b", "2"), ("a", "3")])).await.unwrap();
    world.store.save_peers(one, peers(&[("b", "4")])).await.unwrap();
    world.store.save_peers(one, Vec::new()).await.unwrap();
    world.store.save_peers(two, peers(&[("a", "other")])).await.unwrap();
    world.reopen().await;
    let found =
        async |world: &World, account: AccountId, name: &str| world.store.find_peer(account, name).await.unwrap();
    assert_eq!(found(world, one, "a").await.as_deref(), Some("3"));
    assert_eq!(found(world, one, "b").await.as_deref(), Some("4"));
    assert_eq!(found(world, two, "a").await.as_deref(), Some("other"));
    assert_eq!(found(world, two, "b").await, None);
    assert!(world.store.delete_account(Service::Sandbox, "one").await.unwrap());
    assert_eq!(found(world, one, "a").await, None);
    world.store.save_peers(one, peers(&[("a", "too late")])).await.unwrap();
    assert_eq!(found(world, one, "a").await, None);
    assert_eq!(found(world, two, "a").await.as_deref(), Some("other"));
}

pub async fn only_an_account_that_is_there_is_deleted(world: &World) {
    world.account("one").await;
    assert!(!world.store.delete_account(Service::Sandbox, "two").await.unwrap());
    assert!(!world.store.delete_account(Service::Telegram, "one").await.unwrap());
    assert!(world.store.delete_account(Service::Sandbox, "one").await.unwrap());
    assert!(!world.store.delete_account(Service::Sandbox, "one").await.unwrap());
    assert_eq!(world.accounts().await.len(), 0);
}
