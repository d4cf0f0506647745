//! Forms, as they are posted: every mistake in one is found and named (`contract.md`, "Rules for every operation").

use std::{borrow::Cow, collections::HashMap};

use convoke_domain::{ChatTitle, MistakeCode, ParticipantId, Service};
use percent_encoding::percent_decode;

use super::problem::FieldMistake;
use crate::{Action, OWNER_USERNAME};

/// The longest username, in characters as sent.
const MAX_USERNAME_CHARS: usize = 32;

/// The longest first or last name, in characters as sent; the contract sets no limit, so it is a wide one.
const MAX_NAME_CHARS: usize = 255;

/// What a form is for: the last segment of the path that it is posted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Join,
    Leave,
    Rename,
    Close,
}

impl Verb {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Leave => "leave",
            Self::Rename => "rename",
            Self::Close => "close",
        }
    }

    const fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Join => &["username", "firstname", "lastname", "invitedBy"],
            Self::Leave | Self::Close => &["participant"],
            Self::Rename => &["participant", "title"],
        }
    }
}

/// Whether a content type is that of a form, in UTF-8.
pub(super) fn is_form(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let is_form = parts.next().is_some_and(|t| t.eq_ignore_ascii_case("application/x-www-form-urlencoded"));
    let mut charsets = parts.filter_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    });
    is_form && charsets.all(|charset| charset.eq_ignore_ascii_case("utf-8"))
}

/// Reads what a form asks for.
///
/// # Errors
/// All its mistakes.
pub(super) fn read(verb: Verb, body: &[u8]) -> Result<Action, Vec<FieldMistake>> {
    let mut form = Form::new(body, verb.fields());
    let action = match verb {
        Verb::Join => {
            let username = form.username();
            let (firstname, lastname) = (form.name("firstname"), form.name("lastname"));
            let invited_by = form.inviter();
            username.map(|username| Action::Join { username, firstname, lastname, invited_by })
        }
        Verb::Leave => form.participant().map(|participant| Action::Leave { participant }),
        Verb::Rename => {
            let (participant, title) = (form.participant(), form.title());
            participant.zip(title).map(|(participant, title)| Action::Rename { participant, title })
        }
        Verb::Close => form.participant().map(|participant| Action::Close { participant }),
    };
    match action {
        Some(action) if form.mistakes.is_empty() => Ok(action),
        _ => Err(form.mistakes),
    }
}

/// The fields of a form, and the mistakes found in them so far.
struct Form {
    fields: Vec<(String, String)>,
    mistakes: Vec<FieldMistake>,
}

impl Form {
    fn new(body: &[u8], known: &[&str]) -> Self {
        let mut form = Self { fields: Vec::new(), mistakes: Vec::new() };
        let mut times_given: HashMap<String, usize> = HashMap::new();
        for pair in body.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
            let mut halves = pair.splitn(2, |b| *b == b'=');
            let (name, value) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
            let name = String::from_utf8_lossy(&decoded(name)).into_owned();
            let times = times_given.entry(name.clone()).or_default();
            *times += 1;
            if *times > 1 {
                if *times == 2 {
                    form.add(&name, MistakeCode::Duplicate, "may be given once only");
                }
            } else if !known.contains(&name.as_str()) {
                let allowed = format!("is not known here; known are: {}", known.join(", "));
                form.add(&name, MistakeCode::Unknown, allowed);
            } else if let Ok(value) = String::from_utf8(decoded(value).into_owned()) {
                form.fields.push((name, value));
            } else {
                form.add(&name, MistakeCode::InvalidCharacter, "must be text in UTF-8");
            }
        }
        form
    }

    fn add(&mut self, field: &str, code: MistakeCode, detail: impl Into<String>) {
        self.mistakes.push(FieldMistake::new(field, code, detail));
    }

    /// What was sent in a field; nothing if it is missing, or is known to be wrong.
    fn sent(&self, field: &str) -> Option<String> {
        self.fields.iter().find(|(name, _)| name == field).map(|(_, value)| value.clone())
    }

    /// What was sent in a field that must be there.
    fn required(&mut self, field: &str) -> Option<String> {
        let sent = self.sent(field);
        if sent.is_none() && self.mistakes.iter().all(|mistake| mistake.field != field) {
            self.add(field, MistakeCode::Required, "must be given");
        }
        sent
    }

    /// A text, trimmed; lengths count as sent.
    fn text(&mut self, field: &str, sent: &str, max_chars: usize) -> Option<String> {
        if sent.chars().count() > max_chars {
            self.add(field, MistakeCode::TooLong, format!("must have at most {max_chars} characters"));
            return None;
        }
        if let Some(control) = sent.chars().find(|c| c.is_control()) {
            let detail = format!("must not hold the control character U+{:04X}", u32::from(control));
            self.add(field, MistakeCode::InvalidCharacter, detail);
            return None;
        }
        Some(sent.trim().to_owned())
    }

    fn username(&mut self) -> Option<String> {
        let sent = self.required("username")?;
        let username = self.text("username", &sent, MAX_USERNAME_CHARS)?;
        match username.as_str() {
            "" => self.add("username", MistakeCode::Required, "must not be blank"),
            OWNER_USERNAME => self.add("username", MistakeCode::NotAllowed, "is the username of Convoke's own account"),
            _ => return Some(username),
        }
        None
    }

    fn name(&mut self, field: &str) -> Option<String> {
        let sent = self.sent(field)?;
        self.text(field, &sent, MAX_NAME_CHARS).filter(|name| !name.is_empty())
    }

    fn title(&mut self) -> Option<ChatTitle> {
        let sent = self.required("title")?;
        let title = ChatTitle::new(&sent, Service::Sandbox);
        title.map_err(|mistake| self.add("title", mistake.code, mistake.detail)).ok()
    }

    fn participant(&mut self) -> Option<ParticipantId> {
        let sent = self.required("participant")?;
        self.id("participant", &sent)
    }

    /// Who brings somebody in; left empty, nobody does.
    fn inviter(&mut self) -> Option<ParticipantId> {
        let sent = self.sent("invitedBy").filter(|sent| !sent.is_empty())?;
        self.id("invitedBy", &sent)
    }

    fn id(&mut self, field: &str, sent: &str) -> Option<ParticipantId> {
        sent.parse::<ParticipantId>().map_err(|mistake| self.add(field, mistake.code, mistake.detail)).ok()
    }
}

