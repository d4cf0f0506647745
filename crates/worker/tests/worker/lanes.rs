//! Work for accounts: it goes to the lane of the one that does it, waits where none can, and is done once.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use convoke_domain::{ChatStatus, Environment as _, OperationStatus, Service};
use convoke_provider::{CreateChat, Lane, Provider as _, ProviderError, Work};
use convoke_sandbox::{Action, Sandbox, SandboxSettings};
use convoke_store::{Claim, Outcome};
use tokio_postgres::NoTls;

use crate::{
    accounts::{Accounts, Trouble},
    provider::{Interrupted, Interruption},
    world::{Backend, World},
};

const HOUR: Duration = Duration::from_hours(1);

async fn a_chat_is_made_in_the_lane_of_its_account(backend: Backend) {
    let world = World::new(backend).await;
    let (provider, accounts) = Accounts::hold(&world, &["one"]).await;
    let provider = Arc::new(provider);
    let worker = world.run(provider.clone());
    let (chat, operation) = world.register("Moved").await;
    let ended = world.ended(operation).await;
    assert_eq!((ended.status, ended.attempts), (OperationStatus::Succeeded, 1), "to move is no attempt");
    assert_eq!(provider.calls(), [(accounts[0], "make")]);
    assert_eq!(world.store.list_groups(accounts[0]).await.unwrap()[0].chat_id, chat);
    world.is_consistent(chat, ChatStatus::Active).await;
    worker.stop().await;
}

async fn another_account_makes_what_one_can_not(backend: Backend) {
    let unusable = ProviderError::AccountUnusable("banned".to_owned());
    for refusal in [ProviderError::RetryAfter(HOUR), unusable] {
        for trouble in [Trouble::Refused(refusal.clone()), Trouble::Forgotten(refusal.clone())] {
            let is_forgotten = matches!(trouble, Trouble::Forgotten(_));
            let world = World::new(backend).await;
            let (provider, accounts) = Accounts::hold(&world, &["one", "two"]).await;
            let provider = Arc::new(provider);
            provider.trouble(accounts[0], trouble);
            let worker = world.run(provider.clone());
            let (chat, operation) = world.register("Moved on").await;
            if is_forgotten {
                // The account is chosen again and again: it is not asked again before it said.
                let waiting = world.until(operation, |status| status == OperationStatus::WaitingForProvider).await;
                assert_eq!(waiting.attempts, 0);
                world.environment.advance(HOUR);
            }
            let ended = world.ended(operation).await;
            assert_eq!((ended.status, ended.attempts), (OperationStatus::Succeeded, 1), "{refusal:?}");
            let second = accounts[usize::from(!is_forgotten)];
            assert_eq!(provider.calls(), [(accounts[0], "make"), (second, "make")], "{refusal:?}");
            world.is_consistent(chat, ChatStatus::Active).await;
            worker.stop().await;
        }
    }
}

async fn a_chat_waits_until_its_only_account_takes_calls(backend: Backend) {
    let world = World::new(backend).await;
    let (provider, accounts) = Accounts::hold(&world, &["one"]).await;
    let provider = Arc::new(provider);
    provider.trouble(accounts[0], Trouble::Refused(ProviderError::RetryAfter(HOUR)));
    let worker = world.run(provider.clone());
    let (chat, operation) = world.register("Later").await;
    let waiting = world.until(operation, |status| status == OperationStatus::WaitingForProvider).await;
    assert_eq!(waiting.attempts, 0);
    let usable_at = world.store.list_accounts(Service::Sandbox).await.unwrap()[0].state.cooldown_until.unwrap();
    assert!(waiting.next_attempt_at.unwrap() >= usable_at);
    assert!(waiting.next_attempt_at.unwrap() <= waiting.updated_at.plus(HOUR), "no later than it need be");
    assert_eq!(world.chat(chat).await.status, ChatStatus::Provisioning);
    world.environment.advance(HOUR + Duration::from_secs(1));
    assert_eq!(world.ended(operation).await.status, OperationStatus::Succeeded);
    assert_eq!(provider.calls().len(), 2, "it was not called in between");
    world.is_consistent(chat, ChatStatus::Active).await;
    worker.stop().await;
}

async fn a_chat_waits_for_an_account_to_be_there(backend: Backend) {
    let world = World::new(backend).await;
    let (without_accounts, _) = Accounts::hold(&world, &[]).await;
    let worker = world.run(Arc::new(without_accounts));
    let begun_at = world.environment.now();
    let (chat, operation) = world.register("Nobody there").await;
    let waiting = world.until(operation, |status| status == OperationStatus::WaitingForProvider).await;
    assert_eq!(waiting.attempts, 0);
    assert!(waiting.next_attempt_at.unwrap() >= begun_at.plus(Duration::from_mins(1)));
    assert!(waiting.next_attempt_at.unwrap() <= waiting.updated_at.plus(Duration::from_mins(1)));
    // The clock stands where it stood: what waits is due once there is one. Another process holds it.
    let (provider, accounts) = Accounts::hold(&world, &["new"]).await;
    let provider = Arc::new(provider);
    let holder = world.run(provider.clone());
    assert_eq!(world.ended(operation).await.status, OperationStatus::Succeeded);
    assert_eq!(provider.calls(), [(accounts[0], "make")]);
    world.is_consistent(chat, ChatStatus::Active).await;
    worker.stop().await;
    holder.stop().await;
}

