//! What operators are told of the accounts of messengers, on the admin listener: `/readyz?verbose` and `/metrics`. Their
//! names are those that operators gave them; who they belong to is told nowhere.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use convoke_domain::{Service, Timestamp};
use convoke_store::{Account, AccountCondition};
use serde::Serialize;
use tokio::{sync::Mutex, time::timeout};

use crate::state::ApiState;

/// How long what was read is told again: probes and scrapers come often, to every process.
const FRESH: Duration = Duration::from_secs(2);

/// How long the database may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// The accounts as they were read last, and when.
#[derive(Debug, Default)]
pub(crate) struct AccountCache(Mutex<Option<(Timestamp, Arc<[Account]>)>>);

impl AccountCache {
    /// Every account; nothing if the database does not tell.
    async fn accounts(&self, state: &ApiState) -> Option<Arc<[Account]>> {
        // Held while they are read, so that whoever comes meanwhile does not read them too.
        let mut kept = self.0.lock().await;
        let now = state.environment.now();
        if let Some((read_at, accounts)) = &*kept
            && now.since(*read_at) < FRESH
        {
            return Some(accounts.clone());
        }
        let accounts: Arc<[Account]> = match timeout(PATIENCE, state.store.list_accounts(Service::Telegram)).await {
            Ok(Ok(accounts)) => accounts.into(),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the accounts can't be read");
                return None;
            }
            Err(_) => return None,
        };
        *kept = Some((now, accounts.clone()));
        Some(accounts)
    }
}

/// How an account is, as operators are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountReport {
    /// Its messenger.
    pub service: Service,
    /// What operators call it.
    pub name: String,
    /// Whether it can be used: `usable`, `full` (makes no more groups) or `unusable`.
    pub condition: &'static str,
    /// Why it can't.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// For how long it takes no calls, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cooldown_seconds: Option<u64>,
    /// How many groups it has.
    pub groups: u32,
    /// How long ago its feed was last known to be taken in, in seconds; absent if it never was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feed_lag_seconds: Option<u64>,
    /// Whether a process holds it: only then anything is done with it.
    pub held: bool,
}

/// How each account is; nothing if the database does not tell.
pub(crate) async fn reports(state: &ApiState) -> Option<Vec<AccountReport>> {
    let accounts = state.accounts.accounts(state).await?;
    let now = state.environment.now();
    Some(accounts.iter().map(|account| AccountReport::new(account, now)).collect())
}

impl AccountReport {
    /// How the account is at `now`.
    #[must_use]
    pub fn new(account: &Account, now: Timestamp) -> Self {
        let (condition, reason) = match &account.state.condition {
            AccountCondition::Usable => ("usable", None),
            AccountCondition::Full => ("full", None),
            AccountCondition::Unusable(reason) => ("unusable", Some(reason.clone())),
        };
        let cooldown = account.state.cooldown_until.map(|until| until.since(now)).filter(|left| !left.is_zero());
        Self {
            service: Service::Telegram,
            name: account.name.clone(),
            condition,
            reason,
            // A second that has begun counts: whoever waits that long has waited enough.
            cooldown_seconds: cooldown.map(|left| left.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)),
            groups: account.groups,
            feed_lag_seconds: account.fed_at.map(|at| now.since(at).as_secs()),
            held: account.held.as_ref().is_some_and(|(_, until)| *until > now),
        }
    }

    /// One word for how it is, cool-down included.
    fn state(&self) -> &'static str {
        match (self.condition, self.cooldown_seconds) {
            ("usable", Some(_)) => "cooling_down",
            (condition, _) => condition,
        }
    }
}

const STATES: [&str; 4] = ["usable", "cooling_down", "full", "unusable"];

/// A figure of each account: its name, what it is, and its value, if it has one.
type Figure = (&'static str, &'static str, fn(&AccountReport) -> Option<u64>);

const FIGURES: [Figure; 4] = [
    ("convoke_account_cooldown_seconds", "For how long the account takes no calls; 0 if it takes them.", |report| {
        Some(report.cooldown_seconds.unwrap_or(0))
    }),
    ("convoke_account_groups", "How many groups the account has.", |report| Some(report.groups.into())),
    ("convoke_account_feed_lag_seconds", "How long ago the account's feed was last known to be taken in.", |report| {
        report.feed_lag_seconds
    }),
    ("convoke_account_held", "Whether a process holds the account.", |report| Some(report.held.into())),
];

/// Writes the figures in the text form of Prometheus.
pub(crate) fn write_metrics(text: &mut String, reports: &[AccountReport]) {
    let service = Service::Telegram;
    // Writing to a string can't fail.
    let _ = write!(
        text,
        "# HELP convoke_accounts Accounts of messengers, by how they are.\n# TYPE convoke_accounts gauge\n"
    );
    for state in STATES {
        let count = reports.iter().filter(|report| report.state() == state).count();
        let _ = writeln!(text, "convoke_accounts{{service=\"{service}\",state=\"{state}\"}} {count}");
    }
    for (name, help, value) in FIGURES {
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n");
        for report in reports {
            let Some(value) = value(report) else { continue };
            let account = label(&report.name);
            let _ = writeln!(text, "{name}{{service=\"{service}\",account=\"{account}\"}} {value}");
        }
    }
}

/// A text as the value of a label.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_holds_any_text() {
        assert_eq!(label("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }
}
