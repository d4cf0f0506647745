//! A Telegram of the test's own, and a service that uses it.

use std::time::{Duration, Instant};

use convoke_client::Client;
use convoke_domain::{Chat, ChatId, Participant};
use convoke_telegram_test_server::{GroupId, TestServer, UserId};

use crate::support::{PATIENCE, Place};

/// A Telegram with one account that is the service's.
pub struct Messenger {
    pub server: TestServer,
    pub owner: UserId,
    pub session: String,
}

impl Messenger {
    pub fn new() -> Self {
        let server = TestServer::start();
        let owner = server.new_user("Convoke", "", "convoke_owner");
        let session = server.session(owner);
        Self { server, owner, session }
    }

    /// The settings with which a service uses it. Whatever takes minutes takes parts of a second here.
    pub fn used_by(&self, place: Place) -> Place {
        let settings = [
            ("PROVIDERS__DEFAULT", "telegram"),
            ("TELEGRAM__API_ID", "1"),
            ("TELEGRAM__API_HASH", "0123456789abcdef0123456789abcdef"),
            ("TELEGRAM__SESSION", &self.session),
            ("TELEGRAM__SETTLE_TIME", "300ms"),
            ("TELEGRAM__CALL_TIMEOUT", "1s"),
            ("TELEGRAM__MISSING_TIME", "200ms"),
            ("TELEGRAM__CREATION_BUDGET", "1000"),
        ];
        settings.iter().fold(place, |place, (name, value)| place.with(&format!("CONVOKE__{name}"), value))
    }

    /// The group of a chat, by its title.
    pub fn group(&self, title: &str) -> GroupId {
        let groups = self.server.groups();
        groups.iter().find(|group| group.title == title).unwrap_or_else(|| panic!("no group {title}")).id
    }
}

/// Waits until a chat is as it should be.
pub async fn until(client: &Client, id: ChatId, what: &str, is_so: impl Fn(&Chat) -> bool) -> Chat {
    let begun = Instant::now();
    loop {
        let chat = client.get_chat(id).await.unwrap().value;
        if is_so(&chat) {
            return chat;
        }
        assert!(begun.elapsed() < PATIENCE, "never {what}: {chat:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until Telegram was called so often.
pub async fn until_called(server: &TestServer, method: &str, times: usize) {
    let begun = Instant::now();
    while server.calls_of(method) < times {
        assert!(begun.elapsed() < PATIENCE, "{method} is not called {times} times: {:#?}", server.calls());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The participant of this user name.
pub fn participant<'a>(chat: &'a Chat, username: &str) -> Option<&'a Participant> {
    chat.participants.iter().find(|participant| participant.user_properties.username.as_deref() == Some(username))
}

/// Whether the participant of this user name is in now.
pub fn is_in(chat: &Chat, username: &str) -> bool {
    participant(chat, username).is_some_and(Participant::is_in)
}
