//! The migrations, held to the rules of migrations/README.md: both databases have the same ones, and squawk looks at those of
//! PostgreSQL for what the former release would not survive, or what locks a large table. What it is told to leave out
//! stands, with the reason, in migrations/lint/; so does what it has to refuse, for a linter that finds nothing may have
//! looked at nothing.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Failure, Mistakes, python, repository};

const MIGRATIONS: &str = "migrations";
const LINT: &str = "migrations/lint";
const REFUSED: &str = "migrations/lint/refused.sql";
/// Where the linter is installed.
const FOLDER: &str = "target/migrations-lint";

pub fn run() -> Result<(), Failure> {
    let folder = repository::root().join(FOLDER);
    let python = python::provide(&Path::new(LINT).join("requirements.txt"), &folder)?;
    let squawk = python.with_file_name("squawk");
    let mut mistakes = differences(&names("postgres")?, &names("sqlite")?);
    mistakes.extend(not_refused(&repository::read(Path::new(REFUSED))?, &lint(&squawk, REFUSED, true)?));
    for name in names("postgres")? {
        let migration = format!("{MIGRATIONS}/postgres/{name}");
        mistakes.extend(lint(&squawk, &format!("{migration}/up.sql"), is_in_transaction(&migration)?)?);
    }
    for mistake in &mistakes {
        eprintln!("migrations: {mistake}");
    }
    if mistakes.is_empty() { Ok(()) } else { Err(format!("{} mistakes in {MIGRATIONS}/", mistakes.len())) }
}

/// The migrations of a database.
fn names(database: &str) -> Result<BTreeSet<String>, Failure> {
    let folder = repository::root().join(MIGRATIONS).join(database);
    let entries = fs::read_dir(&folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(entries.into_iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}

fn differences(postgres: &BTreeSet<String>, sqlite: &BTreeSet<String>) -> Mistakes {
    let missing = |in_one: &BTreeSet<String>, in_other: &BTreeSet<String>, of: &str| {
        let missing = in_one.difference(in_other).map(|name| format!("{name} is missing for {of}"));
        missing.collect::<Vec<_>>()
    };
    [missing(postgres, sqlite, "sqlite"), missing(sqlite, postgres, "postgres")].concat()
}

/// Whether Diesel runs it in a transaction: always, unless the file beside it says otherwise.
fn is_in_transaction(migration: &str) -> Result<bool, Failure> {
    let metadata = PathBuf::from(migration).join("metadata.toml");
    if !repository::root().join(&metadata).exists() {
        return Ok(true);
    }
    let text = repository::read(&metadata)?;
    Ok(!text.lines().any(|line| line.replace(' ', "") == "run_in_transaction=false"))
}

/// What squawk finds in a file, a line each.
fn lint(squawk: &Path, file: &str, is_in_transaction: bool) -> Result<Mistakes, Failure> {
    let mut command = Command::new(squawk);
    command.current_dir(repository::root()).args(["--reporter", "gcc", "--config"]);
    command.arg(Path::new(LINT).join("squawk.toml"));
    if is_in_transaction {
        command.arg("--assume-in-transaction");
    }
    let output = command.arg(file).output().map_err(|error| format!("{}: {error}", squawk.display()))?;
    let found: Mistakes = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    if found.is_empty() && !output.status.success() {
        return Err(format!("squawk: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(found)
}

/// The statements that were not refused by the rule that stands above them.
fn not_refused(statements: &str, found: &Mistakes) -> Mistakes {
    let lines: Vec<&str> = statements.lines().collect();
    let rule = |pair: &[&str]| {
        pair[0].strip_prefix("-- ").filter(|_| !pair[1].is_empty() && !pair[1].starts_with("--")).map(str::to_owned)
    };
    let expected = lines.windows(2).enumerate().filter_map(|(place, pair)| Some((place + 1, rule(pair)?)));
    expected
        .filter(|(line, rule)| {
            // squawk counts lines from 0 in this form.
            let (at, named) = (format!("{REFUSED}:{line}:"), format!(" {rule} "));
            !found.iter().any(|found| found.starts_with(&at) && found.contains(&named))
        })
        .map(|(line, rule)| format!("{REFUSED}:{}: {rule} does not refuse it", line + 1))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_migration_of_one_database_alone_is_found() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(differences(&names(&["a", "b"]), &names(&["a", "b"])), Mistakes::new());
        let found = differences(&names(&["a", "b"]), &names(&["b", "c"]));
        assert_eq!(found, ["a is missing for sqlite", "c is missing for postgres"]);
    }

    #[test]
    fn a_rule_that_refuses_nothing_is_found() {
        let statements = "-- About\n-- all of them.\n\n-- ban-drop-table\ndrop table a;\n\n-- ban-drop-column\nalter table b\n  drop column c;\n";
        let found = ["migrations/lint/refused.sql:4:0: warning: ban-drop-table Dropping a table.".to_owned()];
        let missing = not_refused(statements, &found.to_vec());
        assert_eq!(missing, ["migrations/lint/refused.sql:8: ban-drop-column does not refuse it"]);
    }
}
