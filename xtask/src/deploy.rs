//! The Dockerfile and everything in deploy/, without a cluster or an engine: rendered by Kustomize and Helm, compared with the
//! schemas of Kubernetes, with Pod Security "restricted" and with each other, looked at by linters; alerts are tried on
//! figures, and the program is asked whether it takes the settings. How, is in deploy/checks/, with the versions of all that
//! takes part.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use convoke_test_support::{Cluster, ClusterOptions};

use crate::{
    Failure, install, node, postgres,
    process::{finish, finish_quietly},
    python,
    repository::{self, Profile, build},
};

const CHECKS: &str = "deploy/checks";
const FOLDER: &str = "target/deploy";
const PICTURE: &str = "docs/pictures/dashboard.png";
const HOW_TO_INSTALL: &str = "Prometheus and its promtool are needed: https://prometheus.io/download/";

pub fn run() -> Result<(), Failure> {
    let folder = repository::root().join(FOLDER);
    let checks = Path::new(CHECKS);
    let node = node::provide()?;
    node::install_packages(checks, &folder)?;
    let python = python::provide(&checks.join("requirements.txt"), &folder.join("venv"))?;
    let promtool = of_prometheus("promtool", &folder)?;
    let program = build("convoke", Profile::Dev)?;
    let mut command = Command::new(python);
    command.arg(repository::root().join(checks).join("all.py")).arg("--work").arg(&folder);
    command.arg("--convoke").arg(program).arg("--promtool").arg(promtool).arg("--node").arg(node);
    // Nothing but sources belongs into the repository.
    finish(command.env("PYTHONDONTWRITEBYTECODE", "1"), "what is in deploy/")
}

/// Draws the dashboard with what Prometheus learns of a service under load.
pub fn draw() -> Result<(), Failure> {
    let folder = repository::root().join(FOLDER);
    fs::create_dir_all(&folder).map_err(|error| format!("{FOLDER}: {error}"))?;
    let checks = Path::new(CHECKS);
    let python = python::provide(&checks.join("picture.requirements.txt"), &folder.join("picture"))?;
    let mut command = Command::new(python);
    command.arg(repository::root().join(checks).join("picture.py"));
    command.arg("--convoke").arg(build("convoke", Profile::Release)?);
    let example = ["build", "--locked", "--package", "convoke-telegram-test-server", "--example", "telegram"];
    finish(repository::cargo().args(example), "the build")?;
    let target = repository::metadata()?.target_directory.into_std_path_buf();
    command.arg("--telegram").arg(target.join("debug/examples/telegram"));
    postgres::provide()?;
    let database = Cluster::start(&ClusterOptions::default())?;
    command.arg("--database").arg(database.url());
    command.arg("--prometheus").arg(of_prometheus("prometheus", &folder)?);
    command.arg("--to").arg(repository::root().join(PICTURE));
    finish(&mut command, "the picture of the dashboard")
}

/// One of Prometheus' programs. Where Debian's packages are, it is taken out of one that is not installed: that would start
/// a server.
fn of_prometheus(name: &str, folder: &Path) -> Result<PathBuf, Failure> {
    if install::is_program(name) {
        return Ok(name.into());
    }
    let program = folder.join("prometheus/usr/bin").join(name);
    if program.is_file() {
        return Ok(program);
    }
    if !install::is_program("apt-get") {
        return Err(HOW_TO_INSTALL.to_owned());
    }
    install::run_as_root(&["apt-get", "update"], name)?;
    let mut download = Command::new("apt-get");
    // A sandbox of apt's own may not write into the folder, and says so.
    download.args(["--option", "APT::Sandbox::User=root", "download", "prometheus"]).current_dir(folder);
    finish_quietly(&mut download, "`apt-get download prometheus`")?;
    let mut unpack = Command::new("sh");
    unpack.args(["-c", "dpkg-deb --extract prometheus_*.deb prometheus && rm prometheus_*.deb"]).current_dir(folder);
    finish(&mut unpack, "`dpkg-deb --extract`")?;
    if program.is_file() { Ok(program) } else { Err(HOW_TO_INSTALL.to_owned()) }
}
