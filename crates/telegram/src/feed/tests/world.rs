//! A Telegram on loopback, an account of the service in it, people who act, and the record of it in a real database.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use convoke_domain::{
    Chat, ChatId, ChatTitle, Environment, EventSource, OperationId, ParticipantId, Participation, Service, TenantId,
    Timestamp, UserProperties,
};
use convoke_provider::{
    Account, AccountGroup, AccountId, AccountLease, CreatedGroup, Lane, NewAccount, NewPlacement, Placement,
    ProviderEvent, SeenPerson,
};
use convoke_store::{Claim, Migrate, NewChat, OpenOptions, Outcome, Store};
use convoke_telegram_test_server::{Fault, GroupId, TestServer, UserId};
use convoke_test_support::TestEnvironment;
use grammers_client::tl;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{TelegramSettings, connection::Connection, context::Context, feed::Feed, group_state::GroupState};

/// How an admin log is read.
pub const LOG: &str = "channels.getAdminLog";

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks at what is waited for.
const LOOK: Duration = Duration::from_millis(10);

/// A Telegram with an account of the service, and a database.
pub struct World {
    pub telegram: TestServer,
    pub owner: Person,
    pub ada: Person,
    pub ben: Person,
    pub environment: TestEnvironment,
    pub settings: TelegramSettings,
    store: Arc<dyn Store>,
    account: AccountId,
    session: String,
    told: Arc<Mutex<BTreeMap<(String, String), ProviderEvent>>>,
    _folder: TempDir,
}

/// Somebody in Telegram; the record shows them under their handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Person {
    pub id: UserId,
    pub username: &'static str,
}

/// The service, running.
pub struct Running {
    pub connection: Arc<Connection>,
    pub feed: Arc<Feed>,
    tasks: JoinSet<()>,
}

/// A group of the account.
#[derive(Debug, Clone)]
pub struct Group {
    pub id: GroupId,
    pub name: String,
    pub link: String,
    chat: ChatId,
}

impl World {
    /// A world in which logs are read often, and lists of members once a day.
    pub async fn new() -> Self {
        let telegram = TestServer::start();
        let person = |name: &'static str| Person { id: telegram.new_user(name, "", name), username: name };
        let (owner, ada, ben) = (person("convoke"), person("ada"), person("ben"));
        telegram.set_names(ada.id, "Ada", "Lovelace", "ada");
        let settings = TelegramSettings {
            young_log_interval: Duration::from_millis(100),
            log_interval: Duration::from_millis(300),
            missing_time: Duration::from_millis(200),
            call_timeout: Duration::from_secs(2),
            ..TelegramSettings::new(1, "hash".to_owned().into(), "test".to_owned())
        };
        let (folder, environment) = (TempDir::new().expect("a folder"), TestEnvironment::real_time());
        let url = format!("sqlite://{}", folder.path().join("convoke.db").display()).parse().expect("a URL");
        let options = OpenOptions { url, migrate: Migrate::Auto, serve: false };
        let store = convoke_store::open(&options, Arc::new(environment.clone())).await.expect("a database");
        let account =
            NewAccount { service: Service::Telegram, name: "main".to_owned(), tenants: Vec::new(), secret: None };
        let account = store.save_account(account).await.expect("it is kept");
        Self {
            session: telegram.session(owner.id),
            telegram,
            owner,
            ada,
            ben,
            environment,
            settings,
            store,
            account,
            told: Arc::default(),
            _folder: folder,
        }
    }

    /// A world in which the stream alone tells what happens.
    pub async fn without_logs() -> Self {
        let world = Self::new().await;
        world.forget_logs();
        world
    }

    /// From now on Telegram knows nothing of admin logs.
    pub fn forget_logs(&self) {
        self.telegram.script(LOG, u32::MAX, Fault::refuse(400, "METHOD_INVALID"));
    }

    /// Somebody else.
    pub fn person(&self, username: impl Into<String>) -> Person {
        let username = String::leak(username.into());
        Person { id: self.telegram.new_user(username, "", username), username }
    }

    /// Lets the time go by, here and there.
    pub fn pass(&self, time: Duration) {
        self.telegram.advance(time);
        self.environment.advance(time);
    }

    /// Takes the account, from whoever has it.
    pub async fn lease(&self) -> AccountLease {
        let lease = self.store.lease_account(self.account, "test", Timestamp::MAX, Timestamp::MIN).await;
        lease.expect("an answer").expect("whoever has it has had it for ever")
    }

