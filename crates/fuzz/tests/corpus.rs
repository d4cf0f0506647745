//! Everything that is in the corpus is tried, every time.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use convoke_fuzz::{TARGETS, find};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn nothing_in_the_corpus_breaks_its_target() {
    for target in TARGETS {
        let inputs = entries(&corpus().join(target.name));
        assert!(inputs.len() >= 3, "{} has {} inputs", target.name, inputs.len());
        for input in inputs {
            let data = fs::read(&input).unwrap();
            let tried = std::panic::catch_unwind(|| (target.run)(&data));
            assert!(tried.is_ok(), "{} breaks {}", input.display(), target.name);
        }
    }
}

#[test]
fn every_folder_is_that_of_a_target() {
    let names: BTreeSet<_> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(names.len(), TARGETS.len());
    for folder in entries(&corpus()) {
        let name = folder.file_name().unwrap().to_str().unwrap();
        assert_eq!(find(name).map(|target| target.name), Some(name));
    }
}

#[test]
fn nothing_is_too_strange_for_a_target() {
    // Nothing, no text, zeros, and much of the same.
    for target in TARGETS {
        for data in [&b""[..], b"\xff", b"\0\0\0\0\0\0\0\0", &[b'a'; 4096]] {
            (target.run)(data);
        }
    }
}
