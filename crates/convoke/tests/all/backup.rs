//! Backups of a running service, and what people who wait for something long see of it.

use std::fs;

use crate::support::{Place, answer};

#[tokio::test]
async fn a_backup_of_a_running_service_is_put_in_its_place() {
    let (place, other) = (Place::new(), Place::new());
    let token = place.token();
    let service = place.start();
    let api = service.api(&token);
    let kept = api.register("Kept").await;
    api.until(&format!("/chats/{kept}"), |chat| chat["status"] == "active").await;
    let told = place.told(&["backup", "backup.db"]);
    assert!(told.starts_with("backup.db holds sqlite://convoke-data/convoke.db as it was at "), "{told}");
    api.register("Later").await;
    let (code, line) = place.refused(&["backup", "backup.db"]);
    assert!(code == 1 && line.contains("backup.db is there already"), "{line}");
    service.stop();

    // As deploy/README.md says how it is restored.
    fs::create_dir(other.path().join("convoke-data")).unwrap();
    fs::copy(place.path().join("backup.db"), other.path().join("convoke-data/convoke.db")).unwrap();
    assert!(other.told(&["doctor"]).contains("Chats looked at: 1; everything is as it should be"));
    let restored = other.start();
    let (_, listed) = answer(restored.api(&token).get("/chats")).await;
    assert_eq!(listed["_metadata"]["totalRecords"], 1, "{listed}");
    restored.stop();
    place.told(&["backup", "--replace", "backup.db"]);
    fs::copy(place.path().join("backup.db"), other.path().join("convoke-data/convoke.db")).unwrap();
    assert!(other.told(&["doctor"]).contains("Chats looked at: 2; everything is as it should be"));
}

#[test]
fn a_backup_may_leave_by_standard_output() {
    let place = Place::new();
    place.token();
    let before = names_in(&place);
    let output = place.run(&["backup", "-"]);
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout.starts_with(b"SQLite format 3\0"));
    let there: Vec<_> = names_in(&place).into_iter().filter(|name| !before.contains(name)).collect();
    assert_eq!(there, Vec::<String>::new());
    place.write("copy.db", "");
    fs::write(place.path().join("copy.db"), output.stdout).unwrap();
    let copy = Place::on(&format!("sqlite://{}", place.path().join("copy.db").display()));
    assert_eq!(copy.told(&["token", "list"]), place.told(&["token", "list"]));
}

#[test]
fn a_backup_says_what_it_does_not_hold() {
    let place = Place::new();
    place.token();
    assert!(!place.told(&["backup", "without.db"]).contains("secrets.key"), "there is none");
    place.write("convoke-data/secrets.key", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n");
    assert!(place.told(&["backup", "with.db"]).contains("sealed with convoke-data/secrets.key"));
}

#[test]
fn postgresql_is_backed_up_by_its_own_tools() {
    let place = Place::on("postgres://ann:secret@db.example/convoke");
    let (code, line) = place.refused(&["backup", "backup.db"]);
    assert!(code == 1 && line.contains("pg_dump") && line.contains("deploy/README.md"), "{line}");
    assert!(!place.path().join("backup.db").exists());
}

#[test]
fn people_at_a_terminal_see_how_far_it_has_come_and_programs_do_not() {
    let place = Place::new();
    for (command, seen) in [
        (&["migrate"][..], "initial"),
        (&["doctor"], "chats, 0 of 0 done"),
        (&["backup", "backup.db"], "checking the copy"),
    ] {
        let (stdout, terminal) = place.run_at_terminal(command);
        assert!(terminal.contains(seen), "{command:?}: {terminal:?}");
        assert!(stdout.ends_with(".\n"), "{command:?}: {stdout:?}");
    }
    let (stdout, terminal) = place.run_at_terminal(&["doctor", "--json"]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&stdout).unwrap()["findings"], serde_json::json!([]));
    assert_eq!(terminal, "");
    assert!(place.run(&["doctor"]).stderr.is_empty());
}

fn names_in(place: &Place) -> Vec<String> {
    let folder = fs::read_dir(place.path().join("convoke-data")).unwrap();
    folder.map(|there| there.unwrap().file_name().into_string().unwrap()).collect()
}
