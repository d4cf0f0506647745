//! How many chats there are. Writers leave changes; one process at a time adds them to the kept spans.

use std::collections::{BTreeMap, BTreeSet};

use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Bool, SmallInt, Text},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::{
    failure::Outcome,
    schema::{chat_count_deltas, chat_counts},
    sql::Sql,
};
use crate::counts::{Bucket, Counts, Delta, Level, SPLIT_ABOVE};

/// How many changes are rolled up at once.
pub const BATCH: i64 = 10_000;

/// Names the lock of whoever rolls up; any number that nobody else uses.
const LOCK: i64 = 0x636f_6e76_6f6b_6502;

/// A tenant's span of time.
type Span = (String, i64);

/// The changes of a tenant that are not in the kept spans yet.
pub async fn deltas(mut queries: &AsyncPgConnection, tenant: &str) -> Outcome<Vec<Delta>> {
    let rows: Vec<(i64, i64, i64)> = chat_count_deltas::table
        .filter(chat_count_deltas::tenant_id.eq(tenant))
        .select((chat_count_deltas::registered_at, chat_count_deltas::active, chat_count_deltas::inactive))
        .load(&mut queries)
        .await?;
    let delta = |(registered_at, active, inactive)| Delta { registered_at, counts: Counts { active, inactive } };
    Ok(rows.into_iter().map(delta).collect())
}

/// How many chats a tenant has.
pub async fn grand_total(mut queries: &AsyncPgConnection, tenant: &str) -> Outcome<Counts> {
    const TOTAL: &str = "select coalesce(sum(active), 0)::bigint, coalesce(sum(inactive), 0)::bigint from ( \
        select active, inactive from chat_counts where tenant_id = $1 and level = 0 and bucket_start = 0 \
        union all select active, inactive from chat_count_deltas where tenant_id = $1) as counted";
    let total = Sql::<(BigInt, BigInt)>::new(TOTAL).bind::<Text, _>(tenant);
    let (active, inactive): (i64, i64) = total.get_result(&mut queries).await?;
    Ok(Counts { active, inactive })
}

/// The kept spans of a level that begin within these bounds, both inclusive.
pub async fn kept(
    mut queries: &AsyncPgConnection,
    tenant: &str,
    level: Level,
    from: i64,
    to: i64,
) -> Outcome<Vec<Bucket>> {
    let rows: Vec<(i64, i64, i64, bool)> = chat_counts::table
        .filter(chat_counts::tenant_id.eq(tenant))
        .filter(chat_counts::level.eq(level as i16))
        .filter(chat_counts::bucket_start.between(from, to))
        .select((chat_counts::bucket_start, chat_counts::active, chat_counts::inactive, chat_counts::is_split))
        .load(&mut queries)
        .await?;
    Ok(rows.into_iter().map(bucket).collect())
}

fn bucket((start, active, inactive, is_split): (i64, i64, i64, bool)) -> Bucket {
    Bucket { start, counts: Counts { active, inactive }, is_split }
}

/// Adds a batch of changes to the kept spans, within a transaction that is not repeatable-read; returns how many there
/// were. None if another process is at it.
///
/// Every transaction that changes how many chats there are leaves its change in the same commit. So in any snapshot, chats
/// counted are kept spans and changes together, and a span can be counted anew while registrations go on.
pub async fn roll_up(mut queries: &AsyncPgConnection) -> Outcome<u64> {
    // Chosen by their place in the table, for there is nothing else to choose by.
    const TAKE: &str = "delete from chat_count_deltas where ctid = any(array( \
        select ctid from chat_count_deltas limit $1 for update skip locked)) \
        returning tenant_id, registered_at, active, inactive";
    let lock = Sql::<Bool>::new("select pg_try_advisory_xact_lock($1)").bind::<BigInt, _>(LOCK);
    let is_ours: bool = lock.get_result(&mut queries).await?;
    if !is_ours {
        return Ok(0);
    }
    let taken: Vec<(String, i64, i64, i64)> =
        Sql::<(Text, BigInt, BigInt, BigInt)>::new(TAKE).bind::<BigInt, _>(BATCH).load(&mut queries).await?;
    let number = taken.len() as u64;
    let changes: Vec<(String, Delta)> = taken
        .into_iter()
        .map(|(tenant, registered_at, active, inactive)| {
            (tenant, Delta { registered_at, counts: Counts { active, inactive } })
        })
        .collect();
    add(queries, Level::All, &by_span(Level::All, changes.iter())).await?;
    // Level by level, as far down as spans are split.
    let mut changes: Vec<&(String, Delta)> = changes.iter().collect();
    let mut level = Level::Day;
    while !changes.is_empty() {
        let rows = add(queries, level, &by_span(level, changes.iter().copied())).await?;
        let Some(finer) = level.finer() else { break };
        let split: BTreeSet<&Span> = rows.iter().filter(|(_, row)| row.is_split).map(|(span, _)| span).collect();
        let full = rows.iter().filter(|(_, row)| !row.is_split && row.counts.all() > SPLIT_ABOVE);
        for ((tenant, start), _) in full {
            split_span(queries, tenant, level, *start).await?;
        }
        // What was split just now was counted with these changes in it.
        changes.retain(|(tenant, delta)| split.contains(&(tenant.clone(), level.start_of(delta.registered_at))));
        level = finer;
    }
    Ok(number)
}

