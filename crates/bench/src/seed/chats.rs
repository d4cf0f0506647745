//! Chats as they would be: 1.3 titles, 5 participants with 1.2 participations each, registered over two years, a fifth of
//! them on one crowded day, half of that within an hour.

use convoke_domain::{
    Chat, ChatEvent, ChatEventKind, ChatId, ChatTitle, CreatedBy, EventSource, OperationId, ParticipantId, Record,
    Service, TenantId, Timestamp, UserProperties,
};
use convoke_store::NewChat;
use convoke_test_support::Chance;
use uuid::Uuid;

/// The first day of the two years, 2024-11-01.
pub const FIRST_DAY: Timestamp = Timestamp::from_millis(1_730_419_200_000);
const DAYS: u64 = 730;
/// The day on which everybody registers something, 2025-12-01.
pub const CROWDED_DAY: Timestamp = Timestamp::from_millis(FIRST_DAY.as_millis() + 395 * 86_400_000);

const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;
const DAY: u64 = 24 * HOUR;

const SUBJECTS: &[&str] =
    &["Budget", "Kick-off", "Retrospective", "Summer party", "Release", "Día de campo", "Übergabe"];
const GROUPS: &[&str] = &["Accounting", "Team Nord", "Sales", "Operations", "Class 4b", "Ítaca", "Volunteers"];
const FIRSTNAMES: &[&str] = &["Ada", "Blaise", "Grace", "Edsger", "Sofía", "Jürgen", "Katherine", "Alan"];
const LASTNAMES: &[&str] = &["Lovelace", "Pascal", "Hopper", "Dijkstra", "Kovalevskaya", "Gauß", "Johnson"];

/// The chats of a tenant, each the same whenever it is asked for.
pub struct Chats {
    pub tenant: TenantId,
    place: u64,
    number: u64,
}

/// A chat with everything that is written of it.
pub struct SeededChat {
    pub chat: Chat,
    pub events: Vec<ChatEvent>,
    pub last_event_at: Timestamp,
    pub provider_chat_id: Option<String>,
    pub registration_hash: [u8; 32],
    pub operation_id: Uuid,
}

/// A chat with little in it.
pub struct ThinChat {
    pub id: Uuid,
    pub operation_id: Uuid,
    pub is_active: bool,
    pub title: String,
    pub created_by: String,
    pub registered_at: Timestamp,
}

/// Somebody who is in chats.
pub struct Person {
    pub id: Uuid,
    pub external_id: String,
}

impl Chats {
    /// Those of the tenant that is seeded at this place.
    pub const fn new(tenant: TenantId, place: u64, number: u64) -> Self {
        Self { tenant, place, number }
    }

    /// Everybody who is in these chats.
    pub fn people(&self) -> impl Iterator<Item = Person> {
        (0..self.crowd()).map(|number| Person { id: self.person(number), external_id: format!("seed-{number}") })
    }

    /// How many people there are: each is in twenty chats or so.
    const fn crowd(&self) -> u64 {
        self.number / 4 + 20
    }

    fn person(&self, number: u64) -> Uuid {
        Chance::new(u64::MAX - (self.place << 40) - number).id()
    }

    fn chance(&self, place: u64) -> Chance {
        let mut mixed = Chance::new((self.place << 40) + place);
        Chance::new(mixed.number())
    }

    /// A chat with little in it.
    pub fn thin(&self, place: u64) -> ThinChat {
        let mut chance = self.chance(place);
        ThinChat {
            id: chance.id(),
            operation_id: chance.id(),
            is_active: chance.is(88),
            registered_at: registered_at(&mut chance),
            created_by: creator(&mut chance),
            title: title(&mut chance, place),
        }
    }

