//! Keys over HTTP, from an issuer on this machine.

use std::sync::Arc;

use convoke_domain::Environment;
use convoke_oidc::{HttpSource, Issuer, Issuers, KeySource, Refusal, VerifyError};
use convoke_test_support::{
    TestEnvironment,
    jwt::{LoopbackIssuer, SigningKey, claims},
};
use serde_json::json;

use crate::support::issuer;

fn watch(url: &str, environment: &TestEnvironment) -> Issuers {
    let environment: Arc<dyn Environment> = Arc::new(environment.clone());
    let issuer = Issuer { swagger_ui_client: Some("swagger".to_owned()), ..issuer(url) };
    let source: Box<dyn KeySource> = Box::new(HttpSource::new(issuer.address.clone()).unwrap());
    Issuers::watch([(issuer, source)], &environment)
}

#[tokio::test]
async fn keys_are_found_by_the_metadata_of_the_issuer() {
    let key = SigningKey::new("one", "RS256");
    let served = LoopbackIssuer::start(&[&key]).await;
    let environment = TestEnvironment::new();
    let issuers = watch(&served.url, &environment);
    assert_eq!(issuers.login(), None);
    let token = key.token(&key.header(), &claims(&served.url, environment.now()));
    let principal = issuers.verify(&token, environment.now()).await.unwrap();
    assert_eq!(principal.subject, "ann");
    let login = issuers.login().unwrap();
    assert_eq!(login.client, "swagger");
    assert_eq!(login.authorization_endpoint.as_str(), format!("{}/authorize", served.url));

    let new = SigningKey::new("two", "ES384");
    served.publish(&[&new]);
    let token = new.token(&new.header(), &claims(&served.url, environment.now()));
    issuers.verify(&token, environment.now()).await.unwrap();
    assert_eq!(served.asked_for_keys(), 2);
    let stranger = claims("https://stranger.example", environment.now());
    let token = key.token(&key.header(), &stranger);
    assert_eq!(issuers.verify(&token, environment.now()).await, Err(Refusal::Issuer.into()));
}

#[tokio::test]
async fn what_is_no_metadata_of_the_issuer_gives_no_keys() {
    let key = SigningKey::new("one", "ES256");
    let served = LoopbackIssuer::start(&[&key]).await;
    let environment = TestEnvironment::new();
    let keys = format!("{}/keys", served.url);
    for metadata in [
        json!({"issuer": "https://stranger.example", "jwks_uri": keys}),
        json!({"issuer": format!("{}/", served.url), "jwks_uri": keys}),
        json!({"issuer": served.url}),
        json!({"jwks_uri": keys}),
        json!({"issuer": served.url, "jwks_uri": "file:///etc/passwd"}),
        json!({"issuer": served.url, "jwks_uri": "http://192.0.2.1/keys"}),
        json!({"issuer": served.url, "jwks_uri": format!("{}/nothing", served.url)}),
        json!({"issuer": served.url, "jwks_uri": format!("{}/.well-known/openid-configuration", served.url)}),
        json!({"issuer": served.url, "jwks_uri": keys, "filler": "x".repeat(600_000)}),
    ] {
        served.publish_metadata(&metadata);
        let issuers = watch(&served.url, &environment);
        let token = key.token(&key.header(), &claims(&served.url, environment.now()));
        let verified = issuers.verify(&token, environment.now()).await;
        assert_eq!(verified, Err(VerifyError::Unavailable), "{:.200}", metadata.to_string());
    }
    served.set_away(true);
    let source = HttpSource::new(served.url.parse().unwrap()).unwrap();
    assert!(source.fetch().await.is_err());
}
