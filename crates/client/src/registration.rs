//! Registering a chat: what is sent and what is answered.

use std::time::Duration;

use convoke_domain::{Chat, ChatId, ChatStatus, OperationId, Service};
use serde::{Deserialize, Serialize};

/// A chat to be registered. Begin with [`NewChat::new`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[must_use]
pub struct NewChat {
    title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<Service>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<ChatId>,
}

impl NewChat {
    /// A chat with this title: 1–255 characters. The service says what is wrong with one that it does not take.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), created_by: None, description: None, service: None, id: None }
    }

    /// Who has it registered, at most 50 characters; where nothing is said, the token's subject.
    pub fn created_by(mut self, who: impl Into<String>) -> Self {
        self.created_by = Some(who.into());
        self
    }

    /// What it is about, at most 255 characters.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = Some(text.into());
        self
    }

    /// The messenger; where nothing is said, the default of the installation.
    pub fn service(mut self, service: Service) -> Self {
        self.service = Some(service);
        self
    }

    /// An id of your own choice: a UUID of version 4, new within the tenant.
    pub fn id(mut self, id: ChatId) -> Self {
        self.id = Some(id);
        self
    }
}

/// How a registration or a removal is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SendOptions {
    /// The `Idempotency-Key`, 1–255 visible ASCII characters; without it, each call makes one of its own.
    pub idempotency_key: Option<String>,
    /// How long the service shall wait for the chat to be active before it answers: whole seconds, at most 30. A removal is
    /// answered at once all the same.
    pub wait: Option<Duration>,
}

/// A registration that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registration {
    /// The chat is being made; this is the usual answer.
    Accepted(AcceptedChat),
    /// The chat is active already: only if the service was asked to wait.
    Active(Box<Chat>),
}

impl Registration {
    /// The chat.
    #[must_use]
    pub fn chat_id(&self) -> ChatId {
        match self {
            Self::Accepted(accepted) => accepted.id,
            Self::Active(chat) => chat.id,
        }
    }
}

/// A chat that is being made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct AcceptedChat {
    /// The chat.
    pub id: ChatId,
    /// The work that makes its group.
    pub operation_id: OperationId,
    /// Where the chat stands now.
    pub status: ChatStatus,
}
