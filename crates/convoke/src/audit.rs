//! What happens to tokens on the command line, for the audit log: the same target as the API's lines
//! (`crates/api/src/audit.rs`).

use std::env;

use convoke_api::AUDIT_TARGET;
use convoke_domain::TokenId;
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

/// Who runs the program, as far as the environment tells.
fn user() -> Option<String> {
    ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| env::var(name).ok())
}
