//! Operations as they are shown: tables for people, JSON for programs.

use std::time::Duration;

use convoke_domain::{
    ChatId, OperationError, OperationId, OperationStatus, OperationType, ParticipantId, TenantId, Timestamp,
};
use convoke_store::OperationDetails;
use serde::Serialize;

use crate::table::table;

/// An operation as it is shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    id: OperationId,
    tenant: &'a TenantId,
    #[serde(rename = "type")]
    kind: OperationType,
    status: OperationStatus,
    chat_id: ChatId,
    /// Whom it is to remove.
    #[serde(skip_serializing_if = "Option::is_none")]
    participant_id: Option<ParticipantId>,
    attempts: u32,
    created_at: Timestamp,
    /// How long ago that was.
    age_seconds: u64,
    updated_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_at: Option<Timestamp>,
    /// Who can drive it.
    lane: &'a str,
    /// Who drives it, and until when at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_owner: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_until: Option<Timestamp>,
    /// Whether something may have been done of it: then it can't be cancelled.
    has_begun: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a OperationError>,
}

impl<'a> Shown<'a> {
    fn new(details: &'a OperationDetails, now: Timestamp) -> Self {
        let operation = &details.operation;
        Self {
            id: operation.id,
            tenant: &details.tenant,
            kind: operation.kind,
            status: operation.status,
            chat_id: operation.chat_id,
            participant_id: details.person,
            attempts: operation.attempts,
            created_at: operation.created_at,
            age_seconds: now.since(operation.created_at).as_secs(),
            updated_at: operation.updated_at,
            next_attempt_at: operation.next_attempt_at,
            completed_at: operation.completed_at,
            lane: &details.lane,
            lease_owner: details.lease.as_ref().map(|(owner, _)| owner.as_str()),
            lease_until: details.lease.as_ref().map(|(_, until)| *until),
            has_begun: details.has_begun,
            error: operation.error.as_ref(),
        }
    }

    fn row(&self, now: Timestamp) -> [String; HEADINGS.len()] {
        let next = self.next_attempt_at.map(|at| match at.since(now) {
            left if left.is_zero() => "now".to_owned(),
            left => format!("in {}", span(left)),
        });
        [
            self.id.to_string(),
            self.tenant.to_string(),
            self.kind.as_str().to_owned(),
            self.status.as_str().to_owned(),
            span(Duration::from_secs(self.age_seconds)),
            self.attempts.to_string(),
            next.unwrap_or_else(none),
            self.lane.to_owned(),
            self.lease_owner.map_or_else(none, str::to_owned),
            self.error.map_or_else(none, told),
        ]
    }
}

const HEADINGS: [&str; 10] =
    ["id", "tenant", "type", "status", "age", "attempts", "next attempt", "lane", "held by", "error"];

/// Many operations, a line each.
pub fn list(operations: &[OperationDetails], now: Timestamp, json: bool) -> String {
    let shown: Vec<_> = operations.iter().map(|details| Shown::new(details, now)).collect();
    if json {
        return as_json(&shown);
    }
    if shown.is_empty() {
        return "There are no such operations.\n".to_owned();
    }
    table(HEADINGS, shown.iter().map(|shown| shown.row(now)))
}

/// One operation, with everything that is known of it.
pub fn one(details: &OperationDetails, now: Timestamp, json: bool) -> String {
    let shown = Shown::new(details, now);
    if json {
        return as_json(&shown);
    }
    let instant = |at: Option<Timestamp>| at.map_or_else(none, |at| at.to_string());
    let held = match (shown.lease_owner, shown.lease_until) {
        (Some(owner), Some(until)) => format!("{owner} until {until}"),
        _ => "nobody".to_owned(),
    };
    let lines = [
        ("tenant", shown.tenant.to_string()),
        ("type", shown.kind.as_str().to_owned()),
        ("chat", shown.chat_id.to_string()),
        ("participant", shown.participant_id.map_or_else(none, |id| id.to_string())),
        ("status", shown.status.as_str().to_owned()),
        ("attempts", shown.attempts.to_string()),
        ("accepted", format!("{}, {} ago", shown.created_at, span(Duration::from_secs(shown.age_seconds)))),
        ("changed", shown.updated_at.to_string()),
        ("next attempt", instant(shown.next_attempt_at)),
        ("ended", instant(shown.completed_at)),
        ("lane", shown.lane.to_owned()),
        ("held by", held),
        ("begun", if shown.has_begun { "yes, perhaps" } else { "no" }.to_owned()),
        ("error", shown.error.map_or_else(none, told)),
    ];
    table(["id", &shown.id.to_string()], lines.map(|(name, value)| [name.to_owned(), value]))
}

