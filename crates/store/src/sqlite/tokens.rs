//! Bearer tokens, by their hash.

use convoke_domain::{Scope, Timestamp, TokenId};
use diesel::{SqliteConnection, prelude::*};

use super::{id::Id, schema::tokens};
use crate::{NewToken, StoredToken, error::Result, rows};

#[derive(Queryable, Selectable)]
#[diesel(table_name = tokens)]
struct TokenRow {
    id: Id,
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
                id: TokenId(self.id.0),
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

pub fn create(connection: &mut SqliteConnection, token: &NewToken) -> Result<()> {
    diesel::insert_into(tokens::table)
        .values((
            tokens::id.eq(Id(token.id.0)),
            tokens::tenant_id.eq(token.tenant.as_str()),
            tokens::subject.eq(&token.subject),
            tokens::scopes.eq(rows::scope_names(&token.scopes)),
            tokens::prefix.eq(&token.prefix),
            tokens::hash.eq(token.hash.as_slice()),
            tokens::created_at.eq(token.created_at.as_millis()),
            tokens::expires_at.eq(token.expires_at.map(Timestamp::as_millis)),
        ))
        .execute(connection)?;
    Ok(())
}

pub fn find(connection: &mut SqliteConnection, prefix: &str) -> Result<Option<StoredToken>> {
    let row = tokens::table.filter(tokens::prefix.eq(prefix)).select(TokenRow::as_select());
    row.get_result(connection).optional()?.map(TokenRow::into_token).transpose()
}

pub fn list(connection: &mut SqliteConnection) -> Result<Vec<StoredToken>> {
    let rows = tokens::table.order((tokens::created_at.desc(), tokens::id)).select(TokenRow::as_select());
    rows.load(connection)?.into_iter().map(TokenRow::into_token).collect()
}

pub fn revoke(connection: &mut SqliteConnection, id: TokenId, at: Timestamp) -> Result<bool> {
    let token = tokens::table.find(Id(id.0));
    diesel::update(token.filter(tokens::revoked_at.is_null()))
        .set(tokens::revoked_at.eq(at.as_millis()))
        .execute(connection)?;
    Ok(diesel::select(diesel::dsl::exists(token)).get_result(connection)?)
}
