//! What the service itself needs, across tenants: claiming work, taking in events, looking up tokens, upkeep. The
//! indexes of these statements start with what they look up, not with the tenant.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use convoke_domain::{
    ChatId, OperationError, OperationId, OperationStatus, OperationType, Scope, Service, TenantId, Timestamp, TokenId,
};
use convoke_provider::{CreatedGroup, Lane, ProviderEvent};

use crate::{Cancellation, OperationDetails, OperationFilter, Origin, Progress, Retry, error::Result};

/// The service's own calls.
#[async_trait]
pub trait SystemRepository: Send + Sync {
    /// Whether the database answers and its schema is there: `Err` says what is missing.
    async fn ready(&self) -> Result<()>;

    /// Takes up to `claim.limit` operations that are due, one tenant after the other, under a lease with a new fence.
    async fn claim_operations(&self, claim: &Claim) -> Result<Vec<ClaimedOperation>>;

    /// What is open, waiting longest first; or what stands at one status, of which what has ended comes last ended first.
    async fn list_operations(&self, filter: &OperationFilter) -> Result<Vec<OperationDetails>>;

    /// The operation of this id, whosever it is.
    async fn find_operation_details(&self, id: OperationId) -> Result<Option<OperationDetails>>;

    /// Has an operation that failed tried again from the first attempt, and a chat that failed with it provisioned again.
    async fn retry_operation(&self, tenant: &TenantId, id: OperationId, at: Timestamp) -> Result<Retry>;

    /// Ends an operation of which nothing was begun as failed, and with it the chat that was to be made.
    async fn cancel_operation(&self, tenant: &TenantId, id: OperationId, at: Timestamp) -> Result<Cancellation>;

    /// Extends leases up to `until`; returns the operations whose lease was lost.
    async fn extend_leases(&self, leases: &[Lease], until: Timestamp) -> Result<Vec<OperationId>>;

    /// Keeps how far an operation has come, and once there is a group, whose it is; `false` if the lease was lost. No
    /// progress says that nothing was begun: such an operation may be cancelled.
    async fn save_progress(
        &self,
        lease: &Lease,
        progress: Option<String>,
        group: Option<&CreatedGroup>,
        at: Timestamp,
    ) -> Result<bool>;

    /// Ends an attempt, with everything that follows from it for the chat, in one transaction; `false` if the lease was
    /// lost: then nothing was changed.
    async fn finish_attempt(&self, lease: &Lease, outcome: Outcome, at: Timestamp) -> Result<bool>;

    /// Makes operations whose lease has expired claimable again; returns how many.
    async fn sweep_expired_leases(&self, now: Timestamp) -> Result<u64>;

    /// Gives back every lease of this owner at once, without counting the attempt.
    async fn release_leases(&self, owner: &str, now: Timestamp) -> Result<u64>;

    /// Keeps what happened in groups of this service and brings the records of their chats up to date. Events that are
    /// known already change nothing, those of groups that are not ours are passed over.
    async fn record_events(&self, service: Service, events: &[ProviderEvent], recorded_at: Timestamp) -> Result<()>;

    /// Adds changes of the counts that writers have left to the counts; returns how many there were.
    async fn roll_up_counts(&self) -> Result<u64>;

    /// Deletes what has been kept long enough, a bounded number at a time; returns how much it was.
    async fn delete_expired(&self, now: Timestamp, retention: &Retention) -> Result<u64>;

    /// Renders documents of an older form anew, a bounded number at a time; returns how many.
    async fn rewrite_outdated_documents(&self) -> Result<u64>;

    /// Has the database look again at how its rows are spread, once a table has many more than when it last did.
    async fn refresh_statistics(&self) -> Result<()>;

    /// Rebuilds documents, stays and counts from the events and reports every difference; changes nothing.
    async fn examine(&self) -> Result<DoctorReport> {
        self.examine_telling(Arc::new(())).await
    }

    /// The same, telling how far it has come.
    async fn examine_telling(&self, progress: Arc<dyn Progress>) -> Result<DoctorReport>;

    /// Keeps a new token.
    async fn create_token(&self, token: &NewToken) -> Result<()>;

    /// The token with this public prefix, revoked and expired ones too.
    async fn find_token(&self, prefix: &str) -> Result<Option<StoredToken>>;

    /// How many operations have not ended, by what they are and where they stand. What there is none of is left out.
    async fn count_open_operations(&self) -> Result<Vec<OpenOperations>>;

    /// How connections are used, where there is a number of them to be shared.
    fn connections(&self) -> Option<Connections>;

