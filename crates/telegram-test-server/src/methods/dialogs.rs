//! The list of chats that somebody is in.

use grammers_tl_types as tl;
use tl::enums::messages::Dialogs;
use tl::functions::messages::GetDialogs;

use super::{Answer, channel_peer};
use crate::tl_form;
use crate::world::{Caller, Group, World};

/// Where nothing happened for longest comes last. A page goes on after the dialog of its offset.
pub fn get_dialogs(world: &World, caller: Caller, call: &GetDialogs) -> Answer<Dialogs> {
    let viewer = world.user(caller)?;
    let of_theirs = world.groups.values().filter(|group| !group.deleted && group.members.contains_key(&viewer));
    let mut all: Vec<&Group> = of_theirs.collect();
    all.sort_by_key(|group| std::cmp::Reverse((group.last_at(), group.id)));

    let after = match &call.offset_peer {
        tl::enums::InputPeer::Empty => None,
        peer => Some(channel_peer(viewer, peer)?),
    };
    let start = match after.and_then(|id| all.iter().position(|group| group.id == id)) {
        Some(at) => at + 1,
        None if call.offset_date == 0 => 0,
        None => all.partition_point(|group| group.last_at() >= call.offset_date),
    };
    let limit = usize::try_from(call.limit).unwrap_or(0).clamp(1, 100);
    let page: Vec<&Group> = all.iter().copied().skip(start).take(limit).collect();

    let dialogs = page.iter().map(|group| tl_form::dialog(group)).collect();
    let last_events = page.iter().filter_map(|group| Some((*group, group.events.last()?)));
    let messages = last_events.clone().map(|(group, event)| tl_form::message(viewer, group, event)).collect();
    let people = last_events.flat_map(|(_, event)| tl_form::people_of(event)).chain([viewer]);
    let users = tl_form::users(world, viewer, people);
    let chats = page.iter().map(|group| tl_form::chat(viewer, group)).collect();
    Ok(if page.len() == all.len() {
        Dialogs::Dialogs(tl::types::messages::Dialogs { dialogs, messages, chats, users })
    } else {
        let count = i32::try_from(all.len()).unwrap_or(i32::MAX);
        Dialogs::Slice(tl::types::messages::DialogsSlice { count, dialogs, messages, chats, users })
    })
}
