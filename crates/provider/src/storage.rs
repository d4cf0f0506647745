//! The storage that providers need. `store` implements it.

use async_trait::async_trait;
use convoke_domain::{ChatId, ChatStatus, ParticipantId, TenantId};

/// The storage could not do what it was asked for; trying again may help.
#[derive(Debug, thiserror::Error)]
#[error("the storage does not answer")]
pub struct StorageError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Where the sandbox keeps its groups, and what happened in them until it is recorded. A group's state is the
/// sandbox's own affair: a text, replaced as a whole under a version.
#[async_trait]
pub trait SandboxStorage: Send + Sync {
    /// Keeps a new group, at version 0. A chat has one at most: a second one is an error.
    async fn insert_group(&self, group: NewSandboxGroup) -> Result<(), StorageError>;

    /// The group of this code.
    async fn find_group(&self, code: &str) -> Result<Option<SandboxGroup>, StorageError>;

    /// The group that was made for this chat.
    async fn find_group_of(&self, tenant: &TenantId, chat: ChatId) -> Result<Option<SandboxGroup>, StorageError>;

    /// Replaces the group's state and keeps what happened, together; nothing, and `false`, if it is not at `version`
    /// any more. Otherwise it is at `version + 1` then.
    async fn save_group(
        &self,
        code: &str,
        version: i64,
        state: String,
        events: Vec<String>,
    ) -> Result<bool, StorageError>;

    /// Up to `limit` events that are not yet deleted, those of one group in the order in which they were kept, with the
    /// names under which they are deleted.
    async fn pending_events(&self, limit: u32) -> Result<Vec<(String, String)>, StorageError>;

    /// Deletes the events of these names.
    async fn delete_events(&self, names: Vec<String>) -> Result<(), StorageError>;

    /// Returns once `save_group` may have kept events since the last call: at once in this process, after at most a
    /// second for another one.
    async fn events_kept(&self);

    /// The id under which the record shows a person of the sandbox; the same at every call.
    async fn participant_id(&self, tenant: &TenantId, external_id: &str) -> Result<ParticipantId, StorageError>;
}

/// A group to be kept.
#[derive(Debug, Clone)]
pub struct NewSandboxGroup {
    /// What its link ends in; unique, and not to be guessed.
    pub code: String,
    /// Whose chat it is.
    pub tenant: TenantId,
    /// The chat that it was made for.
    pub chat_id: ChatId,
    /// The state, as the sandbox writes it.
    pub state: String,
}

/// A group that is kept.
#[derive(Debug, Clone)]
pub struct SandboxGroup {
    /// What its link ends in.
    pub code: String,
    /// Whose chat it is.
    pub tenant: TenantId,
    /// The chat that it was made for.
    pub chat_id: ChatId,
    /// Where that chat stands in the record.
    pub chat_status: ChatStatus,
    /// How often the state was replaced.
    pub version: i64,
    /// The state, as the sandbox wrote it.
    pub state: String,
}
