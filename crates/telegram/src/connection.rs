//! One account, connected: whatever is asked of Telegram in its name goes through here.

use std::sync::{
    Arc, Mutex, OnceLock, PoisonError,
    atomic::{AtomicBool, Ordering},
};
use std::time::Duration;

use convoke_domain::{Service, Timestamp};
use convoke_provider::{Account, AccountCondition, AccountGroup, AccountId, AccountLease, AccountState, SeenPerson};
use grammers_client::tl;
use grammers_session::{
    Session,
    types::{ChannelKind, PeerAuth, PeerId, PeerInfo},
    updates::UpdatesLike,
};
use tokio::sync::{MutexGuard, mpsc};
use tokio_util::sync::CancellationToken;

use crate::{
    StringSession,
    call::{Failure, not_sent},
    context::Context,
    group_state::GroupState,
    person,
    session::ConnectionSession,
    wire::Wire,
};

/// How long peers are collected before they are kept.
const PEERS_PAUSE: Duration = Duration::from_millis(500);

/// One account, connected under a lease.
pub(crate) struct Connection {
    pub context: Arc<Context>,
    pub account: AccountId,
    pub lease: AccountLease,
    wire: Wire,
    own: SeenPerson,
    updates: Mutex<Option<mpsc::Receiver<UpdatesLike>>>,
    state: tokio::sync::Mutex<AccountState>,
    turn: tokio::sync::Mutex<()>,
    /// Whether the last call had no answer, so that the next may not even be sent.
    is_doubtful: AtomicBool,
    /// Why its session opens nothing any more, once that is known.
    gone: OnceLock<String>,
    over: CancellationToken,
}

