//! Values as they stand in queries, paths and bodies.

use std::str::FromStr;

use convoke_domain::{ChatId, OperationId, ParticipantId, Timestamp, WalkPosition};

/// Instants and dates.
pub fn timestamp(data: &[u8]) {
    let Some(text) = crate::text(data) else { return };
    let (from, to) = (Timestamp::parse_from_bound(text), Timestamp::parse_to_bound(text));
    assert_eq!(from.is_ok(), to.is_ok());
    if let (Ok(from), Ok(to)) = (&from, &to) {
        assert!(from <= to);
        assert_eq!(from.to_string().parse(), Ok(*from));
        assert_eq!(to.to_string().parse(), Ok(*to));
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        // An instant bounds nothing but itself.
        assert_eq!((from, to), (Ok(at), Ok(at)));
        assert!((Timestamp::MIN..=Timestamp::MAX).contains(&at));
    }
}

/// Cursors of walks.
pub fn cursor(data: &[u8]) {
    let Some(text) = crate::text(data) else { return };
    if let Ok(position) = text.parse::<WalkPosition>() {
        assert_eq!(position.to_string(), text);
    }
}

/// Ids.
pub fn id(data: &[u8]) {
    let Some(text) = crate::text(data) else { return };
    let chosen = ChatId::chosen_by_client(text);
    assert!(chosen.is_err() || chosen == text.parse());
    is_read_back::<ChatId>(text);
    is_read_back::<OperationId>(text);
    is_read_back::<ParticipantId>(text);
}

fn is_read_back<T: FromStr + ToString>(text: &str) {
    if let Ok(id) = text.parse::<T>() {
        assert!(id.to_string().eq_ignore_ascii_case(text), "{text}");
    }
}
