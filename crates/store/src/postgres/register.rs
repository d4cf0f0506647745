//! Registrations. Those that arrive together are written together: one statement, one commit. A lone one waits for
//! nobody: whatever has arrived when the writer looks is the batch.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use convoke_domain::{
    ChatId, ChatStatus, CreatedBy, Description, Environment, OperationId, OperationStatus, OperationType, TenantId,
};
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Binary, Integer, Nullable, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use metrics::Histogram;
use tokio::{
    runtime::Handle,
    sync::{Semaphore, mpsc, oneshot},
    time::timeout,
};
use uuid::Uuid;

use super::{
    events,
    failure::{Failure, Outcome},
    keys::{self, KeptAnswer},
    notify::Herald,
    pool::{Pool, REQUEST_DEADLINE, late},
    schema::chats,
    sql::Sql,
};
use crate::{
    AcceptedChat, DOCUMENT_VERSION, NewChat, Registration,
    counts::Counts,
    document,
    error::{Result, StoreError},
    intake, measure, rows,
};

/// How many registrations wait at most; beyond them the answer is that the database does not keep up.
const WAITING: usize = 8_192;
/// How many are written together at most.
const AT_ONCE: usize = 512;
/// How many batches are being written at once: while one is synced to disk, the next one is sent.
const BATCHES: usize = 2;

/// Takes registrations.
pub struct Registrar {
    requests: mpsc::Sender<Request>,
}

/// A registration, with everything that is written of it.
struct Request {
    row: NewRow,
    answer: oneshot::Sender<Result<Registration>>,
}

/// What is written of a registration.
struct NewRow {
    tenant: TenantId,
    chat: NewChat,
    hash: [u8; 32],
    status: ChatStatus,
    is_active: bool,
    updated_at: i64,
    last_event_at: i64,
    document: String,
    event_key: String,
    event_source: &'static str,
    event_body: String,
    counts: Counts,
    delta_id: Uuid,
}

impl NewRow {
    fn new(environment: &dyn Environment, tenant: &TenantId, chat: NewChat) -> Result<Self> {
        let event = intake::registered(&chat);
        let record = document::record(chat.id, std::slice::from_ref(&event))?;
        Ok(Self {
            tenant: tenant.clone(),
            hash: chat.registration_hash(),
            status: record.chat.status,
            is_active: record.chat.is_active,
            updated_at: record.chat.updated_at.as_millis(),
            last_event_at: record.last_event_at.as_millis(),
            document: document::render(&record.chat)?,
            event_body: events::body(&event)?,
            event_key: event.key,
            event_source: event.source.as_str(),
            counts: Counts::change(None, record.chat.is_active),
            delta_id: environment.new_uuid(),
            chat,
        })
    }

    fn accepted(&self) -> AcceptedChat {
        AcceptedChat { chat_id: self.chat.id, operation_id: self.chat.operation_id, status: self.status }
    }

    /// By what rows are sorted, so that two processes that write the same keys never wait for each other in a circle.
    fn place(&self) -> (&str, Option<(&str, &str)>, Uuid) {
        let key = self.chat.idempotency.as_ref().map(|key| (key.route.as_str(), key.key.as_str()));
        (self.tenant.as_str(), key, self.chat.id.0)
    }
}

impl Registrar {
    /// Starts the writer on `runtime`; it ends with the registrar.
    pub fn start(pool: Pool, herald: Arc<Herald>, runtime: &Handle) -> Self {
        let (requests, waiting) = mpsc::channel(WAITING);
        runtime.spawn(write_batches(pool, herald, waiting));
        Self { requests }
    }

    /// Registers a chat, together with whatever else is waiting.
    pub async fn register(
        &self,
        environment: &dyn Environment,
        tenant: &TenantId,
        chat: NewChat,
    ) -> Result<Registration> {
        let row = NewRow::new(environment, tenant, chat)?;
        let (answer, answered) = oneshot::channel();
        let full = |_| StoreError::Unavailable("too many registrations are waiting".to_owned());
        self.requests.try_send(Request { row, answer }).map_err(full)?;
        timeout(REQUEST_DEADLINE, answered).await.map_err(|_| late())?.map_err(|_| late())?
    }
}

async fn write_batches(pool: Pool, herald: Arc<Herald>, mut waiting: mpsc::Receiver<Request>) {
    let places = Arc::new(Semaphore::new(BATCHES));
    let sizes = measure::batches();
    let mut batch = Vec::new();
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        if waiting.recv_many(&mut batch, AT_ONCE).await == 0 {
            return;
        }
        // Whoever gave up was told that it is not known whether it was done: better that it was not.
        batch.retain(|request| !request.answer.is_closed());
        let batch = std::mem::take(&mut batch);
        let (pool, herald, sizes) = (pool.clone(), herald.clone(), sizes.clone());
        tokio::spawn(async move {
            write_batch(&pool, &herald, &sizes, batch).await;
            drop(place);
        });
    }
}

