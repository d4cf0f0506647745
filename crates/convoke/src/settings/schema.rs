//! The form of the settings' file for editors and other programs: JSON Schema, from [`KEYS`], so that it can't say
//! something else than the program does.

use serde_json::{Map, Value, json};

use super::{
    keys::{Key, SECTIONS},
    reference::{keys_of, sentence},
};

const ABOUT: &str = "Written by `cargo run -p convoke -- config schema > docs/convoke.schema.json`: not by hand.";

/// The JSON Schema of the settings' file. Of draft 7, which most editors know.
///
/// # Panics
/// Never: texts are always written.
#[must_use]
pub fn schema() -> String {
    let sections: Map<_, _> = SECTIONS.iter().map(|(name, about)| ((*name).to_owned(), section(name, about))).collect();
    let schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$comment": ABOUT,
        "title": "Settings of Convoke",
        "type": "object",
        "additionalProperties": false,
        "properties": sections,
    });
    serde_json::to_string_pretty(&schema).expect("texts are always written") + "\n"
}

fn section(name: &str, about: &str) -> Value {
    let settings: Map<_, _> = keys_of(name).map(|key| (own_name(key).to_owned(), setting(key))).collect();
    let twice: Vec<_> = keys_of(name)
        .filter_map(|key| Some(json!({"not": {"required": [own_name(key), own_name(key.file()?)]}})))
        .collect();
    let mut section = json!({
        "description": format!("{}.", sentence(about)),
        "type": "object",
        "additionalProperties": false,
        "properties": settings,
    });
    if !twice.is_empty() {
        section["allOf"] = twice.into();
    }
    section
}

fn setting(key: &Key) -> Value {
    let mut setting = json!({"description": format!("{}. Takes {}.", sentence(key.what), key.takes)});
    if let Some(default) = key.default {
        setting["default"] = key.form.value(default);
    }
    if let Value::Object(form) = key.form.schema() {
        setting.as_object_mut().expect("it was made as one").extend(form);
    }
    setting
}

/// The name of a setting within its section.
fn own_name(key: &Key) -> &'static str {
    key.name.rsplit('.').next().unwrap_or(key.name)
}

#[cfg(test)]
mod tests {
    use config::{Config, File, FileFormat};
    use jsonschema::{Draft, JSONSchema};

    use super::*;
    use crate::settings::{KEYS, Layers, example};

    /// What the schema says of a file, and what the program does.
    struct Judges {
        schema: JSONSchema,
        folder: tempfile::TempDir,
    }

    impl Judges {
        fn new() -> Self {
            let schema = serde_json::from_str(&schema()).unwrap();
            let schema = JSONSchema::options().with_draft(Draft::Draft7).compile(&schema);
            Self { schema: schema.unwrap(), folder: tempfile::tempdir().unwrap() }
        }

        fn schema_takes(&self, file: &str) -> Result<(), String> {
            let file = Config::builder().add_source(File::from_str(file, FileFormat::Toml)).build().unwrap();
            let file: Value = file.try_deserialize().unwrap();
            let mistakes = |errors: jsonschema::ErrorIterator<'_>| {
                let told = errors.map(|error| format!("{}: {error}", error.instance_path));
                told.collect::<Vec<_>>().join("; ")
            };
            self.schema.validate(&file).map_err(mistakes)
        }

        fn program_takes(&self, file: &str) -> Result<(), String> {
            let path = self.folder.path().join("convoke.toml");
            std::fs::write(&path, file).unwrap();
            let layers = Layers::read(Some(&path), std::iter::empty(), &[]);
            layers.and_then(|layers| layers.settings()).map(drop).map_err(|error| error.to_string())
        }

        fn both_take(&self, file: &str) {
            assert_eq!((self.schema_takes(file), self.program_takes(file)), (Ok(()), Ok(())), "{file}");
        }