    /// Starts the service without anybody who records; whoever held the account before has lost it.
    pub async fn start_telling(&self) -> Running {
        let context = Context {
            storage: self.store.clone(),
            environment: Arc::new(self.environment.clone()),
            settings: self.settings.clone(),
            secrets_key: None,
        };
        let (account, lease) = (self.account().await, self.lease().await);
        let brought = self.session.parse().expect("a session");
        let connection =
            Connection::open(Arc::new(context), &account, lease, &brought, &CancellationToken::new()).await;
        let connection = connection.expect("Telegram is there");
        let feed = Arc::new(Feed::new());
        let mut tasks = JoinSet::new();
        tasks.spawn({
            let (feed, connection) = (feed.clone(), connection.clone());
            async move { feed.run(connection).await }
        });
        Running { connection, feed, tasks }
    }

    /// Starts the service.
    pub async fn start(&self) -> Running {
        let mut running = self.start_telling().await;
        let (feed, store, told) = (running.feed.clone(), self.store.clone(), self.told.clone());
        running.tasks.spawn(async move {
            loop {
                let batch = feed.next().await;
                record(&*store, &told, &batch.events).await;
                feed.acknowledge(&batch.checkpoint).await.expect("the database answers");
            }
        });
        running
    }

    /// Records what happened.
    pub async fn record(&self, events: &[ProviderEvent]) {
        record(&*self.store, &self.told, events).await;
    }

    /// Has the service make a group for a chat.
    pub async fn make(&self, running: &Running) -> Group {
        let (tenant, chat) = ("acme".parse::<TenantId>().expect("a tenant"), ChatId(self.environment.new_uuid()));
        let new = NewChat {
            id: chat,
            id_is_clients: false,
            service: Service::Telegram,
            title: ChatTitle::new("One", Service::Telegram).expect("a title"),
            created_by: None,
            description: None,
            operation_id: OperationId(self.environment.new_uuid()),
            at: self.environment.now(),
            idempotency: None,
            origin: None,
        };
        self.store.register_chat(&tenant, new).await.expect("it is registered");
        self.place(&tenant, chat).await;
        let channel = create_channel(running).await;
        let made_at = Timestamp::from_millis(i64::from(channel.date) * 1000);
        let state = GroupState::new(channel.access_hash.expect("we are in"), made_at).to_text();
        let (id, name) = (GroupId(channel.id), channel.id.to_string());
        let link = self.telegram.link(id, self.owner.id).expect("there is a link");
        let kept = AccountGroup { tenant, chat_id: chat, provider_chat_id: name.clone(), state };
        assert!(self.store.save_account_group(&running.connection.lease, kept).await.expect("an answer"));
        let properties = UserProperties { username: Some(self.owner.username.to_owned()), ..Default::default() };
        let owner = SeenPerson { external_id: self.owner.id.0.to_string(), properties };
        let made = CreatedGroup { provider_chat_id: name.clone(), owner, made_at };
        self.finish(Outcome::ChatMade { group: made, invitation: link.clone() }).await;
        Group { id, name, link, chat }
    }

    async fn place(&self, tenant: &TenantId, chat_id: ChatId) {
        let placement = NewPlacement {
            service: Service::Telegram,
            tenant: tenant.clone(),
            chat_id,
            now: self.environment.now(),
            budget: 20,
            capacity: 500,
        };
        let placed = self.store.place_chat(&placement).await.expect("an answer");
        assert_eq!(placed, Placement::On(self.account));
    }

    /// Ends the one operation that waits.
    async fn finish(&self, outcome: Outcome) {
        let now = self.environment.now();
        let of_account = Lane { name: self.account.lane(Service::Telegram), one_at_a_time: true };
        let lanes = vec![Lane::of(Service::Telegram), of_account];
        let lease_until = now.plus(Duration::from_secs(30));
        let claim = Claim { lanes, owner: "test".to_owned(), limit: 1, now, lease_until };
        let claimed = self.store.claim_operations(&claim).await.expect("an answer");
        let [claimed] = &claimed[..] else { panic!("one operation waits, not {claimed:?}") };
        assert!(self.store.finish_attempt(&claimed.lease, outcome, now).await.expect("an answer"));
    }

    /// The account, as it is kept.
    pub async fn account(&self) -> Account {
        let accounts = self.store.list_accounts(Service::Telegram).await.expect("an answer");
        accounts.into_iter().next().expect("there is one account")
    }

