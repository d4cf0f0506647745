//! The whole way: a chat is registered, somebody is invited, joins, is seen, is removed; on each database.

use convoke_test_support::create_database;
use serde_json::{Value, json};

use crate::support::{Place, answer};

#[tokio::test]
async fn the_story_on_sqlite() {
    tell(&Place::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_on_postgresql() {
    let database = create_database(None).await;
    tell(&Place::on(database.url())).await;
}

async fn tell(place: &Place) {
    let service = place.start();
    let api = service.api(&place.token());

    let id = api.register("Kick-off").await;
    let chat = format!("/chats/{id}");
    let wait = api.get(&format!("{chat}/invitation")).header("Prefer", "wait=10");
    let (status, invitation) = answer(wait).await;
    assert_eq!(status, 200, "{invitation}");
    let link = invitation["invitation"].as_str().unwrap();
    assert!(link.starts_with(&format!("http://{}/sandbox/", place.public)), "{link}");

    let (status, page) = answer(api.client.get(link)).await;
    assert!(status == 200 && page.as_str().unwrap().contains("Kick-off"), "{page}");
    let form = [("username", "grace"), ("firstname", "Grace")];
    let (status, _) = answer(api.client.post(format!("{link}/join")).form(&form)).await;
    assert_eq!(status, 303);

    let seen = api.until(&chat, |chat| participant(chat, "grace").is_some()).await;
    assert_eq!(seen["status"], "active");
    let grace = participant(&seen, "grace").unwrap();
    assert_eq!(grace["participations"][0]["isActive"], true);

    let path = format!("{chat}/participants/{}", grace["id"].as_str().unwrap());
    let (status, removal) = answer(api.delete(&path)).await;
    assert_eq!(status, 202, "{removal}");
    let operation = format!("/operations/{}", removal["operationId"].as_str().unwrap());
    api.until(&operation, |operation| operation["status"] == "succeeded").await;
    let (_, after) = answer(api.get(&chat)).await;
    let stay = &participant(&after, "grace").unwrap()["participations"][0];
    assert_eq!((&stay["isActive"], &stay["endReason"]), (&json!(false), &json!("removed")));

    let (status, list) = answer(api.get("/chats?isActive=true")).await;
    assert_eq!((status, &list["_metadata"]["totalRecords"]), (200, &json!(1)), "{list}");
    assert_eq!(list["records"][0], after);
    place.told(&["doctor"]);
    service.stop();
}

fn participant<'a>(chat: &'a Value, username: &str) -> Option<&'a Value> {
    let participants = chat["participants"].as_array()?;
    participants.iter().find(|participant| participant["userProperties"]["username"] == username)
}

#[tokio::test(flavor = "multi_thread")]
async fn api_and_worker_may_be_two_processes() {
    let database = create_database(None).await;
    let (front, back) = (Place::on(database.url()), Place::on(database.url()));
    let api_process = front.spawn(&["serve", "--role", "api"]);
    api_process.until_ready();
    let api = api_process.api(&front.token());
    let id = api.register("Far apart").await;
    let (_, chat) = answer(api.get(&format!("/chats/{id}"))).await;
    assert_eq!(chat["status"], "provisioning", "nobody works yet");

    let worker = back.spawn(&["serve", "--role", "worker"]);
    worker.until_ready();
    assert!(std::net::TcpStream::connect(&back.public).is_err(), "a worker has no public listener");
    api.until(&format!("/chats/{id}"), |chat| chat["status"] == "active").await;
    worker.stop();
    api_process.stop();
}
