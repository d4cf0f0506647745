//! People, groups and what happened, in the forms of Telegram's schema and as one viewer sees them.

use std::collections::BTreeSet;

use grammers_tl_types::{self as tl, Cursor, Deserializable, Serializable};

use crate::world::{Change, Entry, Event, Group, Happening, Invite, Logged, UserId, World};

/// A value of the schema read from the bytes of its mandatory parts, so that its many optional ones need no list here.
fn from_parts<T: Deserializable>(parts: &[&[u8]]) -> T {
    T::deserialize(&mut Cursor::from_slice(&parts.concat())).expect("the mandatory parts are there, in their order")
}

pub fn user(world: &World, viewer: UserId, id: UserId) -> tl::enums::User {
    let Some(person) = world.people.get(&id) else {
        return tl::enums::User::Empty(tl::types::UserEmpty { id: id.0 });
    };
    let mut user: tl::types::User = from_parts(&[&[0; 8], &id.0.to_le_bytes()]);
    user.is_self = viewer == id;
    user.access_hash = Some(World::access_hash(viewer, id.0));
    user.first_name = Some(person.first.clone()).filter(|name| !name.is_empty());
    user.last_name = Some(person.last.clone()).filter(|name| !name.is_empty());
    user.username = Some(person.username.clone()).filter(|name| !name.is_empty());
    if viewer == id {
        user.phone = Some(person.phone.clone());
    }
    tl::enums::User::User(user)
}

pub fn users(world: &World, viewer: UserId, ids: impl IntoIterator<Item = UserId>) -> Vec<tl::enums::User> {
    let ids: BTreeSet<UserId> = ids.into_iter().collect();
    ids.into_iter().map(|id| user(world, viewer, id)).collect()
}

/// The group as a chat: in full for who is in, as a forbidden one for anybody else.
pub fn chat(viewer: UserId, group: &Group) -> tl::enums::Chat {
    let access_hash = World::access_hash(viewer, group.id.0);
    if group.deleted || !group.members.contains_key(&viewer) {
        return tl::enums::Chat::ChannelForbidden(tl::types::ChannelForbidden {
            broadcast: false,
            megagroup: true,
            monoforum: false,
            id: group.id.0,
            access_hash,
            title: group.title.clone(),
            until_date: None,
        });
    }
    let photo = tl::enums::ChatPhoto::Empty.to_bytes();
    let mut channel: tl::types::Channel = from_parts(&[
        &[0; 8],
        &group.id.0.to_le_bytes(),
        &group.title.to_bytes(),
        &photo,
        &group.made_at.to_le_bytes(),
    ]);
    channel.access_hash = Some(access_hash);
    channel.megagroup = true;
    channel.creator = group.creator == viewer;
    if channel.creator {
        channel.admin_rights = Some(admin_rights());
    }
    channel.participants_count = i32::try_from(group.members.len()).ok();
    tl::enums::Chat::Channel(channel)
}

pub fn full_chat(viewer: UserId, group: &Group) -> tl::enums::ChatFull {
    let photo: &[u8] = &tl::enums::Photo::Empty(tl::types::PhotoEmpty { id: 0 }).to_bytes();
    let notify = notify_settings().to_bytes();
    let bots = Vec::<tl::enums::BotInfo>::new().to_bytes();
    let (id, about, pts) = (group.id.0.to_le_bytes(), group.about.to_bytes(), group.pts().to_le_bytes());
    let mut full: tl::types::ChannelFull = from_parts(&[&[0; 8], &id, &about, &[0; 12], photo, &notify, &bots, &pts]);
    let admin = group.is_admin(viewer);
    full.can_view_participants = true;
    full.can_delete_channel = admin;
    full.participants_count = i32::try_from(group.members.len()).ok();
    if admin {
        let primary = group.invites.iter().find(|invite| invite.by == viewer && !invite.by_request && !invite.revoked);
        full.exported_invite = primary.map(exported);
    }
    tl::enums::ChatFull::ChannelFull(full)
}

pub fn exported(invite: &Invite) -> tl::enums::ExportedChatInvite {
    tl::enums::ExportedChatInvite::ChatInviteExported(tl::types::ChatInviteExported {
        revoked: invite.revoked,
        permanent: !invite.by_request,
        request_needed: invite.by_request,
        link: invite.link(),
        admin_id: invite.by.0,
        date: invite.made_at,
        start_date: None,
        expire_date: None,
        usage_limit: None,
        usage: Some(invite.used),
        requested: None,
        subscription_expired: None,
        title: None,
        subscription_pricing: None,
    })
}

pub fn peer(user: UserId) -> tl::enums::Peer {
    tl::enums::Peer::User(tl::types::PeerUser { user_id: user.0 })
}

pub fn peer_of(group: &Group) -> tl::enums::Peer {
    tl::enums::Peer::Channel(tl::types::PeerChannel { channel_id: group.id.0 })
}

