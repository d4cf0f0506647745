//! Secrets that must not get out: each is a canary, and nothing that the program writes or answers holds one. And what is
//! to be in the audit log is there.

use convoke_domain::Timestamp;
use convoke_test_support::{
    create_database,
    jwt::{LoopbackIssuer, SigningKey, claims},
};
use reqwest::{Method, header::HeaderMap};
use serde_json::{Value, json};

use crate::support::{Place, client, eventually};

/// In everything that is to stay unseen.
const CANARY: &str = "C4n4ryC4n4ryC4n4ryC4n4ry";

/// What was said on any way out.
#[derive(Default)]
struct Said(Vec<(String, String)>);

impl Said {
    fn add(&mut self, place: &str, text: impl Into<String>) {
        self.0.push((place.to_owned(), text.into()));
    }

    fn assert_without(&self, secret: &str) {
        for (place, text) in &self.0 {
            let line = text.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{place} tells {secret}");
        }
    }
}

/// Sends a request with canaries wherever a client may put a secret; gives what is answered, with its headers.
async fn ask(method: Method, url: &str, authorization: &str) -> String {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("authorization", authorization.to_owned()),
        ("idempotency-key", format!("key-{CANARY}")),
        ("cookie", format!("session={CANARY}")),
        ("x-api-key", CANARY.to_owned()),
        ("user-agent", CANARY.to_owned()),
        ("x-request-id", "r-1".to_owned()),
    ] {
        headers.insert(name, value.parse().unwrap());
    }
    let body = json!({"title": format!("title {CANARY}"), "description": CANARY, "createdBy": "ann"});
    let answer = client().request(method, url).headers(headers).json(&body).send().await.unwrap();
    let head = format!("{} {:?}", answer.status(), answer.headers());
    head + &answer.text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_canary_gets_out_and_the_audit_log_tells_who_did_what() {
    let database = create_database(None).await;
    let url = database.url().replacen("postgres@", &format!("postgres:{CANARY}@"), 1);
    let key = SigningKey::new("one", "ES256");
    let issuer = LoopbackIssuer::start(&[&key]).await;
    let issuers = json!([{"issuer": issuer.url, "audience": "convoke"}]);
    let place = Place::on(&url)
        .with("CONVOKE__AUTH__ISSUERS", &issuers.to_string())
        .with("CONVOKE__LOG__FORMAT", "json")
        .with("CONVOKE__LOG__LEVEL", "trace");
    let service = place.start();
    let created = place.run(&["token", "create", "--tenant", "acme", "--subject", "ann", "--scope", "chats:write"]);
    let token = String::from_utf8(created.stdout).unwrap().trim_end().to_owned();
    let of_command = String::from_utf8(created.stderr).unwrap();
    // Issued long ago, good for as long again.
    let mut of_issuer = claims(&issuer.url, Timestamp::from_millis(0));
    of_issuer["exp"] = json!(u32::MAX);
    of_issuer["scope"] = "chats:read".into();
    of_issuer["secret"] = CANARY.into();
    let good = key.token(&key.header(), &of_issuer);
    of_issuer["aud"] = CANARY.into();
    let bad = key.token(&key.header(), &of_issuer);

    let mut said = Said::default();
    let base = format!("http://{}", place.public);
    let (chats, forged) = (format!("{base}/api/v1/private/chats"), format!("cvk_abcdefghijkl_{CANARY:x<43}"));
    for (method, url, authorization) in [
        (Method::POST, chats.clone(), format!("Bearer {token}")),
        (Method::GET, chats.clone(), format!("Bearer {token}")),
        (Method::POST, format!("{chats}?secret={CANARY}"), format!("Bearer {token}")),
        (Method::GET, format!("{chats}/{CANARY}"), format!("Bearer {token}")),
        (Method::POST, chats.clone(), format!("Bearer {good}")),
        (Method::GET, chats.clone(), format!("Bearer {bad}")),
        (Method::GET, chats.clone(), format!("Bearer {forged}")),
        (Method::GET, chats.clone(), format!("Bearer {CANARY}")),
        (Method::GET, chats.clone(), format!("Basic {CANARY}")),
        (Method::GET, chats.clone(), format!("{CANARY} {CANARY}")),
    ] {
        let answer = ask(method.clone(), &url, &authorization).await;
        if !url.contains(CANARY) {
            // A problem's `instance` is the path that was asked for.
            said.add(&format!("the answer to {method} {url}"), answer);
        }
    }
    let page = format!("{base}/sandbox/{CANARY}");
    said.add("an invitation that does not exist", ask(Method::GET, &page, "Bearer x").await);
    ask(Method::POST, &format!("{page}/join"), "Bearer x").await;
    let metrics = client().get(format!("http://{}/metrics", place.admin)).send().await.unwrap().text().await.unwrap();
    said.add("/metrics", metrics);
    for command in [
        &["config", "print"][..],
        &["config", "print", "--json"],
        &["config", "check"],
        &["token", "list"],
        &["doctor"],
    ] {
        let output = place.run(command);
        said.add(&format!("{command:?}"), String::from_utf8([output.stdout, output.stderr].concat()).unwrap());
    }
    eventually("logged", || service.stderr().contains("log-in-failed"), || service.stderr());
    let log = service.stderr();
    said.add("the log", &*log);
    said.add("standard output", service.stdout());
    said.add("the log of a command", &*of_command);
    for secret in [CANARY, &token[17..], good.rsplit('.').next().unwrap(), bad.rsplit('.').next().unwrap()] {
        said.assert_without(secret);
    }

    let lines = |log: &str| -> Vec<Value> {
        let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect(line));
        lines.filter(|line| line["target"] == "convoke::audit").collect()
    };
    let audit = lines(&log);
    let of = |event: &str| audit.iter().filter(|line| line["event"] == event).collect::<Vec<_>>();
    for line in of("log-in-failed").iter().chain(&of("scope-refused")) {
        assert_eq!((&line["remote"], &line["request_id"]), (&json!("127.0.0.1"), &json!("r-1")), "{line}");
    }
    let reasons: Vec<_> = of("log-in-failed").iter().filter_map(|line| line["reason"].as_str()).collect();
    assert!(reasons.contains(&"the token's claims won't do: aud is somebody else"), "{reasons:?}");
    assert!(of("log-in-failed").iter().any(|line| line["token"] == "abcdefghijkl"), "{audit:?}");
    let by_token = json!({"tenant": "acme", "subject": "ann", "token": &token[4..16], "scope": "chats:read"});
    let by_issuer = json!({"tenant": "acme", "subject": "ann", "issuer": issuer.url, "scope": "chats:write"});
    for who in [by_token, by_issuer] {
        let fits = |line: &&Value| who.as_object().unwrap().iter().all(|(name, value)| line[name] == *value);
        assert!(of("scope-refused").iter().any(fits), "{who}: {audit:?}");
    }
    let [made] = &lines(&of_command)[..] else { panic!("{of_command}") };
    assert_eq!((&made["event"], &made["token"]), (&json!("token-created"), &json!(&token[4..16])));
    let id = made["id"].as_str().unwrap().to_owned();
    let revoked = String::from_utf8(place.run(&["token", "revoke", &id]).stderr).unwrap();
    assert_eq!(lines(&revoked)[0]["event"], "token-revoked");
}

