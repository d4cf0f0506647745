//! Telegram as the worker drives it.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use convoke_domain::{Environment, Service, Timestamp};
use convoke_provider::{
    AccountCondition, AccountId, AccountStorage, Checkpoint, CreateChat, CreatedGroup, EventBatch, Lane, NewPlacement,
    Placement, Provider, ProviderError, ProviderEvent, StorageError, Work,
};
use tokio_util::sync::CancellationToken;

use crate::{
    SecretsKey, TelegramSettings,
    call::{Failure, RECONNECT},
    connection::Connection,
    context::Context,
    create,
    feed::Feed,
    held::HeldAccounts,
    holder::Holder,
    invitation::invitation,
    remove::remove,
};

/// The connector: the accounts that this process holds, and what is done in their names.
pub struct Telegram {
    context: Arc<Context>,
    held: Arc<HeldAccounts>,
    feed: Arc<Feed>,
}

impl Telegram {
    /// The connector, which holds no account before it runs.
    #[must_use]
    pub fn new(
        storage: Arc<dyn AccountStorage>,
        environment: Arc<dyn Environment>,
        settings: TelegramSettings,
        secrets_key: Option<SecretsKey>,
    ) -> Arc<Self> {
        let context = Arc::new(Context { storage, environment, settings, secrets_key });
        Arc::new(Self { context, held: Arc::default(), feed: Arc::new(Feed::new()) })
    }

    /// Holds every account that no other process holds, until the stop. Once this returns no account is connected, and
    /// others may take them.
    pub async fn run(&self, stop: CancellationToken) {
        let holder = Holder { context: self.context.clone(), held: self.held.clone(), feed: self.feed.clone() };
        holder.run(stop).await;
    }

    /// The accounts that are connected here now.
    #[must_use]
    pub fn connected(&self) -> Vec<AccountId> {
        self.held.connected()
    }

    /// The account that makes the chat's group: the one that was chosen, or else one that is chosen now.
    async fn account_for(&self, request: &CreateChat) -> Result<AccountId, ProviderError> {
        let found = self.context.storage.find_placement(&request.tenant, request.chat_id).await;
        match found.map_err(storage_failed)? {
            Some(account) => Ok(account),
            None => self.place(request).await,
        }
    }

    async fn place(&self, request: &CreateChat) -> Result<AccountId, ProviderError> {
        let now = self.context.environment.now();
        let settings = &self.context.settings;
        let placement = NewPlacement {
            service: Service::Telegram,
            tenant: request.tenant.clone(),
            chat_id: request.chat_id,
            now,
            budget: settings.creation_budget,
            capacity: settings.capacity,
        };
        match self.context.storage.place_chat(&placement).await.map_err(storage_failed)? {
            Placement::On(account) => Ok(account),
            Placement::NotBefore(at) => Err(ProviderError::RetryAfter(at.since(now))),
            Placement::Nowhere(reason) => Err(ProviderError::AccountUnusable(reason)),
        }
    }

    /// The account that has the group.
    async fn account_of(&self, provider_chat_id: &str) -> Result<AccountId, ProviderError> {
        let found = self.context.storage.find_group_account(Service::Telegram, provider_chat_id).await;
        let found = found.map_err(storage_failed)?;
        let (account, _) = found.ok_or_else(|| ProviderError::Rejected("the group is of no known account".into()))?;
        Ok(account)
    }

    async fn connection_of(&self, provider_chat_id: &str) -> Result<Arc<Connection>, ProviderError> {
        let account = self.account_of(provider_chat_id).await?;
        Ok(self.held.connection(account)?.0)
    }
}

/// Nothing was done yet.
#[expect(clippy::needless_pass_by_value, reason = "it maps errors")]
fn storage_failed(error: StorageError) -> ProviderError {
    tracing::warn!(%error, "the storage of accounts does not answer");
    ProviderError::RetryAfter(RECONNECT)
}

/// Whether the account may make a group; why not, if not. Other calls are made while it is to wait: Telegram counts
/// them by themselves, and what makes groups wait for hours must not keep people from being removed.
async fn may_create(connection: &Connection) -> Result<(), ProviderError> {
    let (state, now) = (connection.state().await, connection.now());
    if let Some(until) = state.cooldown_until.filter(|until| *until > now) {
        return Err(ProviderError::RetryAfter(until.since(now)));
    }
    match state.condition {
        AccountCondition::Usable => Ok(()),
        AccountCondition::Full => Err(Failure::Full("the account makes no more groups".to_owned()).into()),
        AccountCondition::Unusable(reason) => Err(ProviderError::AccountUnusable(reason)),
    }
}

#[async_trait]
impl Provider for Telegram {
    fn service(&self) -> Service {
        Service::Telegram
    }

    /// The service's own, where accounts are chosen, and that of each account, which does one thing after the other.
    fn lanes(&self) -> Vec<Lane> {
        let open = Lane { name: Service::Telegram.to_string(), one_at_a_time: false };
        let accounts = self.held.ids().into_iter();
        let lanes = accounts.map(|id| Lane { name: id.lane(Service::Telegram), one_at_a_time: true });
        std::iter::once(open).chain(lanes).collect()
    }

    async fn lane_of(&self, work: Work<'_>) -> Result<Option<String>, ProviderError> {
        let account = match work {
            Work::Make(request) => self.place(request).await?,
            Work::In(provider_chat_id) => self.account_of(provider_chat_id).await?,
        };
        Ok(Some(account.lane(Service::Telegram)))
    }

    fn settle_time(&self) -> Duration {
        self.context.settings.settle_time
    }

    async fn create_chat(&self, request: &CreateChat) -> Result<CreatedGroup, ProviderError> {
        let account = self.account_for(request).await?;
        let (connection, names) = self.held.connection(account)?;
        let _turn = connection.turn().await;
        may_create(&connection).await?;
        let group = create::create(&connection, request).await?;
        // Where the connection is gone already, the next one finds it by itself.
        let _ = names.send(group.provider_chat_id.clone());
        Ok(group)
    }

    async fn find_created(
        &self,
        request: &CreateChat,
        since: Timestamp,
    ) -> Result<Option<CreatedGroup>, ProviderError> {
        let found = self.context.storage.find_placement(&request.tenant, request.chat_id).await;
        // What was not placed was not begun.
        let Some(account) = found.map_err(storage_failed)? else { return Ok(None) };
        let (connection, names) = self.held.connection(account)?;
        let _turn = connection.turn().await;
        let found = create::find(&connection, request, since).await?;
        if let Some(group) = &found {
            let _ = names.send(group.provider_chat_id.clone());
        }
        Ok(found)
    }

    async fn invitation(&self, provider_chat_id: &str) -> Result<String, ProviderError> {
        let connection = self.connection_of(provider_chat_id).await?;
        let _turn = connection.turn().await;
        Ok(invitation(&connection, provider_chat_id).await?)
    }

    async fn remove_participant(
        &self,
        provider_chat_id: &str,
        external_id: &str,
    ) -> Result<Vec<ProviderEvent>, ProviderError> {
        let connection = self.connection_of(provider_chat_id).await?;
        let _turn = connection.turn().await;
        Ok(remove(&connection, provider_chat_id, external_id).await?)
    }

    async fn next_events(&self) -> Result<EventBatch, ProviderError> {
        Ok(self.feed.next().await)
    }

    async fn acknowledge(&self, checkpoint: Checkpoint) -> Result<(), ProviderError> {
        self.feed.acknowledge(&checkpoint).await
    }
}

impl fmt::Debug for Telegram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telegram").field("held", &self.held.ids()).finish_non_exhaustive()
    }
}
