//! A store on a database of its own, with a clock and chance that can be foretold, and the small steps that behaviours are
//! told in.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use convoke_domain::{
    Chat, ChatId, ChatTitle, CreatedBy, Description, Environment, Operation, OperationError, OperationErrorCode,
    OperationId, ParticipantId, Service, TenantId, Timestamp, UserProperties,
};
use convoke_provider::{CreatedGroup, Lane, ProviderEvent, ProviderEventKind, SeenPerson};
use convoke_store::{
    AcceptedChat, ChatDocument, Claim, ClaimedOperation, IdempotencyKey, Lease, Migrate, NewChat, NewRemoval,
    OpenOptions, Outcome, Registration, Removal, Store, StoreError,
};
use convoke_test_support::{TestDatabase, TestEnvironment, create_database, ensure_template};
use diesel::{Connection, QueryableByName, RunQueryDsl, connection::SimpleConnection, sql_types::BigInt};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// The kinds of database there are.
#[derive(Debug, Clone, Copy)]
pub enum Database {
    Sqlite,
    Postgres,
}

/// Where a database is, for as long as this is held.
pub enum Home {
    Sqlite(TempDir),
    Postgres(TestDatabase),
}

impl Home {
    /// A database without any tables.
    pub async fn empty(database: Database) -> Self {
        match database {
            Database::Sqlite => Self::Sqlite(TempDir::with_prefix("convoke-store-").expect("a folder")),
            Database::Postgres => Self::Postgres(create_database(None).await),
        }
    }

    /// A database that opens fast: a copy of a migrated one, where there is such a thing.
    async fn migrated(database: Database) -> Self {
        match database {
            Database::Sqlite => Self::empty(database).await,
            Database::Postgres => {
                let environment = TestEnvironment::new();
                let template = ensure_template("store_suite", &hash_of_migrations(), async |url: String| {
                    open(&url, Migrate::Auto, true, &environment).await.map(drop)
                })
                .await;
                Self::Postgres(create_database(Some(&template)).await)
            }
        }
    }

    pub fn kind(&self) -> Database {
        match self {
            Self::Sqlite(_) => Database::Sqlite,
            Self::Postgres(_) => Database::Postgres,
        }
    }

    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(_) => format!("sqlite://{}", self.file().display()),
            Self::Postgres(database) => database.url().to_owned(),
        }
    }

    fn file(&self) -> PathBuf {
        match self {
            Self::Sqlite(folder) => folder.path().join("data/convoke.db"),
            Self::Postgres(_) => unreachable!("PostgreSQL is no file"),
        }
    }
}

/// Opens a store.
pub async fn open(
    url: &str,
    migrate: Migrate,
    serve: bool,
    environment: &TestEnvironment,
) -> Result<Arc<dyn Store>, StoreError> {
    let url = url.parse().expect("a database URL");
    convoke_store::open(&OpenOptions { url, migrate, serve }, Arc::new(environment.clone())).await
}

/// Opens a store to serve it after another one has ended.
pub async fn serve_next(url: &str, environment: &TestEnvironment) -> Arc<dyn Store> {
    soon(async {
        loop {
            match open(url, Migrate::Auto, true, environment).await {
                Ok(store) => return store,
                // Another test of this process may just be starting a program, which holds every open file, and so the
                // lock, until it runs.
                Err(StoreError::Open(reason)) if reason.contains("already serves") => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    })
    .await
}

fn hash_of_migrations() -> String {
    let mut files = Vec::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/postgres");
    for migration in std::fs::read_dir(folder).expect("the migrations") {
        files.push(migration.expect("a migration").path().join("up.sql"));
    }
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        hash.update(std::fs::read(&file).expect("a migration"));
    }
    let hash: [u8; 32] = hash.finalize().into();
    format!("{:x}", u64::from_be_bytes(std::array::from_fn(|place| hash[place])))
}

/// Runs a behaviour in a world of its own; then nothing that is derived may differ from what the events say, and there must
/// be as many chats as the behaviour made.
pub async fn check(database: Database, behaviour: impl AsyncFnOnce(&mut World)) {
    let home = Home::migrated(database).await;
    let environment = TestEnvironment::new();
    let store = open(&home.url(), Migrate::Auto, true, &environment).await.expect("a store");
    let mut world = World { store, environment, home: Arc::new(home), made: Arc::default() };
    behaviour(&mut world).await;
    world.assert_sound().await;
    // Changes that writers have left are counted in either place.
    if world.store.roll_up_counts().await.expect("a roll-up") > 0 {
        world.assert_sound().await;
    }
}

/// A store, and how many chats were made in it.
#[derive(Clone)]
pub struct World {
    pub store: Arc<dyn Store>,
    pub environment: TestEnvironment,
    pub home: Arc<Home>,
    made: Arc<AtomicU64>,
}

/// A chat that is active.
#[derive(Debug, Clone)]
pub struct ActiveChat {
    pub tenant: TenantId,
    pub id: ChatId,
    /// The messenger's name for its group.
    pub group: String,
    /// The account that made the group.
    pub owner: ParticipantId,
    pub operation: OperationId,
}

/// How the making of a chat may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Made,
    GivenUp,
    PutOffForEver,
}

