//! What `convoke doctor` looks for: differences between what is derived and kept, and what the events say.

use std::collections::BTreeMap;

use convoke_domain::{ChatEvent, ChatId, Record};
use diesel::Queryable;
use uuid::Uuid;

use crate::{
    DOCUMENT_VERSION, DoctorReport, Finding, Reached, Unit,
    counts::{Bucket, Level},
    document,
};

/// A chat's row and stays, as they are kept.
pub struct KeptChat {
    pub tenant: String,
    pub id: ChatId,
    pub columns: Columns,
    pub document: String,
    pub document_version: i32,
    pub stays: Vec<KeptStay>,
}

/// What a chat's row has beside the document, for lists and look-ups.
#[derive(Debug, PartialEq, Eq, Queryable)]
pub struct Columns {
    service: String,
    status: String,
    is_active: bool,
    title: String,
    description: Option<String>,
    created_by: Option<String>,
    registered_at: i64,
    updated_at: i64,
    last_event_at: i64,
}

impl From<&Record> for Columns {
    fn from(Record { chat, last_event_at, .. }: &Record) -> Self {
        Self {
            service: chat.service.as_str().to_owned(),
            status: chat.status.as_str().to_owned(),
            is_active: chat.is_active,
            title: chat.current_title().unwrap_or_default().to_owned(),
            description: chat.description.clone(),
            created_by: chat.created_by.clone(),
            registered_at: chat.registered_at.as_millis(),
            updated_at: chat.updated_at.as_millis(),
            last_event_at: last_event_at.as_millis(),
        }
    }
}

/// A row of `participations`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeptStay {
    pub person: Uuid,
    pub ordinal: i32,
    pub joined_at: i64,
    pub left_at: Option<i64>,
    pub invited_by: Option<Uuid>,
    pub end_reason: Option<String>,
    pub removed_by: Option<Uuid>,
}

impl From<document::Stay> for KeptStay {
    fn from(stay: document::Stay) -> Self {
        Self {
            person: stay.person.0,
            ordinal: stay.ordinal,
            joined_at: stay.joined_at.as_millis(),
            left_at: stay.left_at.map(convoke_domain::Timestamp::as_millis),
            invited_by: stay.invited_by.map(|id| id.0),
            end_reason: stay.end_reason.map(|reason| reason.as_str().to_owned()),
            removed_by: stay.removed_by.map(|id| id.0),
        }
    }
}

/// The last step of an examination.
pub const COUNTS_LOOKED_AT: Reached<'static> = Reached { step: "counts", done: 0, total: None, unit: Unit::Things };

/// How far an examination has come that looks at this many chats.
pub fn chats_looked_at(report: &DoctorReport, total: u64) -> Reached<'static> {
    Reached { step: "chats", done: report.chats, total: Some(total), unit: Unit::Things }
}

/// Compares a chat with what its events say.
pub fn compare_chat(kept: &KeptChat, events: &[ChatEvent], report: &mut DoctorReport) {
    report.chats += 1;
    let mut find = |what: String| {
        report.findings.push(Finding { tenant: kept.tenant.clone(), chat_id: Some(kept.id), what });
    };
    let record = match document::record(kept.id, events) {
        Ok(record) => record,
        Err(error) => return find(format!("its events make no record: {error}")),
    };
    let chat = &record.chat;
    // A document of an older form is rendered anew when it is read; only one of this form is compared.
    if kept.document_version == DOCUMENT_VERSION {
        match document::render(chat) {
            Ok(expected) if expected == kept.document => {}
            Ok(expected) => find(format!("document: {} instead of {expected}", kept.document)),
            Err(error) => find(format!("document: {error}")),
        }
    }
    let expected = Columns::from(&record);
    if kept.columns != expected {
        find(format!("columns: {:?} instead of {expected:?}", kept.columns));
    }
    let mut expected: Vec<KeptStay> = document::stays(chat).into_iter().map(KeptStay::from).collect();
    expected.sort();
    let mut stays: Vec<&KeptStay> = kept.stays.iter().collect();
    stays.sort();
    if !stays.iter().copied().eq(expected.iter()) {
        find(format!("stays: {stays:?} instead of {expected:?}"));
    }
}

/// Compares a tenant's kept counts with what counting finds, level by level. Spans are expected of each day, and of the
/// next level wherever a span is split.
pub fn compare_counts(
    tenant: &str,
    kept: &BTreeMap<Level, Vec<Bucket>>,
    counted: &BTreeMap<Level, Vec<Bucket>>,
    report: &mut DoctorReport,
) {
    let mut find = |level: Level, start: i64, what: String| {
        let what = format!("counts of level {} from {start}: {what}", level as i16);
        report.findings.push(Finding { tenant: tenant.to_owned(), chat_id: None, what });
    };
    // Where the spans of a level are expected: everywhere for a day, in split spans for a finer one.
    let mut parents: Option<(Level, Vec<i64>)> = None;
    for level in Level::ALL {
        let expected: BTreeMap<i64, Bucket> = counted[&level]
            .iter()
            .filter(|bucket| match &parents {
                Some((parent, starts)) => starts.contains(&parent.start_of(bucket.start)),
                None => true,
            })
            .map(|bucket| (bucket.start, *bucket))
            .collect();
        let known: BTreeMap<i64, Bucket> = kept[&level].iter().map(|bucket| (bucket.start, *bucket)).collect();
        for start in expected.keys().chain(known.keys().filter(|start| !expected.contains_key(start))) {
            let expected = expected.get(start).map(|bucket| bucket.counts).unwrap_or_default();
            let known = known.get(start).map(|bucket| bucket.counts).unwrap_or_default();
            if expected != known {
                find(level, *start, format!("{known:?} instead of {expected:?}"));
            }
        }
        if level != Level::All {
            let split = known.values().filter(|bucket| bucket.is_split).map(|bucket| bucket.start).collect();
            parents = Some((level, split));
        }
    }
}
