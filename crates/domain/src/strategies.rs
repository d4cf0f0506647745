//! Strategies for property tests (feature `proptest`), for this crate and for services that reuse it.
//!
//! `any::<T>()` of proptest works for ids, events, records, chats and instants, too. Ids are of any value. What happens
//! in a chat is drawn from a small world instead: four people, three titles, thirty milliseconds, three sources; in a
//! large one, nothing would ever meet at one instant.
//!
//! ```
//! use convoke_domain::{ChatId, Record, strategies::events};
//! use proptest::prelude::*;
//!
//! proptest!(|(id: ChatId, events in events())| {
//!     let chat = Record::from_events(id, &events)?.chat;
//!     let read: convoke_domain::Chat = serde_json::from_str(&serde_json::to_string(&chat)?)?;
//!     prop_assert_eq!(read, chat);
//! });
//! ```

use proptest::{
    arbitrary::{Arbitrary, any},
    collection, option,
    prelude::{BoxedStrategy, Just, Strategy, prop_oneof},
};
use uuid::Uuid;

use crate::{
    Chat, ChatEvent, ChatEventKind, ChatId, EventSource, OperationId, ParticipantId, Record, Service, Timestamp,
    TokenId, UserProperties,
};

/// Any chat at all, as its record is after [`events`].
///
/// ```
/// use convoke_domain::strategies::chat;
/// use proptest::prelude::*;
///
/// proptest!(|(chat in chat())| {
///     prop_assert!(chat.current_title().is_some());
/// });
/// ```
pub fn chat() -> impl Strategy<Value = Chat> {
    record().prop_map(|record| record.chat)
}

/// Any record: that of [`events`].
///
/// ```
/// use convoke_domain::strategies::record;
/// use proptest::prelude::*;
///
/// proptest!(|(record in record())| {
///     prop_assert!(record.last_event_at >= record.chat.registered_at);
/// });
/// ```
pub fn record() -> impl Strategy<Value = Record> {
    // The registration is among them, so none is left out.
    (any::<ChatId>(), events())
        .prop_filter_map("without its registration", |(id, events)| Record::from_events(id, &events).ok())
}

/// All that is known of a chat: its registration (in the sandbox, five milliseconds after the epoch), and up to forty
/// events around it under keys of their own, many of them at the same instants. Some may be told for before the
/// registration: clocks differ.
///
/// ```
/// use convoke_domain::{ChatEventKind, strategies::events};
/// use proptest::prelude::*;
///
/// proptest!(|(events in events())| {
///     let first_is_registration = matches!(events[0].kind, ChatEventKind::Registered { .. });
///     prop_assert!(first_is_registration);
/// });
/// ```
pub fn events() -> impl Strategy<Value = Vec<ChatEvent>> {
    collection::vec((event_source(), 0..30i64, event_kind()), 0..40).prop_map(|told| {
        let rest = (1..).zip(told).map(|(number, (source, at, kind))| numbered(number, source, at, kind));
        std::iter::once(registration()).chain(rest).collect()
    })
}

/// One event that may follow a registration.
///
/// ```
/// use convoke_domain::strategies::event;
/// use proptest::prelude::*;
///
/// proptest!(|(event in event())| {
///     prop_assert_eq!(event.at, event.recorded_at);
/// });
/// ```
pub fn event() -> impl Strategy<Value = ChatEvent> {
    (1..1000usize, event_source(), 0..30i64, event_kind())
        .prop_map(|(number, source, at, kind)| numbered(number, source, at, kind))
}

