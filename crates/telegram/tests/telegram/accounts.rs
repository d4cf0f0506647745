//! An account is connected once at most, wherever it is held.

use std::time::Duration;

use convoke_domain::{Environment, Service};
use convoke_provider::{AccountCondition, NewAccount, Provider, ProviderError};
use convoke_telegram::{StringSession, TelegramSettings};
use convoke_telegram_test_server::Fault;
use secrecy::ExposeSecret;

use crate::{
    discretion,
    world::{ACCOUNT, World, settings, until},
};

#[tokio::test]
async fn of_two_processes_one_holds_the_account_and_the_other_after_it() {
    let world = World::new().await;
    world.telegram.refuse_duplicates();
    let one = world.start().await;
    let two = world.begin(TelegramSettings { owner: "two".to_owned(), ..settings() });
    one.telegram.create_chat(&world.register("One").await).await.unwrap();
    assert_eq!(two.telegram.lanes().len(), 1, "only the service's own");
    assert!(two.telegram.connected().is_empty());
    let (owner, _) = world.account(ACCOUNT).await.held.expect("somebody holds it");
    assert_eq!(owner, "one");
    one.stop().await;
    until("the other has it", async || two.telegram.connected().contains(&world.account)).await;
    two.telegram.create_chat(&world.register("Two").await).await.unwrap();
    two.stop().await;
    until("nobody has it", async || world.telegram.key(&world.session).connections == 0).await;
    assert_eq!(world.telegram.key(&world.session).most_connections, 1);
    let held = world.account(ACCOUNT).await.held;
    assert!(held.is_none_or(|(_, until)| until <= world.environment.now()), "it was given back");
}

#[tokio::test]
async fn an_account_whose_lease_was_lost_is_left_at_once() {
    let world = World::new().await;
    let short = TelegramSettings { lease: Duration::from_secs(3), ..settings() };
    let running = world.start_with(short).await;
    let later = world.environment.now().plus(Duration::from_hours(1));
    let taken = world.store.lease_account(world.account, "thief", later, later.plus(Duration::from_hours(1))).await;
    assert!(taken.unwrap().is_some());
    until("it is left", async || running.telegram.lanes().len() == 1).await;
    until("it is not connected", async || world.telegram.key(&world.session).connections == 0).await;
}

#[tokio::test]
async fn after_another_login_the_account_is_connected_by_that() {
    let world = World::new().await;
    let running = world.start().await;
    let another = world.telegram.session(world.owner);
    world.save_account(ACCOUNT, &another).await;
    until("the new key is used", async || world.telegram.key(&another).connections == 1).await;
    until("the old one is not", async || world.telegram.key(&world.session).connections == 0).await;
    until("it is connected", async || running.telegram.connected().contains(&world.account)).await;
}

#[tokio::test]
async fn a_session_of_another_user_is_not_used() {
    let world = World::new().await;
    let running = world.start().await;
    let stranger = world.telegram.new_user("Stranger", "", "");
    let theirs = world.telegram.session(stranger);
    world.save_account(ACCOUNT, &theirs).await;
    until("it is refused", async || {
        matches!(world.account(ACCOUNT).await.state.condition,
            AccountCondition::Unusable(reason) if reason.contains("another user"))
    })
    .await;
    until("it is left alone", async || world.telegram.key(&theirs).connections == 0).await;
    assert!(running.telegram.connected().is_empty());
    let external_id = world.account(ACCOUNT).await.state.external_id;
    assert_eq!(external_id, Some(world.owner.0.to_string()), "whose the account is stays known");
}

#[tokio::test]
async fn a_secret_of_another_key_can_not_be_opened() {
    let world = World::new().await;
    let account = NewAccount {
        service: Service::Telegram,
        name: ACCOUNT.to_owned(),
        tenants: Vec::new(),
        secret: Some(vec![1; 100]),
    };
    world.store.save_account(account).await.unwrap();
    let _running = world.begin(settings());
    until("it is said", async || {
        matches!(world.account(ACCOUNT).await.state.condition,
            AccountCondition::Unusable(reason) if reason.contains("another key"))
    })
    .await;
}

