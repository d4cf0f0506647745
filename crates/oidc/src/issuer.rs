//! What is configured of an issuer.

use convoke_domain::TenantId;

use crate::address::Address;

/// An issuer that is trusted, and how its tokens are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// Its name and address: `iss` of its tokens, letter by letter.
    pub address: Address,
    /// What `aud` of its tokens has to hold: this service.
    pub audience: String,
    /// The claim that holds the tenant.
    pub tenant_claim: String,
    /// The claim that holds the scopes, as one text with spaces or as a list.
    pub scope_claim: String,
    /// The tenants that it may speak for; if none are named, any.
    pub tenants: Vec<TenantId>,
    /// The public client as which Swagger UI logs in, if it may.
    pub swagger_ui_client: Option<String>,
}
