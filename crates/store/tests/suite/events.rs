//! What messengers tell, taken into the record.

use convoke_domain::{
    ChatEvent, ChatEventKind, ChatFilter, ChatStatus, EndReason, EventSource, ParticipantId, Service, TitleEntry,
    UserProperties,
};
use convoke_provider::{Lane, ProviderEvent, ProviderEventKind, SeenPerson};
use convoke_store::NewChat;

use crate::{
    lists::{list, query, sort},
    world::{
        ActiveChat, Chance, End, World, at_once, closed, event, group_of, joined, left, person, renamed, second, soon,
        tenant,
    },
};

async fn titles(world: &World, chat: &ActiveChat) -> Vec<String> {
    world.chat(&chat.tenant, chat.id).await.title.into_iter().map(|title| title.value).collect()
}

pub async fn a_renamed_chat_keeps_every_title(world: &World) {
    let acme = tenant("acme");
    let chat = world.active_chat(&acme, "One").await;
    let registered_at = world.chat(&acme, chat.id).await.registered_at;
    world.record(&[renamed(&chat.group, second(1), "One"), renamed(&chat.group, second(2), "Two")]).await;
    world.record(&[renamed(&chat.group, second(3), "One")]).await;
    let entry = |value: &str, captured_at| TitleEntry {
        value: value.to_owned(),
        content_type: "text/plain".to_owned(),
        captured_at,
    };
    let expected = [entry("One", registered_at), entry("Two", second(2)), entry("One", second(3))];
    assert_eq!(world.chat(&acme, chat.id).await.title, expected, "a title equal to its neighbour adds nothing");

    // Lists sort by the title of today.
    world.record(&[renamed(&chat.group, second(4), "Zulu")]).await;
    let other = world.active_chat(&acme, "Yankee").await;
    let by_title = list(world, &acme, &query(ChatFilter::default(), sort(&["title"]), 0, 20)).await;
    assert_eq!(crate::lists::ids(&by_title.documents), [other.id, chat.id]);
}

pub async fn names_that_are_seen_are_learnt(world: &World) {
    let acme = tenant("acme");
    let chat = world.active_chat(&acme, "Open").await;
    let ana = world.join(&chat, "ana", second(1)).await;
    let seen = |external: &str, firstname: &str| SeenPerson {
        external_id: external.to_owned(),
        properties: UserProperties { firstname: Some(firstname.to_owned()), ..UserProperties::default() },
    };
    let events = [
        event(&chat.group, second(2), ProviderEventKind::Seen { person: seen("id of ana", "Ana") }),
        event(&chat.group, second(2), ProviderEventKind::Seen { person: seen("never in", "Nobody") }),
    ];
    world.record(&events).await;
    let record = world.chat(&acme, chat.id).await;
    let expected = UserProperties {
        firstname: Some("Ana".to_owned()),
        username: Some("ana".to_owned()),
        ..UserProperties::default()
    };
    assert_eq!(record.participant(ana).unwrap().user_properties, expected);
    assert_eq!(record.participants.len(), 2, "whoever was never in is not in the record");
}

pub async fn a_closed_chat_ends_every_stay_and_takes_no_more(world: &World) {
    let acme = tenant("acme");
    let chat = world.active_chat(&acme, "Open").await;
    let ana = world.join(&chat, "ana", second(1)).await;
    let ben = world.join(&chat, "ben", second(1)).await;
    world.record(&[left(&chat.group, second(2), "ben"), closed(&chat.group, second(3))]).await;
    let record = world.chat(&acme, chat.id).await;
    assert_eq!((record.status, record.is_active), (ChatStatus::Closed, false));
    assert_eq!(world.document(&acme, chat.id).await.status, ChatStatus::Closed);
    for (who, left_at, reason) in [
        (chat.owner, second(3), EndReason::ChatClosed),
        (ana, second(3), EndReason::ChatClosed),
        (ben, second(2), EndReason::Left),
    ] {
        let stay = &record.participant(who).unwrap().participations[0];
        assert_eq!((stay.is_active, stay.left_at, stay.end_reason), (false, Some(left_at), Some(reason)));
    }
    assert_eq!(world.store.find_invitation(&acme, chat.id).await.unwrap().unwrap().status, ChatStatus::Closed);

    world.record(&[joined(&chat.group, second(4), "cid"), renamed(&chat.group, second(5), "Later")]).await;
    assert_eq!(world.chat(&acme, chat.id).await, record);
}

