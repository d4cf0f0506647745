//! Lists and walks. The keys are chosen first, from an index alone, and then the documents are fetched.

use std::{collections::HashMap, fmt::Display};

use convoke_domain::{
    ChatFilter, ChatId, ChatQuery, Direction, PageSize, Sort, SortField, SortKey, TenantId, Timestamp, WalkPosition,
};
use diesel::sql_types::{Array, BigInt, Integer, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{
    counts, events,
    failure::Outcome,
    pool::Transaction,
    sql::{Placeholder, Sql},
};
use crate::{
    ChatPage, ChatWalk, DOCUMENT_VERSION,
    counts::{PagePlace, PagePlan, Step},
    document,
    error::StoreError,
};

/// Sizes of pages for which there is a statement of its own, so that the planner knows them.
const COMMON_SIZES: [u32; 6] = [10, 20, 25, 50, 100, 200];

/// What is kept of a chat's document.
#[derive(Debug)]
pub enum Kept {
    /// The document.
    Current(String),
    /// One of an older form, of the chat of this id.
    Outdated(Uuid),
}

impl Kept {
    fn new(id: Uuid, document: String, form: i32) -> Self {
        if form == DOCUMENT_VERSION { Self::Current(document) } else { Self::Outdated(id) }
    }
}

/// Any page and the total, by a transaction of its own that sees one snapshot.
pub async fn page_of(work: Transaction, tenant: &TenantId, query: &ChatQuery) -> Outcome<ChatPage> {
    let page = any_page(&work, tenant, query).await?;
    work.commit().await?;
    Ok(page)
}

/// Any page and the total, within a transaction that sees one snapshot.
pub async fn any_page(queries: &AsyncPgConnection, tenant: &TenantId, query: &ChatQuery) -> Outcome<ChatPage> {
    let filter = &query.filter;
    if query.sort.by_registration().is_none() || !filter.ids.is_empty() {
        let total = total(queries, tenant, filter).await?;
        // To skip all of them would take a sort.
        if query.offset() >= total {
            return Ok(ChatPage { documents: String::new(), total });
        }
        let documents = sorted(queries, tenant, filter, &query.sort, query.offset(), query.size).await?;
        return Ok(ChatPage { documents, total });
    }
    let place = find_page(queries, tenant, query).await?;
    if place.from > place.to {
        return Ok(ChatPage { documents: String::new(), total: place.total });
    }
    let within = ChatFilter {
        registered_from: Some(Timestamp::from_millis(place.from)),
        registered_to: Some(Timestamp::from_millis(place.to)),
        ..filter.clone()
    };
    let documents = sorted(queries, tenant, &within, &query.sort, place.skip, query.size).await?;
    Ok(ChatPage { documents, total: place.total })
}

/// How many chats match, whatever their order.
async fn total(queries: &AsyncPgConnection, tenant: &TenantId, filter: &ChatFilter) -> Outcome<u64> {
    if !filter.ids.is_empty() {
        return Ok(u64::try_from(count(queries, tenant, filter).await?).unwrap_or(0));
    }
    if filter.registered_from.is_none() && filter.registered_to.is_none() {
        let total = counts::grand_total(queries, tenant.as_str()).await?.matching(filter.is_active);
        return Ok(u64::try_from(total).unwrap_or(0));
    }
    let by_registration = ChatQuery { filter: filter.clone(), ..ChatQuery::default() };
    Ok(find_page(queries, tenant, &by_registration).await?.total)
}

async fn count(mut queries: &AsyncPgConnection, tenant: &TenantId, filter: &ChatFilter) -> Outcome<i64> {
    let mut count = Sql::<BigInt>::new("select count(*) from chats where ");
    let tenant_id = count.argument::<Text, _>(tenant.as_str());
    push_conditions(&mut count, tenant_id, filter);
    Ok(count.get_result(&mut queries).await?)
}

/// Where a page in the order of registration is.
async fn find_page(queries: &AsyncPgConnection, tenant: &TenantId, query: &ChatQuery) -> Outcome<PagePlace> {
    let deltas = counts::deltas(queries, tenant.as_str()).await?;
    let no_plan = || StoreError::Inconsistent("spans were asked for another order".to_owned());
    let mut plan = PagePlan::new(query, deltas).ok_or_else(no_plan)?;
    loop {
        match plan.step() {
            Step::Spans { level, from, to } => {
                plan.spans(counts::kept(queries, tenant.as_str(), level, from, to).await?);
            }
            Step::Count { from, to } => {
                let edge = ChatFilter {
                    registered_from: Some(Timestamp::from_millis(from)),
                    registered_to: Some(Timestamp::from_millis(to)),
                    ..query.filter.clone()
                };
                plan.counted(count(queries, tenant, &edge).await?);
            }
            Step::Done(place) => return Ok(place),
        }
    }
}

/// The documents of a page in any order: first the keys, in order, then the documents, put into that order.
async fn sorted(
    mut queries: &AsyncPgConnection,
    tenant: &TenantId,
    filter: &ChatFilter,
    sort: &Sort,
    skip: u64,
    size: PageSize,
) -> Outcome<String> {
    let mut keys = Sql::<SqlUuid>::new("select id from chats where ");
    let tenant_id = keys.argument::<Text, _>(tenant.as_str());
    push_conditions(&mut keys, tenant_id, filter);
    push_order(&mut keys, sort.keys());
    push_range(&mut keys, skip, size.get());
    // There are more orders than statements should be kept for.
    if sort.by_registration().is_none() || !filter.ids.is_empty() {
        keys.unprepared();
    }
    let keys: Vec<Uuid> = keys.load(&mut queries).await?;
    let rows: Vec<(Uuid, String, i32)> = Sql::<(SqlUuid, Text, Integer)>::new(
        "select id, document, document_version from chats where tenant_id = $1 and id = any($2)",
    )
    .bind::<Text, _>(tenant.as_str())
    .bind::<Array<SqlUuid>, _>(keys.as_slice())
    .load(&mut queries)
    .await?;
    let mut found: HashMap<Uuid, Kept> =
        rows.into_iter().map(|(id, document, form)| (id, Kept::new(id, document, form))).collect();
    let in_order = |id: Uuid| {
        let missing = || StoreError::Inconsistent(format!("chat {id} is in an index only"));
        found.remove(&id).ok_or_else(missing)
    };
    let page = keys.into_iter().map(in_order).collect::<Result<_, _>>()?;
    documents(queries, tenant, page).await
}

pub async fn walk(
    mut queries: &AsyncPgConnection,
    tenant: &TenantId,
    filter: &ChatFilter,
    after: Option<WalkPosition>,
    size: PageSize,
) -> Outcome<ChatWalk> {
    let mut sql = Sql::<(BigInt, SqlUuid, Text, Integer)>::new(
        "select registered_at, id, document, document_version from chats where ",
    );
    let tenant_id = sql.argument::<Text, _>(tenant.as_str());
    push_conditions(&mut sql, tenant_id, filter);
    if let Some(position) = after {
        let at = sql.argument::<BigInt, _>(position.registered_at.as_millis());
        let id = sql.argument::<SqlUuid, _>(position.id.0);
        sql.push(format_args!(" and (registered_at, id) < ({at}, {id})"));
    }
    sql.push(" order by registered_at desc, id desc");
    // One more, to see whether the walk goes on.
    push_range(&mut sql, 0, size.get() + 1);
    let mut rows: Vec<(i64, Uuid, String, i32)> = sql.load(&mut queries).await?;
    let goes_on = rows.len() > size.get() as usize;
    rows.truncate(size.get() as usize);
    let next = rows
        .last()
        .filter(|_| goes_on)
        .map(|(at, id, ..)| WalkPosition { registered_at: Timestamp::from_millis(*at), id: ChatId(*id) });
    let page = rows.into_iter().map(|(_, id, document, form)| Kept::new(id, document, form)).collect();
    Ok(ChatWalk { documents: documents(queries, tenant, page).await?, next })
}

fn push_conditions<ST>(sql: &mut Sql<'_, ST>, tenant_id: Placeholder, filter: &ChatFilter) {
    sql.push(format_args!("tenant_id = {tenant_id}"));
    if let Some(is_active) = filter.is_active {
        sql.push(format_args!(" and is_active = {is_active}"));
    }
    if !filter.ids.is_empty() {
        let ids = sql.argument::<Array<SqlUuid>, _>(filter.ids.iter().map(|id| id.0).collect::<Vec<_>>());
        sql.push(format_args!(" and id = any({ids})"));
    }
    let mut bound = |comparison: &str, instant: Option<Timestamp>| {
        if let Some(instant) = instant {
            let instant = sql.argument::<BigInt, _>(instant.as_millis());
            sql.push(format_args!(" and registered_at {comparison} {instant}"));
        }
    };
    bound(">=", filter.registered_from);
    bound("<=", filter.registered_to);
}

fn push_order<ST>(sql: &mut Sql<'_, ST>, keys: &[SortKey]) {
    for (place, key) in keys.iter().enumerate() {
        let column: &dyn Display = match key.field {
            SortField::RegisteredAt => &"registered_at",
            SortField::UpdatedAt => &"updated_at",
            SortField::Title => &"title",
            SortField::CreatedBy => &"created_by",
            SortField::Service => &"service",
            SortField::IsActive => &"is_active",
            SortField::Id => &"id",
        };
        // An absent value comes before any other, as the contract has it; only one column knows absence, and its index has
        // the same order.
        let direction = match (key.direction, key.field) {
            (Direction::Ascending, SortField::CreatedBy) => " nulls first",
            (Direction::Descending, SortField::CreatedBy) => " desc nulls last",
            (Direction::Ascending, _) => "",
            (Direction::Descending, _) => " desc",
        };
        let before = if place == 0 { " order by " } else { ", " };
        sql.push(format_args!("{before}{column}{direction}"));
    }
}

fn push_range<ST>(sql: &mut Sql<'_, ST>, skip: u64, size: u32) {
    push_limit(sql, size);
    if skip > 0 {
        let skip = sql.argument::<BigInt, _>(i64::try_from(skip).unwrap_or(i64::MAX));
        sql.push(format_args!(" offset {skip}"));
    }
}

/// No more rows than this.
pub fn push_limit<ST>(sql: &mut Sql<'_, ST>, size: u32) {
    if COMMON_SIZES.contains(&size) || COMMON_SIZES.contains(&(size - 1)) {
        sql.push(format_args!(" limit {size}"));
    } else {
        let size = sql.argument::<BigInt, _>(i64::from(size));
        sql.push(format_args!(" limit {size}"));
    }
}

/// The documents with commas between, those of an older form rendered anew.
pub async fn documents(queries: &AsyncPgConnection, tenant: &TenantId, page: Vec<Kept>) -> Outcome<String> {
    let outdated = |kept: &Kept| match kept {
        Kept::Current(_) => None,
        Kept::Outdated(id) => Some(*id),
    };
    let outdated: Vec<Uuid> = page.iter().filter_map(outdated).collect();
    let events = if outdated.is_empty() {
        HashMap::new()
    } else {
        events::of_chats(queries, tenant.as_str(), &outdated).await?
    };
    let current = |kept| match kept {
        Kept::Current(document) => Ok(document),
        Kept::Outdated(id) => {
            let events = events.get(&id).map_or(&[][..], Vec::as_slice);
            document::render(&document::record(ChatId(id), events)?.chat)
        }
    };
    Ok(page.into_iter().map(current).collect::<Result<Vec<_>, StoreError>>()?.join(","))
}
