//! The admin log: read in pages, filtered, for two days.

use std::time::Duration;

use convoke_telegram_test_server::GroupId;
use grammers_client::tl;
use tl::enums::{ChannelAdminLogEventAction, MessageAction};

use crate::client::{Connected, one_account, refusal};

/// What lies between two entries, newest first, as titles.
async fn titles(owner: &Connected, channel: &tl::types::InputChannel, min_id: i64, max_id: i64) -> Vec<(i64, String)> {
    let call = tl::functions::channels::GetAdminLog {
        channel: channel.clone().into(),
        q: String::new(),
        events_filter: None,
        admins: None,
        max_id,
        min_id,
        limit: 2,
    };
    let tl::enums::channels::AdminLogResults::Results(log) = owner.client.invoke(&call).await.expect("the log");
    let title = |tl::enums::ChannelAdminLogEvent::Event(entry)| match entry.action {
        ChannelAdminLogEventAction::ChangeTitle(change) => (entry.id, change.new_value),
        other => panic!("a title, not {other:?}"),
    };
    log.events.into_iter().map(title).collect()
}

#[tokio::test]
async fn it_is_read_in_pages_between_bounds() {
    let (server, owner, id, _) = one_account().await;
    let channel = owner.create("0", "").await.expect("made");
    for title in ["1", "2", "3", "4"] {
        server.rename(GroupId(channel.channel_id), id, title).expect("renamed");
    }
    let newest = titles(&owner, &channel, 0, 0).await;
    assert_eq!((newest[0].1.as_str(), newest[1].1.as_str()), ("4", "3"));
    let older = titles(&owner, &channel, 0, newest[1].0).await;
    assert_eq!((older[0].1.as_str(), older[1].1.as_str()), ("2", "1"));
    let between = titles(&owner, &channel, older[1].0, newest[1].0).await;
    assert_eq!(between, older[..1]);
}

#[tokio::test]
async fn it_goes_back_two_days_and_is_for_admins() {
    let (server, owner, id, _) = one_account().await;
    let channel = owner.create("Old", "").await.expect("made");
    server.rename(GroupId(channel.channel_id), id, "New").expect("renamed");
    server.advance(Duration::from_hours(47));
    assert_eq!(titles(&owner, &channel, 0, 0).await.len(), 1);
    server.advance(Duration::from_hours(2));
    assert!(titles(&owner, &channel, 0, 0).await.is_empty());
    let wrong = tl::types::InputChannel { access_hash: 1, ..channel };
    let full = tl::functions::channels::GetFullChannel { channel: wrong.into() };
    assert_eq!(refusal(owner.client.invoke(&full).await), (400, "CHANNEL_INVALID".to_owned()));
}

#[tokio::test]
async fn who_asks_to_come_in_is_let_in_by_somebody() {
    let (server, mut owner, id, _) = one_account().await;
    let channel = owner.create("On request", "").await.expect("made");
    owner.next_action().await;
    let group = GroupId(channel.channel_id);
    let link = server.request_link(group, id).expect("a link");
    let ada = server.new_user("Ada", "", "");
    assert_eq!(server.join(ada, &link).expect_err("an admin decides").name, "INVITE_REQUEST_SENT");
    assert_eq!(server.group(group).members, [id]);
    server.approve(group, id, ada).expect("let in");
    assert!(matches!(owner.next_action().await.1, MessageAction::ChatJoinedByRequest));
    let log = owner.log(&channel, 1).await;
    match &log[0].action {
        ChannelAdminLogEventAction::ParticipantJoinByRequest(join) => assert_eq!(join.approved_by, id.0),
        other => panic!("a join, not {other:?}"),
    }
    assert_eq!(log[0].user_id, ada.0);
}
