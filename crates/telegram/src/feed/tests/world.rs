//! A Telegram on loopback, an account of the service in it, and people who act.

use std::{sync::Arc, time::Duration};

use convoke_domain::{Chat, Environment, ParticipantId, Participation, Timestamp};
use convoke_provider::{Account, AccountState, AccountStorage};
use convoke_telegram_test_server::{Fault, GroupId, TestServer, UserId};
use convoke_test_support::TestEnvironment;
use grammers_client::tl;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::memory::{ACCOUNT, Memory, id};
use crate::{TelegramSettings, connection::Connection, context::Context, feed::Feed, group_state::GroupState};

/// How an admin log is read.
pub const LOG: &str = "channels.getAdminLog";

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A Telegram with an account of the service.
pub struct World {
    pub telegram: TestServer,
    pub owner: UserId,
    pub ada: UserId,
    pub ben: UserId,
    pub memory: Arc<Memory>,
    pub environment: TestEnvironment,
    pub settings: TelegramSettings,
    session: String,
}

/// The service, running.
pub struct Service {
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
}

impl World {
    /// A world in which logs are read often and lists of members never.
    pub fn new() -> Self {
        let telegram = TestServer::start();
        let owner = telegram.new_user("Convoke", "", "convoke");
        let (ada, ben) = (telegram.new_user("Ada", "Lovelace", "ada"), telegram.new_user("Ben", "", "ben"));
        let settings = TelegramSettings {
            young_log_interval: Duration::from_millis(100),
            log_interval: Duration::from_millis(300),
            missing_time: Duration::from_millis(200),
            call_timeout: Duration::from_secs(2),
            ..TelegramSettings::new(1, "hash".to_owned().into(), "test".to_owned())
        };
        Self {
            session: telegram.session(owner),
            telegram,
            owner,
            ada,
            ben,
            memory: Arc::default(),
            environment: TestEnvironment::real_time(),
            settings,
        }
    }

    /// A world in which the stream alone tells what happens.
    pub fn without_logs() -> Self {
        let world = Self::new();
        world.forget_logs();
        world
    }

    /// From now on Telegram knows nothing of admin logs.
    pub fn forget_logs(&self) {
        self.telegram.script(LOG, u32::MAX, Fault::refuse(400, "METHOD_INVALID"));
    }

    /// Lets the time go by, here and there.
    pub fn pass(&self, time: Duration) {
        self.telegram.advance(time);
        self.environment.advance(time);
    }

    /// Starts the service without anybody who records; whoever held the account before has lost it.
    pub async fn start_telling(&self) -> Service {
        let context = Context {
            storage: self.memory.clone(),
            environment: Arc::new(self.environment.clone()),
            settings: self.settings.clone(),
            secrets_key: None,
        };
        let account = Account {
            id: ACCOUNT,
            name: "main".to_owned(),
            tenants: Vec::new(),
            secret: None,
            state: AccountState::default(),
            held: None,
            feed: None,
            fed_at: None,
            groups: 0,
        };
        let brought = self.session.parse().expect("a session");
        let (lease, leave) = (self.memory.lease(), CancellationToken::new());
        let connection = Connection::open(Arc::new(context), &account, lease, &brought, &leave).await;
        let connection = connection.expect("Telegram is there");
        let feed = Arc::new(Feed::new());
        let mut tasks = JoinSet::new();
        tasks.spawn({
            let (feed, connection) = (feed.clone(), connection.clone());
            async move { feed.run(connection).await }
        });
        Service { connection, feed, tasks }
    }

    /// Starts the service.
    pub async fn start(&self) -> Service {
        let mut service = self.start_telling().await;
        let (feed, memory) = (service.feed.clone(), self.memory.clone());
        service.tasks.spawn(async move {
            loop {
                let batch = feed.next().await;
                memory.record(&batch.events);
                feed.acknowledge(&batch.checkpoint).await.expect("memory answers");
            }
        });
        service
    }

    /// Has the service make a group.
    pub async fn make(&self, service: &Service) -> Group {
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
        let updates = service.connection.invoke(&request).await.expect("a group is made");
        let tl::enums::Updates::Updates(updates) = updates else { panic!("no group in {updates:?}") };
        let Some(tl::enums::Chat::Channel(channel)) = updates.chats.first() else { panic!("no group in {updates:?}") };
        let made_at = Timestamp::from_millis(i64::from(channel.date) * 1000);
        let state = GroupState::new(channel.access_hash.expect("we are in"), made_at);
        let name = channel.id.to_string();
        self.memory.add_group(&name, self.owner.0, made_at, state.to_text());
        let id = GroupId(channel.id);
        Group { id, name, link: self.telegram.link(id, self.owner).expect("there is a link") }
    }

    /// Waits until the record of the group is like this.
    pub async fn until(&self, group: &Group, what: &str, is_it: impl Fn(&Chat) -> bool) -> Chat {
        self.wait_for(
            what,
            || Some(self.memory.chat(&group.name)).filter(|chat| is_it(chat)),
            || format!("{:#?}\n{:#?}", self.memory.chat(&group.name), self.memory.events(&group.name)),
        )
        .await
    }

    /// Waits until there is something.
    pub async fn wait_for<T>(&self, what: &str, find: impl Fn() -> Option<T>, show: impl Fn() -> String) -> T {
        let looking = async {
            loop {
                if let Some(found) = find() {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("{what} did not come: {}", show()))
    }

    /// Waits until the admin log of every group was read once more, and what it told is recorded.
    pub async fn until_logs_are_read(&self, group: &Group) {
        let read_at = |text: &str| GroupState::from_text(text).expect("a state").log_read_at;
        let now = self.environment.now();
        // What is read without news is kept with the heartbeat only, so this counts calls.
        let before = self.telegram.calls_of(LOG);
        self.wait_for(
            "two readings of the log",
            || (self.telegram.calls_of(LOG) >= before + 2).then_some(()),
            || format!("since {now}, last at {:?}", read_at(&self.memory.state(&group.name))),
        )
        .await;
    }
}

impl Service {
    /// Ends it, at once, as a crash would.
    pub async fn crash(mut self) {
        self.tasks.shutdown().await;
        self.connection.close().await;
    }
}

/// The stays of somebody.
pub fn stays(chat: &Chat, who: UserId) -> Vec<Participation> {
    let person = participant(who);
    chat.participants.iter().find(|one| one.id == person).map(|one| one.participations.clone()).unwrap_or_default()
}

/// Whether somebody is in.
pub fn is_in(chat: &Chat, who: UserId) -> bool {
    stays(chat, who).last().is_some_and(|stay| stay.is_active)
}

/// The id of somebody in the record.
pub fn participant(who: UserId) -> ParticipantId {
    id(&who.0.to_string())
}

/// What is asked for of whoever keeps accounts.
pub async fn feed_text(memory: &Memory) -> Option<String> {
    let accounts = memory.list_accounts(convoke_domain::Service::Telegram).await.expect("memory answers");
    accounts.into_iter().next().and_then(|account| account.feed)
}
