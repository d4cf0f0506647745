//! Reading chats.

use std::collections::HashMap;

use convoke_domain::{
    ChatFilter, ChatId, ChatQuery, Direction, PageSize, Sort, SortField, TenantId, Timestamp, WalkPosition,
};
use diesel::{SqliteConnection, connection::DefaultLoadingMode, dsl::count_star, prelude::*, sqlite::Sqlite};

use super::{
    counts, events,
    id::Id,
    schema::{chat_counts, chats},
    sql::Unprepared,
};
use crate::{
    ChatDocument, ChatInvitation, ChatPage, ChatWalk, DOCUMENT_VERSION,
    counts::{Counts, Level, PLAIN_OFFSET, PagePlan, Step},
    document,
    error::{Result, StoreError},
    rows,
};

/// The chat of this id. (`first` would add a limit, whose value is bound: SQLite then plans the statement anew each time,
/// which takes longer than the look-up. That is so of all look-ups.)
pub fn find(connection: &mut SqliteConnection, tenant: &TenantId, id: ChatId) -> Result<Option<ChatDocument>> {
    let row: Option<(String, i64, String, i32)> = chats::table
        .find((tenant.as_str(), Id(id.0)))
        .select((chats::status, chats::version, chats::document, chats::document_version))
        .get_result(connection)
        .optional()?;
    let Some((status, version, document, form)) = row else { return Ok(None) };
    let json = current_form(connection, tenant, id, document, form)?;
    Ok(Some(ChatDocument { status: rows::status(&status)?, version, json }))
}

/// The document, rendered anew if it is of an older form.
fn current_form(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    id: ChatId,
    document: String,
    form: i32,
) -> Result<String> {
    if form == DOCUMENT_VERSION {
        return Ok(document);
    }
    document::render(&document::record(id, &events::all(connection, tenant, id)?)?.chat)
}

pub fn find_invitation(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    id: ChatId,
) -> Result<Option<ChatInvitation>> {
    let row: Option<(String, String, Option<String>)> = chats::table
        .find((tenant.as_str(), Id(id.0)))
        .select((chats::service, chats::status, chats::invitation))
        .get_result(connection)
        .optional()?;
    row.map(|(service, status, link)| {
        Ok(ChatInvitation { service: rows::service(&service)?, status: rows::status(&status)?, link })
    })
    .transpose()
}

pub fn page(connection: &mut SqliteConnection, tenant: &TenantId, query: &ChatQuery) -> Result<ChatPage> {
    let Some(plan) = PagePlan::new(query, Vec::new()) else { return sorted_page(connection, tenant, query) };
    let filter = &query.filter;
    let has_dates = filter.registered_from.is_some() || filter.registered_to.is_some();
    let (total, filter, skip) = if !has_dates && query.offset() <= PLAIN_OFFSET {
        (total(connection, tenant, filter)?, filter.clone(), query.offset())
    } else {
        let place = find_page(connection, tenant, filter, plan)?;
        let from = Some(Timestamp::from_millis(place.from));
        let to = Some(Timestamp::from_millis(place.to));
        if place.from > place.to {
            return Ok(ChatPage { documents: String::new(), total: place.total });
        }
        (place.total, ChatFilter { registered_from: from, registered_to: to, ..filter.clone() }, place.skip)
    };
    let chats = ordered(matching(tenant, &filter), &query.sort).offset(i64::try_from(skip).unwrap_or(i64::MAX));
    let rows = first(connection, chats, query.size.get() as usize)?;
    Ok(ChatPage { documents: documents(connection, tenant, rows)?, total })
}

/// A page in an order, or of a filter, that needs a sort or a count. The keys come first, from an index alone if one has
/// that order: documents are not carried through a sort.
fn sorted_page(connection: &mut SqliteConnection, tenant: &TenantId, query: &ChatQuery) -> Result<ChatPage> {
    let total = total(connection, tenant, &query.filter)?;
    // To skip all of them would take a sort.
    if query.offset() >= total {
        return Ok(ChatPage { documents: String::new(), total });
    }
    let keys = ordered(matching(tenant, &query.filter), &query.sort)
        .select(chats::id)
        .offset(i64::try_from(query.offset()).unwrap_or(i64::MAX))
        .limit(i64::from(query.size.get()));
    // There are more orders than statements should be kept for.
    let keys: Vec<Id> = Unprepared(keys).load(connection)?;
    let found = chats::table.filter(chats::tenant_id.eq(tenant.as_str())).filter(chats::id.eq_any(&keys)).into_boxed();
    let mut rows = first(connection, found, keys.len())?;
    let places: HashMap<Id, usize> = keys.into_iter().zip(0..).collect();
    rows.sort_unstable_by_key(|row| places.get(&row.id));
    Ok(ChatPage { documents: documents(connection, tenant, rows)?, total })
}

/// How many chats match, whatever their order.
fn total(connection: &mut SqliteConnection, tenant: &TenantId, filter: &ChatFilter) -> Result<u64> {
    let total = if !filter.ids.is_empty() {
        matching(tenant, filter).select(count_star()).get_result(connection)?
    } else if filter.registered_from.is_none() && filter.registered_to.is_none() {
        grand_total(connection, tenant)?.matching(filter.is_active)
    } else {
        let by_registration = ChatQuery { filter: filter.clone(), ..ChatQuery::default() };
        let no_plan = || StoreError::Inconsistent("spans were asked for another order".to_owned());
        let plan = PagePlan::new(&by_registration, Vec::new()).ok_or_else(no_plan)?;
        return Ok(find_page(connection, tenant, filter, plan)?.total);
    };
    Ok(u64::try_from(total).unwrap_or(0))
}