impl Connection {
    /// Connects the account with its session, and finds out who it is, unless `leave` comes before. Where that fails, no
    /// socket is left.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn open(
        context: Arc<Context>,
        account: &Account,
        lease: AccountLease,
        brought: &StringSession,
        leave: &CancellationToken,
    ) -> Result<Arc<Self>, Failure> {
        let session = Arc::new(ConnectionSession::of_account(brought, context.storage.clone(), account.id));
        let groups = context.storage.list_groups(account.id).await.map_err(not_sent)?;
        remember_groups(&session, &groups).await?;
        let (wire, updates) = Wire::open(session, brought.address.is_ipv6(), &context.settings).map_err(not_sent)?;
        let found = leave.run_until_cancelled(Self::find_out(&context, account, &lease, &wire)).await;
        let (own, state) = match found.unwrap_or_else(|| Err(not_sent("it is stopped"))) {
            Ok(found) => found,
            Err(failure) => {
                wire.close().await;
                return Err(failure);
            }
        };
        let connection = Arc::new(Self {
            context,
            account: account.id,
            lease,
            wire,
            own,
            updates: Mutex::new(Some(updates)),
            state: tokio::sync::Mutex::new(state),
            turn: tokio::sync::Mutex::new(()),
            is_doubtful: AtomicBool::new(false),
            gone: OnceLock::new(),
            over: CancellationToken::new(),
        });
        tokio::spawn(keep_peers(connection.wire.session.clone(), connection.over.clone()));
        Ok(connection)
    }

    /// Finds out who the account is, which also shows that its session is good, and keeps that.
    async fn find_out(
        context: &Context,
        account: &Account,
        lease: &AccountLease,
        wire: &Wire,
    ) -> Result<(SeenPerson, AccountState), Failure> {
        let own = own_user(wire).await?;
        if account.state.external_id.as_ref().is_some_and(|known| *known != own.external_id) {
            let reason = "the session belongs to another user than the one that made the account's groups";
            return Err(Failure::SessionGone(reason.to_owned()));
        }
        let state = AccountState {
            external_id: Some(own.external_id.clone()),
            condition: AccountCondition::Usable,
            cooldown_until: account.state.cooldown_until,
        };
        if context.storage.save_account_state(lease, state.clone()).await.map_err(not_sent)? {
            Ok((own, state))
        } else {
            Err(Failure::NotSent("the account's lease was lost".to_owned()))
        }
    }

    /// The account itself.
    pub fn own(&self) -> &SeenPerson {
        &self.own
    }

    /// The updates that come, for the one who reads them; `None` once they were taken.
    pub fn take_updates(&self) -> Option<mpsc::Receiver<UpdatesLike>> {
        self.updates.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits for one's turn: an account does one thing after the other, and that whole. The feed needs none.
    pub async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Calls. What a failure says of the account is kept with it.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn invoke<R: tl::RemoteCall>(&self, request: &R) -> Result<R::Return, Failure> {
        match self.wire.call(request).await {
            Ok(answer) => {
                self.is_doubtful.store(false, Ordering::Relaxed);
                Ok(answer)
            }
            Err(failure) => Err(self.noted(failure).await),
        }
    }

    /// Calls what must not be called twice. Where the call before had no answer, it is first made sure that there is
    /// somebody to answer: so a network that is away for hours leaves no calls behind whose outcome is not known.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn invoke_once<R: tl::RemoteCall>(&self, request: &R) -> Result<R::Return, Failure> {
        if self.is_doubtful.load(Ordering::Relaxed) {
            match self.invoke(&tl::functions::updates::GetState {}).await {
                // Whatever was refused was answered.
                Ok(_) | Err(Failure::Rejected(_)) => {}
                Err(Failure::Unknown(reason)) => return Err(Failure::NotSent(reason)),
                Err(failure) => return Err(failure),
            }
        }
        self.invoke(request).await
    }

    async fn noted(&self, failure: Failure) -> Failure {
        let is_answer = !matches!(failure, Failure::Unknown(_) | Failure::NotSent(_));
        self.is_doubtful.store(!is_answer, Ordering::Relaxed);
        let now = self.context.environment.now();
        let mut state = self.state.lock().await;
        let before = state.clone();
        match &failure {
            Failure::Wait(time) => state.cooldown_until = state.cooldown_until.max(Some(now.plus(*time))),
            Failure::Full(_) if state.condition == AccountCondition::Usable => state.condition = AccountCondition::Full,
            Failure::Restricted(reason) | Failure::SessionGone(reason) => {
                state.condition = AccountCondition::Unusable(reason.clone());
            }
            Failure::Full(_)
            | Failure::NotSent(_)
            | Failure::Unknown(_)
            | Failure::Elsewhere(_)
            | Failure::Rejected(_) => {}
        }
        if *state != before {
            tracing::warn!(account = %self.account.0, ?failure, "Telegram says something of the account");
            match self.context.storage.save_account_state(&self.lease, state.clone()).await {
                Ok(true) => {}
                Ok(false) => self.over.cancel(),
                Err(error) => {
                    tracing::warn!(%error, "how the account is could not be kept");
                    // Tried again at the next failure.
                    *state = before;
                }
            }
        }
        if let Failure::SessionGone(reason) = &failure {
            let _ = self.gone.set(reason.clone());
            self.over.cancel();
        }
        failure
    }

    /// How the account is.
    pub async fn state(&self) -> AccountState {
        self.state.lock().await.clone()
    }

    /// Why its session opens nothing any more, once that is known.
    pub fn gone(&self) -> Option<&str> {
        self.gone.get().map(String::as_str)
    }

    /// Says that the account can be used again, as far as is known.
    pub async fn forgive(&self) {
        let mut state = self.state.lock().await;
        let forgiven = AccountState { condition: AccountCondition::Usable, ..state.clone() };
        if matches!(self.context.storage.save_account_state(&self.lease, forgiven.clone()).await, Ok(true)) {
            *state = forgiven;
        }
    }

    /// The people and groups of an answer, so that they can be spoken of.
    pub async fn remember(&self, users: &[tl::enums::User], chats: &[tl::enums::Chat]) {
        let peers = users.iter().map(PeerInfo::from).chain(chats.iter().map(PeerInfo::from));
        // In memory only: it can't fail.
        let _ = self.wire.session.cache_peers(peers.collect()).await;
    }

    /// The group of this name.
    ///
    /// # Errors
    /// If the account has no such group.
    pub async fn group(&self, provider_chat_id: &str) -> Result<OwnGroup, Failure> {
        let found = self.context.storage.find_group_account(Service::Telegram, provider_chat_id).await;
        match found.map_err(not_sent)? {
            Some((account, kept)) if account == self.account => {
                let state = GroupState::from_text(&kept.state).map_err(not_sent)?;
                let id = provider_chat_id.parse().map_err(not_sent)?;
                Ok(OwnGroup { id, state, kept })
            }
            _ => Err(Failure::Rejected("the account has no such group".to_owned())),
        }
    }

    /// The person of this name, as Telegram wants it; `None` if the account never saw them.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn input_user(&self, external_id: &str) -> Result<Option<tl::types::InputUser>, Failure> {
        let Some(id) = external_id.parse().ok().and_then(PeerId::user) else { return Ok(None) };
        let peer = self.wire.session.peer(id).await.map_err(not_sent)?;
        let hash = peer.and_then(|peer| peer.auth());
        Ok(id.bare_id().zip(hash).map(|(user_id, hash)| tl::types::InputUser { user_id, access_hash: hash.hash() }))
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        self.context.environment.now()
    }

    /// Returns once the connection is of no use any more: its wire broke, or its session or its lease is gone.
    pub async fn ended(&self) {
        tokio::select! {
            () = self.wire.ended() => {}
            () = self.over.cancelled() => {}
        }
    }

    /// Closes the connection; once this returns, there is no socket any more. Whatever is under way fails.
    pub async fn close(&self) {
        self.over.cancel();
        self.wire.close().await;
        if let Err(error) = self.wire.session.save_peers().await {
            tracing::warn!(%error, "the last people seen could not be kept");
        }
    }
}

