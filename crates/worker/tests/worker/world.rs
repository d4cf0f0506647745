//! A database of its own for each test, with what a test asks of it.

use std::{sync::Arc, time::Duration};

use convoke_domain::{
    Chat, ChatId, ChatStatus, ChatTitle, Environment, Operation, OperationId, OperationStatus, ParticipantId, Service,
    TenantId,
};
use convoke_provider::Provider;
use convoke_store::{Migrate, NewChat, NewRemoval, OpenOptions, Registration, Removal, Store};
use convoke_test_support::{TestDatabase, TestEnvironment, create_database};
use convoke_worker::{Worker, WorkerSettings};
use tokio_util::sync::CancellationToken;

/// Which database a test runs on.
#[derive(Debug, Clone, Copy)]
pub enum Backend {
    Sqlite,
    Postgres,
}

pub struct World {
    pub store: Arc<dyn Store>,
    pub environment: TestEnvironment,
    pub tenant: TenantId,
    _folder: tempfile::TempDir,
    /// That of PostgreSQL.
    pub database: Option<TestDatabase>,
}

/// A worker's process, of sorts: a runtime of its own, which goes with everything in it when the worker crashes.
pub struct Running {
    stop: CancellationToken,
    process: tokio::runtime::Runtime,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    /// Stops it in order.
    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
        self.process.shutdown_background();
    }

    /// Ends it wherever it is.
    pub fn crash(self) {
        self.process.shutdown_background();
    }
}

impl World {
    pub async fn new(backend: Backend) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = match backend {
            Backend::Sqlite => None,
            Backend::Postgres => Some(create_database(None).await),
        };
        let url = match &database {
            None => format!("sqlite://{}/convoke.db", folder.path().display()),
            Some(database) => database.url().to_owned(),
        };
        let environment = TestEnvironment::real_time();
        let options = OpenOptions { url: url.parse().unwrap(), migrate: Migrate::Auto, serve: false };
        let store = convoke_store::open(&options, Arc::new(environment.clone())).await.unwrap();
        Self { store, environment, tenant: "acme".parse().unwrap(), _folder: folder, database }
    }

    pub fn environment(&self) -> Arc<dyn Environment> {
        Arc::new(self.environment.clone())
    }

    /// Lets a worker run that notices everything quickly.
    pub fn run(&self, provider: Arc<dyn Provider>) -> Running {
        self.run_with(provider, WorkerSettings::default())
    }

    pub fn run_with(&self, provider: Arc<dyn Provider>, settings: WorkerSettings) -> Running {
        let settings = WorkerSettings {
            heartbeat: Duration::from_millis(50),
            sweep: Duration::from_millis(50),
            poll: Duration::from_millis(10),
            grace: Duration::from_millis(100),
            ..settings
        };
        let worker = Worker::new(Arc::clone(&self.store), vec![provider], self.environment(), settings);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let process = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let task = process.spawn(async move { worker.run(stopped).await });
        Running { stop, process, task }
    }

    pub async fn register(&self, title: &str) -> (ChatId, OperationId) {
        let chat = NewChat {
            id: ChatId(self.environment.new_uuid()),
            id_is_clients: false,
            service: Service::Sandbox,
            title: ChatTitle::new(title, Service::Sandbox).unwrap(),
            created_by: None,
            description: None,
            operation_id: OperationId(self.environment.new_uuid()),
            at: self.environment.now(),
            idempotency: None,
            origin: None,
        };
        let ids = (chat.id, chat.operation_id);
        assert!(matches!(self.store.register_chat(&self.tenant, chat).await.unwrap(), Registration::New(_)));
        ids
    }

    pub async fn remove(&self, chat_id: ChatId, participant_id: ParticipantId) -> OperationId {
        let operation_id = OperationId(self.environment.new_uuid());
        let at = self.environment.now();
        let removal = NewRemoval { chat_id, participant_id, operation_id, at, idempotency: None, origin: None };
        match self.store.request_removal(&self.tenant, removal).await.unwrap() {
            Removal::Accepted(operation) => operation,
            other => panic!("the removal was not accepted: {other:?}"),
        }
    }

    pub async fn operation(&self, id: OperationId) -> Operation {
        self.store.find_operation(&self.tenant, id).await.unwrap().unwrap()
    }

    pub async fn chat(&self, id: ChatId) -> Chat {
        let document = self.store.find_chat(&self.tenant, id).await.unwrap().unwrap();
        serde_json::from_str(&document.json).unwrap()
    }

    /// Waits until the operation has come to its end.
    pub async fn ended(&self, id: OperationId) -> Operation {
        self.until(id, |status| matches!(status, OperationStatus::Succeeded | OperationStatus::Failed)).await
    }

    /// Waits until the operation's status is as wanted.
    pub async fn until(&self, id: OperationId, wanted: impl Fn(OperationStatus) -> bool) -> Operation {
        for _ in 0..3_000 {
            let operation = self.operation(id).await;
            if wanted(operation.status) {
                return operation;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the operation did not come there: {:?}", self.operation(id).await);
    }

    /// Waits until the chat's record is as wanted.
    pub async fn chat_until(&self, id: ChatId, wanted: impl Fn(&Chat) -> bool) -> Chat {
        for _ in 0..3_000 {
            let chat = self.chat(id).await;
            if wanted(&chat) {
                return chat;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the record did not come there: {:?}", self.chat(id).await);
    }

    /// Everything that is derived agrees with the events, and the chat is in the state wanted.
    pub async fn is_consistent(&self, chat: ChatId, status: ChatStatus) {
        assert_eq!(self.chat(chat).await.status, status);
        assert_eq!(self.store.examine().await.unwrap().findings, []);
    }
}
