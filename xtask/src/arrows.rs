//! The crates depend on each other as docs/architecture.md draws it.

use std::collections::BTreeSet;

use cargo_metadata::{DependencyKind, Metadata};

use crate::{Failure, Mistakes, repository};

/// Which of our crates each crate that is shipped depends on. Crates are named without `convoke-`; the binary knows
/// them all.
const ARROWS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("provider", &["domain"]),
    ("sandbox", &["domain", "provider"]),
    ("telegram", &["domain", "provider"]),
    ("store", &["domain", "provider"]),
    ("worker", &["domain", "provider", "store"]),
    ("outbound", &[]),
    ("oidc", &["domain", "outbound"]),
    ("api", &["domain", "oidc", "store"]),
    (CLIENT, &["domain"]),
];

/// The client is for others: nothing that is shipped is built on it, only tests are.
const CLIENT: &str = "client";

/// The same for the examples: what another service would depend on.
const EXAMPLES: &[(&str, &[&str])] = &[("who-was-there", &["domain"])];

const BINARY: &str = "convoke";

/// What is not shipped, so may depend on anything of ours.
const TOOLS: &[&str] = &["bench", "browser-tests", "fuzz", "telegram-test-server", "test-support", "torture", "xtask"];

/// All that `domain` may depend on; the optional ones must be optional.
const OF_DOMAIN: &[&str] = &["chrono", "serde", "thiserror", "uuid"];
const OF_DOMAIN_OPTIONAL: &[&str] = &["proptest", "utoipa"];

/// A dependency of a crate of ours.
struct Dependency {
    name: String,
    kind: DependencyKind,
    optional: bool,
}

pub fn check() -> Result<Mistakes, Failure> {
    Ok(mistakes(&crates(&repository::metadata()?)))
}

type Crates = Vec<(String, Vec<Dependency>)>;

fn crates(metadata: &Metadata) -> Crates {
    let dependencies = |package: &cargo_metadata::Package| {
        let one =
            |d: &cargo_metadata::Dependency| Dependency { name: short(&d.name), kind: d.kind, optional: d.optional };
        package.dependencies.iter().map(one).collect()
    };
    metadata.workspace_packages().into_iter().map(|package| (short(&package.name), dependencies(package))).collect()
}

fn short(package: &str) -> String {
    package.strip_prefix("convoke-").unwrap_or(package).to_owned()
}

fn mistakes(crates: &Crates) -> Mistakes {
    let ours: BTreeSet<&str> = crates.iter().map(|(name, _)| name.as_str()).collect();
    let mut mistakes = Vec::new();
    for name in ARROWS.iter().map(|(name, _)| *name).chain([BINARY]) {
        if !ours.contains(name) {
            mistakes.push(format!("there is no crate {name}"));
        }
    }
    for (name, dependencies) in crates {
        mistakes.extend(arrows_of(name, dependencies, &ours));
        if name == "domain" {
            mistakes.extend(dependencies.iter().filter_map(not_of_domain));
        }
        // Tests too: the tables are the store's own affair.
        if name != "store"
            && let Some(diesel) = dependencies.iter().find(|dependency| dependency.name.starts_with("diesel"))
        {
            mistakes.push(format!("{name} → {}: only store knows Diesel", diesel.name));
        }
    }
    mistakes
}

/// What is wrong with a crate's dependencies on others of ours; those of its tests are free.
fn arrows_of(name: &str, dependencies: &[Dependency], ours: &BTreeSet<&str>) -> Mistakes {
    let drawn: BTreeSet<&str> = match ARROWS.iter().chain(EXAMPLES).find(|(drawn, _)| *drawn == name) {
        Some((_, arrows)) => arrows.iter().copied().collect(),
        None if name == BINARY => {
            let is_example = |other: &str| EXAMPLES.iter().any(|(name, _)| *name == other);
            let is_beside =
                |other: &str| [BINARY, CLIENT].contains(&other) || TOOLS.contains(&other) || is_example(other);
            ours.iter().copied().filter(|other| !is_beside(other)).collect()
        }
        None if TOOLS.contains(&name) => return Vec::new(),
        None => return vec![format!("the crate {name} is not in the picture")],
    };
    let shipped = dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development);
    let real: BTreeSet<&str> =
        shipped.map(|dependency| dependency.name.as_str()).filter(|to| ours.contains(to)).collect();
    let added = real.difference(&drawn).map(|to| format!("{name} → {to} is not in the picture"));
    let missing = drawn.difference(&real).map(|to| format!("{name} → {to} is in the picture, but not in Cargo.toml"));
    added.chain(missing).collect()
}