#[tokio::test]
async fn why_an_account_can_not_be_used_is_logged_when_it_changes() {
    const NAME: &str = "logged-once";
    discretion::listen();
    let world = World::new().await;
    let is_said = async || {
        matches!(world.account(NAME).await.state.condition,
            AccountCondition::Unusable(reason) if reason.contains("another key"))
    };
    let mut running = None;
    for byte in [1, 2, 3] {
        let (name, secret) = (NAME.to_owned(), Some(vec![byte; 100]));
        let account = NewAccount { service: Service::Telegram, name, tenants: Vec::new(), secret };
        // What is saved is usable, as far as is known, and tried at once.
        world.store.save_account(account).await.unwrap();
        running.get_or_insert_with(|| world.begin(settings()));
        until("it is tried", is_said).await;
    }
    running.expect("it was begun").stop().await;
    let log = discretion::log();
    let is_it = |line: &&str| line.contains("the account can't be used") && line.contains(NAME);
    assert_eq!(log.lines().filter(is_it).count(), 1, "{log}");
}

#[tokio::test]
async fn a_key_that_telegram_does_not_know_is_told_and_left() {
    let world = World::new().await;
    let session: StringSession = world.session.parse().unwrap();
    let unknown = StringSession { auth_key: Box::new([9; 256]), ..session };
    world.save_account(ACCOUNT, unknown.to_text().expose_secret()).await;
    let running = world.begin(settings());
    until("it is said", async || {
        matches!(world.account(ACCOUNT).await.state.condition,
            AccountCondition::Unusable(reason) if reason.contains("not known"))
    })
    .await;
    assert!(running.telegram.connected().is_empty());
}

#[tokio::test]
async fn people_seen_before_a_restart_can_be_spoken_of_after_it() {
    let world = World::new().await;
    let running = world.start().await;
    let ada = world.telegram.new_user("Ada", "", "");
    let group = world.make_with(&running.telegram, ada).await;
    let batch = running.telegram.next_events().await.unwrap();
    assert!(!batch.events.is_empty(), "she was seen");
    running.stop().await;

    let running = world.start().await;
    world.telegram.script("channels.getParticipants", u32::MAX, Fault::refuse(400, "METHOD_INVALID"));
    let removed = running.telegram.remove_participant(&group.0.to_string(), &ada.0.to_string()).await.unwrap();
    assert_eq!(removed.len(), 1);
}

#[tokio::test]
async fn an_account_that_is_deleted_is_left() {
    let world = World::new().await;
    let running = world.start().await;
    assert!(world.store.delete_account(Service::Telegram, ACCOUNT).await.unwrap());
    until("it is left", async || running.telegram.lanes().len() == 1).await;
    until("it is not connected", async || world.telegram.key(&world.session).connections == 0).await;
}

#[tokio::test]
async fn a_configured_session_is_an_account_whose_secret_is_not_kept() {
    let world = World::new().await;
    world.store.delete_account(Service::Telegram, ACCOUNT).await.unwrap();
    let running = world.begin(TelegramSettings { session: Some(world.session.clone().into()), ..settings() });
    until("it is connected", async || !running.telegram.connected().is_empty()).await;
    let account = world.account(TelegramSettings::CONFIGURED_ACCOUNT).await;
    assert!(account.secret.is_none());
    assert_eq!(account.state.external_id, Some(world.owner.0.to_string()));
    running.telegram.create_chat(&world.register("One").await).await.unwrap();
    assert!(!format!("{:?} {:?}", running.telegram, settings()).contains(&world.session));
}

#[tokio::test]
async fn an_account_whose_session_is_configured_no_more_is_held_and_refuses_what_comes() {
    let world = World::new().await;
    world.store.delete_account(Service::Telegram, ACCOUNT).await.unwrap();
    let configured = TelegramSettings { session: Some(world.session.clone().into()), ..settings() };
    let running = world.begin(configured.clone());
    until("it is connected", async || !running.telegram.connected().is_empty()).await;
    running.stop().await;

    let running = world.begin(settings());
    let account = async || world.account(TelegramSettings::CONFIGURED_ACCOUNT).await;
    until("it is said", async || {
        account().await.state.condition == AccountCondition::Unusable("the account has no session".to_owned())
    })
    .await;
    assert_eq!(running.telegram.lanes().len(), 2, "its work is still taken, to be told so");
    let refused = running.telegram.create_chat(&world.register("One").await).await;
    assert_eq!(refused, Err(ProviderError::AccountUnusable("no account can be used".to_owned())));
    running.stop().await;

    let running = world.begin(configured);
    until("it is connected again", async || !running.telegram.connected().is_empty()).await;
    assert_eq!(account().await.state.condition, AccountCondition::Usable);
}