pub fn message(viewer: UserId, group: &Group, event: &Event) -> tl::enums::Message {
    use tl::enums::MessageAction;
    let action = match &event.what {
        Happening::Created => {
            MessageAction::ChannelCreate(tl::types::MessageActionChannelCreate { title: group.title.clone() })
        }
        Happening::JoinedByLink { link_of } => {
            MessageAction::ChatJoinedByLink(tl::types::MessageActionChatJoinedByLink { inviter_id: link_of.0 })
        }
        Happening::JoinedByRequest => MessageAction::ChatJoinedByRequest,
        Happening::Added(user) => {
            MessageAction::ChatAddUser(tl::types::MessageActionChatAddUser { users: vec![user.0] })
        }
        Happening::Gone(user) => {
            MessageAction::ChatDeleteUser(tl::types::MessageActionChatDeleteUser { user_id: user.0 })
        }
        Happening::Renamed(title) => {
            MessageAction::ChatEditTitle(tl::types::MessageActionChatEditTitle { title: title.clone() })
        }
    };
    tl::enums::Message::Service(tl::types::MessageService {
        out: event.by == viewer,
        mentioned: false,
        media_unread: false,
        reactions_are_possible: false,
        silent: false,
        post: false,
        legacy: false,
        id: event.id,
        from_id: Some(peer(event.by)),
        peer_id: peer_of(group),
        saved_peer_id: None,
        reply_to: None,
        date: event.at,
        action,
        reactions: None,
        ttl_period: None,
    })
}

/// Whom a message is about.
pub fn people_of(event: &Event) -> impl Iterator<Item = UserId> + use<> {
    [Some(event.by), event.what.names()].into_iter().flatten()
}

/// A change as it is told to one viewer: nothing to who has nothing to do with it.
pub fn updates(world: &World, viewer: UserId, change: &Change) -> tl::enums::Updates {
    let mut updates = Vec::new();
    let mut people = vec![viewer];
    let mut chats = Vec::new();
    if let Some(group) = world.groups.get(&change.group) {
        if change.touched.contains(&viewer) {
            updates.push(tl::enums::Update::Channel(tl::types::UpdateChannel { channel_id: group.id.0 }));
        }
        if let Some(event) = &change.event
            && group.members.contains_key(&viewer)
        {
            people.extend(people_of(event));
            updates.push(tl::enums::Update::NewChannelMessage(tl::types::UpdateNewChannelMessage {
                message: message(viewer, group, event),
                pts: event.pts,
                pts_count: 1,
            }));
        }
        chats.push(chat(viewer, group));
    }
    let users = users(world, viewer, people);
    tl::enums::Updates::Updates(tl::types::Updates { updates, users, chats, date: world.now(), seq: 0 })
}

pub fn participant(viewer: UserId, group: &Group, id: UserId) -> Option<tl::enums::ChannelParticipant> {
    use tl::enums::ChannelParticipant;
    if let Some(ban) = group.banned.get(&id) {
        return Some(banned(id, ban.by, ban.at));
    }
    let member = group.members.get(&id)?;
    Some(if group.creator == id {
        ChannelParticipant::Creator(tl::types::ChannelParticipantCreator {
            user_id: id.0,
            admin_rights: admin_rights(),
            rank: None,
        })
    } else if viewer == id {
        ChannelParticipant::ParticipantSelf(tl::types::ChannelParticipantSelf {
            via_request: false,
            user_id: id.0,
            inviter_id: member.invited_by.map_or(0, |user| user.0),
            date: member.joined_at,
            subscription_until_date: None,
            rank: None,
        })
    } else {
        plain_participant(id, member.joined_at)
    })
}

fn plain_participant(id: UserId, date: i32) -> tl::enums::ChannelParticipant {
    tl::enums::ChannelParticipant::Participant(tl::types::ChannelParticipant {
        user_id: id.0,
        date,
        subscription_until_date: None,
        rank: None,
    })
}

fn banned(id: UserId, by: UserId, date: i32) -> tl::enums::ChannelParticipant {
    let mut rights: tl::types::ChatBannedRights = from_parts(&[&[0; 8]]);
    rights.view_messages = true;
    tl::enums::ChannelParticipant::Banned(tl::types::ChannelParticipantBanned {
        left: true,
        peer: peer(id),
        kicked_by: by.0,
        date,
        banned_rights: rights.into(),
        rank: None,
    })
}