impl End {
    pub const ALL: [Self; 3] = [Self::Made, Self::GivenUp, Self::PutOffForEver];

    fn outcome(self, chat: ChatId, at: Timestamp) -> Outcome {
        match self {
            Self::Made => chat_made(group_of(chat, at)),
            Self::GivenUp => Outcome::GivenUp(rejected()),
            Self::PutOffForEver => Outcome::Postponed { until: Timestamp::MAX, counts: false },
        }
    }
}

impl World {
    /// Closes the store and opens it again.
    pub async fn reopen(&mut self) {
        // The store that is closed is gone before the new one is opened: only one may serve.
        let waiting: Arc<dyn Store> = open(&self.home.url(), Migrate::Off, false, &self.environment).await.unwrap();
        drop(std::mem::replace(&mut self.store, waiting));
        self.store = serve_next(&self.home.url(), &self.environment).await;
    }

    /// This world twice, the second time through another store on the same database, as another process has one.
    pub async fn twice(&self) -> [Self; 2] {
        let mut beside = self.clone();
        let environment = TestEnvironment::seeded(1);
        beside.store = open(&self.home.url(), Migrate::Off, false, &environment).await.expect("a store");
        [self.clone(), beside]
    }

    async fn assert_sound(&self) {
        let report = self.store.examine().await.expect("a report");
        assert_eq!(report.findings, [], "what is derived is what the events say");
        assert_eq!(report.chats, self.made.load(Ordering::SeqCst), "the chats that were made, and no others");
    }

    /// A chat that is not registered yet.
    pub fn new_chat(&self, title: &str) -> NewChat {
        NewChat {
            id: ChatId(self.environment.new_uuid()),
            id_is_clients: false,
            service: Service::Sandbox,
            title: ChatTitle::new(title, Service::Sandbox).expect("a title"),
            created_by: None,
            description: None,
            operation_id: OperationId(self.environment.new_uuid()),
            at: self.environment.now(),
            idempotency: None,
            origin: None,
        }
    }

    /// The same request once more: with other ids of the service's making, and later.
    pub fn again(&self, chat: &NewChat) -> NewChat {
        let id = if chat.id_is_clients { chat.id } else { ChatId(self.environment.new_uuid()) };
        let operation_id = OperationId(self.environment.new_uuid());
        NewChat { id, operation_id, at: self.environment.now(), ..chat.clone() }
    }

    pub async fn try_register(&self, tenant: &TenantId, chat: NewChat) -> Result<Registration, StoreError> {
        let registration = self.store.register_chat(tenant, chat).await;
        if matches!(registration, Ok(Registration::New(_))) {
            self.made.fetch_add(1, Ordering::SeqCst);
        }
        registration
    }

    pub async fn register(&self, tenant: &TenantId, chat: NewChat) -> Registration {
        self.try_register(tenant, chat).await.expect("an answer")
    }

    pub async fn register_new(&self, tenant: &TenantId, chat: NewChat) -> AcceptedChat {
        match self.register(tenant, chat).await {
            Registration::New(accepted) => accepted,
            other => panic!("the chat is new, but {other:?}"),
        }
    }

    pub async fn document(&self, tenant: &TenantId, id: ChatId) -> ChatDocument {
        self.store.find_chat(tenant, id).await.expect("an answer").expect("the chat is there")
    }

    pub async fn chat(&self, tenant: &TenantId, id: ChatId) -> Chat {
        serde_json::from_str(&self.document(tenant, id).await.json).expect("the contract's JSON")
    }

    pub async fn operation(&self, tenant: &TenantId, id: OperationId) -> Operation {
        self.store.find_operation(tenant, id).await.expect("an answer").expect("the operation is there")
    }

    /// Claims up to `limit` operations of the sandbox that are due at `now`, for half a minute.
    pub async fn claim(&self, limit: u32, now: Timestamp) -> Vec<ClaimedOperation> {
        self.store.claim_operations(&claim(limit, now)).await.expect("an answer")
    }

    /// Claims the one operation that waits.
    pub async fn claim_only(&self) -> ClaimedOperation {
        self.claim_at(self.environment.now()).await
    }

    /// Claims the one operation that is due at `now`.
    pub async fn claim_at(&self, now: Timestamp) -> ClaimedOperation {
        let mut claimed = self.claim(10, now).await;
        assert_eq!(claimed.len(), 1, "one operation waits: {claimed:?}");
        claimed.remove(0)
    }

