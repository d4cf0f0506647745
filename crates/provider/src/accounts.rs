//! Accounts of a messenger: where they are kept, who holds them, and which of them a group is made by.
//!
//! An account is held by one process at a time, under a lease with a fence. What an account's provider keeps of its feed and
//! of its groups is the provider's own affair: texts, replaced as a whole, by the holder only.

use async_trait::async_trait;
use convoke_domain::{ChatId, Service, TenantId, Timestamp};
use uuid::Uuid;

use crate::StorageError;

/// The id of an account, given when it is first kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(pub Uuid);

impl AccountId {
    /// The lane of the operations that only the holder of this account can drive.
    #[must_use]
    pub fn lane(self, service: Service) -> String {
        format!("{service}:{}", self.0)
    }

    /// The account whose lane this is; nothing if it is no account's.
    #[must_use]
    pub fn of_lane(lane: &str) -> Option<Self> {
        lane.split_once(':').and_then(|(_, id)| id.parse().ok()).map(Self)
    }
}

/// Where accounts are kept.
#[async_trait]
pub trait AccountStorage: Send + Sync {
    /// Every account of the service, by name.
    async fn list_accounts(&self, service: Service) -> Result<Vec<Account>, StorageError>;

    /// Keeps an account. One of this name gets the tenants and the secret, is usable again, and keeps all else. Operations
    /// that wait for any account of the service are due at once.
    async fn save_account(&self, account: NewAccount) -> Result<AccountId, StorageError>;

    /// Keeps the messenger's own name for an account, unless it is known already.
    async fn save_account_user(&self, id: AccountId, external_id: &str) -> Result<(), StorageError>;

    /// Deletes the account of this name; `false` if there is none. Operations that waited for it wait for any account
    /// then; its groups stay on record as they are, and are fed no more.
    async fn delete_account(&self, service: Service, name: &str) -> Result<bool, StorageError>;

    /// Takes an account that nobody holds at `now`, under a new fence.
    async fn lease_account(
        &self,
        id: AccountId,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<AccountLease>, StorageError>;

    /// Holds on to it; `false` if it was lost.
    async fn extend_account(&self, lease: &AccountLease, until: Timestamp) -> Result<bool, StorageError>;

    /// Gives it back, unless it was lost.
    async fn release_account(&self, lease: &AccountLease) -> Result<(), StorageError>;

    /// Keeps how the account is; `false` if the lease was lost: then nothing was changed, here and below.
    async fn save_account_state(&self, lease: &AccountLease, state: AccountState) -> Result<bool, StorageError>;

    /// Keeps how far the account's feed has been taken in, and the states of groups that changed with it, together.
    async fn save_feed(&self, lease: &AccountLease, feed: FeedState) -> Result<bool, StorageError>;

    /// Chooses the account that makes a chat's group, and keeps the choice: the least used of those that are usable, serve
    /// the tenant and have budget left. Where it was chosen before, the choice stays as long as that account can be
    /// used; the group must not have been begun. A choice counts in the budget until 24 hours after its group is made. Tenants that wait share what is left of
    /// the budget: whoever had more than others leaves one for each of them.
    async fn place_chat(&self, placement: &NewPlacement) -> Result<Placement, StorageError>;

    /// For how many chats each of the service's accounts was chosen, as far as that counts in its budget at `now`. One that
    /// was chosen for none is left out.
    async fn count_choices(&self, service: Service, now: Timestamp) -> Result<Vec<(AccountId, u32)>, StorageError>;

    /// The account that was chosen for the chat, while that is kept.
    async fn find_placement(&self, tenant: &TenantId, chat: ChatId) -> Result<Option<AccountId>, StorageError>;

    /// Keeps the group that was made for a chat that was placed on the account. It counts in the budget from when it is
    /// first kept.
    async fn save_account_group(&self, lease: &AccountLease, group: AccountGroup) -> Result<bool, StorageError>;

    /// The account's groups whose chats are neither closed nor failed.
    async fn list_groups(&self, account: AccountId) -> Result<Vec<AccountGroup>, StorageError>;

    /// The group of this name, and its account, while that is kept.
    async fn find_group_account(
        &self,
        service: Service,
        provider_chat_id: &str,
    ) -> Result<Option<(AccountId, AccountGroup)>, StorageError>;

    /// Who is in the group as far as the record knows: their external ids and since when.
    async fn members_on_record(
        &self,
        service: Service,
        provider_chat_id: &str,
    ) -> Result<Vec<(String, Timestamp)>, StorageError>;

    /// Keeps what the account needs to speak of others: a name for each and the provider's own text about it.
    async fn save_peers(&self, account: AccountId, peers: Vec<(String, String)>) -> Result<(), StorageError>;

    /// What was kept under that name.
    async fn find_peer(&self, account: AccountId, name: &str) -> Result<Option<String>, StorageError>;
}

/// An account to be kept.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// Its messenger.
    pub service: Service,
    /// What operators call it.
    pub name: String,
    /// Whose groups it makes; empty: everybody's.
    pub tenants: Vec<TenantId>,
    /// What opens it, sealed; none if every process is given it by its configuration.
    pub secret: Option<Vec<u8>>,
}