fn by_span<'a>(level: Level, changes: impl Iterator<Item = &'a (String, Delta)>) -> BTreeMap<Span, Counts> {
    let mut spans: BTreeMap<Span, Counts> = BTreeMap::new();
    for (tenant, delta) in changes {
        *spans.entry((tenant.clone(), level.start_of(delta.registered_at))).or_default() += delta.counts;
    }
    spans
}

/// Adds to spans of a level; returns them as they are then.
async fn add(
    mut queries: &AsyncPgConnection,
    level: Level,
    spans: &BTreeMap<Span, Counts>,
) -> Outcome<BTreeMap<Span, Bucket>> {
    const ADD: &str = "insert into chat_counts (tenant_id, level, bucket_start, active, inactive, is_split) \
        select change.tenant_id, $1, change.start, change.active, change.inactive, false \
        from unnest($2, $3, $4, $5) as change (tenant_id, start, active, inactive) \
        on conflict (tenant_id, level, bucket_start) do update set \
        active = chat_counts.active + excluded.active, inactive = chat_counts.inactive + excluded.inactive \
        returning tenant_id, bucket_start, active, inactive, is_split";
    let rows: Vec<(String, i64, i64, i64, bool)> = Sql::<(Text, BigInt, BigInt, BigInt, Bool)>::new(ADD)
        .bind::<SmallInt, _>(level as i16)
        .bind::<Array<Text>, _>(spans.keys().map(|span| span.0.as_str()).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(spans.keys().map(|span| span.1).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(spans.values().map(|counts| counts.active).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(spans.values().map(|counts| counts.inactive).collect::<Vec<_>>())
        .load(&mut queries)
        .await?;
    let row =
        |(tenant, start, active, inactive, is_split)| ((tenant, start), bucket((start, active, inactive, is_split)));
    Ok(rows.into_iter().map(row).collect())
}

/// Keeps the spans of the next level within this one, and so on wherever one of them is too large in turn.
async fn split_span(queries: &AsyncPgConnection, tenant: &str, level: Level, start: i64) -> Outcome<()> {
    let mut to_split = vec![(level, start)];
    while let Some((level, start)) = to_split.pop() {
        let Some(finer) = level.finer() else { continue };
        mark_split(queries, tenant, level, start).await?;
        let parts = count_rolled_up(queries, tenant, finer, start, start + level.width() - 1).await?;
        let spans = parts.iter().map(|part| ((tenant.to_owned(), part.start), part.counts)).collect();
        add(queries, finer, &spans).await?;
        to_split.extend(parts.iter().filter(|part| part.counts.all() > SPLIT_ABOVE).map(|part| (finer, part.start)));
    }
    Ok(())
}

async fn mark_split(mut queries: &AsyncPgConnection, tenant: &str, level: Level, start: i64) -> Outcome<()> {
    let mark = "update chat_counts set is_split = true where tenant_id = $1 and level = $2 and bucket_start = $3";
    Sql::<()>::new(mark)
        .bind::<Text, _>(tenant)
        .bind::<SmallInt, _>(level as i16)
        .bind::<BigInt, _>(start)
        .execute(&mut queries)
        .await?;
    Ok(())
}

/// Counts the chats of a stretch of time by spans of a level, without the changes that are still to be rolled up: in one
/// statement, so that both are from one snapshot.
async fn count_rolled_up(
    mut queries: &AsyncPgConnection,
    tenant: &str,
    level: Level,
    from: i64,
    to: i64,
) -> Outcome<Vec<Bucket>> {
    const COUNT: &str = "select start, sum(active)::bigint, sum(inactive)::bigint from ( \
        select registered_at - mod(mod(registered_at, $4) + $4, $4) as start, \
            count(*) filter (where is_active) as active, count(*) filter (where not is_active) as inactive \
            from chats where tenant_id = $1 and registered_at between $2 and $3 group by 1 \
        union all \
        select registered_at - mod(mod(registered_at, $4) + $4, $4), -active, -inactive \
            from chat_count_deltas where tenant_id = $1 and registered_at between $2 and $3 \
        ) as counted group by start";
    let rows: Vec<(i64, i64, i64)> = Sql::<(BigInt, BigInt, BigInt)>::new(COUNT)
        .bind::<Text, _>(tenant)
        .bind::<BigInt, _>(from)
        .bind::<BigInt, _>(to)
        .bind::<BigInt, _>(level.width())
        .load(&mut queries)
        .await?;
    Ok(rows.into_iter().map(|(start, active, inactive)| bucket((start, active, inactive, false))).collect())
}

/// Counts a tenant's chats by spans of a level.
pub async fn count_by_span(mut queries: &AsyncPgConnection, tenant: &str, level: Level) -> Outcome<Vec<Bucket>> {
    let start = match level {
        Level::All => "0::bigint".to_owned(),
        _ => format!("registered_at - mod(mod(registered_at, {0}) + {0}, {0})", level.width()),
    };
    let count = format!(
        "select {start}, count(*) filter (where is_active), count(*) filter (where not is_active) \
        from chats where tenant_id = $1 group by 1"
    );
    let count = Sql::<(BigInt, BigInt, BigInt)>::new(&count).bind::<Text, _>(tenant);
    let rows: Vec<(i64, i64, i64)> = count.load(&mut queries).await?;
    Ok(rows.into_iter().map(|(start, active, inactive)| bucket((start, active, inactive, false))).collect())
}
