//! Making a chat's group, and finding the one that was made when the answer was lost.

use std::{collections::HashSet, time::Duration};

use convoke_domain::Timestamp;
use convoke_provider::{AccountGroup, CreateChat, CreatedGroup};
use grammers_client::tl;

use crate::{
    call::{Failure, not_sent},
    connection::Connection,
    feed::events::instant,
    group_state::GroupState,
    marker,
};

/// How much older than the call a group may be that it made: clocks differ.
const CLOCK_TOLERANCE: Duration = Duration::from_mins(1);

/// How many dialogs Telegram tells at once.
const PAGE: i32 = 100;

/// Makes the group. What it is called by is kept with the account before anybody else is told.
pub(crate) async fn create(connection: &Connection, request: &CreateChat) -> Result<CreatedGroup, Failure> {
    let call = tl::functions::channels::CreateChannel {
        broadcast: false,
        megagroup: true,
        for_import: false,
        forum: false,
        title: request.title.clone(),
        about: marker::marked(request.description.as_deref(), request.chat_id),
        geo_point: None,
        address: None,
        ttl_period: None,
    };
    let chats = match connection.invoke_once(&call).await? {
        tl::enums::Updates::Updates(updates) => updates.chats,
        tl::enums::Updates::Combined(updates) => updates.chats,
        _ => Vec::new(),
    };
    // It was made, but is not known yet: it will be found.
    let made = chats.iter().find_map(made_group).ok_or_else(|| unknown("the answer does not hold the group"))?;
    connection.remember(&[], &chats).await;
    keep(connection, request, &made).await
}

/// The group that was made for the chat, not long before `since`, if there is one.
pub(crate) async fn find(
    connection: &Connection,
    request: &CreateChat,
    since: Timestamp,
) -> Result<Option<CreatedGroup>, Failure> {
    let since = since.minus(CLOCK_TOLERANCE);
    let known = connection.context.storage.list_groups(connection.account).await.map_err(not_sent)?;
    let is_ours = |group: &&AccountGroup| group.chat_id == request.chat_id && group.tenant == request.tenant;
    if let Some(group) = known.iter().find(is_ours) {
        return find_known(connection, group, since).await;
    }
    let known: HashSet<&str> = known.iter().map(|group| group.provider_chat_id.as_str()).collect();
    let mut dialogs = Dialogs::new(since);
    while let Some(chats) = dialogs.next_page(connection).await? {
        for group in chats.iter().filter_map(made_group) {
            if group.made_at < since || known.contains(group.id.to_string().as_str()) {
                continue;
            }
            if marker::is_marked(&about(connection, &group).await?, request.chat_id) {
                return keep(connection, request, &group).await.map(Some);
            }
        }
    }
    Ok(None)
}

/// The group that is kept for the chat already. Telegram is asked nevertheless, for the group may be gone.
async fn find_known(
    connection: &Connection,
    group: &AccountGroup,
    since: Timestamp,
) -> Result<Option<CreatedGroup>, Failure> {
    let state = GroupState::from_text(&group.state).map_err(not_sent)?;
    let id = group.provider_chat_id.parse().map_err(not_sent)?;
    let own = MadeGroup { id, access_hash: state.access_hash, made_at: state.made_at };
    match about(connection, &own).await {
        // A group that is gone was made all the same; the feed tells that it is closed.
        Err(failure) if !failure.is_group_gone() && !failure.is_unsupported() => return Err(failure),
        _ => {}
    }
    Ok((own.made_at >= since).then(|| created(connection, &own)))
}

/// A group that this account made.
struct MadeGroup {
    id: i64,
    access_hash: i64,
    made_at: Timestamp,
}

fn made_group(chat: &tl::enums::Chat) -> Option<MadeGroup> {
    let tl::enums::Chat::Channel(channel) = chat else { return None };
    let is_own = channel.creator && channel.megagroup && !channel.left;
    let (access_hash, made_at) = channel.access_hash.zip(instant(channel.date))?;
    is_own.then_some(MadeGroup { id: channel.id, access_hash, made_at })
}

fn created(connection: &Connection, group: &MadeGroup) -> CreatedGroup {
    CreatedGroup { provider_chat_id: group.id.to_string(), owner: connection.own().clone(), made_at: group.made_at }
}

async fn keep(connection: &Connection, request: &CreateChat, made: &MadeGroup) -> Result<CreatedGroup, Failure> {
    let group = AccountGroup {
        tenant: request.tenant.clone(),
        chat_id: request.chat_id,
        provider_chat_id: made.id.to_string(),
        state: GroupState {
            description: request.description.clone(),
            ..GroupState::new(made.access_hash, made.made_at)
        }
        .to_text(),
    };
    match connection.context.storage.save_account_group(&connection.lease, group).await {
        Ok(true) => Ok(created(connection, made)),
        // It is there, and will be found: by whoever holds the account then.
        Ok(false) => Err(unknown("the account's lease was lost")),
        Err(error) => Err(unknown(&error.to_string())),
    }
}

