//! The pages of the service in a real browser, with what that needs: Chromium with its driver, installed by the system's
//! package manager, and axe-core from npm. The test itself is `crates/browser-tests`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Failure,
    install::{self, Recipe},
    node,
    process::finish,
    repository::{self, Profile, build},
};

const CHROMIUM: &[Recipe] = &[
    &[
        &["apt-get", "update"],
        &["apt-get", "install", "--yes", "--no-install-recommends", "chromium", "chromium-driver"],
    ],
    &[&["dnf", "install", "--assumeyes", "chromium", "chromedriver"]],
    &[&["apk", "add", "chromium", "chromium-chromedriver"]],
    &[&["pacman", "--sync", "--refresh", "--noconfirm", "chromium"]],
];
const HOW_TO_INSTALL_CHROMIUM: &str =
    "Chromium or chromedriver is missing: `apt-get install chromium chromium-driver` installs both";

/// The screenshots that README.md shows, and where they are checked in.
const PICTURES: &[&str] = &["swagger-ui", "invitation-desktop"];
const PICTURES_FOLDER: &str = "docs/pictures";
/// A picture that is much larger makes every clone larger.
const PICTURE_BYTES: u64 = 200_000;

/// Where the issuer is that `cargo xtask oidc` runs.
const ISSUER: &str = "crates/browser-tests/issuer";

/// Runs the test in the browser; then puts the pictures of README.md in their place, if they are to be made anew.
pub fn run(pictures: bool) -> Result<(), Failure> {
    let screenshots = run_with(&[])?;
    if pictures { keep_pictures(&screenshots) } else { Ok(()) }
}

/// Logs in at an OpenID Connect issuer of others, oidc-provider from npm, with Swagger UI and without.
pub fn log_in() -> Result<(), Failure> {
    let node = node::provide()?;
    let folder = repository::metadata()?.target_directory.into_std_path_buf().join("oidc");
    node::install_packages(Path::new(ISSUER), &folder)?;
    let script = folder.join("issuer.mjs");
    copy(&repository::root().join(ISSUER).join("issuer.mjs"), &script)?;
    run_with(&[node, script]).map(drop)
}

/// Runs the program of the tests, with these arguments after those that it always has; gives the folder of screenshots.
fn run_with(more: &[PathBuf]) -> Result<PathBuf, Failure> {
    let has_browser = || {
        ["chromium", "chromium-browser"].iter().any(|name| install::is_program(name))
            && install::is_program("chromedriver")
    };
    install::provide("Chromium with its driver", has_browser, CHROMIUM, HOW_TO_INSTALL_CHROMIUM)?;
    let target = repository::metadata()?.target_directory.into_std_path_buf();
    let axe = axe(&target)?;
    let screenshots = target.join("screenshots");

    let convoke = build("convoke", Profile::Dev)?;
    let mut test = Command::new(build("convoke-browser-tests", Profile::Dev)?);
    finish(test.arg(convoke).arg(axe).arg(&screenshots).args(more), "the browser test")?;
    eprintln!("xtask: screenshots are in {}", screenshots.display());
    Ok(screenshots)
}

/// The script of axe-core, of the version that `crates/browser-tests/package-lock.json` names. Its licence is the MPL
/// 2.0, which we do not ship anything under: it is fetched for the test, used as it is, and no part of it is committed.
fn axe(target: &Path) -> Result<PathBuf, Failure> {
    node::provide()?;
    let folder = target.join("browser-tests");
    node::install_packages(Path::new("crates/browser-tests"), &folder)?;
    Ok(folder.join("node_modules/axe-core/axe.min.js"))
}

fn keep_pictures(screenshots: &Path) -> Result<(), Failure> {
    let folder = repository::root().join(PICTURES_FOLDER);
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for name in PICTURES {
        let file = format!("{name}.png");
        let bytes = copy(&screenshots.join(&file), &folder.join(&file))?;
        if bytes > PICTURE_BYTES {
            return Err(format!("{PICTURES_FOLDER}/{file} has {bytes} bytes, more than {PICTURE_BYTES}"));
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<u64, Failure> {
    fs::copy(from, to).map_err(|error| format!("{} → {}: {error}", from.display(), to.display()))
}
