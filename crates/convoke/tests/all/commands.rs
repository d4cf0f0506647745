//! The commands, most of them beside a running service.

use std::{fs, path::Path, time::Duration};

use convoke_test_support::create_database;

use crate::support::{Place, answer};

#[tokio::test]
async fn tokens_come_and_go_beside_a_running_service() {
    comes_and_goes(&Place::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_come_and_go_on_postgresql() {
    let database = create_database(None).await;
    comes_and_goes(&Place::on(database.url())).await;
}

async fn comes_and_goes(place: &Place) {
    let service = place.start();
    let create = ["token", "create", "--tenant", "acme", "--subject", "billing", "--scope", "chats:read"];
    let printed = place.told(&create);
    let token = printed.trim_end();
    assert_eq!(printed, format!("{token}\n"), "the token and nothing else");
    let ends = place.told(&[&create[..], &["--ttl", "30d"]].concat());
    assert_ne!(ends, printed);

    let list = place.told(&["token", "list"]);
    let rows: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(!list.contains(token) && rows[0][0] == "id", "{list}");
    let row = rows.iter().find(|row| row[1] == "acme" && row[5] == "never").expect(&list);
    assert_eq!(row[2..4], ["billing", "chats:read"]);

    let api = service.api(token);
    assert_eq!(answer(api.get("/chats")).await.0, 200);
    assert_eq!(answer(api.post("/chats").json(&serde_json::json!({"title": "x"}))).await.0, 403);
    place.told(&["token", "revoke", row[0]]);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(answer(api.get("/chats")).await.0, 401, "a revocation is felt within 5 s");
    assert_eq!(answer(service.api(ends.trim_end()).get("/chats")).await.0, 200);

    let (_, line) = place.refused(&["token", "revoke", "9a983789-1709-4543-aa31-a02867680017"]);
    assert!(line.contains("there is no token 9a983789-1709-4543-aa31-a02867680017"), "{line}");
    assert!(place.told(&["doctor"]).contains("everything is as it should be"));
    service.stop();
}

#[tokio::test]
async fn a_token_is_there_before_the_service_is() {
    let place = Place::new();
    let token = place.token();
    let service = place.start();
    assert!(!service.stdout().contains("cvk_"), "there is one already");
    assert_eq!(answer(service.api(&token).get("/chats")).await.0, 200);
}

#[test]
fn what_a_token_can_not_be_is_refused() {
    let place = Place::new();
    for wrong in [
        &["--tenant", "a/b", "--subject", "s"][..],
        &["--tenant", "t", "--subject", ""],
        &["--tenant", "t", "--subject", "s", "--scope", "chats:delete"],
        &["--tenant", "t", "--subject", "s", "--ttl", "soon"],
    ] {
        let output = place.run(&[&["token", "create"][..], wrong].concat());
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{wrong:?}");
    }
    assert!(!place.path().join("convoke-data").exists());
}

#[test]
fn the_document_is_the_one_that_is_checked_in() {
    let place = Place::new().with("CONVOKE__SERVER__BIND", "nonsense");
    let printed = place.told(&["openapi"]);
    let checked_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../openapi/openapi.json");
    assert!(printed == fs::read_to_string(checked_in).unwrap(), "`cargo xtask openapi` writes it anew");
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
}

#[test]
fn shells_complete_every_command() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = place.told(&["completions", shell]);
        for word in ["serve", "token", "revoke", "--config"] {
            assert!(script.contains(word.trim_start_matches("--")), "{shell}: {word}");
        }
    }
    let output = place.run(&["completions", "nonsense"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn every_command_has_a_manual_page() {
    let place = Place::new();
    place.told(&["man", "manual"]);
    let page = |name: &str| fs::read_to_string(place.path().join("manual").join(name)).unwrap();
    assert!(page("convoke.1").contains("convoke\\-token(1)"), "it names the others");
    assert!(page("convoke-token-create.1").contains("\\-\\-tenant"));
    fs::write(place.path().join("file"), "").unwrap();
    let (_, line) = place.refused(&["man", "file"]);
    assert!(line.contains("file: the manual can't be written"), "{line}");
}

#[tokio::test]
async fn the_document_that_is_served_is_the_same() {
    let place = Place::new();
    let service = place.start();
    let served = service.api("").client.get(format!("http://{}/openapi.json", place.public)).send().await.unwrap();
    assert_eq!(served.text().await.unwrap(), place.told(&["openapi"]));
}

#[test]
fn health_is_told_by_the_exit_code() {
    let place = Place::new();
    let (code, line) = place.refused(&["healthcheck"]);
    assert_eq!(code, 1);
    assert!(line.contains(&format!("http://{}/readyz", place.admin)), "{line}");
    let service = place.start();
    place.told(&["healthcheck"]);
    place.told(&["healthcheck", "--live"]);
    service.stop();
    place.refused(&["healthcheck", "--live"]);
}