/// What may happen once a chat is registered: any kind but `Registered`, the commoner ones more often.
///
/// ```
/// use convoke_domain::{ChatEventKind, strategies::event_kind};
/// use proptest::prelude::*;
///
/// proptest!(|(kind in event_kind())| {
///     let is_registration = matches!(kind, ChatEventKind::Registered { .. });
///     prop_assert!(!is_registration);
/// });
/// ```
pub fn event_kind() -> impl Strategy<Value = ChatEventKind> {
    prop_oneof![
        6 => (person(), option::of(person())).prop_map(|(person, invited_by)| {
            ChatEventKind::Joined { person, invited_by, properties: UserProperties::default() }
        }),
        4 => person().prop_map(|person| ChatEventKind::Left { person }),
        3 => (person(), option::of(person()))
            .prop_map(|(person, removed_by)| ChatEventKind::Removed { person, removed_by }),
        3 => (0..3u8).prop_map(|n| ChatEventKind::Renamed { title: format!("t{n}") }),
        2 => (person(), 0..3u8).prop_map(|(person, n)| ChatEventKind::Seen {
            person,
            properties: UserProperties { username: Some(format!("u{n}")), ..UserProperties::default() },
        }),
        1 => person().prop_map(|owner| ChatEventKind::GroupMade { owner, properties: UserProperties::default() }),
        1 => Just(ChatEventKind::Failed),
        1 => Just(ChatEventKind::Retried),
        1 => Just(ChatEventKind::Closed),
    ]
}

/// One of the sources that tell of the same happenings.
///
/// ```
/// use convoke_domain::{EventSource, strategies::event_source};
/// use proptest::prelude::*;
///
/// proptest!(|(source in event_source())| {
///     prop_assert_ne!(source, EventSource::MemberList);
/// });
/// ```
pub fn event_source() -> impl Strategy<Value = EventSource> {
    prop_oneof![Just(EventSource::Convoke), Just(EventSource::Log), Just(EventSource::Stream)]
}

/// One of the four people of the small world.
///
/// ```
/// use convoke_domain::strategies::person;
/// use proptest::prelude::*;
///
/// proptest!(|(person in person())| {
///     prop_assert!((1000..1004).contains(&person.0.as_u128()));
/// });
/// ```
pub fn person() -> impl Strategy<Value = ParticipantId> {
    (0..4u128).prop_map(|number| ParticipantId(Uuid::from_u128(1000 + number)))
}

/// Any instant that the contract can write.
///
/// ```
/// use convoke_domain::{Timestamp, strategies::timestamp};
/// use proptest::prelude::*;
///
/// proptest!(|(at in timestamp())| {
///     prop_assert_eq!(at.to_string().parse::<Timestamp>()?, at);
/// });
/// ```
pub fn timestamp() -> impl Strategy<Value = Timestamp> {
    (Timestamp::MIN.as_millis()..=Timestamp::MAX.as_millis()).prop_map(Timestamp::from_millis)
}

fn numbered(number: usize, source: EventSource, at: i64, kind: ChatEventKind) -> ChatEvent {
    let at = Timestamp::from_millis(at);
    ChatEvent { key: format!("{}-{number:04}", source.as_str()), source, at, recorded_at: at, kind }
}

fn registration() -> ChatEvent {
    let kind = ChatEventKind::Registered {
        service: Service::Sandbox,
        title: "t0".into(),
        created_by: Some("somebody".into()),
        description: None,
    };
    numbered(0, EventSource::Convoke, 5, kind)
}

/// Lets `any::<T>()` be the strategy that is given.
macro_rules! arbitrary {
    ($($type:ty => $strategy:expr),+ $(,)?) => {$(
        impl Arbitrary for $type {
            type Parameters = ();
            type Strategy = BoxedStrategy<Self>;

            fn arbitrary_with((): ()) -> Self::Strategy {
                $strategy.boxed()
            }
        }
    )+};
}

arbitrary! {
    ChatId => uuid().prop_map(Self),
    ParticipantId => uuid().prop_map(Self),
    OperationId => uuid().prop_map(Self),
    TokenId => uuid().prop_map(Self),
    Timestamp => timestamp(),
    ChatEvent => event(),
    ChatEventKind => event_kind(),
    EventSource => event_source(),
    Record => record(),
    Chat => chat(),
}

/// Any random UUID (version 4), as the service makes them.
fn uuid() -> impl Strategy<Value = Uuid> {
    any::<[u8; 16]>().prop_map(|bytes| uuid::Builder::from_random_bytes(bytes).into_uuid())
}
