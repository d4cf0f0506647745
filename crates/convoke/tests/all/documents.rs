//! What is written for people, compared with what the program says of itself.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{Place, repository_file};

/// What the first column of the table below this heading holds in backticks.
fn listed(text: &str, heading: &str) -> BTreeSet<String> {
    let below = text.lines().skip_while(|line| *line != heading).skip(1);
    let table = below.skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    table.filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(name, _)| name.to_owned())).collect()
}

#[test]
fn the_rules_of_the_api_tell_of_every_problem_and_every_mistake() {
    let document: Value = serde_json::from_str(&Place::new().told(&["openapi"])).unwrap();
    let rules = repository_file("docs/api-design.md");
    for (schema, heading) in [("ProblemCode", "| slug | status | again? | when |"), ("MistakeCode", "| code | when |")]
    {
        let names = document["components"]["schemas"][schema]["enum"].as_array().unwrap();
        let names: BTreeSet<_> = names.iter().map(|name| name.as_str().unwrap().to_owned()).collect();
        assert_eq!(listed(&rules, heading), names, "docs/api-design.md and {schema} of the OpenAPI document");
    }
}
