//! openapi/openapi.json breaks nobody who was written against the last released document, which lies in
//! openapi/released/ under its version.
//!
//! What a client sends must go on being accepted, and what it reads must go on being as it was told; what is more than
//! before is no break. A schema is looked at in the direction it is used in: a limit that is tightened breaks who
//! sends, one that is loosened breaks who reads. An enumeration in an answer may grow: the document tells clients to
//! expect it.

use std::{collections::HashSet, fs, path::Path};

use serde_json::{Map, Value};

use crate::{Failure, Mistakes, repository};

const FILE: &str = "openapi/openapi.json";
const RELEASED: &str = "openapi/released";
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

pub fn check() -> Result<Mistakes, Failure> {
    let Some(released) = last_released()? else { return Ok(Vec::new()) };
    let breaks = breaks(&read(&released)?, &read(FILE)?);
    Ok(breaks.into_iter().map(|broken| format!("since {released}: {broken}")).collect())
}

fn read(path: &str) -> Result<Value, Failure> {
    serde_json::from_str(&repository::read(Path::new(path))?).map_err(|error| format!("{path}: {error}"))
}

/// The released document of the highest version.
fn last_released() -> Result<Option<String>, Failure> {
    let folder = fs::read_dir(repository::root().join(RELEASED)).map_err(|error| format!("{RELEASED}: {error}"))?;
    let names = folder.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let last = names.filter_map(|name| Some((version(name.strip_suffix(".json")?)?, name))).max();
    Ok(last.map(|(_, name)| format!("{RELEASED}/{name}")))
}

fn version(text: &str) -> Option<Vec<u32>> {
    text.split('.').map(|number| number.parse().ok()).collect()
}

/// Everything in `new` that breaks who was written against `old`.
fn breaks(old: &Value, new: &Value) -> Vec<String> {
    let mut comparison = Comparison { old, new, found: Vec::new(), seen: HashSet::new() };
    comparison.paths();
    comparison.security_schemes();
    comparison.found
}

/// Who has to be able to live with a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Direction {
    /// Clients send it: it must not accept less.
    Sent,
    /// Clients read it: it must not promise less.
    Read,
}

struct Comparison<'a> {
    old: &'a Value,
    new: &'a Value,
    found: Vec<String>,
    /// Pairs of references that were compared already: schemas may hold themselves.
    seen: HashSet<(String, String, Direction)>,
}

static NOTHING: Value = Value::Null;

/// The members of an object; none of what is no object.
fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

/// What is under this reference, or the value itself if it is none.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap_or(&NOTHING),
        None => value,
    }
}

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

impl<'a> Comparison<'a> {
    fn tell(&mut self, place: &str, what: &str) {
        self.found.push(format!("{place}: {what}"));
    }

    fn paths(&mut self) {
        let (old, new) = (self.old, self.new);
        for (path, old_item) in members(&old["paths"]) {
            for method in METHODS {
                let (old_operation, new_operation) = (&old_item[method], &new["paths"][path][method]);
                let place = format!("{} {path}", method.to_uppercase());
                match (old_operation.is_null(), new_operation.is_null()) {
                    (true, _) => {}
                    (false, true) => self.tell(&place, "the operation is gone"),
                    (false, false) => self.operation(
                        &place,
                        (old_operation, &old_item["parameters"]),
                        (new_operation, &new["paths"][path]["parameters"]),
                    ),
                }
            }
        }
    }

    /// Compares an operation; with each comes what the path says for all of its operations.
    fn operation(&mut self, place: &str, old: (&'a Value, &'a Value), new: (&'a Value, &'a Value)) {
        if old.0["operationId"] != new.0["operationId"] {
            self.tell(place, "the operationId is another, which names the function of generated clients");
        }
        self.security(place, old.0, new.0);
        self.parameters(place, old, new);
        self.body(place, &old.0["requestBody"], &new.0["requestBody"]);
        self.responses(place, &old.0["responses"], &new.0["responses"]);
    }

