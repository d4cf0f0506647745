//! Accounts are taken as they come free, and given back at the end.

use std::{collections::HashMap, sync::Arc};

use convoke_domain::Service;
use convoke_provider::{Account, AccountId, NewAccount, StorageError};
use tokio::{sync::watch, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{TelegramSettings, context::Context, feed::Feed, held::HeldAccounts, hold::Hold};

/// Takes accounts and holds them.
pub(crate) struct Holder {
    pub context: Arc<Context>,
    pub held: Arc<HeldAccounts>,
    pub feed: Arc<Feed>,
}

/// An account that is held, as the holder sees it.
struct Holding {
    account: watch::Sender<Account>,
    /// Cancelled when the account is to be left; when it was left, its receiver is gone.
    leave: CancellationToken,
}

impl Holder {
    /// Holds every account that nobody else holds, until the stop; then gives them back.
    pub async fn run(&self, stop: CancellationToken) {
        let tasks = TaskTracker::new();
        let mut holdings = HashMap::new();
        let mut configured = self.context.settings.session.is_none();
        while !stop.is_cancelled() {
            let looking = async {
                if !configured {
                    self.save_configured().await?;
                    configured = true;
                }
                self.look(&mut holdings, &tasks, &stop).await
            };
            if let Err(error) = looking.await {
                tracing::warn!(%error, "accounts could not be looked for");
            }
            let pause = tokio::time::sleep(self.context.settings.accounts_interval);
            let _ = stop.run_until_cancelled(pause).await;
        }
        tasks.close();
        tasks.wait().await;
    }

    /// Keeps the account of the configured session, so that chats can be placed on it and it can be leased. Its session
    /// is not kept: every process is given it.
    async fn save_configured(&self) -> Result<(), StorageError> {
        let account = NewAccount {
            service: Service::Telegram,
            name: TelegramSettings::CONFIGURED_ACCOUNT.to_owned(),
            tenants: Vec::new(),
            secret: None,
        };
        self.context.storage.save_account(account).await.map(drop)
    }

    async fn look(
        &self,
        holdings: &mut HashMap<AccountId, Holding>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<(), StorageError> {
        let accounts = self.context.storage.list_accounts(Service::Telegram).await?;
        holdings.retain(|id, holding| {
            if !accounts.iter().any(|account| account.id == *id) {
                // It was deleted.
                holding.leave.cancel();
            }
            !holding.account.is_closed()
        });
        for account in accounts {
            if let Some(holding) = holdings.get(&account.id) {
                holding.account.send_if_modified(|known| {
                    let is_new = known.secret != account.secret;
                    *known = account;
                    is_new
                });
            } else {
                // Even one that no session opens, so that its work is told so and goes elsewhere.
                let id = account.id;
                if let Some(holding) = self.take(account, tasks, stop).await? {
                    holdings.insert(id, holding);
                }
            }
        }
        Ok(())
    }

    /// Takes the account, if nobody else holds it.
    async fn take(
        &self,
        account: Account,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<Option<Holding>, StorageError> {
        let Context { storage, environment, settings, .. } = &*self.context;
        let (leased_at, now) = (Instant::now(), environment.now());
        if account.held.as_ref().is_some_and(|(_, until)| *until > now) {
            return Ok(None);
        }
        let until = now.plus(settings.lease);
        let Some(lease) = storage.lease_account(account.id, &settings.owner, now, until).await? else {
            return Ok(None);
        };
        let leave = stop.child_token();
        let (sender, receiver) = watch::channel(account);
        let hold = Hold {
            context: self.context.clone(),
            held: self.held.clone(),
            feed: self.feed.clone(),
            account: receiver,
            lease,
            leased_at,
        };
        tasks.spawn(hold.run(leave.clone()));
        Ok(Some(Holding { account: sender, leave }))
    }
}
