//! Pages near the beginning, which are what most lists ask for.

use std::fmt::Display;

use convoke_domain::{ChatQuery, Direction, TenantId};
use diesel::sql_types::{Array, BigInt, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::value::RawValue;

use super::{
    failure::{Outcome, of_one},
    list::{self, Kept, push_limit},
    pipeline::Over,
    sql::Sql,
    together::Question,
};
use crate::{
    ChatPage, DOCUMENT_VERSION,
    counts::PLAIN_OFFSET,
    error::{Result, StoreError},
};

/// A page near the beginning, in the order of registration, without bounds: it is found without the kept counts, which
/// only give its total.
#[derive(Debug)]
pub struct NearPage {
    tenant: TenantId,
    is_active: Option<bool>,
    direction: Direction,
    skip: i64,
    size: u32,
}

/// The SQL types of a page: the total; the documents with commas between, the id in place of one of an older form; how many
/// are of an older form.
type Types = (BigInt, Nullable<Text>, BigInt);
type Row = (i64, Option<String>, i64);

impl NearPage {
    /// The page that is asked for, if it is one of these.
    pub fn new(tenant: &TenantId, query: &ChatQuery) -> Option<Self> {
        let filter = &query.filter;
        let is_plain = filter.ids.is_empty() && filter.registered_from.is_none() && filter.registered_to.is_none();
        let direction = query.sort.by_registration().filter(|_| is_plain && query.offset() <= PLAIN_OFFSET)?;
        Some(Self {
            tenant: tenant.clone(),
            is_active: filter.is_active,
            direction,
            skip: i64::try_from(query.offset()).ok()?,
            size: query.size.get(),
        })
    }

    /// How many chats match, of those that are kept and of those that are to be added up yet.
    fn push_total<ST>(&self, sql: &mut Sql<'_, ST>, tenant_id: impl Display) {
        let matching = match self.is_active {
            None => "active + inactive",
            Some(true) => "active",
            Some(false) => "inactive",
        };
        sql.push(format_args!(
            "((select coalesce(sum({matching}), 0) from chat_counts \
                where tenant_id = {tenant_id} and level = 0 and bucket_start = 0) \
            + (select coalesce(sum({matching}), 0) from chat_count_deltas where tenant_id = {tenant_id}))::bigint"
        ));
    }

    /// The documents, put together by PostgreSQL: twenty rows would be twenty messages.
    ///
    /// Where some chats are skipped, keys are chosen first, from the index alone, for a row that is skipped is read all the
    /// same; where none are, to look each row up once more would take longer than to read it.
    fn push_documents<ST>(&self, sql: &mut Sql<'_, ST>, tenant_id: impl Display, skip: Option<impl Display>) {
        let order = match self.direction {
            Direction::Ascending => "registered_at, id",
            Direction::Descending => "registered_at desc, id desc",
        };
        sql.push(format_args!(
            "select string_agg(case document_version when {DOCUMENT_VERSION} then document else to_json(id)::text end, ','"
        ));
        // Joins keep no order.
        if skip.is_some() {
            sql.push(format_args!(" order by {order}"));
        }
        sql.push(format_args!("), count(*) filter (where document_version <> {DOCUMENT_VERSION}) from ("));
        sql.push(if skip.is_none() {
            "select id, document, document_version"
        } else {
            "select chosen.registered_at, chosen.id, chats.document, chats.document_version \
            from (select registered_at, id"
        });
        sql.push(format_args!(" from chats where tenant_id = {tenant_id}"));
        if let Some(is_active) = self.is_active {
            sql.push(format_args!(" and is_active = {is_active}"));
        }
        sql.push(format_args!(" order by {order}"));
        push_limit(sql, self.size);
        if let Some(skip) = skip {
            sql.push(format_args!(
                " offset {skip}) as chosen join chats on chats.tenant_id = {tenant_id} and chats.id = chosen.id"
            ));
        }
        sql.push(") as found");
    }

    async fn page(&self, queries: &AsyncPgConnection, (total, documents, outdated): Row) -> Outcome<ChatPage> {
        let mut documents = documents.unwrap_or_default();
        if outdated > 0 {
            documents = list::documents(queries, &self.tenant, apart(&documents)?).await?;
        }
        Ok(ChatPage { documents, total: u64::try_from(total).unwrap_or(0) })
    }
}

impl Question for NearPage {
    type Answer = ChatPage;

    const OVER: Over = Over::Pages;

    fn rows(&self) -> usize {
        self.size as usize
    }

    fn goes_with(&self, other: &Self) -> bool {
        let kind = |page: &Self| (page.is_active, page.direction, page.size, page.skip == 0);
        kind(self) == kind(other)
    }

    // The page and the total, in one statement and so from one snapshot.
    async fn read(&self, mut queries: &AsyncPgConnection) -> Outcome<ChatPage> {
        let mut sql = Sql::<Types>::new("select ");
        let tenant_id = sql.argument::<Text, _>(self.tenant.as_str());
        self.push_total(&mut sql, tenant_id);
        sql.push(", page.* from (");
        let skip = (self.skip > 0).then(|| sql.argument::<BigInt, _>(self.skip));
        self.push_documents(&mut sql, tenant_id, skip);
        sql.push(") as page");
        let row: Row = sql.get_result(&mut queries).await?;
        self.page(queries, row).await
    }

    async fn read_all(mut queries: &AsyncPgConnection, pages: &[&Self]) -> Outcome<Vec<Result<ChatPage>>> {
        let Some(first) = pages.first() else { return Ok(Vec::new()) };
        let mut sql = Sql::<(BigInt, Types)>::new("select asked.place, ");
        let tenants = sql.argument::<Array<Text>, _>(pages.iter().map(|page| page.tenant.as_str()).collect::<Vec<_>>());
        let skips = sql.argument::<Array<BigInt>, _>(pages.iter().map(|page| page.skip).collect::<Vec<_>>());
        first.push_total(&mut sql, "asked.tenant_id");
        sql.push(format_args!(
            ", page.* from unnest((select {tenants}), (select {skips})) with ordinality as asked (tenant_id, skip, place) \
            cross join lateral ("
        ));
        first.push_documents(&mut sql, "asked.tenant_id", (first.skip > 0).then_some("asked.skip"));
        sql.push(") as page");
        // Sorted here, where nothing has to be copied for it.
        let mut rows: Vec<(i64, Row)> = sql.load(&mut queries).await?;
        rows.sort_unstable_by_key(|row| row.0);
        let mut answers = Vec::with_capacity(pages.len());
        for (page, (_, row)) in pages.iter().zip(rows) {
            answers.push(of_one(page.page(queries, row).await)?);
        }
        Ok(answers)
    }
}

/// The documents of a page, taken apart.
fn apart(documents: &str) -> Result<Vec<Kept>> {
    let inconsistent = |error| StoreError::Inconsistent(format!("documents: {error}"));
    let array = format!("[{documents}]");
    let documents: Vec<&RawValue> = serde_json::from_str(&array).map_err(inconsistent)?;
    let kept = |document: &RawValue| match serde_json::from_str(document.get()) {
        Ok(id) => Kept::Outdated(id),
        Err(_) => Kept::Current(document.get().to_owned()),
    };
    Ok(documents.into_iter().map(kept).collect())
}
