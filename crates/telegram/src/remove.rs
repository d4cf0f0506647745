//! Removing somebody, so that the link does not bring them back.

use convoke_domain::{EventSource, Timestamp};
use convoke_provider::{ProviderEvent, ProviderEventKind};
use grammers_client::tl;

use crate::{
    call::Failure,
    connection::{Connection, OwnGroup},
    feed::{events, people::People},
};

/// How many members Telegram tells at once.
const PAGE: i32 = 200;

/// How many pages of members are looked through for somebody who was never seen.
const PAGES: i32 = 50;

/// Removes a person for good, and tells what happened as the feed tells it: by the admin log, or else by the message
/// in the group, or else by ourselves. Whoever is out already is left alone.
pub(crate) async fn remove(
    connection: &Connection,
    provider_chat_id: &str,
    external_id: &str,
) -> Result<Vec<ProviderEvent>, Failure> {
    let group = connection.group(provider_chat_id).await?;
    let Some(user) = find_user(connection, &group, external_id).await? else { return Ok(Vec::new()) };
    let user_id = user.user_id;
    let participant: tl::enums::InputPeer = tl::types::InputPeerUser { user_id, access_hash: user.access_hash }.into();
    let Some(joined_at) = joined_at(connection, &group, &participant).await? else { return Ok(Vec::new()) };
    let call =
        tl::functions::channels::EditBanned { channel: group.channel(), participant, banned_rights: no_rights() };
    let updates = match connection.invoke(&call).await {
        Ok(updates) => updates,
        Err(failure) if failure.is("USER_NOT_PARTICIPANT") => return Ok(Vec::new()),
        Err(failure) => return Err(failure),
    };
    if let Some(event) = in_log(connection, &group, external_id, joined_at).await {
        return Ok(vec![event]);
    }
    let told = in_updates(provider_chat_id, external_id, &updates);
    Ok(vec![told.unwrap_or_else(|| by_ourselves(connection, provider_chat_id, user_id, joined_at))])
}

/// The person, as Telegram wants it: seen before, or among the members. `None`: they are not in.
async fn find_user(
    connection: &Connection,
    group: &OwnGroup,
    external_id: &str,
) -> Result<Option<tl::types::InputUser>, Failure> {
    if let Some(user) = connection.input_user(external_id).await? {
        return Ok(Some(user));
    }
    for page in 0..PAGES {
        let call = tl::functions::channels::GetParticipants {
            channel: group.channel(),
            filter: tl::enums::ChannelParticipantsFilter::ChannelParticipantsRecent,
            offset: page * PAGE,
            limit: PAGE,
            hash: 0,
        };
        let answer = connection.invoke(&call).await?;
        let tl::enums::channels::ChannelParticipants::Participants(members) = answer else { break };
        connection.remember(&members.users, &members.chats).await;
        if let Some(user) = connection.input_user(external_id).await? {
            return Ok(Some(user));
        }
        if members.participants.is_empty() {
            break;
        }
    }
    Ok(None)
}

/// Since when somebody is in; `None` if they are out. The distant past if Telegram does not say.
async fn joined_at(
    connection: &Connection,
    group: &OwnGroup,
    participant: &tl::enums::InputPeer,
) -> Result<Option<Timestamp>, Failure> {
    use tl::enums::ChannelParticipant as Is;
    let call = tl::functions::channels::GetParticipant { channel: group.channel(), participant: participant.clone() };
    let found = match connection.invoke(&call).await {
        Ok(tl::enums::channels::ChannelParticipant::Participant(found)) => found,
        Err(failure) if failure.is("USER_NOT_PARTICIPANT") => return Ok(None),
        Err(failure) if failure.is_unsupported() => return Ok(Some(Timestamp::MIN)),
        Err(failure) => return Err(failure),
    };
    let date = match found.participant {
        Is::Left(_) => return Ok(None),
        Is::Banned(banned) if banned.left => return Ok(None),
        Is::Banned(banned) => banned.date,
        Is::Participant(member) => member.date,
        Is::ParticipantSelf(member) => member.date,
        Is::Admin(member) => member.date,
        Is::Creator(_) => 0,
    };
    Ok(Some(events::instant(date).unwrap_or(Timestamp::MIN)))
}

/// Nothing is allowed any more, for ever: that removes, and keeps out.
fn no_rights() -> tl::enums::ChatBannedRights {
    tl::types::ChatBannedRights {
        view_messages: true,
        send_messages: true,
        send_media: true,
        send_stickers: true,
        send_gifs: true,
        send_games: true,
        send_inline: true,
        embed_links: true,
        send_polls: true,
        change_info: true,
        invite_users: true,
        pin_messages: true,
        manage_topics: true,
        send_photos: true,
        send_videos: true,
        send_roundvideos: true,
        send_audios: true,
        send_voices: true,
        send_docs: true,
        send_plain: true,
        edit_rank: false,
        send_reactions: false,
        manage_linked_peers: false,
        until_date: 0,
    }
    .into()
}

/// What the admin log tells of the removal. The person is out already: nothing that fails here counts.
async fn in_log(
    connection: &Connection,
    group: &OwnGroup,
    external_id: &str,
    joined_at: Timestamp,
) -> Option<ProviderEvent> {
    let call = tl::functions::channels::GetAdminLog {
        channel: group.channel(),
        q: String::new(),
        events_filter: None,
        admins: None,
        max_id: 0,
        min_id: 0,
        limit: 100,
    };
    let tl::enums::channels::AdminLogResults::Results(log) = connection.invoke(&call).await.ok()?;
    connection.remember(&log.users, &log.chats).await;
    let people = People::new(&log.users);
    let told = log.events.iter().filter_map(|entry| events::of_log_entry(&group.kept.provider_chat_id, entry, &people));
    told.filter(|event| is_removal(event, external_id) && event.at >= joined_at).max_by(|a, b| a.key.cmp(&b.key))
}

/// What the answer itself tells of the removal.
fn in_updates(provider_chat_id: &str, external_id: &str, updates: &tl::enums::Updates) -> Option<ProviderEvent> {
    let (updates, users) = match updates {
        tl::enums::Updates::Updates(updates) => (&updates.updates, &updates.users),
        tl::enums::Updates::Combined(updates) => (&updates.updates, &updates.users),
        _ => return None,
    };
    let people = People::new(users);
    let messages = updates.iter().filter_map(|update| match update {
        tl::enums::Update::NewChannelMessage(new) => Some(&new.message),
        _ => None,
    });
    let mut told = messages.flat_map(|message| events::of_message(provider_chat_id, message, &people));
    told.find(|event| is_removal(event, external_id))
}

fn is_removal(event: &ProviderEvent, external_id: &str) -> bool {
    matches!(&event.kind, ProviderEventKind::Removed { person, .. } if person.external_id == external_id)
}

/// What we know ourselves: Telegram said that it is done. Named by the stay that it ended.
fn by_ourselves(connection: &Connection, group: &str, user_id: i64, joined_at: Timestamp) -> ProviderEvent {
    let kind = ProviderEventKind::Removed {
        person: People::default().person(user_id),
        removed_by: Some(connection.own().clone()),
    };
    let key = format!("removed:{user_id}:{:020}", joined_at.as_millis());
    events::event(group, key, EventSource::Convoke, connection.now(), kind)
}
