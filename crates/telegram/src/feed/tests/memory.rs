//! One account in memory, and the record of its groups by the domain's own rules: what a feed stands on in a test.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

use async_trait::async_trait;
use convoke_domain::{
    Chat, ChatEvent, ChatEventKind, ChatId, EventSource, ParticipantId, Record, Service, TenantId, Timestamp,
    UserProperties,
};
use convoke_provider::{
    Account, AccountGroup, AccountId, AccountLease, AccountState, AccountStorage, FeedState, NewAccount, NewPlacement,
    Placement, ProviderEvent, ProviderEventKind, SeenPerson, StorageError,
};
use uuid::Uuid;

/// The account of the tests.
pub const ACCOUNT: AccountId = AccountId(Uuid::from_u128(1));

/// One account, its groups, and everything that was recorded of them.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    fence: i64,
    feed: Option<String>,
    fed_at: Option<Timestamp>,
    groups: BTreeMap<String, Group>,
    peers: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Group {
    made_at: Timestamp,
    owner: ParticipantId,
    state: String,
    events: BTreeMap<String, ProviderEvent>,
}

/// The id under which the record shows a user.
pub fn id(external_id: &str) -> ParticipantId {
    ParticipantId(Uuid::from_u128(external_id.parse().expect("a number")))
}

impl Memory {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().expect("no test panics while it holds this")
    }

    /// Takes the account, from whoever has it.
    pub fn lease(&self) -> AccountLease {
        let mut kept = self.kept();
        kept.fence += 1;
        AccountLease { account: ACCOUNT, fence: kept.fence }
    }

    /// Keeps a group that was made.
    pub fn add_group(&self, name: &str, owner: i64, made_at: Timestamp, state: String) {
        let group = Group { made_at, owner: id(&owner.to_string()), state, events: BTreeMap::new() };
        self.kept().groups.insert(name.to_owned(), group);
    }

    /// Records what happened; what is recorded under its key stays as it is.
    pub fn record(&self, events: &[ProviderEvent]) {
        let mut kept = self.kept();
        for event in events {
            if let Some(group) = kept.groups.get_mut(&event.provider_chat_id) {
                group.events.entry(event.key.clone()).or_insert_with(|| event.clone());
            }
        }
    }

    /// What was recorded of a group.
    pub fn events(&self, name: &str) -> Vec<ProviderEvent> {
        self.kept().groups[name].events.values().cloned().collect()
    }

    /// What was recorded of a group by one source.
    pub fn events_by(&self, name: &str, source: EventSource) -> Vec<ProviderEvent> {
        self.events(name).into_iter().filter(|event| event.source == source).collect()
    }

    /// The record of a group.
    pub fn chat(&self, name: &str) -> Chat {
        self.kept().groups[name].chat()
    }

    /// What is kept of a group.
    pub fn state(&self, name: &str) -> String {
        self.kept().groups[name].state.clone()
    }

    /// When it was last kept that the feed is taken in.
    pub fn fed_at(&self) -> Option<Timestamp> {
        self.kept().fed_at
    }
}

impl Group {
    fn chat(&self) -> Chat {
        let own = |key: &str, kind| ChatEvent {
            key: key.to_owned(),
            source: EventSource::Convoke,
            at: self.made_at,
            recorded_at: self.made_at,
            kind,
        };
        let registered = ChatEventKind::Registered {
            service: Service::Telegram,
            title: "One".to_owned(),
            created_by: None,
            description: None,
        };
        let made = ChatEventKind::GroupMade { owner: self.owner, properties: UserProperties::default() };
        let mut events = vec![own("registered", registered), own("made", made)];
        events.extend(self.events.values().map(chat_event));
        Record::from_events(ChatId(Uuid::from_u128(2)), &events).expect("it was registered").chat
    }
}

fn chat_event(event: &ProviderEvent) -> ChatEvent {
    let id = |person: &SeenPerson| id(&person.external_id);
    let kind = match &event.kind {
        ProviderEventKind::Joined { person, invited_by } => ChatEventKind::Joined {
            person: id(person),
            invited_by: invited_by.as_ref().map(id),
            properties: person.properties.clone(),
        },
        ProviderEventKind::Left { person } => ChatEventKind::Left { person: id(person) },
        ProviderEventKind::Removed { person, removed_by } => {
            ChatEventKind::Removed { person: id(person), removed_by: removed_by.as_ref().map(id) }
        }
        ProviderEventKind::Renamed { title } => ChatEventKind::Renamed { title: title.clone() },
        ProviderEventKind::Seen { person } => {
            ChatEventKind::Seen { person: id(person), properties: person.properties.clone() }
        }
        ProviderEventKind::Closed => ChatEventKind::Closed,
    };
    ChatEvent { key: event.key.clone(), source: event.source, at: event.at, recorded_at: event.at, kind }
}

