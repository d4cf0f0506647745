//! What Telegram answers, and its sessions.

use convoke_domain::Timestamp;
use convoke_provider::{ProviderError, ProviderEvent};
use convoke_telegram::{StringSession, parsers};
use secrecy::ExposeSecret as _;

/// Updates that come by themselves.
pub fn updates(data: &[u8]) {
    parsers::updates(data).unwrap_or_default().iter().for_each(look_at);
}

/// Messages in a group.
pub fn message(data: &[u8]) {
    parsers::message(data).unwrap_or_default().iter().for_each(look_at);
}

/// Entries of a group's admin log.
pub fn log_entry(data: &[u8]) {
    parsers::log_entry(data).iter().for_each(look_at);
}

/// An event is one of the group, has a key and an instant, and is read as it was written.
fn look_at(event: &ProviderEvent) {
    assert_eq!(event.provider_chat_id, parsers::GROUP.to_string());
    assert!(!event.key.is_empty() && event.at > Timestamp::from_millis(0));
    let json = serde_json::to_string(event).expect("an event becomes JSON");
    assert_eq!(serde_json::from_str::<ProviderEvent>(&json).ok().as_ref(), Some(event), "{json}");
}

/// Links into a group.
pub fn invitation(data: &[u8]) {
    // Whatever text Telegram gives is the link: it is shown, and never read.
    let _ = parsers::invitation(data);
}

/// Errors: four bytes of a code, then what is said. Only where Telegram says so is anything waited for.
pub fn error(data: &[u8]) {
    let Some((code, message)) = data.split_first_chunk() else { return };
    let code = i32::from_le_bytes(*code);
    let Some(message) = crate::text(message) else { return };
    if let ProviderError::RetryAfter(_) = parsers::error(code, message) {
        assert_eq!(code, 420);
    }
}

/// Sessions as they are handed around.
pub fn session(data: &[u8]) {
    let Some(text) = crate::text(data) else { return };
    if let Ok(session) = text.parse::<StringSession>() {
        let written = session.to_text();
        assert_eq!(written.expose_secret().parse(), Ok(session));
    }
}
