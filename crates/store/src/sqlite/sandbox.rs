//! The sandbox's groups, and what happened in them until it is recorded.

use std::time::Duration;

use async_trait::async_trait;
use convoke_domain::{ChatId, ParticipantId, Service, TenantId};
use convoke_provider::{NewSandboxGroup, SandboxGroup, SandboxStorage, StorageError};
use diesel::{SqliteConnection, prelude::*};

use super::{
    SqliteStore,
    id::Id,
    people,
    schema::{chats, sandbox_events, sandbox_groups},
};
use crate::{StoreError, error::Result, rows};

/// How long another process's events may go unnoticed.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

impl From<StoreError> for StorageError {
    fn from(error: StoreError) -> Self {
        Self(Box::new(error))
    }
}

type GroupRow = (String, String, Id, i64, String, String);

fn group(row: GroupRow) -> Result<SandboxGroup> {
    let (code, tenant, chat, version, state, status) = row;
    Ok(SandboxGroup {
        code,
        tenant: rows::tenant(&tenant)?,
        chat_id: ChatId(chat.0),
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

#[async_trait]
impl SandboxStorage for SqliteStore {
    async fn insert_group(&self, group: NewSandboxGroup) -> Result<(), StorageError> {
        let insert = move |connection: &mut SqliteConnection| {
            diesel::insert_into(sandbox_groups::table)
                .values((
                    sandbox_groups::code.eq(&group.code),
                    sandbox_groups::tenant_id.eq(group.tenant.as_str()),
                    sandbox_groups::chat_id.eq(Id(group.chat_id.0)),
                    sandbox_groups::version.eq(0),
                    sandbox_groups::state.eq(&group.state),
                ))
                .execute(connection)?;
            Ok(())
        };
        Ok(self.threads.write(insert).await?)
    }

    async fn find_group(&self, code: &str) -> Result<Option<SandboxGroup>, StorageError> {
        let code = code.to_owned();
        let find = move |connection: &mut SqliteConnection| {
            let row: Option<GroupRow> =
                groups!().filter(sandbox_groups::code.eq(code)).get_result(connection).optional()?;
            row.map(group).transpose()
        };
        Ok(self.threads.read(find).await?)
    }

    async fn find_group_of(&self, tenant: &TenantId, chat: ChatId) -> Result<Option<SandboxGroup>, StorageError> {
        let tenant = tenant.clone();
        let find = move |connection: &mut SqliteConnection| {
            let row: Option<GroupRow> = groups!()
                .filter(sandbox_groups::tenant_id.eq(tenant.as_str()))
                .filter(sandbox_groups::chat_id.eq(Id(chat.0)))
                .get_result(connection)
                .optional()?;
            row.map(group).transpose()
        };
        Ok(self.threads.read(find).await?)
    }

    async fn save_group(
        &self,
        code: &str,
        version: i64,
        state: String,
        events: Vec<String>,
    ) -> Result<bool, StorageError> {
        let code = code.to_owned();
        let save = move |connection: &mut SqliteConnection| {
            let unchanged = sandbox_groups::table.find(&code).filter(sandbox_groups::version.eq(version));
            let saved = diesel::update(unchanged)
                .set((sandbox_groups::version.eq(version + 1), sandbox_groups::state.eq(&state)))
                .execute(connection)?;
            if saved == 0 {
                return Ok(false);
            }
            for (ordinal, body) in (0_i32..).zip(&events) {
                diesel::insert_into(sandbox_events::table)
                    .values((
                        sandbox_events::code.eq(&code),
                        sandbox_events::version.eq(version + 1),
                        sandbox_events::ordinal.eq(ordinal),
                        sandbox_events::body.eq(body),
                    ))
                    .execute(connection)?;
            }
            Ok(true)
        };
        let saved = self.threads.write(save).await?;
        self.changes.sandbox_events.notify_one();
        Ok(saved)
    }

    async fn pending_events(&self, limit: u32) -> Result<Vec<(String, String)>, StorageError> {
        let pending = move |connection: &mut SqliteConnection| {
            let rows: Vec<(String, i64, i32, String)> = sandbox_events::table
                .order((sandbox_events::code, sandbox_events::version, sandbox_events::ordinal))
                .limit(i64::from(limit))
                .load(connection)?;
            Ok(rows.into_iter().map(|(code, version, n, body)| (format!("{code}/{version}/{n}"), body)).collect())
        };
        Ok(self.threads.read(pending).await?)
    }

    async fn delete_events(&self, names: Vec<String>) -> Result<(), StorageError> {
        let delete = move |connection: &mut SqliteConnection| {
            for name in &names {
                let (code, version, ordinal) = rows::sandbox_event_name(name)?;
                diesel::delete(sandbox_events::table.find((code, version, ordinal))).execute(connection)?;
            }
            Ok(())
        };
        Ok(self.threads.write(delete).await?)
    }

    async fn events_kept(&self) {
        // Whether it was notified or the time is up, the caller looks again.
        drop(tokio::time::timeout(LOOK_AGAIN, self.changes.sandbox_events.notified()).await);
    }

    async fn participant_id(&self, tenant: &TenantId, external_id: &str) -> Result<ParticipantId, StorageError> {
        let (tenant, external_id) = (tenant.clone(), external_id.to_owned());
        let environment = self.environment.clone();
        let id_of = move |connection: &mut SqliteConnection| {
            people::id_of(connection, environment.as_ref(), &tenant, Service::Sandbox, &external_id)
        };
        Ok(self.threads.write(id_of).await?)
    }
}
