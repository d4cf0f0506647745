//! A messenger with accounts, each of which makes groups in a lane of its own; the groups themselves are the sandbox's.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use convoke_domain::{Environment, Service, Timestamp};
use convoke_provider::{
    AccountCondition, AccountGroup, AccountId, AccountLease, AccountState, Checkpoint, CreateChat, CreatedGroup,
    EventBatch, Lane, NewAccount, NewPlacement, Placement, Provider, ProviderError, ProviderEvent, Work,
};
use convoke_sandbox::{Sandbox, SandboxSettings};
use convoke_store::Store;

use crate::world::World;

/// How a call to an account goes wrong.
#[derive(Debug, Clone)]
pub enum Trouble {
    /// Nothing is done; why, is kept with the account.
    Refused(ProviderError),
    /// Nothing is done; nobody remembers why.
    Forgotten(ProviderError),
    /// It is done, and the answer is lost.
    LostAnswer,
}

/// The messenger, as a process that holds some of the accounts sees it.
pub struct Accounts {
    store: Arc<dyn Store>,
    environment: Arc<dyn Environment>,
    sandbox: Sandbox,
    budget: u32,
    held: BTreeMap<AccountId, AccountLease>,
    troubles: Mutex<HashMap<AccountId, VecDeque<Trouble>>>,
    calls: Mutex<Vec<(AccountId, &'static str)>>,
    under_way: Mutex<HashSet<AccountId>>,
    /// Whether two calls to an account were under way at once.
    pub overlapped: AtomicBool,
    /// How many groups were made.
    pub groups_made: Arc<AtomicU32>,
}

impl std::fmt::Debug for Accounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accounts").field("held", &self.held).finish_non_exhaustive()
    }
}

impl Accounts {
    /// Keeps accounts of these names, if they are not kept yet, and holds them.
    pub async fn hold(world: &World, names: &[&str]) -> (Self, Vec<AccountId>) {
        let mut held = BTreeMap::new();
        let mut ids = Vec::new();
        for name in names {
            let account =
                NewAccount { service: Service::Sandbox, name: (*name).to_owned(), tenants: Vec::new(), secret: None };
            let id = world.store.save_account(account).await.unwrap();
            let now = world.environment.now();
            let until = now.plus(Duration::from_secs(30));
            held.insert(id, world.store.lease_account(id, "worker", now, until).await.unwrap().expect("it is free"));
            ids.push(id);
        }
        let accounts = Self {
            store: world.store.clone(),
            environment: world.environment(),
            sandbox: Sandbox::new(world.store.clone(), world.environment(), SandboxSettings::default()),
            budget: 100,
            held,
            troubles: Mutex::default(),
            calls: Mutex::default(),
            under_way: Mutex::default(),
            overlapped: AtomicBool::default(),
            groups_made: Arc::default(),
        };
        (accounts, ids)
    }

    /// Counts the groups that it makes together with those of another one.
    pub fn counting(self, groups_made: &Arc<AtomicU32>) -> Self {
        Self { groups_made: Arc::clone(groups_made), ..self }
    }

    /// Has the next call to the account go wrong that makes a group or removes somebody.
    pub fn trouble(&self, account: AccountId, trouble: Trouble) {
        self.troubles.lock().unwrap().entry(account).or_default().push_back(trouble);
    }

    /// The calls that made a group, or were to, and removed somebody, in order.
    pub fn calls(&self) -> Vec<(AccountId, &'static str)> {
        self.calls.lock().unwrap().clone()
    }

    /// Makes a call to an account, alone.
    async fn call<T>(
        &self,
        account: AccountId,
        what: &'static str,
        call: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        assert!(self.held.contains_key(&account), "only who holds an account calls it");
        self.calls.lock().unwrap().push((account, what));
        if !self.under_way.lock().unwrap().insert(account) {
            self.overlapped.store(true, Ordering::SeqCst);
        }
        // Long enough for a second call to come in, should there be one.
        tokio::time::sleep(Duration::from_millis(5)).await;
        let trouble = self.troubles.lock().unwrap().get_mut(&account).and_then(VecDeque::pop_front);
        let outcome = match trouble {
            Some(Trouble::Refused(error)) => {
                self.remember(account, &error).await;
                Err(error)
            }
            Some(Trouble::Forgotten(error)) => Err(error),
            Some(Trouble::LostAnswer) => {
                call.await?;
                Err(ProviderError::Unknown("the answer was lost".to_owned()))
            }
            None => call.await,
        };
        self.under_way.lock().unwrap().remove(&account);
        outcome
    }

