//! The sandbox's groups, and what happened in them until it is recorded.

use std::{collections::BTreeSet, time::Duration};

use async_trait::async_trait;
use convoke_domain::{ChatId, ParticipantId, Service, TenantId};
use convoke_provider::{NewSandboxGroup, SandboxGroup, SandboxStorage, StorageError};
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Integer, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tokio::runtime::Handle;
use uuid::Uuid;

use super::{
    PostgresStore,
    deadline::REQUEST_DEADLINE,
    events,
    failure::Outcome,
    gather::{self, Gathered},
    pool::Pool,
    schema::{chats, people, sandbox_events, sandbox_groups},
    sql::Sql,
};
use crate::{StoreError, rows};

/// How long another process's events may go unnoticed.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

type GroupRow = (String, String, Uuid, i64, String, String);

fn group(row: GroupRow) -> Result<SandboxGroup, StoreError> {
    let (code, tenant, chat, version, state, status) = row;
    Ok(SandboxGroup {
        code,
        tenant: rows::tenant(&tenant)?,
        chat_id: ChatId(chat),
        chat_status: rows::status(&status)?,
        version,
        state,
    })
}

/// Groups with the status of their chats.
macro_rules! groups {
    () => {
        sandbox_groups::table
            .inner_join(
                chats::table
                    .on(chats::tenant_id.eq(sandbox_groups::tenant_id).and(chats::id.eq(sandbox_groups::chat_id))),
            )
            .select((
                sandbox_groups::code,
                sandbox_groups::tenant_id,
                sandbox_groups::chat_id,
                sandbox_groups::version,
                sandbox_groups::state,
                chats::status,
            ))
    };
}

/// How many groups are written together at most.
const AT_ONCE: usize = 128;

/// Writes new groups, on `runtime`.
pub fn inserts(pool: &Pool, runtime: &Handle) -> Gathered<NewSandboxGroup, ()> {
    let pool = pool.clone();
    Gathered::new(runtime, AT_ONCE, move |batch| {
        let pool = pool.clone();
        async move {
            let (groups, answers) = gather::apart(batch);
            answers.give(insert_all(&pool, &groups).await);
        }
    })
}

async fn insert_all(pool: &Pool, groups: &[NewSandboxGroup]) -> Vec<Result<(), StoreError>> {
    let write = |groups| pool.once(REQUEST_DEADLINE, move |own| async move { insert(&own, groups).await });
    match write(groups).await {
        Ok(()) => groups.iter().map(|_| Ok(())).collect(),
        // One of them is at fault, and nothing was written.
        Err(failure) if failure.is_servers_own() && groups.len() > 1 => {
            let mut answers = Vec::new();
            for group in groups {
                answers.push(write(std::slice::from_ref(group)).await.map_err(StoreError::from));
            }
            answers
        }
        Err(failure) => {
            let error = StoreError::from(failure);
            groups.iter().map(|_| Err(error.clone())).collect()
        }
    }
}