pub async fn repeated_events_change_nothing(world: &World) {
    let acme = tenant("acme");
    let chat = world.active_chat(&acme, "Open").await;
    let events = [
        joined(&chat.group, second(1), "ana"),
        renamed(&chat.group, second(2), "New"),
        left(&chat.group, second(3), "ana"),
    ];
    world.record(&events).await;
    let document = world.document(&acme, chat.id).await;
    world.record(&events).await;
    world.record(&[events[1].clone(), events[1].clone()]).await;
    // What is told under a known key is known, whatever it says now.
    let otherwise = ProviderEvent { key: events[1].key.clone(), ..renamed(&chat.group, second(9), "Otherwise") };
    world.record(&[otherwise]).await;
    assert_eq!(world.document(&acme, chat.id).await, document);
    // The same key in another chat is another event.
    let other = world.active_chat(&acme, "Other").await;
    let theirs = ProviderEvent { provider_chat_id: other.group.clone(), ..events[1].clone() };
    world.record(&[theirs]).await;
    assert_eq!(titles(world, &other).await, ["Other", "New"]);
}

pub async fn late_events_fall_into_their_place(world: &World) {
    let acme = tenant("acme");
    let chat = world.active_chat(&acme, "One").await;
    world.record(&[joined(&chat.group, second(10), "ana"), renamed(&chat.group, second(20), "Three")]).await;
    world.record(&[left(&chat.group, second(30), "ana")]).await;
    // An earlier stay of the same person, a title in between, and somebody who came first.
    world.record(&[left(&chat.group, second(5), "ana"), renamed(&chat.group, second(15), "Two")]).await;
    world.record(&[joined(&chat.group, second(2), "ana"), joined(&chat.group, second(1), "ben")]).await;
    assert_eq!(titles(world, &chat).await, ["One", "Two", "Three"]);
    let (ana, ben) = (world.participant(&chat, "ana").await, world.participant(&chat, "ben").await);
    let record = world.chat(&acme, chat.id).await;
    assert_eq!(record.participants.iter().map(|p| p.id).collect::<Vec<_>>(), [chat.owner, ben, ana]);
    let stays: Vec<_> =
        record.participant(ana).unwrap().participations.iter().map(|stay| (stay.joined_at, stay.left_at)).collect();
    assert_eq!(stays, [(second(2), Some(second(5))), (second(10), Some(second(30)))]);

    // What was closed yesterday, and is learnt today, ends what came after it: whoever came later was never in.
    world.record(&[joined(&chat.group, second(25), "cid"), joined(&chat.group, second(40), "ana")]).await;
    let counted = world.chat(&acme, chat.id).await.participants.iter().map(|p| p.participations.len()).sum::<usize>();
    assert_eq!(counted, 6);
    world.record(&[closed(&chat.group, second(12))]).await;
    let record = world.chat(&acme, chat.id).await;
    assert_eq!(record.participants.iter().map(|p| p.id).collect::<Vec<_>>(), [chat.owner, ben, ana]);
    assert_eq!(world.number("select count(*) as number from participations").await, 4);
    assert_eq!((record.status, titles(world, &chat).await), (ChatStatus::Closed, vec!["One".to_owned()]));
    let stays: Vec<_> =
        record.participant(ana).unwrap().participations.iter().map(|stay| (stay.joined_at, stay.left_at)).collect();
    assert_eq!(stays, [(second(2), Some(second(5))), (second(10), Some(second(12)))]);
}

