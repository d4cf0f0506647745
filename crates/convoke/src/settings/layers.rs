//! How the settings come together: defaults, then the file, then the environment, then flags; the later wins.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use config::{Config, ConfigError, File, FileFormat, Source as _, Value, ValueKind};
use convoke_store::DatabaseUrl;
use serde::Deserialize as _;

use super::{
    Settings,
    keys::{KEYS, Key, SECTIONS, VARIABLE_PREFIX},
};

/// The file that is read if there is one and none is named.
const DEFAULT_FILE: &str = "convoke.toml";

/// What stops the start: one line that names the setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(String);

/// What was said in each place, before it is put together.
#[derive(Debug, Default)]
pub struct Layers {
    /// The file that was read, and its text.
    file: Option<(PathBuf, String)>,
    environment: BTreeMap<&'static str, String>,
    flags: BTreeMap<&'static str, String>,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Nobody said anything.
    Default,
    /// The file.
    File,
    /// An environment variable.
    Environment,
    /// A flag.
    Flag,
}

impl Layers {
    /// Reads what there is: `file` if it is given, else `convoke.toml` in the working folder if it is there.
    ///
    /// # Errors
    /// A file that can't be read, or a variable or flag that names no setting.
    pub fn read(
        file: Option<&Path>,
        environment: impl Iterator<Item = (OsString, OsString)>,
        flags: &[(String, String)],
    ) -> Result<Self, SettingsError> {
        Ok(Self { file: read_file(file)?, environment: of_environment(environment)?, flags: of_flags(flags)? })
    }

    /// The same from the text of a file, wherever that comes from.
    ///
    /// # Errors
    /// A variable or flag that names no setting.
    pub fn of_text(
        file: &str,
        environment: impl Iterator<Item = (OsString, OsString)>,
        flags: &[(String, String)],
    ) -> Result<Self, SettingsError> {
        let file = Some((DEFAULT_FILE.into(), file.to_owned()));
        Ok(Self { file, environment: of_environment(environment)?, flags: of_flags(flags)? })
    }

