//! People who come, go and rename through the sandbox's pages, and remember what was answered 303.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use convoke_test_support::Chance;
use serde_json::Value;
use tokio::{task::JoinHandle, time::sleep};

use crate::{
    Failure,
    api::{Api, ask},
    setting::Setting,
    writers::Writers,
};

/// How long what happened in a group may take until the record tells it: the longest lease of whoever was killed while
/// it took it in, and some more.
const PATIENCE: Duration = Duration::from_mins(1);
/// How many chats are looked at in the end.
const LOOKED_AT: usize = 300;

/// What was done for certain.
#[derive(Debug, Clone)]
enum Deed {
    Joined { chat: String, username: String },
    Left { chat: String, participant: String },
    Renamed { chat: String, title: String },
}

impl Deed {
    fn chat(&self) -> &str {
        let (Self::Joined { chat, .. } | Self::Left { chat, .. } | Self::Renamed { chat, .. }) = self;
        chat
    }

    fn is_in(&self, record: &Value) -> bool {
        let participants = || record["participants"].as_array().into_iter().flatten();
        match self {
            Self::Joined { username, .. } => participants().any(|one| one["userProperties"]["username"] == **username),
            Self::Left { participant, .. } => participants()
                .filter(|one| one["id"] == **participant)
                .flat_map(|one| one["participations"].as_array().into_iter().flatten())
                .any(|stay| stay["endReason"] == "left"),
            Self::Renamed { title, .. } => {
                record["title"].as_array().into_iter().flatten().any(|one| one["value"] == **title)
            }
        }
    }
}

/// Somebody at work.
pub struct Visitor {
    stops: Arc<AtomicBool>,
    task: JoinHandle<Vec<Deed>>,
}

impl Visitor {
    /// Starts somebody who visits the chats that these writers register.
    pub fn start(setting: &Setting, api: &Api, writers: &Arc<Writers>) -> Self {
        let stops = Arc::new(AtomicBool::new(false));
        let (api, writers, is_over) = (api.clone(), Arc::clone(writers), Arc::clone(&stops));
        let mut chance = setting.chance(1_000);
        let task = tokio::spawn(async move {
            let mut deeds = Vec::new();
            for number in 0.. {
                if is_over.load(Ordering::SeqCst) {
                    break;
                }
                sleep(Duration::from_millis(5)).await;
                if let Some(chat) = writers.any_chat(&mut chance) {
                    // What fails while the service is away was not done for certain.
                    if let Ok(done) = visit(&api, &chat, number, &mut chance).await {
                        deeds.extend(done);
                    }
                }
            }
            deeds
        });
        Self { stops, task }
    }

    /// Lets them finish, and says what they did.
    pub async fn stop(self) -> Result<Deeds, Failure> {
        self.stops.store(true, Ordering::SeqCst);
        Ok(Deeds(self.task.await?))
    }
}

/// Visits a chat: joins, and perhaps renames it and leaves again.
async fn visit(api: &Api, chat: &str, number: u64, chance: &mut Chance) -> Result<Vec<Deed>, Failure> {
    let chat = chat.to_owned();
    let mut deeds = Vec::new();
    let invitation = ask(api.get(&format!("/chats/{chat}/invitation"))).await?;
    let Some(link) = invitation.body["invitation"].as_str() else { return Ok(deeds) };
    let username = format!("visitor-{number}");
    if ask(api.form(link, "join", &[("username", &username)])).await?.status != 303 {
        return Ok(deeds);
    }
    deeds.push(Deed::Joined { chat: chat.clone(), username: username.clone() });
    let record = ask(api.get(&format!("/chats/{chat}"))).await.map(|answer| answer.body).unwrap_or_default();
    let is_visitor =
        |one: &&Value| one["userProperties"]["username"].as_str().is_some_and(|n| n.starts_with("visitor"));
    let visitor = record["participants"].as_array().and_then(|all| all.iter().find(is_visitor));
    let Some(participant) = visitor.and_then(|one| one["id"].as_str()) else { return Ok(deeds) };
    if chance.is(50) {
        let title = format!("renamed by {username}");
        let fields = [("participant", participant), ("title", title.as_str())];
        if ask(api.form(link, "rename", &fields)).await.is_ok_and(|answer| answer.status == 303) {
            deeds.push(Deed::Renamed { chat: chat.clone(), title });
        }
    }
    if chance.is(50) {
        let left = ask(api.form(link, "leave", &[("participant", participant)])).await;
        if left.is_ok_and(|answer| answer.status == 303) {
            deeds.push(Deed::Left { chat, participant: participant.to_owned() });
        }
    }
    Ok(deeds)
}

/// What was done for certain.
pub struct Deeds(Vec<Deed>);

impl Deeds {
    /// How many.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Those that the record does not tell, though it had a minute for it.
    pub async fn missing(&self, api: &Api) -> Result<Vec<String>, Failure> {
        let begun = Instant::now();
        let chats: BTreeSet<&str> = self.0.iter().rev().map(Deed::chat).take(LOOKED_AT).collect();
        let mut missing = Vec::new();
        for chat in chats {
            let deeds: Vec<&Deed> = self.0.iter().filter(|deed| deed.chat() == chat).collect();
            loop {
                let record = ask(api.get(&format!("/chats/{chat}"))).await?.body;
                let untold: Vec<&&Deed> = deeds.iter().filter(|deed| !deed.is_in(&record)).collect();
                if untold.is_empty() {
                    break;
                }
                if begun.elapsed() > PATIENCE {
                    missing.extend(untold.iter().map(|deed| format!("{deed:?}")));
                    break;
                }
                sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(missing)
    }
}
