//! What the tests stand on: the real storage, and a server that shows the pages.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use actix_web::{App, HttpServer};
use async_trait::async_trait;
use convoke_domain::{
    ChatId, ChatStatus, ChatTitle, Description, Environment, OperationId, ParticipantId, Service, TenantId,
};
use convoke_provider::{
    CreateChat, NewSandboxGroup, Provider, ProviderEvent, SandboxGroup, SandboxStorage, StorageError,
};
use convoke_sandbox::{Sandbox, SandboxPages, SandboxSettings};
use convoke_store::{Migrate, NewChat, OpenOptions, Store};
use convoke_test_support::TestEnvironment;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, redirect::Policy};
use tempfile::TempDir;

/// Where the pages say they are reached from outside; the tests reach them by another name.
pub const PUBLIC_URL: &str = "https://chat.example.com";

/// The real storage on SQLite, which can be asked more than the sandbox asks, and taken away.
pub struct Storage {
    store: Arc<dyn Store>,
    /// Holds the database for as long as anybody uses it.
    folder: Arc<TempDir>,
    groups: Mutex<Vec<(ChatId, String)>>,
    statuses: Mutex<HashMap<String, ChatStatus>>,
    is_down: AtomicBool,
}

impl Storage {
    async fn open(folder: Arc<TempDir>, environment: &TestEnvironment) -> Self {
        let url = format!("sqlite://{}", folder.path().join("convoke.db").display()).parse().unwrap();
        let options = OpenOptions { url, migrate: Migrate::Auto, serve: false };
        let store = convoke_store::open(&options, Arc::new(environment.clone())).await.unwrap();
        let (groups, statuses, is_down) = (Mutex::default(), Mutex::default(), AtomicBool::new(false));
        Self { store, folder, groups, statuses, is_down }
    }

    /// Has every call fail from now on, or no longer.
    pub fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
    }

    /// How many groups were made for a chat.
    pub fn groups_of(&self, chat: ChatId) -> usize {
        self.groups.lock().unwrap().iter().filter(|(of, _)| *of == chat).count()
    }

    /// Has the chat of a group stand elsewhere in the record.
    pub fn set_status(&self, code: &str, status: ChatStatus) {
        self.statuses.lock().unwrap().insert(code.to_owned(), status);
    }

    /// Replaces the state of a group by something else.
    pub async fn spoil(&self, code: &str) {
        assert!(self.store.save_group(code, 0, "{}".to_owned(), Vec::new()).await.unwrap());
    }

    /// Everything that happened, oldest first.
    pub async fn events(&self) -> Vec<ProviderEvent> {
        let events = self.store.pending_events(10_000).await.unwrap();
        events.iter().map(|(_, text)| serde_json::from_str(text).unwrap()).collect()
    }

    fn up(&self) -> Result<&dyn Store, StorageError> {
        if self.is_down.load(Ordering::SeqCst) {
            return Err(StorageError("SELECT failed: secret-host".into()));
        }
        Ok(&*self.store)
    }
}

#[async_trait]
impl SandboxStorage for Storage {
    async fn insert_group(&self, group: NewSandboxGroup) -> Result<(), StorageError> {
        let made = (group.chat_id, group.code.clone());
        self.up()?.insert_group(group).await?;
        self.groups.lock().unwrap().push(made);
        Ok(())
    }

    async fn find_group(&self, code: &str) -> Result<Option<SandboxGroup>, StorageError> {
        let mut group = self.up()?.find_group(code).await?;
        if let (Some(group), Some(status)) = (&mut group, self.statuses.lock().unwrap().get(code)) {
            group.chat_status = *status;
        }
        Ok(group)
    }

    async fn find_group_of(&self, tenant: &TenantId, chat: ChatId) -> Result<Option<SandboxGroup>, StorageError> {
        self.up()?.find_group_of(tenant, chat).await
    }

    async fn save_group(
        &self,
        code: &str,
        version: i64,
        state: String,
        events: Vec<String>,
    ) -> Result<bool, StorageError> {
        self.up()?.save_group(code, version, state, events).await
    }

    async fn pending_events(&self, limit: u32) -> Result<Vec<(String, String)>, StorageError> {
        self.up()?.pending_events(limit).await
    }

    async fn delete_events(&self, names: Vec<String>) -> Result<(), StorageError> {
        self.up()?.delete_events(names).await
    }

    async fn events_kept(&self) {
        self.store.events_kept().await;
    }

    async fn participant_id(&self, tenant: &TenantId, external_id: &str) -> Result<ParticipantId, StorageError> {
        self.up()?.participant_id(tenant, external_id).await
    }
}

/// A sandbox over a storage of its own.
pub struct World {
    pub storage: Arc<Storage>,
    pub environment: TestEnvironment,
    pub sandbox: Arc<Sandbox>,
}

