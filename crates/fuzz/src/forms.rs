//! The forms of the sandbox's pages.

use convoke_sandbox::{Action, read_form};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};

/// What is asked for is asked for again when it is written into a form. The first byte says by which form.
pub fn form(data: &[u8]) {
    let Some((verb, body)) = data.split_first() else { return };
    let verb = ["join", "leave", "rename", "close"][usize::from(verb % 4)];
    match read_form(verb, body) {
        Ok(action) => {
            let written = written(&action);
            assert_eq!(read_form(verb, written.as_bytes()), Ok(action), "{written}");
        }
        Err(mistakes) => assert!(!mistakes.is_empty()),
    }
}

fn written(action: &Action) -> String {
    let fields = match action {
        Action::Join { username, firstname, lastname, invited_by } => vec![
            ("username", Some(username.clone())),
            ("firstname", firstname.clone()),
            ("lastname", lastname.clone()),
            ("invitedBy", invited_by.map(|id| id.to_string())),
        ],
        Action::Leave { participant } | Action::Close { participant } => {
            vec![("participant", Some(participant.to_string()))]
        }
        Action::Rename { participant, title } => {
            vec![("participant", Some(participant.to_string())), ("title", Some(title.as_str().to_owned()))]
        }
    };
    let field = |(name, value): (&str, Option<String>)| {
        Some(format!("{name}={}", percent_encode(value?.as_bytes(), NON_ALPHANUMERIC)))
    };
    fields.into_iter().filter_map(field).collect::<Vec<_>>().join("&")
}
