//! The body of a registration.

use std::sync::LazyLock;

use convoke_api::{ApiSettings, parsers};
use convoke_domain::Service;
use serde_json::{Map, Value, json};

static SETTINGS: LazyLock<ApiSettings> = LazyLock::new(|| ApiSettings {
    configured_services: vec![Service::Sandbox, Service::Telegram],
    ..ApiSettings::default()
});

/// What is taken is taken again as it was kept.
pub fn registration(data: &[u8]) {
    match parsers::registration(data, &SETTINGS) {
        Ok(sent) => {
            let members = [
                ("service", Some(json!(sent.service))),
                ("title", Some(json!(sent.title))),
                ("createdBy", sent.created_by.as_ref().map(|text| json!(text))),
                ("description", sent.description.as_ref().map(|text| json!(text))),
                ("id", sent.id.map(|id| json!(id))),
            ];
            let body: Map<String, Value> =
                members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
            let body = Value::from(body).to_string();
            assert_eq!(parsers::registration(body.as_bytes(), &SETTINGS), Ok(sent), "{body}");
        }
        Err(problem) => crate::assert_refusal(&problem),
    }
}
