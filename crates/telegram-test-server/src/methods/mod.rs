//! Telegram's methods: each is read, checked and answered from the world.

mod account;
mod channels;
mod dialogs;
mod invites;
pub mod login;
mod members;
mod password;
mod updates;

use grammers_tl_types::{self as tl, Cursor, Deserializable, Identifiable, RemoteCall, Serializable};

use crate::refusal::Refusal;
use crate::world::{Caller, Change, Group, GroupId, UserId, World};
use crate::{tl_form, wire};

/// What a call brings.
pub type Answer<T> = Result<T, Refusal>;

/// The call without what it is wrapped in.
pub fn bare(body: &[u8]) -> Result<Vec<u8>, wire::Unreadable> {
    let mut cursor = Cursor::from_slice(body);
    let inner = match u32::deserialize(&mut cursor)? {
        tl::functions::InvokeWithLayer::<Rest>::CONSTRUCTOR_ID => {
            tl::functions::InvokeWithLayer::<Rest>::deserialize(&mut cursor)?.query
        }
        tl::functions::InitConnection::<Rest>::CONSTRUCTOR_ID => {
            tl::functions::InitConnection::<Rest>::deserialize(&mut cursor)?.query
        }
        tl::functions::InvokeWithoutUpdates::<Rest>::CONSTRUCTOR_ID => {
            tl::functions::InvokeWithoutUpdates::<Rest>::deserialize(&mut cursor)?.query
        }
        _ => return Ok(body.to_vec()),
    };
    bare(&inner.0)
}

/// A call within a call, whatever it is.
struct Rest(Vec<u8>);

impl Deserializable for Rest {
    fn deserialize(cursor: &mut Cursor) -> tl::deserialize::Result<Self> {
        let mut rest = Vec::new();
        cursor.read_to_end(&mut rest)?;
        Ok(Self(rest))
    }
}

/// The name of a bare call's method.
pub fn name(body: &[u8]) -> &'static str {
    u32::from_bytes(body).map_or("?", tl::name_for_id)
}

/// Makes a bare call and gives its answer, serialised.
pub fn execute(world: &mut World, caller: Caller, body: &[u8]) -> Answer<Vec<u8>> {
    use tl::functions::{account as a, auth, channels as c, help, messages as m, updates as u, users};
    match u32::from_bytes(body).unwrap_or_default() {
        help::GetConfig::CONSTRUCTOR_ID => made(body, |_: help::GetConfig| Ok(tl_form::config(world))),
        auth::SendCode::CONSTRUCTOR_ID => made(body, |call| login::send_code(world, &call)),
        auth::SignIn::CONSTRUCTOR_ID => made(body, |call| login::sign_in(world, caller, &call)),
        auth::LogOut::CONSTRUCTOR_ID => made(body, |_: auth::LogOut| login::log_out(world, caller)),
        auth::ExportLoginToken::CONSTRUCTOR_ID => {
            made(body, |_: auth::ExportLoginToken| login::export_login_token(world, caller))
        }
        auth::CheckPassword::CONSTRUCTOR_ID => made(body, |call| password::check_password(world, caller, &call)),
        a::GetPassword::CONSTRUCTOR_ID => made(body, |_: a::GetPassword| password::get_password(world, caller)),
        users::GetUsers::CONSTRUCTOR_ID => made(body, |call| account::get_users(world, caller, &call)),
        users::GetFullUser::CONSTRUCTOR_ID => made(body, |call| account::get_full_user(world, caller, &call)),
        c::CreateChannel::CONSTRUCTOR_ID => made(body, |call| channels::create_channel(world, caller, &call)),
        c::GetFullChannel::CONSTRUCTOR_ID => made(body, |call| channels::get_full_channel(world, caller, &call)),
        c::GetChannels::CONSTRUCTOR_ID => made(body, |call| channels::get_channels(world, caller, &call)),
        c::EditTitle::CONSTRUCTOR_ID => made(body, |call| channels::edit_title(world, caller, &call)),
        c::DeleteChannel::CONSTRUCTOR_ID => made(body, |call| channels::delete_channel(world, caller, &call)),
        c::GetAdminLog::CONSTRUCTOR_ID => made(body, |call| channels::get_admin_log(world, caller, &call)),
        m::EditChatAbout::CONSTRUCTOR_ID => made(body, |call| channels::edit_chat_about(world, caller, &call)),
        c::EditBanned::CONSTRUCTOR_ID => made(body, |call| members::edit_banned(world, caller, &call)),
        c::GetParticipant::CONSTRUCTOR_ID => made(body, |call| members::get_participant(world, caller, &call)),
        c::GetParticipants::CONSTRUCTOR_ID => made(body, |call| members::get_participants(world, caller, &call)),
        c::InviteToChannel::CONSTRUCTOR_ID => made(body, |call| members::invite_to_channel(world, caller, &call)),
        c::LeaveChannel::CONSTRUCTOR_ID => made(body, |call| members::leave_channel(world, caller, &call)),
        m::ExportChatInvite::CONSTRUCTOR_ID => made(body, |call| invites::export_chat_invite(world, caller, &call)),
        m::ImportChatInvite::CONSTRUCTOR_ID => made(body, |call| invites::import_chat_invite(world, caller, &call)),
        m::GetDialogs::CONSTRUCTOR_ID => made(body, |call| dialogs::get_dialogs(world, caller, &call)),
        u::GetState::CONSTRUCTOR_ID => made(body, |_: u::GetState| updates::get_state(world, caller)),
        u::GetDifference::CONSTRUCTOR_ID => made(body, |call| updates::get_difference(world, caller, &call)),
        u::GetChannelDifference::CONSTRUCTOR_ID => {
            made(body, |call| updates::get_channel_difference(world, caller, &call))
        }
        _ => Err(Refusal::bad("METHOD_INVALID")),
    }
}

