//! Everything public, used as another service would: what is removed, renamed or changed, and a variant or public field
//! that is added, makes this fail to compile. Whoever has to touch a line here, other than by adding one for something
//! new, is making a breaking change (docs/reuse.md, "Versions").

use std::{
    error::Error,
    fmt::{Debug, Display},
    hash::Hash,
    str::FromStr,
    time::Duration,
};

use chrono::{DateTime, Utc};
use convoke_domain::{
    Chat, ChatEvent, ChatEventKind, ChatFilter, ChatId, ChatQuery, ChatStatus, ChatTitle, CreatedBy, Description,
    Direction, EndReason, Environment, EventSource, Mistake, MistakeCode, Operation, OperationError,
    OperationErrorCode, OperationId, OperationStatus, OperationType, PageNumber, PageSize, Participant, ParticipantId,
    Participation, Record, RecordError, Scope, Service, Sort, SortField, SortKey, TITLE_CONTENT_TYPE, TenantId,
    Timestamp, TitleEntry, TokenId, UserProperties, Utf16Limit, WalkPosition, strategies,
};
use proptest::{arbitrary::Arbitrary, strategy::Strategy};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

/// A value of the language: it is compared, copied about and shared between threads.
fn value<T: Debug + Clone + Eq + Send + Sync + 'static>() {}
fn json<T: Serialize + DeserializeOwned>() {}
fn text<T: Display + FromStr<Err = Mistake>>() {}
fn key<T: Copy + Ord + Hash>() {}
fn id<T: Copy + Ord + Hash + Debug + Display + FromStr<Err = Mistake> + Serialize + DeserializeOwned>(
    _: fn(Uuid) -> T,
) {
}
fn parsed<T: FromStr<Err = Mistake>>() {}
fn shown<T: Display + Serialize>() {}
fn default<T: Default>() {}
fn error<T: Error + Send + Sync + 'static>() {}
fn any<T: Arbitrary<Parameters = ()>>() {}

#[test]
fn types_can_do_what_they_could() {
    value::<Chat>();
    value::<Record>();
    value::<RecordError>();
    value::<Operation>();
    value::<OperationError>();
    value::<ChatQuery>();
    value::<Sort>();
    value::<Mistake>();
    value::<Utf16Limit>();
    value::<ChatTitle>();
    value::<CreatedBy>();
    value::<Description>();
    json::<Chat>();
    json::<ChatStatus>();
    json::<TitleEntry>();
    json::<Participant>();
    json::<Participation>();
    json::<UserProperties>();
    json::<EndReason>();
    json::<ChatEvent>();
    json::<ChatEventKind>();
    json::<EventSource>();
    json::<MistakeCode>();
    json::<OperationType>();
    json::<OperationStatus>();
    json::<OperationError>();
    json::<OperationErrorCode>();
    json::<Scope>();
    json::<Service>();
    json::<TenantId>();
    json::<Timestamp>();
    text::<Timestamp>();
    text::<TenantId>();
    text::<Scope>();
    text::<Service>();
    text::<WalkPosition>();
    key::<Timestamp>();
    key::<Scope>();
    key::<Service>();
    key::<EventSource>();
    id(ChatId);
    id(ParticipantId);
    id(OperationId);
    id(TokenId);
    parsed::<PageSize>();
    parsed::<PageNumber>();
    parsed::<SortKey>();
    shown::<ChatTitle>();
    shown::<CreatedBy>();
    shown::<Description>();
    default::<PageSize>();
    default::<PageNumber>();
    default::<Sort>();
    default::<ChatFilter>();
    default::<ChatQuery>();
    default::<UserProperties>();
    error::<Mistake>();
    error::<RecordError>();
    let _: fn(DateTime<Utc>) -> Timestamp = Timestamp::from;
    let _: fn(Timestamp) -> DateTime<Utc> = DateTime::from;
}

