//! The sandbox's groups, and what happened in them.

use convoke_domain::{ChatId, ChatStatus, TenantId};
use convoke_provider::NewSandboxGroup;

use crate::world::{World, at_once, closed, joined, person, second, soon, tenant};

fn group(code: &str, tenant: &TenantId, chat_id: ChatId) -> NewSandboxGroup {
    NewSandboxGroup { code: code.to_owned(), tenant: tenant.clone(), chat_id, state: format!("state of {code}") }
}

/// A chat, with a group of this code.
async fn chat_with_group(world: &World, tenant: &TenantId, code: &str) -> ChatId {
    let chat = world.register_new(tenant, world.new_chat("Sandbox")).await.chat_id;
    world.store.insert_group(group(code, tenant, chat)).await.unwrap();
    chat
}

async fn save(world: &World, code: &str, version: i64, state: &str, events: &[&str]) -> bool {
    let events = events.iter().map(|event| (*event).to_owned()).collect();
    world.store.save_group(code, version, state.to_owned(), events).await.expect("an answer")
}

async fn pending(world: &World, limit: u32) -> Vec<(String, String)> {
    world.store.pending_events(limit).await.expect("an answer")
}

async fn pending_bodies(world: &World) -> Vec<String> {
    pending(world, 1_000).await.into_iter().map(|(_, body)| body).collect()
}

pub async fn a_group_is_kept_and_found(world: &mut World) {
    let acme = tenant("acme");
    let chat = chat_with_group(world, &acme, "Code/1").await;
    assert!(save(world, "Code/1", 0, "new state", &["happened"]).await);
    world.reopen().await;
    let found = world.store.find_group("Code/1").await.unwrap().expect("it is kept");
    assert_eq!((found.code.as_str(), &found.tenant, found.chat_id), ("Code/1", &acme, chat));
    assert_eq!((found.chat_status, found.version, found.state.as_str()), (ChatStatus::Provisioning, 1, "new state"));
    assert_eq!(pending_bodies(world).await, ["happened"]);
    assert!(world.store.find_group("code/1").await.unwrap().is_none());
    let of_chat = world.store.find_group_of(&acme, chat).await.unwrap().expect("it is kept");
    assert_eq!((of_chat.code.as_str(), of_chat.version), ("Code/1", 1));
    assert!(world.store.find_group_of(&tenant("other"), chat).await.unwrap().is_none());
    assert!(world.store.insert_group(group("Code/1", &acme, chat)).await.is_err(), "a code is one group's");
    assert_eq!(world.store.find_group("Code/1").await.unwrap().unwrap().state, "new state");
}

pub async fn a_chat_has_one_group_at_most(world: &World) {
    let acme = tenant("acme");
    let chat = chat_with_group(world, &acme, "m").await;
    for later in ["z", "a"] {
        assert!(world.store.insert_group(group(later, &acme, chat)).await.is_err());
        assert!(world.store.find_group(later).await.unwrap().is_none());
    }
    assert_eq!(world.store.find_group_of(&acme, chat).await.unwrap().unwrap().code, "m");
}

pub async fn a_group_shows_where_its_chat_stands(world: &World) {
    let acme = tenant("acme");
    let chat = world.active_chat(&acme, "Sandbox").await;
    world.store.insert_group(group("code", &acme, chat.id)).await.unwrap();
    let status = async || world.store.find_group("code").await.unwrap().unwrap().chat_status;
    assert_eq!(status().await, ChatStatus::Active);
    world.record(&[closed(&chat.group, second(1))]).await;
    assert_eq!(status().await, ChatStatus::Closed);
}

pub async fn of_many_saves_of_one_version_one_wins(world: &World) {
    let acme = tenant("acme");
    chat_with_group(world, &acme, "code").await;
    let worlds = world.twice().await;
    for version in 0..3 {
        let saved = at_once((0..20).map(|writer| {
            let world = worlds[writer % 2].clone();
            async move {
                let state = format!("{version} by {writer}");
                save(&world, "code", version, &state, &[&state]).await.then_some(state)
            }
        }))
        .await;
        let winners: Vec<String> = saved.into_iter().flatten().collect();
        assert_eq!(winners.len(), 1, "{winners:?}");
        let found = world.store.find_group("code").await.unwrap().unwrap();
        assert_eq!((found.version, &found.state), (version + 1, &winners[0]));
        assert_eq!(pending_bodies(world).await.last(), Some(&winners[0]));
    }
    assert_eq!(pending_bodies(world).await.len(), 3);
}

