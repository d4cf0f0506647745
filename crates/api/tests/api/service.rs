//! A service on a port and a database of its own, with what a test asks of it.

use std::{sync::Arc, time::Duration};

use actix_web::{App, HttpResponse, HttpServer, dev::ServerHandle, middleware::from_fn, web};
use convoke_api::{ApiSettings, ApiState, Lifecycle};
use convoke_domain::{Environment, EventSource, OperationError, Scope, Service, TenantId, UserProperties};
use convoke_provider::{CreatedGroup, Lane, ProviderEvent, ProviderEventKind, SeenPerson};
use convoke_store::{Claim, Lease, Migrate, OpenOptions, Outcome, ReplicaOptions, Store};
use convoke_test_support::{TestDatabase, TestEnvironment, create_database};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

/// Which database a test runs on.
#[derive(Debug, Clone, Copy)]
pub enum Backend {
    Sqlite,
    Postgres,
}

/// A running service. Its worker is the test itself.
pub struct TestService {
    pub base: String,
    /// The admin listener.
    pub admin: String,
    pub store: Arc<dyn Store>,
    pub environment: TestEnvironment,
    pub lifecycle: Arc<Lifecycle>,
    /// A token of the tenant `acme` with every scope.
    pub token: String,
    client: reqwest::Client,
    servers: [ServerHandle; 2],
    _folder: tempfile::TempDir,
    _database: Option<TestDatabase>,
}

impl TestService {
    pub async fn start(backend: Backend) -> Self {
        Self::start_with(backend, ApiSettings::default()).await
    }

    pub async fn start_with(backend: Backend, settings: ApiSettings) -> Self {
        let database = match backend {
            Backend::Sqlite => None,
            Backend::Postgres => Some(create_database(None).await),
        };
        Self::start_on(database, settings).await
    }

    /// Starts it on this PostgreSQL database, or else on a SQLite one.
    pub async fn start_on(database: Option<TestDatabase>, settings: ApiSettings) -> Self {
        Self::start_in(database, settings, |environment| Arc::new(environment)).await
    }

    /// Starts it on a database that may have a replica.
    pub async fn start_beside(
        database: Option<TestDatabase>,
        replica: Option<ReplicaOptions>,
        settings: ApiSettings,
    ) -> Self {
        Self::start_with_all(database, replica, settings, |environment| Arc::new(environment)).await
    }

    /// Starts it where the API, but not the store, is in this environment.
    pub async fn start_in(
        database: Option<TestDatabase>,
        settings: ApiSettings,
        of_api: impl FnOnce(TestEnvironment) -> Arc<dyn Environment>,
    ) -> Self {
        Self::start_with_all(database, None, settings, of_api).await
    }

    async fn start_with_all(
        database: Option<TestDatabase>,
        replica: Option<ReplicaOptions>,
        settings: ApiSettings,
        of_api: impl FnOnce(TestEnvironment) -> Arc<dyn Environment>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = match &database {
            None => format!("sqlite://{}/convoke.db", folder.path().display()),
            Some(database) => database.url().to_owned(),
        };
        let environment = TestEnvironment::new();
        let options = OpenOptions { url: url.parse().unwrap(), migrate: Migrate::Auto, serve: false };
        let opened = convoke_store::open_with_replica(&options, replica.as_ref(), Arc::new(environment.clone()));
        let store = opened.await.unwrap();
        let lifecycle = Arc::new(Lifecycle::new());
        let state = Arc::new(ApiState::new(store.clone(), of_api(environment.clone()), settings, lifecycle.clone()));
        let of_admin = state.clone();
        let server = HttpServer::new(move || {
            App::new()
                .wrap(from_fn(convoke_api::frame))
                .service(web::resource("/sandbox/page").to(async || HttpResponse::Ok().body("a page")))
                .service(web::resource("/sandbox/panic").to(panics))
                .service(web::resource("/panic").to(panics))
                .configure(convoke_api::configure(state.clone()))
        })
        .workers(1)
        .disable_signals()
        .bind("127.0.0.1:0")
        .unwrap();
        let base = format!("http://{}", server.addrs()[0]);
        let admin = HttpServer::new(move || {
            App::new().wrap(from_fn(convoke_api::frame)).configure(convoke_api::configure_admin(of_admin.clone()))
        })
        .workers(1)
        .disable_signals()
        .bind("127.0.0.1:0")
        .unwrap();
        let admin_base = format!("http://{}", admin.addrs()[0]);
        let (running, admin) = (server.run(), admin.run());
        let servers = [running.handle(), admin.handle()];
        tokio::spawn(running);
        tokio::spawn(admin);
        let redirects = reqwest::redirect::Policy::none();
        let mut service = Self {
            base,
            admin: admin_base,
            store,
            environment,
            lifecycle,
            token: String::new(),
            // The server closes what is idle for 5 s: nothing is to be sent on a connection at that very moment.
            client: reqwest::Client::builder()
                .redirect(redirects)
                .pool_idle_timeout(Duration::from_secs(2))
                .build()
                .unwrap(),
            servers,
            _folder: folder,
            _database: database,
        };
        service.token = service.new_token("acme", &Scope::ALL).await;
        service
    }

    /// A new token of this tenant, for the subject `tester`.
    pub async fn new_token(&self, tenant: &str, scopes: &[Scope]) -> String {
        self.new_token_of(tenant, "tester", scopes).await
    }

    /// A new token of this tenant and subject.
    pub async fn new_token_of(&self, tenant: &str, subject: &str, scopes: &[Scope]) -> String {
        let tenant: TenantId = tenant.parse().unwrap();
        let (plain, token) = convoke_api::mint(&self.environment, tenant, subject.to_owned(), scopes.to_vec(), None);
        self.store.create_token(&token).await.unwrap();
        plain.expose().to_owned()
    }

