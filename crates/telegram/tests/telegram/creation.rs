//! A group is made exactly once, whatever is lost, and by an account that can.

use std::time::Duration;

use convoke_domain::{Environment, Service};
use convoke_provider::{AccountCondition, Provider, ProviderError, Work};
use convoke_telegram::TelegramSettings;
use convoke_telegram_test_server::Fault;

use crate::world::{ACCOUNT, World, group_id, settings, until};

const CREATE: &str = "channels.createChannel";

#[tokio::test]
async fn a_group_is_marked_until_it_is_known_and_then_no_more() {
    let world = World::new().await;
    world.telegram.script("messages.editChatAbout", 1, Fault::ExecuteLate(Duration::from_millis(500)));
    let running = world.start().await;
    let request = world.register("One").await;
    let made = running.telegram.create_chat(&request).await.unwrap();
    let description = request.description.as_deref().unwrap();
    let about = || world.telegram.group(group_id(&made.provider_chat_id)).about;
    assert!(about().starts_with(&format!("{description} [ref:")), "{}", about());
    until("the mark is gone", async || about() == description).await;
    let again = running.telegram.find_created(&request, made.made_at).await.unwrap();
    assert_eq!(again, Some(made), "it is known without its mark");
}

#[tokio::test]
async fn what_was_lost_is_found_by_the_next_process_and_loses_its_mark_there() {
    let world = World::new().await;
    let running = world.start().await;
    let since = world.environment.now();
    let request = world.register("One").await;
    world.telegram.script(CREATE, 1, Fault::CutAfter);
    let lost = running.telegram.create_chat(&request).await;
    assert!(matches!(lost, Err(ProviderError::Unknown(_))), "{lost:?}");
    running.stop().await;
    let running = world.start().await;
    let found = running.telegram.find_created(&request, since).await.unwrap().expect("it was made");
    let group = world.telegram.group(group_id(&found.provider_chat_id));
    assert_eq!((group.creator, world.groups_of(&request)), (world.owner, 1));
    until("the mark is gone", async || !world.telegram.group(group.id).about.contains("[ref:")).await;
}

#[tokio::test]
async fn what_was_never_sent_is_not_found() {
    let world = World::new().await;
    let running = world.start().await;
    let since = world.environment.now();
    let request = world.register("One").await;
    world.telegram.script(CREATE, 1, Fault::CutBefore);
    let lost = running.telegram.create_chat(&request).await;
    assert!(matches!(lost, Err(ProviderError::Unknown(_))), "{lost:?}");
    assert_eq!(running.telegram.find_created(&request, since).await, Ok(None));
    running.telegram.create_chat(&request).await.unwrap();
    assert_eq!(world.groups_of(&request), 1);
}

#[tokio::test]
async fn a_group_is_found_among_many() {
    let world = World::new().await;
    let plenty = TelegramSettings { creation_budget: 1000, ..settings() };
    let running = world.start_with(plenty).await;
    let since = world.environment.now();
    let request = world.register("Lost").await;
    world.telegram.script(CREATE, 1, Fault::CutAfter);
    running.telegram.create_chat(&request).await.unwrap_err();
    for number in 0..105 {
        running.telegram.create_chat(&world.register(&format!("Chat {number}")).await).await.unwrap();
    }
    let found = running.telegram.find_created(&request, since).await.unwrap().expect("it was made");
    assert_eq!(world.telegram.group(group_id(&found.provider_chat_id)).title, "Lost");
    assert!(world.telegram.calls_of("messages.getDialogs") >= 2, "it stood on the second page");
}

