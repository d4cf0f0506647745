//! An issuer as it is configured in these tests, and a token that is read without any network.

use convoke_domain::Timestamp;
use convoke_oidc::{Issuer, KeySet, Principal, Refusal, Token, Unproven};
use convoke_test_support::{TestEnvironment, jwt::SigningKey};
use serde_json::json;

pub const ISSUER: &str = "https://login.example.org/realms/acme";
/// When these tests happen.
pub const NOW: Timestamp = TestEnvironment::START;

pub fn issuer(address: &str) -> Issuer {
    Issuer {
        address: address.parse().unwrap(),
        audience: "convoke".to_owned(),
        tenant_claim: "tenant".to_owned(),
        scope_claim: "scope".to_owned(),
        tenants: Vec::new(),
        swagger_ui_client: None,
    }
}

pub fn key_set(keys: &[&SigningKey]) -> KeySet {
    let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
    KeySet::read(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

/// Reads, checks and proves a token.
pub fn verify(text: &str, issuer: &Issuer, keys: &KeySet) -> Result<Principal, Refusal> {
    Token::read(text)?.check(issuer, NOW)?.prove(keys).map_err(|unproven| match unproven {
        Unproven::Refused(refusal) => refusal,
        Unproven::UnknownKey(_) => Refusal::Key,
    })
}
