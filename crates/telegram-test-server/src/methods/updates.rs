//! What somebody missed.
//!
//! Supergroups count their events themselves (pts); an account's own counters never move here, as nobody writes to
//! anybody. The account's difference tells by date in which groups something happened.

use grammers_tl_types as tl;
use tl::enums::updates::{ChannelDifference, Difference, State};
use tl::functions::updates::{GetChannelDifference, GetDifference};

use super::{Answer, as_member, channel};
use crate::refusal::Refusal;
use crate::tl_form;
use crate::world::{Caller, Event, Group, UserId, World};

pub fn get_state(world: &World, caller: Caller) -> Answer<State> {
    world.user(caller)?;
    Ok(state(world))
}

fn state(world: &World) -> State {
    State::State(tl::types::updates::State { pts: 1, qts: 0, date: world.now(), seq: 1, unread_count: 0 })
}

pub fn get_difference(world: &World, caller: Caller, call: &GetDifference) -> Answer<Difference> {
    let viewer = world.user(caller)?;
    if call.pts < 1 {
        return Err(Refusal::bad("PERSISTENT_TIMESTAMP_EMPTY"));
    }
    let mut other_updates = Vec::new();
    let mut chats = Vec::new();
    for group in world.groups.values() {
        if !group.deleted && group.members.contains_key(&viewer) {
            if group.last_at() >= call.date {
                let channel_id = group.id.0;
                let too_long = tl::types::UpdateChannelTooLong { channel_id, pts: Some(group.pts()) };
                other_updates.push(tl::enums::Update::ChannelTooLong(too_long));
                chats.push(tl_form::chat(viewer, group));
            }
        } else if group.left.get(&viewer).is_some_and(|left_at| *left_at >= call.date) {
            other_updates.push(tl::enums::Update::Channel(tl::types::UpdateChannel { channel_id: group.id.0 }));
            chats.push(tl_form::chat(viewer, group));
        }
    }
    if other_updates.is_empty() {
        return Ok(Difference::Empty(tl::types::updates::DifferenceEmpty { date: world.now(), seq: 1 }));
    }
    Ok(Difference::Difference(tl::types::updates::Difference {
        new_messages: Vec::new(),
        new_encrypted_messages: Vec::new(),
        other_updates,
        chats,
        users: tl_form::users(world, viewer, [viewer]),
        state: state(world),
    }))
}

pub fn get_channel_difference(world: &World, caller: Caller, call: &GetChannelDifference) -> Answer<ChannelDifference> {
    let viewer = world.user(caller)?;
    let group = as_member(world, viewer, channel(viewer, &call.channel)?)?;
    if call.pts < 1 {
        return Err(Refusal::bad("PERSISTENT_TIMESTAMP_EMPTY"));
    }
    if call.pts > group.pts() {
        return Err(Refusal::bad("PERSISTENT_TIMESTAMP_INVALID"));
    }
    let missed: Vec<&Event> = group.events.iter().filter(|event| event.pts > call.pts).collect();
    if missed.is_empty() {
        let pts = group.pts();
        return Ok(ChannelDifference::Empty(tl::types::updates::ChannelDifferenceEmpty {
            r#final: true,
            pts,
            timeout: None,
        }));
    }
    if missed.len() > world.settings.too_long {
        return Ok(too_long(world, viewer, group, &missed));
    }
    let limit = usize::try_from(call.limit).unwrap_or(0).clamp(1, 100);
    let page = &missed[..missed.len().min(limit)];
    Ok(ChannelDifference::Difference(tl::types::updates::ChannelDifference {
        r#final: page.len() == missed.len(),
        pts: page.last().map_or(call.pts, |event| event.pts),
        timeout: None,
        new_messages: page.iter().map(|event| tl_form::message(viewer, group, event)).collect(),
        other_updates: Vec::new(),
        chats: vec![tl_form::chat(viewer, group)],
        users: people(world, viewer, page),
    }))
}

/// The newest few messages only: what lies between is not told any more.
fn too_long(world: &World, viewer: UserId, group: &Group, missed: &[&Event]) -> ChannelDifference {
    let newest = &missed[missed.len().saturating_sub(1)..];
    ChannelDifference::TooLong(tl::types::updates::ChannelDifferenceTooLong {
        r#final: true,
        timeout: None,
        dialog: tl_form::dialog(group),
        messages: newest.iter().map(|event| tl_form::message(viewer, group, event)).collect(),
        chats: vec![tl_form::chat(viewer, group)],
        users: people(world, viewer, newest),
    })
}

fn people(world: &World, viewer: UserId, events: &[&Event]) -> Vec<tl::enums::User> {
    tl_form::users(world, viewer, events.iter().flat_map(|event| tl_form::people_of(event)))
}
