//! Where settings come from, and what is said when they won't do.

use serde_json::{Value, json};

use crate::support::{Place, free_address, repository_file};

#[test]
fn file_then_environment_then_flags() {
    let (in_file, in_environment, in_flag) = (free_address(), free_address(), free_address());
    let listens = |place: &Place, arguments: &[&str]| {
        let service = place.spawn(arguments);
        service.until_ready();
        let told = service.stdout();
        service.stop();
        told
    };
    let place = Place::new().without("CONVOKE__SERVER__BIND");
    place.write("convoke.toml", &format!("[server]\nbind = '{in_file}'\n"));
    assert!(listens(&place, &[]).contains(&in_file));
    let place = place.with("CONVOKE__SERVER__BIND", &in_environment);
    assert!(listens(&place, &[]).contains(&in_environment));
    assert!(listens(&place, &["--set", &format!("server.bind={in_flag}")]).contains(&in_flag));
}

#[test]
fn a_file_that_is_named_is_read_instead() {
    let place = Place::new();
    place.write("convoke.toml", "nonsense = true\n");
    place.write("other.toml", "[log]\nlevel = 'debug'\n");
    let told = place.told(&["config", "check", "--config", "other.toml"]);
    assert!(told.contains("log.level is set by other.toml"), "{told}");
    let (code, line) = place.refused(&["config", "check"]);
    assert_eq!(code, 2);
    assert!(line.contains("nonsense"), "{line}");
    let (code, line) = place.refused(&["--config", "missing.toml"]);
    assert_eq!(code, 2);
    assert!(line.contains("missing.toml"), "{line}");
}

#[test]
fn what_is_wrong_is_named_in_one_line_by_every_command() {
    for (variable, value) in [
        ("CONVOKE__SERVER__BIND", "nowhere"),
        ("CONVOKE__SERVER__BIND", "127.0.0.1:99999"),
        ("CONVOKE__SERVER__PUBLIC_URL", "chats.example.org"),
        ("CONVOKE__SERVER__DRAIN", "5"),
        ("CONVOKE__SERVER__BINDD", "127.0.0.1:1"),
        ("CONVOKE__SERVER", "x"),
        ("CONVOKE__DATABASE__MIGRATE", "maybe"),
        ("CONVOKE__PROVIDERS__DEFAULT", "pigeon"),
        ("CONVOKE__SANDBOX__FAULTS", "retryAfter"),
        ("CONVOKE__TELEGRAM__API_ID", "hash"),
        ("CONVOKE__TELEGRAM__API_HASH", "12345"),
        ("CONVOKE__TELEGRAM__API_HASH_FILE", "nowhere"),
        ("CONVOKE__TELEGRAM__SESSION", "1ApWapzMBu"),
        ("CONVOKE__TELEGRAM__CREATION_BUDGET", "many"),
        ("CONVOKE__TELEGRAM__LOG_INTERVAL", "0s"),
        ("CONVOKE__SECRETS__KEY", "MDEyMzQ1"),
        ("CONVOKE__AUTH__FIRST_TOKEN", "perhaps"),
        ("CONVOKE__LOG__FORMAT", "xml"),
        ("CONVOKE__NO__SUCH_THING", "1"),
    ] {
        let place = Place::new().with(variable, value);
        for arguments in [&["serve"][..], &["config", "check"], &["token", "list"]] {
            let (code, line) = place.refused(arguments);
            assert_eq!(code, 2, "{line}");
            assert!(line.contains(&format!("{variable}: ")), "{variable}={value}: {line}");
        }
        assert!(!place.path().join("convoke-data").exists());
    }
    let place = Place::new().without("CONVOKE__SERVER__BIND");
    for (file, name) in [
        ("[server]\nbind = 'nowhere'\n", "server.bind: "),
        ("[server]\nbind = 80\n", "server.bind: "),
        ("[server]\nbound = '127.0.0.1:1'\n", "server.bound: "),
        ("[serve]\nbind = '127.0.0.1:1'\n", "serve.bind: "),
        ("[server\n", "convoke.toml: "),
    ] {
        place.write("convoke.toml", file);
        let (_, line) = place.refused(&[]);
        assert!(line.contains(name), "{line}");
    }
}

