//! What operators are told of the accounts of messengers, on the admin listener: `/readyz?verbose` and `/metrics`. Their
//! names are those that operators gave them; who they belong to is told nowhere.

use std::sync::Arc;

use convoke_domain::{Service, Timestamp};
use convoke_store::{Account, AccountCondition, AccountId};
use serde::Serialize;

use crate::state::{AccountLimits, ApiState};

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

impl AccountLimits {
    /// How many more groups the account may be chosen for now, of which `choices` tells how often each was chosen in the
    /// last 24 hours. A cool-down puts them off, and takes none away.
    #[must_use]
    pub fn creations_left(self, account: &Account, choices: &[(AccountId, u32)]) -> u32 {
        let used = choices.iter().find(|(id, _)| *id == account.id).map_or(0, |(_, number)| *number);
        match account.state.condition {
            AccountCondition::Usable => {
                self.budget.saturating_sub(used).min(self.capacity.saturating_sub(account.groups))
            }
            AccountCondition::Full | AccountCondition::Unusable(_) => 0,
        }
    }
}

/// Every account; nothing if the database does not tell.
pub(crate) async fn known(state: &ApiState) -> Option<Arc<[Account]>> {
    state.accounts.get(state.store.list_accounts(Service::Telegram)).await
}

/// How each account is; nothing if the database does not tell.
pub(crate) async fn reports(state: &ApiState) -> Option<Vec<AccountReport>> {
    let accounts = known(state).await?;
    let now = state.environment.now();
    Some(accounts.iter().map(|account| AccountReport::new(account, now)).collect())
}

impl AccountReport {
    /// What [`Self::state`] may say.
    pub(crate) const STATES: [&str; 4] = ["usable", "cooling_down", "full", "unusable"];

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
    pub(crate) fn state(&self) -> &'static str {
        match (self.condition, self.cooldown_seconds) {
            ("usable", Some(_)) => "cooling_down",
            (condition, _) => condition,
        }
    }
}
