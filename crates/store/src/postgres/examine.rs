//! Everything that is derived, rebuilt from the events and compared with what is kept, in one snapshot.

use std::collections::{BTreeMap, HashMap};

use convoke_domain::ChatId;
use diesel::{
    dsl::sql,
    prelude::*,
    sql_types::{Bool, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{
    counts, events,
    failure::Outcome,
    schema::{chat_count_deltas, chat_counts, chats, participations},
};
use crate::{
    DoctorReport, Progress,
    counts::{Bucket, Level},
    examine::{COUNTS_LOOKED_AT, Columns, KeptChat, KeptStay, chats_looked_at, compare_chat, compare_counts},
};

/// How many chats are fetched at once.
const BATCH: i64 = 500;

type ChatRow = (String, Uuid, Columns, String, i32);
type StayRow = (Uuid, Uuid, i32, i64, Option<i64>, Option<Uuid>, Option<String>, Option<Uuid>);

pub async fn examine(mut queries: &AsyncPgConnection, progress: &dyn Progress) -> Outcome<DoctorReport> {
    let mut report = DoctorReport::default();
    let chats: i64 = chats::table.count().get_result(&mut queries).await?;
    let chats = chats.unsigned_abs();
    progress.reached(chats_looked_at(&report, chats));
    let mut after = (String::new(), Uuid::nil());
    loop {
        let (tenant, id) = (&after.0, after.1);
        // One comparison, by which the index is entered: of several, all chats of the tenant would be read each time.
        let behind =
            sql::<Bool>("(tenant_id, id) > (").bind::<Text, _>(tenant).sql(", ").bind::<SqlUuid, _>(id).sql(")");
        let batch: Vec<ChatRow> = chats::table
            .filter(behind)
            .order((chats::tenant_id, chats::id))
            .select((
                chats::tenant_id,
                chats::id,
                (
                    chats::service,
                    chats::status,
                    chats::is_active,
                    chats::title,
                    chats::description,
                    chats::created_by,
                    chats::registered_at,
                    chats::updated_at,
                    chats::last_event_at,
                ),
                chats::document,
                chats::document_version,
            ))
            .limit(BATCH)
            .load(&mut queries)
            .await?;
        let Some(last) = batch.last() else { break };
        after = (last.0.clone(), last.1);
        let mut by_tenant: BTreeMap<String, Vec<ChatRow>> = BTreeMap::new();
        for row in batch {
            by_tenant.entry(row.0.clone()).or_default().push(row);
        }
        for (tenant, rows) in by_tenant {
            examine_chats(queries, &tenant, rows, &mut report).await?;
        }
        progress.reached(chats_looked_at(&report, chats));
    }
    progress.reached(COUNTS_LOOKED_AT);
    examine_counts(queries, &mut report).await?;
    Ok(report)
}

async fn examine_chats(
    queries: &AsyncPgConnection,
    tenant: &str,
    chats: Vec<ChatRow>,
    report: &mut DoctorReport,
) -> Outcome<()> {
    let ids: Vec<Uuid> = chats.iter().map(|row| row.1).collect();
    let events = events::of_chats(queries, tenant, &ids).await?;
    let mut stays = stays_of(queries, tenant, &ids).await?;
    for (tenant, id, columns, document, document_version) in chats {
        let stays = stays.remove(&id).unwrap_or_default();
        let kept = KeptChat { tenant, id: ChatId(id), columns, document, document_version, stays };
        compare_chat(&kept, events.get(&id).map_or(&[], Vec::as_slice), report);
    }
    Ok(())
}

async fn stays_of(
    mut queries: &AsyncPgConnection,
    tenant: &str,
    chats: &[Uuid],
) -> Outcome<HashMap<Uuid, Vec<KeptStay>>> {
    let rows: Vec<StayRow> = participations::table
        .filter(participations::tenant_id.eq(tenant))
        .filter(participations::chat_id.eq_any(chats))
        .select((
            participations::chat_id,
            participations::person_id,
            participations::ordinal,
            participations::joined_at,
            participations::left_at,
            participations::invited_by,
            participations::end_reason,
            participations::removed_by,
        ))
        .load(&mut queries)
        .await?;
    let mut stays: HashMap<Uuid, Vec<KeptStay>> = HashMap::new();
    for (chat, person, ordinal, joined_at, left_at, invited_by, end_reason, removed_by) in rows {
        let stay = KeptStay { person, ordinal, joined_at, left_at, invited_by, end_reason, removed_by };
        stays.entry(chat).or_default().push(stay);
    }
    Ok(stays)
}

async fn examine_counts(mut queries: &AsyncPgConnection, report: &mut DoctorReport) -> Outcome<()> {
    let mut tenants: Vec<String> = chats::table.select(chats::tenant_id).distinct().load(&mut queries).await?;
    tenants.extend(chat_counts::table.select(chat_counts::tenant_id).distinct().load::<String>(&mut queries).await?);
    let pending = chat_count_deltas::table.select(chat_count_deltas::tenant_id).distinct();
    tenants.extend(pending.load::<String>(&mut queries).await?);
    tenants.sort();
    tenants.dedup();
    for tenant in tenants {
        let mut counted = BTreeMap::new();
        for level in Level::ALL {
            counted.insert(level, counts::count_by_span(queries, &tenant, level).await?);
        }
        compare_counts(&tenant, &kept_with_deltas(queries, &tenant).await?, &counted, report);
    }
    Ok(())
}

/// The kept spans with the changes that are not in them yet: of each day, and of a finer level wherever a span is split.
async fn kept_with_deltas(queries: &AsyncPgConnection, tenant: &str) -> Outcome<BTreeMap<Level, Vec<Bucket>>> {
    let mut deltas = counts::deltas(queries, tenant).await?;
    let mut kept = BTreeMap::new();
    for level in Level::ALL {
        let rows = counts::kept(queries, tenant, level, i64::MIN, i64::MAX).await?;
        let mut spans: BTreeMap<i64, Bucket> = rows.into_iter().map(|row| (row.start, row)).collect();
        for delta in &deltas {
            let start = level.start_of(delta.registered_at);
            let new = Bucket { start, counts: crate::counts::Counts::default(), is_split: false };
            spans.entry(start).or_insert(new).counts += delta.counts;
        }
        if level != Level::All {
            deltas.retain(|delta| spans[&level.start_of(delta.registered_at)].is_split);
        }
        kept.insert(level, spans.into_values().collect());
    }
    Ok(kept)
}
