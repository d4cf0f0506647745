//! What requests need. Every call is one tenant's.

use std::{fmt, ops::Deref};

use async_trait::async_trait;
use convoke_domain::{
    ChatFilter, ChatId, ChatQuery, ChatStatus, ChatTitle, CreatedBy, Description, Operation, OperationId, PageSize,
    ParticipantId, Service, TenantId, Timestamp, WalkPosition,
};
use sha2::{Digest, Sha256};

use crate::{Changes, ChatPage, ChatWalk, Freshness, Origin, Position, error::Result};

/// What is asked about a tenant's chats.
#[async_trait]
pub trait Reads: Send + Sync {
    /// The finished JSON of a chat.
    async fn find_chat(&self, tenant: &TenantId, id: ChatId) -> Result<Option<ChatDocument>>;

    /// The invitation to a chat, as far as there is one.
    async fn find_invitation(&self, tenant: &TenantId, id: ChatId) -> Result<Option<ChatInvitation>>;

    /// A page of chats and the exact number of all that match, from one snapshot.
    async fn list_chats(&self, tenant: &TenantId, query: &ChatQuery) -> Result<ChatPage>;

    /// The next chats of a walk in the order of registration downwards: those behind `after`, or the newest.
    async fn walk_chats(
        &self,
        tenant: &TenantId,
        filter: &ChatFilter,
        after: Option<WalkPosition>,
        size: PageSize,
    ) -> Result<ChatWalk>;

    /// An operation as it stands.
    async fn find_operation(&self, tenant: &TenantId, id: OperationId) -> Result<Option<Operation>>;
}

/// The chats of a tenant and what is done with them. Every write is durable when its call returns; what is read of it
/// itself, without [`Repository::as_fresh_as`], is as new as it gets.
#[async_trait]
pub trait Repository: Reads {
    /// Registers a chat: the chat, its first title and the work to be done, in one transaction.
    async fn register_chat(&self, tenant: &TenantId, chat: NewChat) -> Result<Registration>;

    /// Asks for a participant's removal: the work to be done, in one transaction with the checks that allow it.
    async fn request_removal(&self, tenant: &TenantId, removal: NewRemoval) -> Result<Removal>;

    /// What can be waited for in this process.
    fn changes(&self) -> &Changes;

    /// Where what is as new as this can be read: at a replica, where there is one that will do.
    fn as_fresh_as(&self, freshness: Freshness) -> Reader<'_>;

    /// Whether there may be replicas, so that it matters how new what is read has to be.
    fn is_replicated(&self) -> bool;

    /// A position after everything that was committed before the call; nothing where there are no replicas, or if it can't
    /// be told right now.
    async fn position(&self) -> Option<Position>;
}

/// Something that can be read.
pub enum Reader<'a> {
    /// The database itself.
    Itself(&'a dyn Reads),
    /// What stands before it for a while.
    Replicated(Box<dyn Reads + 'a>),
}

impl<'a> Deref for Reader<'a> {
    type Target = dyn Reads + 'a;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Itself(reads) => *reads,
            Self::Replicated(reads) => &**reads,
        }
    }
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Itself(_) => "Itself",
            Self::Replicated(_) => "Replicated",
        })
    }
}

/// A chat to be registered.
#[derive(Debug, Clone)]
pub struct NewChat {
    /// Its id.
    pub id: ChatId,
    /// Whether the client chose the id: then it may be taken.
    pub id_is_clients: bool,
    /// The messenger.
    pub service: Service,
    /// The title.
    pub title: ChatTitle,
    /// Who has it registered.
    pub created_by: Option<CreatedBy>,
    /// What it is about.
    pub description: Option<Description>,
    /// The id of the work that makes its group.
    pub operation_id: OperationId,
    /// When it is accepted.
    pub at: Timestamp,
    /// The key under which the answer is kept.
    pub idempotency: Option<IdempotencyKey>,
    /// The request that asks for it.
    pub origin: Option<Origin>,
}

impl NewChat {
    /// What a repeated registration under the same id is compared with.
    #[must_use]
    pub fn registration_hash(&self) -> [u8; 32] {
        let registration = serde_json::json!([self.service, self.title, self.created_by, self.description]);
        Sha256::digest(registration.to_string()).into()
    }
}

/// The name under which a client may repeat a request without doing it twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The client's key.
    pub key: String,
    /// Method and path: a key is one for each.
    pub route: String,
    /// The hash of the request, by which another one under the same key is noticed.
    pub request_hash: [u8; 32],
}

/// What became of a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registration {
    /// The chat is registered.
    New(AcceptedChat),
    /// The same request was accepted before under this key.
    RepeatedKey(AcceptedChat),
    /// The same registration was accepted before under this id.
    RepeatedId(AcceptedChat),
    /// Another request was made under this key.
    KeyReused,
    /// Another registration was accepted under this id.
    IdTaken,
}

/// A chat that was accepted, now or before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedChat {
    /// The chat.
    pub chat_id: ChatId,
    /// The work that makes its group.
    pub operation_id: OperationId,
    /// Where it stands now.
    pub status: ChatStatus,
}

/// A chat's finished JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatDocument {
    /// Where the chat stands.
    pub status: ChatStatus,
    /// Grows whenever the JSON changes.
    pub version: i64,
    /// The contract's "chat detail".
    pub json: String,
}

/// The way into a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatInvitation {
    /// The messenger.
    pub service: Service,
    /// Where the chat stands.
    pub status: ChatStatus,
    /// The link, once there is one: a URL, or an absolute path below the service's public URL.
    pub link: Option<String>,
}

/// A participant to be removed.
#[derive(Debug, Clone)]
pub struct NewRemoval {
    /// The chat.
    pub chat_id: ChatId,
    /// Whom to remove.
    pub participant_id: ParticipantId,
    /// The id of the work, should there be any.
    pub operation_id: OperationId,
    /// When it is asked for.
    pub at: Timestamp,
    /// The key under which the answer is kept.
    pub idempotency: Option<IdempotencyKey>,
    /// The request that asks for it.
    pub origin: Option<Origin>,
}

/// What became of a request for removal, in the order in which it is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// Another request was made under this key.
    KeyReused,
    /// The same request was accepted before under this key.
    RepeatedKey(OperationId),
    /// There is no such chat.
    NoSuchChat,
    /// The person was never in that chat.
    NoSuchParticipant,
    /// Nobody can be removed: the chat is being made, closed or failed.
    NotActive(ChatStatus),
    /// The account that owns the group can't be removed.
    IsOwner,
    /// It is accepted, or under way already; or the person is out already and the operation has succeeded.
    Accepted(OperationId),
}