#[tokio::test]
async fn a_network_that_is_away_leaves_one_unknown_outcome_and_not_one_for_every_try() {
    let world = World::new().await;
    let running = world.start().await;
    let request = world.register("One").await;
    world.telegram.stop();
    let first = running.telegram.create_chat(&request).await;
    assert!(first.is_err());
    for _ in 0..3 {
        let again = running.telegram.create_chat(&request).await;
        assert_eq!(again, Err(ProviderError::RetryAfter(Duration::from_secs(2))), "nothing was sent");
    }
    world.telegram.restart();
    until("it is made", async || running.telegram.create_chat(&request).await.is_ok()).await;
    assert_eq!(world.groups_of(&request), 1);
}

#[tokio::test]
async fn the_link_that_a_group_has_is_taken() {
    let world = World::new().await;
    world.telegram.invite_from_start();
    let running = world.start().await;
    let made = running.telegram.create_chat(&world.register("One").await).await.unwrap();
    let link = running.telegram.invitation(&made.provider_chat_id).await.unwrap();
    assert_eq!(world.telegram.group(group_id(&made.provider_chat_id)).invites, [link]);
    assert_eq!(world.telegram.calls_of("messages.exportChatInvite"), 0);
}

#[tokio::test]
async fn a_wait_is_kept_to_by_the_whole_account() {
    let world = World::new().await;
    let running = world.start().await;
    let (request, other) = (world.register("One").await, world.register("Two").await);
    let placed = world.register("Three").await;
    let lane = Some(world.account.lane(Service::Telegram));
    for request in [&request, &placed] {
        assert_eq!(running.telegram.lane_of(Work::Make(request)).await, Ok(lane.clone()));
    }
    world.telegram.script(CREATE, 1, Fault::refuse(420, "FLOOD_WAIT_14229"));
    let before = world.environment.now();
    let wait = Duration::from_secs(14_229);
    assert_eq!(running.telegram.create_chat(&request).await, Err(ProviderError::RetryAfter(wait)));
    let until = world.account(ACCOUNT).await.state.cooldown_until.expect("it is kept");
    assert!(until >= before.plus(wait) && until <= world.environment.now().plus(wait), "{until}");
    let other_lane = running.telegram.lane_of(Work::Make(&other)).await.map(drop);
    let placed = running.telegram.create_chat(&placed).await.map(drop);
    for put_off in [other_lane, placed] {
        let Err(ProviderError::RetryAfter(left)) = put_off else { panic!("{put_off:?}") };
        assert!(left <= wait && left > wait / 2, "{left:?}");
    }
    world.environment.advance(wait);
    assert_eq!(running.telegram.lane_of(Work::Make(&other)).await, Ok(lane));
    assert_eq!(world.telegram.calls_of(CREATE), 1, "nobody asked meanwhile");
}

#[tokio::test]
async fn when_an_account_is_full_another_one_makes_the_group() {
    let world = World::new().await;
    let running = world.start().await;
    let request = world.register("One").await;
    assert!(running.telegram.lane_of(Work::Make(&request)).await.is_ok());
    world.telegram.script(CREATE, 1, Fault::refuse(400, "CHANNELS_TOO_MUCH"));
    let full = running.telegram.create_chat(&request).await;
    assert_eq!(full, Err(ProviderError::AccountUnusable("CHANNELS_TOO_MUCH".to_owned())));
    assert_eq!(world.account(ACCOUNT).await.state.condition, AccountCondition::Full);
    let nowhere = running.telegram.lane_of(Work::Make(&request)).await;
    assert!(matches!(nowhere, Err(ProviderError::AccountUnusable(_))), "{nowhere:?}");

    let other = world.telegram.new_user("Another", "", "");
    let account = world.save_account("second", &world.telegram.session(other)).await;
    until("it is connected", async || running.telegram.connected().contains(&account)).await;
    let lane = running.telegram.lane_of(Work::Make(&request)).await;
    assert_eq!(lane, Ok(Some(account.lane(Service::Telegram))));
    let made = running.telegram.create_chat(&request).await.unwrap();
    assert_eq!(world.telegram.group(group_id(&made.provider_chat_id)).creator, other);
    assert_eq!(made.owner.external_id, other.0.to_string());
}