#[test]
fn a_password_is_not_shown() {
    let place = Place::on("postgres://ann:hunter2@127.0.0.1:1/convoke?sslmode=perhaps");
    let (_, line) = place.refused(&["migrate"]);
    assert!(!line.contains("hunter2"), "{line}");
}

#[test]
fn a_secret_in_a_file_is_read_and_not_shown() {
    let place = Place::new().with("CONVOKE__DATABASE__URL_FILE", "url").with("CONVOKE__SECRETS__KEY_FILE", "key");
    place.write("url", "postgres://ann:hunter2@db/convoke\n");
    place.write("key", " MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n");
    for words in [&["config", "print"][..], &["config", "print", "--json"], &["config", "check"]] {
        let printed = place.told(words);
        assert!(printed.contains("CONVOKE__DATABASE__URL_FILE"), "{printed}");
        assert!(!printed.contains("hunter2") && !printed.contains("MDEy"), "{printed}");
    }
    assert!(place.told(&["config", "print"]).contains("postgres://db/convoke"));
    place.write("key", "hunter2\n");
    let (code, line) = place.refused(&["config", "check"]);
    assert_eq!(code, 2);
    assert!(line.contains("CONVOKE__SECRETS__KEY_FILE: ") && !line.contains("hunter2"), "{line}");
}

#[test]
fn what_is_wrong_with_a_postgres_url_is_told_without_connecting() {
    for (parameters, named) in [("sslmode=foo", "sslmode"), ("pool=5", "pool"), ("sslcert=x", "sslkey")] {
        let place = Place::on(&format!("postgres://ann:hunter2@192.0.2.1/convoke?{parameters}"));
        let (code, line) = place.refused(&["config", "check"]);
        assert_eq!(code, 2);
        assert!(line.contains("CONVOKE__DATABASE__URL: ") && line.contains(named), "{line}");
        assert!(!line.contains("hunter2"), "{line}");
    }
    let place = Place::on("postgres://ann:hunter2@192.0.2.1,192.0.2.2:5433/convoke?sslmode=verify-full");
    assert!(place.told(&["config", "check"]).contains("is fine"));
}

