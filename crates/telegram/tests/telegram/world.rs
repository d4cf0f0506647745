//! A Telegram on loopback, a database, and the connector between them.

use std::{sync::Arc, time::Duration};

use convoke_domain::{ChatId, ChatTitle, Description, Environment, OperationId, Service};
use convoke_provider::{Account, AccountId, AccountStorage, CreateChat, NewAccount, Provider};
use convoke_store::{Migrate, NewChat, OpenOptions, Store};
use convoke_telegram::{SecretsKey, Telegram, TelegramSettings};
use convoke_telegram_test_server::{GroupId, TestServer, UserId};
use convoke_test_support::TestEnvironment;
use data_encoding::BASE64;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// The name of the account that every world has.
pub const ACCOUNT: &str = "first";

/// A Telegram in which one user is an account of the service.
pub struct World {
    pub telegram: TestServer,
    pub owner: UserId,
    pub session: String,
    pub account: AccountId,
    pub store: Arc<dyn Store>,
    pub environment: TestEnvironment,
    _folder: TempDir,
}

/// The connector, running.
pub struct Running {
    pub telegram: Arc<Telegram>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    /// Stops it in order.
    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

pub fn key() -> SecretsKey {
    BASE64.encode(&[7; 32]).parse().unwrap()
}

/// Settings that notice everything quickly.
pub fn settings() -> TelegramSettings {
    TelegramSettings {
        young_log_interval: Duration::from_millis(100),
        log_interval: Duration::from_millis(300),
        missing_time: Duration::from_millis(200),
        call_timeout: Duration::from_secs(3),
        accounts_interval: Duration::from_millis(30),
        ..TelegramSettings::new(1, "hash".to_owned().into(), "one".to_owned())
    }
}

impl World {
    pub async fn new() -> Self {
        let telegram = TestServer::start();
        let owner = telegram.new_user("Convoke", "", "convoke");
        let session = telegram.session(owner);
        let environment = TestEnvironment::real_time();
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/convoke.db", folder.path().display());
        let options = OpenOptions { url: url.parse().unwrap(), migrate: Migrate::Auto, serve: false };
        let store = convoke_store::open(&options, Arc::new(environment.clone())).await.unwrap();
        let account = save(&*store, &environment, ACCOUNT, &session).await;
        Self { telegram, owner, session, account, store, environment, _folder: folder }
    }

    /// Keeps an account with this session, as a login does.
    pub async fn save_account(&self, name: &str, session: &str) -> AccountId {
        save(&*self.store, &self.environment, name, session).await
    }

    pub async fn account(&self, name: &str) -> Account {
        let accounts = self.store.list_accounts(Service::Telegram).await.unwrap();
        accounts.into_iter().find(|account| account.name == name).expect("the account is kept")
    }

    /// Starts the connector, without waiting for anything.
    pub fn begin(&self, settings: TelegramSettings) -> Running {
        let environment = Arc::new(self.environment.clone());
        let telegram = Telegram::new(self.store.clone(), environment, settings, Some(key()));
        let stop = CancellationToken::new();
        let task = tokio::spawn({
            let (telegram, stop) = (telegram.clone(), stop.clone());
            async move { telegram.run(stop).await }
        });
        Running { telegram, stop, task }
    }

    /// Starts the connector, and waits until its account is connected.
    pub async fn start(&self) -> Running {
        self.start_with(settings()).await
    }

    pub async fn start_with(&self, settings: TelegramSettings) -> Running {
        let running = self.begin(settings);
        // Not `until`, whose future is not known to be one that may go from thread to thread.
        let connecting = async {
            while !running.telegram.connected().contains(&self.account) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, connecting).await.expect("the account is connected");
        running
    }

    /// Registers a chat, whose description is its own.
    pub async fn register(&self, title: &str) -> CreateChat {
        let tenant = "acme".parse().unwrap();
        let chat_id = ChatId(self.environment.new_uuid());
        let description = format!("Of {chat_id}");
        let chat = NewChat {
            id: chat_id,
            id_is_clients: false,
            service: Service::Telegram,
            title: ChatTitle::new(title, Service::Telegram).unwrap(),
            created_by: None,
            description: Description::new(&description, Service::Telegram).unwrap(),
            operation_id: OperationId(self.environment.new_uuid()),
            at: self.environment.now(),
            idempotency: None,
            origin: None,
        };
        self.store.register_chat(&tenant, chat).await.unwrap();
        CreateChat { tenant, chat_id, title: title.to_owned(), description: Some(description) }
    }

    /// Makes a group with somebody in it.
    pub async fn make_with(&self, telegram: &Telegram, who: UserId) -> GroupId {
        let made = telegram.create_chat(&self.register("One").await).await.unwrap();
        let link = telegram.invitation(&made.provider_chat_id).await.unwrap();
        self.telegram.join(who, &link).unwrap();
        group_id(&made.provider_chat_id)
    }

    /// How many groups there are that were made for the chat.
    pub fn groups_of(&self, chat: &CreateChat) -> usize {
        let description = chat.description.as_deref().unwrap();
        self.telegram.groups().iter().filter(|group| group.about.starts_with(description)).count()
    }
}

async fn save(store: &dyn AccountStorage, environment: &TestEnvironment, name: &str, session: &str) -> AccountId {
    let secret = key().seal(Service::Telegram, name, session.as_bytes(), environment);
    let account =
        NewAccount { service: Service::Telegram, name: name.to_owned(), tenants: Vec::new(), secret: Some(secret) };
    store.save_account(account).await.unwrap()
}

pub fn group_id(provider_chat_id: &str) -> GroupId {
    GroupId(provider_chat_id.parse().unwrap())
}

pub fn user_id(external_id: &str) -> UserId {
    UserId(external_id.parse().unwrap())
}

/// Waits for what must come.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("it never was so that {what}"));
}