async fn insert(mut queries: &AsyncPgConnection, groups: &[NewSandboxGroup]) -> Outcome<()> {
    const INSERT: &str = "insert into sandbox_groups (code, tenant_id, chat_id, version, state) \
        select code, tenant_id, chat_id, 0, state from unnest($1, $2, $3, $4) as made (code, tenant_id, chat_id, state)";
    Sql::<()>::new(INSERT)
        .bind::<Array<Text>, _>(groups.iter().map(|group| group.code.as_str()).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(groups.iter().map(|group| group.tenant.as_str()).collect::<Vec<_>>())
        .bind::<Array<SqlUuid>, _>(groups.iter().map(|group| group.chat_id.0).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(groups.iter().map(|group| group.state.as_str()).collect::<Vec<_>>())
        .execute(&mut queries)
        .await?;
    Ok(())
}

/// Replaces a state and adds events, in one statement.
async fn save(
    mut queries: &AsyncPgConnection,
    code: &str,
    version: i64,
    state: &str,
    events: &[String],
) -> Outcome<bool> {
    const SAVE: &str = "with saved as ( \
            update sandbox_groups set version = version + 1, state = $3 where code = $1 and version = $2 \
            returning code, version), \
        events as (insert into sandbox_events (code, version, ordinal, body) \
            select saved.code, saved.version, event.ordinal - 1, event.body \
            from saved cross join unnest($4) with ordinality as event (body, ordinal)) \
        select count(*) from saved";
    let saved: i64 = Sql::<BigInt>::new(SAVE)
        .bind::<Text, _>(code)
        .bind::<BigInt, _>(version)
        .bind::<Text, _>(state)
        .bind::<Array<Text>, _>(events)
        .get_result(&mut queries)
        .await?;
    Ok(saved == 1)
}

async fn pending(mut queries: &AsyncPgConnection, limit: u32) -> Outcome<Vec<(String, String)>> {
    let rows: Vec<(String, i64, i32, String)> = sandbox_events::table
        .order((sandbox_events::code, sandbox_events::version, sandbox_events::ordinal))
        .limit(i64::from(limit))
        .load(&mut queries)
        .await?;
    Ok(rows.into_iter().map(|(code, version, n, body)| (format!("{code}/{version}/{n}"), body)).collect())
}

async fn delete(mut queries: &AsyncPgConnection, names: &[(&str, i64, i32)]) -> Outcome<()> {
    const DELETE: &str = "delete from sandbox_events using unnest((select $1), (select $2), (select $3)) as told (code, version, ordinal) \
        where sandbox_events.code = told.code and sandbox_events.version = told.version \
        and sandbox_events.ordinal = told.ordinal";
    Sql::<()>::new(DELETE)
        .bind::<Array<Text>, _>(names.iter().map(|name| name.0).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(names.iter().map(|name| name.1).collect::<Vec<_>>())
        .bind::<Array<Integer>, _>(names.iter().map(|name| name.2).collect::<Vec<_>>())
        .execute(&mut queries)
        .await?;
    Ok(())
}

#[async_trait]
impl SandboxStorage for PostgresStore {
    async fn insert_group(&self, group: NewSandboxGroup) -> Result<(), StorageError> {
        Ok(self.sandbox_groups.make(group, REQUEST_DEADLINE).await?)
    }

    async fn find_group(&self, code: &str) -> Result<Option<SandboxGroup>, StorageError> {
        let found = self.reads.read(|shared| async move {
            let found = groups!().filter(sandbox_groups::code.eq(code));
            let row: Option<GroupRow> = found.first(&mut shared.queries()).await.optional()?;
            Ok(row.map(group).transpose()?)
        });
        Ok(found.await?)
    }

    async fn find_group_of(&self, tenant: &TenantId, chat: ChatId) -> Result<Option<SandboxGroup>, StorageError> {
        let found = self.reads.read(|shared| async move {
            let found = groups!()
                .filter(sandbox_groups::tenant_id.eq(tenant.as_str()))
                .filter(sandbox_groups::chat_id.eq(chat.0));
            let row: Option<GroupRow> = found.first(&mut shared.queries()).await.optional()?;
            Ok(row.map(group).transpose()?)
        });
        Ok(found.await?)
    }

    async fn save_group(
        &self,
        code: &str,
        version: i64,
        state: String,
        events: Vec<String>,
    ) -> Result<bool, StorageError> {
        let (state, events) = (&state, &events);
        let saved = self.write_once(|own| async move { save(&own, code, version, state, events).await }).await?;
        if saved && !events.is_empty() {
            self.herald.sandbox_events();
        }
        Ok(saved)
    }

    async fn pending_events(&self, limit: u32) -> Result<Vec<(String, String)>, StorageError> {
        Ok(self.reads.read(|shared| async move { pending(shared.queries(), limit).await }).await?)
    }

    async fn delete_events(&self, names: Vec<String>) -> Result<(), StorageError> {
        let names = names.iter().map(|name| rows::sandbox_event_name(name)).collect::<Result<Vec<_>, _>>()?;
        let names = &names;
        Ok(self.write_once(|own| async move { delete(&own, names).await }).await?)
    }

    async fn events_kept(&self) {
        // Whether it was notified or the time is up, the caller looks again.
        drop(tokio::time::timeout(LOOK_AGAIN, self.herald.changes().sandbox_events.notified()).await);
    }

    async fn participant_id(&self, tenant: &TenantId, external_id: &str) -> Result<ParticipantId, StorageError> {
        // Most often somebody who is known.
        let known = self.reads.read(|shared| async move {
            let found = people::table
                .filter(people::tenant_id.eq(tenant.as_str()))
                .filter(people::service.eq(Service::Sandbox.as_str()))
                .filter(people::external_id.eq(external_id));
            Ok(found.select(people::id).first::<Uuid>(&mut shared.queries()).await.optional()?)
        });
        if let Some(id) = known.await? {
            return Ok(ParticipantId(id));
        }
        let people = BTreeSet::from([external_id]);
        let (people, environment) = (&people, self.environment.as_ref());
        let ids = self.pool.transaction(REQUEST_DEADLINE, |work| async move {
            let ids = events::people_ids(&work, environment, tenant, Service::Sandbox, people).await?;
            work.commit().await?;
            Ok(ids)
        });
        Ok(ids.await?[external_id])
    }
}
