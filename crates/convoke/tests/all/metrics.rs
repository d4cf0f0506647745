//! What `/metrics` tells, compared with what is written of it, asked of it and promised.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use convoke_client::NewChat;
use convoke_domain::{Environment as _, Service};
use convoke_provider::{FeedState, NewAccount};
use convoke_store::{Migrate, OpenOptions};
use convoke_test_support::{TestEnvironment, create_database};
use reqwest::Method;
use serde_json::json;

use crate::support::{self, PATIENCE, Place, answer, repository_file};

/// Where what is measured is asked for.
const QUESTIONS: [&str; 2] =
    ["deploy/components/alerts/prometheus-rule.yaml", "deploy/components/dashboard/convoke.json"];

/// What all names of ours, and of the conventions that we follow, begin with.
const OURS: [&str; 4] = ["convoke_", "http_", "db_", "process_"];

#[test]
fn the_reference_is_what_the_program_says() {
    let told = Place::new().told(&["metrics"]);
    assert!(
        told == repository_file("docs/metrics.md"),
        "docs/metrics.md is not up to date: cargo run -p convoke -- metrics > docs/metrics.md"
    );
}

/// Metrics and their labels, as docs/metrics.md has them.
fn reference() -> Vec<(String, Vec<String>)> {
    let words = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let text = repository_file("docs/metrics.md");
    let rows = text.lines().filter(|line| line.starts_with("| `")).map(|line| line.split('|').collect::<Vec<_>>());
    rows.map(|cells| (words(cells[1]).remove(0), words(cells[3]))).collect()
}

#[test]
fn the_series_of_an_account_are_counted_right() {
    let of_accounts = reference().into_iter().filter(|(_, labels)| labels.iter().any(|label| label == "account"));
    assert_eq!(of_accounts.count(), 5);
    assert!(repository_file("docs/metrics.md").contains("and five for each account."));
}

/// The metric that a series belongs to.
fn family(series: &str) -> &str {
    ["_bucket", "_sum", "_count"].iter().find_map(|suffix| series.strip_suffix(suffix)).unwrap_or(series)
}

/// A figure: its name, its labels, as they are told.
fn series(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| {
        let (figure, _) = line.rsplit_once(' ').unwrap();
        figure.split_once('{').map_or((figure, ""), |(name, labels)| (name, labels.trim_end_matches('}')))
    })
}

/// Every metric that is asked for, with the labels by which it is chosen.
fn asked(text: &str) -> BTreeSet<(String, Vec<String>)> {
    // What stands in two braces is for people.
    let text: String = text.split("{{").map(|part| part.split_once("}}").map_or(part, |(_, behind)| behind)).collect();
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut asked = BTreeSet::new();
    let mut rest = text.as_str();
    while let Some(start) = rest.find(is_of_name) {
        rest = &rest[start..];
        let (name, behind) = rest.split_at(rest.find(|c| !is_of_name(c)).unwrap_or(rest.len()));
        let (mut labels, mut next) = (Vec::new(), behind);
        if let Some(choice) = behind.strip_prefix('{') {
            let (choice, behind) = choice.split_once('}').unwrap_or((choice, ""));
            // Names stand before `=`, `!=` and `=~`; values hold none of these.
            let parts: Vec<&str> = choice.split('=').collect();
            let names = parts[..parts.len() - 1].iter().filter_map(|part| part.rsplit([',', '{', ' ']).next());
            labels.extend(names.map(|name| name.trim_end_matches('!').to_owned()));
            next = behind;
        } else if ["by", "without", "label_values"].contains(&name) && behind.trim_start().starts_with('(') {
            // Names of labels, and a metric that is asked for elsewhere too.
            next = behind.split_once(')').map_or("", |(_, behind)| behind);
        }
        if OURS.iter().any(|prefix| name.starts_with(prefix)) && !name.contains(':') {
            asked.insert((name.to_owned(), labels));
        }
        rest = next;
    }
    asked
}

#[test]
fn what_is_asked_is_read_off_expressions() {
    let text =
        r#"sum by (http_route) (rate(http_a_total{job="x", convoke_b=~"5.."}[5m])) or {{http_c}} convoke:d convoke_e"#;
    let found: Vec<_> = asked(text).into_iter().collect();
    let labels = vec!["job".to_owned(), "convoke_b".to_owned()];
    assert_eq!(found, [("convoke_e".to_owned(), Vec::new()), ("http_a_total".to_owned(), labels)]);
}

/// A chat is made, somebody joins and is removed, lists are read: what goes on every day.
async fn tell_the_story(place: &Place, service: &support::Service<'_>, token: &str) -> String {
    let (client, http) = (service.typed(token), support::client());
    let chat = client.register_and_wait(&NewChat::new("Kick-off").created_by("ann"), PATIENCE).await.unwrap();
    let link = client.get_chat_invitation(chat.id, Some(PATIENCE)).await.unwrap().invitation;
    let (status, _) = answer(http.post(format!("{link}/join")).form(&[("username", "grace")])).await;
    assert_eq!(status, 303);
    let path = format!("/chats/{}", chat.id);
    let is_in = |chat: &serde_json::Value| chat["participants"].to_string().contains("grace");
    let seen = service.api(token).until(&path, is_in).await;
    let grace = seen["participants"].as_array().unwrap().iter().find(|one| one.to_string().contains("grace")).unwrap();
    let removal = client.remove_participant(chat.id, grace["id"].as_str().unwrap().parse().unwrap()).await.unwrap();
    client.wait_for_operation(removal.operation_id, PATIENCE).await.unwrap();
    let list = answer(service.api(token).get("/chats?sort=title&title=kick")).await;
    assert!(list.0 == 200 || list.0 == 400, "{list:?}");
    answer(http.get(format!("http://{}/metrics", place.admin))).await.1.as_str().unwrap().to_owned()
}