    /// What is kept of a group.
    pub async fn state(&self, group: &Group) -> GroupState {
        let found = self.store.find_group_account(Service::Telegram, &group.name).await.expect("an answer");
        let (_, kept) = found.expect("it is kept");
        GroupState::from_text(&kept.state).expect("a state")
    }

    /// The record of a group.
    pub async fn chat(&self, group: &Group) -> Chat {
        let tenant = "acme".parse().expect("a tenant");
        let document = self.store.find_chat(&tenant, group.chat).await.expect("an answer").expect("it is registered");
        serde_json::from_str(&document.json).expect("a chat")
    }

    /// What one source told of a group, by key.
    pub fn told_by(&self, group: &Group, source: EventSource) -> Vec<ProviderEvent> {
        let told = self.told.lock().expect("nobody panics with it");
        let told = told.values().filter(|event| event.provider_chat_id == group.name && event.source == source);
        told.cloned().collect()
    }

    /// Waits until the record of the group is like this.
    pub async fn until(&self, group: &Group, what: &str, is_it: impl Fn(&Chat) -> bool) -> Chat {
        let looking = async {
            loop {
                let chat = self.chat(group).await;
                if is_it(&chat) {
                    return chat;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        if let Ok(chat) = tokio::time::timeout(PATIENCE, looking).await {
            return chat;
        }
        panic!("{what} did not come: {:#?}\n{:#?}", self.chat(group).await, self.told)
    }

    /// Waits until something is so.
    pub async fn until_it_is(&self, what: &str, is_it: impl AsyncFn() -> bool) {
        let looking = async {
            while !is_it().await {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("{what} did not come"));
    }

    /// Waits until there were so many calls of this method.
    pub async fn until_called(&self, method: &str, times: usize) {
        self.until_it_is(method, async || self.telegram.calls_of(method) >= times).await;
    }

    /// Waits until the log of the one group was read whole, and what it told is recorded.
    pub async fn until_log_is_read(&self) {
        // The reading that was under way, a whole one, and the beginning of the next.
        self.until_called(LOG, self.telegram.calls_of(LOG) + 3).await;
    }
}

impl Running {
    /// Ends it, at once, as a crash would.
    pub async fn crash(mut self) {
        self.tasks.shutdown().await;
        self.connection.close().await;
    }
}

async fn record(store: &dyn Store, told: &Mutex<BTreeMap<(String, String), ProviderEvent>>, events: &[ProviderEvent]) {
    // Noted first, so that whoever sees something on the record finds it among what was told.
    {
        let mut told = told.lock().expect("nobody panics with it");
        for event in events {
            let key = (event.provider_chat_id.clone(), event.key.clone());
            let known = told.entry(key).or_insert_with(|| event.clone());
            assert_eq!(known, event, "an event is told again as it was");
        }
    }
    let now = events.iter().map(|event| event.at).max().unwrap_or(Timestamp::MIN);
    store.record_events(Service::Telegram, events, now).await.expect("the database answers");
}

async fn create_channel(running: &Running) -> tl::types::Channel {
    let request = tl::functions::channels::CreateChannel {
        broadcast: false,
        megagroup: true,
        for_import: false,
        forum: false,
        title: "One".to_owned(),
        about: String::new(),
        geo_point: None,
        address: None,
        ttl_period: None,
    };
    let updates = running.connection.invoke(&request).await.expect("a group is made");
    let tl::enums::Updates::Updates(updates) = updates else { panic!("no group in {updates:?}") };
    match updates.chats.into_iter().next() {
        Some(tl::enums::Chat::Channel(channel)) => channel,
        other => panic!("no group in {other:?}"),
    }
}

/// Who somebody is in the record.
pub fn participant(chat: &Chat, who: Person) -> Option<&convoke_domain::Participant> {
    chat.participants.iter().find(|one| one.user_properties.username.as_deref() == Some(who.username))
}

/// The id of somebody who is on record.
pub fn id(chat: &Chat, who: Person) -> Option<ParticipantId> {
    participant(chat, who).map(|participant| participant.id)
}

/// The stays of somebody.
pub fn stays(chat: &Chat, who: Person) -> &[Participation] {
    participant(chat, who).map_or(&[], |participant| &participant.participations)
}

/// Whether somebody is in.
pub fn is_in(chat: &Chat, who: Person) -> bool {
    stays(chat, who).last().is_some_and(|stay| stay.is_active)
}

/// Whether somebody was in and is out.
pub fn is_out(chat: &Chat, who: Person) -> bool {
    stays(chat, who).last().is_some_and(|stay| !stay.is_active)
}
