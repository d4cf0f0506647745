//! The mark by which a group is recognised whose making was not answered (`telegram.md`, "Creating a group exactly once").

use convoke_domain::ChatId;
use data_encoding::BASE32_DNSSEC;
use sha2::{Digest, Sha256};

/// How much of a description stands beside the mark, in UTF-16 units: with the mark's 19 they make Telegram's 255.
const DESCRIPTION: usize = 236;

/// How many characters tell one chat from another.
const LENGTH: usize = 12;

/// The mark of a chat's group: always the same, and of no other chat.
pub(crate) fn of(chat: ChatId) -> String {
    let hash = BASE32_DNSSEC.encode(&Sha256::digest(chat.0.as_bytes()));
    format!("[ref:{}]", &hash[..LENGTH])
}

/// What a group's description is while it is being made: as much of it as there is room for, and the mark.
pub(crate) fn marked(description: Option<&str>, chat: ChatId) -> String {
    match description {
        Some(description) => format!("{} {}", cut(description, DESCRIPTION), of(chat)),
        None => of(chat),
    }
}

/// Whether a description holds the mark of this chat.
pub(crate) fn is_marked(about: &str, chat: ChatId) -> bool {
    about.contains(&of(chat))
}

/// The beginning of a text that has at most `most` UTF-16 units; no character is cut in two.
fn cut(text: &str, most: usize) -> &str {
    let mut units = 0;
    let end = text.char_indices().find(|(_, character)| {
        units += character.len_utf16();
        units > most
    });
    end.map_or(text, |(end, _)| text[..end].trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(last: u8) -> ChatId {
        format!("9a983789-1709-4543-aa31-a028676800{last:02x}").parse().unwrap()
    }

    #[test]
    fn a_mark_is_of_one_chat_and_stays() {
        assert_eq!(of(chat(1)), of(chat(1)));
        assert_ne!(of(chat(1)), of(chat(2)));
        assert_eq!(of(chat(1)).len(), 18);
        assert!(is_marked(&marked(Some("Words"), chat(1)), chat(1)));
        assert!(!is_marked(&marked(Some("Words"), chat(1)), chat(2)));
        assert!(!is_marked("", chat(1)));
    }

    #[test]
    fn a_description_stands_before_the_mark() {
        assert_eq!(marked(Some("Words"), chat(1)), format!("Words {}", of(chat(1))));
        assert_eq!(marked(None, chat(1)), of(chat(1)));
    }

    #[test]
    fn description_and_mark_are_within_the_limit_in_utf_16_units() {
        for description in ["a".repeat(255), "ä".repeat(255), "🦀".repeat(127), format!("a{}", "🦀".repeat(127))] {
            let marked = marked(Some(&description), chat(1));
            let units = marked.encode_utf16().count();
            assert!((254..=255).contains(&units), "{units} units");
            assert!(description.starts_with(marked.split_once(" [ref:").unwrap().0));
        }
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("ab🦀", 3), "ab");
    }
}