async fn write_batch(pool: &Pool, herald: &Herald, batches: &Histogram, requests: Vec<Request>) {
    let (by_id, together): (Vec<_>, Vec<_>) = requests.into_iter().partition(|r| r.row.chat.id_is_clients);
    let (mut batch, doubles) = without_doubles(together);
    batch.sort_by(|a, b| a.row.place().cmp(&b.row.place()));
    let mut alone: Vec<Request> = by_id;
    if !batch.is_empty() {
        let rows: Vec<&NewRow> = batch.iter().map(|request| &request.row).collect();
        let rows = &rows;
        #[expect(clippy::cast_precision_loss, reason = "a batch is small")]
        batches.record(rows.len() as f64);
        let written = pool.once(REQUEST_DEADLINE, |own| async move { write_rows(&own, rows).await }).await;
        match written {
            Ok(mut answers) => {
                // Before the answers, so that whoever gets one finds the work under way.
                if answers.values().any(|answer| matches!(answer, Registration::New(_))) {
                    herald.operations();
                }
                for request in batch {
                    match answers.remove(&request.row.chat.id) {
                        Some(answer) => drop(request.answer.send(Ok(answer))),
                        // Its key was there, and is gone since: once more, in a transaction of its own.
                        None => alone.push(request),
                    }
                }
            }
            // One of them is at fault, and nothing was written: each in a transaction of its own harms nobody else.
            Err(failure) if failure.is_servers_own() => {
                tracing::warn!(?failure, rows = batch.len(), "a batch of registrations is written one by one");
                alone.extend(batch);
            }
            // It is not known whether they were written: trying again could write them twice.
            Err(failure) => {
                let error = StoreError::from(failure);
                for request in batch.into_iter().chain(doubles) {
                    let _ = request.answer.send(Err(StoreError::Unavailable(error.to_string())));
                }
                return write_alone(pool, herald, alone).await;
            }
        }
    }
    // Behind the first of their key, whose answer they get.
    alone.extend(doubles);
    write_alone(pool, herald, alone).await;
}

/// Takes those aside whose key another one in the batch has too.
fn without_doubles(requests: Vec<Request>) -> (Vec<Request>, Vec<Request>) {
    let mut keys = HashSet::new();
    requests.into_iter().partition(|request| match &request.row.chat.idempotency {
        Some(key) => keys.insert((request.row.tenant.clone(), key.route.clone(), key.key.clone())),
        None => true,
    })
}

async fn write_alone(pool: &Pool, herald: &Herald, requests: Vec<Request>) {
    // One tenant's clients may choose many ids: a few at a time, so that they take turns with everybody else.
    const AT_A_TIME: usize = 4;
    let write = |request: Request| async move {
        let row = &request.row;
        let answer = pool.transaction(REQUEST_DEADLINE, |work| async move {
            let answer = write_one(&work, row).await?;
            match answer {
                Registration::KeyReused | Registration::IdTaken | Registration::RepeatedKey(_) => {
                    work.roll_back().await?;
                }
                Registration::New(_) | Registration::RepeatedId(_) => work.commit().await?,
            }
            Ok(answer)
        });
        let answer = answer.await;
        if matches!(answer, Ok(Registration::New(_))) {
            herald.operations();
        }
        let _ = request.answer.send(answer);
    };
    futures_util::StreamExt::for_each_concurrent(futures_util::stream::iter(requests), AT_A_TIME, write).await;
}

/// Writes rows whose ids are new and whose keys differ, in one statement; answers by chat.
async fn write_rows(queries: &AsyncPgConnection, rows: &[&NewRow]) -> Outcome<HashMap<ChatId, Registration>> {
    let written = insert(queries, rows, Conflict::Keys).await?;
    let mut answers: HashMap<ChatId, Registration> = HashMap::new();
    let mut others = Vec::new();
    for row in rows {
        if written.contains(&row.chat.id.0) {
            answers.insert(row.chat.id, Registration::New(row.accepted()));
        } else {
            others.push(*row);
        }
    }
    // Their keys were there. In a second statement, for this one sees what was committed while the first one waited.
    let mut by_tenant: BTreeMap<&TenantId, Vec<&NewRow>> = BTreeMap::new();
    for row in others {
        by_tenant.entry(&row.tenant).or_default().push(row);
    }
    for (tenant, rows) in by_tenant {
        let wanted: Vec<_> = rows.iter().filter_map(|row| row.chat.idempotency.as_ref()).collect();
        let mut kept = keys::find(queries, tenant, &wanted).await?;
        for row in rows {
            let Some(key) = &row.chat.idempotency else { continue };
            if let Some(answer) = kept.remove(&(key.route.clone(), key.key.clone())) {
                answers.insert(row.chat.id, repeated(&answer, &key.request_hash)?);
            }
        }
    }
    Ok(answers)
}