pub async fn events_of_unknown_groups_are_passed_over(world: &World) {
    let acme = tenant("acme");
    let chat = world.active_chat(&acme, "Open").await;
    let before = world.document(&acme, chat.id).await;
    let events = [
        joined("a group of others", second(1), "ana"),
        joined(&chat.group, second(1), "ben"),
        closed("zzz", second(1)),
    ];
    world.store.record_events(Service::Telegram, &events, second(1)).await.unwrap();
    assert_eq!(world.document(&acme, chat.id).await, before, "the name is another one on another messenger");
    world.record(&events).await;
    let record = world.chat(&acme, chat.id).await;
    assert_eq!((record.participants.len(), record.status), (2, ChatStatus::Active));
}

pub async fn a_person_has_one_id_in_all_chats_of_a_tenant(world: &World) {
    let (acme, other) = (tenant("acme"), tenant("other"));
    let one = world.active_chat(&acme, "One").await;
    let two = world.active_chat(&acme, "Two").await;
    let theirs = world.active_chat(&other, "Theirs").await;
    let telegram = NewChat { service: Service::Telegram, ..world.new_chat("On Telegram") };
    let telegram_id = telegram.id;
    world.register_new(&acme, telegram).await;
    let lanes = vec![Lane::of(Service::Telegram)];
    let claim = convoke_store::Claim { lanes, ..crate::world::claim(1, second(0)) };
    let claimed = world.store.claim_operations(&claim).await.unwrap();
    let group = group_of(telegram_id, second(0));
    assert!(world.finish(&claimed[0].lease, crate::world::chat_made(group.clone())).await);
    world
        .store
        .record_events(Service::Telegram, &[joined(&group.provider_chat_id, second(1), "ana")], second(1))
        .await
        .unwrap();

    let ana = world.join(&one, "ana", second(1)).await;
    assert_eq!(world.join(&two, "ana", second(2)).await, ana);
    assert_ne!(world.join(&theirs, "ana", second(3)).await, ana);
    assert_eq!(one.owner, two.owner);
    assert_ne!(one.owner, theirs.owner);
    let on_telegram = world.chat(&acme, telegram_id).await;
    assert_ne!(on_telegram.participants[1].id, ana, "on another messenger it is another name");
    assert_ne!(on_telegram.participants[0].id, one.owner);
}

pub async fn a_person_who_appears_in_many_chats_at_once_has_one_id(world: &World) {
    let acme = tenant("acme");
    let mut groups = Vec::new();
    for _ in 0..20 {
        let chat = world.register_new(&acme, world.new_chat("Open")).await.chat_id;
        groups.push((chat, group_of(chat, second(0)).provider_chat_id));
    }
    world.finish_all(second(0), |_| End::Made).await;
    let worlds = world.twice().await;
    at_once(groups.iter().enumerate().map(|(number, (_, group))| {
        let world = worlds[number % 2].clone();
        let mut events = ["ana", "ben", "cid", "dora"].map(|name| joined(group, second(1), name));
        if number % 2 == 0 {
            events.reverse();
        }
        async move { world.record(&events).await }
    }))
    .await;
    let mut people: Vec<Vec<ParticipantId>> = Vec::new();
    for (chat, _) in groups {
        people.push(world.chat(&acme, chat).await.participants.iter().map(|person| person.id).collect());
    }
    assert_eq!(people[0].len(), 5);
    people.dedup();
    assert_eq!(people.len(), 1);
}

