//! Groups themselves: made, read, renamed, described, deleted, and their admin log.

use grammers_tl_types as tl;
use tl::functions::channels::{CreateChannel, DeleteChannel, EditTitle, GetAdminLog, GetChannels, GetFullChannel};
use tl::functions::messages::EditChatAbout;

use super::{Answer, as_admin, as_member, channel, channel_peer, told};
use crate::refusal::Refusal;
use crate::tl_form;
use crate::world::{Caller, Entry, Logged, World};

/// The admin log goes back this far.
const LOG_SECONDS: i32 = 48 * 3600;

pub fn create_channel(world: &mut World, caller: Caller, call: &CreateChannel) -> Answer<tl::enums::Updates> {
    let viewer = world.user(caller)?;
    if !call.megagroup {
        return Err(Refusal::bad("CHANNEL_INVALID"));
    }
    let change = world.create(viewer, &call.title, &call.about)?;
    Ok(told(world, caller, viewer, &change))
}

pub fn get_full_channel(world: &World, caller: Caller, call: &GetFullChannel) -> Answer<tl::enums::messages::ChatFull> {
    let viewer = world.user(caller)?;
    let group = as_member(world, viewer, channel(viewer, &call.channel)?)?;
    Ok(tl::enums::messages::ChatFull::Full(tl::types::messages::ChatFull {
        full_chat: tl_form::full_chat(viewer, group),
        chats: vec![tl_form::chat(viewer, group)],
        users: tl_form::users(world, viewer, [viewer]),
    }))
}

pub fn get_channels(world: &World, caller: Caller, call: &GetChannels) -> Answer<tl::enums::messages::Chats> {
    let viewer = world.user(caller)?;
    let mut chats = Vec::new();
    for input in &call.id {
        let id = channel(viewer, input)?;
        let group = world.groups.get(&id).ok_or_else(|| Refusal::bad("CHANNEL_INVALID"))?;
        chats.push(tl_form::chat(viewer, group));
    }
    Ok(tl::enums::messages::Chats::Chats(tl::types::messages::Chats { chats }))
}

pub fn edit_title(world: &mut World, caller: Caller, call: &EditTitle) -> Answer<tl::enums::Updates> {
    let viewer = world.user(caller)?;
    let id = as_admin(world, viewer, channel(viewer, &call.channel)?)?.id;
    let change = world.rename(id, viewer, &call.title)?;
    Ok(told(world, caller, viewer, &change))
}

pub fn edit_chat_about(world: &mut World, caller: Caller, call: &EditChatAbout) -> Answer<bool> {
    let viewer = world.user(caller)?;
    let id = as_admin(world, viewer, channel_peer(viewer, &call.peer)?)?.id;
    world.describe(id, viewer, &call.about)?;
    Ok(true)
}

pub fn delete_channel(world: &mut World, caller: Caller, call: &DeleteChannel) -> Answer<tl::enums::Updates> {
    let viewer = world.user(caller)?;
    let id = as_admin(world, viewer, channel(viewer, &call.channel)?)?.id;
    let change = world.delete(id)?;
    Ok(told(world, caller, viewer, &change))
}

/// Newest first; both bounds are left out themselves.
pub fn get_admin_log(
    world: &World,
    caller: Caller,
    call: &GetAdminLog,
) -> Answer<tl::enums::channels::AdminLogResults> {
    let viewer = world.user(caller)?;
    let group = as_admin(world, viewer, channel(viewer, &call.channel)?)?;
    let oldest = world.now() - LOG_SECONDS;
    let entries = group.log.iter().rev().filter(|entry| {
        let in_bounds = entry.id > call.min_id && (call.max_id == 0 || entry.id < call.max_id);
        in_bounds && entry.at >= oldest && is_asked_for(call, entry)
    });
    let entries: Vec<&Entry> = entries.take(usize::try_from(call.limit).unwrap_or(0).min(100)).collect();
    let people = entries.iter().flat_map(|entry| tl_form::people_of_entry(entry));
    Ok(tl::enums::channels::AdminLogResults::Results(tl::types::channels::AdminLogResults {
        users: tl_form::users(world, viewer, people),
        events: entries.into_iter().map(tl_form::log_entry).collect(),
        chats: vec![tl_form::chat(viewer, group)],
    }))
}

fn is_asked_for(call: &GetAdminLog, entry: &Entry) -> bool {
    let Some(tl::enums::ChannelAdminLogEventsFilter::Filter(filter)) = &call.events_filter else { return true };
    match entry.what {
        Logged::JoinedByLink(_) | Logged::JoinedByRequest { .. } => filter.join || filter.invites,
        Logged::Added { .. } => filter.invite,
        Logged::Left => filter.leave,
        Logged::Banned { .. } => filter.ban || filter.kick,
        Logged::Unbanned { .. } => filter.unban || filter.unkick,
        Logged::Renamed { .. } | Logged::Described { .. } => filter.info,
    }
}
