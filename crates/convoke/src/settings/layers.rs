//! How the settings come together: defaults, then the file, then the environment, then flags; the later wins.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use config::{Config, ConfigError, File, FileFormat, Source as _, Value, ValueKind};
use serde::Deserialize as _;

use super::{
    Settings,
    keys::{KEYS, Key, VARIABLE_PREFIX},
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

    /// The file that was read.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_ref().map(|(path, _)| path.as_path())
    }

    /// Puts everything together.
    ///
    /// # Errors
    /// The first setting that is unknown or whose value won't do.
    pub fn settings(&self) -> Result<Settings, SettingsError> {
        let merged = self.merged()?;
        Settings::deserialize(merged).map_err(|error| self.explain(&error))
    }

    /// Where the value of a setting comes from.
    #[must_use]
    pub fn source_of(&self, key: &Key) -> Source {
        if self.flags.contains_key(key.name) {
            Source::Flag
        } else if self.environment.contains_key(key.name) {
            Source::Environment
        } else if self.keys_in_file().is_ok_and(|keys| keys.iter().any(|name| name == key.name)) {
            Source::File
        } else {
            Source::Default
        }
    }

    /// The value of every setting that has one, by name, as the environment would say it.
    ///
    /// # Errors
    /// As [`Layers::settings`].
    pub fn values(&self) -> Result<BTreeMap<&'static str, String>, SettingsError> {
        let merged = self.merged()?;
        let text = |key: &'static Key| Some((key.name, written(&merged.get::<Value>(key.name).ok()?)));
        Ok(KEYS.iter().filter_map(text).collect())
    }

    /// The name of a setting as whoever set it knows it.
    #[must_use]
    pub fn name_of(&self, key: &Key) -> String {
        match self.source_of(key) {
            Source::Environment => key.variable(),
            Source::Default | Source::File | Source::Flag => key.name.to_owned(),
        }
    }

    /// The same by its name in the file.
    #[must_use]
    pub fn name_of_key(&self, name: &str) -> String {
        Key::find(name).map_or_else(|| name.to_owned(), |key| self.name_of(key))
    }

    fn merged(&self) -> Result<Config, SettingsError> {
        for name in self.keys_in_file()? {
            if Key::find(&name).is_none() {
                return Err(unknown(&name, &name));
            }
        }
        let mut builder = Config::builder();
        let mut add = || {
            for key in KEYS {
                if let Some(default) = key.default {
                    builder = std::mem::take(&mut builder).set_default(key.name, default)?;
                }
            }
            if let Some((_, text)) = &self.file {
                builder = std::mem::take(&mut builder).add_source(File::from_str(text, FileFormat::Toml));
            }
            for (name, value) in self.environment.iter().chain(&self.flags) {
                builder = std::mem::take(&mut builder).set_override(*name, value.as_str())?;
            }
            std::mem::take(&mut builder).build()
        };
        add().map_err(|error| self.explain(&error))
    }

    /// The names of all values in the file.
    fn keys_in_file(&self) -> Result<Vec<String>, SettingsError> {
        let Some((path, text)) = &self.file else { return Ok(Vec::new()) };
        let table = File::from_str(text, FileFormat::Toml).collect();
        let table = table.map_err(|error| SettingsError(format!("{}: {}", path.display(), one_line(&error))))?;
        let mut names = Vec::new();
        collect_names("", &table.into_iter().collect(), &mut names);
        Ok(names)
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
        // Whatever was given, it stays one line.
        let problem: String = problem.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        SettingsError(format!("{shown}: {problem}"))
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

/// The names of everything in a table that is no table itself.
fn collect_names(prefix: &str, table: &BTreeMap<String, Value>, names: &mut Vec<String>) {
    for (key, value) in table {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match &value.kind {
            ValueKind::Table(inner) => {
                let inner = inner.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
                collect_names(&name, &inner, names);
            }
            _ => names.push(name),
        }
    }
}

/// A value as the environment would say it: lists with commas.
fn written(value: &Value) -> String {
    match &value.kind {
        ValueKind::Array(list) => list.iter().map(written).collect::<Vec<_>>().join(","),
        _ => value.to_string(),
    }
}

/// What an error says, without the excerpt of the file that some draw below it.
fn one_line(error: &ConfigError) -> String {
    let text = error.to_string();
    let told = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.contains('|'));
    told.collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use convoke_domain::Service;
    use convoke_sandbox::Fault;

    use super::*;

    fn layers(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Layers, SettingsError> {
        let environment = environment.iter().map(|(name, value)| (name.into(), value.into()));
        let flags: Vec<_> = flags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Ok(Layers {
            file: Some((DEFAULT_FILE.into(), file.to_owned())),
            environment: of_environment(environment)?,
            flags: of_flags(&flags)?,
        })
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
        let error = read("", &[("CONVOKE__DATABASE__URL", "postgresql//ann:secret@h/d")], &[]).unwrap_err();
        assert!(error.starts_with("CONVOKE__DATABASE__URL: ") && !error.contains("secret"), "{error}");
        let settings = read("", &[("CONVOKE__DATABASE__URL", "postgresql://ann:secret@h/d")], &[]).unwrap();
        assert!(!format!("{settings:?}").contains("secret"));
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
