//! The link into a group.

use grammers_client::tl;

use crate::{call::Failure, connection::Connection};

/// The group's own link, which stays: the one it has already, or else a new one.
pub(crate) async fn invitation(connection: &Connection, provider_chat_id: &str) -> Result<String, Failure> {
    let group = connection.group(provider_chat_id).await?;
    let call = tl::functions::channels::GetFullChannel { channel: group.channel() };
    match connection.invoke(&call).await {
        Ok(tl::enums::messages::ChatFull::Full(full)) => {
            if let tl::enums::ChatFull::ChannelFull(full) = full.full_chat
                && let Some(link) = full.exported_invite.and_then(link_of)
            {
                return Ok(link);
            }
        }
        // There may be no link to be found that way, but there can be one.
        Err(failure) if failure.is_unsupported() => {}
        Err(failure) => return Err(failure),
    }
    let call = tl::functions::messages::ExportChatInvite {
        legacy_revoke_permanent: false,
        request_needed: false,
        peer: group.peer(),
        expire_date: None,
        usage_limit: None,
        title: None,
        subscription_pricing: None,
    };
    let invite = connection.invoke(&call).await?;
    link_of(invite).ok_or_else(|| Failure::Unknown("the answer does not hold a link".to_owned()))
}

/// The link, unless it is none that lets people in by itself.
pub(crate) fn link_of(invite: tl::enums::ExportedChatInvite) -> Option<String> {
    match invite {
        tl::enums::ExportedChatInvite::ChatInviteExported(invite) if !invite.revoked => Some(invite.link),
        _ => None,
    }
}
