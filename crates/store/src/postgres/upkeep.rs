//! What is done now and then, a bounded piece at a time.

use std::collections::BTreeMap;

use convoke_domain::{ChatId, Timestamp};
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Integer, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{events, failure::Outcome, schema::chats, sql::Sql};
use crate::{DOCUMENT_VERSION, Retention, document};

/// How many rows are deleted at once.
const DELETE_BATCH: i64 = 10_000;
/// How many documents are rendered anew at once.
const RENDER_BATCH: i64 = 500;

/// Deletes what has been kept long enough; returns how many rows.
pub async fn delete_expired(mut queries: &AsyncPgConnection, now: Timestamp, retention: &Retention) -> Outcome<u64> {
    const OPERATIONS: &str = "delete from operations using ( \
            select tenant_id, id from operations where completed_at < $1 limit $2 for update skip locked) as old \
        where operations.tenant_id = old.tenant_id and operations.id = old.id";
    const KEYS: &str = "delete from idempotency_keys where ctid = any(array( \
        select ctid from idempotency_keys where created_at < $1 limit $2 for update skip locked))";
    let mut deleted = 0;
    for (statement, kept_for) in [(OPERATIONS, retention.operations), (KEYS, retention.idempotency_keys)] {
        let delete = Sql::<()>::new(statement)
            .bind::<BigInt, _>(now.minus(kept_for).as_millis())
            .bind::<BigInt, _>(DELETE_BATCH);
        deleted += delete.execute(&mut queries).await? as u64;
    }
    Ok(deleted)
}

/// Renders documents of an older form anew, within a transaction; returns how many.
pub async fn rewrite_outdated(mut queries: &AsyncPgConnection) -> Outcome<u64> {
    const REWRITE: &str = "update chats set document = new.document, document_version = $1, version = version + 1 \
        from unnest($2, $3, $4) as new (tenant_id, id, document) \
        where chats.tenant_id = new.tenant_id and chats.id = new.id";
    let outdated: Vec<(String, Uuid)> = chats::table
        .filter(chats::document_version.lt(DOCUMENT_VERSION))
        .select((chats::tenant_id, chats::id))
        .limit(RENDER_BATCH)
        .for_no_key_update()
        .skip_locked()
        .load(&mut queries)
        .await?;
    let (mut tenants, mut ids, mut documents) = (Vec::new(), Vec::new(), Vec::new());
    let mut by_tenant: BTreeMap<String, Vec<Uuid>> = BTreeMap::new();
    for (tenant, id) in outdated {
        by_tenant.entry(tenant).or_default().push(id);
    }
    for (tenant, chats) in by_tenant {
        for (id, events) in events::of_chats(queries, &tenant, &chats).await? {
            let record = document::record(ChatId(id), &events)?;
            documents.push(document::render(&record.chat)?);
            tenants.push(tenant.clone());
            ids.push(id);
        }
    }
    let rewritten = ids.len() as u64;
    if rewritten > 0 {
        Sql::<()>::new(REWRITE)
            .bind::<Integer, _>(DOCUMENT_VERSION)
            .bind::<Array<Text>, _>(tenants)
            .bind::<Array<SqlUuid>, _>(ids)
            .bind::<Array<Text>, _>(documents)
            .execute(&mut queries)
            .await?;
    }
    Ok(rewritten)
}

/// Has statistics gathered of each table that is ten times as large as when that was last done.
///
/// Autovacuum does it too, but only looks once a minute, and a plan is kept until there are new statistics. While a table
/// is next to empty, all indexes that begin with the tenant cost the same to the planner, and for what is asked by tenant
/// and id it may take another one than the primary key: foreign keys then walk through all chats of the tenant, and a new
/// database takes half of the registrations that it could. Of a table that was looked at while it was empty, as after a
/// restore, the planner reads all rows.
pub async fn refresh_statistics(mut queries: &AsyncPgConnection) -> Outcome<()> {
    // Who may not gather them leaves it to autovacuum: PostgreSQL would warn each time.
    const OUTGROWN: &str = "select relname::text from pg_class where oid = any (array['chats', 'chat_events', 'people', \
            'participations', 'operations', 'idempotency_keys', 'sandbox_groups']::regclass[]) \
        and pg_relation_size(oid) > current_setting('block_size')::bigint * 10 * relpages \
        and pg_has_role(relowner, 'usage')";
    for table in Sql::<Text>::new(OUTGROWN).load::<String>(&mut queries).await? {
        // Skipped if somebody else is at it.
        Sql::<()>::new(&format!("analyze (skip_locked) {table}")).execute(&mut queries).await?;
    }
    Ok(())
}
