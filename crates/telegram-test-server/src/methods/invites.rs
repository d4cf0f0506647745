//! Invitation links.

use grammers_tl_types as tl;
use tl::functions::messages::{ExportChatInvite, ImportChatInvite};

use super::{Answer, as_admin, channel_peer, told};
use crate::tl_form;
use crate::world::{Caller, World};

pub fn export_chat_invite(
    world: &mut World,
    caller: Caller,
    call: &ExportChatInvite,
) -> Answer<tl::enums::ExportedChatInvite> {
    let viewer = world.user(caller)?;
    let id = as_admin(world, viewer, channel_peer(viewer, &call.peer)?)?.id;
    if call.legacy_revoke_permanent {
        world.revoke_invites(id, viewer)?;
    }
    Ok(tl_form::exported(&world.invite(id, viewer, call.request_needed)?))
}

pub fn import_chat_invite(
    world: &mut World,
    caller: Caller,
    call: &ImportChatInvite,
) -> Answer<tl::enums::messages::ChatInviteJoinResult> {
    let viewer = world.user(caller)?;
    let change = world.join(viewer, &call.hash)?;
    let updates = told(world, caller, viewer, &change);
    Ok(tl::enums::messages::ChatInviteJoinResult::Ok(tl::types::messages::ChatInviteJoinResultOk { updates }))
}
