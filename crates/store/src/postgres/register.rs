//! Registrations. Those that arrive together are written together: one statement, one commit.

mod rows;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use convoke_domain::{ChatId, ChatStatus, OperationId, TenantId};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use metrics::Histogram;
use tokio::runtime::Handle;
use uuid::Uuid;

use super::{
    deadline::{REQUEST_DEADLINE, of_a_call},
    failure::{Failure, Outcome},
    gather::{Asked, Gathered},
    keys::{self, KeptAnswer},
    notify::Herald,
    pool::Pool,
    schema::chats,
};
use crate::{
    AcceptedChat, NewChat, Registration,
    error::{Result, StoreError},
    measure,
};
use rows::{Conflict, NewRow, insert};

/// How many are written together at most.
const AT_ONCE: usize = 512;

/// How many whose ids may be taken are written at the same time, each in a transaction of its own.
const AT_A_TIME: usize = 4;

/// Takes registrations.
pub struct Registrar {
    together: Gathered<NewRow, Registration>,
    /// Of those with ids of clients' choice: one commit each, which nobody else is to wait for.
    alone: Gathered<NewRow, Registration>,
}

type Request = Asked<NewRow, Registration>;

impl Registrar {
    /// Writes on `runtime`.
    pub fn new(pool: Pool, herald: Arc<Herald>, runtime: &Handle) -> Self {
        let sizes = measure::batches();
        let by_ids_of_ours = (pool.clone(), herald.clone());
        let together = Gathered::new(runtime, AT_ONCE, move |batch| {
            let ((pool, herald), sizes) = (by_ids_of_ours.clone(), sizes.clone());
            async move { write_batch(&pool, &herald, &sizes, batch).await }
        });
        let alone = Gathered::new(runtime, AT_A_TIME, move |few| {
            let (pool, herald) = (pool.clone(), herald.clone());
            async move { write_alone(&pool, &herald, few).await }
        });
        Self { together, alone }
    }

    /// Registers a chat, together with whatever else is waiting.
    pub async fn register(&self, tenant: &TenantId, chat: NewChat) -> Result<Registration> {
        let queue = if chat.id_is_clients { &self.alone } else { &self.together };
        queue.make(NewRow::new(tenant, chat)?, of_a_call()).await
    }
}

async fn write_batch(pool: &Pool, herald: &Herald, batches: &Histogram, requests: Vec<Request>) {
    let (mut batch, doubles) = without_doubles(requests);
    batch.sort_by(|a, b| a.write.place().cmp(&b.write.place()));
    let mut alone = Vec::new();
    if !batch.is_empty() {
        let rows: Vec<&NewRow> = batch.iter().map(|request| &request.write).collect();
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
                    match answers.remove(&request.write.chat.id) {
                        Some(answer) => request.answer(Ok(answer)),
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
                    request.answer(Err(StoreError::Unavailable(error.to_string())));
                }
                return;
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
    requests.into_iter().partition(|request| match &request.write.chat.idempotency {
        Some(key) => keys.insert((request.write.tenant.clone(), key.route.clone(), key.key.clone())),
        None => true,
    })
}

async fn write_alone(pool: &Pool, herald: &Herald, requests: Vec<Request>) {
    let write = |request: Request| async move {
        let row = &request.write;
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
        request.answer(answer);
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
    let status = crate::rows::status(
        status.ok_or_else(|| crate::rows::inconsistent("key of a chat", &kept.chat_id.to_string()))?,
    )?;
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
        return Err(crate::rows::inconsistent("chance gave an id twice", &row.chat.id.to_string()).into());
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
    Ok((hash, OperationId(operation), crate::rows::status(&status)?))
}
