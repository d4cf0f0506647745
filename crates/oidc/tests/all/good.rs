//! Tokens that open something.

use std::time::Duration;

use convoke_domain::Scope;
use convoke_oidc::{Issuer, KeySet, Refusal};
use convoke_test_support::jwt::{SigningKey, claims};
use serde_json::json;

use crate::support::{ISSUER, NOW, issuer, key_set, verify};

#[test]
fn every_algorithm_of_the_list_is_verified() {
    for algorithm in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"] {
        let key = SigningKey::new("one", algorithm);
        let token = key.token(&key.header(), &claims(ISSUER, NOW));
        let principal = verify(&token, &issuer(ISSUER), &key_set(&[&key])).unwrap();
        assert_eq!((principal.tenant.as_str(), principal.subject.as_str()), ("acme", "ann"), "{algorithm}");
        assert_eq!(principal.scopes, Scope::ALL);
        assert_eq!(principal.expires_at.since(NOW).as_secs(), 3_600);
    }
}

#[test]
fn a_key_for_one_algorithm_verifies_no_other() {
    let key = SigningKey::new("one", "RS256");
    let token = key.token(&key.header(), &claims(ISSUER, NOW));
    let with = |algorithm: &str| {
        let mut jwk = key.jwk();
        jwk["alg"] = algorithm.into();
        KeySet::read(json!({ "keys": [jwk] }).to_string().as_bytes()).unwrap()
    };
    assert!(verify(&token, &issuer(ISSUER), &with("RS256")).is_ok());
    assert_eq!(verify(&token, &issuer(ISSUER), &with("PS256")), Err(Refusal::Algorithm));
}

#[test]
fn what_issuers_write_differently_is_understood() {
    let key = SigningKey::new("one", "ES256");
    let keys = key_set(&[&key]);
    let of = |change: &dyn Fn(&mut serde_json::Value, &mut serde_json::Value)| {
        let (mut header, mut claims) = (key.header(), claims(ISSUER, NOW));
        change(&mut header, &mut claims);
        verify(&key.token(&header, &claims), &issuer(ISSUER), &keys)
    };
    assert!(of(&|header, _| header["typ"] = "JWT".into()).is_ok());
    assert!(of(&|header, _| header["typ"] = "application/AT+jwt".into()).is_ok());
    assert!(of(&|header, _| header["x5t"] = "a".into()).is_ok());
    assert!(of(&|header, _| _ = header.as_object_mut().unwrap().remove("kid")).is_ok());
    assert!(of(&|_, claims| claims["aud"] = json!(["account", "convoke"])).is_ok());
    assert!(of(&|_, claims| claims["exp"] = json!(1_733_910_000.5)).is_ok());
    // A clock that is a little ahead of ours.
    assert!(of(&|_, claims| claims["nbf"] = json!(NOW.plus(Duration::from_secs(4)).as_millis() / 1_000)).is_ok());
    assert_eq!(of(&|_, claims| claims["scope"] = json!(["chats:read", "other"])).unwrap().scopes, [Scope::ChatsRead]);
    assert_eq!(of(&|_, claims| claims["scope"] = "openid".into()).unwrap().scopes, []);
    assert_eq!(of(&|_, claims| _ = claims.as_object_mut().unwrap().remove("scope")).unwrap().scopes, []);
}

#[test]
fn the_claims_are_those_that_are_configured() {
    let key = SigningKey::new("one", "ES256");
    let keys = key_set(&[&key]);
    let issuer = Issuer {
        tenant_claim: "https://example.org/tenant".to_owned(),
        scope_claim: "scp".to_owned(),
        tenants: vec!["globex".parse().unwrap()],
        ..issuer(ISSUER)
    };
    let mut claims = claims(ISSUER, NOW);
    claims["https://example.org/tenant"] = "globex".into();
    claims["scp"] = json!(["chats:write"]);
    let principal = verify(&key.token(&key.header(), &claims), &issuer, &keys).unwrap();
    assert_eq!((principal.tenant.as_str(), &principal.scopes[..]), ("globex", &[Scope::ChatsWrite][..]));
    claims["https://example.org/tenant"] = "acme".into();
    let refused = verify(&key.token(&key.header(), &claims), &issuer, &keys);
    assert_eq!(refused, Err(Refusal::Claim("the issuer does not speak for the tenant")));
}
