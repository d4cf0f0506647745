//! Tokens, our own and those of issuers.

use std::sync::LazyLock;

use convoke_api::parsers;
use convoke_domain::Timestamp;
use convoke_oidc::{Issuer, KeySet, Token};
use data_encoding::BASE64URL_NOPAD;

/// The public keys of RFC 7515 (appendix A.3) and RFC 8037 (appendix A.2). Whoever makes a signature of theirs by trying
/// has found something else than a mistake of ours.
const KEYS: &str = r#"{"keys":[
    {"kty":"EC","crv":"P-256","kid":"ec","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
     "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
    {"kty":"OKP","crv":"Ed25519","kid":"ed","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
]}"#;

/// 2024-12-11T08:54:03.000Z.
const NOW: Timestamp = Timestamp::from_millis(1_733_907_243_000);

static ISSUER: LazyLock<(Issuer, KeySet)> = LazyLock::new(|| {
    let issuer = Issuer {
        address: "https://login.example.org".parse().expect("an address"),
        audience: "convoke".to_owned(),
        tenant_claim: "tenant".to_owned(),
        scope_claim: "scope".to_owned(),
        tenants: Vec::new(),
        swagger_ui_client: None,
    };
    (issuer, KeySet::read(KEYS.as_bytes()).expect("keys"))
});

/// A token of ours has one shape.
pub fn token(data: &[u8]) {
    let Some(text) = crate::text(data) else { return };
    if let Some(prefix) = parsers::token_prefix(text) {
        assert_eq!((prefix.len(), text.len()), (12, 60));
        assert!(text.starts_with(&format!("cvk_{prefix}_")));
    }
}

/// No token of an issuer's is taken that it has not signed.
pub fn jwt(data: &[u8]) {
    if let Some(text) = crate::text(data) {
        is_refused(text);
    }
}

/// The same for header, claims and signature in lines of their own, which are encoded first.
pub fn claims(data: &[u8]) {
    let mut parts = data.splitn(3, |byte| *byte == b'\n').map(|part| BASE64URL_NOPAD.encode(part));
    let mut part = || parts.next().unwrap_or_default();
    is_refused(&format!("{}.{}.{}", part(), part(), part()));
}

fn is_refused(text: &str) {
    let (issuer, keys) = &*ISSUER;
    let Ok(token) = Token::read(text) else { return };
    if let Ok(claimed) = token.check(issuer, NOW) {
        assert!(claimed.prove(keys).is_err(), "{text}");
    }
}

/// The keys of an issuer.
pub fn keys(data: &[u8]) {
    if let Ok(keys) = KeySet::read(data) {
        assert_eq!(KeySet::read(data), Ok(keys));
    }
}
