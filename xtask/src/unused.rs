//! Every dependency is used: each crate names those that it declares, and somebody declares those of the workspace.

use std::{collections::BTreeSet, path::Path};

use cargo_metadata::{Dependency, DependencyKind, Package};

use crate::{Failure, Mistakes, repository};

/// Dependencies that are there for another reason than to be named: crate, dependency, reason. One that is named after
/// all is a mistake too.
const EXCEPTIONS: &[(&str, &str, &str)] =
    &[("convoke-store", "libsqlite3-sys", "its feature `bundled` builds the SQLite that diesel links")];

pub fn check() -> Result<Mistakes, Failure> {
    let metadata = repository::metadata()?;
    let packages = metadata.workspace_packages();
    let mut mistakes = Vec::new();
    for package in &packages {
        mistakes.extend(unnamed(package)?);
    }
    let declared: BTreeSet<&str> =
        packages.iter().flat_map(|package| &package.dependencies).map(|dependency| dependency.name.as_str()).collect();
    for name in workspace_dependencies(&repository::read(Path::new("Cargo.toml"))?) {
        if !declared.contains(name) {
            mistakes.push(format!("Cargo.toml: no crate uses {name}"));
        }
    }
    Ok(mistakes)
}

/// The dependencies of a package that its sources do not name, and the exceptions that are none.
fn unnamed(package: &Package) -> Result<Mistakes, Failure> {
    let root = repository::root();
    let folder = package.manifest_path.parent().ok_or("a manifest lies in a folder")?;
    let folder = folder.strip_prefix(&root).map_err(|error| error.to_string())?;
    let mut shipped = String::new();
    let mut all = String::new();
    for file in repository::files()? {
        let Ok(inside) = file.strip_prefix(folder) else { continue };
        if repository::has_extension(&file, "rs") {
            let text = repository::read(&file)?;
            all.push_str(&text);
            if inside.starts_with("src") {
                shipped.push_str(&text);
            }
        }
    }
    let (shipped, all) = (begins_of_paths(&shipped), begins_of_paths(&all));
    let mut mistakes = Vec::new();
    for dependency in &package.dependencies {
        let sources = if dependency.kind == DependencyKind::Normal { &shipped } else { &all };
        let named = sources.contains(identifier(dependency).as_str());
        let exception =
            EXCEPTIONS.iter().find(|(of, name, _)| *of == package.name.as_str() && *name == dependency.name);
        match exception {
            None if !named => mistakes.push(format!("{}: {} is declared and not used", package.name, dependency.name)),
            Some(_) if named => {
                mistakes.push(format!("{}: {} is used, and no exception", package.name, dependency.name));
            }
            _ => {}
        }
    }
    Ok(mistakes)
}

/// What a dependency is called in source code.
fn identifier(dependency: &Dependency) -> String {
    dependency.rename.as_ref().unwrap_or(&dependency.name).replace('-', "_")
}

/// The first word of every path such as `serde_json::Value` in the code that is no comment. Any other word may have the
/// same name by chance.
fn begins_of_paths(text: &str) -> BTreeSet<&str> {
    let code = text.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code));
    let words = code.flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && !"_:".contains(c)));
    words.filter_map(|word| Some(word.trim_start_matches("::").split_once("::")?.0)).collect()
}

/// The names under `[workspace.dependencies]`: in TOML a key begins its line, and what continues an array does not look
/// like a key.
fn workspace_dependencies(manifest: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut inside = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.starts_with("[workspace.dependencies]");
        } else if inside && let Some((key, _)) = line.split_once('=') {
            let name = key.trim_end().split('.').next().unwrap_or_default();
            if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)) {
                names.push(name);
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_code_count_and_other_words_do_not() {
        let text = "use tokio_util::sync; // not serde::de\n/// nor uuid::\n::serde_json::json!({}); let bytes = crate::body::of();";
        let words = begins_of_paths(text);
        assert!(words.contains("tokio_util") && words.contains("serde_json"));
        assert!(
            !words.contains("serde") && !words.contains("uuid") && !words.contains("bytes") && !words.contains("body")
        );
    }

    #[test]
    fn the_dependencies_of_the_workspace_are_read() {
        let manifest = "[workspace]\nmembers = []\n[workspace.dependencies]\n# note = no\nserde = \"1\"\n\
            tokio-util = { version = \"0\", features = [\n  \"rt\",\n] }\ntoml.version = \"1\"\n\n\
            [workspace.lints.rust]\nunsafe_code = \"forbid\"\n";
        assert_eq!(workspace_dependencies(manifest), ["serde", "tokio-util", "toml"]);
    }
}
