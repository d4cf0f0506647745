//! Registering chats.

use convoke_domain::{ChatQuery, ChatStatus, ChatTitle, Operation, OperationStatus, OperationType, Service};
use convoke_store::{AcceptedChat, ChatInvitation, NewChat, Registration, Removal};

use crate::{
    lists,
    world::{World, at_once, created_by, description, renamed, second, tenant},
};

pub async fn a_registered_chat_is_there_with_its_first_title(world: &World) {
    let acme = tenant("acme");
    let chat = NewChat {
        created_by: created_by("María \"M\" Pérez"),
        description: description("one\n\ttwo"),
        ..world.new_chat("Chat día 11 😀")
    };
    let (id, operation, at) = (chat.id, chat.operation_id, chat.at);
    let accepted = world.register_new(&acme, chat).await;
    assert_eq!(accepted, AcceptedChat { chat_id: id, operation_id: operation, status: ChatStatus::Provisioning });

    let document = world.document(&acme, id).await;
    let expected = [
        format!(r#"{{"id":"{id}","isActive":false,"status":"provisioning","service":"sandbox","#),
        format!(r#""registeredAt":"{at}","updatedAt":"{at}","createdBy":"María \"M\" Pérez","#),
        r#""description":"one\n\ttwo","#.to_owned(),
        format!(r#""title":[{{"value":"Chat día 11 😀","contentType":"text/plain","capturedAt":"{at}"}}],"#),
        r#""participants":[]}"#.to_owned(),
    ];
    assert_eq!(document.json, expected.concat());
    assert_eq!(document.status, ChatStatus::Provisioning);

    let work = Operation {
        id: operation,
        kind: OperationType::CreateChat,
        status: OperationStatus::Pending,
        chat_id: id,
        attempts: 0,
        created_at: at,
        updated_at: at,
        next_attempt_at: Some(at),
        completed_at: None,
        error: None,
    };
    assert_eq!(world.operation(&acme, operation).await, work);
    let invitation = world.store.find_invitation(&acme, id).await.unwrap();
    let expected = ChatInvitation { service: Service::Sandbox, status: ChatStatus::Provisioning, link: None };
    assert_eq!(invitation, Some(expected));
}

pub async fn what_is_absent_is_left_out(world: &World) {
    let acme = tenant("acme");
    let chat = NewChat { service: Service::Telegram, ..world.new_chat("Plain") };
    let (id, at) = (chat.id, chat.at);
    world.register_new(&acme, chat).await;
    let expected = [
        format!(r#"{{"id":"{id}","isActive":false,"status":"provisioning","service":"telegram","#),
        format!(r#""registeredAt":"{at}","updatedAt":"{at}","#),
        format!(r#""title":[{{"value":"Plain","contentType":"text/plain","capturedAt":"{at}"}}],"participants":[]}}"#),
    ];
    assert_eq!(world.document(&acme, id).await.json, expected.concat());
}

pub async fn a_registration_outlives_the_store(world: &mut World) {
    let acme = tenant("acme");
    let accepted = world.register_new(&acme, world.new_chat("Lasting")).await;
    let document = world.document(&acme, accepted.chat_id).await;
    let operation = world.operation(&acme, accepted.operation_id).await;
    world.reopen().await;
    assert_eq!(world.document(&acme, accepted.chat_id).await, document);
    assert_eq!(world.operation(&acme, accepted.operation_id).await, operation);
    assert_eq!(world.claim_only().await.lease.operation_id, accepted.operation_id);
}

pub async fn the_same_id_with_the_same_registration_is_answered_as_before(world: &World) {
    let acme = tenant("acme");
    let chat = NewChat { id_is_clients: true, created_by: created_by("me"), ..world.new_chat("Mine") };
    let accepted = world.register_new(&acme, chat.clone()).await;
    let repeated = world.register(&acme, world.again(&chat)).await;
    assert_eq!(repeated, Registration::RepeatedId(accepted.clone()));
    assert_eq!(world.claim_only().await.lease.operation_id, accepted.operation_id, "it is to be made once");
}

pub async fn a_repeated_id_is_compared_with_what_was_accepted_and_not_with_the_title_of_today(world: &World) {
    let acme = tenant("acme");
    let chat = NewChat { id_is_clients: true, ..world.new_chat("Then") };
    let active = world.activate(&acme, chat.clone()).await;
    world.record(&[renamed(&active.group, second(1), "Today")]).await;
    assert_eq!(world.chat(&acme, chat.id).await.current_title(), Some("Today"));

    let accepted = AcceptedChat { chat_id: chat.id, operation_id: active.operation, status: ChatStatus::Active };
    assert_eq!(world.register(&acme, world.again(&chat)).await, Registration::RepeatedId(accepted));
    let today = NewChat { title: world.new_chat("Today").title, ..world.again(&chat) };
    assert_eq!(world.register(&acme, today).await, Registration::IdTaken);
}

pub async fn the_same_id_with_any_other_content_is_taken(world: &World) {
    let acme = tenant("acme");
    let chat = NewChat {
        id_is_clients: true,
        created_by: created_by("me"),
        description: description("about"),
        ..world.new_chat("Mine")
    };
    world.register_new(&acme, chat.clone()).await;
    let before = world.document(&acme, chat.id).await;
    let others = [
        NewChat { title: ChatTitle::new("mine", Service::Sandbox).unwrap(), ..chat.clone() },
        NewChat { service: Service::Telegram, ..chat.clone() },
        NewChat { created_by: created_by("you"), ..chat.clone() },
        NewChat { created_by: None, ..chat.clone() },
        NewChat { description: None, ..chat.clone() },
        // What is moved from one member to another is other content too.
        NewChat { created_by: None, description: description("me"), ..chat.clone() },
    ];
    for other in others {
        assert_eq!(world.register(&acme, world.again(&other)).await, Registration::IdTaken, "{other:?}");
    }
    assert_eq!(world.document(&acme, chat.id).await, before);
}

pub async fn the_same_id_is_free_in_another_tenant(world: &World) {
    let (acme, other) = (tenant("acme"), tenant("other"));
    let chat = NewChat { id_is_clients: true, ..world.new_chat("Mine") };
    world.register_new(&acme, chat.clone()).await;
    let theirs = NewChat { title: world.new_chat("Theirs").title, ..world.again(&chat) };
    let accepted = world.register_new(&other, theirs).await;
    assert_eq!(accepted.chat_id, chat.id);
    assert_eq!(world.chat(&acme, chat.id).await.current_title(), Some("Mine"));
    assert_eq!(world.chat(&other, chat.id).await.current_title(), Some("Theirs"));
}

pub async fn of_many_registrations_of_one_id_at_once_one_is_new(world: &World) {
    let acme = tenant("acme");
    let chat = NewChat { id_is_clients: true, ..world.new_chat("Mine") };
    let worlds = world.twice().await;
    let registrations = at_once((0..20).map(|number| {
        let (world, acme, chat) = (worlds[number % 2].clone(), acme.clone(), world.again(&chat));
        async move { world.register(&acme, chat).await }
    }))
    .await;
    let mut accepted = Vec::new();
    let mut new = 0;
    for registration in registrations {
        match registration {
            Registration::New(chat) => {
                new += 1;
                accepted.push(chat);
            }
            Registration::RepeatedId(chat) => accepted.push(chat),
            other => panic!("new or repeated, not {other:?}"),
        }
    }
    assert_eq!(new, 1);
    accepted.dedup();
    assert_eq!(accepted.len(), 1, "all get the same answer");
}

pub async fn many_registrations_at_once_are_all_there(world: &World) {
    let acme = tenant("acme");
    let chats: Vec<NewChat> = (0..2_000).map(|number| world.new_chat(&format!("Chat {number}"))).collect();
    let mut ids: Vec<_> = chats.iter().map(|chat| chat.id).collect();
    let accepted = at_once(chats.into_iter().map(|chat| {
        let (world, acme) = (world.clone(), acme.clone());
        async move { world.register_new(&acme, chat).await.chat_id }
    }))
    .await;
    assert_eq!(accepted, ids);

    let page = world.store.list_chats(&acme, &ChatQuery::default()).await.unwrap();
    assert_eq!((page.total, lists::chats(&page.documents).len()), (2_000, 20));
    let mut claimed: Vec<_> = Vec::new();
    loop {
        let batch = world.claim(500, second(0)).await;
        if batch.is_empty() {
            break;
        }
        claimed.extend(batch.into_iter().map(|operation| operation.chat_id));
    }
    claimed.sort();
    ids.sort();
    assert_eq!(claimed, ids, "each is to be made once");
}

pub async fn a_registration_that_can_not_be_kept_harms_nobody(world: &World) {
    let acme = tenant("acme");
    let taken = world.new_chat("Taken");
    world.register_new(&acme, taken.clone()).await;
    // Chance that gives the same id twice is broken; what matters is that those beside it do not notice.
    let chats = (0..20).map(|number| match number {
        7 => NewChat { id: taken.id, ..world.new_chat("Same id") },
        _ => world.new_chat("Beside it"),
    });
    let registrations = at_once(chats.map(|chat| {
        let (world, acme) = (world.clone(), acme.clone());
        async move { world.try_register(&acme, chat).await }
    }))
    .await;
    for (number, registration) in registrations.iter().enumerate() {
        match number {
            7 => assert!(matches!(registration, Err(_) | Ok(Registration::IdTaken)), "{registration:?}"),
            _ => assert!(matches!(registration, Ok(Registration::New(_))), "{registration:?}"),
        }
    }
    assert_eq!(world.chat(&acme, taken.id).await.current_title(), Some("Taken"));
}

pub async fn another_tenants_chat_is_not_there(world: &World) {
    let (acme, other) = (tenant("acme"), tenant("other"));
    let active = world.active_chat(&acme, "Ours").await;
    assert_eq!(world.store.find_chat(&other, active.id).await.unwrap(), None);
    assert_eq!(world.store.find_invitation(&other, active.id).await.unwrap(), None);
    assert_eq!(world.store.find_operation(&other, active.operation).await.unwrap(), None);
    let removal = world.new_removal(active.id, active.owner);
    assert_eq!(world.remove(&other, &removal).await, Removal::NoSuchChat);
}
