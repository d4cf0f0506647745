//! PostgreSQL's programs, installed if they are missing.

use convoke_test_support::{HOW_TO_INSTALL, find_programs};

use crate::{
    Failure,
    install::{self, Recipe},
};

const RECIPES: &[Recipe] = &[
    &[&["apt-get", "update"], &["apt-get", "install", "--yes", "--no-install-recommends", "postgresql"]],
    &[&["dnf", "install", "--assumeyes", "postgresql-server"]],
    &[&["apk", "add", "postgresql"]],
    &[&["pacman", "--sync", "--refresh", "--noconfirm", "postgresql"]],
    &[&["zypper", "--non-interactive", "install", "postgresql-server"]],
    &[&["brew", "install", "postgresql"]],
];

/// Sees to it that PostgreSQL's programs are there.
pub fn provide() -> Result<(), Failure> {
    install::provide("PostgreSQL", || find_programs().is_some(), RECIPES, HOW_TO_INSTALL)
}