    /// The file that was read.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_ref().map(|(path, _)| path.as_path())
    }

    /// Puts everything together.
    ///
    /// # Errors
    /// The first setting that is unknown or whose value won't do, or the first file of a secret that can't be read.
    pub fn settings(&self) -> Result<Settings, SettingsError> {
        let mut said = self.said()?;
        self.read_secrets(&mut said)?;
        let mut builder = Config::builder();
        for (name, value) in said {
            builder = builder.set_override(name, value).map_err(|error| self.explain(&error))?;
        }
        let merged = builder.build().map_err(|error| self.explain(&error))?;
        let settings = Settings::deserialize(merged).map_err(|error| self.explain(&error))?;
        if matches!(settings.database.url, DatabaseUrl::Sqlite(_)) && settings.database.read_url.is_some() {
            let name = self.name_of_key("database.read_url");
            return Err(SettingsError(format!("{name}: a SQLite database has no read replicas")));
        }
        Ok(settings)
    }

    /// Where the value of a setting comes from.
    #[must_use]
    pub fn source_of(&self, key: &Key) -> Source {
        self.own_source_of(self.told_by(key))
    }

    /// The same, whatever is told by a file of its own.
    fn own_source_of(&self, key: &Key) -> Source {
        if self.flags.contains_key(key.name) {
            Source::Flag
        } else if self.environment.contains_key(key.name) {
            Source::Environment
        } else if self.values_in_file().is_ok_and(|values| values.contains_key(key.name)) {
            Source::File
        } else {
            Source::Default
        }
    }

    /// The setting that gives the value of this one: another one if a secret is told by its file.
    #[must_use]
    pub fn told_by<'a>(&self, key: &'a Key) -> &'a Key {
        key.file().filter(|file| self.is_said(file)).unwrap_or(key)
    }

    /// The value of every setting that has one, by name, as the environment would say it. Files of secrets are not read.
    ///
    /// # Errors
    /// As [`Layers::settings`].
    pub fn values(&self) -> Result<BTreeMap<&'static str, String>, SettingsError> {
        Ok(self.said()?.iter().map(|(name, value)| (*name, written(value))).collect())
    }

    /// The name of a setting as whoever set it knows it.
    #[must_use]
    pub fn name_of(&self, key: &Key) -> String {
        self.own_name_of(self.told_by(key))
    }

    fn own_name_of(&self, key: &Key) -> String {
        match self.own_source_of(key) {
            Source::Environment => key.variable(),
            Source::Default | Source::File | Source::Flag => key.name.to_owned(),
        }
    }

    /// The same by its name in the file.
    #[must_use]
    pub fn name_of_key(&self, name: &str) -> String {
        Key::find(name).map_or_else(|| name.to_owned(), |key| self.name_of(key))
    }

    /// What is said about each setting, its default included.
    fn said(&self) -> Result<BTreeMap<&'static str, Value>, SettingsError> {
        let mut said: BTreeMap<_, _> =
            KEYS.iter().filter_map(|key| Some((key.name, Value::from(key.default?)))).collect();
        said.extend(self.values_in_file()?);
        said.extend(self.environment.iter().chain(&self.flags).map(|(name, value)| (*name, value.as_str().into())));
        Ok(said)
    }

    /// Puts what the files of secrets hold in the place of their names.
    fn read_secrets(&self, said: &mut BTreeMap<&'static str, Value>) -> Result<(), SettingsError> {
        for key in KEYS {
            let Some(file) = key.file() else { continue };
            let Some(path) = said.remove(file.name) else { continue };
            let name = self.name_of(file);
            if self.is_said(key) {
                let other = self.own_name_of(key);
                return Err(SettingsError(format!("{name}: the same is set by {other}; set one of them")));
            }
            let secret = read_secret(Path::new(&written(&path)));
            let secret = secret.map_err(|why| SettingsError(on_one_line(&format!("{name}: {why}"))))?;
            said.insert(key.name, secret.into());
        }
        Ok(())
    }

    /// Whether anybody said anything about this very setting.
    fn is_said(&self, key: &Key) -> bool {
        self.own_source_of(key) != Source::Default
    }

    /// The values in the file, by name.
    fn values_in_file(&self) -> Result<BTreeMap<&'static str, Value>, SettingsError> {
        let Some((path, text)) = &self.file else { return Ok(BTreeMap::new()) };
        let table = File::from_str(text, FileFormat::Toml).collect();
        let table = table.map_err(|error| SettingsError(format!("{}: {}", path.display(), one_line(&error))))?;
        let mut values = BTreeMap::new();
        collect_values("", table.into_iter().collect(), &mut values)?;
        Ok(values)
    }

    /// Names the setting as whoever set it knows it, and says what is wrong.
    fn explain(&self, error: &ConfigError) -> SettingsError {
        let (path, problem) = match error {
            ConfigError::Type { key: Some(path), .. } => (path, None),
            ConfigError::At { key: Some(path), error, .. } => (path, Some(error.to_string())),
            _ => return SettingsError(one_line(error)),
        };
        // In a list, the path goes on with the place in it.
        let name = path.split('[').next().unwrap_or(path);
        let Some(key) = Key::find(name) else {
            return SettingsError(format!("{name}: expected a section"));
        };
        let shown = self.name_of(key);
        let problem = match problem {
            Some(problem) if problem.contains(key.takes) => problem,
            Some(problem) => format!("{problem}; expected {}", key.takes),
            None => format!("expected {}", key.takes),
        };
        SettingsError(on_one_line(&format!("{shown}: {problem}")))
    }
}

fn read_file(named: Option<&Path>) -> Result<Option<(PathBuf, String)>, SettingsError> {
    let path = named.unwrap_or(Path::new(DEFAULT_FILE));
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some((path.to_owned(), text))),
        Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(SettingsError(format!("{} can't be read: {error}", path.display()))),
    }
}

fn of_environment(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<BTreeMap<&'static str, String>, SettingsError> {
    let mut values = BTreeMap::new();
    for (variable, value) in variables {
        let variable = variable.to_string_lossy();
        if !variable.starts_with(VARIABLE_PREFIX) {
            continue;
        }
        let Some(key) = KEYS.iter().find(|key| key.variable() == variable) else {
            let name = variable[VARIABLE_PREFIX.len()..].to_lowercase().replace("__", ".");
            return Err(unknown(&variable, &name));
        };
        let value = value.into_string().map_err(|_| SettingsError(format!("{variable}: is not UTF-8")))?;
        values.insert(key.name, value);
    }
    Ok(values)
}

