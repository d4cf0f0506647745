//! Every test, on SQLite and on a throw-away PostgreSQL.

use std::time::Instant;

use convoke_test_support::{Cluster, ClusterOptions, POSTGRES_VARIABLE};

use crate::{
    Failure,
    install::{self, Recipe},
    postgres, repository,
};

/// Commands that are shown to readers are tried as they are written.
const CURL: &[Recipe] = &[
    &[&["apt-get", "update"], &["apt-get", "install", "--yes", "--no-install-recommends", "curl"]],
    &[&["dnf", "install", "--assumeyes", "curl"]],
    &[&["apk", "add", "curl"]],
    &[&["pacman", "--sync", "--refresh", "--noconfirm", "curl"]],
    &[&["zypper", "--non-interactive", "install", "curl"]],
    &[&["brew", "install", "curl"]],
];
const HOW_TO_INSTALL_CURL: &str = "curl is missing: `apt-get install curl` installs it";

/// Runs `cargo test` with a PostgreSQL cluster beside it, which is gone afterwards however the run ends.
pub fn run(arguments: &[String]) -> Result<(), Failure> {
    run_with(arguments, &[])
}

/// The same, with these variables in the environment.
pub fn run_with(arguments: &[String], variables: &[(&str, &str)]) -> Result<(), Failure> {
    postgres::provide()?;
    install::provide("curl", || install::is_program("curl"), CURL, HOW_TO_INSTALL_CURL)?;
    let begun = Instant::now();
    let cluster = Cluster::start(&ClusterOptions::default())?;
    eprintln!("xtask: PostgreSQL for tests at {} ({:.1} s)", cluster.url(), begun.elapsed().as_secs_f32());
    let mut command = repository::cargo();
    command.args(cargo_arguments(arguments)).env(POSTGRES_VARIABLE, cluster.url());
    command.envs(variables.iter().copied());
    let status = command.status().map_err(|error| format!("cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err("tests failed".to_owned()) }
}

fn cargo_arguments(arguments: &[String]) -> Vec<&str> {
    let of_cargo = || arguments.iter().take_while(|argument| *argument != "--");
    let chooses = |argument: &String| argument.starts_with("-p") || argument.starts_with("--package");
    let mut words = vec!["test", "--all-features"];
    if !of_cargo().any(chooses) {
        words.push("--workspace");
    }
    words.extend(arguments.iter().map(String::as_str));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(arguments: &[&str]) -> String {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        cargo_arguments(&arguments).join(" ")
    }

    #[test]
    fn the_whole_workspace_is_tested_unless_packages_are_named() {
        assert_eq!(words(&[]), "test --all-features --workspace");
        assert_eq!(words(&["name", "--", "-p"]), "test --all-features --workspace name -- -p");
        assert_eq!(words(&["-p", "convoke-api"]), "test --all-features -p convoke-api");
    }
}
