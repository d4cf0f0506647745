//! Bearer tokens, by their hash.

use convoke_domain::{Scope, Timestamp, TokenId};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{failure::Outcome, schema::tokens};
use crate::{NewToken, StoredToken, error::Result, rows};

#[derive(Queryable, Selectable)]
#[diesel(table_name = tokens, check_for_backend(diesel::pg::Pg))]
struct TokenRow {
    id: Uuid,
    tenant_id: String,
    subject: String,
    scopes: String,
    prefix: String,
    hash: Vec<u8>,
    created_at: i64,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
}

impl TokenRow {
    fn into_token(self) -> Result<StoredToken> {
        let scopes = self.scopes.split_whitespace().map(str::parse::<Scope>).collect::<Result<_, _>>();
        Ok(StoredToken {
            token: NewToken {
                id: TokenId(self.id),
                tenant: rows::tenant(&self.tenant_id)?,
                subject: self.subject,
                scopes: scopes.map_err(|_| rows::inconsistent("scopes", &self.scopes))?,
                prefix: self.prefix,
                hash: rows::hash(&self.hash)?,
                created_at: Timestamp::from_millis(self.created_at),
                expires_at: rows::timestamp(self.expires_at),
            },
            revoked_at: rows::timestamp(self.revoked_at),
        })
    }
}

pub async fn create(mut queries: &AsyncPgConnection, token: &NewToken) -> Outcome<()> {
    diesel::insert_into(tokens::table)
        .values((
            tokens::id.eq(token.id.0),
            tokens::tenant_id.eq(token.tenant.as_str()),
            tokens::subject.eq(&token.subject),
            tokens::scopes.eq(rows::scope_names(&token.scopes)),
            tokens::prefix.eq(&token.prefix),
            tokens::hash.eq(token.hash.as_slice()),
            tokens::created_at.eq(token.created_at.as_millis()),
            tokens::expires_at.eq(token.expires_at.map(Timestamp::as_millis)),
        ))
        .execute(&mut queries)
        .await?;
    Ok(())
}

pub async fn find(mut queries: &AsyncPgConnection, prefix: &str) -> Outcome<Option<StoredToken>> {
    let row = tokens::table.filter(tokens::prefix.eq(prefix)).select(TokenRow::as_select());
    Ok(row.first(&mut queries).await.optional()?.map(TokenRow::into_token).transpose()?)
}

pub async fn list(mut queries: &AsyncPgConnection) -> Outcome<Vec<StoredToken>> {
    let rows = tokens::table.order((tokens::created_at.desc(), tokens::id)).select(TokenRow::as_select());
    let rows = rows.load(&mut queries).await?;
    Ok(rows.into_iter().map(TokenRow::into_token).collect::<Result<_>>()?)
}

pub async fn revoke(mut queries: &AsyncPgConnection, id: TokenId, at: Timestamp) -> Outcome<bool> {
    let token = tokens::table.find(id.0);
    diesel::update(token.filter(tokens::revoked_at.is_null()))
        .set(tokens::revoked_at.eq(at.as_millis()))
        .execute(&mut queries)
        .await?;
    Ok(diesel::select(diesel::dsl::exists(token)).get_result(&mut queries).await?)
}
