//! Who is in a chat, and who was.

use convoke_domain::{ChatStatus, EndReason, Participation, Timestamp, UserProperties};
use convoke_provider::{ProviderEventKind, SeenPerson};

use crate::world::{World, chat_made, event, group_of, joined, left, person, second, tenant};

fn stay(joined_at: Timestamp) -> Participation {
    Participation { is_active: true, joined_at, invited_by: None, left_at: None, end_reason: None, removed_by: None }
}

fn ended(joined_at: Timestamp, left_at: Timestamp, reason: EndReason) -> Participation {
    Participation { is_active: false, left_at: Some(left_at), end_reason: Some(reason), ..stay(joined_at) }
}

pub async fn somebody_who_joins_is_in_the_record(world: &World) {
    let acme = tenant("acme");
    let chat = world.active_chat(&acme, "Open").await;
    let before = world.document(&acme, chat.id).await;
    let properties = UserProperties {
        firstname: Some("Ana".to_owned()),
        lastname: Some("Díaz".to_owned()),
        username: Some("ana".to_owned()),
    };
    let ana = SeenPerson { external_id: "17".to_owned(), properties: properties.clone() };
    let recorded_at = second(9);
    let event = event(&chat.group, second(1), ProviderEventKind::Joined { person: ana, invited_by: None });
    world.store.record_events(convoke_domain::Service::Sandbox, &[event], recorded_at).await.unwrap();

    let document = world.document(&acme, chat.id).await;
    assert!(document.version > before.version);
    assert_eq!(document.status, ChatStatus::Active);
    let record = world.chat(&acme, chat.id).await;
    assert_eq!(record.updated_at, recorded_at);
    assert_eq!(record.participants.len(), 2);
    let (owner, ana) = (&record.participants[0], &record.participants[1]);
    assert_eq!(owner.id, chat.owner);
    assert!(owner.is_in());
    assert_ne!(ana.id, chat.owner);
    assert_eq!(ana.user_properties, properties);
    assert_eq!(ana.participations, [stay(second(1))]);
}

pub async fn somebody_who_leaves_is_out_and_may_come_again(world: &World) {
    let acme = tenant("acme");
    let chat = world.active_chat(&acme, "Open").await;
    let ana = world.join(&chat, "ana", second(1)).await;
    world.record(&[left(&chat.group, second(2), "ana"), joined(&chat.group, second(3), "ana")]).await;
    let record = world.chat(&acme, chat.id).await;
    let first = ended(second(1), second(2), EndReason::Left);
    assert_eq!(record.participant(ana).unwrap().participations, [first.clone(), stay(second(3))]);
    world.record(&[left(&chat.group, second(4), "ana")]).await;
    let record = world.chat(&acme, chat.id).await;
    let second_stay = ended(second(3), second(4), EndReason::Left);
    assert_eq!(record.participant(ana).unwrap().participations, [first, second_stay]);
    assert_eq!(record.participants.len(), 2);
}

pub async fn somebody_who_is_removed_is_out_with_who_did_it(world: &World) {
    let acme = tenant("acme");
    let chat = world.active_chat(&acme, "Open").await;
    let ana = world.join(&chat, "ana", second(1)).await;
    let ben = world.join(&chat, "ben", second(2)).await;
    let by_ana = ProviderEventKind::Removed { person: person("ben"), removed_by: Some(person("ana")) };
    let by_nobody = ProviderEventKind::Removed { person: person("ana"), removed_by: None };
    world.record(&[event(&chat.group, second(3), by_ana), event(&chat.group, second(4), by_nobody)]).await;
    let record = world.chat(&acme, chat.id).await;
    let removed = |from, to| ended(second(from), second(to), EndReason::Removed);
    let expected = Participation { removed_by: Some(ana), ..removed(2, 3) };
    assert_eq!(record.participant(ben).unwrap().participations, [expected]);
    assert_eq!(record.participant(ana).unwrap().participations, [removed(1, 4)]);
}

pub async fn whoever_brought_somebody_in_is_told(world: &World) {
    let acme = tenant("acme");
    let chat = world.active_chat(&acme, "Open").await;
    let ana = world.join(&chat, "ana", second(1)).await;
    let brought = |name: &str| ProviderEventKind::Joined { person: person(name), invited_by: Some(person("ana")) };
    world.record(&[event(&chat.group, second(2), brought("ben"))]).await;
    // Who comes by themselves, some messengers tell as brought in by themselves.
    let herself = event(&chat.group, second(4), brought("ana"));
    world.record(&[left(&chat.group, second(3), "ana"), herself]).await;
    let record = world.chat(&acme, chat.id).await;
    let ben = world.participant(&chat, "ben").await;
    let expected = Participation { invited_by: Some(ana), ..stay(second(2)) };
    assert_eq!(record.participant(ben).unwrap().participations, [expected]);
    assert_eq!(record.participant(ana).unwrap().participations[1], stay(second(4)));
}

pub async fn members_who_were_told_before_the_chat_is_active_are_kept(world: &World) {
    let acme = tenant("acme");
    let accepted = world.register_new(&acme, world.new_chat("Early")).await;
    let claimed = world.claim_only().await;
    let group = group_of(accepted.chat_id, second(1));
    let progress = "{}".to_owned();
    assert!(world.store.save_progress(&claimed.lease, Some(progress), Some(&group), second(1)).await.unwrap());
    world.record(&[joined(&group.provider_chat_id, second(2), "ana")]).await;
    let record = world.chat(&acme, accepted.chat_id).await;
    assert_eq!((record.status, record.participants.len()), (ChatStatus::Provisioning, 1));

    assert!(world.finish(&claimed.lease, chat_made(group)).await);
    let record = world.chat(&acme, accepted.chat_id).await;
    assert_eq!(record.status, ChatStatus::Active);
    let stays: Vec<_> = record.participants.iter().map(|p| p.participations.clone()).collect();
    assert_eq!(stays, [[stay(second(1))], [stay(second(2))]], "the owner came first");
}