    pub async fn finish(&self, lease: &Lease, outcome: Outcome) -> bool {
        self.store.finish_attempt(lease, outcome, self.environment.now()).await.expect("an answer")
    }

    /// Claims everything that is due at `now` and ends each attempt as `end` says; returns how each ended, and when.
    pub async fn finish_all(
        &self,
        now: Timestamp,
        mut end: impl FnMut(&ClaimedOperation) -> End,
    ) -> Vec<(ChatId, End, Timestamp)> {
        let mut ended = Vec::new();
        loop {
            let claimed = self.claim(100, now).await;
            if claimed.is_empty() {
                return ended;
            }
            let finish = claimed.into_iter().map(|claimed| {
                let (store, end, at) = (self.store.clone(), end(&claimed), self.environment.now());
                let outcome = end.outcome(claimed.chat_id, at);
                async move {
                    assert!(store.finish_attempt(&claimed.lease, outcome, at).await.expect("an answer"));
                    (claimed.chat_id, end, at)
                }
            });
            ended.extend(at_once(finish).await);
        }
    }

    /// Registers a chat and makes its group; nothing else may wait to be done.
    pub async fn active_chat(&self, tenant: &TenantId, title: &str) -> ActiveChat {
        self.activate(tenant, self.new_chat(title)).await
    }

    pub async fn activate(&self, tenant: &TenantId, chat: NewChat) -> ActiveChat {
        let accepted = self.register_new(tenant, chat).await;
        let claimed = self.claim_only().await;
        let group = group_of(claimed.chat_id, self.environment.now());
        let (group_name, made) = (group.provider_chat_id.clone(), chat_made(group));
        assert!(self.finish(&claimed.lease, made).await);
        let owner = self.chat(tenant, accepted.chat_id).await.participants[0].id;
        let (id, operation) = (accepted.chat_id, accepted.operation_id);
        ActiveChat { tenant: tenant.clone(), id, group: group_name, owner, operation }
    }

    /// Takes in what the sandbox tells.
    pub async fn record(&self, events: &[ProviderEvent]) {
        let now = self.environment.now();
        self.store.record_events(Service::Sandbox, events, now).await.expect("events are recorded");
    }

    /// Lets somebody join by the link; returns who they are in the record.
    pub async fn join(&self, chat: &ActiveChat, name: &str, at: Timestamp) -> ParticipantId {
        self.record(&[joined(&chat.group, at, name)]).await;
        self.participant(chat, name).await
    }

    /// The id of the participant of this user name.
    pub async fn participant(&self, chat: &ActiveChat, name: &str) -> ParticipantId {
        let record = self.chat(&chat.tenant, chat.id).await;
        let found = record.participants.iter().find(|p| p.user_properties.username.as_deref() == Some(name));
        found.unwrap_or_else(|| panic!("{name} is in the record")).id
    }

    pub fn new_removal(&self, chat: ChatId, participant_id: ParticipantId) -> NewRemoval {
        NewRemoval {
            chat_id: chat,
            participant_id,
            operation_id: OperationId(self.environment.new_uuid()),
            at: self.environment.now(),
            idempotency: None,
            origin: None,
        }
    }

    pub async fn remove(&self, tenant: &TenantId, removal: &NewRemoval) -> Removal {
        self.store.request_removal(tenant, removal.clone()).await.expect("an answer")
    }

    /// Runs statements behind the store's back.
    pub async fn execute(&self, statements: &str) {
        match &*self.home {
            Home::Sqlite(_) => {
                connect_sqlite(&self.home.file()).batch_execute(statements).expect("statements for SQLite");
            }
            Home::Postgres(database) => {
                connect_postgres(database).await.batch_execute(statements).await.expect("statements for PostgreSQL");
            }
        }
    }

    /// What a query gives that selects one number as `number`.
    pub async fn number(&self, query: &str) -> i64 {
        match &*self.home {
            Home::Sqlite(_) => {
                #[derive(QueryableByName)]
                struct Row {
                    #[diesel(sql_type = BigInt)]
                    number: i64,
                }
                let row: Row = diesel::sql_query(query).get_result(&mut connect_sqlite(&self.home.file())).unwrap();
                row.number
            }
            Home::Postgres(database) => connect_postgres(database).await.query_one(query, &[]).await.unwrap().get(0),
        }
    }
}

fn connect_sqlite(file: &Path) -> diesel::SqliteConnection {
    let mut connection = diesel::SqliteConnection::establish(file.to_str().unwrap()).expect("the file opens");
    connection.batch_execute("pragma busy_timeout = 10000").unwrap();
    connection
}