fn none() -> String {
    "-".to_owned()
}

fn told(error: &OperationError) -> String {
    let code = serde_json::to_value(error.code).expect("texts are always written");
    format!("{}: {}", code.as_str().unwrap_or_default(), error.detail)
}

/// A span of time in its two greatest units.
fn span(span: Duration) -> String {
    let text = humantime::format_duration(Duration::from_secs(span.as_secs())).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

fn as_json(shown: &impl Serialize) -> String {
    serde_json::to_string_pretty(shown).expect("texts are always written") + "\n"
}

#[cfg(test)]
mod tests {
    use convoke_domain::{Operation, OperationErrorCode};

    use super::*;

    fn details(now: Timestamp) -> OperationDetails {
        let operation = Operation {
            id: "7d0f3f1c-5a0e-4d86-8a57-0d5d2f3b9c11".parse().unwrap(),
            kind: OperationType::CreateChat,
            status: OperationStatus::WaitingForProvider,
            chat_id: "9a983789-1709-4543-aa31-a02867680017".parse().unwrap(),
            attempts: 2,
            created_at: now.minus(Duration::from_secs(7_265)),
            updated_at: now.minus(Duration::from_secs(5)),
            next_attempt_at: Some(now.plus(Duration::from_secs(90))),
            completed_at: None,
            error: None,
        };
        let (tenant, lane) = ("acme".parse().unwrap(), "sandbox".to_owned());
        OperationDetails { tenant, operation, person: None, lane, lease: None, has_begun: false }
    }

    #[test]
    fn an_operation_is_a_line() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let waiting = details(now);
        let mut failed = waiting.clone();
        failed.operation.next_attempt_at = None;
        failed.operation.status = OperationStatus::Failed;
        failed.operation.error =
            Some(OperationError { code: OperationErrorCode::ProviderRejected, detail: "No.".to_owned() });
        let text = list(&[waiting, failed], now, false);
        let lines: Vec<_> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        let id = "7d0f3f1c-5a0e-4d86-8a57-0d5d2f3b9c11";
        assert_eq!(lines[1], format!("{id} acme createChat waitingForProvider 2h 1m 2 in 1m 30s sandbox - -"));
        assert_eq!(lines[2], format!("{id} acme createChat failed 2h 1m 2 - sandbox - provider-rejected: No."));
        assert_eq!(list(&[], now, true), "[]\n");
        assert!(list(&[], now, false).contains("no such"));
    }

    #[test]
    fn everything_is_told_of_one() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut running = details(now);
        running.lease = Some(("pod-7".to_owned(), now.plus(Duration::from_secs(20))));
        running.has_begun = true;
        let text = one(&running, now, false);
        assert!(text.contains("pod-7 until 2026-01-01T00:00:20.000Z") && text.contains("yes, perhaps"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&one(&running, now, true)).unwrap();
        let expected = serde_json::json!({
            "id": "7d0f3f1c-5a0e-4d86-8a57-0d5d2f3b9c11", "tenant": "acme", "type": "createChat",
            "status": "waitingForProvider", "chatId": "9a983789-1709-4543-aa31-a02867680017", "attempts": 2,
            "createdAt": "2025-12-31T21:58:55.000Z", "ageSeconds": 7265, "updatedAt": "2025-12-31T23:59:55.000Z",
            "nextAttemptAt": "2026-01-01T00:01:30.000Z", "lane": "sandbox", "leaseOwner": "pod-7",
            "leaseUntil": "2026-01-01T00:00:20.000Z", "hasBegun": true,
        });
        assert_eq!(json, expected);
    }
}