/// Keeps an account that nobody drives, whose feed was taken in once.
async fn keep_account(url: &str) {
    let environment = TestEnvironment::new();
    let options = OpenOptions { url: url.parse().unwrap(), migrate: Migrate::Auto, serve: false };
    let store = convoke_store::open(&options, Arc::new(environment.clone())).await.unwrap();
    let account = NewAccount {
        service: Service::Telegram,
        name: "first".to_owned(),
        tenants: Vec::new(),
        secret: Some(b"sealed".to_vec()),
    };
    let (id, now) = (store.save_account(account).await.unwrap(), environment.now());
    let lease = store.lease_account(id, "pod-1", now, now.plus(Duration::from_secs(1))).await.unwrap().unwrap();
    let feed = FeedState { feed: Some("all of it".to_owned()), groups: Vec::new(), at: now };
    assert!(store.save_feed(&lease, feed).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_alerts_and_dashboard_ask_for_is_told() {
    let database = create_database(None).await;
    keep_account(database.url()).await;
    let place = Place::on(database.url());
    let service = place.start();
    let text = tell_the_story(&place, &service, &place.token()).await;
    service.stop();

    let left = "convoke_account_creations_left{service=\"telegram\",account=\"first\"} 20";
    assert!(text.lines().any(|line| line == left), "{text}");
    let reference = reference();
    let told: BTreeSet<&str> = series(&text).map(|(name, _)| name).collect();
    let of_prometheus = ["job", "instance", "namespace", "le"];
    for question in QUESTIONS {
        let asked = asked(&repository_file(question));
        assert!(asked.len() > 15, "{question}: {asked:?}");
        for (name, chosen_by) in asked {
            assert!(told.contains(name.as_str()), "{question} asks for {name}: {text}");
            let labels = reference.iter().find(|(known, _)| known == family(&name)).map(|(_, labels)| labels);
            let labels = labels.unwrap_or_else(|| panic!("docs/metrics.md lacks {name}"));
            for label in chosen_by {
                assert!(labels.contains(&label) || of_prometheus.contains(&label.as_str()), "{name} has no {label}");
            }
        }
    }
    // All that is told is described, and all that is described is told.
    let is_known_here = |name: &&str| cfg!(target_os = "linux") || !name.starts_with("process_");
    let described: BTreeSet<&str> = reference.iter().map(|(name, _)| name.as_str()).filter(is_known_here).collect();
    let families: BTreeSet<&str> = told.iter().map(|name| family(name)).collect();
    assert_eq!(families, described, "{text}");
    for name in families {
        for what in ["HELP", "TYPE"] {
            assert_eq!(text.matches(&format!("# {what} {name} ")).count(), 1, "{what} of {name}: {text}");
        }
    }
    for (name, labels) in series(&text) {
        let known = &reference.iter().find(|(known, _)| known == family(name)).unwrap().1;
        for label in labels.split("\",").filter_map(|label| label.split_once('=').map(|(label, _)| label)) {
            assert!(known.iter().any(|known| known == label) || label == "le", "{name} has {label}");
        }
    }
}

#[tokio::test]
async fn random_requests_make_no_more_series() {
    let place = Place::new();
    let service = place.start();
    let token = place.token();
    let early = tell_the_story(&place, &service, &token).await;
    let mut chance = Chance(20_261_123);
    let http = support::client();
    let mut ids = Vec::new();
    for number in 0..1_500 {
        let id = format!("{:08x}-0000-4000-8000-{number:012x}", chance.next());
        let path = chance.path(&id);
        ids.push(id);
        let methods = [Method::GET, Method::POST, Method::DELETE, Method::PUT, Method::HEAD, Method::OPTIONS];
        let method = chance.one_of(&methods).clone();
        let mut request = http.request(method, format!("http://{}{path}", place.public));
        if *chance.one_of(&[true, true, false]) {
            request = request.bearer_auth(&token);
        }
        match chance.next() % 4 {
            0 => request = request.json(&json!({"title": format!("Chat {number}")})),
            1 => request = request.header("Prefer", "wait=0").json(&json!({"title": number})),
            2 => request = request.body("{"),
            _ => {}
        }
        request.send().await.unwrap();
    }
    let late = answer(http.get(format!("http://{}/metrics", place.admin))).await.1.as_str().unwrap().to_owned();
    service.stop();
    let (before, after) = (series(&early).count(), series(&late).count());
    assert!(before > 100 && after < 300, "{before}, then {after}: {late}");
    for (name, labels) in series(&late) {
        let looks_random = labels.contains("-4000-8000-") || labels.contains("nowhere");
        assert!(!looks_random, "{name}: {labels}");
    }
    assert!(!ids.is_empty() && late.contains("http_route=\"/api/v1/private/chats/{chatId}\""), "{late}");
}

/// Numbers that look random and are the same every time.
struct Chance(u32);

impl Chance {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0 >> 8
    }

    fn one_of<'a, T>(&mut self, values: &'a [T]) -> &'a T {
        &values[self.next() as usize % values.len()]
    }

    fn path(&mut self, id: &str) -> String {
        let templates = [
            "/api/v1/private/chats",
            "/api/v1/private/chats?pageSize=1&x=ID",
            "/api/v1/private/chats/ID",
            "/api/v1/private/chats/ID/invitation",
            "/api/v1/private/chats/ID/participants/ID",
            "/api/v1/private/operations/ID",
            "/api/v1/private/nowhere/ID",
            "/nowhere/ID",
            "/ID",
            "/sandbox/ID",
            "/sandbox/ID/join",
            "/problems/ID",
            "/openapi.json",
            "/swagger-ui/ID",
        ];
        self.one_of(&templates).replace("ID", id)
    }
}