async fn connect_postgres(database: &TestDatabase) -> tokio_postgres::Client {
    let connected = tokio_postgres::connect(database.url(), tokio_postgres::NoTls).await;
    let (client, connection) = connected.expect("the database answers");
    tokio::spawn(connection);
    client
}

pub fn tenant(name: &str) -> TenantId {
    name.parse().expect("a tenant's name")
}

pub fn created_by(text: &str) -> Option<CreatedBy> {
    CreatedBy::new(text).expect("who had it registered")
}

pub fn description(text: &str) -> Option<Description> {
    Description::new(text, Service::Sandbox).expect("a description")
}

/// A key, with a request that is told from others by a number.
pub fn key(key: &str, request: u8) -> IdempotencyKey {
    IdempotencyKey { key: key.to_owned(), route: "POST /chats".to_owned(), request_hash: [request; 32] }
}

/// An instant after everything that the clock gives by itself.
pub fn second(number: u64) -> Timestamp {
    TestEnvironment::START.plus(Duration::from_secs(3_600 + number))
}

pub fn claim(limit: u32, now: Timestamp) -> Claim {
    Claim {
        lanes: vec![Lane::of(Service::Sandbox)],
        owner: "worker".to_owned(),
        limit,
        now,
        lease_until: now.plus(Duration::from_secs(30)),
    }
}

pub fn group_of(chat: ChatId, made_at: Timestamp) -> CreatedGroup {
    let properties = UserProperties { firstname: Some("Convoke".to_owned()), ..UserProperties::default() };
    let owner = SeenPerson { external_id: "owner".to_owned(), properties };
    CreatedGroup { provider_chat_id: format!("group of {chat}"), owner, made_at }
}

pub fn chat_made(group: CreatedGroup) -> Outcome {
    let invitation = format!("/sandbox/{}", group.provider_chat_id);
    Outcome::ChatMade { group, invitation }
}

/// Why something is given up.
pub fn rejected() -> OperationError {
    OperationError { code: OperationErrorCode::ProviderRejected, detail: "the provider refused".to_owned() }
}

/// Somebody whose name tells who they are.
pub fn person(name: &str) -> SeenPerson {
    let properties = UserProperties { username: Some(name.to_owned()), ..UserProperties::default() };
    SeenPerson { external_id: format!("id of {name}"), properties }
}

/// An event whose key tells its instant and kind.
pub fn event(group: &str, at: Timestamp, kind: ProviderEventKind) -> ProviderEvent {
    let what = match &kind {
        ProviderEventKind::Joined { person, .. } => format!("joined {}", person.external_id),
        ProviderEventKind::Left { person } => format!("left {}", person.external_id),
        ProviderEventKind::Removed { person, .. } => format!("removed {}", person.external_id),
        ProviderEventKind::Seen { person } => format!("seen {}", person.external_id),
        ProviderEventKind::Renamed { title } => format!("renamed {title}"),
        ProviderEventKind::Closed => "closed".to_owned(),
    };
    ProviderEvent {
        provider_chat_id: group.to_owned(),
        key: format!("{at} {what}"),
        source: convoke_domain::EventSource::Log,
        at,
        kind,
    }
}

pub fn joined(group: &str, at: Timestamp, name: &str) -> ProviderEvent {
    event(group, at, ProviderEventKind::Joined { person: person(name), invited_by: None })
}

pub fn left(group: &str, at: Timestamp, name: &str) -> ProviderEvent {
    event(group, at, ProviderEventKind::Left { person: person(name) })
}

pub fn renamed(group: &str, at: Timestamp, title: &str) -> ProviderEvent {
    event(group, at, ProviderEventKind::Renamed { title: title.to_owned() })
}

pub fn closed(group: &str, at: Timestamp) -> ProviderEvent {
    event(group, at, ProviderEventKind::Closed)
}

/// Runs all of them at once, on tasks of their own.
pub async fn at_once<T: Send + 'static>(
    jobs: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let tasks: Vec<_> = jobs.into_iter().map(tokio::spawn).collect();
    let mut results = Vec::with_capacity(tasks.len());
    for task in tasks {
        results.push(task.await.expect("the task ends"));
    }
    results
}

/// What is waited for must come; this only keeps a test from waiting for ever.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), what).await.expect("what is waited for comes")
}

/// Chance that can be foretold.
pub struct Chance(TestEnvironment);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(TestEnvironment::seeded(seed))
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill_random(&mut bytes);
        u64::from_le_bytes(bytes) % bound
    }

    pub fn place(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("a place in memory")
    }

    pub fn one_of<'a, T>(&mut self, values: &'a [T]) -> &'a T {
        &values[self.place(values.len())]
    }

    pub fn once_in(&mut self, number: u64) -> bool {
        self.below(number) == 0
    }
}
