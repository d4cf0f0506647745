//! From columns to the types of the domain; what can't be is an inconsistency, told with its place.

use std::str::FromStr;

use convoke_domain::{ChatStatus, OperationStatus, OperationType, Service, TenantId, Timestamp};
use convoke_provider::AccountCondition;

use crate::{
    OpenOperations,
    error::{Result, StoreError},
};

pub fn service(name: &str) -> Result<Service> {
    Service::from_str(name).map_err(|_| inconsistent("service", name))
}

pub fn status(name: &str) -> Result<ChatStatus> {
    ChatStatus::from_name(name).ok_or_else(|| inconsistent("status", name))
}

pub fn tenant(name: &str) -> Result<TenantId> {
    name.parse().map_err(|_| inconsistent("tenant", name))
}

pub fn timestamp(millis: Option<i64>) -> Option<Timestamp> {
    millis.map(Timestamp::from_millis)
}

/// Operations by kind and state: how many, and when the first of those that wait is due.
pub fn open_operations((kind, state, number, due_at): (String, String, i64, Option<i64>)) -> Result<OpenOperations> {
    Ok(OpenOperations {
        kind: OperationType::from_name(&kind).ok_or_else(|| inconsistent("kind", &kind))?,
        status: OperationStatus::from_name(&state).ok_or_else(|| inconsistent("state", &state))?,
        number: number.unsigned_abs(),
        due_at: timestamp(due_at),
    })
}

pub fn hash(bytes: &[u8]) -> Result<[u8; 32]> {
    bytes.try_into().map_err(|_| inconsistent("hash", &format!("of {} bytes", bytes.len())))
}

pub fn json<T: serde::de::DeserializeOwned>(what: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| inconsistent(what, &error.to_string()))
}

pub fn inconsistent(what: &str, found: &str) -> StoreError {
    StoreError::Inconsistent(format!("{what}: {found}"))
}

pub fn scope_names(scopes: &[convoke_domain::Scope]) -> String {
    scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ")
}

/// Reads the name of an event of the sandbox: code, version and ordinal.
pub fn sandbox_event_name(name: &str) -> Result<(&str, i64, i32)> {
    let read = || {
        let (rest, ordinal) = name.rsplit_once('/')?;
        let (code, version) = rest.rsplit_once('/')?;
        Some((code, version.parse().ok()?, ordinal.parse().ok()?))
    };
    read().ok_or_else(|| inconsistent("event of the sandbox", name))
}

/// Reads names of tenants, separated by blanks, which no name has.
pub fn tenants(names: &str) -> Result<Vec<TenantId>> {
    names.split_whitespace().map(tenant).collect()
}

pub fn tenant_names(tenants: &[TenantId]) -> String {
    tenants.iter().map(TenantId::as_str).collect::<Vec<_>>().join(" ")
}

pub fn condition(name: &str, reason: Option<String>) -> Result<AccountCondition> {
    match name {
        "usable" => Ok(AccountCondition::Usable),
        "full" => Ok(AccountCondition::Full),
        "unusable" => Ok(AccountCondition::Unusable(reason.unwrap_or_default())),
        _ => Err(inconsistent("condition", name)),
    }
}

/// The name of a condition, and why it is so.
pub fn condition_columns(condition: &AccountCondition) -> (&'static str, Option<&str>) {
    match condition {
        AccountCondition::Usable => ("usable", None),
        AccountCondition::Full => ("full", None),
        AccountCondition::Unusable(reason) => ("unusable", Some(reason)),
    }
}
