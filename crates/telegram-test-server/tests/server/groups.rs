//! Groups: made, read, joined, left.

use convoke_telegram_test_server::GroupId;
use grammers_client::tl;
use tl::enums::MessageAction;

use crate::client::{connect, one_account, peer, refusal};

#[tokio::test]
async fn a_group_is_made_and_read() {
    let (server, owner, id, _) = one_account().await;
    // Long enough to be packed on the way.
    let about = "All of it. ".repeat(20);
    let channel = owner.create("Quarterly review", &about).await.expect("made");

    let full = tl::functions::channels::GetFullChannel { channel: channel.clone().into() };
    let tl::enums::messages::ChatFull::Full(full) = owner.client.invoke(&full).await.expect("read");
    let tl::enums::ChatFull::ChannelFull(full) = full.full_chat else { panic!("a supergroup") };
    assert_eq!((full.about.as_str(), full.exported_invite.is_none(), full.pts), (about.as_str(), true, 2));

    let link = owner.link(&channel).await.expect("a link");
    let group = server.group(GroupId(channel.channel_id));
    assert_eq!((group.creator, group.members, group.invites), (id, vec![id], vec![link]));

    let edit = tl::functions::messages::EditChatAbout { peer: peer(&channel), about: "Short".to_owned() };
    assert!(owner.client.invoke(&edit).await.expect("described"));
    assert_eq!(refusal(owner.client.invoke(&edit).await), (400, "CHAT_ABOUT_NOT_MODIFIED".to_owned()));
    assert_eq!(server.group(GroupId(channel.channel_id)).about, "Short");
}

#[tokio::test]
async fn comings_and_goings_are_told_and_logged() {
    let (server, mut owner, owner_id, _) = one_account().await;
    let (ada, bob) = (server.new_user("Ada", "Lovelace", "ada"), server.new_user("Bob", "", ""));
    let channel = owner.create("Comings", "").await.expect("made");
    let link = owner.link(&channel).await.expect("a link");
    let group = GroupId(channel.channel_id);
    assert!(matches!(owner.next_action().await, (1, MessageAction::ChannelCreate(_))));

    server.join(ada, &link).expect("joins");
    let (_, action) = owner.next_action().await;
    assert!(matches!(action, MessageAction::ChatJoinedByLink(by) if by.inviter_id == owner_id.0));
    server.add(group, ada, bob).expect("added");
    assert!(matches!(owner.next_action().await.1, MessageAction::ChatAddUser(added) if added.users == [bob.0]));
    server.leave(group, bob).expect("leaves");
    assert!(matches!(owner.next_action().await.1, MessageAction::ChatDeleteUser(gone) if gone.user_id == bob.0));
    server.rename(group, ada, "Goings").expect("renamed");
    assert!(matches!(owner.next_action().await.1, MessageAction::ChatEditTitle(edit) if edit.title == "Goings"));
    server.remove(group, owner_id, ada).expect("removed");
    assert!(matches!(owner.next_action().await.1, MessageAction::ChatDeleteUser(gone) if gone.user_id == ada.0));
    assert_eq!(server.join(ada, &link).expect_err("banned").name, "INVITE_HASH_EXPIRED");

    let log = owner.log(&channel, 4).await;
    let kinds: Vec<_> = log
        .iter()
        .map(|event| match &event.action {
            tl::enums::ChannelAdminLogEventAction::ParticipantToggleBan(_) => ("ban", event.user_id),
            tl::enums::ChannelAdminLogEventAction::ChangeTitle(_) => ("title", event.user_id),
            tl::enums::ChannelAdminLogEventAction::ParticipantLeave => ("leave", event.user_id),
            tl::enums::ChannelAdminLogEventAction::ParticipantInvite(_) => ("invite", event.user_id),
            _ => ("other", event.user_id),
        })
        .collect();
    assert_eq!(kinds, [("ban", owner_id.0), ("title", ada.0), ("leave", bob.0), ("invite", ada.0)]);
}

#[tokio::test]
async fn a_second_client_joins_by_the_link_and_sees_only_what_it_may() {
    let (server, mut owner, _, _) = one_account().await;
    let guest_id = server.new_user("Guest", "", "guest");
    let guest = connect(&server.session(guest_id)).await;
    let channel = owner.create("Two clients", "").await.expect("made");
    let link = owner.link(&channel).await.expect("a link");

    let stolen = tl::functions::channels::GetFullChannel { channel: channel.clone().into() };
    assert_eq!(refusal(guest.client.invoke(&stolen).await), (400, "CHANNEL_INVALID".to_owned()));

    let hash = link.rsplit('+').next().expect("a hash").to_owned();
    let joined = guest.client.invoke(&tl::functions::messages::ImportChatInvite { hash }).await.expect("joins");
    let tl::enums::messages::ChatInviteJoinResult::Ok(joined) = joined else { panic!("in at once") };
    let tl::enums::Updates::Updates(updates) = joined.updates else { panic!("plain updates") };
    let Some(tl::enums::Chat::Channel(own)) = updates.chats.first() else { panic!("the group") };
    assert!(matches!(owner.next_action().await.1, MessageAction::ChannelCreate(_)));
    assert!(matches!(owner.next_action().await.1, MessageAction::ChatJoinedByLink(_)));

    let own = tl::types::InputChannel { channel_id: own.id, access_hash: own.access_hash.expect("a hash") };
    assert_ne!(own.access_hash, channel.access_hash);
    let rename = tl::functions::channels::EditTitle { channel: own.into(), title: "Mine".to_owned() };
    assert_eq!(refusal(guest.client.invoke(&rename).await), (400, "CHAT_ADMIN_REQUIRED".to_owned()));
}

