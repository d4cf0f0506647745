//! Values of Telegram's schema for the tests of the feed. Most members of its types are flags that count for nothing
//! here: a value is read from as few bytes as it can be made of.

use grammers_client::tl::{self, Deserializable, Identifiable, Serializable};

/// The channel of the samples.
pub const CHANNEL: i64 = 1_700_000_001;

/// ... as providers name it.
pub const GROUP: &str = "1700000001";

fn read<T: Deserializable>(parts: &[&[u8]]) -> T {
    T::from_bytes(&parts.concat()).expect("a sample is well formed")
}

/// A user without names.
pub fn user(id: i64) -> tl::types::User {
    read(&[&0u32.to_bytes(), &0u32.to_bytes(), &id.to_bytes()])
}

/// A user of this first name.
pub fn named(id: i64, first_name: &str) -> tl::enums::User {
    tl::types::User { first_name: Some(first_name.to_owned()), ..user(id) }.into()
}

/// Somebody or something as Telegram refers to it.
pub fn peer(user: i64) -> tl::enums::Peer {
    tl::types::PeerUser { user_id: user }.into()
}

/// A service message in the channel, from this user if it says from whom.
pub fn service(
    id: i32,
    from: Option<i64>,
    date: i32,
    action: impl Into<tl::enums::MessageAction>,
) -> tl::enums::Message {
    let channel: tl::enums::Peer = tl::types::PeerChannel { channel_id: CHANNEL }.into();
    let flags: u32 = if from.is_some() { 1 << 8 } else { 0 };
    let from = from.map(|from| peer(from).to_bytes()).unwrap_or_default();
    let (id, date, action) = (id.to_bytes(), date.to_bytes(), action.into().to_bytes());
    let message: tl::types::MessageService =
        read(&[&flags.to_bytes(), &id, &from, &channel.to_bytes(), &date, &action]);
    message.into()
}

/// An entry of the admin log, of what this user did.
pub fn entry(
    id: i64,
    user: i64,
    date: i32,
    action: impl Into<tl::enums::ChannelAdminLogEventAction>,
) -> tl::enums::ChannelAdminLogEvent {
    tl::types::ChannelAdminLogEvent { id, date, user_id: user, action: action.into() }.into()
}

/// Somebody who came in at `date`.
pub fn participant(user_id: i64, date: i32) -> tl::enums::ChannelParticipant {
    tl::types::ChannelParticipant { user_id, date, subscription_until_date: None, rank: None }.into()
}

/// The account that made the group.
pub fn creator(user_id: i64) -> tl::enums::ChannelParticipant {
    let rights: u32 = tl::types::ChatAdminRights::CONSTRUCTOR_ID;
    let bytes = [&0u32.to_bytes()[..], &user_id.to_bytes(), &rights.to_bytes(), &0u32.to_bytes()];
    read::<tl::types::ChannelParticipantCreator>(&bytes).into()
}

/// Somebody who may not do all, or, if they may not see the group either, is out.
pub fn banned(user: i64, by: i64, view_messages: bool) -> tl::enums::ChannelParticipant {
    let rights = tl::types::ChatBannedRights::CONSTRUCTOR_ID.to_bytes();
    let flags: u32 = view_messages.into();
    let rights = read(&[&rights, &flags.to_bytes(), &i32::MAX.to_bytes()]);
    let peer = peer(user);
    tl::types::ChannelParticipantBanned {
        left: view_messages,
        peer,
        kicked_by: by,
        date: 9,
        banned_rights: rights,
        rank: None,
    }
    .into()
}

/// Somebody who is out.
pub fn left(user: i64) -> tl::enums::ChannelParticipant {
    tl::types::ChannelParticipantLeft { peer: peer(user) }.into()
}

/// An invitation that this user made.
pub fn invite(admin_id: i64) -> tl::enums::ExportedChatInvite {
    let (link, date) = ("https://t.me/+sample".to_owned().to_bytes(), 5i32.to_bytes());
    read::<tl::types::ChatInviteExported>(&[&0u32.to_bytes(), &link, &admin_id.to_bytes(), &date]).into()
}
