//! What pages show. Askama escapes whatever people wrote.

use askama::Template;
use convoke_domain::{ChatStatus, Timestamp};

use super::{
    form::Verb,
    origin::PublicUrl,
    problem::{FieldMistake, Problem},
};
use crate::{Group, MAX_PEOPLE, Member, OWNER_USERNAME};

/// How many of those who were in are shown.
const MAX_SHOWN_OUT: usize = 100;

/// How many colours there are for people, as in `style.css`.
const HUES: usize = 6;

#[derive(Template)]
#[template(path = "chat.html")]
struct ChatPage<'a> {
    prefix: &'a str,
    path: String,
    title: &'a str,
    description: Option<&'a str>,
    status: Status,
    people_in: Vec<Person<'a>>,
    people_out: Vec<Person<'a>>,
    more_out: usize,
    /// Those who can be acted as: whoever is in, but for the account that made the group.
    actors: Vec<Person<'a>>,
    max_people: usize,
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    prefix: &'a str,
    status: u16,
    title: &'a str,
    detail: &'a str,
    mistakes: &'a [FieldMistake],
    way_back: Option<&'a str>,
    request_id: &'a str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    Open,
    Full,
    Closed,
    Failed,
}

impl Status {
    const fn is_over(self) -> bool {
        matches!(self, Self::Closed | Self::Failed)
    }
}

/// Somebody, as the page shows them.
#[derive(Clone)]
struct Person<'a> {
    id: String,
    username: &'a str,
    /// First and last name; the username where there is neither.
    name: String,
    initial: String,
    hue: usize,
    joined_at: Timestamp,
    is_owner: bool,
}

impl<'a> From<&'a Member> for Person<'a> {
    fn from(member: &'a Member) -> Self {
        let names: Vec<&str> =
            [&member.firstname, &member.lastname].into_iter().flatten().map(String::as_str).collect();
        let name = if names.is_empty() { member.username.clone() } else { names.join(" ") };
        Self {
            id: member.participant_id.to_string(),
            username: &member.username,
            initial: name.chars().next().map(|c| c.to_uppercase().collect()).unwrap_or_default(),
            name,
            hue: member.username.bytes().map(usize::from).sum::<usize>() % HUES,
            joined_at: member.joined_at,
            is_owner: member.username == OWNER_USERNAME,
        }
    }
}

impl Person<'_> {
    /// When they came, for people to read.
    fn joined(&self) -> String {
        let text = self.joined_at.to_string();
        match (text.get(..10), text.get(11..16)) {
            (Some(day), Some(time)) => format!("{day} {time} UTC"),
            _ => text,
        }
    }
}

/// The page of a chat.
pub(super) fn chat_page(group: &Group, public_url: &PublicUrl) -> askama::Result<String> {
    let (people_in, people_out): (Vec<&Member>, Vec<&Member>) =
        group.state.members.iter().partition(|member| member.is_in && !group.is_over());
    // The newest are the ones that are looked for.
    let mut people_out = people_out;
    people_out.sort_by_key(|member| std::cmp::Reverse(member.joined_at));
    let status = match (group.is_over(), group.chat_status) {
        (true, ChatStatus::Failed) => Status::Failed,
        (true, _) => Status::Closed,
        (false, _) if people_in.len() >= MAX_PEOPLE => Status::Full,
        (false, _) => Status::Open,
    };
    let people_in: Vec<Person<'_>> = people_in.into_iter().map(Person::from).collect();
    let page = ChatPage {
        prefix: public_url.prefix(),
        path: public_url.path_of(&group.code),
        title: &group.state.title,
        description: group.state.description.as_deref(),
        status,
        actors: people_in.iter().filter(|person| !person.is_owner).cloned().collect(),
        people_in,
        more_out: people_out.len().saturating_sub(MAX_SHOWN_OUT),
        people_out: people_out.into_iter().take(MAX_SHOWN_OUT).map(Person::from).collect(),
        max_people: MAX_PEOPLE,
    };
    page.render()
}

/// The page that says what is wrong.
pub(super) fn problem_page(problem: &Problem, prefix: &str, request_id: &str) -> String {
    let detail = if problem.mistakes().is_empty() { problem.detail() } else { "Something in the form is not right:" };
    let page = ProblemPage {
        prefix,
        status: problem.kind().status.as_u16(),
        title: problem.kind().title,
        detail,
        mistakes: problem.mistakes(),
        way_back: problem.way_back(),
        request_id,
    };
    // A page that can't be rendered must not hide the problem.
    page.render().unwrap_or_else(|_| problem.kind().title.to_owned())
}
