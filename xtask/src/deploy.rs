//! The Dockerfile and everything in deploy/, without a cluster or an engine: rendered by Kustomize and Helm, compared with the
//! schemas of Kubernetes, with Pod Security "restricted" and with each other, looked at by linters; alerts are tried on
//! figures, and the program is asked whether it takes the settings. How, is in deploy/checks/, with the versions of all that
//! takes part.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Failure, install, node,
    process::{finish, finish_quietly},
    python, repository,
};

const CHECKS: &str = "deploy/checks";
const FOLDER: &str = "target/deploy";
const HOW_TO_INSTALL_PROMTOOL: &str =
    "promtool is needed, which comes with Prometheus: https://prometheus.io/download/";

pub fn run() -> Result<(), Failure> {
    let folder = repository::root().join(FOLDER);
    let checks = Path::new(CHECKS);
    let node = node::provide()?;
    node::install_packages(checks, &folder)?;
    let python = python::provide(&checks.join("requirements.txt"), &folder.join("venv"))?;
    let promtool = promtool(&folder)?;
    finish(repository::cargo().args(["build", "--locked", "-p", "convoke"]), "the build")?;
    let target = repository::metadata()?.target_directory.into_std_path_buf();
    let program = target.join("debug").join(format!("convoke{}", env::consts::EXE_SUFFIX));
    let mut command = Command::new(python);
    command.arg(repository::root().join(checks).join("all.py")).arg("--work").arg(&folder);
    command.arg("--convoke").arg(program).arg("--promtool").arg(promtool).arg("--node").arg(node);
    // Nothing but sources belongs into the repository.
    finish(command.env("PYTHONDONTWRITEBYTECODE", "1"), "what is in deploy/")
}

/// Prometheus' tool. Where Debian's packages are, it is taken out of one that is not installed: that would start a server.
fn promtool(folder: &Path) -> Result<PathBuf, Failure> {
    if install::is_program("promtool") {
        return Ok("promtool".into());
    }
    let unpacked = folder.join("prometheus");
    let program = unpacked.join("usr/bin/promtool");
    if program.is_file() {
        return Ok(program);
    }
    if !install::is_program("apt-get") {
        return Err(HOW_TO_INSTALL_PROMTOOL.to_owned());
    }
    install::run_as_root(&["apt-get", "update"], "promtool")?;
    let mut download = Command::new("apt-get");
    // A sandbox of apt's own may not write into the folder, and says so.
    download.args(["--option", "APT::Sandbox::User=root", "download", "prometheus"]).current_dir(folder);
    finish_quietly(&mut download, "`apt-get download prometheus`")?;
    let mut unpack = Command::new("sh");
    unpack.args(["-c", "dpkg-deb --extract prometheus_*.deb prometheus && rm prometheus_*.deb"]).current_dir(folder);
    finish(&mut unpack, "`dpkg-deb --extract`")?;
    if program.is_file() { Ok(program) } else { Err(HOW_TO_INSTALL_PROMTOOL.to_owned()) }
}