fn not_of_domain(dependency: &Dependency) -> Option<String> {
    let name = dependency.name.as_str();
    let allowed = dependency.kind == DependencyKind::Development
        || OF_DOMAIN.contains(&name)
        || (OF_DOMAIN_OPTIONAL.contains(&name) && dependency.optional);
    (!allowed).then(|| format!("domain → {name}: domain has no I/O and few dependencies"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn house() -> Crates {
        let arrows = ARROWS.iter();
        let mut crates: Crates =
            arrows.map(|(name, arrows)| ((*name).to_owned(), arrows.iter().map(|to| normal(to)).collect())).collect();
        let everybody = crates.iter().filter(|(name, _)| name != CLIENT).map(|(name, _)| normal(name)).collect();
        crates.push((BINARY.to_owned(), everybody));
        crates.push(("xtask".to_owned(), vec![normal("test-support")]));
        crates.push(("test-support".to_owned(), vec![normal("domain")]));
        crates
    }

    fn normal(name: &str) -> Dependency {
        Dependency { name: name.to_owned(), kind: DependencyKind::Normal, optional: false }
    }

    /// What is wrong with the house once `name` depends on one thing more.
    fn with(name: &str, dependency: Dependency) -> Mistakes {
        let mut crates = house();
        crates.iter_mut().find(|(is, _)| is == name).unwrap().1.push(dependency);
        mistakes(&crates)
    }

    #[test]
    fn the_house_as_it_is_drawn_passes() {
        assert_eq!(mistakes(&house()), Mistakes::new());
        for allowed in ["serde", "chrono"] {
            assert_eq!(with("domain", normal(allowed)), Mistakes::new());
        }
        assert_eq!(with("domain", Dependency { optional: true, ..normal("utoipa") }), Mistakes::new());
        assert_eq!(with("store", normal("diesel")), Mistakes::new());
        let of_a_test = Dependency { kind: DependencyKind::Development, ..normal("test-support") };
        assert_eq!(with("api", of_a_test), Mistakes::new());
        let of_a_test = Dependency { kind: DependencyKind::Development, ..normal("client") };
        assert_eq!(with(BINARY, of_a_test), Mistakes::new());
    }

    #[test]
    fn an_arrow_too_many_is_found() {
        assert_eq!(with("api", normal("provider")), ["api → provider is not in the picture"]);
        assert_eq!(with("store", normal("test-support")), ["store → test-support is not in the picture"]);
        assert_eq!(with(BINARY, normal("client")), ["convoke → client is not in the picture"]);
        assert_eq!(with("client", normal("api")), ["client → api is not in the picture"]);
        let of_a_build = Dependency { kind: DependencyKind::Build, ..normal("worker") };
        assert_eq!(with("store", of_a_build), ["store → worker is not in the picture"]);
    }

    #[test]
    fn an_example_depends_on_what_others_would() {
        let mut crates = house();
        crates.push(("who-was-there".to_owned(), vec![normal("domain"), normal("reqwest")]));
        assert_eq!(mistakes(&crates), Mistakes::new());
        let (_, of_example) = crates.last_mut().unwrap();
        of_example.push(normal("store"));
        assert_eq!(mistakes(&crates), ["who-was-there → store is not in the picture"]);
    }

    #[test]
    fn an_arrow_or_a_crate_too_few_is_found() {
        let mut crates = house();
        crates.iter_mut().find(|(name, _)| name == "worker").unwrap().1.remove(0);
        assert_eq!(mistakes(&crates), ["worker → domain is in the picture, but not in Cargo.toml"]);
        crates = house();
        crates.retain(|(name, _)| name != "sandbox");
        assert_eq!(mistakes(&crates), ["there is no crate sandbox"]);
    }

    #[test]
    fn a_crate_nobody_drew_is_found() {
        let mut crates = house();
        crates.push(("cellar".to_owned(), Vec::new()));
        assert!(mistakes(&crates).contains(&"the crate cellar is not in the picture".to_owned()));
    }

    #[test]
    fn the_dependencies_of_domain_and_diesel_are_guarded() {
        assert_eq!(with("domain", normal("tokio")), ["domain → tokio: domain has no I/O and few dependencies"]);
        assert_eq!(with("domain", normal("utoipa")), ["domain → utoipa: domain has no I/O and few dependencies"]);
        assert_eq!(with("api", normal("diesel-async")), ["api → diesel-async: only store knows Diesel"]);
    }
}
