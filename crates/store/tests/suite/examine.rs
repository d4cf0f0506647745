//! What the doctor finds when something derived is not what the events say.

use std::sync::Arc;

use convoke_store::Finding;

use crate::backup::Kept;
use crate::world::{ActiveChat, World, joined, left, second, tenant};

/// A chat with a stay that goes on and one that is over, beside one that is in order.
async fn patient(world: &World) -> ActiveChat {
    let acme = tenant("acme");
    world.active_chat(&acme, "In order").await;
    let chat = world.active_chat(&acme, "Patient").await;
    world.record(&[joined(&chat.group, second(1), "ana"), joined(&chat.group, second(1), "ben")]).await;
    world.record(&[left(&chat.group, second(2), "ben")]).await;
    while world.store.roll_up_counts().await.unwrap() > 0 {}
    chat
}

async fn findings(world: &World) -> Vec<Finding> {
    let kept = Arc::new(Kept::default());
    let report = world.store.examine_telling(kept.clone()).await.expect("a report");
    assert_eq!(report.chats, 2);
    let told = [("chats", 0, Some(2)), ("chats", 2, Some(2)), ("counts", 0, None)];
    let told = told.map(|(step, done, total)| (step.to_owned(), done, total));
    assert_eq!(*kept.0.lock().unwrap(), told, "how far it has come is told");
    report.findings
}

/// Breaks something; then one finding must tell it, of that chat; and mends it.
async fn assert_found(world: &World, chat: &ActiveChat, breaks: &str, mends: &str, told: &str) {
    assert_eq!(findings(world).await, []);
    world.execute(breaks).await;
    let found = findings(world).await;
    world.execute(mends).await;
    let [finding] = &found[..] else { panic!("one finding after {breaks}: {found:?}") };
    assert_eq!((finding.tenant.as_str(), finding.chat_id), ("acme", Some(chat.id)), "{breaks}");
    assert!(finding.what.contains(told), "{finding:?}");
}

pub async fn a_wrong_document_is_found(world: &World) {
    let chat = patient(world).await;
    let replace = |old: &str, new: &str| {
        format!("update chats set document = replace(document, '{old}', '{new}') where title = 'Patient'")
    };
    let (breaks, mends) = (replace("\"ana\"", "\"eve\""), replace("\"eve\"", "\"ana\""));
    assert_found(world, &chat, &breaks, &mends, "document").await;
    // Only those of this release's form are compared: older ones are not shown.
    world.execute(&breaks).await;
    world.execute("update chats set document_version = 0").await;
    assert_eq!(findings(world).await, []);
    world.execute(&mends).await;
    world.execute("update chats set document_version = 1").await;
}

pub async fn a_wrong_column_is_found(world: &World) {
    let chat = patient(world).await;
    let of_patient = "where document like '%Patient%'";
    for (wrong, right) in [
        ("status = 'closed'", "status = 'active'"),
        ("title = 'Other'", "title = 'Patient'"),
        ("service = 'telegram'", "service = 'sandbox'"),
        ("description = 'Other'", "description = null"),
        ("created_by = 'eve'", "created_by = null"),
        ("registered_at = registered_at - 1", "registered_at = registered_at + 1"),
        ("updated_at = updated_at + 1", "updated_at = updated_at - 1"),
        ("last_event_at = last_event_at - 1", "last_event_at = last_event_at + 1"),
    ] {
        let (breaks, mends) =
            (format!("update chats set {wrong} {of_patient}"), format!("update chats set {right} {of_patient}"));
        assert_found(world, &chat, &breaks, &mends, "columns").await;
    }
}

pub async fn a_wrong_stay_is_found(world: &World) {
    let chat = patient(world).await;
    let ana = "where joined_at = (select max(joined_at) from participations) and left_at is null";
    for (wrong, right) in [
        ("joined_at = joined_at + 1", "joined_at = joined_at - 1"),
        ("ordinal = 1", "ordinal = 0"),
        ("end_reason = 'left'", "end_reason = null"),
        ("invited_by = person_id", "invited_by = null"),
        ("removed_by = person_id", "removed_by = null"),
    ] {
        let (breaks, mends) =
            (format!("update participations set {wrong} {ana}"), format!("update participations set {right} {ana}"));
        assert_found(world, &chat, &breaks, &mends, "stays").await;
    }
    let keep = "create table kept as select * from participations";
    world.execute(keep).await;
    let again = "delete from participations; insert into participations select * from kept";
    assert_found(world, &chat, &format!("delete from participations {ana}"), again, "stays").await;
    let reopened = "update participations set left_at = null where end_reason = 'left'";
    assert_found(world, &chat, reopened, again, "stays").await;
    world.execute("drop table kept").await;
}

pub async fn a_wrong_count_is_found(world: &World) {
    patient(world).await;
    world.execute("create table kept as select * from chat_counts").await;
    for breaks in [
        "update chat_counts set active = active + 1 where level = 0",
        "update chat_counts set inactive = inactive + 1 where level = 1",
        "update chat_counts set active = active - 1, inactive = inactive + 1 where level = 1",
        "update chat_counts set bucket_start = bucket_start + 86400000 where level = 1",
        "update chat_counts set is_split = not is_split where level = 1",
        "delete from chat_counts where level = 0",
        "delete from chat_counts",
    ] {
        assert_eq!(findings(world).await, []);
        world.execute(breaks).await;
        let found = findings(world).await;
        world.execute("delete from chat_counts; insert into chat_counts select * from kept").await;
        assert!(!found.is_empty(), "{breaks}");
        for finding in found {
            assert_eq!((finding.tenant.as_str(), finding.chat_id), ("acme", None), "{breaks}");
            assert!(finding.what.contains("counts"), "{finding:?}");
        }
    }
    world.execute("drop table kept").await;
}

pub async fn a_lost_event_is_found(world: &World) {
    let chat = patient(world).await;
    world.execute("create table kept as select * from chat_events").await;
    for (body, findings_expected) in [("%ana%", 2), ("%\"left\"%", 3), ("%registered%Patient%", 1)] {
        world.execute(&format!("delete from chat_events where body like '{body}'")).await;
        let found = findings(world).await;
        world.execute("delete from chat_events; insert into chat_events select * from kept").await;
        assert_eq!(found.len(), findings_expected, "{body}: {found:?}");
        assert!(found.iter().all(|finding| finding.chat_id == Some(chat.id)), "{found:?}");
    }
    world.execute("drop table kept").await;
}
