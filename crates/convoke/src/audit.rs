//! What happens to tokens and operations on the command line, for the audit log: the same target as the API's lines
//! (`crates/api/src/audit.rs`).

use std::env;

use convoke_api::AUDIT_TARGET;
use convoke_domain::{OperationId, TenantId, TokenId};
use convoke_store::NewToken;

/// A token was made.
pub fn token_created(token: &NewToken) {
    let scopes: Vec<_> = token.scopes.iter().map(|scope| scope.as_str()).collect();
    tracing::info!(
        target: AUDIT_TARGET,
        event = "token-created",
        id = %token.id,
        token = token.prefix,
        tenant = %token.tenant,
        subject = token.subject,
        scopes = scopes.join(" "),
        user = user(),
        "a token was made"
    );
}

/// A token was revoked.
pub fn token_revoked(id: TokenId) {
    tracing::info!(target: AUDIT_TARGET, event = "token-revoked", %id, user = user(), "a token was revoked");
}

/// An operation is tried again.
pub fn operation_retried(id: OperationId, tenant: &TenantId) {
    tracing::info!(target: AUDIT_TARGET, event = "operation-retried", %id, %tenant, user = user(), "an operation is tried again");
}

/// An operation was cancelled.
pub fn operation_cancelled(id: OperationId, tenant: &TenantId) {
    tracing::info!(target: AUDIT_TARGET, event = "operation-cancelled", %id, %tenant, user = user(), "an operation was cancelled");
}

/// Who runs the program, as far as the environment tells.
fn user() -> Option<String> {
    ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| env::var(name).ok())
}