/// An account that is kept. Its secret is sealed.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// What operators call it.
    pub name: String,
    /// Whose groups it makes; empty: everybody's.
    pub tenants: Vec<TenantId>,
    /// What opens it, sealed; none if every process is given it by its configuration.
    pub secret: Option<Vec<u8>>,
    /// How it is.
    pub state: AccountState,
    /// Who holds it, and until when.
    pub held: Option<(String, Timestamp)>,
    /// How far its feed has been taken in, as the provider wrote it.
    pub feed: Option<String>,
    /// When the feed last told that it is taken in.
    pub fed_at: Option<Timestamp>,
    /// How many groups it has made that are neither closed nor failed.
    pub groups: u32,
}

/// How an account is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountState {
    /// The messenger's own name for the account, once it is known.
    pub external_id: Option<String>,
    /// Whether it can be used.
    pub condition: AccountCondition,
    /// Until when it takes no calls.
    pub cooldown_until: Option<Timestamp>,
}

/// Whether an account can be used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AccountCondition {
    /// It can.
    #[default]
    Usable,
    /// It can, but makes no more groups.
    Full,
    /// It can't, for this reason.
    Unusable(String),
}

/// The right to use an account, for as long as nobody has taken it since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountLease {
    /// The account.
    pub account: AccountId,
    /// Grows with every lease.
    pub fence: i64,
}

/// How far an account's feed has been taken in.
#[derive(Debug, Clone)]
pub struct FeedState {
    /// The provider's own text; none: as it was.
    pub feed: Option<String>,
    /// The groups whose states changed: their names and the provider's own texts.
    pub groups: Vec<(String, String)>,
    /// When that was.
    pub at: Timestamp,
}

/// A chat for whose group an account is sought.
#[derive(Debug, Clone)]
pub struct NewPlacement {
    /// The messenger.
    pub service: Service,
    /// Whose chat it is.
    pub tenant: TenantId,
    /// The chat.
    pub chat_id: ChatId,
    /// When it is sought.
    pub now: Timestamp,
    /// How many groups an account may be chosen for in 24 hours.
    pub budget: u32,
    /// How many groups an account may have, those that it was chosen for included, before it is full.
    pub capacity: u32,
}

/// The account for a chat's group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    /// This one.
    On(AccountId),
    /// None yet: one may take it from this instant on.
    NotBefore(Timestamp),
    /// None can be used: why, in a few words for operators.
    Nowhere(String),
}

/// A group that an account made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountGroup {
    /// Whose chat it is.
    pub tenant: TenantId,
    /// The chat.
    pub chat_id: ChatId,
    /// The messenger's own name for it.
    pub provider_chat_id: String,
    /// What the provider keeps of it.
    pub state: String,
}
