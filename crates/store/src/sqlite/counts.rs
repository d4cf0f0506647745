//! Counts are kept up to date by the writer itself: there is only one.

use convoke_domain::TenantId;
use diesel::{
    SqliteConnection,
    dsl::sql,
    prelude::*,
    sql_types::{BigInt, Bool, SmallInt, Text},
};

use super::{
    schema::{chat_counts, chats},
    sql::Sql,
};
use crate::{
    counts::{Bucket, Counts, Level, SPLIT_ABOVE},
    error::Result,
};

/// Changes about chats that are made together: one of each span, however many chats it is about.
#[derive(Default)]
pub struct CountChanges(Vec<CountChange>);

struct CountChange {
    tenant: TenantId,
    registered_at: i64,
    counts: Counts,
}

impl CountChanges {
    /// Adds one about a chat that was registered at `registered_at`.
    pub fn add(&mut self, tenant: &TenantId, registered_at: i64, counts: Counts) {
        self.0.push(CountChange { tenant: tenant.clone(), registered_at, counts });
    }

    /// Makes them. The chats' own rows must be as they are after it.
    pub fn make(mut self, connection: &mut SqliteConnection) -> Result<()> {
        self.0
            .sort_unstable_by(|one, other| (&one.tenant, one.registered_at).cmp(&(&other.tenant, other.registered_at)));
        for of_tenant in self.0.chunk_by(|one, other| one.tenant == other.tenant) {
            add(connection, &of_tenant[0].tenant, Level::All, 0, sum(of_tenant))?;
            add_by_span(connection, Level::Day, of_tenant)?;
        }
        Ok(())
    }
}

fn sum(changes: &[CountChange]) -> Counts {
    let mut sum = Counts::default();
    for change in changes {
        sum += change.counts;
    }
    sum
}

/// Adds a tenant's changes, the earliest first, to the spans of a level, and where those are split to finer ones.
fn add_by_span(connection: &mut SqliteConnection, level: Level, changes: &[CountChange]) -> Result<()> {
    let start_of = |change: &CountChange| level.start_of(change.registered_at);
    for of_span in changes.chunk_by(|one, other| start_of(one) == start_of(other)) {
        let (tenant, start) = (&of_span[0].tenant, start_of(&of_span[0]));
        let bucket = add(connection, tenant, level, start, sum(of_span))?;
        match level.finer() {
            Some(finer) if bucket.is_split => add_by_span(connection, finer, of_span)?,
            // Counted from the rows, in which these changes are.
            Some(finer) if bucket.counts.all() > SPLIT_ABOVE => split(connection, tenant, level, finer, start)?,
            _ => {}
        }
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
    let add = Sql::<(BigInt, BigInt, Bool)>::new(
        "insert into chat_counts (tenant_id, level, bucket_start, active, inactive, is_split) \
        values (?1, ?2, ?3, ?4, ?5, false) on conflict (tenant_id, level, bucket_start) \
        do update set active = active + excluded.active, inactive = inactive + excluded.inactive \
        returning active, inactive, is_split",
    );
    let (active, inactive, is_split) = add
        .bind::<Text, _>(tenant.as_str())
        .bind::<SmallInt, _>(level as i16)
        .bind::<BigInt, _>(start)
        .bind::<BigInt, _>(counts.active)
        .bind::<BigInt, _>(counts.inactive)
        .get_result(connection)?;
    Ok(Bucket { start, counts: Counts { active, inactive }, is_split })
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