fn of_flags(flags: &[(String, String)]) -> Result<BTreeMap<&'static str, String>, SettingsError> {
    let find = |(name, value): &(String, String)| match Key::find(name) {
        Some(key) => Ok((key.name, value.clone())),
        None => Err(unknown(name, name)),
    };
    flags.iter().map(find).collect()
}

/// The line about a setting that is none: `shown` is how it was called, `name` the same in the form `section.key`.
fn unknown(shown: &str, name: &str) -> SettingsError {
    let section = name.split('.').next().unwrap_or_default();
    let in_section: Vec<_> =
        KEYS.iter().map(|key| key.name).filter(|known| known.split('.').next() == Some(section)).collect();
    let known = if in_section.is_empty() {
        let mut sections: Vec<_> = KEYS.iter().filter_map(|key| key.name.split('.').next()).collect();
        sections.dedup();
        format!("the sections are {}", sections.join(", "))
    } else if shown.starts_with(VARIABLE_PREFIX) {
        let variables: Vec<_> = in_section.iter().filter_map(|name| Key::find(name)).map(Key::variable).collect();
        format!("there are {}", variables.join(", "))
    } else {
        format!("there are {}", in_section.join(", "))
    };
    SettingsError(format!("{}: there is no such setting; {known}", shown.escape_debug()))
}

/// What the file of a secret holds, without what stands around it: most editors end a file with a line feed.
fn read_secret(path: &Path) -> Result<String, String> {
    /// More than any secret has; a path that leads to something else altogether is not read to its end.
    const MOST: u64 = 64 * 1024;
    let unreadable = |error: io::Error| format!("{} can't be read: {error}", path.display());
    let mut text = String::new();
    fs::File::open(path).map_err(unreadable)?.take(MOST).read_to_string(&mut text).map_err(unreadable)?;
    match text.trim() {
        "" => Err(format!("{} is empty", path.display())),
        secret => Ok(secret.to_owned()),
    }
}

/// Everything in a table that is no section, under its name.
fn collect_values(
    prefix: &str,
    table: BTreeMap<String, Value>,
    values: &mut BTreeMap<&'static str, Value>,
) -> Result<(), SettingsError> {
    for (name, value) in table {
        let name = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        let is_section = SECTIONS.iter().any(|(section, _)| *section == name);
        match value.kind {
            ValueKind::Table(inner) if is_section || !inner.is_empty() => {
                collect_values(&name, inner.into_iter().collect(), values)?;
            }
            _ => {
                let key = Key::find(&name).ok_or_else(|| unknown(&name, &name))?;
                values.insert(key.name, value);
            }
        }
    }
    Ok(())
}

/// A value as the environment would say it: lists with commas, those of tables as JSON.
fn written(value: &Value) -> String {
    match &value.kind {
        ValueKind::Array(list) if list.iter().any(|one| matches!(one.kind, ValueKind::Table(_))) => {
            let json = value.clone().try_deserialize::<serde_json::Value>();
            json.map_or_else(|error| error.to_string(), |json| json.to_string())
        }
        ValueKind::Array(list) => list.iter().map(written).collect::<Vec<_>>().join(","),
        _ => value.to_string(),
    }
}

