//! Where settings come from, and what is said when they won't do.

use crate::support::{Place, free_address};

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
