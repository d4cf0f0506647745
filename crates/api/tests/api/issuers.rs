//! Tokens of issuers, beside our own.

use std::{sync::Arc, time::Duration};

use convoke_api::ApiSettings;
use convoke_domain::{Environment, Scope};
use convoke_oidc::{HttpSource, Issuer, Issuers, KeySource};
use convoke_test_support::{
    TestEnvironment,
    jwt::{LoopbackIssuer, SigningKey, claims, hostile_tokens},
};
use reqwest::{Method, header::HeaderValue};
use serde_json::{Value, json};

use crate::service::{Answer, Backend, TestService};

const CHATS: &str = "/api/v1/private/chats";

/// An issuer, and a service that trusts it.
struct World {
    rsa: SigningKey,
    curve: SigningKey,
    issuer: LoopbackIssuer,
    service: TestService,
}

impl World {
    async fn start(backend: Backend) -> Self {
        let (rsa, curve) = (SigningKey::new("rsa-1", "RS256"), SigningKey::new("curve-1", "ES256"));
        let issuer = LoopbackIssuer::start(&[&rsa, &curve]).await;
        let service = TestService::start_with(backend, trusting(&issuer.url)).await;
        Self { rsa, curve, issuer, service }
    }

    /// What a good token says now.
    fn claims(&self) -> Value {
        claims(&self.issuer.url, self.service.environment.now())
    }

    fn token(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut claims = self.claims();
        change(&mut claims);
        self.curve.token(&self.curve.header(), &claims)
    }

    async fn list(&self, token: &str) -> Answer {
        Answer::of(self.service.plain(Method::GET, CHATS).bearer_auth(token)).await
    }
}

/// Settings that trust the issuer at this address.
fn trusting(url: &str) -> ApiSettings {
    let issuer = Issuer {
        address: url.parse().unwrap(),
        audience: "convoke".to_owned(),
        tenant_claim: "tenant".to_owned(),
        scope_claim: "scope".to_owned(),
        tenants: Vec::new(),
        swagger_ui_client: Some("swagger".to_owned()),
    };
    let source: Box<dyn KeySource> = Box::new(HttpSource::new(issuer.address.clone()).unwrap());
    let environment: Arc<dyn Environment> = Arc::new(TestEnvironment::new());
    ApiSettings { issuers: Arc::new(Issuers::watch([(issuer, source)], &environment)), ..ApiSettings::default() }
}

async fn a_token_of_an_issuer_opens_what_its_claims_say(backend: Backend) {
    let world = World::start(backend).await;
    let token = world.token(|_| {});
    let body = json!({ "title": "By an issuer's token" });
    let registered = Answer::of(world.service.plain(Method::POST, CHATS).bearer_auth(&token).json(&body)).await;
    assert_eq!(registered.status, 202, "{}", registered.text);
    // The tenant is the same as that of the service's own tokens of this name.
    let listed = world.service.get(CHATS).await.json();
    assert_eq!(listed["records"][0]["createdBy"], "ann");
    let elsewhere = world.list(&world.token(|claims| claims["tenant"] = "globex".into())).await;
    assert_eq!(elsewhere.json()["_metadata"]["totalRecords"], 0);

    let reader = world.token(|claims| claims["scope"] = "openid chats:read".into());
    assert_eq!(world.list(&reader).await.status, 200);
    let refused = Answer::of(world.service.plain(Method::POST, CHATS).bearer_auth(&reader).json(&body)).await;
    refused.assert_problem(403, "forbidden");
    assert!(refused.header("www-authenticate").contains("insufficient_scope"));

    // It ends when it says so, though it was verified a moment ago.
    world.service.environment.advance(Duration::from_hours(1));
    world.list(&reader).await.assert_problem(401, "unauthorized");
}

async fn hostile_tokens_open_nothing(backend: Backend) {
    let world = World::start(backend).await;
    assert_eq!(world.list(&world.token(|_| {})).await.status, 200);
    let now = world.service.environment.now();
    let mut refused = 0;
    for hostile in hostile_tokens(&world.issuer.url, &world.rsa, &world.curve, now) {
        let Ok(header) = HeaderValue::from_str(&format!("Bearer {}", hostile.text)) else { continue };
        let answer = Answer::of(world.service.plain(Method::GET, CHATS).header("authorization", header)).await;
        // 503 where the token names a key that may have come into use since the issuer was asked.
        assert!([401, 503].contains(&answer.status), "{}: {}: {}", hostile.rule, hostile.name, answer.status);
        refused += usize::from(answer.status == 401);
        let told = if answer.status == 401 { "www-authenticate" } else { "retry-after" };
        assert_ne!(answer.header(told), "", "{}", hostile.name);
    }
    assert!(refused >= 150, "{refused}");
    assert!(world.issuer.asked_for_keys() <= 2, "once at the start, once for a key");
}