fn unknown(reason: &str) -> Failure {
    Failure::Unknown(reason.to_owned())
}

/// The group's description.
async fn about(connection: &Connection, group: &MadeGroup) -> Result<String, Failure> {
    let channel = tl::types::InputChannel { channel_id: group.id, access_hash: group.access_hash };
    let call = tl::functions::channels::GetFullChannel { channel: channel.into() };
    let tl::enums::messages::ChatFull::Full(full) = connection.invoke(&call).await?;
    Ok(match full.full_chat {
        tl::enums::ChatFull::ChannelFull(full) => full.about,
        _ => String::new(),
    })
}

/// The account's dialogs, those with the newest messages first, until all are older than `since`.
struct Dialogs {
    since: Timestamp,
    next: Option<tl::functions::messages::GetDialogs>,
}

impl Dialogs {
    fn new(since: Timestamp) -> Self {
        let first = tl::functions::messages::GetDialogs {
            exclude_pinned: false,
            folder_id: None,
            offset_date: 0,
            offset_id: 0,
            offset_peer: tl::enums::InputPeer::Empty,
            limit: PAGE,
            hash: 0,
        };
        Self { since, next: Some(first) }
    }

    /// The chats of the next page; `None` behind the last.
    async fn next_page(&mut self, connection: &Connection) -> Result<Option<Vec<tl::enums::Chat>>, Failure> {
        let Some(call) = self.next.take() else { return Ok(None) };
        let (dialogs, messages, chats, users) = match connection.invoke(&call).await? {
            tl::enums::messages::Dialogs::Dialogs(all) => (Vec::new(), all.messages, all.chats, all.users),
            tl::enums::messages::Dialogs::Slice(page) => (page.dialogs, page.messages, page.chats, page.users),
            tl::enums::messages::Dialogs::NotModified(_) => (Vec::new(), Vec::new(), Vec::new(), Vec::new()),
        };
        connection.remember(&users, &chats).await;
        self.next = self.after(&call, &dialogs, &messages, &chats, &users);
        Ok(Some(chats))
    }

    /// What asks for the page behind this one, if there is one that is new enough. A group's first message is as old as
    /// the group, so dialogs without newer messages hold no newer groups; pinned ones stand before the order.
    fn after(
        &self,
        call: &tl::functions::messages::GetDialogs,
        dialogs: &[tl::enums::Dialog],
        messages: &[tl::enums::Message],
        chats: &[tl::enums::Chat],
        users: &[tl::enums::User],
    ) -> Option<tl::functions::messages::GetDialogs> {
        let last = dialogs.iter().rev().find_map(|dialog| match dialog {
            tl::enums::Dialog::Dialog(dialog) => Some(dialog),
            _ => None,
        })?;
        let date = messages.iter().find_map(|message| date_of(message, &last.peer, last.top_message))?;
        let is_further = (date, last.top_message) != (call.offset_date, call.offset_id);
        let is_new = last.pinned || instant(date).is_some_and(|date| date >= self.since);
        (is_further && is_new).then(|| tl::functions::messages::GetDialogs {
            exclude_pinned: true,
            offset_date: date,
            offset_id: last.top_message,
            offset_peer: input_peer(&last.peer, chats, users),
            ..call.clone()
        })
    }
}

/// The date of this message, if it is the one of this number in this dialog.
fn date_of(message: &tl::enums::Message, peer: &tl::enums::Peer, number: i32) -> Option<i32> {
    let (id, in_peer, date) = match message {
        tl::enums::Message::Message(message) => (message.id, &message.peer_id, message.date),
        tl::enums::Message::Service(message) => (message.id, &message.peer_id, message.date),
        tl::enums::Message::Empty(_) => return None,
    };
    (id == number && in_peer == peer).then_some(date)
}

/// A dialog as Telegram wants it where a page begins.
fn input_peer(peer: &tl::enums::Peer, chats: &[tl::enums::Chat], users: &[tl::enums::User]) -> tl::enums::InputPeer {
    match peer {
        tl::enums::Peer::Chat(chat) => tl::types::InputPeerChat { chat_id: chat.chat_id }.into(),
        tl::enums::Peer::Channel(channel) => {
            let access_hash = chats.iter().find_map(|chat| match chat {
                tl::enums::Chat::Channel(known) if known.id == channel.channel_id => known.access_hash,
                tl::enums::Chat::ChannelForbidden(known) if known.id == channel.channel_id => Some(known.access_hash),
                _ => None,
            });
            let access_hash = access_hash.unwrap_or_default();
            tl::types::InputPeerChannel { channel_id: channel.channel_id, access_hash }.into()
        }
        tl::enums::Peer::User(user) => {
            let access_hash = users.iter().find_map(|known| match known {
                tl::enums::User::User(known) if known.id == user.user_id => known.access_hash,
                _ => None,
            });
            let access_hash = access_hash.unwrap_or_default();
            tl::types::InputPeerUser { user_id: user.user_id, access_hash }.into()
        }
    }
}