#[test]
fn every_setting_is_shown_with_its_value_and_where_that_comes_from() {
    let place = Place::new()
        .without("CONVOKE__ADMIN__BIND")
        .with("CONVOKE__SERVER__BIND", "0.0.0.0:9000")
        .with("CONVOKE__DATABASE__URL", "postgres://ann:hunter2@db/convoke?password=hunter3")
        .with("CONVOKE__DATABASE__READ_URL", "postgres://ann:hunter2@db-ro/convoke?password=hunter3");
    place.write("convoke.toml", "[server]\nworkers = 3\n[sandbox]\nfaults = ['reject', 'retryAfter:2']\n");
    let words = ["config", "print", "--set", "log.level=warn"];
    let printed = place.told(&words);
    assert!(!printed.contains("hunter"), "{printed}");
    let columns = |key: &str| {
        let line = printed.lines().find(|line| line.split_whitespace().next() == Some(key));
        line.unwrap_or_else(|| panic!("no {key}: {printed}")).split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(columns("server.bind"), "0.0.0.0:9000 CONVOKE__SERVER__BIND");
    assert_eq!(columns("server.public_url"), "http://localhost:9000 default");
    assert_eq!(columns("server.workers"), "3 convoke.toml");
    assert_eq!(columns("admin.bind"), "127.0.0.1:8081 default");
    assert_eq!(columns("database.url"), "postgres://db/convoke CONVOKE__DATABASE__URL");
    assert_eq!(columns("database.read_url"), "postgres://db-ro/convoke CONVOKE__DATABASE__READ_URL");
    assert_eq!(columns("sandbox.enabled"), "true default");
    assert_eq!(columns("sandbox.delay"), "(none) default");
    assert_eq!(columns("sandbox.faults"), "reject,retryAfter:2 convoke.toml");
    assert_eq!(columns("log.level"), "warn --set");

    let json = place.told(&[&words[..], &["--json"]].concat());
    assert!(!json.contains("hunter"), "{json}");
    let json: Value = serde_json::from_str(&json).unwrap();
    let of = |key: &str| json.as_array().unwrap().iter().find(|line| line["key"] == key).unwrap().clone();
    let expected = json!({
        "key": "server.bind", "value": "0.0.0.0:9000", "source": "environment", "name": "CONVOKE__SERVER__BIND",
    });
    assert_eq!(of("server.bind"), expected);
    assert_eq!(of("sandbox.delay"), json!({"key": "sandbox.delay", "value": null, "source": "default"}));
    assert_eq!(of("server.workers")["source"], "file");
    assert_eq!(of("log.level")["source"], "flag");
}

#[test]
fn the_reference_the_example_and_the_schema_are_what_the_program_prints() {
    // They don't depend on what is configured, not even on whether it can be read.
    let place = Place::new().with("CONVOKE__NO__SUCH_THING", "1");
    for (what, file) in [
        ("reference", "docs/configuration.md"),
        ("example", "convoke.example.toml"),
        ("schema", "docs/convoke.schema.json"),
    ] {
        let printed = place.told(&["config", what]);
        let command = format!("cargo run -p convoke -- config {what} > {file}");
        assert_eq!(repository_file(file), printed, "{file} is not what the program says: `{command}` writes it anew");
        assert!(printed.contains(&command), "{file} says by what it is written");
    }
    let reference = repository_file("docs/configuration.md");
    for words in [&["openapi"][..], &["metrics"], &["completions", "bash"], &["man", "manual"]] {
        place.told(words);
        assert!(reference.contains(&format!("`{}`", words[0])), "{words:?} is among those that need none");
    }
}

#[test]
fn the_example_loads_and_holds_every_setting_at_its_default() {
    let place = Place::new().without("CONVOKE__SERVER__BIND").without("CONVOKE__ADMIN__BIND");
    let settings = || -> Vec<Value> { serde_json::from_str(&place.told(&["config", "print", "--json"])).unwrap() };
    let defaults = settings();
    let example = repository_file("convoke.example.toml");
    place.write("convoke.toml", &example);
    for (default, loaded) in defaults.iter().zip(settings()) {
        let key = &default["key"];
        assert_eq!(loaded["value"], default["value"], "{key}");
        let is_commented_out = loaded["source"] == "default";
        let name = key.as_str().unwrap().rsplit('.').next().unwrap();
        assert!(!is_commented_out || example.contains(&format!("\n# {name} = ")), "{key} is not in the example");
    }
    // What is commented out would do as well; but for a session, which is cut short there, for replicas, which SQLite has none
    // of, and for the files of secrets, which would say the same twice.
    let stays = |setting: &str| ["session", "read_url"].contains(&setting) || setting.ends_with("_file");
    let lines = example.lines().map(|line| {
        let setting =
            line.strip_prefix("# ").filter(|rest| rest.split_once(" = ").is_some_and(|(name, _)| !stays(name)));
        setting.unwrap_or(line)
    });
    place.write("convoke.toml", &lines.collect::<Vec<_>>().join("\n"));
    let unsaid: Vec<_> = settings().into_iter().filter(|line| line["source"] != "file").collect();
    let unsaid: Vec<_> = unsaid.iter().map(|line| line["key"].as_str().unwrap()).collect();
    let name_of = |key: &str| key.rsplit('.').next().unwrap().to_owned();
    assert!(unsaid.iter().all(|key| stays(&name_of(key))), "{unsaid:?}");
}
