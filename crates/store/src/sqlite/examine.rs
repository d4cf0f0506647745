//! Everything that is derived, rebuilt from the events and compared with what is kept.

use std::collections::BTreeMap;

use convoke_domain::ChatId;
use diesel::{
    SqliteConnection,
    dsl::sql,
    prelude::*,
    sql_types::{Binary, Bool, Text},
};

use super::{
    counts, events,
    id::Id,
    schema::{chat_counts, chats, participations},
};
use crate::{
    DoctorReport, Progress,
    error::Result,
    examine::{COUNTS_LOOKED_AT, Columns, KeptChat, KeptStay, chats_looked_at, compare_chat, compare_counts},
    rows,
};

/// How many chats are fetched at once.
const BATCH: i64 = 500;

type ChatRow = (String, Id, Columns, String, i32);
type StayRow = (String, Id, Id, i32, i64, Option<i64>, Option<Id>, Option<String>, Option<Id>);

pub fn examine(connection: &mut SqliteConnection, progress: &dyn Progress) -> Result<DoctorReport> {
    let mut report = DoctorReport::default();
    let chats: i64 = chats::table.count().get_result(connection)?;
    let chats = chats.unsigned_abs();
    progress.reached(chats_looked_at(&report, chats));
    let mut after = (String::new(), Id(uuid::Uuid::nil()));
    loop {
        let (tenant, id) = (&after.0, after.1);
        // One comparison, by which the index is entered: of several, all chats of the tenant would be read each time.
        let behind =
            sql::<Bool>("(tenant_id, id) > (").bind::<Text, _>(tenant).sql(", ").bind::<Binary, _>(id).sql(")");
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
            .load(connection)?;
        let Some(last) = batch.last() else { break };
        after = (last.0.clone(), last.1);
        for row in batch {
            examine_chat(connection, row, &mut report)?;
        }
        progress.reached(chats_looked_at(&report, chats));
    }
    progress.reached(COUNTS_LOOKED_AT);
    examine_counts(connection, &mut report)?;
    Ok(report)
}

fn examine_chat(connection: &mut SqliteConnection, row: ChatRow, report: &mut DoctorReport) -> Result<()> {
    let (tenant, id, columns, document, document_version) = row;
    let chat_id = ChatId(id.0);
    let stays: Vec<StayRow> = participations::table
        .filter(participations::tenant_id.eq(&tenant))
        .filter(participations::chat_id.eq(id))
        .load(connection)?;
    let stays =
        stays.into_iter().map(|(_, _, person, ordinal, joined_at, left_at, invited_by, end_reason, removed_by)| {
            let id = |id: Option<Id>| id.map(|id| id.0);
            let (invited_by, removed_by) = (id(invited_by), id(removed_by));
            KeptStay { person: person.0, ordinal, joined_at, left_at, invited_by, end_reason, removed_by }
        });
    let events = events::all(connection, &rows::tenant(&tenant)?, chat_id)?;
    let kept = KeptChat { tenant, id: chat_id, columns, document, document_version, stays: stays.collect() };
    compare_chat(&kept, &events, report);
    Ok(())
}

fn examine_counts(connection: &mut SqliteConnection, report: &mut DoctorReport) -> Result<()> {
    let mut tenants: Vec<String> = chats::table.select(chats::tenant_id).distinct().load(connection)?;
    tenants.extend(chat_counts::table.select(chat_counts::tenant_id).distinct().load::<String>(connection)?);
    tenants.sort();
    tenants.dedup();
    for tenant in tenants {
        let mut kept = BTreeMap::new();
        let mut counted = BTreeMap::new();
        for level in crate::counts::Level::ALL {
            kept.insert(level, counts::kept(connection, &tenant, level, i64::MIN, i64::MAX)?);
            counted.insert(level, counts::count_by_span(connection, &tenant, level, i64::MIN, i64::MAX)?);
        }
        compare_counts(&tenant, &kept, &counted, report);
    }
    Ok(())
}
