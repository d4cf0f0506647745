//! The suite that every provider passes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use convoke_domain::{Environment, Service, Timestamp, UserProperties};
use convoke_provider::{
    Checkpoint, CreateChat, CreatedGroup, EventBatch, Provider, ProviderError, ProviderEvent, SeenPerson,
    conformance::{Actors, Misbehaviour},
    conformance_tests,
};
use convoke_telegram::Telegram;
use convoke_telegram_test_server::Fault;
use tokio::sync::Mutex;

use crate::world::{Running, World, group_id, user_id};

/// What an operation may ask of Telegram first.
const CALLS: [&str; 6] = [
    "channels.createChannel",
    "messages.getDialogs",
    "channels.getFullChannel",
    "messages.exportChatInvite",
    "channels.getParticipant",
    "channels.editBanned",
];

/// ... and by what it changes something.
const CHANGES: [&str; 2] = ["channels.createChannel", "channels.editBanned"];

struct People {
    world: Arc<World>,
    three: [SeenPerson; 3],
    running: Mutex<Option<Running>>,
    next: Arc<Mutex<Option<Misbehaviour>>>,
}

impl std::fmt::Debug for People {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("People")
    }
}

/// The connector over a Telegram that misbehaves at the calls of one operation, and then no more.
struct Misbehaving {
    world: Arc<World>,
    telegram: Arc<Telegram>,
    next: Arc<Mutex<Option<Misbehaviour>>>,
}

impl std::fmt::Debug for Misbehaving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.telegram.fmt(f)
    }
}

impl Misbehaving {
    async fn behave<T>(&self, operation: impl Future<Output = T> + Send) -> T {
        let server = &self.world.telegram;
        let next = self.next.lock().await.take();
        let (calls, fault) = match next {
            Some(Misbehaviour::LostAnswer) => (&CHANGES[..], Fault::LoseAnswer),
            Some(Misbehaviour::RetryAfter(seconds)) => {
                (&CALLS[..], Fault::refuse(420, &format!("FLOOD_WAIT_{seconds}")))
            }
            Some(Misbehaviour::Reject) => (&CALLS[..], Fault::refuse(400, "CHAT_RESTRICTED")),
            None => return operation.await,
        };
        for call in calls {
            server.script(call, 1, fault.clone());
        }
        let outcome = operation.await;
        server.clear_script();
        if let Some(Misbehaviour::RetryAfter(seconds)) = next {
            // Nobody calls before that.
            let wait = Duration::from_secs(seconds.into());
            server.advance(wait);
            self.world.environment.advance(wait);
        }
        outcome
    }
}

#[async_trait]
impl Provider for Misbehaving {
    fn service(&self) -> Service {
        self.telegram.service()
    }

    fn settle_time(&self) -> Duration {
        self.telegram.settle_time()
    }

    async fn create_chat(&self, request: &CreateChat) -> Result<CreatedGroup, ProviderError> {
        self.behave(self.telegram.create_chat(request)).await
    }

    async fn find_created(
        &self,
        request: &CreateChat,
        since: Timestamp,
    ) -> Result<Option<CreatedGroup>, ProviderError> {
        self.behave(self.telegram.find_created(request, since)).await
    }

    async fn invitation(&self, provider_chat_id: &str) -> Result<String, ProviderError> {
        self.behave(self.telegram.invitation(provider_chat_id)).await
    }

    async fn remove_participant(
        &self,
        provider_chat_id: &str,
        external_id: &str,
    ) -> Result<Vec<ProviderEvent>, ProviderError> {
        self.behave(self.telegram.remove_participant(provider_chat_id, external_id)).await
    }

    async fn next_events(&self) -> Result<EventBatch, ProviderError> {
        self.telegram.next_events().await
    }

    async fn acknowledge(&self, checkpoint: Checkpoint) -> Result<(), ProviderError> {
        self.telegram.acknowledge(checkpoint).await
    }
}

#[async_trait]
impl Actors for People {
    async fn register(&self, title: &str) -> CreateChat {
        self.world.register(title).await
    }

    fn person(&self, number: usize) -> SeenPerson {
        self.three[number].clone()
    }

    fn inviter_by_link(&self, group: &CreatedGroup) -> Option<SeenPerson> {
        Some(group.owner.clone())
    }

    fn now(&self) -> Timestamp {
        self.world.environment.now()
    }

    async fn join(&self, _: &CreatedGroup, invitation: &str, who: &SeenPerson) {
        self.world.telegram.join(user_id(&who.external_id), invitation).unwrap();
    }

    async fn bring_in(&self, group: &CreatedGroup, by: &SeenPerson, who: &SeenPerson) {
        let (by, who) = (user_id(&by.external_id), user_id(&who.external_id));
        self.world.telegram.add(group_id(&group.provider_chat_id), by, who).unwrap();
    }

    async fn leave(&self, group: &CreatedGroup, who: &SeenPerson) {
        self.world.telegram.leave(group_id(&group.provider_chat_id), user_id(&who.external_id)).unwrap();
    }

    async fn rename(&self, group: &CreatedGroup, by: &SeenPerson, title: &str) {
        self.world.telegram.rename(group_id(&group.provider_chat_id), user_id(&by.external_id), title).unwrap();
    }

    async fn close(&self, group: &CreatedGroup, _: &SeenPerson) {
        self.world.telegram.delete(group_id(&group.provider_chat_id)).unwrap();
    }

    async fn misbehave(&self, misbehaviour: Misbehaviour) {
        *self.next.lock().await = Some(misbehaviour);
    }

    async fn groups_of(&self, chat: &CreateChat) -> usize {
        self.world.groups_of(chat)
    }

    async fn restart(&self) -> Arc<dyn Provider> {
        let mut running = self.running.lock().await;
        if let Some(before) = running.take() {
            before.stop().await;
        }
        let again = self.world.start().await;
        let telegram = again.telegram.clone();
        *running = Some(again);
        Arc::new(Misbehaving { world: self.world.clone(), telegram, next: self.next.clone() })
    }
}

async fn new_messenger() -> (Arc<dyn Provider>, People) {
    let world = Arc::new(World::new().await);
    let three = [("Ada", "Lovelace", "ada"), ("Ben", "", "ben"), ("Carl", "", "")].map(|(first, last, username)| {
        let id = world.telegram.new_user(first, last, username);
        let name = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let properties = UserProperties { firstname: name(first), lastname: name(last), username: name(username) };
        SeenPerson { external_id: id.0.to_string(), properties }
    });
    let people = People { world, three, running: Mutex::default(), next: Arc::default() };
    let provider = people.restart().await;
    (provider, people)
}

conformance_tests!(new_messenger);