async fn a_token_is_taken_from_one_place_once(backend: Backend) {
    let world = World::start(backend).await;
    let token = world.token(|_| {});
    let plain = || world.service.plain(Method::GET, CHATS);
    let query = Answer::of(world.service.plain(Method::GET, &format!("{CHATS}?access_token={token}"))).await;
    query.assert_problem(401, "unauthorized");
    for request in [
        plain().bearer_auth(&token).bearer_auth(&token),
        plain().bearer_auth(&token).bearer_auth(&world.service.token),
        plain().header("authorization", format!("DPoP {token}")),
        plain().header("authorization", format!("Bearer {token}, Bearer {token}")),
        plain().header("authorization", format!("Bearer {token} {token}")),
        plain().header("cookie", format!("access_token={token}")),
        plain().header("x-authorization", format!("Bearer {token}")),
        plain().basic_auth("ann", Some(&token)),
    ] {
        Answer::of(request).await.assert_problem(401, "unauthorized");
    }
}

async fn keys_that_change_are_followed_and_an_issuer_may_be_away(backend: Backend) {
    let world = World::start(backend).await;
    let old = world.token(|_| {});
    assert_eq!(world.list(&old).await.status, 200);
    let new = SigningKey::new("curve-2", "ES384");
    world.issuer.publish(&[&world.curve, &new]);
    assert_eq!(world.list(&new.token(&new.header(), &world.claims())).await.status, 200);
    world.issuer.set_away(true);
    assert_eq!(world.list(&world.token(|claims| claims["sub"] = "bob".into())).await.status, 200);
    assert_eq!(world.service.get(CHATS).await.status, 200);
}

async fn swagger_ui_logs_in_where_the_issuer_lets_it(backend: Backend) {
    let world = World::start(backend).await;
    // Until the issuer was reached there is nowhere to log in.
    assert_eq!(world.list(&world.token(|_| {})).await.status, 200);
    let start = world.service.get("/swagger-ui/swagger-initializer.js").await;
    assert!(start.text.contains("initOAuth") && start.text.contains("/swagger-ui/openapi.json"), "{}", start.text);
    assert!(start.header("content-security-policy").contains(&format!("connect-src 'self' {};", world.issuer.url)));
    let document = world.service.get("/swagger-ui/openapi.json").await.json();
    let flow = &document["components"]["securitySchemes"]["login"]["flows"]["authorizationCode"];
    assert_eq!(flow["authorizationUrl"], format!("{}/authorize", world.issuer.url));
    // The document of the API is that of every installation.
    assert_eq!(world.service.get("/openapi.json").await.text, convoke_api::openapi_json());
}

async fn an_issuer_that_never_came_leaves_our_own_tokens_alone(backend: Backend) {
    let key = SigningKey::new("one", "ES256");
    let issuer = LoopbackIssuer::start(&[&key]).await;
    issuer.set_away(true);
    let service = TestService::start_with(backend, trusting(&issuer.url)).await;
    let token = key.token(&key.header(), &claims(&issuer.url, service.environment.now()));
    let answer = Answer::of(service.plain(Method::GET, CHATS).bearer_auth(&token)).await;
    answer.assert_problem(503, "service-unavailable");
    assert_ne!(answer.header("retry-after"), "");
    assert_eq!(service.get(CHATS).await.status, 200);
}

async fn without_an_issuer_no_such_token_is_any_good(backend: Backend) {
    let key = SigningKey::new("one", "ES256");
    let issuer = LoopbackIssuer::start(&[&key]).await;
    let service = TestService::start(backend).await;
    let token = key.token(&key.header(), &claims(&issuer.url, service.environment.now()));
    Answer::of(service.plain(Method::GET, CHATS).bearer_auth(&token)).await.assert_problem(401, "unauthorized");
    let reader = service.new_token("acme", &[Scope::ChatsRead]).await;
    assert_eq!(Answer::of(service.plain(Method::GET, CHATS).bearer_auth(&reader)).await.status, 200);
    assert_eq!(issuer.asked_for_keys(), 0);
}

on_both!(
    a_token_of_an_issuer_opens_what_its_claims_say,
    hostile_tokens_open_nothing,
    a_token_is_taken_from_one_place_once,
    keys_that_change_are_followed_and_an_issuer_may_be_away,
    swagger_ui_logs_in_where_the_issuer_lets_it,
    an_issuer_that_never_came_leaves_our_own_tokens_alone,
    without_an_issuer_no_such_token_is_any_good,
);