pub async fn overlapping_batches_at_once_make_one_record(world: &World) {
    let acme = tenant("acme");
    let chat = world.active_chat(&acme, "Open").await;
    let mut chance = Chance::new(5);
    let mut events = Vec::new();
    for number in 1..=60 {
        let name = *chance.one_of(&["ana", "ben", "cid", "dora"]);
        events.push(match chance.below(5) {
            0..2 => joined(&chat.group, second(number / 2), name),
            2..4 => left(&chat.group, second(number / 2), name),
            _ => renamed(&chat.group, second(number / 2), &format!("Title {}", number % 4)),
        });
    }
    // Eight tellers, each with three quarters of the events, in batches and an order of their own.
    let worlds = world.twice().await;
    let tellers = (0..8_usize).map(|teller| {
        let mut told: Vec<_> =
            events.iter().enumerate().filter(|(n, _)| n % 4 != teller % 4).map(|(_, e)| e.clone()).collect();
        let length = told.len();
        for place in 0..length {
            told.swap(place, chance.place(length));
        }
        let world = worlds[teller % 2].clone();
        async move {
            for batch in told.chunks(7) {
                world.record(batch).await;
            }
        }
    });
    let tellers: Vec<_> = tellers.collect();
    at_once(tellers).await;

    let at_once = world.chat(&acme, chat.id).await;
    let names: Vec<_> = at_once.participants.iter().map(|p| (p.user_properties.username.clone(), p.id)).collect();
    let id_of = |who: &SeenPerson| names.iter().find(|(name, _)| *name == who.properties.username).map(|(_, id)| *id);
    // Whoever only ever left is no participant: any id will do.
    let id_of = |who: &SeenPerson| id_of(who).unwrap_or(ParticipantId(chat.id.0));
    let mut kept = vec![ChatEvent {
        key: "registered".to_owned(),
        source: EventSource::Convoke,
        at: at_once.registered_at,
        recorded_at: at_once.registered_at,
        kind: ChatEventKind::Registered {
            service: Service::Sandbox,
            title: "Open".to_owned(),
            created_by: None,
            description: None,
        },
    }];
    kept.push(ChatEvent {
        key: "made".to_owned(),
        at: at_once.participants[0].participations[0].joined_at,
        kind: ChatEventKind::GroupMade {
            owner: chat.owner,
            properties: at_once.participants[0].user_properties.clone(),
        },
        ..kept[0].clone()
    });
    for told in &events {
        let kind = match &told.kind {
            ProviderEventKind::Joined { person, .. } => {
                ChatEventKind::Joined { person: id_of(person), invited_by: None, properties: person.properties.clone() }
            }
            ProviderEventKind::Left { person } => ChatEventKind::Left { person: id_of(person) },
            ProviderEventKind::Renamed { title } => ChatEventKind::Renamed { title: title.clone() },
            other => unreachable!("{other:?}"),
        };
        kept.push(ChatEvent {
            key: told.key.clone(),
            source: told.source,
            at: told.at,
            recorded_at: at_once.registered_at,
            kind,
        });
    }
    let expected = convoke_domain::Record::from_events(chat.id, &kept).unwrap().chat;
    assert_eq!((at_once.title, at_once.participants), (expected.title, expected.participants));
}

pub async fn control_characters_are_left_out(world: &World) {
    let acme = tenant("acme");
    let chat = world.active_chat(&acme, "Open").await;
    let odd = SeenPerson {
        external_id: "odd".to_owned(),
        properties: UserProperties {
            firstname: Some("A\u{0}na\n".to_owned()),
            lastname: Some("\u{7f}".to_owned()),
            username: Some("ana".to_owned()),
        },
    };
    let joins = event(&chat.group, second(1), ProviderEventKind::Joined { person: odd, invited_by: None });
    let renames = ProviderEvent { key: "rename".to_owned(), ..renamed(&chat.group, second(2), "a\u{0}b\tc") };
    world.record(&[joins, renames]).await;
    let record = world.chat(&acme, chat.id).await;
    let expected =
        UserProperties { firstname: Some("Ana".to_owned()), lastname: None, username: Some("ana".to_owned()) };
    assert_eq!(record.participants[1].user_properties, expected);
    assert_eq!(record.current_title(), Some("abc"));
}

pub async fn whoever_watches_a_chat_is_woken(world: &World) {
    let acme = tenant("acme");
    let accepted = world.register_new(&acme, world.new_chat("Watched")).await;
    let watched = world.store.changes().watch_chat(accepted.chat_id);
    let claimed = world.claim_only().await;
    let group = group_of(accepted.chat_id, second(0));

    let mut woken = std::pin::pin!(watched.notified());
    woken.as_mut().enable();
    assert!(world.finish(&claimed.lease, crate::world::chat_made(group.clone())).await);
    soon(woken).await;

    let mut woken = std::pin::pin!(watched.notified());
    woken.as_mut().enable();
    world
        .record(&[event(
            &group.provider_chat_id,
            second(1),
            ProviderEventKind::Joined { person: person("ana"), invited_by: None },
        )])
        .await;
    soon(woken).await;
}