#[tokio::test]
async fn a_removal_is_in_the_audit_log() {
    let place = Place::new().with("CONVOKE__LOG__FORMAT", "json").with("CONVOKE__LOG__LEVEL", "error");
    let service = place.start();
    let api = service.api(&place.token());
    let id = api.register("Somebody goes").await;
    api.until(&format!("/chats/{id}"), |chat| chat["status"] == "active").await;
    let invitation = api.until(&format!("/chats/{id}/invitation"), |answer| answer["invitation"].is_string()).await;
    let form = [("username", "grace")];
    let join = client().post(format!("{}/join", invitation["invitation"].as_str().unwrap())).form(&form);
    assert_eq!(join.send().await.unwrap().status(), 303);
    let chat = api.until(&format!("/chats/{id}"), |chat| chat["participants"][1].is_object()).await;
    let grace = chat["participants"][1]["id"].as_str().unwrap();
    let path = format!("/chats/{id}/participants/{grace}");
    assert_eq!(api.delete(&path).send().await.unwrap().status(), 202);
    // Whatever the level, and once: a repeat is another request for what is under way.
    eventually("in the log", || service.stderr().contains("removal-requested"), || service.stderr());
    let log = service.stderr();
    let line = log.lines().find(|line| line.contains("removal-requested")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!((line["chat"].as_str(), line["participant"].as_str()), (Some(&*id), Some(grace)), "{line}");
    assert_eq!((line["tenant"].as_str(), line["subject"].as_str()), (Some("acme"), Some("ann")));
    assert!(line["operation"].is_string() && line["request_id"].is_string());
}
