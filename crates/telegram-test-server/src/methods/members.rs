//! Who is in a group.

use std::collections::BTreeSet;

use grammers_tl_types as tl;
use tl::functions::channels::{EditBanned, GetParticipant, GetParticipants, InviteToChannel, LeaveChannel};

use super::{Answer, as_admin, as_member, channel, input_user, told, user_peer};
use crate::refusal::Refusal;
use crate::tl_form;
use crate::world::{Caller, Change, Group, UserId, World};

pub fn edit_banned(world: &mut World, caller: Caller, call: &EditBanned) -> Answer<tl::enums::Updates> {
    let viewer = world.user(caller)?;
    let id = as_admin(world, viewer, channel(viewer, &call.channel)?)?.id;
    let who = user_peer(world, viewer, &call.participant)?;
    let tl::enums::ChatBannedRights::Rights(rights) = &call.banned_rights;
    let change = if rights.view_messages { world.ban(id, viewer, who)? } else { world.unban(id, viewer, who)? };
    Ok(told(world, caller, viewer, &change))
}

pub fn invite_to_channel(
    world: &mut World,
    caller: Caller,
    call: &InviteToChannel,
) -> Answer<tl::enums::messages::InvitedUsers> {
    let viewer = world.user(caller)?;
    let id = as_member(world, viewer, channel(viewer, &call.channel)?)?.id;
    let mut last = Change { group: id, event: None, touched: BTreeSet::new() };
    for input in &call.users {
        let user = input_user(world, viewer, input)?;
        last = world.add(id, viewer, user)?;
        world.tell(&last, Some(caller.connection));
    }
    Ok(tl::enums::messages::InvitedUsers::Users(tl::types::messages::InvitedUsers {
        updates: tl_form::updates(world, viewer, &last),
        missing_invitees: Vec::new(),
    }))
}

pub fn leave_channel(world: &mut World, caller: Caller, call: &LeaveChannel) -> Answer<tl::enums::Updates> {
    let viewer = world.user(caller)?;
    let id = world.group(channel(viewer, &call.channel)?)?.id;
    let change = world.leave(id, viewer)?;
    Ok(told(world, caller, viewer, &change))
}

pub fn get_participant(
    world: &World,
    caller: Caller,
    call: &GetParticipant,
) -> Answer<tl::enums::channels::ChannelParticipant> {
    let viewer = world.user(caller)?;
    let group = as_member(world, viewer, channel(viewer, &call.channel)?)?;
    let who = user_peer(world, viewer, &call.participant)?;
    let participant = tl_form::participant(viewer, group, who);
    Ok(tl::enums::channels::ChannelParticipant::Participant(tl::types::channels::ChannelParticipant {
        participant: participant.ok_or_else(|| Refusal::bad("USER_NOT_PARTICIPANT"))?,
        chats: vec![tl_form::chat(viewer, group)],
        users: tl_form::users(world, viewer, [who]),
    }))
}

/// The newest first, at most 200 a page.
pub fn get_participants(
    world: &World,
    caller: Caller,
    call: &GetParticipants,
) -> Answer<tl::enums::channels::ChannelParticipants> {
    let viewer = world.user(caller)?;
    let group = as_member(world, viewer, channel(viewer, &call.channel)?)?;
    let asked_for = asked_for(world, group, &call.filter)?;
    let page: Vec<UserId> = asked_for
        .iter()
        .copied()
        .skip(usize::try_from(call.offset).unwrap_or(0))
        .take(usize::try_from(call.limit).unwrap_or(0).min(200))
        .collect();
    Ok(tl::enums::channels::ChannelParticipants::Participants(tl::types::channels::ChannelParticipants {
        count: i32::try_from(asked_for.len()).unwrap_or(i32::MAX),
        participants: page.iter().filter_map(|id| tl_form::participant(viewer, group, *id)).collect(),
        chats: vec![tl_form::chat(viewer, group)],
        users: tl_form::users(world, viewer, page),
    }))
}

fn asked_for(world: &World, group: &Group, filter: &tl::enums::ChannelParticipantsFilter) -> Answer<Vec<UserId>> {
    use tl::enums::ChannelParticipantsFilter as Filter;
    let mut members: Vec<UserId> = group.members.keys().copied().collect();
    members.sort_by_key(|id| std::cmp::Reverse((group.members.get(id).map(|member| member.joined_at), *id)));
    let matches = |id: &UserId, text: &str| {
        let text = text.to_lowercase();
        world.people.get(id).is_some_and(|person| {
            [&person.first, &person.last, &person.username].iter().any(|name| name.to_lowercase().starts_with(&text))
        })
    };
    Ok(match filter {
        Filter::ChannelParticipantsRecent => members,
        Filter::ChannelParticipantsAdmins => members.into_iter().filter(|id| group.is_admin(*id)).collect(),
        Filter::ChannelParticipantsSearch(search) => members.into_iter().filter(|id| matches(id, &search.q)).collect(),
        Filter::ChannelParticipantsKicked(search) => {
            group.banned.keys().copied().filter(|id| matches(id, &search.q)).collect()
        }
        _ => return Err(Refusal::bad("FILTER_INVALID")),
    })
}
