//! Which request an operation comes from.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::{error::Result, rows};

/// The request that asked for an operation, as it is told about in the log and in traces by whoever drives the operation,
/// here or elsewhere, now or after a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Origin {
    /// Its `X-Request-Id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The trace that it is a part of, if it is traced: the headers of W3C Trace Context by their names.
    #[serde(skip_serializing_if = "HashMap::is_empty")]
    pub trace: HashMap<String, String>,
}

impl Origin {
    /// As it is kept.
    pub(crate) fn write(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| rows::inconsistent("origin", &error.to_string()))
    }

    /// As it was kept. What can't be read is left: nothing but what is told of the work depends on it.
    pub(crate) fn read(text: Option<&str>) -> Option<Self> {
        text.and_then(|text| serde_json::from_str(text).ok())
    }
}
