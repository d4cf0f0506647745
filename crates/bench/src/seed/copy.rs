//! Rows in the text form of `copy`.

use std::{collections::BTreeMap, fmt::Write as _};

use bytes::Bytes;
use convoke_domain::{ChatEvent, EndReason, TenantId, Timestamp};
use convoke_store::DOCUMENT_VERSION;
use futures_util::SinkExt as _;
use tokio_postgres::Client;

use super::{
    Form,
    chats::{Person, SeededChat, ThinChat},
};
use crate::Failure;

const CHATS: &str = "chats (tenant_id, id, service, provider_chat_id, status, is_active, title, created_by, \
    registered_at, updated_at, last_event_at, version, registration_hash, operation_id, document, document_version)";
const EVENTS: &str = "chat_events (tenant_id, chat_id, key, source, at, recorded_at, body)";
const PEOPLE: &str = "people (tenant_id, id, service, external_id)";
const STAYS: &str = "participations (tenant_id, chat_id, person_id, ordinal, joined_at, left_at, invited_by, \
    end_reason, removed_by)";

const DAY_MILLIS: i64 = 86_400_000;

/// Rows of every table, and how many chats there are of each day.
#[derive(Default)]
pub struct Chunk {
    chats: String,
    events: String,
    people: String,
    stays: String,
    by_day: BTreeMap<i64, (i64, i64)>,
}

/// Writes rows.
pub async fn copy_in(client: &Client, chunk: &Chunk) -> Result<(), Failure> {
    for (table, rows) in
        [(PEOPLE, &chunk.people), (CHATS, &chunk.chats), (EVENTS, &chunk.events), (STAYS, &chunk.stays)]
    {
        if !rows.is_empty() {
            let mut sink = std::pin::pin!(client.copy_in(&format!("copy {table} from stdin")).await?);
            sink.send(Bytes::copy_from_slice(rows.as_bytes())).await?;
            sink.finish().await?;
        }
    }
    Ok(())
}

impl Chunk {
    /// For each day: an instant of it, and how many chats it has that are active and that are not.
    pub fn by_day(&self) -> impl Iterator<Item = (Timestamp, i64, i64)> {
        self.by_day.iter().map(|(day, (active, inactive))| (Timestamp::from_millis(*day), *active, *inactive))
    }

    /// How many chats there are.
    pub fn chats(&self) -> u64 {
        self.by_day.values().map(|(active, inactive)| (active + inactive).unsigned_abs()).sum()
    }

    fn count(&mut self, registered_at: Timestamp, is_active: bool) {
        let millis = registered_at.as_millis();
        let counts = self.by_day.entry(millis - millis.rem_euclid(DAY_MILLIS)).or_default();
        *(if is_active { &mut counts.0 } else { &mut counts.1 }) += 1;
    }

    pub fn push_person(&mut self, tenant: &TenantId, person: &Person) {
        Row::new(&mut self.people).text(tenant.as_str()).put(person.id).text("sandbox").text(&person.external_id).end();
    }

    pub fn push_thin(&mut self, tenant: &TenantId, thin: &ThinChat) {
        let status = if thin.is_active { "active" } else { "closed" };
        let document = format!("{{\"id\":\"{}\"}}", thin.id);
        let at = thin.registered_at.as_millis();
        Row::new(&mut self.chats)
            .text(tenant.as_str())
            .put(thin.id)
            .text("sandbox")
            .null()
            .text(status)
            .put(thin.is_active)
            .text(&thin.title)
            .text(&thin.created_by)
            .put(at)
            .put(at)
            .put(at)
            .put(0)
            .text("")
            .put(thin.operation_id)
            .text(&document)
            .put(DOCUMENT_VERSION)
            .end();
        self.count(thin.registered_at, thin.is_active);
    }

    pub fn push(&mut self, tenant: &TenantId, seeded: &SeededChat, form: Form) {
        let chat = &seeded.chat;
        let document = serde_json::to_string(chat).expect("a chat is always written");
        let hash = seeded.registration_hash.iter().fold("\\x".to_owned(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        Row::new(&mut self.chats)
            .text(tenant.as_str())
            .put(chat.id)
            .text(chat.service.as_str())
            .option(seeded.provider_chat_id.as_deref())
            .text(chat.status.as_str())
            .put(chat.is_active)
            .text(chat.current_title().unwrap_or_default())
            .option(chat.created_by.as_deref())
            .put(chat.registered_at.as_millis())
            .put(chat.updated_at.as_millis())
            .put(seeded.last_event_at.as_millis())
            .put(seeded.events.len() - 1)
            .text(&hash)
            .put(seeded.operation_id)
            .text(&document)
            .put(DOCUMENT_VERSION)
            .end();
        self.count(chat.registered_at, chat.is_active);
        if form == Form::Full {
            seeded.events.iter().for_each(|event| self.push_event(tenant, seeded, event));
            self.push_stays(tenant, seeded);
        }
    }

    fn push_event(&mut self, tenant: &TenantId, seeded: &SeededChat, event: &ChatEvent) {
        let body = serde_json::to_string(&event.kind).expect("an event is always written");
        Row::new(&mut self.events)
            .text(tenant.as_str())
            .put(seeded.chat.id)
            .text(&event.key)
            .text(event.source.as_str())
            .put(event.at.as_millis())
            .put(event.recorded_at.as_millis())
            .text(&body)
            .end();
    }

    fn push_stays(&mut self, tenant: &TenantId, seeded: &SeededChat) {
        for participant in &seeded.chat.participants {
            for (ordinal, stay) in participant.participations.iter().enumerate() {
                Row::new(&mut self.stays)
                    .text(tenant.as_str())
                    .put(seeded.chat.id)
                    .put(participant.id)
                    .put(ordinal)
                    .put(stay.joined_at.as_millis())
                    .put_option(stay.left_at.map(Timestamp::as_millis))
                    .put_option(stay.invited_by)
                    .option(stay.end_reason.map(EndReason::as_str))
                    .put_option(stay.removed_by)
                    .end();
            }
        }
    }
}

/// A row, written column by column.
struct Row<'a> {
    out: &'a mut String,
    is_first: bool,
}

impl<'a> Row<'a> {
    const fn new(out: &'a mut String) -> Self {
        Self { out, is_first: true }
    }

    fn separate(&mut self) {
        if !std::mem::take(&mut self.is_first) {
            self.out.push('\t');
        }
    }

    /// A value without characters that mean something in this form.
    fn put(mut self, value: impl std::fmt::Display) -> Self {
        self.separate();
        let _ = write!(self.out, "{value}");
        self
    }

    fn text(mut self, text: &str) -> Self {
        self.separate();
        for c in text.chars() {
            match c {
                '\\' => self.out.push_str("\\\\"),
                '\t' => self.out.push_str("\\t"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                _ => self.out.push(c),
            }
        }
        self
    }

    fn null(self) -> Self {
        self.put("\\N")
    }

    fn option(self, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.text(text),
            None => self.null(),
        }
    }

    fn put_option(self, value: Option<impl std::fmt::Display>) -> Self {
        match value {
            Some(value) => self.put(value),
            None => self.null(),
        }
    }

    fn end(self) {
        self.out.push('\n');
    }
}
