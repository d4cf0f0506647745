//! One account held: connected as long as its lease lasts, and not an instant longer.

use std::{sync::Arc, time::Duration};

use convoke_domain::Service;
use convoke_provider::{Account, AccountCondition, AccountLease, AccountState};
use secrecy::ExposeSecret;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    StringSession, about,
    call::{Failure, RECONNECT},
    connection::Connection,
    context::Context,
    feed::Feed,
    held::{Held, HeldAccounts},
};

/// How long an account that can't be used is left alone before it is tried again.
const TRY_AGAIN: Duration = Duration::from_mins(5);

/// ... and one that is full, which may have left groups meanwhile.
const TRY_FULL_AGAIN: Duration = Duration::from_hours(1);

/// How often it is looked whether it is time for that.
const LOOK: Duration = Duration::from_secs(1);

/// How long to wait before connecting again at most, where there is nobody to connect to.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// One account that is held.
pub(crate) struct Hold {
    pub context: Arc<Context>,
    pub held: Arc<HeldAccounts>,
    pub feed: Arc<Feed>,
    /// The account as it is kept now.
    pub account: watch::Receiver<Account>,
    pub lease: AccountLease,
    /// When the lease was asked for.
    pub leased_at: Instant,
}

impl Hold {
    /// Holds the account until it is to be left or its lease is lost; once this returns there is no socket any more,
    /// and the lease is given back.
    pub async fn run(mut self, leave: CancellationToken) {
        let id = self.lease.account;
        tracing::info!(account = %id.0, "the account is held here");
        let keeping = keep_lease(self.context.clone(), self.lease.clone(), self.leased_at, leave.clone());
        tokio::join!(keeping, self.work(&leave));
        self.held.remove(id);
        if let Err(error) = self.context.storage.release_account(&self.lease).await {
            tracing::warn!(account = %id.0, %error, "the account could not be given back; its lease will end");
        }
        tracing::info!(account = %id.0, "the account is not held here any more");
    }

    /// Connects, serves, and connects again.
    async fn work(&mut self, leave: &CancellationToken) {
        let id = self.lease.account;
        let mut pause = RECONNECT;
        // Why it can't be used, as far as that was said.
        let mut said = None;
        while !leave.is_cancelled() {
            self.held.set(id, Held::Connecting);
            let account = self.account.borrow_and_update().clone();
            let failure = match self.connect(&account, leave).await {
                Ok(connection) => {
                    pause = RECONNECT;
                    said = None;
                    self.serve(connection, leave).await
                }
                Err(failure) => Some(self.kept(&account, failure).await),
            };
            let wait = match failure {
                // Another secret: at once.
                None => continue,
                Some(Failure::Unknown(reason) | Failure::NotSent(reason)) => {
                    tracing::warn!(account = %id.0, reason, "the account is not connected");
                    let wait = pause;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    wait
                }
                Some(Failure::Wait(time)) => time,
                Some(failure) => {
                    let reason = reason_of(failure);
                    if said.as_ref() != Some(&reason) {
                        tracing::error!(account = account.name, reason, "the account can't be used");
                        said = Some(reason.clone());
                    }
                    // It stays held, so that its work is told so and goes elsewhere.
                    self.held.set(id, Held::Unusable(reason));
                    TRY_AGAIN
                }
            };
            tokio::select! {
                () = leave.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
                () = another_secret(&mut self.account, &account) => {}
            }
        }
    }

    async fn connect(&self, account: &Account, leave: &CancellationToken) -> Result<Arc<Connection>, Failure> {
        let session = session_of(&self.context, account).map_err(Failure::SessionGone)?;
        Connection::open(self.context.clone(), account, self.lease.clone(), &session, leave).await
    }

    /// Lets others use the connection until it is to be left, is of no use any more, or another secret came. It is
    /// closed then. Why it was of no use, if that was so.
    async fn serve(&mut self, connection: Arc<Connection>, leave: &CancellationToken) -> Option<Failure> {
        let (id, account) = (self.lease.account, self.account.borrow().clone());
        let (names, new_groups) = mpsc::unbounded_channel();
        self.held.set(id, Held::Connected { connection: connection.clone(), names });
        tracing::info!(account = %id.0, "the account is connected");
        let feed = tokio::spawn({
            let (feed, connection) = (self.feed.clone(), connection.clone());
            async move { feed.run(connection).await }
        });
        let broke = tokio::select! {
            () = leave.cancelled() => false,
            () = another_secret(&mut self.account, &account) => false,
            () = connection.ended() => true,
            () = about::set_all(&connection, new_groups) => false,
            () = forgive_again(&connection) => false,
        };
        self.held.set(id, Held::Connecting);
        connection.close().await;
        feed.abort();
        // However it ended: nothing of the feed is to run beside the next one.
        let _ = feed.await;
        match connection.gone() {
            Some(reason) => Some(Failure::SessionGone(reason.to_owned())),
            None => broke.then(|| Failure::Unknown("the connection broke".to_owned())),
        }
    }