async fn an_account_is_given_one_thing_to_do_at_a_time(backend: Backend) {
    let world = World::new(backend).await;
    let (provider, accounts) = Accounts::hold(&world, &["one", "two"]).await;
    let provider = Arc::new(provider);
    let worker = world.run(provider.clone());
    let mut registered = Vec::new();
    for number in 0..20 {
        registered.push(world.register(&format!("Chat {number}")).await);
    }
    for (chat, operation) in registered {
        assert_eq!(world.ended(operation).await.status, OperationStatus::Succeeded);
        assert_eq!(world.chat(chat).await.participants.len(), 1);
    }
    assert!(!provider.overlapped.load(Ordering::SeqCst));
    for account in accounts {
        assert_eq!(provider.calls().iter().filter(|(called, _)| *called == account).count(), 10);
    }
    worker.stop().await;
}

async fn a_removal_is_the_business_of_the_groups_account(backend: Backend) {
    let world = World::new(backend).await;
    let (provider, accounts) = Accounts::hold(&world, &["one", "two"]).await;
    let provider = Arc::new(provider);
    let worker = world.run(provider.clone());
    world.ended(world.register("Beside").await.1).await;
    let (chat, operation) = world.register("Removal").await;
    world.ended(operation).await;
    let sandbox = Sandbox::new(world.store.clone(), world.environment(), SandboxSettings::default());
    let link = world.store.find_invitation(&world.tenant, chat).await.unwrap().unwrap().link.unwrap();
    let group = sandbox.find_group(link.strip_prefix("/sandbox/").unwrap()).await.unwrap().unwrap();
    let join = Action::Join { username: "ada".into(), firstname: None, lastname: None, invited_by: None };
    sandbox.act(&group, &join).await.unwrap();
    let joined = world.chat_until(chat, |chat| chat.participants.len() == 2).await;
    provider.trouble(accounts[1], Trouble::Refused(ProviderError::RetryAfter(HOUR)));
    let begun_at = world.environment.now();
    let removal = world.remove(chat, joined.participants[1].id).await;
    let waiting = world.until(removal, |status| status == OperationStatus::WaitingForProvider).await;
    assert!(waiting.next_attempt_at.unwrap() >= begun_at.plus(HOUR), "no other account could do it");
    assert!(waiting.next_attempt_at.unwrap() <= waiting.updated_at.plus(HOUR));
    world.environment.advance(HOUR);
    let ended = world.ended(removal).await;
    assert_eq!((ended.status, ended.attempts), (OperationStatus::Succeeded, 1));
    let removals = [(accounts[1], "remove"), (accounts[1], "remove")];
    assert_eq!(provider.calls(), [&[(accounts[0], "make"), (accounts[1], "make")], &removals[..]].concat());
    world.is_consistent(chat, ChatStatus::Active).await;
    worker.stop().await;
}

async fn what_was_begun_is_looked_for_where_it_was_begun(backend: Backend) {
    let world = World::new(backend).await;
    let (provider, accounts) = Accounts::hold(&world, &["one", "two"]).await;
    let provider = Arc::new(provider);
    provider.trouble(accounts[0], Trouble::LostAnswer);
    let worker = world.run(provider.clone());
    let (chat, operation) = world.register("Once").await;
    assert_eq!(world.ended(operation).await.status, OperationStatus::Succeeded);
    assert_eq!(provider.calls(), [(accounts[0], "make")]);
    assert_eq!(provider.groups_made.load(Ordering::SeqCst), 1);
    world.is_consistent(chat, ChatStatus::Active).await;
    worker.stop().await;
}

async fn what_is_not_found_where_it_was_begun_is_made_by_another_account(backend: Backend) {
    let unusable = ProviderError::AccountUnusable("banned".to_owned());
    for refusal in [ProviderError::RetryAfter(HOUR), unusable] {
        let world = World::new(backend).await;
        let (provider, accounts) = Accounts::hold(&world, &["one", "two"]).await;
        let provider = Arc::new(provider);
        // Lost before anything is done, so that there is nothing to be found; then it does not want to.
        provider.trouble(accounts[0], Trouble::Forgotten(ProviderError::Unknown("lost".to_owned())));
        provider.trouble(accounts[0], Trouble::Refused(refusal.clone()));
        let worker = world.run(provider.clone());
        let (chat, operation) = world.register("Once").await;
        assert_eq!(world.ended(operation).await.status, OperationStatus::Succeeded, "{refusal:?}");
        let calls = [(accounts[0], "make"), (accounts[0], "make"), (accounts[1], "make")];
        assert_eq!(provider.calls(), calls, "{refusal:?}");
        world.is_consistent(chat, ChatStatus::Active).await;
        worker.stop().await;
    }
}

