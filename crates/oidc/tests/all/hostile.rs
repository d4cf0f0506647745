//! Tokens that break a rule, each told with the rule: `crates/test-support/src/jwt/hostile.rs`.

use std::collections::HashSet;

use convoke_test_support::jwt::{SigningKey, claims, hostile_tokens};

use crate::support::{ISSUER, NOW, issuer, key_set, verify};

#[test]
fn none_of_them_is_accepted() {
    let (rsa, curve) = (SigningKey::new("rsa-1", "RS256"), SigningKey::new("curve-1", "ES256"));
    let (issuer, keys) = (issuer(ISSUER), key_set(&[&rsa, &curve]));
    for key in [&rsa, &curve] {
        // What they are made from is accepted: it is the change that is refused.
        verify(&key.token(&key.header(), &claims(ISSUER, NOW)), &issuer, &keys).unwrap();
    }
    let tokens = hostile_tokens(ISSUER, &rsa, &curve, NOW);
    assert!(tokens.len() >= 70, "{}", tokens.len());
    let mut texts = HashSet::new();
    for hostile in tokens {
        assert!(verify(&hostile.text, &issuer, &keys).is_err(), "{}: {}", hostile.rule, hostile.name);
        assert!(texts.insert(hostile.text), "twice: {}", hostile.name);
    }
}