fn repeated(kept: &KeptAnswer, request_hash: &[u8; 32]) -> Result<Registration> {
    if kept.request_hash != request_hash {
        return Ok(Registration::KeyReused);
    }
    let status = kept.chat_status.as_deref();
    let status = rows::status(status.ok_or_else(|| rows::inconsistent("key of a chat", &kept.chat_id.to_string()))?)?;
    Ok(Registration::RepeatedKey(AcceptedChat { chat_id: kept.chat_id, operation_id: kept.operation_id, status }))
}

/// Writes one registration whose id may be taken, within a transaction that the caller ends.
async fn write_one(queries: &AsyncPgConnection, row: &NewRow) -> Outcome<Registration> {
    if let Some(key) = &row.chat.idempotency {
        let (chat, operation) = (row.chat.id, row.chat.operation_id);
        // Whoever is at the same key waits here until the first one is through.
        if !keys::insert(queries, &row.tenant, key, chat, operation, row.chat.at).await? {
            let kept = keys::find(queries, &row.tenant, &[key]).await?.into_values().next();
            // Deleted since: the next attempt gets through.
            let gone = || Failure::from(StoreError::Unavailable("an idempotency key expired meanwhile".to_owned()));
            return Ok(repeated(&kept.ok_or_else(gone)?, &key.request_hash)?);
        }
    }
    if !insert(queries, &[row], Conflict::Ids).await?.is_empty() {
        return Ok(Registration::New(row.accepted()));
    }
    let (known, operation, status) = registered(queries, &row.tenant, row.chat.id).await?;
    if known != row.hash && row.chat.id_is_clients {
        return Ok(Registration::IdTaken);
    }
    if known != row.hash {
        return Err(rows::inconsistent("chance gave an id twice", &row.chat.id.to_string()).into());
    }
    let accepted = AcceptedChat { chat_id: row.chat.id, operation_id: operation, status };
    if !row.chat.id_is_clients {
        // An id of ours is known only if this very registration was written, and its answer was lost.
        return Ok(Registration::New(accepted));
    }
    if let Some(key) = &row.chat.idempotency {
        keys::set_operation(queries, &row.tenant, key, operation).await?;
    }
    Ok(Registration::RepeatedId(accepted))
}

async fn registered(
    mut queries: &AsyncPgConnection,
    tenant: &TenantId,
    id: ChatId,
) -> Outcome<(Vec<u8>, OperationId, ChatStatus)> {
    let (hash, operation, status): (Vec<u8>, Uuid, String) = chats::table
        .find((tenant.as_str(), id.0))
        .select((chats::registration_hash, chats::operation_id, chats::status))
        .first(&mut queries)
        .await?;
    Ok((hash, OperationId(operation), rows::status(&status)?))
}

/// What decides which rows are written.
enum Conflict {
    /// Those without a key, and those whose key is new. Keys are written too.
    Keys,
    /// Those whose id is new. Keys are the caller's affair.
    Ids,
}

/// One argument each; `accepted` says which of the rows are written, and everything follows from it.
const INPUT: &str = "with input as (select * from unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, \
    $15, $16, $17, $18, $19, $20, $21, $22, $23) as input (tenant_id, id, service, status, is_active, title, \
    description, created_by, registered_at, updated_at, last_event_at, registration_hash, operation_id, document, \
    event_key, event_source, event_body, delta_id, active, inactive, route, key, request_hash)), ";
const ACCEPT_BY_KEY: &str = "keys as (insert into idempotency_keys \
    (tenant_id, route, key, request_hash, chat_id, operation_id, created_at) \
    select tenant_id, route, key, request_hash, id, operation_id, registered_at from input where key is not null \
    on conflict do nothing returning chat_id), \
    accepted as (select * from input where key is null or id in (select chat_id from keys)), \
    chat as (insert into chats (tenant_id, id, service, status, is_active, title, description, created_by, \
    registered_at, updated_at, last_event_at, version, registration_hash, operation_id, document, document_version) \
    select tenant_id, id, service, status, is_active, title, description, created_by, registered_at, updated_at, \
    last_event_at, 0, registration_hash, operation_id, document, $24 from accepted returning id), ";