#[test]
fn functions_take_and_give_what_they_did() {
    let _: fn(&Chat) -> Option<&str> = Chat::current_title;
    let _: fn(&Chat, ParticipantId) -> Option<&Participant> = Chat::participant;
    let _: fn(&Chat, Timestamp) -> Option<&str> = Chat::title_at;
    let _: for<'a> fn(&'a Chat, Timestamp) -> Vec<(&'a Participant, &'a Participation)> =
        |chat, at| chat.present_at(at).collect();
    let _: fn(&Participant) -> bool = Participant::is_in;
    let _: fn(&Participant, Timestamp) -> Option<&Participation> = Participant::stay_at;
    let _: fn(&Participation, Timestamp) -> bool = Participation::covers;
    let _: fn(&mut UserProperties, &UserProperties) -> bool = UserProperties::learn;
    let _: fn(ChatId, &[ChatEvent]) -> Result<Record, RecordError> = Record::from_events;
    let _: fn(Record, &[ChatEvent]) -> Result<Record, Box<Record>> = Record::extended;
    let _: fn(&ChatEvent, &ChatEvent) -> bool = |a, b| a.position() < b.position();
    let _: fn(&str) -> Result<ChatId, Mistake> = ChatId::chosen_by_client;
    let _: fn(&TenantId) -> &str = TenantId::as_str;
    let _: fn(&str, Service) -> Result<ChatTitle, Mistake> = ChatTitle::new;
    let _: fn(&str) -> Result<Option<CreatedBy>, Mistake> = CreatedBy::new;
    let _: fn(&str, Service) -> Result<Option<Description>, Mistake> = Description::new;
    let _: [fn(&ChatTitle) -> &str; 1] = [ChatTitle::as_str];
    let _: fn(&CreatedBy) -> &str = CreatedBy::as_str;
    let _: fn(&Description) -> &str = Description::as_str;
    let _: fn(u32) -> Result<PageSize, Mistake> = PageSize::new;
    let _: fn(PageSize) -> u32 = PageSize::get;
    let _: fn(PageNumber) -> u32 = PageNumber::get;
    let _: fn(&[SortKey]) -> Result<Sort, Mistake> = Sort::new;
    let _: fn(&Sort) -> &[SortKey] = Sort::keys;
    let _: fn(&Sort) -> Option<Direction> = Sort::by_registration;
    let _: fn(&ChatQuery) -> u64 = ChatQuery::offset;
    let _: fn(i64) -> Timestamp = Timestamp::from_millis;
    let _: fn(Timestamp) -> i64 = Timestamp::as_millis;
    let _: fn(Timestamp, Duration) -> Timestamp = Timestamp::plus;
    let _: fn(Timestamp, Duration) -> Timestamp = Timestamp::minus;
    let _: fn(Timestamp, Timestamp) -> Duration = Timestamp::since;
    let _: fn(&str) -> Result<Timestamp, Mistake> = Timestamp::parse_from_bound;
    let _: fn(&str) -> Result<Timestamp, Mistake> = Timestamp::parse_to_bound;
    let _: fn(Service) -> &'static str = Service::display_name;
    let _: fn(Service) -> Option<Utf16Limit> = Service::title_limit;
    let _: fn(Service) -> Option<Utf16Limit> = Service::description_limit;
    let _: fn(Utf16Limit, &str) -> bool = Utf16Limit::admits;
    let _: fn(MistakeCode, String) -> Mistake = Mistake::new;
    let _: [fn(&str) -> Option<ChatStatus>; 1] = [ChatStatus::from_name];
    let _: fn(&str) -> Option<EventSource> = EventSource::from_name;
    let _: fn(&str) -> Option<OperationType> = OperationType::from_name;
    let _: fn(&str) -> Option<OperationStatus> = OperationStatus::from_name;
}

#[test]
fn constants_are_what_they_were() {
    assert_eq!(TITLE_CONTENT_TYPE, "text/plain");
    assert_eq!((ChatTitle::MAX_CHARS, CreatedBy::MAX_CHARS, Description::MAX_CHARS), (255, 50, 255));
    assert_eq!((PageSize::MAX, PageSize::DEFAULT, PageNumber::MAX), (200, 20, 2_147_483_647));
    assert_eq!((ChatFilter::MAX_IDS, TenantId::MAX_LENGTH), (200, 64));
    assert!(Timestamp::MIN < Timestamp::MAX);
    let _: [SortField; 7] = SortField::ALL;
    let _: [Scope; 2] = Scope::ALL;
    let _: [Service; 2] = Service::ALL;
}

/// Names every variant: one that is added or removed is told by the compiler; a name that changes, by the test.
macro_rules! names {
    ($name:expr; $($type:ident: $($variant:ident = $text:literal),+;)+) => {$(
        for value in [$($type::$variant),+] {
            let text = match value { $($type::$variant => $text),+ };
            assert_eq!($name(serde_json::to_value(value).unwrap()), text);
        }
    )+};
}

#[test]
fn variants_and_their_names_are_what_they_were() {
    let name = |value: serde_json::Value| value.as_str().unwrap().to_owned();
    names! { name;
        ChatStatus: Provisioning = "provisioning", Active = "active", Closed = "closed", Failed = "failed";
        EndReason: Left = "left", Removed = "removed", ChatClosed = "chatClosed";
        EventSource: Convoke = "convoke", Log = "log", Stream = "stream", MemberList = "memberList";
        MistakeCode: Required = "required", TooLong = "tooLong", InvalidFormat = "invalidFormat",
            InvalidCharacter = "invalidCharacter", OutOfRange = "outOfRange", Unknown = "unknown",
            Duplicate = "duplicate", NotAllowed = "notAllowed";
        OperationType: CreateChat = "createChat", RemoveParticipant = "removeParticipant";
        OperationStatus: Pending = "pending", Running = "running", WaitingForProvider = "waitingForProvider",
            Succeeded = "succeeded", Failed = "failed";
        OperationErrorCode: ProviderRejected = "provider-rejected", AttemptsExhausted = "attempts-exhausted",
            Cancelled = "cancelled";
        Scope: ChatsRead = "chats:read", ChatsWrite = "chats:write";
        Service: Sandbox = "sandbox", Telegram = "telegram";
    }
    for (shown, stored) in [
        (ChatStatus::Active.as_str(), "active"),
        (EndReason::Left.as_str(), "left"),
        (EventSource::Log.as_str(), "log"),
        (OperationType::CreateChat.as_str(), "createChat"),
        (OperationStatus::Failed.as_str(), "failed"),
        (Scope::ChatsRead.as_str(), "chats:read"),
        (Service::Sandbox.as_str(), "sandbox"),
    ] {
        assert_eq!(shown, stored);
    }
    for field in SortField::ALL {
        let name = match field {
            SortField::RegisteredAt => "registeredAt",
            SortField::UpdatedAt => "updatedAt",
            SortField::Title => "title",
            SortField::CreatedBy => "createdBy",
            SortField::Service => "service",
            SortField::IsActive => "isActive",
            SortField::Id => "id",
        };
        assert_eq!(field.as_str(), name);
    }
    for direction in [Direction::Ascending, Direction::Descending] {
        match direction {
            Direction::Ascending | Direction::Descending => {}
        }
    }
    let RecordError::NotRegistered = RecordError::NotRegistered;
}

