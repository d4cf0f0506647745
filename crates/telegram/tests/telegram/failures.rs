//! Every kind of failure, as it comes over the wire, and what follows from it.

use std::time::Duration;

use convoke_domain::EventSource;
use convoke_provider::{AccountCondition, Provider, ProviderError, ProviderEventKind};
use convoke_telegram_test_server::{Fault, UserId};

use crate::world::{ACCOUNT, World, group_id, until};

const CREATE: &str = "channels.createChannel";

#[tokio::test]
async fn what_leaves_the_account_as_it_is() {
    let world = World::new().await;
    let running = world.start().await;
    let request = world.register("One").await;
    let rejected = |name: &str| Err(ProviderError::Rejected(name.to_owned()));
    let wait = |seconds| Err(ProviderError::RetryAfter(Duration::from_secs(seconds)));
    for (code, name, expected) in [
        (400, "CHAT_TITLE_EMPTY", rejected("CHAT_TITLE_EMPTY")),
        (403, "CHAT_ADMIN_REQUIRED", rejected("CHAT_ADMIN_REQUIRED")),
        (420, "FLOOD_WAIT_31", wait(31)),
        (420, "FLOOD_PREMIUM_WAIT_5", wait(5)),
        (420, "SLOWMODE_WAIT_12", wait(12)),
        (500, "RPC_CALL_FAIL", Err(ProviderError::Unknown("500 RPC_CALL_FAIL".to_owned()))),
        (-503, "Timeout", Err(ProviderError::Unknown("-503 Timeout".to_owned()))),
    ] {
        world.telegram.script(CREATE, 1, Fault::refuse(code, name));
        assert_eq!(running.telegram.create_chat(&request).await, expected, "{code} {name}");
        assert_eq!(world.account(ACCOUNT).await.state.condition, AccountCondition::Usable, "{code} {name}");
        world.environment.advance(Duration::from_secs(31));
    }
    for fault in [Fault::CutBefore, Fault::Silent] {
        world.telegram.script(CREATE, 1, fault.clone());
        let lost = running.telegram.create_chat(&request).await;
        assert!(matches!(lost, Err(ProviderError::Unknown(_))), "{fault:?}: {lost:?}");
    }
    assert!(world.telegram.groups().is_empty(), "nothing was made");
    until("the account is used again", async || running.telegram.create_chat(&request).await.is_ok()).await;
    assert_eq!(world.groups_of(&request), 1);
}

#[tokio::test]
async fn what_ends_the_session() {
    let world = World::new().await;
    let running = world.start().await;
    let request = world.register("One").await;
    for (code, name) in [
        (401, "AUTH_KEY_UNREGISTERED"),
        (401, "AUTH_KEY_INVALID"),
        (401, "SESSION_REVOKED"),
        (401, "SESSION_EXPIRED"),
        (401, "USER_DEACTIVATED"),
        (401, "USER_DEACTIVATED_BAN"),
        (406, "AUTH_KEY_DUPLICATED"),
    ] {
        let unusable = ProviderError::AccountUnusable(name.to_owned());
        world.telegram.script(CREATE, 1, Fault::refuse(code, name));
        assert_eq!(running.telegram.create_chat(&request).await, Err(unusable.clone()), "{name}");
        until("it is kept", async || {
            world.account(ACCOUNT).await.state.condition == AccountCondition::Unusable(name.to_owned())
        })
        .await;
        until("it is not connected", async || world.telegram.key(&world.session).connections == 0).await;
        until("its work is told why", async || running.telegram.create_chat(&request).await == Err(unusable.clone()))
            .await;
        let lanes = running.telegram.lanes();
        assert_eq!(lanes.len(), 2, "its work is still taken, to be told so: {lanes:?}");
        // Somebody logs in again.
        world.save_account(ACCOUNT, &world.session).await;
        until("it is connected again", async || running.telegram.connected().contains(&world.account)).await;
        assert_eq!(world.account(ACCOUNT).await.state.condition, AccountCondition::Usable);
    }
    assert_eq!(world.telegram.key(&world.session).most_connections, 1);
}

#[tokio::test]
async fn what_restricts_the_account_leaves_it_connected() {
    let world = World::new().await;
    let running = world.start().await;
    let ada = world.telegram.new_user("Ada", "", "");
    let group = world.make_with(&running.telegram, ada).await;
    let request = world.register("One").await;
    for (code, name) in [(400, "PEER_FLOOD"), (403, "USER_RESTRICTED"), (420, "FROZEN_METHOD_INVALID")] {
        world.telegram.script(CREATE, 1, Fault::refuse(code, name));
        let unusable = Err(ProviderError::AccountUnusable(name.to_owned()));
        assert_eq!(running.telegram.create_chat(&request).await, unusable);
        let condition = world.account(ACCOUNT).await.state.condition;
        assert_eq!(condition, AccountCondition::Unusable(name.to_owned()));
        let calls = world.telegram.calls_of(CREATE);
        assert_eq!(running.telegram.create_chat(&request).await, unusable, "it is not asked again");
        assert_eq!(world.telegram.calls_of(CREATE), calls);
        world.save_account(ACCOUNT, &world.session).await;
        until("it is usable", async || running.telegram.create_chat(&world.register("Two").await).await.is_ok()).await;
    }
    let removed = running.telegram.remove_participant(&group.0.to_string(), &ada.0.to_string()).await.unwrap();
    assert_eq!(removed.len(), 1);
}