    /// A chat as it would have become.
    pub fn chat(&self, place: u64) -> SeededChat {
        let mut chance = self.chance(place);
        let id = ChatId(chance.id());
        let operation_id = chance.id();
        let is_active = chance.is(88);
        let at = registered_at(&mut chance);
        let created_by = creator(&mut chance);
        let title = title(&mut chance, place);
        let registration = NewChat {
            id,
            id_is_clients: false,
            service: Service::Sandbox,
            title: ChatTitle::new(&title, Service::Sandbox).expect("a short title"),
            created_by: CreatedBy::new(&created_by).expect("a short name"),
            description: None,
            operation_id: OperationId(operation_id),
            at,
            idempotency: None,
            origin: None,
        };
        let is_failed = !is_active && chance.is(15);
        let mut story = Story { at, events: Vec::new() };
        let created_by = Some(created_by);
        let registered = ChatEventKind::Registered {
            service: Service::Sandbox,
            title: title.clone(),
            created_by,
            description: None,
        };
        story.tell_ours("convoke:registered", registered);
        if is_failed {
            story.later(40);
            story.tell_ours("convoke:failed", ChatEventKind::Failed);
        } else {
            self.lives(&mut chance, &mut story, &title);
            if !is_active {
                story.later(chance.below(DAY) + 1);
                story.tell(ChatEventKind::Closed);
            }
        }
        let record = Record::from_events(id, &story.events).expect("it begins with the registration");
        SeededChat {
            provider_chat_id: (!is_failed).then(|| format!("seed-{}-{place}", self.place)),
            registration_hash: registration.registration_hash(),
            operation_id,
            last_event_at: record.last_event_at,
            chat: record.chat,
            events: story.events,
        }
    }

    /// People come and go, and titles change.
    fn lives(&self, chance: &mut Chance, story: &mut Story, title: &str) {
        let first = chance.below(self.crowd());
        let participant = |number| ParticipantId(self.person((first + number * 7) % self.crowd()));
        story.later(30 + chance.below(90));
        let owner = participant(0);
        story.tell_ours("convoke:groupMade", ChatEventKind::GroupMade { owner, properties: properties(chance) });
        // Two to six beside the owner: five in all on average.
        let others = 2 + chance.below(5);
        for number in 1..=others {
            let person = participant(number);
            let properties = properties(chance);
            let invited_by = chance.is(30).then_some(owner);
            story.later(chance.below(HOUR) + 1);
            story.tell(ChatEventKind::Joined { person, invited_by, properties: properties.clone() });
            // A fifth of all stays is a second one.
            if chance.is(25) {
                story.later(chance.below(HOUR) + 1);
                story.tell(ChatEventKind::Left { person });
                story.later(chance.below(HOUR) + 1);
                story.tell(ChatEventKind::Joined { person, invited_by: None, properties });
            } else if chance.is(10) {
                story.later(chance.below(HOUR) + 1);
                story.tell(ChatEventKind::Removed { person, removed_by: Some(owner) });
            }
        }
        // 1.3 titles on average.
        let more = match chance.below(20) {
            0 => 2,
            1..=4 => 1,
            _ => 0,
        };
        for number in 0..more {
            story.later(chance.below(DAY) + 1);
            story.tell(ChatEventKind::Renamed { title: format!("{title}, {}", number + 2) });
        }
    }
}

/// What happens in a chat, in its order.
struct Story {
    at: Timestamp,
    events: Vec<ChatEvent>,
}

impl Story {
    fn later(&mut self, millis: u64) {
        self.at = self.at.plus(std::time::Duration::from_millis(millis));
    }

    fn tell_ours(&mut self, key: &str, kind: ChatEventKind) {
        let (source, at) = (EventSource::Convoke, self.at);
        self.events.push(ChatEvent { key: key.to_owned(), source, at, recorded_at: at, kind });
    }

    fn tell(&mut self, kind: ChatEventKind) {
        let key = format!("seed-{}", self.events.len());
        let (source, at) = (EventSource::Log, self.at);
        self.events.push(ChatEvent { key, source, at, recorded_at: at, kind });
    }
}

fn registered_at(chance: &mut Chance) -> Timestamp {
    let millis = if chance.is(20) {
        let day = CROWDED_DAY.as_millis().abs_diff(FIRST_DAY.as_millis());
        day + if chance.is(50) { 10 * HOUR + chance.below(HOUR) } else { chance.below(DAY) }
    } else {
        chance.below(DAYS * DAY)
    };
    FIRST_DAY.plus(std::time::Duration::from_millis(millis))
}

fn title(chance: &mut Chance, place: u64) -> String {
    format!("{} {} {place}", chance.one_of(SUBJECTS), chance.one_of(GROUPS))
}

fn creator(chance: &mut Chance) -> String {
    format!("user-{}", chance.below(2_000))
}

fn properties(chance: &mut Chance) -> UserProperties {
    let (first, last) = (chance.one_of(FIRSTNAMES), chance.one_of(LASTNAMES));
    let username = chance.is(80).then(|| format!("{first}{}", chance.below(10_000)));
    UserProperties {
        firstname: Some((*first).to_owned()),
        lastname: chance.is(70).then(|| (*last).to_owned()),
        username,
    }
}