#[test]
fn structures_have_the_fields_they_had() {
    let at = Timestamp::from_millis(0);
    let person = ParticipantId(Uuid::nil());
    let properties = UserProperties { firstname: None, lastname: None, username: None };
    let stay = Participation {
        is_active: false,
        joined_at: at,
        invited_by: Some(person),
        left_at: Some(at),
        end_reason: Some(EndReason::Left),
        removed_by: Some(person),
    };
    let title = TitleEntry { value: String::new(), content_type: String::new(), captured_at: at };
    let chat = Chat {
        id: ChatId(Uuid::nil()),
        is_active: false,
        status: ChatStatus::Closed,
        service: Service::Sandbox,
        registered_at: at,
        updated_at: at,
        created_by: Some(String::new()),
        description: Some(String::new()),
        title: vec![title],
        participants: vec![Participant { id: person, user_properties: properties.clone(), participations: vec![stay] }],
    };
    let Record { chat: Chat { id: chat_id, .. }, last_event_at: _ } = Record { chat, last_event_at: at };
    let error = OperationError { code: OperationErrorCode::ProviderRejected, detail: String::new() };
    let _ = Operation {
        id: OperationId(Uuid::nil()),
        kind: OperationType::CreateChat,
        status: OperationStatus::Failed,
        chat_id,
        attempts: 0u32,
        created_at: at,
        updated_at: at,
        next_attempt_at: Some(at),
        completed_at: Some(at),
        error: Some(error),
    };
    let filter =
        ChatFilter { is_active: Some(true), ids: vec![chat_id], registered_from: Some(at), registered_to: Some(at) };
    let _ = ChatQuery { filter, sort: Sort::default(), page: PageNumber::default(), size: PageSize::default() };
    let _ = SortKey { field: SortField::Id, direction: Direction::Ascending };
    let _ = WalkPosition { registered_at: at, id: chat_id };
    let Mistake { code: _, detail: _ } = Mistake { code: MistakeCode::Unknown, detail: String::new() };
    let Utf16Limit(_) = Utf16Limit(0);
    let kind = ChatEventKind::Closed;
    let event = ChatEvent { key: String::new(), source: EventSource::Log, at, recorded_at: at, kind };
    match event.kind {
        ChatEventKind::Registered { service: _, title: _, created_by: _, description: _ }
        | ChatEventKind::GroupMade { owner: _, properties: _ }
        | ChatEventKind::Joined { person: _, invited_by: _, properties: _ }
        | ChatEventKind::Left { person: _ }
        | ChatEventKind::Removed { person: _, removed_by: _ }
        | ChatEventKind::Renamed { title: _ }
        | ChatEventKind::Seen { person: _, properties: _ }
        | ChatEventKind::Failed
        | ChatEventKind::Retried
        | ChatEventKind::Closed => {}
    }
}

#[test]
fn an_environment_can_be_made_of_a_clock_and_chance() {
    #[derive(Debug)]
    struct Standing;
    impl Environment for Standing {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(0)
        }

        fn fill_random(&self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
    }
    let shared: &(dyn Environment + Send + Sync) = &Standing;
    assert_eq!(shared.now(), Timestamp::from_millis(0));
    assert_eq!(shared.new_uuid().get_version_num(), 4);
    assert_eq!(shared.new_ordered_uuid().get_version_num(), 7);
}

#[test]
fn strategies_give_what_they_gave() {
    fn gives<T>(_: impl Strategy<Value = T>) {}
    gives::<Chat>(strategies::chat());
    gives::<Record>(strategies::record());
    gives::<Vec<ChatEvent>>(strategies::events());
    gives::<ChatEvent>(strategies::event());
    gives::<ChatEventKind>(strategies::event_kind());
    gives::<EventSource>(strategies::event_source());
    gives::<ParticipantId>(strategies::person());
    gives::<Timestamp>(strategies::timestamp());
    any::<ChatId>();
    any::<ParticipantId>();
    any::<OperationId>();
    any::<TokenId>();
    any::<Timestamp>();
    any::<ChatEvent>();
    any::<ChatEventKind>();
    any::<EventSource>();
    any::<Record>();
    any::<Chat>();
}