#[tokio::test]
async fn members_are_paged_and_searched_and_banned() {
    let (server, owner, owner_id, _) = one_account().await;
    let channel = owner.create("Many", "").await.expect("made");
    let link = owner.link(&channel).await.expect("a link");
    for number in 0..5 {
        let user = server.new_user(&format!("Guest {number}"), "", &format!("guest{number}"));
        server.join(user, &link).expect("joins");
    }
    let page = async |filter, offset, limit| {
        let call = tl::functions::channels::GetParticipants {
            channel: channel.clone().into(),
            filter,
            offset,
            limit,
            hash: 0,
        };
        match owner.client.invoke(&call).await.expect("members") {
            tl::enums::channels::ChannelParticipants::Participants(page) => page,
            tl::enums::channels::ChannelParticipants::NotModified => panic!("no hash was given"),
        }
    };
    let recent = tl::enums::ChannelParticipantsFilter::ChannelParticipantsRecent;
    let first = page(recent.clone(), 0, 4).await;
    let second = page(recent, 4, 4).await;
    assert_eq!((first.count, first.participants.len(), second.participants.len()), (6, 4, 2));

    let search = tl::types::ChannelParticipantsSearch { q: "guest3".to_owned() };
    let found = page(search.into(), 0, 10).await;
    let Some(tl::enums::User::User(found)) = found.users.first() else { panic!("one of them") };
    let rights = tl::types::ChatBannedRights { view_messages: true, ..no_rights() };
    let participant = tl::types::InputPeerUser { user_id: found.id, access_hash: found.access_hash.expect("a hash") };
    let ban = tl::functions::channels::EditBanned {
        channel: channel.clone().into(),
        participant: participant.into(),
        banned_rights: rights.into(),
    };
    owner.client.invoke(&ban).await.expect("banned");
    let group = server.group(GroupId(channel.channel_id));
    assert_eq!((group.members.len(), group.banned.len(), group.creator), (5, 1, owner_id));
}

fn no_rights() -> tl::types::ChatBannedRights {
    tl::types::ChatBannedRights {
        view_messages: false,
        send_messages: false,
        send_media: false,
        send_stickers: false,
        send_gifs: false,
        send_games: false,
        send_inline: false,
        embed_links: false,
        send_polls: false,
        change_info: false,
        invite_users: false,
        pin_messages: false,
        manage_topics: false,
        send_photos: false,
        send_videos: false,
        send_roundvideos: false,
        send_audios: false,
        send_voices: false,
        send_docs: false,
        send_plain: false,
        edit_rank: false,
        send_reactions: false,
        manage_linked_peers: false,
        until_date: 0,
    }
}

#[tokio::test]
async fn a_deleted_group_is_private_to_everybody() {
    let (server, owner, _, _) = one_account().await;
    let channel = owner.create("Short-lived", "").await.expect("made");
    server.delete(GroupId(channel.channel_id)).expect("deleted");
    let full = tl::functions::channels::GetFullChannel { channel: channel.clone().into() };
    assert_eq!(refusal(owner.client.invoke(&full).await), (400, "CHANNEL_PRIVATE".to_owned()));
    let chats = tl::functions::channels::GetChannels { id: vec![channel.into()] };
    let tl::enums::messages::Chats::Chats(chats) = owner.client.invoke(&chats).await.expect("told") else {
        panic!("all of them")
    };
    assert!(matches!(chats.chats.first(), Some(tl::enums::Chat::ChannelForbidden(_))));
}

#[tokio::test]
async fn dialogs_are_paged_newest_first() {
    let (server, owner, _, _) = one_account().await;
    for number in 0..7 {
        owner.create(&format!("Group {number}"), "").await.expect("made");
        server.advance(std::time::Duration::from_secs(1));
    }
    let mut titles = Vec::new();
    let mut dialogs = owner.client.iter_dialogs();
    while let Some(dialog) = dialogs.next().await.expect("dialogs") {
        titles.push(dialog.peer().name().expect("a title").to_owned());
    }
    assert_eq!(titles, ["Group 6", "Group 5", "Group 4", "Group 3", "Group 2", "Group 1", "Group 0"]);
}
