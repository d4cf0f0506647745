//! The suite that every provider passes.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use convoke_domain::{ChatTitle, Environment, ParticipantId, Service, Timestamp, UserProperties};
use convoke_provider::{
    CreateChat, CreatedGroup, Provider, SandboxStorage, SeenPerson,
    conformance::{Actors, Misbehaviour},
    conformance_tests,
};
use convoke_sandbox::{Action, Fault, Group, Sandbox};

use crate::support::World;

/// People who do by [`Action`]s what others do with an app.
struct People(World);

impl std::fmt::Debug for People {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("People")
    }
}

impl People {
    fn sandbox(&self) -> &Sandbox {
        &self.0.sandbox
    }

    async fn group(&self, code: &str) -> Group {
        self.sandbox().find_group(code).await.unwrap().expect("the group is there")
    }

    async fn id(&self, who: &SeenPerson) -> ParticipantId {
        self.0.storage.participant_id(&"acme".parse().unwrap(), &who.external_id).await.unwrap()
    }

    async fn act(&self, code: &str, action: Action) {
        self.sandbox().act(&self.group(code).await, &action).await.expect("it can be done");
    }

    async fn join(&self, code: &str, who: &SeenPerson, invited_by: Option<ParticipantId>) {
        let action = Action::Join {
            username: who.external_id.clone(),
            firstname: who.properties.firstname.clone(),
            lastname: who.properties.lastname.clone(),
            invited_by,
        };
        self.act(code, action).await;
    }
}

#[async_trait]
impl Actors for People {
    async fn register(&self, title: &str) -> CreateChat {
        self.0.register(title).await
    }

    fn person(&self, number: usize) -> SeenPerson {
        let username = format!("person{number}");
        let properties =
            UserProperties { firstname: Some("Ada".into()), lastname: None, username: Some(username.clone()) };
        SeenPerson { external_id: username, properties }
    }

    fn now(&self) -> Timestamp {
        self.0.environment.now()
    }

    async fn join(&self, _: &CreatedGroup, invitation: &str, who: &SeenPerson) {
        let code = invitation.strip_prefix("/sandbox/").expect("an invitation is the path of a page");
        self.join(code, who, None).await;
    }

    async fn bring_in(&self, group: &CreatedGroup, by: &SeenPerson, who: &SeenPerson) {
        let by = self.id(by).await;
        self.join(&group.provider_chat_id, who, Some(by)).await;
    }

    async fn leave(&self, group: &CreatedGroup, who: &SeenPerson) {
        let participant = self.id(who).await;
        self.act(&group.provider_chat_id, Action::Leave { participant }).await;
    }

    async fn rename(&self, group: &CreatedGroup, by: &SeenPerson, title: &str) {
        let (participant, title) = (self.id(by).await, ChatTitle::new(title, Service::Sandbox).unwrap());
        self.act(&group.provider_chat_id, Action::Rename { participant, title }).await;
    }

    async fn close(&self, group: &CreatedGroup, by: &SeenPerson) {
        let participant = self.id(by).await;
        self.act(&group.provider_chat_id, Action::Close { participant }).await;
    }

    async fn misbehave(&self, misbehaviour: Misbehaviour) {
        self.sandbox().add_fault(match misbehaviour {
            Misbehaviour::LostAnswer => Fault::LostAnswer,
            Misbehaviour::RetryAfter(seconds) => Fault::RetryAfter(Duration::from_secs(seconds.into())),
            Misbehaviour::Reject => Fault::Reject,
        });
    }

    async fn groups_of(&self, chat: &CreateChat) -> usize {
        self.0.storage.groups_of(chat.chat_id)
    }

    async fn restart(&self) -> Arc<dyn Provider> {
        self.0.another().await.sandbox
    }
}

async fn new_messenger() -> (Arc<dyn Provider>, People) {
    let world = World::new().await;
    (world.sandbox.clone(), People(world))
}

conformance_tests!(new_messenger);
