#![doc = include_str!("../README.md")]

mod chat;
mod environment;
mod event;
mod id;
mod mistake;
mod operation;
mod query;
mod record;
mod scope;
mod service;
#[cfg(feature = "proptest")]
pub mod strategies;
mod text;
mod timestamp;

pub use chat::{
    Chat, ChatStatus, EndReason, Participant, Participation, TITLE_CONTENT_TYPE, TitleEntry, UserProperties,
};
pub use environment::Environment;
pub use event::{ChatEvent, ChatEventKind, EventSource};
pub use id::{ChatId, OperationId, ParticipantId, TenantId, TokenId};
pub use mistake::{Mistake, MistakeCode};
pub use operation::{Operation, OperationError, OperationErrorCode, OperationStatus, OperationType};
pub use query::{ChatFilter, ChatQuery, Direction, PageNumber, PageSize, Sort, SortField, SortKey, WalkPosition};
pub use record::{Record, RecordError};
pub use scope::Scope;
pub use service::{Service, Utf16Limit};
pub use text::{ChatTitle, CreatedBy, Description};
pub use timestamp::Timestamp;

/// The examples of docs/reuse.md are compiled and run with the others.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/reuse.md")]
struct ReuseExamples;
