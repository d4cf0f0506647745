//! Reading chats. Lists choose the keys first, from an index alone, and then fetch the documents.

use convoke_domain::{
    ChatFilter, ChatId, ChatQuery, Direction, PageSize, Sort, SortField, TenantId, Timestamp, WalkPosition,
};
use diesel::{SqliteConnection, dsl::count_star, prelude::*, sqlite::Sqlite};

use super::{
    counts, events,
    id::Id,
    schema::{chat_counts, chats},
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
    let (total, keys) = keys_of_page(connection, tenant, query)?;
    Ok(ChatPage { documents: documents(connection, tenant, &keys)?, total })
}

/// How many chats match, and which are on the page.
fn keys_of_page(connection: &mut SqliteConnection, tenant: &TenantId, query: &ChatQuery) -> Result<(u64, Vec<Id>)> {
    let (filter, size) = (&query.filter, i64::from(query.size.get()));
    let has_dates = filter.registered_from.is_some() || filter.registered_to.is_some();
    let is_near = !has_dates && query.offset() <= PLAIN_OFFSET;
    let Some(plan) = PagePlan::new(query, Vec::new()) else {
        let total: i64 = matching(tenant, filter).select(count_star()).get_result(connection)?;
        let keys = ordered(matching(tenant, filter), &query.sort)
            .select(chats::id)
            .offset(i64::try_from(query.offset()).unwrap_or(i64::MAX))
            .limit(size);
        return Ok((u64::try_from(total).unwrap_or(0), keys.load(connection)?));
    };
    let (total, filter, skip) = if is_near {
        let total = grand_total(connection, tenant)?.matching(filter.is_active);
        (u64::try_from(total).unwrap_or(0), filter.clone(), query.offset())
    } else {
        let place = find_page(connection, tenant, filter, plan)?;
        let from = Some(Timestamp::from_millis(place.from));
        let to = Some(Timestamp::from_millis(place.to));
        if place.from > place.to {
            return Ok((place.total, Vec::new()));
        }
        (place.total, ChatFilter { registered_from: from, registered_to: to, ..filter.clone() }, place.skip)
    };
    let keys = ordered(matching(tenant, &filter), &query.sort)
        .select(chats::id)
        .offset(i64::try_from(skip).unwrap_or(i64::MAX))
        .limit(size);
    Ok((total, keys.load(connection)?))
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
    let mut keys: Vec<(i64, Id)> = ordered(behind, &Sort::default())
        .select((chats::registered_at, chats::id))
        .limit(i64::from(size.get()) + 1)
        .load(connection)?;
    let goes_on = keys.len() > size.get() as usize;
    keys.truncate(size.get() as usize);
    let last = keys.last().filter(|_| goes_on);
    let next = last.map(|(at, id)| WalkPosition { registered_at: Timestamp::from_millis(*at), id: ChatId(id.0) });
    let keys: Vec<Id> = keys.into_iter().map(|(_, id)| id).collect();
    Ok(ChatWalk { documents: documents(connection, tenant, &keys)?, next })
}

/// The documents of these chats, in this order.
fn documents(connection: &mut SqliteConnection, tenant: &TenantId, keys: &[Id]) -> Result<Vec<String>> {
    let found: Vec<(Id, String, i32)> = chats::table
        .filter(chats::tenant_id.eq(tenant.as_str()))
        .filter(chats::id.eq_any(keys))
        .select((chats::id, chats::document, chats::document_version))
        .load(connection)?;
    let mut found: std::collections::HashMap<Id, (String, i32)> =
        found.into_iter().map(|(id, document, form)| (id, (document, form))).collect();
    let mut documents = Vec::with_capacity(keys.len());
    for id in keys {
        let missing = || StoreError::Inconsistent(format!("chat {} is in an index only", id.0));
        let (document, form) = found.remove(id).ok_or_else(missing)?;
        documents.push(current_form(connection, tenant, ChatId(id.0), document, form)?);
    }
    Ok(documents)
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