fn grand_total(connection: &mut SqliteConnection, tenant: &TenantId) -> Result<Counts> {
    let row: Option<(i64, i64)> = chat_counts::table
        .find((tenant.as_str(), Level::All as i16, 0))
        .select((chat_counts::active, chat_counts::inactive))
        .get_result(connection)
        .optional()?;
    Ok(row.map_or(Counts::default(), |(active, inactive)| Counts { active, inactive }))
}

fn find_page(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    filter: &ChatFilter,
    mut plan: PagePlan,
) -> Result<crate::counts::PagePlace> {
    loop {
        match plan.step() {
            Step::Spans { level, from, to } => {
                plan.spans(counts::kept(connection, tenant.as_str(), level, from, to)?);
            }
            Step::Count { from, to } => {
                let edge = ChatFilter {
                    registered_from: Some(Timestamp::from_millis(from)),
                    registered_to: Some(Timestamp::from_millis(to)),
                    ..filter.clone()
                };
                plan.counted(matching(tenant, &edge).select(count_star()).get_result(connection)?);
            }
            Step::Done(place) => return Ok(place),
        }
    }
}

pub fn walk(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    filter: &ChatFilter,
    after: Option<WalkPosition>,
    size: PageSize,
) -> Result<ChatWalk> {
    let mut behind = matching(tenant, filter);
    if let Some(position) = after {
        let at = position.registered_at.as_millis();
        // The first condition alone bounds the index; the second one is exact.
        behind = behind
            .filter(chats::registered_at.le(at))
            .filter(chats::registered_at.lt(at).or(chats::id.lt(Id(position.id.0))));
    }
    let size = size.get() as usize;
    let mut rows = first(connection, ordered(behind, &Sort::default()), size + 1)?;
    let goes_on = rows.len() > size;
    rows.truncate(size);
    let next = rows
        .last()
        .filter(|_| goes_on)
        .map(|last| WalkPosition { registered_at: Timestamp::from_millis(last.registered_at), id: ChatId(last.id.0) });
    Ok(ChatWalk { documents: documents(connection, tenant, rows)?, next })
}

/// What is read of a chat in a list.
#[derive(Queryable, Selectable)]
#[diesel(table_name = chats, check_for_backend(Sqlite))]
struct Row {
    id: Id,
    registered_at: i64,
    document: String,
    document_version: i32,
}

/// The first so many of these chats. Their number is not a limit of the statement, for the reason told at [`find`]; what
/// an offset skips is skipped in the index.
fn first(connection: &mut SqliteConnection, chats: Chats<'_>, number: usize) -> Result<Vec<Row>> {
    let rows = chats.select(Row::as_select()).load_iter::<Row, DefaultLoadingMode>(connection)?;
    Ok(rows.take(number).collect::<QueryResult<_>>()?)
}

/// The documents of these chats, with commas between.
fn documents(connection: &mut SqliteConnection, tenant: &TenantId, rows: Vec<Row>) -> Result<String> {
    let documents = rows
        .into_iter()
        .map(|row| current_form(connection, tenant, ChatId(row.id.0), row.document, row.document_version))
        .collect::<Result<Vec<_>>>()?;
    Ok(documents.join(","))
}

type Chats<'a> = chats::BoxedQuery<'a, Sqlite>;

fn matching<'a>(tenant: &'a TenantId, filter: &ChatFilter) -> Chats<'a> {
    let mut query = chats::table.filter(chats::tenant_id.eq(tenant.as_str())).into_boxed();
    if let Some(is_active) = filter.is_active {
        query = query.filter(chats::is_active.eq(is_active));
    }
    if !filter.ids.is_empty() {
        query = query.filter(chats::id.eq_any(filter.ids.iter().map(|id| Id(id.0)).collect::<Vec<_>>()));
    }
    if let Some(from) = filter.registered_from {
        query = query.filter(chats::registered_at.ge(from.as_millis()));
    }
    if let Some(to) = filter.registered_to {
        query = query.filter(chats::registered_at.le(to.as_millis()));
    }
    query
}

fn ordered<'a>(mut query: Chats<'a>, sort: &Sort) -> Chats<'a> {
    use Direction::{Ascending, Descending};
    for key in sort.keys() {
        // SQLite takes an absent value as less than any other, as the contract does.
        query = match (key.field, key.direction) {
            (SortField::RegisteredAt, Ascending) => query.then_order_by(chats::registered_at.asc()),
            (SortField::RegisteredAt, Descending) => query.then_order_by(chats::registered_at.desc()),
            (SortField::UpdatedAt, Ascending) => query.then_order_by(chats::updated_at.asc()),
            (SortField::UpdatedAt, Descending) => query.then_order_by(chats::updated_at.desc()),
            (SortField::Title, Ascending) => query.then_order_by(chats::title.asc()),
            (SortField::Title, Descending) => query.then_order_by(chats::title.desc()),
            (SortField::CreatedBy, Ascending) => query.then_order_by(chats::created_by.asc()),
            (SortField::CreatedBy, Descending) => query.then_order_by(chats::created_by.desc()),
            (SortField::Service, Ascending) => query.then_order_by(chats::service.asc()),
            (SortField::Service, Descending) => query.then_order_by(chats::service.desc()),
            (SortField::IsActive, Ascending) => query.then_order_by(chats::is_active.asc()),
            (SortField::IsActive, Descending) => query.then_order_by(chats::is_active.desc()),
            (SortField::Id, Ascending) => query.then_order_by(chats::id.asc()),
            (SortField::Id, Descending) => query.then_order_by(chats::id.desc()),
        };
    }
    query
}
