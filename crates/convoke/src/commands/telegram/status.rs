//! `convoke telegram status`.

use std::time::Duration;

use convoke_api::{AccountLimits, AccountReport};
use convoke_domain::{TenantId, Timestamp};
use convoke_provider::{Account, AccountId};
use serde::Serialize;

use crate::table::table;

/// An account as it is shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    #[serde(flatten)]
    report: AccountReport,
    /// How many more groups it may make now.
    creations_left: u32,
    /// The messenger's own name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
    /// Whose groups it makes; empty: everybody's.
    tenants: Vec<TenantId>,
    /// Who holds it, and until when at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    held_until: Option<Timestamp>,
}

impl Shown {
    fn new(account: &Account, creations_left: u32, now: Timestamp) -> Self {
        let report = AccountReport::new(account, now);
        let (held_by, held_until) = account.held.clone().filter(|_| report.held).unzip();
        Self {
            report,
            creations_left,
            external_id: account.state.external_id.clone(),
            tenants: account.tenants.clone(),
            held_by,
            held_until,
        }
    }

    fn row(&self) -> [String; HEADINGS.len()] {
        let report = &self.report;
        let seconds = |seconds: Option<u64>| {
            seconds.map_or("-".to_owned(), |s| humantime::format_duration(Duration::from_secs(s)).to_string())
        };
        let condition = match &report.reason {
            Some(reason) => format!("{}: {reason}", report.condition),
            None => report.condition.to_owned(),
        };
        let tenants: Vec<_> = self.tenants.iter().map(ToString::to_string).collect();
        let held = match (&self.held_by, self.held_until) {
            (Some(by), Some(until)) => format!("{by} until {until}"),
            _ => "nobody".to_owned(),
        };
        [
            report.name.clone(),
            self.external_id.clone().unwrap_or_else(|| "-".to_owned()),
            if tenants.is_empty() { "all".to_owned() } else { tenants.join(",") },
            condition,
            seconds(report.cooldown_seconds),
            report.groups.to_string(),
            self.creations_left.to_string(),
            seconds(report.feed_lag_seconds),
            held,
        ]
    }
}

const HEADINGS: [&str; 9] =
    ["name", "user", "tenants", "condition", "cool-down", "groups", "creations left", "feed lag", "held by"];

/// The accounts as a table, or as JSON for programs. `choices` tells how often each was chosen in the last 24 hours.
pub fn status(
    accounts: &[Account],
    choices: &[(AccountId, u32)],
    limits: AccountLimits,
    now: Timestamp,
    json: bool,
) -> String {
    let shown: Vec<_> =
        accounts.iter().map(|account| Shown::new(account, limits.creations_left(account, choices), now)).collect();
    if json {
        return serde_json::to_string_pretty(&shown).expect("texts are always written") + "\n";
    }
    if shown.is_empty() {
        return "There are no accounts; `convoke telegram login --name NAME` brings one in.\n".to_owned();
    }
    table(HEADINGS, shown.iter().map(Shown::row))
}

#[cfg(test)]
mod tests {
    use convoke_provider::{AccountCondition, AccountId, AccountState};

    use super::*;

    fn account(name: &str, state: AccountState, now: Timestamp) -> Account {
        Account {
            id: AccountId(convoke_domain::Environment::new_uuid(&crate::environment::SystemEnvironment)),
            name: name.to_owned(),
            tenants: vec!["acme".parse().unwrap()],
            secret: Some(b"sealed".to_vec()),
            state,
            held: Some(("pod-7".to_owned(), now.plus(Duration::from_secs(20)))),
            feed: Some("feed".to_owned()),
            fed_at: Some(now.minus(Duration::from_secs(3))),
            groups: 7,
        }
    }

    #[test]
    fn an_account_is_told_with_what_keeps_it() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let waiting =
            AccountState { cooldown_until: Some(now.plus(Duration::from_millis(90_500))), ..AccountState::default() };
        let gone = AccountState {
            external_id: Some("42".to_owned()),
            condition: AccountCondition::Unusable("SESSION_REVOKED".to_owned()),
            ..AccountState::default()
        };
        let accounts = [account("first", waiting, now), account("second", gone, now)];
        let limits = AccountLimits { budget: 20, capacity: 500 };
        let choices = [(accounts[0].id, 3), (accounts[1].id, 1)];
        let text = status(&accounts, &choices, limits, now, false);
        let lines: Vec<Vec<_>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[1].join(" "), "first - acme usable 1m 31s 7 17 3s pod-7 until 2026-01-01T00:00:20.000Z");
        assert!(lines[2].join(" ").starts_with("second 42 acme unusable: SESSION_REVOKED - 7 0 3s"), "{text}");

        let later = now.plus(Duration::from_secs(100));
        let json: serde_json::Value = serde_json::from_str(&status(&accounts, &choices, limits, later, true)).unwrap();
        let expected = serde_json::json!({
            "service": "telegram", "name": "first", "condition": "usable", "groups": 7, "creationsLeft": 17,
            "feedLagSeconds": 103, "held": false, "tenants": ["acme"],
        });
        assert_eq!(json[0], expected);
        assert_eq!(json[1]["reason"], "SESSION_REVOKED");
        assert!(status(&[], &[], limits, now, false).contains("telegram login"));
    }
}