/// What no feed asks for.
fn not_asked_for<T>() -> Result<T, StorageError> {
    Err(StorageError("a feed does not ask for this".into()))
}

#[async_trait]
impl AccountStorage for Memory {
    async fn list_accounts(&self, _: Service) -> Result<Vec<Account>, StorageError> {
        let kept = self.kept();
        Ok(vec![Account {
            id: ACCOUNT,
            name: "main".to_owned(),
            tenants: Vec::new(),
            secret: None,
            state: AccountState::default(),
            held: None,
            feed: kept.feed.clone(),
            fed_at: kept.fed_at,
            groups: u32::try_from(kept.groups.len()).expect("not many"),
        }])
    }

    async fn save_account(&self, _: NewAccount) -> Result<AccountId, StorageError> {
        not_asked_for()
    }

    async fn delete_account(&self, _: Service, _: &str) -> Result<bool, StorageError> {
        not_asked_for()
    }

    async fn lease_account(
        &self,
        _: AccountId,
        _: &str,
        _: Timestamp,
        _: Timestamp,
    ) -> Result<Option<AccountLease>, StorageError> {
        not_asked_for()
    }

    async fn extend_account(&self, lease: &AccountLease, _: Timestamp) -> Result<bool, StorageError> {
        Ok(self.kept().fence == lease.fence)
    }

    async fn release_account(&self, _: &AccountLease) -> Result<(), StorageError> {
        not_asked_for()
    }

    async fn save_account_state(&self, lease: &AccountLease, _: AccountState) -> Result<bool, StorageError> {
        Ok(self.kept().fence == lease.fence)
    }

    async fn save_account_secret(&self, _: &AccountLease, _: Vec<u8>) -> Result<bool, StorageError> {
        not_asked_for()
    }

    async fn save_feed(&self, lease: &AccountLease, feed: FeedState) -> Result<bool, StorageError> {
        let mut kept = self.kept();
        if kept.fence != lease.fence {
            return Ok(false);
        }
        kept.feed = feed.feed.or(kept.feed.take());
        kept.fed_at = Some(feed.at);
        for (name, state) in feed.groups {
            if let Some(group) = kept.groups.get_mut(&name) {
                group.state = state;
            }
        }
        Ok(true)
    }

    async fn place_chat(&self, _: &NewPlacement) -> Result<Placement, StorageError> {
        not_asked_for()
    }

    async fn find_placement(&self, _: &TenantId, _: ChatId) -> Result<Option<AccountId>, StorageError> {
        not_asked_for()
    }

    async fn save_account_group(&self, _: &AccountLease, _: AccountGroup) -> Result<bool, StorageError> {
        not_asked_for()
    }

    async fn list_groups(&self, _: AccountId) -> Result<Vec<AccountGroup>, StorageError> {
        let kept = self.kept();
        let open = kept.groups.iter().filter(|(_, group)| group.chat().is_active);
        Ok(open.map(|(name, group)| account_group(name, group)).collect())
    }

    async fn find_group_account(
        &self,
        _: Service,
        name: &str,
    ) -> Result<Option<(AccountId, AccountGroup)>, StorageError> {
        let kept = self.kept();
        Ok(kept.groups.get(name).map(|group| (ACCOUNT, account_group(name, group))))
    }

    async fn members_on_record(&self, _: Service, name: &str) -> Result<Vec<(String, Timestamp)>, StorageError> {
        let chat = self.chat(name);
        let members = chat.participants.iter().filter(|participant| participant.is_in());
        let since = |stays: &[convoke_domain::Participation]| stays.last().map(|stay| stay.joined_at);
        Ok(members.filter_map(|one| Some((one.id.0.as_u128().to_string(), since(&one.participations)?))).collect())
    }

    async fn save_peers(&self, _: AccountId, peers: Vec<(String, String)>) -> Result<(), StorageError> {
        self.kept().peers.extend(peers);
        Ok(())
    }

    async fn find_peer(&self, _: AccountId, name: &str) -> Result<Option<String>, StorageError> {
        Ok(self.kept().peers.get(name).cloned())
    }
}

fn account_group(name: &str, group: &Group) -> AccountGroup {
    AccountGroup {
        tenant: "acme".parse().expect("a tenant"),
        chat_id: ChatId(Uuid::from_u128(2)),
        provider_chat_id: name.to_owned(),
        state: group.state.clone(),
    }
}