fn made<F>(body: &[u8], call: impl FnOnce(F) -> Answer<F::Return>) -> Answer<Vec<u8>>
where
    F: Deserializable + RemoteCall,
    F::Return: Serializable,
{
    let function = F::deserialize(&mut Cursor::from_slice(&body[4..]));
    let function = function.map_err(|_| Refusal::bad("INPUT_METHOD_INVALID"))?;
    Ok(call(function)?.to_bytes())
}

/// The group that the caller names, by an id and the hash that was given to them.
fn channel(viewer: UserId, channel: &tl::enums::InputChannel) -> Answer<GroupId> {
    match channel {
        tl::enums::InputChannel::Channel(channel)
            if channel.access_hash == World::access_hash(viewer, channel.channel_id) =>
        {
            Ok(GroupId(channel.channel_id))
        }
        _ => Err(Refusal::bad("CHANNEL_INVALID")),
    }
}

/// As [`channel`], for methods that take any peer.
fn channel_peer(viewer: UserId, peer: &tl::enums::InputPeer) -> Answer<GroupId> {
    match peer {
        tl::enums::InputPeer::Channel(peer) if peer.access_hash == World::access_hash(viewer, peer.channel_id) => {
            Ok(GroupId(peer.channel_id))
        }
        tl::enums::InputPeer::Channel(_) => Err(Refusal::bad("CHANNEL_INVALID")),
        _ => Err(Refusal::bad("PEER_ID_INVALID")),
    }
}

/// The user whom the caller names.
fn user(world: &World, viewer: UserId, id: i64, access_hash: i64) -> Answer<UserId> {
    let known = world.people.contains_key(&UserId(id)) && access_hash == World::access_hash(viewer, id);
    known.then_some(UserId(id)).ok_or_else(|| Refusal::bad("USER_ID_INVALID"))
}

fn input_user(world: &World, viewer: UserId, input: &tl::enums::InputUser) -> Answer<UserId> {
    match input {
        tl::enums::InputUser::UserSelf => Ok(viewer),
        tl::enums::InputUser::User(input) => user(world, viewer, input.user_id, input.access_hash),
        _ => Err(Refusal::bad("USER_ID_INVALID")),
    }
}

fn user_peer(world: &World, viewer: UserId, peer: &tl::enums::InputPeer) -> Answer<UserId> {
    match peer {
        tl::enums::InputPeer::PeerSelf => Ok(viewer),
        tl::enums::InputPeer::User(peer) => {
            user(world, viewer, peer.user_id, peer.access_hash).map_err(|_| Refusal::bad("PARTICIPANT_ID_INVALID"))
        }
        _ => Err(Refusal::bad("PARTICIPANT_ID_INVALID")),
    }
}

/// The group, for who is in it.
fn as_member(world: &World, viewer: UserId, id: GroupId) -> Answer<&Group> {
    let group = world.group(id)?;
    let member = group.members.contains_key(&viewer);
    member.then_some(group).ok_or_else(|| Refusal::bad("CHANNEL_PRIVATE"))
}

/// The group, for its admins.
fn as_admin(world: &World, viewer: UserId, id: GroupId) -> Answer<&Group> {
    let group = as_member(world, viewer, id)?;
    group.is_admin(viewer).then_some(group).ok_or_else(|| Refusal::bad("CHAT_ADMIN_REQUIRED"))
}

/// Tells everybody else of a change, and gives what the caller is told.
fn told(world: &mut World, caller: Caller, viewer: UserId, change: &Change) -> tl::enums::Updates {
    world.tell(change, Some(caller.connection));
    tl_form::updates(world, viewer, change)
}
