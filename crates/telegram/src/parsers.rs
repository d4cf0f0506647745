//! What becomes of the bytes that Telegram answers: read by grammers, then by the very functions that the feed and the
//! calls use; for those who try them with whatever there is (`crates/fuzz`). No part of what this crate promises.

use convoke_provider::{ProviderError, ProviderEvent};
use grammers_client::{
    InvocationError,
    sender::RpcError,
    tl::{self, Deserializable as _},
};
use grammers_session::updates::UpdatesLike;

use crate::{
    call::Failure,
    feed::{
        events,
        people::People,
        updates::{Position, Updates},
    },
    invitation,
};

/// The group that everything is read as one of.
pub const GROUP: i64 = 1_700_000_001;

/// What updates that come by themselves tell of the group; nothing if they are none.
#[must_use]
pub fn updates(bytes: &[u8]) -> Option<Vec<ProviderEvent>> {
    let told = tl::enums::Updates::from_bytes(bytes).ok()?;
    let mut stream = Updates::from(&Position::BEGINNING, [(GROUP, None)].into_iter());
    // Nothing is missing any more: what comes now is taken in.
    stream.give_up_common();
    if stream.missing().is_some() {
        stream.give_up();
    }
    let (updates, users, _) = stream.take(UpdatesLike::Updates(told));
    let people = People::new(&users);
    let events = updates.iter().filter_map(|(update, _)| match update {
        tl::enums::Update::NewChannelMessage(update) => Some(events(&update.message, &people)),
        _ => None,
    });
    Some(events.flatten().collect())
}

/// What a message in the group tells; nothing if it is none.
#[must_use]
pub fn message(bytes: &[u8]) -> Option<Vec<ProviderEvent>> {
    let message = tl::enums::Message::from_bytes(bytes).ok()?;
    Some(events(&message, &People::default()))
}

/// What an entry of the group's admin log tells.
#[must_use]
pub fn log_entry(bytes: &[u8]) -> Option<ProviderEvent> {
    let entry = tl::enums::ChannelAdminLogEvent::from_bytes(bytes).ok()?;
    events::of_log_entry(&GROUP.to_string(), &entry, &People::default())
}

/// The link of an invitation.
#[must_use]
pub fn invitation(bytes: &[u8]) -> Option<String> {
    invitation::link_of(tl::enums::ExportedChatInvite::from_bytes(bytes).ok()?)
}

/// What follows from an error of Telegram's.
#[must_use]
pub fn error(code: i32, message: &str) -> ProviderError {
    let error = tl::types::RpcError { error_code: code, error_message: message.to_owned() };
    Failure::from(InvocationError::Rpc(RpcError::from(error))).into()
}

fn events(message: &tl::enums::Message, people: &People) -> Vec<ProviderEvent> {
    events::of_message(&GROUP.to_string(), message, people)
}

#[cfg(test)]
mod tests {
    use grammers_client::tl::Serializable as _;

    use super::*;
    use crate::feed::samples::{entry, named, service};

    const DATE: i32 = 1_733_907_243;

    fn joined_by_link() -> tl::enums::Message {
        service(5, Some(7), DATE, tl::types::MessageActionChatJoinedByLink { inviter_id: 9 })
    }

    #[test]
    fn what_is_read_tells_what_it_tells_the_feed() {
        let message = joined_by_link();
        let told = super::message(&message.to_bytes()).expect("a message");
        assert_eq!(told, events(&message, &People::default()));
        assert_eq!(told.len(), 1);
        let entry = entry(3, 7, DATE, tl::enums::ChannelAdminLogEventAction::ParticipantJoin);
        assert!(log_entry(&entry.to_bytes()).is_some());
        assert_eq!(super::message(b""), None);
    }

    #[test]
    fn updates_that_follow_upon_what_was_told_are_read() {
        let update = tl::types::UpdateNewChannelMessage { message: joined_by_link(), pts: 2, pts_count: 1 };
        let told: tl::enums::Updates = tl::types::Updates {
            updates: vec![update.into()],
            users: vec![named(7, "Ada")],
            chats: Vec::new(),
            date: DATE,
            seq: 0,
        }
        .into();
        let events = updates(&told.to_bytes()).expect("updates");
        assert_eq!(events.len(), 1);
    }
}