    /// A request without a token.
    pub fn plain(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// A request with the token of `acme`.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.plain(method, path).bearer_auth(&self.token)
    }

    /// A question to the admin listener.
    pub async fn ask_admin(&self, path: &str) -> Answer {
        Answer::of(self.client.get(format!("{}{path}", self.admin))).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.request(Method::POST, path).json(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::DELETE, path)).await
    }

    /// Registers a chat and returns what was answered.
    pub async fn register(&self, title: &str) -> Value {
        let answer = self.post("/api/v1/private/chats", &json!({ "title": title })).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        answer.json()
    }

    /// Registers a chat and has its group made; returns its path.
    pub async fn active_chat(&self, title: &str) -> String {
        let id = self.register(title).await["id"].as_str().unwrap().to_owned();
        self.make_groups().await;
        format!("/api/v1/private/chats/{id}")
    }

    /// What a worker does for every chat that waits: makes a group named by its chat.
    pub async fn make_groups(&self) {
        for (lease, group) in self.claim().await {
            let invitation = format!("/sandbox/{}", group.provider_chat_id);
            let outcome = Outcome::ChatMade { group, invitation };
            assert!(self.store.finish_attempt(&lease, outcome, self.environment.now()).await.unwrap());
        }
    }

    /// What a worker does when the provider refuses.
    pub async fn give_up(&self, error: OperationError) {
        for (lease, _) in self.claim().await {
            let outcome = Outcome::GivenUp(error.clone());
            assert!(self.store.finish_attempt(&lease, outcome, self.environment.now()).await.unwrap());
        }
    }

    async fn claim(&self) -> Vec<(Lease, CreatedGroup)> {
        let now = self.environment.now();
        let lease_until = now.plus(Duration::from_secs(30));
        let claim = Claim {
            lanes: vec![Lane::of(Service::Sandbox), Lane::of(Service::Telegram)],
            owner: "test".to_owned(),
            limit: 100,
            now,
            lease_until,
        };
        let claimed = self.store.claim_operations(&claim).await.unwrap();
        let group = |chat_id: convoke_domain::ChatId| CreatedGroup {
            provider_chat_id: chat_id.to_string(),
            owner: person("owner"),
            made_at: now,
        };
        claimed.into_iter().map(|operation| (operation.lease, group(operation.chat_id))).collect()
    }

    /// Lets something happen in the group of the chat at this path.
    pub async fn happens(&self, path: &str, kind: ProviderEventKind) {
        let at = self.environment.now();
        let provider_chat_id = path.rsplit('/').next().unwrap().to_owned();
        let key = format!("{:020}", at.as_millis());
        let event = ProviderEvent { provider_chat_id, key, source: EventSource::Log, at, kind };
        self.store.record_events(Service::Sandbox, &[event], at).await.unwrap();
    }

    /// Lets somebody come in; returns their participant id.
    pub async fn joins(&self, path: &str, name: &str) -> String {
        self.happens(path, ProviderEventKind::Joined { person: person(name), invited_by: None }).await;
        let chat = self.get(path).await.json();
        let named = |participant: &&Value| participant["userProperties"]["username"] == name;
        let participant = chat["participants"].as_array().unwrap().iter().find(named).expect("joined");
        participant["id"].as_str().unwrap().to_owned()
    }
}

impl Drop for TestService {
    fn drop(&mut self) {
        for server in &self.servers {
            tokio::spawn(server.stop(false));
        }
    }
}

async fn panics() -> HttpResponse {
    panic!("on purpose")
}

/// Somebody of this name.
pub fn person(name: &str) -> SeenPerson {
    let properties = UserProperties { username: Some(name.to_owned()), ..UserProperties::default() };
    SeenPerson { external_id: name.to_owned(), properties }
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Answer {
    pub async fn of(request: RequestBuilder) -> Self {
        Self::from(request.send().await.unwrap()).await
    }

    async fn from(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap() }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts that this is a whole problem of this kind.
    #[track_caller]
    pub fn assert_problem(&self, status: u16, slug: &str) -> Value {
        assert_eq!((self.status, self.header("content-type")), (status, "application/problem+json"), "{}", self.text);
        let problem = self.json();
        assert_eq!(problem["code"], slug, "{}", self.text);
        assert_eq!(problem["type"], format!("/problems/{slug}"));
        assert_eq!(problem["status"], status);
        assert_eq!(problem["requestId"], self.header("x-request-id"));
        assert!(problem["title"].is_string() && problem["detail"].is_string() && problem["retryable"].is_boolean());
        assert!(problem["instance"].as_str().unwrap().starts_with('/'));
        problem
    }

    /// Asserts that exactly these mistakes are named: where, and what.
    #[track_caller]
    pub fn assert_mistakes(&self, expected: &[(&str, &str)]) {
        let problem = self.assert_problem(400, "invalid-request");
        let errors = problem["errors"].as_array().unwrap();
        let place = |error: &Value| {
            let places = ["pointer", "parameter", "header"];
            places.iter().find_map(|place| error[place].as_str().map(str::to_owned)).unwrap()
        };
        let mut named: Vec<_> = errors.iter().map(|e| (place(e), e["code"].as_str().unwrap().to_owned())).collect();
        named.sort();
        let mut expected: Vec<_> = expected.iter().map(|(p, c)| ((*p).to_owned(), (*c).to_owned())).collect();
        expected.sort();
        assert_eq!(named, expected, "{}", self.text);
    }
}