pub fn log_entry(entry: &Entry) -> tl::enums::ChannelAdminLogEvent {
    use tl::enums::ChannelAdminLogEventAction as Action;
    use tl::types::{
        ChannelAdminLogEventActionChangeAbout, ChannelAdminLogEventActionChangeTitle,
        ChannelAdminLogEventActionParticipantInvite, ChannelAdminLogEventActionParticipantJoinByInvite,
        ChannelAdminLogEventActionParticipantJoinByRequest, ChannelAdminLogEventActionParticipantToggleBan,
        ChannelParticipantLeft,
    };
    let action = match &entry.what {
        Logged::JoinedByLink(invite) => {
            Action::ParticipantJoinByInvite(ChannelAdminLogEventActionParticipantJoinByInvite {
                via_chatlist: false,
                invite: exported(invite),
            })
        }
        Logged::JoinedByRequest { invite, approved_by } => {
            Action::ParticipantJoinByRequest(ChannelAdminLogEventActionParticipantJoinByRequest {
                invite: exported(invite),
                approved_by: approved_by.0,
            })
        }
        Logged::Added { user, at } => Action::ParticipantInvite(ChannelAdminLogEventActionParticipantInvite {
            participant: plain_participant(*user, *at),
        }),
        Logged::Left => Action::ParticipantLeave,
        Logged::Banned { user, joined_at } => {
            Action::ParticipantToggleBan(ChannelAdminLogEventActionParticipantToggleBan {
                prev_participant: plain_participant(*user, *joined_at),
                new_participant: banned(*user, entry.by, entry.at),
            })
        }
        Logged::Unbanned { user, ban } => {
            Action::ParticipantToggleBan(ChannelAdminLogEventActionParticipantToggleBan {
                prev_participant: banned(*user, ban.by, ban.at),
                new_participant: tl::enums::ChannelParticipant::Left(ChannelParticipantLeft { peer: peer(*user) }),
            })
        }
        Logged::Renamed { from, to } => Action::ChangeTitle(ChannelAdminLogEventActionChangeTitle {
            prev_value: from.clone(),
            new_value: to.clone(),
        }),
        Logged::Described { from, to } => Action::ChangeAbout(ChannelAdminLogEventActionChangeAbout {
            prev_value: from.clone(),
            new_value: to.clone(),
        }),
    };
    tl::enums::ChannelAdminLogEvent::Event(tl::types::ChannelAdminLogEvent {
        id: entry.id,
        date: entry.at,
        user_id: entry.by.0,
        action,
    })
}

/// Whom an entry of the admin log is about.
pub fn people_of_entry(entry: &Entry) -> Vec<UserId> {
    let mut people = vec![entry.by];
    match &entry.what {
        Logged::JoinedByLink(invite) => people.push(invite.by),
        Logged::JoinedByRequest { approved_by, .. } => people.push(*approved_by),
        Logged::Added { user, .. } | Logged::Banned { user, .. } | Logged::Unbanned { user, .. } => people.push(*user),
        Logged::Left | Logged::Renamed { .. } | Logged::Described { .. } => {}
    }
    people
}

pub fn dialog(group: &Group) -> tl::enums::Dialog {
    tl::enums::Dialog::Dialog(tl::types::Dialog {
        pinned: false,
        unread_mark: false,
        view_forum_as_messages: false,
        peer: peer_of(group),
        top_message: group.events.last().map_or(0, |event| event.id),
        read_inbox_max_id: 0,
        read_outbox_max_id: 0,
        unread_count: 0,
        unread_mentions_count: 0,
        unread_reactions_count: 0,
        unread_poll_votes_count: 0,
        notify_settings: notify_settings(),
        pts: Some(group.pts()),
        draft: None,
        folder_id: None,
        ttl_period: None,
    })
}

pub fn full_user(id: UserId) -> tl::enums::UserFull {
    let settings = from_parts::<tl::types::PeerSettings>(&[&[0; 4]]);
    let settings = tl::enums::PeerSettings::from(settings).to_bytes();
    let notify = notify_settings().to_bytes();
    from_parts::<tl::types::UserFull>(&[&[0; 8], &id.0.to_le_bytes(), &settings, &notify, &[0; 4]]).into()
}

pub fn config(world: &World) -> tl::enums::Config {
    let data_centres = world.settings.data_centres.iter().map(|(id, address)| {
        tl::enums::DcOption::Option(tl::types::DcOption {
            ipv6: false,
            media_only: false,
            tcpo_only: false,
            cdn: false,
            r#static: true,
            this_port_only: false,
            id: *id,
            ip_address: address.ip().to_string(),
            port: i32::from(address.port()),
            secret: None,
        })
    });
    let (date, expires) = (world.now().to_le_bytes(), (world.now() + 3600).to_le_bytes());
    let this_one = i32::from(crate::session_string::DATA_CENTRE).to_le_bytes();
    let data_centres = data_centres.collect::<Vec<_>>().to_bytes();
    let test_mode = false.to_bytes();
    // Behind the addresses there are numbers and texts only, and zero bytes are zero and "".
    from_parts::<tl::types::Config>(&[&[0; 4], &date, &expires, &test_mode, &this_one, &data_centres, &[0; 256]]).into()
}

fn notify_settings() -> tl::enums::PeerNotifySettings {
    from_parts::<tl::types::PeerNotifySettings>(&[&[0; 4]]).into()
}

fn admin_rights() -> tl::enums::ChatAdminRights {
    let mut rights: tl::types::ChatAdminRights = from_parts(&[&[0; 4]]);
    rights.change_info = true;
    rights.delete_messages = true;
    rights.ban_users = true;
    rights.invite_users = true;
    rights.pin_messages = true;
    rights.add_admins = true;
    rights.other = true;
    rights.into()
}
