//! What a client missed, it learns.

use std::time::Duration;

use convoke_telegram_test_server::GroupId;
use grammers_client::tl;
use tl::enums::{
    MessageAction,
    updates::{ChannelDifference, Difference},
};

use crate::client::{connect_with, one_account, until};

#[tokio::test]
async fn a_cut_connection_loses_nothing() {
    let (server, mut owner, _, session) = one_account().await;
    let channel = owner.create("Cut", "").await.expect("made");
    let link = owner.link(&channel).await.expect("a link");
    assert!(matches!(owner.next_action().await.1, MessageAction::ChannelCreate(_)));

    server.stop();
    let ada = server.new_user("Ada", "", "");
    server.join(ada, &link).expect("joins");
    server.restart();
    let call = tl::functions::updates::GetDifference {
        pts: 1,
        pts_limit: None,
        pts_total_limit: None,
        date: 1,
        qts: 0,
        qts_limit: None,
    };
    let Difference::Difference(missed) = owner.ask(&call).await else { panic!("something was missed") };
    let [tl::enums::Update::ChannelTooLong(group)] = &missed.other_updates[..] else { panic!("{missed:?}") };
    assert_eq!(group.pts, Some(3), "where the group is now, from which grammers' own stream would go on");
    let call = tl::functions::updates::GetChannelDifference {
        force: false,
        channel: channel.into(),
        filter: tl::enums::ChannelMessagesFilter::Empty,
        pts: 2,
        limit: 100,
    };
    let ChannelDifference::Difference(missed) = owner.ask(&call).await else { panic!("something was missed") };
    let [tl::enums::Message::Service(message)] = &missed.new_messages[..] else { panic!("{missed:?}") };
    assert!(matches!((message.id, &message.action), (2, MessageAction::ChatJoinedByLink(_))), "{message:?}");
    assert_eq!(server.key(&session).most_connections, 1);
}

#[tokio::test]
async fn an_hour_of_downtime_is_caught_up_in_slices() {
    let (server, mut owner, _, _) = one_account().await;
    let channel = owner.create("Downtime", "").await.expect("made");
    let link = owner.link(&channel).await.expect("a link");
    owner.next_action().await;
    assert_eq!(owner.pts(&channel).await, Some(2));
    let session = owner.session.clone();
    drop(owner);

    server.advance(Duration::from_hours(1));
    for _ in 0..120 {
        let guest = server.new_user("Guest", "", "");
        server.join(guest, &link).expect("joins");
    }
    let mut owner = connect_with(session).await;
    for id in 2..=121 {
        assert_eq!(owner.next_action().await.0, id);
    }
    assert_eq!(owner.pts(&channel).await, Some(122));
}

#[tokio::test]
async fn a_difference_that_is_too_long_moves_the_count_and_brings_nothing() {
    let (server, mut owner, owner_id, _) = one_account().await;
    let channel = owner.create("Long", "").await.expect("made");
    owner.next_action().await;
    owner.pts(&channel).await;
    let session = owner.session.clone();
    drop(owner);

    server.too_long_after(2);
    let someone = server.new_user("Someone", "", "");
    for _ in 0..2 {
        server.add(GroupId(channel.channel_id), someone, someone).expect("added");
        server.leave(GroupId(channel.channel_id), someone).expect("left");
    }
    let mut owner = connect_with(session).await;
    let renamed_later = async {
        until("the difference is asked for", || server.calls_of("updates.getChannelDifference") == 1).await;
        server.rename(GroupId(channel.channel_id), owner_id, "Later").expect("renamed");
    };
    // In one go, for whoever stops waiting for the difference asks again, and then the new title is in it.
    let (next, ()) = tokio::join!(owner.next_action(), renamed_later);
    assert!(matches!(next, (6, MessageAction::ChatEditTitle(_))), "grammers passes over what is too long: {next:?}");
}

#[tokio::test]
async fn a_lost_push_is_found_out_by_the_next_and_a_doubled_one_counts_once() {
    let (server, mut owner, owner_id, _) = one_account().await;
    let channel = owner.create("Gap", "").await.expect("made");
    owner.next_action().await;
    let group = GroupId(channel.channel_id);
    server.drop_pushes(1);
    server.rename(group, owner_id, "Lost").expect("renamed");
    server.double_pushes(1);
    server.rename(group, owner_id, "Twice").expect("renamed");
    server.rename(group, owner_id, "Last").expect("renamed");
    let mut titles = Vec::new();
    for _ in 0..3 {
        match owner.next_action().await.1 {
            MessageAction::ChatEditTitle(edit) => titles.push(edit.title),
            other => panic!("a title, not {other:?}"),
        }
    }
    titles.sort();
    assert_eq!(titles, ["Last", "Lost", "Twice"]);
}

#[tokio::test]
async fn silent_joins_are_in_the_admin_log_alone() {
    let (server, mut owner, owner_id, _) = one_account().await;
    let channel = owner.create("Silent", "").await.expect("made");
    let link = owner.link(&channel).await.expect("a link");
    owner.next_action().await;
    let group = GroupId(channel.channel_id);
    server.silence(group, true);
    let ada = server.new_user("Ada", "", "");
    server.join(ada, &link).expect("joins");
    server.rename(group, owner_id, "Heard").expect("renamed");
    assert!(matches!(owner.next_action().await, (2, MessageAction::ChatEditTitle(_))));
    let log = owner.log(&channel, 100).await;
    assert!(matches!(log[1].action, tl::enums::ChannelAdminLogEventAction::ParticipantJoinByInvite(_)));
    assert_eq!((log.len(), log[1].user_id), (2, ada.0));
}
