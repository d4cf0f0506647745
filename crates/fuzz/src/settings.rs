//! The settings of the program.

use std::ffi::OsString;

use convoke::settings::{KEYS, Layers, SettingsError};

/// A file.
pub fn file(data: &[u8]) {
    let Some(text) = crate::text(data) else { return };
    look_at(Layers::of_text(text, std::iter::empty(), &[]));
}

/// Variables, `SECTION__KEY=value` in a line, and flags, `section.key=value` in a line that begins with `-`.
pub fn environment(data: &[u8]) {
    let Some(text) = crate::text(data) else { return };
    let (flags, variables): (Vec<_>, Vec<_>) =
        text.lines().filter_map(|line| line.split_once('=')).partition(|(name, _)| name.starts_with('-'));
    let variables = variables.iter().map(|(name, value)| (format!("CONVOKE__{name}").into(), OsString::from(value)));
    let flags: Vec<_> = flags.iter().map(|(name, value)| (name[1..].to_owned(), (*value).to_owned())).collect();
    look_at(Layers::of_text("", variables, &flags));
}

/// A mistake is told in a line; what is taken can be said in the environment, and means the same there.
fn look_at(layers: Result<Layers, SettingsError>) {
    let settings = match layers.and_then(|layers| Ok((layers.settings()?, layers.values()?))) {
        Ok(settings) => settings,
        Err(error) => {
            let line = error.to_string();
            assert!(!line.is_empty() && !line.contains(char::is_control), "{line:?}");
            return;
        }
    };
    let (settings, values) = settings;
    let variable = |(name, value): (&&str, &String)| {
        let key = KEYS.iter().find(|key| key.name == *name).expect("only what is a setting has a value");
        (key.variable().into(), value.into())
    };
    let said = Layers::of_text("", values.iter().map(variable), &[]).expect("the names are right");
    let again = said.settings().expect("what was taken once is taken again");
    assert_eq!(said.values().as_ref(), Ok(&values));
    assert_eq!(format!("{again:?}"), format!("{settings:?}"));
}
