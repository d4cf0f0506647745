//! Python, installed if it is missing, with packages of its own below target/.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    Failure,
    install::{self, Recipe},
    process::finish,
    repository,
};

const RECIPES: &[Recipe] = &[
    &[&["apt-get", "update"], &["apt-get", "install", "--yes", "--no-install-recommends", "python3", "python3-venv"]],
    &[&["dnf", "install", "--assumeyes", "python3"]],
    &[&["apk", "add", "python3"]],
    &[&["pacman", "--sync", "--refresh", "--noconfirm", "python"]],
    &[&["brew", "install", "python"]],
];
const HOW_TO_INSTALL: &str =
    "Python 3.10 or newer with venv is needed: `apt-get install python3 python3-venv` installs both";

/// Exits with 0 if the one who runs it will do: generated clients are written for 3.10.
const IS_RIGHT: &str = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))";

/// A Python that has the packages that a file names, version by version, and no others; they are installed into the folder
/// unless they are there.
pub fn provide(requirements: &Path, folder: &Path) -> Result<PathBuf, Failure> {
    install::provide("Python with venv", is_there, RECIPES, HOW_TO_INSTALL)?;
    let python = folder.join("bin/python");
    let wanted = repository::read(requirements)?;
    if install::is_noted(folder, &wanted) {
        return Ok(python);
    }
    finish(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder), "`python3 -m venv`")?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:", "--no-deps"]);
    finish(pip.arg("--requirement").arg(repository::root().join(requirements)), "`pip install`")?;
    install::note(folder, &wanted)?;
    Ok(python)
}

fn is_there() -> bool {
    let checked = Command::new("python3").args(["-c", IS_RIGHT]).stderr(Stdio::null()).status();
    checked.is_ok_and(|status| status.success())
}