/// Whatever was given, it stays one line.
fn on_one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// What an error says, without the excerpt of the file that some draw below it.
fn one_line(error: &ConfigError) -> String {
    let text = error.to_string();
    let told = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.contains('|'));
    told.collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use convoke_domain::Service;
    use convoke_sandbox::Fault;
    use secrecy::ExposeSecret as _;

    use super::*;

    fn layers(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Layers, SettingsError> {
        let environment = environment.iter().map(|(name, value)| (name.into(), value.into()));
        let flags: Vec<_> = flags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Layers::of_text(file, environment, &flags)
    }

    fn read(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Settings, String> {
        layers(file, environment, flags).and_then(|layers| layers.settings()).map_err(|error| error.to_string())
    }

    #[test]
    fn without_anything_the_defaults_hold() {
        let settings = Layers::default().settings().unwrap();
        assert_eq!(settings.server.bind.to_string(), "127.0.0.1:8080");
        assert_eq!(settings.server.public_url, None);
        assert_eq!(settings.admin.bind.to_string(), "127.0.0.1:8081");
        assert_eq!(settings.database.url.to_string(), "sqlite://convoke-data/convoke.db");
        assert_eq!(settings.providers.default, Service::Sandbox);
        assert!(settings.auth.first_token && settings.server.swagger_ui && settings.sandbox_is_on());
        assert_eq!(settings.warnings(), Vec::<String>::new());
    }

    #[test]
    fn every_key_is_a_setting() {
        // Of a key that is in the table but not in `Settings`, serde says that there is no such field.
        for key in KEYS {
            let error = read("", &[(&key.variable(), "\u{1}")], &[]).unwrap_err();
            assert!(error.starts_with(&format!("{}: ", key.variable())), "{error}");
            assert!(!error.contains("unknown field") && !error.contains('\u{1}'), "{error}");
        }
    }

    #[test]
    fn the_later_wins() {
        let file = "[server]\nbind = '127.0.0.1:1'\ndrain = '1s'\nswagger_ui = false\n";
        let environment = [("CONVOKE__SERVER__BIND", "127.0.0.1:2"), ("CONVOKE__SERVER__DRAIN", "2s")];
        let settings = read(file, &environment, &[("server.bind", "127.0.0.1:3")]).unwrap();
        assert_eq!(settings.server.bind.port(), 3);
        assert_eq!(settings.server.drain.0.as_secs(), 2);
        assert!(!settings.server.swagger_ui);
        let layers = layers(file, &environment, &[("server.bind", "127.0.0.1:3")]).unwrap();
        let sources = ["server.bind", "server.drain", "server.swagger_ui", "admin.bind"]
            .map(|name| layers.source_of(Key::find(name).unwrap()));
        assert_eq!(sources, [Source::Flag, Source::Environment, Source::File, Source::Default]);
    }

    #[test]
    fn lists_are_written_with_commas_or_as_lists() {
        let expected = vec![Fault::LostAnswer, Fault::RetryAfter(std::time::Duration::from_secs(3)), Fault::Reject];
        let settings = read("[sandbox]\nfaults = ['lostAnswer', 'retryAfter:3', 'reject']", &[], &[]).unwrap();
        assert_eq!(settings.sandbox.faults, Some(expected.clone()));
        let settings = read("", &[("CONVOKE__SANDBOX__FAULTS", "lostAnswer, retryAfter:3,reject")], &[]).unwrap();
        assert_eq!(settings.sandbox.faults, Some(expected));
        let settings = read("", &[("CONVOKE__SANDBOX__FAULTS", "")], &[]).unwrap();
        assert_eq!(settings.sandbox.faults, Some(vec![]));
    }

    #[test]
    fn issuers_are_tables_in_the_file_and_json_elsewhere() {
        let file = "[[auth.issuers]]\nissuer = 'https://login.example.org'\naudience = 'convoke'\ntenants = ['acme']\n";
        let settings = read(file, &[], &[]).unwrap();
        let [issuer] = &settings.auth.issuers[..] else { panic!("{:?}", settings.auth.issuers) };
        assert_eq!((issuer.address.as_str(), issuer.audience.as_str()), ("https://login.example.org", "convoke"));
        // What is shown of the file can be put into the environment.
        let json = layers(file, &[], &[]).unwrap().values().unwrap()["auth.issuers"].clone();
        let said = read("", &[("CONVOKE__AUTH__ISSUERS", &json)], &[]).unwrap();
        assert_eq!(said.auth.issuers, settings.auth.issuers);
        let error = read("", &[("CONVOKE__AUTH__ISSUERS", "[{}]")], &[]).unwrap_err();
        assert!(error.starts_with("CONVOKE__AUTH__ISSUERS: missing field `issuer`"), "{error}");
        let error = read("[[auth.issuers]]\nissuer = 'http://h'\naudience = 'a'", &[], &[]).unwrap_err();
        assert!(error.starts_with("auth.issuers: an issuer is reached over https"), "{error}");
    }

    #[test]
    fn a_bad_value_is_named_as_it_was_set() {
        let line = |file, environment: &[_], flags: &[_]| read(file, environment, flags).unwrap_err();
        assert_eq!(
            line("", &[("CONVOKE__SERVER__DRAIN", "5")], &[]),
            "CONVOKE__SERVER__DRAIN: '5' is no duration; expected a duration, such as 0s, 1m 30s or 90d"
        );
        assert_eq!(
            line("[server]\nbind = 'x'", &[], &[]),
            "server.bind: 'x' won't do; expected an IP address and a port, such as 127.0.0.1:8080 or [::]:8080"
        );
        assert_eq!(
            line("[server]\nbind = ['x']", &[], &[]),
            "server.bind: expected an IP address and a port, such as 127.0.0.1:8080 or [::]:8080"
        );
        assert!(
            line("", &[("CONVOKE__SANDBOX__FAULTS", "reject,explode")], &[])
                .starts_with("CONVOKE__SANDBOX__FAULTS: 'explode' is no fault")
        );
        assert!(!line("", &[("CONVOKE__LOG__FORMAT", "a\nb")], &[]).contains('\n'));
        assert!(line("[sandbox]\nfaults = [{}]", &[], &[]).starts_with("sandbox.faults: expected a list"));
        assert!(
            line("", &[], &[("auth.first_token", "perhaps")]).starts_with("auth.first_token: "),
            "a flag is named as in the file"
        );
        // What was overridden does not matter.
        assert!(read("[server]\ndrain = 'x'", &[("CONVOKE__SERVER__DRAIN", "1s")], &[]).is_ok());
    }

    #[test]
    fn an_unknown_key_is_named_with_those_that_there_are() {
        let line = |file, environment: &[_], flags: &[_]| read(file, environment, flags).unwrap_err();
        assert_eq!(
            line("", &[("CONVOKE__ADMIN__BINDS", "x")], &[]),
            "CONVOKE__ADMIN__BINDS: there is no such setting; there are CONVOKE__ADMIN__BIND"
        );
        assert!(line("", &[("CONVOKE__SERVERS__BIND", "x")], &[]).contains("the sections are server, admin, "));
        assert!(line("[admin]\nbinds = 1", &[], &[]).starts_with("admin.binds: there is no such setting"));
        assert!(line("admin = 1", &[], &[]).starts_with("admin: there is no such setting; there are admin.bind"));
        assert!(line("[server.bind]\nx = 1", &[], &[]).starts_with("server.bind.x: there is no such setting"));
        assert!(line("", &[], &[("admin.x", "1")]).starts_with("admin.x: there is no such setting"));
        assert!(line("", &[("CONVOKE__", "x")], &[]).starts_with("CONVOKE__: there is no such setting"));
    }

    #[test]
    fn a_file_that_is_no_toml_is_one_line() {
        let error = read("[server\nbind = 1", &[], &[]).unwrap_err();
        assert!(error.starts_with("convoke.toml: ") && !error.contains('\n'), "{error}");
    }

    #[test]
    fn no_password_is_shown() {
        let error = read("", &[("CONVOKE__DATABASE__URL", "postgresql//ann:hunter2@h/d")], &[]).unwrap_err();
        assert!(error.starts_with("CONVOKE__DATABASE__URL: ") && !error.contains("hunter2"), "{error}");
        let settings = read("", &[("CONVOKE__DATABASE__URL", "postgresql://ann:hunter2@h/d")], &[]).unwrap();
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn a_secret_can_be_given_by_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let url = file("url", "\n postgres://ann:secret@h/d \r\n");
        let in_toml = format!("[database]\nurl_file = '{url}'");
        for said in [layers(&in_toml, &[], &[]), layers("", &[("CONVOKE__DATABASE__URL_FILE", &url)], &[])] {
            let said = said.unwrap();
            assert_eq!(said.settings().unwrap().database.url.to_string(), "postgres://h/d");
            assert!(said.values().unwrap().values().all(|value| !value.contains("secret")));
        }
        // Its mistakes are those of the file.
        let wrong = file("wrong", "postgresql//ann:secret@h/d");
        let error = read("", &[("CONVOKE__DATABASE__URL_FILE", &wrong)], &[]).unwrap_err();
        assert!(error.starts_with("CONVOKE__DATABASE__URL_FILE: ") && !error.contains("secret"), "{error}");
        for (path, why) in [
            ("/nowhere\n/at all".to_owned(), "can't be read: "),
            (folder.path().to_str().unwrap().to_owned(), "can't be read: "),
            (file("empty", " \n"), "is empty"),
        ] {
            let error = read("", &[], &[("telegram.session_file", &path)]).unwrap_err();
            assert!(error.starts_with("telegram.session_file: ") && error.contains(why), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
        let replica = [("database.url", "postgres://db/d"), ("database.read_url_file", &url)];
        let settings = read("", &[], &replica).unwrap();
        assert_eq!(settings.database.replica().unwrap().url.expose_secret(), "postgres://ann:secret@h/d");
        assert!(!format!("{settings:?}").contains("ann:"));
        let both = [("CONVOKE__DATABASE__URL", "sqlite://x")];
        let error = read(&in_toml, &both, &[]).unwrap_err();
        assert_eq!(error, "database.url_file: the same is set by CONVOKE__DATABASE__URL; set one of them");
    }

    #[test]
    fn only_postgresql_has_replicas() {
        let error = read("", &[], &[("database.read_url", "postgres://ann:secret@h/d")]).unwrap_err();
        assert_eq!(error, "database.read_url: a SQLite database has no read replicas");
        let both = [("database.url", "postgres://h/d"), ("database.read_url", "sqlite://x")];
        let error = read("", &[], &both).unwrap_err();
        assert!(error.starts_with("database.read_url: ") && error.contains("only PostgreSQL"), "{error}");
        let settings = read("", &[], &both[..1]).unwrap();
        assert!(settings.database.replica().is_none());
        assert_eq!(settings.database.read_max_lag.0, Duration::from_secs(10));
    }

    #[test]
    fn telegram_is_there_once_its_application_is() {
        const HASH: &str = "0123456789abcdef0123456789ABCDEF";
        let with = |set: &[(&str, &str)]| read("", &[], set).unwrap();
        assert!(!with(&[]).configured_services().contains(&Service::Telegram));
        let settings = with(&[("telegram.api_id", "12345"), ("telegram.api_hash", HASH)]);
        assert_eq!(settings.configured_services(), [Service::Sandbox, Service::Telegram]);
        assert_eq!(settings.warnings(), Vec::<String>::new());
        assert!(!format!("{settings:?}").contains(HASH));
        let connector = settings.telegram.connector("owner".to_owned()).unwrap();
        assert_eq!((connector.api_id, connector.creation_budget, connector.settle_time.as_secs()), (12345, 20, 60));
        for (set, missing) in [
            (("telegram.api_id", "12345"), "telegram.api_hash must"),
            (("telegram.api_hash", HASH), "telegram.api_id must"),
        ] {
            let settings = with(&[set]);
            assert!(settings.telegram.application().is_none());
            assert!(settings.warnings()[0].contains(missing), "{:?}", settings.warnings());
        }
    }

    #[test]
    fn nothing_of_telegram_is_shown_when_it_will_not_do() {
        for name in ["telegram.api_id", "telegram.api_hash", "telegram.session", "secrets.key"] {
            for value in ["fedcba9876543210", "-5", "0", "", "1fedcba987654321"] {
                let error = read("", &[], &[(name, value)]).unwrap_err();
                assert!(error.starts_with(&format!("{name}: ")), "{error}");
                assert!(value.len() < 3 || !error.contains(value), "{error}");
            }
        }
        for interval in ["telegram.log_interval", "telegram.members_interval", "telegram.call_timeout"] {
            assert!(read("", &[], &[(interval, "0s")]).is_err());
        }
    }

    #[test]
    fn the_sandbox_is_off_beside_another_default_unless_it_is_spoken_of() {
        let with = |more: &[(&str, &str)]| {
            let mut environment = vec![("CONVOKE__PROVIDERS__DEFAULT", "telegram")];
            environment.extend(more);
            read("", &environment, &[]).unwrap()
        };
        assert!(!with(&[]).sandbox_is_on());
        assert_eq!(with(&[]).warnings().len(), 1);
        assert!(with(&[("CONVOKE__SANDBOX__ENABLED", "true")]).sandbox_is_on());
        assert!(with(&[("CONVOKE__SANDBOX__DELAY", "1s")]).sandbox_is_on());
        assert!(!with(&[("CONVOKE__SANDBOX__DELAY", "1s"), ("CONVOKE__SANDBOX__ENABLED", "false")]).sandbox_is_on());
    }
}
