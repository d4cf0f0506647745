//! Counts are kept up to date by the writer itself: there is only one.

use convoke_domain::TenantId;
use diesel::{SqliteConnection, dsl::sql, prelude::*, sql_types::BigInt};

use super::schema::{chat_counts, chats};
use crate::{
    counts::{Bucket, Counts, Level, SPLIT_ABOVE},
    error::Result,
};

/// Adds a change about a chat that was registered at `registered_at`. The chat's own row must be as it is after it.
pub fn change(connection: &mut SqliteConnection, tenant: &TenantId, registered_at: i64, counts: Counts) -> Result<()> {
    add(connection, tenant, Level::All, 0, counts)?;
    for level in Level::SPANS {
        let start = level.start_of(registered_at);
        let bucket = add(connection, tenant, level, start, counts)?;
        if bucket.is_split {
            continue;
        }
        if bucket.counts.all() > SPLIT_ABOVE
            && let Some(finer) = level.finer()
        {
            split(connection, tenant, level, finer, start)?;
        }
        break;
    }
    Ok(())
}

fn add(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    level: Level,
    start: i64,
    counts: Counts,
) -> Result<Bucket> {
    // Neither an upsert nor an update: Diesel has those planned anew each time, which takes longer than all the rest.
    let kept: Option<(i64, i64, bool)> = chat_counts::table
        .find((tenant.as_str(), level as i16, start))
        .select((chat_counts::active, chat_counts::inactive, chat_counts::is_split))
        .get_result(connection)
        .optional()?;
    let (active, inactive, is_split) = kept.unwrap_or_default();
    let mut sum = Counts { active, inactive };
    sum += counts;
    diesel::replace_into(chat_counts::table)
        .values((
            chat_counts::tenant_id.eq(tenant.as_str()),
            chat_counts::level.eq(level as i16),
            chat_counts::bucket_start.eq(start),
            chat_counts::active.eq(sum.active),
            chat_counts::inactive.eq(sum.inactive),
            chat_counts::is_split.eq(is_split),
        ))
        .execute(connection)?;
    Ok(Bucket { start, counts: sum, is_split })
}

/// Counts the chats of a span anew, by spans of the next level.
fn split(connection: &mut SqliteConnection, tenant: &TenantId, level: Level, finer: Level, start: i64) -> Result<()> {
    let end = start + level.width() - 1;
    for bucket in count_by_span(connection, tenant.as_str(), finer, start, end)? {
        add(connection, tenant, finer, bucket.start, bucket.counts)?;
    }
    diesel::update(chat_counts::table.find((tenant.as_str(), level as i16, start)))
        .set(chat_counts::is_split.eq(true))
        .execute(connection)?;
    Ok(())
}

/// What counting finds, by spans of this level; both bounds inclusive.
pub fn count_by_span(
    connection: &mut SqliteConnection,
    tenant: &str,
    level: Level,
    from: i64,
    to: i64,
) -> Result<Vec<Bucket>> {
    let span = || sql::<BigInt>("").bind::<BigInt, _>(0).sql(" + registered_at / ").bind::<BigInt, _>(level.width());
    let rows: Vec<(i64, i64, i64)> = chats::table
        .filter(chats::tenant_id.eq(tenant))
        .filter(chats::registered_at.between(from, to))
        .group_by(span())
        .select((span(), sql::<BigInt>("sum(is_active)"), sql::<BigInt>("sum(not is_active)")))
        .load(connection)?;
    let bucket = |(number, active, inactive): (i64, i64, i64)| Bucket {
        start: number * level.width(),
        counts: Counts { active, inactive },
        is_split: false,
    };
    Ok(rows.into_iter().map(bucket).collect())
}

/// The kept spans of a level that begin within these bounds, both inclusive.
pub fn kept(connection: &mut SqliteConnection, tenant: &str, level: Level, from: i64, to: i64) -> Result<Vec<Bucket>> {
    let rows: Vec<(i64, i64, i64, bool)> = chat_counts::table
        .filter(chat_counts::tenant_id.eq(tenant))
        .filter(chat_counts::level.eq(level as i16))
        .filter(chat_counts::bucket_start.between(from, to))
        .select((chat_counts::bucket_start, chat_counts::active, chat_counts::inactive, chat_counts::is_split))
        .load(connection)?;
    let bucket = |(start, active, inactive, is_split)| Bucket { start, counts: Counts { active, inactive }, is_split };
    Ok(rows.into_iter().map(bucket).collect())
}