        fn both_refuse(&self, file: &str) {
            assert!(self.schema_takes(file).is_err() && self.program_takes(file).is_err(), "{file}");
        }
    }

    #[test]
    fn the_example_is_as_the_schema_says() {
        Judges::new().both_take(&example());
    }

    #[test]
    fn every_example_and_default_is_of_its_form() {
        let judges = Judges::new();
        for key in KEYS {
            let (section, name) = key.name.split_once('.').unwrap();
            for value in [Some(key.example), key.default].into_iter().flatten() {
                let said = if value.starts_with('[') { value.to_owned() } else { format!("'{value}'") };
                let file = format!("[{section}]\n{name} = {said}\n");
                assert_eq!(judges.schema_takes(&file), Ok(()), "{file}");
            }
            let schema: Value = serde_json::from_str(&schema()).unwrap();
            let told = &schema["properties"][section]["properties"][name];
            assert!(told["description"].as_str().unwrap().ends_with(&format!("Takes {}.", key.takes)), "{told}");
            assert_eq!(told.get("default").is_some(), key.default.is_some(), "{}", key.name);
        }
    }

    #[test]
    fn the_program_and_the_schema_take_the_same() {
        let judges = Judges::new();
        for file in [
            "",
            "[server]\nbind = '[::1]:9000'\ndrain = '1m 30s'\nswagger_ui = false\nworkers = 3\n",
            "[server]\nswagger_ui = 'false'\nworkers = '3'\npublic_url = 'http://localhost:8080/base'\n",
            "[database]\nurl = 'postgres://ann@db1,db2/convoke?sslmode=require'\nmigrate = 'off'\n",
            "[sandbox]\nenabled = true\ndelay = '1.5h'\nfaults = ['reject', 'retryAfter:3']\n",
            "[sandbox]\nfaults = 'reject, lostAnswer'\n",
            "[sandbox]\nfaults = ''\n",
            "[telegram]\napi_id = 12345\napi_hash = '0123456789abcdef0123456789ABCDEF'\ncapacity = 0\n",
            "[[auth.issuers]]\nissuer = 'https://a.example'\naudience = 'convoke'\ntenants = ['acme']\n",
            "[auth]\nissuers = []\n",
            "[retention]\nidempotency_keys = '2days'\n",
            "[log]\nlevel = 'info,convoke_store=debug'\n",
        ] {
            judges.both_take(file);
        }
        for file in [
            "colour = 'red'\n",
            "[colours]\nred = 1\n",
            "[server]\nbound = '127.0.0.1:1'\n",
            "[server]\nbind = 8080\n",
            "[server]\nbind = 'localhost:8080'\n",
            "[server]\ndrain = 5\n",
            "[server]\ndrain = '5'\n",
            "[server]\ndrain = '5 lightyears'\n",
            "[server]\nswagger_ui = 'perhaps'\n",
            "[server]\nworkers = 0\n",
            "[server]\nworkers = 'many'\n",
            "[server]\npublic_url = 'chats.example.org'\n",
            "[server]\npublic_url = 'https://chats.example.org/?a'\n",
            "[database]\nurl = 'mysql://db/convoke'\n",
            "[database]\nurl = 'sqlite://a'\nurl_file = 'b'\n",
            "[database]\nmigrate = 'maybe'\n",
            "[providers]\ndefault = 'pigeon'\n",
            "[sandbox]\nfaults = ['retryAfter']\n",
            "[sandbox]\nfaults = 'reject;reject'\n",
            "[telegram]\napi_hash = '12345'\n",
            "[telegram]\napi_id = 0\n",
            "[telegram]\ncreation_budget = -1\n",
            "[secrets]\nkey = 'MDEyMzQ1'\n",
            "[[auth.issuers]]\nissuer = 'https://a.example'\n",
            "[[auth.issuers]]\nissuer = 'https://a.example'\naudience = 'a'\ncolour = 'red'\n",
            "[[auth.issuers]]\nissuer = 'ftp://a.example'\naudience = 'a'\n",
            "[log]\nformat = 'xml'\n",
            "[log]\nlevel = ''\n",
        ] {
            judges.both_refuse(file);
        }
    }
}