async fn work_of_an_account_that_was_deleted_is_done_by_another(backend: Backend) {
    let world = World::new(backend).await;
    let (provider, accounts) = Accounts::hold(&world, &["one"]).await;
    let provider = Arc::new(provider);
    // Its answers are lost before anything is done, so that there is something begun and nothing to be found.
    let lost = ProviderError::Unknown("lost".to_owned());
    provider.trouble(accounts[0], Trouble::Forgotten(lost));
    let first = world.run(provider.clone());
    let (chat, operation) = world.register("Handed on").await;
    world.until(operation, |status| status == OperationStatus::WaitingForProvider).await;
    first.stop().await;
    assert!(world.store.delete_account(Service::Sandbox, "one").await.unwrap());
    let (provider, accounts) = Accounts::hold(&world, &["two"]).await;
    let provider = Arc::new(provider);
    let second = world.run(provider.clone());
    assert_eq!(world.ended(operation).await.status, OperationStatus::Succeeded);
    assert_eq!(provider.calls(), [(accounts[0], "make")]);
    world.is_consistent(chat, ChatStatus::Active).await;
    second.stop().await;
}

/// On PostgreSQL alone, where a claim is more than one statement.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_claimed_when_a_claim_breaks_off_is_worked_on() {
    const REFUSE: &str = "create function refuse() returns trigger language plpgsql as \
            $$ begin raise exception 'refused by the test'; end $$; \
        create trigger refuse before update on operations for each row \
            when (new.lane = 'sandbox' and new.state = 'running') execute function refuse()";
    let world = World::new(Backend::Postgres).await;
    let (provider, _) = Accounts::hold(&world, &["one"]).await;
    let (chat_id, operation) = world.register("Claimed").await;
    let now = world.environment.now();
    let lanes = vec![Lane::of(Service::Sandbox)];
    let claim = Claim { lanes, owner: "before".to_owned(), limit: 1, now, lease_until: now.plus(HOUR) };
    let claimed = world.store.claim_operations(&claim).await.unwrap();
    let (tenant, title) = (world.tenant.clone(), "Claimed".to_owned());
    let request = CreateChat { tenant, chat_id, title, description: None };
    let lane = provider.lane_of(Work::Make(&request)).await.unwrap().unwrap();
    assert!(world.store.finish_attempt(&claimed[0].lease, Outcome::Moved { lane }, now).await.unwrap());

    world.register("Not to be claimed").await;
    let (client, connection) = tokio_postgres::connect(world.database.as_ref().unwrap().url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(REFUSE).await.unwrap();
    let worker = world.run(Arc::new(provider));
    assert_eq!(world.ended(operation).await.status, OperationStatus::Succeeded);
    worker.stop().await;
}

/// A creation finds its lane, makes the group there and fetches its link.
async fn a_chat_is_made_once_whatever_interrupts_its_way(backend: Backend) {
    for at_call in 1..=3 {
        for how in Interruption::ALL {
            let world = World::new(backend).await;
            let (chat, operation) = world.register("Once").await;
            let (provider, _) = Accounts::hold(&world, &["one"]).await;
            let groups_made = provider.groups_made.clone();
            let interrupted = Arc::new(Interrupted::over(Arc::new(provider), vec![(at_call, how)]));
            let crashed = interrupted.crashed.clone();
            let first = world.run(interrupted);
            let ended = tokio::select! {
                ended = world.ended(operation) => Some(ended),
                () = crashed.notified() => None,
            };
            let ended = if let Some(ended) = ended {
                first.stop().await;
                ended
            } else {
                first.crash();
                // Longer than the leases of the operation and the account.
                world.environment.advance(Duration::from_secs(31));
                let (next, _) = Accounts::hold(&world, &["one"]).await;
                let second = world.run(Arc::new(next.counting(&groups_made)));
                let ended = world.ended(operation).await;
                second.stop().await;
                ended
            };
            assert_eq!(ended.status, OperationStatus::Succeeded, "{at_call} {how:?}");
            assert_eq!(groups_made.load(Ordering::SeqCst), 1, "{at_call} {how:?}");
            world.is_consistent(chat, ChatStatus::Active).await;
        }
    }
}

on_both!(
    a_chat_is_made_in_the_lane_of_its_account,
    another_account_makes_what_one_can_not,
    a_chat_waits_until_its_only_account_takes_calls,
    a_chat_waits_for_an_account_to_be_there,
    an_account_is_given_one_thing_to_do_at_a_time,
    a_removal_is_the_business_of_the_groups_account,
    what_was_begun_is_looked_for_where_it_was_begun,
    what_is_not_found_where_it_was_begun_is_made_by_another_account,
    work_of_an_account_that_was_deleted_is_done_by_another,
    a_chat_is_made_once_whatever_interrupts_its_way,
);