#[tokio::test]
async fn a_removal_is_told_by_the_log_or_else_by_the_message_or_else_by_ourselves() {
    let world = World::new().await;
    let running = world.start().await;
    for (fault_in_log, silent, source) in
        [(false, false, EventSource::Log), (true, false, EventSource::Stream), (true, true, EventSource::Convoke)]
    {
        let ada = world.telegram.new_user("Ada", "", "");
        let group = world.make_with(&running.telegram, ada).await;
        world.telegram.silence(group, silent);
        if fault_in_log {
            world.telegram.script("channels.getAdminLog", u32::MAX, Fault::refuse(400, "METHOD_INVALID"));
        }
        let (group, ada) = (group.0.to_string(), ada.0.to_string());
        let events = running.telegram.remove_participant(&group, &ada).await.unwrap();
        world.telegram.clear_script();
        let [event] = &events[..] else { panic!("{events:?}") };
        assert_eq!(event.source, source);
        let ProviderEventKind::Removed { person, removed_by: Some(by) } = &event.kind else { panic!("{event:?}") };
        assert_eq!((&person.external_id, &by.external_id), (&ada, &world.owner.0.to_string()));
        let banned = world.telegram.group(group_id(&group)).banned;
        assert_eq!(banned.len(), 1, "the link does not bring them back");
        assert_eq!(running.telegram.remove_participant(&group, &ada).await, Ok(Vec::new()), "they are out");
    }
}

#[tokio::test]
async fn what_happens_while_a_socket_is_given_up_is_told_by_the_stream() {
    let world = World::new().await;
    world.telegram.script("channels.getAdminLog", u32::MAX, Fault::refuse(400, "METHOD_INVALID"));
    let running = world.start().await;
    let (ada, ben) = (world.telegram.new_user("Ada", "", ""), world.telegram.new_user("Ben", "", ""));
    let group = world.make_with(&running.telegram, ada).await;
    let is_told = async |who: UserId| {
        loop {
            let batch = running.telegram.next_events().await.unwrap();
            let told = batch.events.iter().any(|event| {
                let ProviderEventKind::Joined { person, .. } = &event.kind else { return false };
                person.external_id == who.0.to_string()
            });
            running.telegram.acknowledge(batch.checkpoint).await.unwrap();
            if told {
                return true;
            }
        }
    };
    until("the first is told", async || is_told(ada).await).await;
    world.telegram.script(CREATE, 1, Fault::Silent);
    world.telegram.drop_pushes(1);
    let request = world.register("Two").await;
    let (lost, ()) = tokio::join!(running.telegram.create_chat(&request), async {
        world.telegram.add(group, ada, ben).unwrap();
    });
    assert!(matches!(lost, Err(ProviderError::Unknown(_))), "{lost:?}");
    until("the second is told", async || is_told(ben).await).await;
}

#[tokio::test]
async fn whoever_left_is_not_kept_out() {
    let world = World::new().await;
    let running = world.start().await;
    let ada = world.telegram.new_user("Ada", "", "");
    let group = world.make_with(&running.telegram, ada).await;
    world.telegram.leave(group, ada).unwrap();
    let events = running.telegram.remove_participant(&group.0.to_string(), &ada.0.to_string()).await;
    assert_eq!(events, Ok(Vec::new()));
    assert!(world.telegram.group(group).banned.is_empty());
}

#[tokio::test]
async fn an_account_that_is_full_or_restricted_is_tried_again_after_a_while() {
    let world = World::new().await;
    let running = world.start().await;
    for (name, condition) in [
        ("CHANNELS_TOO_MUCH", AccountCondition::Full),
        ("PEER_FLOOD", AccountCondition::Unusable("PEER_FLOOD".to_owned())),
    ] {
        let request = world.register("One").await;
        world.telegram.script(CREATE, 1, Fault::refuse(400, name));
        assert!(running.telegram.create_chat(&request).await.is_err(), "{name}");
        assert_eq!(world.account(ACCOUNT).await.state.condition, condition);
        until("it is usable", async || {
            world.environment.advance(Duration::from_mins(30));
            world.account(ACCOUNT).await.state.condition == AccountCondition::Usable
        })
        .await;
        assert!(running.telegram.create_chat(&request).await.is_ok(), "{name}");
    }
}
