//! The port to messengers, the storage that they need, and the suite that each of them passes.
//!
//! A provider never decides what the record says: it acts when told to, and tells what happened.

mod accounts;
pub mod conformance;
mod error;
mod event;
mod storage;

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;
use convoke_domain::{ChatId, Service, TenantId, Timestamp};
use serde::{Deserialize, Serialize};

pub use accounts::{
    Account, AccountCondition, AccountGroup, AccountId, AccountLease, AccountState, AccountStorage, FeedState,
    NewAccount, NewPlacement, Placement,
};
pub use error::ProviderError;
pub use event::{Checkpoint, EventBatch, ProviderEvent, ProviderEventKind, SeenPerson};
pub use storage::{NewSandboxGroup, SandboxGroup, SandboxStorage, StorageError};

/// A messenger, as the worker drives it. No call holds a transaction open, and each may be interrupted anywhere.
#[async_trait]
pub trait Provider: Send + Sync + Debug {
    /// Which messenger it is.
    fn service(&self) -> Service;

    /// The lanes of operations that this process can drive now, asked for again and again. That of an account that it holds
    /// is among them even if the account can't be used: only there is found out that its work must go elsewhere.
    fn lanes(&self) -> Vec<Lane> {
        vec![Lane::of(self.service())]
    }

    /// The lane that the work belongs to, if it is not the service's own: that of the account that makes or has the group.
    /// Asked of work in the service's own lane; work in an account's lane is done there.
    ///
    /// # Errors
    /// See [`ProviderError`]. If the group can't be made by any account yet, [`ProviderError::RetryAfter`] says when one may
    /// take it.
    async fn lane_of(&self, _work: Work<'_>) -> Result<Option<String>, ProviderError> {
        Ok(None)
    }

    /// How long after a call whose outcome is unknown its group may still turn up: before that, no second one is made.
    fn settle_time(&self) -> Duration;

    /// Whether [`Self::create_chat`], called again for the same chat, gives the group that it made before. Where it does,
    /// nothing has to be kept of a call before it is made.
    fn keeps_one_group(&self) -> bool {
        false
    }

    /// Makes the group. Called again, it may make another one, unless [`Self::keeps_one_group`]: an unknown outcome is
    /// reconciled by [`Self::find_created`].
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn create_chat(&self, request: &CreateChat) -> Result<CreatedGroup, ProviderError>;

    /// The group that an earlier [`Self::create_chat`] made for the same chat, not before `since`, if there is one.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn find_created(&self, request: &CreateChat, since: Timestamp)
    -> Result<Option<CreatedGroup>, ProviderError>;

    /// The link that leads into the group: a URL, or an absolute path below the service's own public URL.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn invitation(&self, provider_chat_id: &str) -> Result<String, ProviderError>;

    /// Removes a person, so that only a new invitation brings them back where the messenger can do so. Returns what
    /// happened, under the keys by which the feed tells it too; nothing if the person was out already.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn remove_participant(
        &self,
        provider_chat_id: &str,
        external_id: &str,
    ) -> Result<Vec<ProviderEvent>, ProviderError>;

    /// Waits until something happened that is not acknowledged yet, and tells it. What is not acknowledged is told again,
    /// after a restart too: at least once, under the same keys.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn next_events(&self) -> Result<EventBatch, ProviderError>;

    /// Says that a batch is recorded and need not be told again.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn acknowledge(&self, checkpoint: Checkpoint) -> Result<(), ProviderError>;
}

/// Operations that are driven by the same processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    /// Its name, as it stands with the operations.
    pub name: String,
    /// Whether one operation is to end before the next one of this lane is begun.
    pub one_at_a_time: bool,
}

impl Lane {
    /// The service's own.
    #[must_use]
    pub fn of(service: Service) -> Self {
        Self { name: service.to_string(), one_at_a_time: false }
    }
}

/// What is to be done, as far as the choice of a lane goes.
#[derive(Debug, Clone, Copy)]
pub enum Work<'a> {
    /// A group that is to be made, and was not begun.
    Make(&'a CreateChat),
    /// Something in the group of this name.
    In(&'a str),
}

/// A chat whose group is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateChat {
    /// Whose chat it is.
    pub tenant: TenantId,
    /// The chat; its group is recognised by it.
    pub chat_id: ChatId,
    /// The title.
    pub title: String,
    /// What it is about.
    pub description: Option<String>,
}

/// A group that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatedGroup {
    /// The messenger's own name for it.
    pub provider_chat_id: String,
    /// The account that made it, and is in it.
    pub owner: SeenPerson,
    /// When it was made.
    pub made_at: Timestamp,
}