pub async fn events_are_told_in_order_until_they_are_deleted(world: &World) {
    let acme = tenant("acme");
    chat_with_group(world, &acme, "one").await;
    chat_with_group(world, &acme, "two").await;
    let mut expected = Vec::new();
    // More versions and events than sort alike as text and as numbers.
    for version in 0..12 {
        let bodies: Vec<String> = (0..11).map(|n| format!("{{\"one\":\"{version}.{n}\"}}")).collect();
        assert!(save(world, "one", version, "state", &bodies.iter().map(String::as_str).collect::<Vec<_>>()).await);
        assert!(save(world, "two", version, "state", &[]).await);
        expected.extend(bodies);
    }
    assert!(save(world, "two", 12, "state", &["two"]).await);
    let of_one =
        |events: Vec<(String, String)>| events.into_iter().filter(|(_, body)| body != "two").collect::<Vec<_>>();
    let events = pending(world, 1_000).await;
    assert_eq!(events.len(), 133);
    let told = of_one(events);
    assert_eq!(told.iter().map(|(_, body)| body.clone()).collect::<Vec<_>>(), expected);
    assert_eq!(pending(world, 5).await.len(), 5);

    // Those in the middle are deleted, as often as they are named.
    let names: Vec<String> = told[20..50].iter().map(|(name, _)| name.clone()).collect();
    world.store.delete_events(names.clone()).await.unwrap();
    world.store.delete_events(names).await.unwrap();
    world.store.delete_events(Vec::new()).await.unwrap();
    let left = of_one(pending(world, 1_000).await);
    assert_eq!(left, [&told[..20], &told[50..]].concat());
    world.store.delete_events(pending(world, 1_000).await.into_iter().map(|(name, _)| name).collect()).await.unwrap();
    assert_eq!(pending(world, 1_000).await, []);
}

pub async fn nothing_is_kept_of_a_save_that_came_too_late(world: &World) {
    let acme = tenant("acme");
    chat_with_group(world, &acme, "code").await;
    assert!(save(world, "code", 0, "first", &["first"]).await);
    assert!(!save(world, "code", 0, "late", &["late"]).await);
    assert!(!save(world, "code", 2, "early", &["early"]).await);
    assert!(!save(world, "unknown", 0, "lost", &["lost"]).await);
    let found = world.store.find_group("code").await.unwrap().unwrap();
    assert_eq!((found.version, found.state.as_str()), (1, "first"));
    assert_eq!(pending_bodies(world).await, ["first"]);
}

pub async fn whoever_waits_for_events_is_woken(world: &World) {
    let acme = tenant("acme");
    chat_with_group(world, &acme, "code").await;
    let mut woken = std::pin::pin!(world.store.changes().sandbox_events.notified());
    woken.as_mut().enable();
    assert!(save(world, "code", 0, "state", &["event"]).await);
    soon(woken).await;
    // What was kept before anybody waited is not missed either.
    assert!(save(world, "code", 1, "state", &["event"]).await);
    soon(world.store.changes().sandbox_events.notified()).await;
    soon(world.store.events_kept()).await;
}

pub async fn a_person_keeps_their_id(world: &mut World) {
    let acme = tenant("acme");
    let worlds = world.twice().await;
    let ids = at_once((0..20).map(|number| {
        let (world, acme) = (worlds[number % 2].clone(), acme.clone());
        async move { world.store.participant_id(&acme, &person("ana").external_id).await.expect("an id") }
    }))
    .await;
    drop(worlds);
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_ne!(world.store.participant_id(&acme, "somebody else").await.unwrap(), ids[0]);
    assert_ne!(world.store.participant_id(&tenant("other"), &person("ana").external_id).await.unwrap(), ids[0]);
    let chat = world.active_chat(&acme, "Open").await;
    world.record(&[joined(&chat.group, second(1), "ana")]).await;
    assert_eq!(world.participant(&chat, "ana").await, ids[0], "the record shows the same");
    world.reopen().await;
    assert_eq!(world.store.participant_id(&acme, &person("ana").external_id).await.unwrap(), ids[0]);
}