/// A group of the account, as it is kept.
pub(crate) struct OwnGroup {
    /// Telegram's number for it.
    pub id: i64,
    /// What is kept of it.
    pub state: GroupState,
    /// The same as storage has it.
    pub kept: AccountGroup,
}

impl OwnGroup {
    /// As Telegram wants to see it where a group is asked for.
    pub fn channel(&self) -> tl::enums::InputChannel {
        tl::types::InputChannel { channel_id: self.id, access_hash: self.state.access_hash }.into()
    }

    /// ... where anything that has messages will do.
    pub fn peer(&self) -> tl::enums::InputPeer {
        tl::types::InputPeerChannel { channel_id: self.id, access_hash: self.state.access_hash }.into()
    }
}

/// The user who is logged in, and is remembered as such: without that, the stream of updates does not begin.
pub(crate) async fn own_user(wire: &Wire) -> Result<SeenPerson, Failure> {
    let request = tl::functions::users::GetUsers { id: vec![tl::enums::InputUser::UserSelf] };
    let users = wire.call(&request).await?;
    let own = users.first().and_then(|user| Some((PeerInfo::from(user), person::seen(user)?)));
    let Some((PeerInfo::User { id, auth, bot, .. }, own)) = own else {
        return Err(Failure::SessionGone("nobody is logged in with this session".to_owned()));
    };
    let peer = PeerInfo::User { id, auth, bot, is_self: Some(true) };
    wire.session.cache_peer(peer).await.map_err(not_sent)?;
    Ok(own)
}

/// The groups of the account, so that the stream of updates can fetch what was missed in them.
async fn remember_groups(session: &ConnectionSession, groups: &[AccountGroup]) -> Result<(), Failure> {
    let peers = groups.iter().filter_map(|group| {
        let state = GroupState::from_text(&group.state).ok()?;
        Some(PeerInfo::Channel {
            id: group.provider_chat_id.parse().ok()?,
            auth: Some(PeerAuth::from_hash(state.access_hash)),
            kind: Some(ChannelKind::Megagroup),
        })
    });
    session.cache_peers(peers.collect()).await.map_err(not_sent)
}

/// Keeps peers, a while after they came, until the connection is over.
async fn keep_peers(session: Arc<ConnectionSession>, over: CancellationToken) {
    let keeping = async {
        loop {
            session.changed().await;
            tokio::time::sleep(PEERS_PAUSE).await;
            if let Err(error) = session.save_peers().await {
                tracing::warn!(%error, "people seen could not be kept; they will be kept with the next");
            }
        }
    };
    let _ = over.run_until_cancelled(keeping).await;
}
