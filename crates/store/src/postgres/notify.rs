//! Between processes: what changed here is told to the others by NOTIFY, and what they tell wakes whoever waits here.
//! A hint only. Nothing depends on it, for whoever waits looks at the database now and then anyway.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use convoke_domain::ChatId;
use futures_util::{StreamExt, stream::poll_fn};
use tokio::{runtime::Handle, sync::mpsc, time::sleep};
use tokio_postgres::{AsyncMessage, Notification};

use super::{
    connect::{Connector, Life},
    settings::with_causes,
};
use crate::{Changes, StoreError};

const OPERATIONS: &str = "convoke_operations";
const CHATS: &str = "convoke_chats";
const SANDBOX: &str = "convoke_sandbox";

/// How many words wait to be told; more are dropped.
const WAITING: usize = 4096;
/// How many are told at once.
const AT_ONCE: usize = 256;
const SHORTEST_BREAK: Duration = Duration::from_millis(250);
const LONGEST_BREAK: Duration = Duration::from_secs(10);

/// Something that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Word {
    Operations,
    Sandbox,
    Chat(ChatId),
}

impl Word {
    fn channel_and_payload(self) -> (&'static str, String) {
        match self {
            Self::Operations => (OPERATIONS, String::new()),
            Self::Sandbox => (SANDBOX, String::new()),
            Self::Chat(id) => (CHATS, id.to_string()),
        }
    }

    fn of(notification: &Notification) -> Option<Self> {
        match notification.channel() {
            OPERATIONS => Some(Self::Operations),
            SANDBOX => Some(Self::Sandbox),
            CHATS => notification.payload().parse().ok().map(Self::Chat),
            _ => None,
        }
    }

    fn wake(self, changes: &Changes) {
        match self {
            Self::Operations => changes.operations.notify_one(),
            Self::Sandbox => changes.sandbox_events.notify_one(),
            Self::Chat(id) => changes.chat_changed(id),
        }
    }
}

/// Tells what changed, here at once, and elsewhere soon.
pub struct Herald {
    changes: Arc<Changes>,
    words: mpsc::Sender<Word>,
}

impl Herald {
    /// Starts telling and listening on `runtime`; it ends with the herald.
    pub fn start(connector: Arc<Connector>, changes: Arc<Changes>, runtime: &Handle) -> Self {
        let (words, waiting) = mpsc::channel(WAITING);
        runtime.spawn(keep_listening(connector, changes.clone(), waiting));
        Self { changes, words }
    }

    pub const fn changes(&self) -> &Arc<Changes> {
        &self.changes
    }

    /// There may be operations to be claimed.
    pub fn operations(&self) {
        self.tell(Word::Operations);
    }

    /// The sandbox kept events.
    pub fn sandbox_events(&self) {
        self.tell(Word::Sandbox);
    }

    /// The record of a chat changed.
    pub fn chat(&self, id: ChatId) {
        self.tell(Word::Chat(id));
    }

    fn tell(&self, word: Word) {
        word.wake(&self.changes);
        // Too many to be told, or nobody to tell them: the others will look.
        let _ = self.words.try_send(word);
    }
}

async fn keep_listening(connector: Arc<Connector>, changes: Arc<Changes>, mut words: mpsc::Receiver<Word>) {
    let mut pause = SHORTEST_BREAK;
    loop {
        match listen(&connector, &changes, &mut words, &mut pause).await {
            Ok(()) => return,
            Err(error) => tracing::debug!(%error, "changes are not told between processes for now"),
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_BREAK);
    }
}

/// Tells and listens until the connection is lost, or until there is nobody left to tell anything.
async fn listen(
    connector: &Connector,
    changes: &Changes,
    words: &mut mpsc::Receiver<Word>,
    pause: &mut Duration,
) -> Result<(), StoreError> {
    let lost = |error: tokio_postgres::Error| StoreError::Unavailable(with_causes(&error));
    let (client, mut connection) = connector.establish().await?;
    let (heard, mut to_hear) = mpsc::unbounded_channel();
    let _life = Life::drive(async move {
        let mut messages = poll_fn(move |context| connection.poll_message(context));
        while let Some(Ok(message)) = messages.next().await {
            if let AsyncMessage::Notification(notification) = message {
                let _ = heard.send(notification);
            }
        }
    });
    client.batch_execute(&format!("listen {OPERATIONS}; listen {CHATS}; listen {SANDBOX}")).await.map_err(lost)?;
    let own: i32 = client.query_one("select pg_backend_pid()", &[]).await.map_err(lost)?.get(0);
    let tell = "select pg_notify(channel, payload) from unnest($1::text[], $2::text[]) as word (channel, payload)";
    let tell = client.prepare(tell).await.map_err(lost)?;
    *pause = SHORTEST_BREAK;
    // What was told while nobody listened.
    changes.operations.notify_one();
    changes.sandbox_events.notify_one();
    loop {
        tokio::select! {
            notification = to_hear.recv() => {
                let Some(notification) = notification else {
                    return Err(StoreError::Unavailable("the listener's connection is lost".to_owned()));
                };
                // What we told ourselves is known here.
                if notification.process_id() != own && let Some(word) = Word::of(&notification) {
                    word.wake(changes);
                }
            }
            word = words.recv() => {
                let Some(word) = word else { return Ok(()) };
                // Together: a notification in every transaction would cost most of their rate.
                let mut together = BTreeSet::from([word]);
                while together.len() < AT_ONCE && let Ok(word) = words.try_recv() {
                    together.insert(word);
                }
                let (channels, payloads): (Vec<&str>, Vec<String>) =
                    together.into_iter().map(Word::channel_and_payload).unzip();
                client.execute(&tell, &[&channels, &payloads]).await.map_err(lost)?;
            }
        }
    }
}