    async fn remember(&self, account: AccountId, error: &ProviderError) {
        let mut state = AccountState::default();
        match error {
            ProviderError::RetryAfter(wait) => state.cooldown_until = Some(self.environment.now().plus(*wait)),
            ProviderError::AccountUnusable(reason) => state.condition = AccountCondition::Unusable(reason.clone()),
            ProviderError::Rejected(_) | ProviderError::Unknown(_) => {}
        }
        assert!(self.store.save_account_state(&self.held[&account], state).await.unwrap());
    }
}

#[async_trait]
impl Provider for Accounts {
    fn service(&self) -> Service {
        Service::Sandbox
    }

    fn lanes(&self) -> Vec<Lane> {
        let of_account = |id: &AccountId| Lane { name: id.lane(Service::Sandbox), one_at_a_time: true };
        std::iter::once(Lane::of(Service::Sandbox)).chain(self.held.keys().map(of_account)).collect()
    }

    async fn lane_of(&self, work: Work<'_>) -> Result<Option<String>, ProviderError> {
        let account = match work {
            Work::Make(request) => {
                let now = self.environment.now();
                let (tenant, chat_id) = (request.tenant.clone(), request.chat_id);
                let placement = NewPlacement {
                    service: Service::Sandbox,
                    tenant,
                    chat_id,
                    now,
                    budget: self.budget,
                    capacity: 500,
                };
                match self.store.place_chat(&placement).await.unwrap() {
                    Placement::On(account) => Some(account),
                    Placement::NotBefore(at) => return Err(ProviderError::RetryAfter(at.since(now))),
                    Placement::Nowhere(reason) => return Err(ProviderError::AccountUnusable(reason)),
                }
            }
            Work::In(group) => {
                let found = self.store.find_group_account(Service::Sandbox, group).await.unwrap();
                found.map(|(account, _)| account)
            }
        };
        Ok(account.map(|account| account.lane(Service::Sandbox)))
    }

    fn settle_time(&self) -> Duration {
        self.sandbox.settle_time()
    }

    async fn create_chat(&self, request: &CreateChat) -> Result<CreatedGroup, ProviderError> {
        let account =
            self.store.find_placement(&request.tenant, request.chat_id).await.unwrap().expect("it was placed");
        let create = async {
            let created = self.sandbox.create_chat(request).await?;
            self.groups_made.fetch_add(1, Ordering::SeqCst);
            let group = AccountGroup {
                tenant: request.tenant.clone(),
                chat_id: request.chat_id,
                provider_chat_id: created.provider_chat_id.clone(),
                state: String::new(),
            };
            assert!(self.store.save_account_group(&self.held[&account], group).await.unwrap());
            Ok(created)
        };
        self.call(account, "make", create).await
    }

    async fn find_created(
        &self,
        request: &CreateChat,
        since: Timestamp,
    ) -> Result<Option<CreatedGroup>, ProviderError> {
        self.sandbox.find_created(request, since).await
    }

    async fn invitation(&self, provider_chat_id: &str) -> Result<String, ProviderError> {
        self.sandbox.invitation(provider_chat_id).await
    }

    async fn remove_participant(&self, group: &str, person: &str) -> Result<Vec<ProviderEvent>, ProviderError> {
        let (account, _) = self.store.find_group_account(Service::Sandbox, group).await.unwrap().expect("it is kept");
        self.call(account, "remove", self.sandbox.remove_participant(group, person)).await
    }

    async fn next_events(&self) -> Result<EventBatch, ProviderError> {
        self.sandbox.next_events().await
    }

    async fn acknowledge(&self, checkpoint: Checkpoint) -> Result<(), ProviderError> {
        self.sandbox.acknowledge(checkpoint).await
    }
}