    /// Whatever was enough to be let in must be enough still.
    fn security(&mut self, place: &str, old: &Value, new: &Value) {
        let needs = |document: &'a Value, operation: &Value| -> Vec<Value> {
            let needs = if operation["security"].is_null() { &document["security"] } else { &operation["security"] };
            match needs.as_array() {
                Some(several) if !several.is_empty() => several.clone(),
                _ => vec![Value::Object(Map::new())],
            }
        };
        let (had, needed) = (needs(self.old, old), needs(self.new, new));
        let is_enough = |had: &Value| {
            needed.iter().any(|needed| {
                members(needed).all(|(scheme, scopes)| {
                    had.get(scheme).is_some_and(|had| texts(scopes).iter().all(|scope| texts(had).contains(scope)))
                })
            })
        };
        if !had.iter().all(is_enough) {
            self.tell(place, "more is asked for than before to be let in");
        }
    }

    fn parameters(&mut self, place: &str, old: (&'a Value, &'a Value), new: (&'a Value, &'a Value)) {
        let (old, new) = (all_parameters(self.old, old), all_parameters(self.new, new));
        let key = |parameter: &Value| (parameter["in"].clone(), parameter["name"].clone());
        for old in &old {
            let place = format!("{place}, parameter {}", old["name"].as_str().unwrap_or_default());
            let Some(new) = new.iter().find(|new| key(new) == key(old)) else {
                self.tell(&place, "is gone");
                continue;
            };
            if new["required"] == true && old["required"] != true {
                self.tell(&place, "is required now");
            }
            if ["style", "explode", "allowReserved"].iter().any(|how| old[how] != new[how]) {
                self.tell(&place, "is written in another way");
            }
            self.schema(&place, &old["schema"], &new["schema"], Direction::Sent);
        }
        for new in new.iter().filter(|new| new["required"] == true) {
            if !old.iter().any(|old| key(old) == key(new)) {
                self.tell(place, &format!("the new parameter {} is required", new["name"]));
            }
        }
    }

    fn body(&mut self, place: &str, old: &'a Value, new: &'a Value) {
        let (old, new) = (resolved(self.old, old), resolved(self.new, new));
        let place = format!("{place}, body");
        if new["required"] == true && old["required"] != true {
            self.tell(&place, "is required now");
        }
        if new.is_null() && !old.is_null() {
            self.tell(&place, "is gone");
        } else {
            self.content(&place, &old["content"], &new["content"], Direction::Sent);
        }
    }

    fn content(&mut self, place: &str, old: &'a Value, new: &'a Value, direction: Direction) {
        for (media_type, old) in members(old) {
            match new.get(media_type) {
                Some(new) => self.schema(place, &old["schema"], &new["schema"], direction),
                None => self.tell(place, &format!("the media type {media_type} is gone")),
            }
        }
    }

    fn responses(&mut self, place: &str, old: &'a Value, new: &'a Value) {
        for (status, old) in members(old) {
            let place = format!("{place}, {status}");
            let Some(new) = new.get(status) else {
                self.tell(&place, "the status is gone");
                continue;
            };
            let (old, new) = (resolved(self.old, old), resolved(self.new, new));
            self.content(&place, &old["content"], &new["content"], Direction::Read);
            for (name, old) in members(&old["headers"]) {
                let place = format!("{place}, header {name}");
                match new["headers"].get(name) {
                    Some(new) => {
                        let (old, new) = (resolved(self.old, old), resolved(self.new, new));
                        self.schema(&place, &old["schema"], &new["schema"], Direction::Read);
                    }
                    None => self.tell(&place, "is gone"),
                }
            }
            for (name, old) in members(&old["links"]) {
                let new = resolved(self.new, &new["links"][name]);
                if resolved(self.old, old)["operationId"] != new["operationId"] {
                    self.tell(&place, &format!("the link {name} is gone or leads elsewhere"));
                }
            }
        }
    }

    fn security_schemes(&mut self) {
        let (old, new) = (self.old, self.new);
        for (name, scheme) in members(&old["components"]["securitySchemes"]) {
            let now = &new["components"]["securitySchemes"][name];
            if ["type", "scheme", "in", "name"].iter().any(|what| scheme[what] != now[what]) {
                self.tell(&format!("security scheme {name}"), "is gone or another");
            }
        }
    }

    fn schema(&mut self, place: &str, old: &'a Value, new: &'a Value, direction: Direction) {
        if let (Some(old), Some(new)) = (old["$ref"].as_str(), new["$ref"].as_str())
            && !self.seen.insert((old.to_owned(), new.to_owned(), direction))
        {
            return;
        }
        let (old, new) = (resolved(self.old, old), resolved(self.new, new));
        self.types(place, old, new, direction);
        self.values(place, old, new, direction);
        self.limits(place, old, new, direction);
        self.forms(place, old, new, direction);
        self.object(place, old, new, direction);
        if !old["items"].is_null() {
            self.schema(&format!("{place}[]"), &old["items"], &new["items"], direction);
        }
        for how in ["allOf", "anyOf", "oneOf"] {
            self.alternatives(place, (old, new), how, direction);
        }
    }

    fn types(&mut self, place: &str, old: &Value, new: &Value, direction: Direction) {
        // Whoever must do with the other's types: `narrow` has to be within `wide`; no type is every type.
        let (narrow, wide) = if direction == Direction::Sent { (old, new) } else { (new, old) };
        let (narrow, wide) = (texts(&narrow["type"]), texts(&wide["type"]));
        let admits = |kind: &&str| wide.contains(kind) || (*kind == "integer" && wide.contains(&"number"));
        if !wide.is_empty() && (narrow.is_empty() || !narrow.iter().all(admits)) {
            self.tell(place, "the type is another");
        }
    }

    fn values(&mut self, place: &str, old: &Value, new: &Value, direction: Direction) {
        let values = |schema: &Value| match (schema.get("const"), schema["enum"].as_array()) {
            (Some(only), _) => Some(vec![only.clone()]),
            (None, several) => several.cloned(),
        };
        match (values(old), values(new), direction) {
            (old, Some(new), Direction::Sent)
                if old.as_ref().is_none_or(|old| old.iter().any(|value| !new.contains(value))) =>
            {
                self.tell(place, "fewer values are accepted");
            }
            (Some(_), None, Direction::Read) => self.tell(place, "is no longer one of certain values"),
            _ => {}
        }
        if direction == Direction::Sent && old.get("default") != new.get("default") {
            self.tell(place, "the default is another");
        }
    }

    fn limits(&mut self, place: &str, old: &Value, new: &Value, direction: Direction) {
        // The larger, the narrower; for the upper ones the other way round.
        const LOWER: [&str; 5] = ["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"];
        const UPPER: [&str; 5] = ["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"];
        for (limit, sign) in LOWER.map(|limit| (limit, 1.0)).into_iter().chain(UPPER.map(|limit| (limit, -1.0))) {
            let bound = |schema: &Value| schema[limit].as_f64().map_or(f64::NEG_INFINITY, |bound| bound * sign);
            let (old, new) = (bound(old), bound(new));
            if direction == Direction::Sent && new > old {
                self.tell(place, &format!("{limit} is tighter"));
            } else if direction == Direction::Read && new < old {
                self.tell(place, &format!("{limit} is looser"));
            }
        }
        if direction == Direction::Sent && new["uniqueItems"] == true && old["uniqueItems"] != true {
            self.tell(place, "repeated items are no longer accepted");
        }
    }

    /// Patterns and formats: which of two accepts more can't be told, so a change is one for the worse.
    fn forms(&mut self, place: &str, old: &Value, new: &Value, direction: Direction) {
        for form in ["pattern", "format"] {
            let goes = if direction == Direction::Sent { &new[form] } else { &old[form] };
            if old[form] != new[form] && !goes.is_null() {
                self.tell(place, &format!("the {form} is another"));
            }
        }
    }

    fn object(&mut self, place: &str, old: &'a Value, new: &'a Value, direction: Direction) {
        for (name, old) in members(&old["properties"]) {
            let place = format!("{place}.{name}");
            match new["properties"].get(name) {
                Some(new) => self.schema(&place, old, new, direction),
                None => self.tell(&place, "is gone"),
            }
        }
        let (was, is) = (texts(&old["required"]), texts(&new["required"]));
        if direction == Direction::Sent {
            for name in is.iter().filter(|name| !was.contains(name)) {
                self.tell(&format!("{place}.{name}"), "is required now");
            }
            if new["additionalProperties"] == false && old["additionalProperties"] != false {
                self.tell(place, "other members are no longer accepted");
            }
        } else {
            for name in was.iter().filter(|name| !is.contains(name)) {
                self.tell(&format!("{place}.{name}"), "is no longer always there");
            }
        }
        if old["additionalProperties"].is_object() && new["additionalProperties"].is_object() {
            let (old, new) = (&old["additionalProperties"], &new["additionalProperties"]);
            self.schema(&format!("{place}.*"), old, new, direction);
        }
    }

    /// Several schemas in one place are compared one by one, in their order.
    fn alternatives(&mut self, place: &str, (old, new): (&'a Value, &'a Value), how: &str, direction: Direction) {
        let several = |schema: &'a Value| schema[how].as_array().map(Vec::as_slice).unwrap_or_default();
        let (old, new) = (several(old), several(new));
        // More alternatives are less of a promise, more conditions accept less.
        let is_break = match (how == "allOf", direction) {
            (true, Direction::Sent) | (false, Direction::Read) => new.len() > old.len(),
            (true, Direction::Read) | (false, Direction::Sent) => new.len() < old.len(),
        };
        let begins = how != "allOf" && old.is_empty() != new.is_empty();
        if is_break || begins {
            self.tell(place, &format!("{how} has other schemas"));
        }
        for (old, new) in old.iter().zip(new) {
            self.schema(place, old, new, direction);
        }
    }
}

/// The parameters of an operation and those of its path, without references.
fn all_parameters<'a>(document: &'a Value, (operation, of_path): (&'a Value, &'a Value)) -> Vec<&'a Value> {
    let of_operation = operation["parameters"].as_array().into_iter().flatten();
    let all = of_operation.chain(of_path.as_array().into_iter().flatten());
    all.map(|parameter| resolved(document, parameter)).collect()
}

#[cfg(test)]
mod tests;