/// Undoes the encoding of a form (WHATWG URL, "application/x-www-form-urlencoded parsing").
fn decoded(encoded: &[u8]) -> Cow<'_, [u8]> {
    let spaced: Vec<u8> = encoded.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect();
    Cow::Owned(percent_decode(&spaced).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "9a983789-1709-4543-aa31-a02867680017";

    fn mistakes(verb: Verb, body: &str) -> Vec<(String, MistakeCode)> {
        let mistakes = read(verb, body.as_bytes()).unwrap_err();
        mistakes.into_iter().map(|mistake| (mistake.field, mistake.mistake.code)).collect()
    }

    #[test]
    fn a_form_becomes_an_action() {
        let action = read(Verb::Join, b"username=+Ada%20L%C3%B6w+&firstname=&lastname=%20&invitedBy=");
        let expected =
            Action::Join { username: "Ada Löw".to_owned(), firstname: None, lastname: None, invited_by: None };
        assert_eq!(action, Ok(expected));
        let action = read(Verb::Join, format!("username=convoKe&firstname=A%2BB&invitedBy={ID}&").as_bytes());
        let expected = Action::Join {
            username: "convoKe".to_owned(),
            firstname: Some("A+B".to_owned()),
            lastname: None,
            invited_by: Some(ID.parse().unwrap()),
        };
        assert_eq!(action, Ok(expected));
        let participant = ID.parse().unwrap();
        assert_eq!(read(Verb::Close, format!("participant={ID}").as_bytes()), Ok(Action::Close { participant }));
    }

    #[test]
    fn all_mistakes_are_named_at_once() {
        use MistakeCode::{Duplicate, InvalidCharacter, InvalidFormat, NotAllowed, Required, TooLong, Unknown};
        let named = |expected: &[(&str, MistakeCode)]| {
            expected.iter().map(|(field, code)| ((*field).to_owned(), *code)).collect::<Vec<_>>()
        };
        let long = "x".repeat(33);
        assert_eq!(
            mistakes(Verb::Join, &format!("username={long}&firstname=a%00b&invitedBy=1&x/y=1&lastname=a&lastname=b")),
            named(&[
                ("x/y", Unknown),
                ("lastname", Duplicate),
                ("username", TooLong),
                ("firstname", InvalidCharacter),
                ("invitedBy", InvalidFormat),
            ])
        );
        assert_eq!(mistakes(Verb::Rename, ""), named(&[("participant", Required), ("title", Required)]));
        assert_eq!(mistakes(Verb::Rename, &format!("participant={ID}&title=+")), named(&[("title", Required)]));
        assert_eq!(mistakes(Verb::Join, "username=+"), named(&[("username", Required)]));
        assert_eq!(mistakes(Verb::Join, "username=+convoke"), named(&[("username", NotAllowed)]));
        assert_eq!(mistakes(Verb::Join, "username=%FF"), named(&[("username", InvalidCharacter)]));
        assert_eq!(mistakes(Verb::Join, "username=a%0A"), named(&[("username", InvalidCharacter)]));
        assert_eq!(mistakes(Verb::Join, "username=a&=1"), named(&[("", Unknown)]));
        assert_eq!(mistakes(Verb::Leave, &format!("participant={ID}&title=x")), named(&[("title", Unknown)]));
        assert_eq!(mistakes(Verb::Leave, "participant="), named(&[("participant", InvalidFormat)]));
    }

    /// That they are also told in time that grows with their number alone can't be asserted without a clock.
    #[test]
    fn many_unknown_fields_are_told_in_their_order_and_repeats_of_them_once_each() {
        let names: Vec<_> = (0..10_000).rev().map(|number| format!("x{number}")).collect();
        let all_with = |code| names.iter().map(move |name| (name.clone(), code));
        let expected: Vec<_> = all_with(MistakeCode::Unknown).chain(all_with(MistakeCode::Duplicate)).collect();
        let body = [names.join("&"), names.join("&"), names.join("&"), format!("participant={ID}")].join("&");
        assert_eq!(mistakes(Verb::Leave, &body), expected);
    }

    #[test]
    fn a_form_has_its_content_type() {
        for form in [
            "application/x-www-form-urlencoded",
            "Application/X-WWW-Form-Urlencoded; charset=UTF-8",
            "application/x-www-form-urlencoded;charset=\"utf-8\"",
        ] {
            assert!(is_form(form), "{form}");
        }
        for other in ["", "application/json", "text/plain", "application/x-www-form-urlencoded; charset=latin1"] {
            assert!(!is_form(other), "{other}");
        }
    }
}
