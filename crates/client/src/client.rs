//! The client: a method for each operation of the API, named as the operation is.

use std::{sync::Arc, time::Duration};

use convoke_domain::{Chat, ChatId, OperationId, ParticipantId, Service};
use reqwest::{
    Method, StatusCode,
    header::{self, HeaderMap, HeaderValue},
};
use serde::Deserialize;

use crate::{
    ChatPage, ClientBuilder, Error, ListChats, NewChat, Operation, Registration, SendOptions,
    send::{Answer, Transport},
};

/// A client of one Convoke, with one token. Clones are cheap and share their connections.
///
/// Every method repeats its request where that helps, as [`RetryPolicy`](crate::RetryPolicy) says, and fails with an
/// [`Error`]; what the service itself refuses is an [`Error::Problem`].
#[derive(Debug, Clone)]
pub struct Client {
    transport: Arc<Transport>,
}

/// The way into a chat.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Invitation {
    /// The messenger.
    pub service: Service,
    /// The link.
    pub invitation: String,
}

/// A removal that was accepted; the stay ends when the messenger confirms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Removal {
    /// The chat.
    pub id: ChatId,
    /// The work that removes the person.
    pub operation_id: OperationId,
}

/// The tag of a representation (`ETag`): as long as it is the same, so is what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityTag(HeaderValue);

impl EntityTag {
    fn of(headers: &HeaderMap) -> Option<Self> {
        headers.get(header::ETAG).cloned().map(Self)
    }
}

/// A value, with the tag of what it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tagged<T> {
    /// The value.
    pub value: T,
    /// The tag, if the service gave one.
    pub tag: Option<EntityTag>,
}

impl Client {
    /// A client of the Convoke at this URL: `http://127.0.0.1:8080`, or with a path if it is reached under one.
    pub fn builder(base_url: &str) -> ClientBuilder {
        ClientBuilder::new(base_url)
    }

    pub(crate) fn over(transport: Transport) -> Self {
        Self { transport: Arc::new(transport) }
    }

    /// Registers a chat. It is made after the answer; see [`register_and_wait`](Self::register_and_wait) for more patience.
    ///
    /// # Errors
    /// `invalid-request`, `provider-not-configured`, `chat-id-taken` and others; see [`Error`].
    pub async fn register_chat(&self, chat: &NewChat) -> Result<Registration, Error> {
        self.register_chat_with(chat, &SendOptions::default()).await
    }

    /// Registers a chat under an idempotency key of your own, or with the service waiting for it to be active.
    ///
    /// # Errors
    /// As [`register_chat`](Self::register_chat), and `idempotency-key-reused`.
    pub async fn register_chat_with(&self, chat: &NewChat, options: &SendOptions) -> Result<Registration, Error> {
        let json = serde_json::to_vec(chat).map_err(|error| Error::Settings(error.to_string()))?;
        let call = self.transport.call(Method::POST, &["chats"]).json(json).wait(options.wait);
        let answer = self.transport.send(&call.once(options.idempotency_key.as_deref())?).await?;
        match answer.status {
            StatusCode::CREATED => Ok(Registration::Active(answer.read()?)),
            StatusCode::ACCEPTED => Ok(Registration::Accepted(answer.read()?)),
            _ => Err(answer.unexpected("a registration is answered with 201 or 202")),
        }
    }

    /// The record of a chat.
    ///
    /// # Errors
    /// `chat-not-found` and others; see [`Error`].
    pub async fn get_chat(&self, id: ChatId) -> Result<Tagged<Chat>, Error> {
        let call = self.transport.call(Method::GET, &["chats", &id.to_string()]);
        tagged(&self.transport.send(&call).await?)
    }

    /// The record of a chat, if it is no longer the one that had this tag.
    ///
    /// # Errors
    /// `chat-not-found` and others; see [`Error`].
    pub async fn get_chat_if_changed(&self, id: ChatId, tag: &EntityTag) -> Result<Option<Tagged<Chat>>, Error> {
        let call = self.transport.call(Method::GET, &["chats", &id.to_string()]).unless(tag.0.clone());
        let answer = self.transport.send(&call).await?;
        if answer.status == StatusCode::NOT_MODIFIED { Ok(None) } else { tagged(&answer).map(Some) }
    }

    /// One page of a list. See [`pages`](Self::pages) and [`walk_chats`](Self::walk_chats) for more than one.
    ///
    /// # Errors
    /// `invalid-request` and others; see [`Error`].
    pub async fn list_chats(&self, asked: &ListChats) -> Result<ChatPage, Error> {
        let call = self.transport.call(Method::GET, &["chats"]).query(&asked.page_query());
        self.transport.send(&call).await?.read()
    }

    /// The first chats of a walk.
    pub(crate) async fn begin_walk(&self, asked: &ListChats) -> Result<ChatPage, Error> {
        let call = self.transport.call(Method::GET, &["chats"]).query(&asked.walk_query());
        self.transport.send(&call).await?.read()
    }

    /// The page that a link with this query leads to.
    pub(crate) async fn follow(&self, query: &str) -> Result<ChatPage, Error> {
        let call = self.transport.call(Method::GET, &["chats"]).raw_query(query);
        self.transport.send(&call).await?.read()
    }

    /// The link that leads into a chat. While the chat is being made there is none yet: the service waits for it as long as
    /// `wait` says (whole seconds, at most 30), and then the request is repeated like any other.
    ///
    /// # Errors
    /// `chat-not-found`, `chat-not-ready`, `chat-closed` and others; see [`Error`].
    pub async fn get_chat_invitation(&self, id: ChatId, wait: Option<Duration>) -> Result<Invitation, Error> {
        let call = self.transport.call(Method::GET, &["chats", &id.to_string(), "invitation"]).wait(wait);
        self.transport.send(&call).await?.read()
    }

    /// Has a person removed from a chat. The answer comes before it is done; see
    /// [`wait_for_operation`](Self::wait_for_operation).
    ///
    /// # Errors
    /// `chat-not-found`, `participant-not-found`, `chat-not-active`, `participant-is-owner` and others; see [`Error`].
    pub async fn remove_participant(&self, chat: ChatId, participant: ParticipantId) -> Result<Removal, Error> {
        self.remove_participant_with(chat, participant, &SendOptions::default()).await
    }

    /// Has a person removed from a chat, under an idempotency key of your own.
    ///
    /// # Errors
    /// As [`remove_participant`](Self::remove_participant), and `idempotency-key-reused`.
    pub async fn remove_participant_with(
        &self,
        chat: ChatId,
        participant: ParticipantId,
        options: &SendOptions,
    ) -> Result<Removal, Error> {
        let (chat, participant) = (chat.to_string(), participant.to_string());
        let call = self.transport.call(Method::DELETE, &["chats", &chat, "participants", &participant]);
        self.transport.send(&call.once(options.idempotency_key.as_deref())?).await?.read()
    }

    /// How the work that a registration or a removal asked for is going.
    ///
    /// # Errors
    /// `operation-not-found` and others; see [`Error`].
    pub async fn get_operation(&self, id: OperationId) -> Result<Operation, Error> {
        let call = self.transport.call(Method::GET, &["operations", &id.to_string()]);
        self.transport.send(&call).await?.read()
    }
}

fn tagged(answer: &Answer) -> Result<Tagged<Chat>, Error> {
    Ok(Tagged { value: answer.read()?, tag: EntityTag::of(&answer.headers) })
}