impl World {
    pub async fn new() -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Self::over(folder, TestEnvironment::new()).await
    }

    /// One more sandbox over the same database, as in another process.
    pub async fn another(&self) -> Self {
        Self::over(self.storage.folder.clone(), self.environment.clone()).await
    }

    async fn over(folder: Arc<TempDir>, environment: TestEnvironment) -> Self {
        let storage = Arc::new(Storage::open(folder, &environment).await);
        let settings = SandboxSettings::default();
        let sandbox = Arc::new(Sandbox::new(storage.clone(), Arc::new(environment.clone()), settings));
        Self { storage, environment, sandbox }
    }

    /// Registers a chat, whose group is to be made.
    pub async fn register(&self, title: &str) -> CreateChat {
        let tenant = "acme".parse().unwrap();
        let chat = NewChat {
            id: ChatId(self.environment.new_uuid()),
            id_is_clients: false,
            service: Service::Sandbox,
            title: ChatTitle::new(title, Service::Sandbox).unwrap(),
            created_by: None,
            description: Description::new("About\nnothing", Service::Sandbox).unwrap(),
            operation_id: OperationId(self.environment.new_uuid()),
            at: self.environment.now(),
            idempotency: None,
            origin: None,
        };
        self.storage.store.register_chat(&tenant, chat.clone()).await.unwrap();
        let description = chat.description.map(|description| description.to_string());
        CreateChat { tenant, chat_id: chat.id, title: title.to_owned(), description }
    }

    /// Registers a chat and makes its group; returns the group's code.
    pub async fn make(&self, title: &str) -> String {
        let request = self.register(title).await;
        self.sandbox.create_chat(&request).await.unwrap().provider_chat_id
    }
}

/// A world whose pages are served, with a chat in it.
pub struct Site {
    pub world: World,
    pub code: String,
    /// The page of the chat.
    pub link: String,
    pub client: Client,
}

impl Site {
    /// Serves a new chat of this title.
    pub async fn with_chat(title: &str) -> Self {
        let world = World::new().await;
        let code = world.make(title).await;
        let origin = serve(&world.sandbox);
        let client = Client::builder().redirect(Policy::none()).no_proxy().build().unwrap();
        Self { link: format!("{origin}/sandbox/{code}"), world, code, client }
    }

    /// The service that serves it, without any path.
    pub fn origin(&self) -> &str {
        self.link.strip_suffix(&format!("/sandbox/{}", self.code)).unwrap()
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.origin()))
    }

    /// The page as it is now.
    pub async fn page(&self) -> String {
        let response = self.client.get(&self.link).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        response.text().await.unwrap()
    }

    /// A form about to be posted.
    pub fn form(&self, verb: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        self.client.post(format!("{}/{verb}", self.link)).form(fields)
    }

    pub async fn post(&self, verb: &str, fields: &[(&str, &str)]) -> Response {
        self.form(verb, fields).send().await.unwrap()
    }

    /// Posts a form that is taken.
    pub async fn post_ok(&self, verb: &str, fields: &[(&str, &str)]) {
        let response = self.post(verb, fields).await;
        assert_eq!(response.status(), StatusCode::SEE_OTHER, "{verb} {fields:?}");
        assert_eq!(response.headers()["location"], format!("/sandbox/{}", self.code), "back to the page");
    }

    /// Lets somebody join, and returns the id by which they are known then.
    pub async fn join(&self, username: &str) -> String {
        self.post_ok("join", &[("username", username)]).await;
        self.id_of(username).await
    }

    pub async fn id_of(&self, username: &str) -> String {
        self.world.storage.participant_id(&"acme".parse().unwrap(), username).await.unwrap().to_string()
    }

    /// The names of those who are in and of those who were, as they are kept.
    pub async fn people(&self) -> (Vec<String>, Vec<String>) {
        let group = self.world.sandbox.find_group(&self.code).await.unwrap().unwrap();
        let (people_in, people_out): (Vec<_>, Vec<_>) = group.state.members.into_iter().partition(|m| m.is_in);
        let names = |members: Vec<convoke_sandbox::Member>| members.into_iter().map(|m| m.username).collect();
        (names(people_in), names(people_out))
    }
}

/// Serves the pages of a sandbox, and returns where.
pub fn serve(sandbox: &Arc<Sandbox>) -> String {
    let pages = SandboxPages::new(sandbox.clone(), PUBLIC_URL);
    let server = HttpServer::new(move || App::new().configure(|config| pages.configure(config)))
        .workers(2)
        .disable_signals()
        .bind(("127.0.0.1", 0))
        .unwrap();
    let origin = format!("http://{}", server.addrs()[0]);
    tokio::spawn(server.run());
    origin
}
