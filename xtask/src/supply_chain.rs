//! What the program is made of that is not ours: looked at by cargo-deny, listed by cargo-cyclonedx. Both are built from
//! their sources the first time, below target/, which takes some minutes; so they are no part of `.ci/run`, where
//! `cargo xtask check licences` looks at licences by itself.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{Failure, process::finish, repository};

/// A tool: its name, its version, and how it tells its version.
struct Tool(&'static str, &'static str, &'static [&'static str]);

const DENY: Tool = Tool("cargo-deny", "0.20.2", &["--version"]);
const CYCLONEDX: Tool = Tool("cargo-cyclonedx", "0.5.9", &["cyclonedx", "--version"]);

/// Where the list of what the program is made of is written.
const SBOM: &str = "convoke.cdx.json";
/// What cargo-cyclonedx calls the list of a binary, before the extension.
const LISTED: &str = "_bin.cdx.json";

/// Where known vulnerabilities are written down. cargo-deny fetches all of it, and no registry of packages has it.
const ADVISORIES: &str = "https://github.com/rustsec/advisory-db";

/// Looks at everything that deny.toml is about, or at what is named.
pub fn deny(checks: &[String]) -> Result<(), Failure> {
    if checks.iter().any(|check| check == "advisories") && !is_reached(ADVISORIES) {
        return Err(format!(
            "{ADVISORIES} can't be reached, so nobody knows of vulnerabilities: ask again where it can"
        ));
    }
    let mut command = Command::new(tool(&DENY)?);
    command.arg("check").args(if checks.is_empty() { &[] } else { checks });
    if checks.is_empty() {
        command.args(["bans", "licenses", "sources"]);
    }
    finish(command.current_dir(repository::root()), "cargo-deny")
}

/// Writes the list of all crates in the program (CycloneDX 1.5) below target/.
pub fn sbom() -> Result<(), Failure> {
    let mut command = Command::new(tool(&CYCLONEDX)?);
    command.args(["cyclonedx", "--quiet", "--format", "json", "--spec-version", "1.5", "--describe", "binaries"]);
    finish(command.current_dir(repository::root()), "cargo-cyclonedx")?;
    // It writes one for each binary of the workspace, beside its manifest.
    let metadata = repository::metadata()?;
    let target = metadata.target_directory.clone().into_std_path_buf().join(SBOM);
    for package in metadata.workspace_packages() {
        let folder = package.manifest_path.parent().ok_or("a manifest lies in a folder")?.as_std_path();
        for file in lists_in(folder)? {
            let name = file.display().to_string();
            if package.name.as_str() == "convoke" {
                fs::copy(&file, &target).map_err(|error| format!("{name}: {error}"))?;
            }
            fs::remove_file(&file).map_err(|error| format!("{name}: {error}"))?;
        }
    }
    let list = fs::read_to_string(&target).map_err(|error| format!("{}: {error}", target.display()))?;
    let list: serde_json::Value = serde_json::from_str(&list).map_err(|error| format!("{SBOM}: {error}"))?;
    let parts = list["components"].as_array().map_or(0, Vec::len);
    println!("{}: {parts} crates", target.display());
    if parts == 0 { Err(format!("{SBOM} lists nothing")) } else { Ok(()) }
}

/// Whether a Git repository can be fetched.
fn is_reached(url: &str) -> bool {
    let mut ask = Command::new("git");
    ask.args(["ls-remote", url, "HEAD"]).env("GIT_TERMINAL_PROMPT", "0").stdin(Stdio::null());
    ask.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn lists_in(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let files = entries.filter_map(Result::ok).map(|entry| entry.path());
    Ok(files.filter(|file| file.to_string_lossy().ends_with(LISTED)).collect())
}

/// A tool of this version, built if it is not there.
fn tool(Tool(name, version, ask): &Tool) -> Result<PathBuf, Failure> {
    let target = repository::metadata()?.target_directory.into_std_path_buf();
    let folder = target.join("tools");
    let program = folder.join("bin").join(name);
    let installed = Command::new(&program).args(*ask).output();
    let is_right = installed.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim().ends_with(version));
    if !is_right {
        eprintln!("xtask: {name} {version} is built into {}", folder.display());
        let mut install = repository::cargo();
        install.args(["install", "--quiet", "--locked", "--force", "--version", version, name, "--root"]).arg(&folder);
        finish(install.arg("--target-dir").arg(folder.join("build")), "`cargo install`")?;
        // What it is built from is large, and of no more use.
        let build = folder.join("build");
        fs::remove_dir_all(&build).map_err(|error| format!("{}: {error}", build.display()))?;
    }
    Ok(program)
}