const ACCEPT_BY_ID: &str = "chat as (insert into chats (tenant_id, id, service, status, is_active, title, \
    description, created_by, registered_at, updated_at, last_event_at, version, registration_hash, operation_id, \
    document, document_version) \
    select tenant_id, id, service, status, is_active, title, description, created_by, registered_at, updated_at, \
    last_event_at, 0, registration_hash, operation_id, document, $24 from input \
    on conflict (tenant_id, id) do nothing returning id), \
    accepted as (select * from input where id in (select id from chat)), ";
const OUTPUT: &str = "event as (insert into chat_events (tenant_id, chat_id, key, source, at, recorded_at, body) \
    select tenant_id, id, event_key, event_source, registered_at, registered_at, event_body from accepted), \
    operation as (insert into operations (tenant_id, id, chat_id, kind, lane, state, attempts, created_at, updated_at, \
    next_attempt_at, fence) select tenant_id, operation_id, id, $25, service, $26, 0, registered_at, registered_at, \
    registered_at, 0 from accepted), \
    delta as (insert into chat_count_deltas (tenant_id, id, registered_at, active, inactive) \
    select tenant_id, delta_id, registered_at, active, inactive from accepted) \
    select id from chat";

/// Writes chats, each with its first event, its work and its change of the counts; the ids of those that were written.
async fn insert(mut queries: &AsyncPgConnection, rows: &[&NewRow], conflict: Conflict) -> Outcome<HashSet<Uuid>> {
    fn column<'a, T>(rows: &[&'a NewRow], of: impl Fn(&'a NewRow) -> T) -> Vec<T> {
        rows.iter().map(|row| of(row)).collect()
    }
    let accept = match conflict {
        Conflict::Keys => ACCEPT_BY_KEY,
        Conflict::Ids => ACCEPT_BY_ID,
    };
    let key = |row: &'_ NewRow| row.chat.idempotency.clone();
    let statement = Sql::<SqlUuid>::new(&[INPUT, accept, OUTPUT].concat())
        .bind::<Array<Text>, _>(column(rows, |row| row.tenant.as_str()))
        .bind::<Array<SqlUuid>, _>(column(rows, |row| row.chat.id.0))
        .bind::<Array<Text>, _>(column(rows, |row| row.chat.service.as_str()))
        .bind::<Array<Text>, _>(column(rows, |row| row.status.as_str()))
        .bind::<Array<diesel::sql_types::Bool>, _>(column(rows, |row| row.is_active))
        .bind::<Array<Text>, _>(column(rows, |row| row.chat.title.as_str()))
        .bind::<Array<Nullable<Text>>, _>(column(rows, |row| row.chat.description.as_ref().map(Description::as_str)))
        .bind::<Array<Nullable<Text>>, _>(column(rows, |row| row.chat.created_by.as_ref().map(CreatedBy::as_str)))
        .bind::<Array<BigInt>, _>(column(rows, |row| row.chat.at.as_millis()))
        .bind::<Array<BigInt>, _>(column(rows, |row| row.updated_at))
        .bind::<Array<BigInt>, _>(column(rows, |row| row.last_event_at))
        .bind::<Array<Binary>, _>(column(rows, |row| row.hash.as_slice()))
        .bind::<Array<SqlUuid>, _>(column(rows, |row| row.chat.operation_id.0))
        .bind::<Array<Text>, _>(column(rows, |row| row.document.as_str()))
        .bind::<Array<Text>, _>(column(rows, |row| row.event_key.as_str()))
        .bind::<Array<Text>, _>(column(rows, |row| row.event_source))
        .bind::<Array<Text>, _>(column(rows, |row| row.event_body.as_str()))
        .bind::<Array<SqlUuid>, _>(column(rows, |row| row.delta_id))
        .bind::<Array<BigInt>, _>(column(rows, |row| row.counts.active))
        .bind::<Array<BigInt>, _>(column(rows, |row| row.counts.inactive))
        .bind::<Array<Nullable<Text>>, _>(column(rows, |row| key(row).map(|key| key.route)))
        .bind::<Array<Nullable<Text>>, _>(column(rows, |row| key(row).map(|key| key.key)))
        .bind::<Array<Nullable<Binary>>, _>(column(rows, |row| key(row).map(|key| key.request_hash.to_vec())))
        .bind::<Integer, _>(DOCUMENT_VERSION)
        .bind::<Text, _>(OperationType::CreateChat.as_str())
        .bind::<Text, _>(OperationStatus::Pending.as_str());
    let written: Vec<Uuid> = statement.load(&mut queries).await?;
    Ok(written.into_iter().collect())
}
