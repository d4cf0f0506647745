//! Every path that a Markdown file names exists.

use std::{
    collections::BTreeSet,
    path::{Component, Path, PathBuf},
};

use crate::{Failure, Mistakes, repository};

/// A name in backticks that has a slash and ends with one of these is a path of the repository.
const EXTENSIONS: &[&str] = &["json", "md", "rs", "sh", "sql", "toml", "yaml", "yml"];

pub fn check() -> Result<Mistakes, Failure> {
    let files = repository::files()?;
    let known = known(&files);
    let mut mistakes = Vec::new();
    for file in files.iter().filter(|file| repository::has_extension(file, "md")) {
        mistakes.extend(mistakes_in(file, &repository::read(file)?, &known));
    }
    Ok(mistakes)
}

/// The files and the folders that they lie in.
fn known(files: &[PathBuf]) -> BTreeSet<PathBuf> {
    files.iter().flat_map(|file| file.ancestors()).map(Path::to_path_buf).collect()
}

fn mistakes_in(file: &Path, text: &str, known: &BTreeSet<PathBuf>) -> Mistakes {
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut mistakes = Vec::new();
    let mut fenced = false;
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let links = links(line).into_iter().filter(|link| !exists(link, &[folder], known));
            let places = [folder, Path::new(""), Path::new("crates")];
            let paths = paths(line, known).into_iter().filter(|path| !exists(path, &places, known));
            let missing = |path| format!("{}:{number}: there is no {path}", file.display());
            mistakes.extend(links.chain(paths).map(missing));
        }
    }
    mistakes
}

/// Whether there is such a path, seen from one of these places.
fn exists(path: &str, places: &[&Path], known: &BTreeSet<PathBuf>) -> bool {
    places.iter().filter_map(|place| normalised(&place.join(path))).any(|path| known.contains(&path))
}

/// The path without `.` and `..`; none if it leaves the repository.
fn normalised(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => plain.push(part),
            Component::ParentDir if !plain.pop() => return None,
            Component::RootDir | Component::Prefix(_) => return None,
            Component::CurDir | Component::ParentDir => {}
        }
    }
    Some(plain)
}

/// The targets of links to files: `[text](target)`, without their fragments.
fn links(line: &str) -> Vec<String> {
    let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    let files = targets.filter(|target| !target.contains(':') && !target.starts_with(['#', '/']) && !target.is_empty());
    files.map(|target| target.split('#').next().unwrap_or_default().to_owned()).collect()
}

/// What is in backticks and looks like a path of the repository, `{a,b}` written out. A name with a placeholder or a
/// pattern in it is none.
fn paths(line: &str, known: &BTreeSet<PathBuf>) -> Vec<String> {
    let quoted = line.split('`').skip(1).step_by(2);
    quoted.filter(|text| looks_like_path(text, known)).flat_map(written_out).collect()
}

fn looks_like_path(text: &str, known: &BTreeSet<PathBuf>) -> bool {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-{},".contains(c);
    let Some((first, _)) = text.split_once('/') else { return false };
    !first.is_empty()
        && text.chars().all(is_plain)
        && (known.contains(Path::new(first)) || EXTENSIONS.iter().any(|e| text.ends_with(&format!(".{e}"))))
}

/// `a/{b,c}/d` is `a/b/d` and `a/c/d`.
fn written_out(text: &str) -> Vec<String> {
    let Some((before, (inside, after))) = text.split_once('{').and_then(|(b, rest)| Some((b, rest.split_once('}')?)))
    else {
        return vec![text.to_owned()];
    };
    inside.split(',').flat_map(|choice| written_out(&format!("{before}{choice}{after}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(file: &str, text: &str) -> Mistakes {
        let files = ["README.md", "docs/plan.md", "crates/api/src/lib.rs", "crates/store/src/lib.rs", ".ci/run"];
        mistakes_in(Path::new(file), text, &known(&files.map(PathBuf::from)))
    }

    #[test]
    fn what_exists_passes() {
        let text = "[plan](docs/plan.md#walls) ![x](docs/plan.md \"title\") [web](https://example.org/a.md) [up](#top)\n\
            `crates/api/src/lib.rs` `crates/{api,store}` `crates/{api,store}/src/lib.rs` `docs/` `api/src/lib.rs` `.ci/run`";
        assert_eq!(found("README.md", text), Mistakes::new());
        assert_eq!(found("docs/plan.md", "[up](../README.md) [here](plan.md) `crates/api/src`"), Mistakes::new());
    }

    #[test]
    fn what_is_no_path_of_ours_passes() {
        let text = "`/api/v1/private/chats` `application/json` `contract.md` `chats:read` `tests/<name>.rs`\n\
            `[not](a.link)`\n```\n[code](gone.md) `docs/gone.md`\n```";
        assert_eq!(found("README.md", text), Mistakes::new());
    }

    #[test]
    fn what_is_missing_is_found() {
        assert_eq!(found("README.md", "x\n[plan](docs/gone.md)"), ["README.md:2: there is no docs/gone.md"]);
        assert_eq!(found("docs/plan.md", "[up](../../README.md)"), ["docs/plan.md:1: there is no ../../README.md"]);
        assert_eq!(found("docs/plan.md", "[root](docs/plan.md)"), ["docs/plan.md:1: there is no docs/plan.md"]);
        assert_eq!(found("README.md", "see `crates/{api,cellar}`"), ["README.md:1: there is no crates/cellar"]);
        assert_eq!(found("README.md", "`api/src/gone.rs` and"), ["README.md:1: there is no api/src/gone.rs"]);
    }
}