    /// Keeps that the account can't be used, if that is what the failure to connect says. Once it is connected, the
    /// connection keeps that.
    async fn kept(&self, account: &Account, failure: Failure) -> Failure {
        if !matches!(failure, Failure::Unknown(_) | Failure::NotSent(_) | Failure::Wait(_)) {
            let condition = AccountCondition::Unusable(reason_of(failure.clone()));
            let state = AccountState { condition, ..account.state.clone() };
            if let Err(error) = self.context.storage.save_account_state(&self.lease, state).await {
                tracing::warn!(%error, "that the account can't be used could not be kept");
            }
        }
        failure
    }
}

fn reason_of(failure: Failure) -> String {
    match failure {
        Failure::Full(reason)
        | Failure::Restricted(reason)
        | Failure::SessionGone(reason)
        | Failure::NotSent(reason)
        | Failure::Unknown(reason)
        | Failure::Rejected(reason) => reason,
        Failure::Elsewhere(dc) => format!("the session is of another data centre than {dc}, where the account is"),
        Failure::Wait(time) => format!("it is to wait {} s", time.as_secs()),
    }
}

/// What opens the account: its own secret, or the session that the configuration gives.
fn session_of(context: &Context, account: &Account) -> Result<StringSession, String> {
    let Some(sealed) = &account.secret else {
        let session = context.settings.session.as_ref().ok_or("the account has no session")?;
        return session.expose_secret().parse::<StringSession>().map_err(|error| error.to_string());
    };
    let key = context.secrets_key.as_ref().ok_or("there is no secrets key to open its session with")?;
    let text = key.open(Service::Telegram, &account.name, sealed).map_err(|error| error.to_string())?;
    let text = std::str::from_utf8(&text).map_err(|_| "its session is no text")?;
    text.parse::<StringSession>().map_err(|error| error.to_string())
}

/// Returns once the account is kept with another secret than it had, because somebody logged in again.
async fn another_secret(account: &mut watch::Receiver<Account>, before: &Account) {
    // Without its sender nothing comes any more; then the account is left soon.
    if account.wait_for(|now| now.secret != before.secret).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// An account that is restricted or full, but connected, is tried again after a while: the next refusal says so anew.
/// Does not return.
async fn forgive_again(connection: &Connection) {
    let (mut known, mut since) = (AccountCondition::Usable, connection.now());
    loop {
        let condition = connection.state().await.condition;
        if condition != known {
            (known, since) = (condition, connection.now());
        }
        let after = match known {
            AccountCondition::Usable => None,
            AccountCondition::Full => Some(TRY_FULL_AGAIN),
            AccountCondition::Unusable(_) => Some(TRY_AGAIN),
        };
        if after.is_some_and(|after| connection.now() >= since.plus(after)) {
            connection.forgive().await;
            since = connection.now();
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Extends the lease until the account is to be left. Where that does not succeed, the account is left so long before
/// the lease's end that there is no socket any more when somebody else may take it.
async fn keep_lease(context: Arc<Context>, lease: AccountLease, leased_at: Instant, leave: CancellationToken) {
    let length = context.settings.lease;
    let mut deadline = leased_at + length * 3 / 4;
    let mut pause = length / 3;
    loop {
        tokio::select! {
            () = leave.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        let asked_at = Instant::now();
        let until = context.environment.now().plus(length);
        match tokio::time::timeout_at(deadline, context.storage.extend_account(&lease, until)).await {
            Ok(Ok(true)) => {
                deadline = asked_at + length * 3 / 4;
                pause = length / 3;
            }
            Ok(Ok(false)) => {
                tracing::warn!(account = %lease.account.0, "the account's lease was lost");
                return leave.cancel();
            }
            Ok(Err(error)) if Instant::now() < deadline => {
                tracing::warn!(account = %lease.account.0, %error, "the account's lease could not be extended yet");
                pause = length / 20;
            }
            Ok(Err(_)) | Err(_) => {
                tracing::error!(account = %lease.account.0, "the account's lease could not be extended: it is left");
                return leave.cancel();
            }
        }
    }
}
