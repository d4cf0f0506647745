//! What is written about the settings for people: the reference and the example file, both from [`KEYS`], so that neither
//! can say something else than the program does.

use std::fmt::Write as _;

use super::keys::{KEYS, Key, SECTIONS};

const INTRODUCTION: &str = "\
# Settings

<!-- Written by `cargo run -p convoke -- config reference > docs/configuration.md`: not by hand. -->

A setting is looked for in four places; the later wins:

1. its default, below;
2. the file: `convoke.toml` in the working folder if it is there, or the one that `--config FILE` names, which then has to
   be there;
3. the environment: `server.bind` is `CONVOKE__SERVER__BIND`;
4. flags: `--set server.bind=127.0.0.1:9000`, as often as needed.

An unknown setting, or a value that won't do, stops every command that reads settings, with one line that names it as it was
set, and exit code 2. What is printed whatever is configured needs none: `openapi`, `metrics`, `completions`, `man`, and
`config reference`, `config example` and `config schema`.

`convoke config check` looks at the settings, and connects to nothing but the database, for the accounts of Telegram if that
is configured. `convoke config print` shows the value of every setting and where it comes from, without passwords; with
`--json` for programs. [The example](../convoke.example.toml) is a file that holds all of them. Settings are read at the
start: a change needs a restart.

[The form of the file](convoke.schema.json) as JSON Schema, which `convoke config schema` prints too, lets editors complete and
check it: with Taplo, by `#:schema ./convoke.schema.json` as its first line.

Durations are written with their units: `30s`, `1m 30s`, `24h`, `90d`.

What may be secret can be given by a file instead: `database.url_file` names a file that holds `database.url`, and so on.
Spaces and line feeds around the secret don't count. To set both is a mistake.
";

const EXAMPLE_INTRODUCTION: &str = "\
#:schema ./docs/convoke.schema.json

# Settings of Convoke: copy what you change to convoke.toml. Every value here is the default; what has none is commented
# out. docs/configuration.md says more.
#
# Written by `cargo run -p convoke -- config example > convoke.example.toml`: not by hand.
";

/// The reference of all settings, as Markdown.
#[must_use]
pub fn reference() -> String {
    let mut text = INTRODUCTION.to_owned();
    for (section, about) in SECTIONS {
        // Writing to a string can't fail.
        let _ = write!(text, "\n## {section}: {about}\n");
        for key in keys_of(section) {
            let default = key.default.map_or("none".to_owned(), |default| format!("`{default}`"));
            let secret = match key.file() {
                Some(file) => {
                    format!(" It may hold a secret, which is never shown; `{}` can name a file with it.", file.name)
                }
                None => String::new(),
            };
            let _ = write!(text, "\n### `{}`\n\n", key.name);
            let _ = write!(text, "{}", wrapped("", &format!("{}.{secret}", sentence(key.what))));
            let _ = write!(text, "\n- takes: {}\n- default: {default}\n- variable: `{}`\n", key.takes, key.variable());
        }
    }
    text
}

/// A file with every setting at its default.
#[must_use]
pub fn example() -> String {
    let mut text = EXAMPLE_INTRODUCTION.to_owned();
    for (section, about) in SECTIONS {
        let _ = write!(text, "\n# {}.\n[{section}]\n", sentence(about));
        for key in keys_of(section) {
            let _ = write!(text, "\n{}", wrapped("# ", &format!("{}.", sentence(key.what))));
            let _ = write!(text, "{}", wrapped("# ", &format!("Takes {}.", key.takes)));
            let comment = if key.default.is_none() { "# " } else { "" };
            let name = key.name.rsplit('.').next().unwrap_or(key.name);
            let _ = writeln!(text, "{comment}{name} = {}", toml(key.example));
        }
    }
    text
}

/// The settings of a section.
pub fn keys_of(section: &str) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| key.name.split('.').next() == Some(section))
}

/// The same with a capital letter in front.
pub fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Text in lines of bearable length, each of which begins with `mark`.
fn wrapped(mark: &str, text: &str) -> String {
    const WIDTH: usize = 120;
    let mut lines = vec![mark.to_owned()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is one from the beginning");
        let gap = if line.len() > mark.len() { " " } else { "" };
        if gap.is_empty() || line.len() + 1 + word.len() <= WIDTH {
            line.push_str(gap);
            line.push_str(word);
        } else {
            lines.push(format!("{mark}{word}"));
        }
    }
    lines.join("\n") + "\n"
}

/// A value as TOML writes it: switches, numbers and lists as they are, texts in quotes.
fn toml(value: &str) -> String {
    let is_bare = value.starts_with('[') || value.parse::<bool>().is_ok() || value.parse::<u32>().is_ok();
    if is_bare { value.to_owned() } else { format!("'{value}'") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_in_a_section_once() {
        let listed: Vec<_> = SECTIONS.iter().flat_map(|(section, _)| keys_of(section)).map(|key| key.name).collect();
        let all: Vec<_> = KEYS.iter().map(|key| key.name).collect();
        assert_eq!(listed, all);
    }

    #[test]
    fn every_secret_can_be_given_by_a_file() {
        for key in KEYS.iter().filter(|key| key.secret) {
            assert!(key.file().is_some_and(|file| !file.secret), "{}", key.name);
        }
    }
}