    /// Every token, newest first.
    async fn list_tokens(&self) -> Result<Vec<StoredToken>>;

    /// Revokes a token; `false` if there is none of this id. One that was revoked before stays as it is.
    async fn revoke_token(&self, id: TokenId, at: Timestamp) -> Result<bool>;
}

/// What a worker asks for.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The lanes that it can drive. Of one in which one operation is to end before the next is begun, one is taken at most.
    pub lanes: Vec<Lane>,
    /// The name of the worker's process.
    pub owner: String,
    /// How many operations at most.
    pub limit: u32,
    /// What is due at this instant.
    pub now: Timestamp,
    /// Until when they are leased.
    pub lease_until: Timestamp,
}

/// The right to drive an operation, for as long as nobody has claimed it since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Whose operation it is.
    pub tenant: TenantId,
    /// The operation.
    pub operation_id: OperationId,
    /// Grows with every claim.
    pub fence: i64,
}

/// An operation that was claimed.
#[derive(Debug, Clone)]
pub struct ClaimedOperation {
    /// The right to drive it.
    pub lease: Lease,
    /// The chat it is about.
    pub chat_id: ChatId,
    /// The messenger it is on.
    pub service: Service,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// The lane that it was claimed in.
    pub lane: String,
    /// How often it has been claimed, this time included; times that the provider put off do not count.
    pub attempts: u32,
    /// The request that asked for it, where that is known.
    pub origin: Option<Origin>,
    /// How far it had come: JSON, as [`SystemRepository::save_progress`] was given it.
    pub progress: Option<String>,
    /// What is to be done.
    pub work: Work,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Make the chat's group.
    CreateChat {
        /// The title it was registered under.
        title: String,
        /// What it is about.
        description: Option<String>,
    },
    /// Remove a person from the chat's group.
    RemoveParticipant {
        /// The messenger's own name for the group.
        provider_chat_id: String,
        /// The messenger's own name for the person.
        external_id: String,
    },
}

/// How an attempt ended.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// There is a group and a link into it: the chat is active, the operation has succeeded.
    ChatMade {
        /// The group.
        group: CreatedGroup,
        /// The link: a URL, or an absolute path below the service's public URL.
        invitation: String,
    },
    /// The provider confirmed the removal: the operation has succeeded.
    ParticipantRemoved {
        /// What happened, as the provider tells it.
        events: Vec<ProviderEvent>,
    },
    /// It is to be tried again.
    Postponed {
        /// Not before this instant.
        until: Timestamp,
        /// Whether this was an attempt: not if the provider itself put it off.
        counts: bool,
    },
    /// It belongs to another lane, where it is due at once. This was no attempt.
    Moved {
        /// Which one; instead of that of an account that is not kept any more, its service's own.
        lane: String,
    },
    /// It is given up. A chat that was to be made has failed.
    GivenUp(OperationError),
}

/// Operations of a kind that stand at the same point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenOperations {
    /// What is to be done.
    pub kind: OperationType,
    /// Where they stand.
    pub status: OperationStatus,
    /// How many there are.
    pub number: u64,
    /// When the first of them that waits is due; nothing if somebody is at them.
    pub due_at: Option<Timestamp>,
}

/// How the connections of a pool are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// How many there are at most.
    pub max: usize,
    /// How many somebody is using.
    pub used: usize,
    /// How many are open and free.
    pub idle: usize,
    /// How many calls wait for one.
    pub waiting: usize,
}

/// How long things are kept.
#[derive(Debug, Clone)]
pub struct Retention {
    /// Operations, after their end.
    pub operations: Duration,
    /// Idempotency keys, after their request.
    pub idempotency_keys: Duration,
}

/// A token to be kept. Its secret is not here.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Its id.
    pub id: TokenId,
    /// Whose resources it opens.
    pub tenant: TenantId,
    /// Who holds it.
    pub subject: String,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// By which it is found.
    pub prefix: String,
    /// SHA-256 of the whole token.
    pub hash: [u8; 32],
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

/// A token that is kept.
#[derive(Debug, Clone)]
pub struct StoredToken {
    /// What was kept.
    pub token: NewToken,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// What [`SystemRepository::examine`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DoctorReport {
    /// How many chats were looked at.
    pub chats: u64,
    /// Every difference between what is kept and what the events say.
    pub findings: Vec<Finding>,
}

/// A difference between what is kept and what the events say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whose.
    pub tenant: String,
    /// Which chat, unless it is about the tenant's counts.
    pub chat_id: Option<ChatId>,
    /// What differs, and how.
    pub what: String,
}
