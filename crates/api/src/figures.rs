//! The figures that are not counted as things happen, but looked up whenever somebody asks.

use std::sync::Arc;

use convoke_domain::{OperationStatus, OperationType, Service, Timestamp};
use convoke_store::{Account, AccountId, Connections, OpenOperations};
use metrics::gauge;

use crate::{
    accounts::{self, AccountReport},
    measurements::{self, Recorder},
    state::{AccountLimits, ApiState},
};

/// Everything that is measured, as Prometheus reads it; `is_ready` is what `/readyz` would say.
pub(crate) async fn all(state: &ApiState, is_ready: bool) -> String {
    let now = state.environment.now();
    let operations = state.open_operations.get(state.store.count_open_operations()).await;
    let accounts = accounts::known(state).await;
    let choices = state.choices.get(state.store.count_choices(Service::Telegram, now)).await;
    with(state.settings.recorder.as_ref(), is_ready, || {
        if let Some(operations) = operations {
            of_operations(&operations, now);
        }
        if let Some(accounts) = &accounts {
            of_accounts(accounts, now);
            if let (Some(limits), Some(choices)) = (state.settings.account_limits, choices) {
                of_creations(accounts, &choices, limits);
            }
        }
        if let Some(connections) = state.store.connections() {
            of_connections(connections);
        }
    })
}

/// What is told of every process, with what `look_up` sets.
pub(crate) fn with(recorder: Option<&Recorder>, is_ready: bool, look_up: impl FnOnce()) -> String {
    let counted = recorder.map(Recorder::render).unwrap_or_default();
    let looked_up = measurements::of_this_moment(|| {
        gauge!("convoke_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1);
        gauge!("convoke_ready").set(u32::from(is_ready));
        look_up();
        #[cfg(target_os = "linux")]
        metrics_process::Collector::default().collect();
    });
    counted + &looked_up
}

const KINDS: [OperationType; 2] = [OperationType::CreateChat, OperationType::RemoveParticipant];
const OPEN: [OperationStatus; 3] =
    [OperationStatus::Pending, OperationStatus::Running, OperationStatus::WaitingForProvider];

fn of_operations(operations: &Arc<[OpenOperations]>, now: Timestamp) {
    for kind in KINDS {
        let of_kind = || operations.iter().filter(move |open| open.kind == kind);
        for status in OPEN {
            let number: u64 = of_kind().filter(|open| open.status == status).map(|open| open.number).sum();
            let labels = [("type", kind.as_str()), ("status", status.as_str())];
            gauge!("convoke_operations_open", &labels).set(float(number));
        }
        let due_at = of_kind().filter_map(|open| open.due_at).min();
        let due_for = due_at.map(|due_at| now.since(due_at)).unwrap_or_default();
        gauge!("convoke_operations_oldest_due_seconds", "type" => kind.as_str()).set(due_for);
    }
}

/// A figure of an account.
fn of_account(name: &'static str, account: &str, value: u64) {
    gauge!(name, "service" => Service::Telegram.as_str(), "account" => account.to_owned()).set(float(value));
}

fn of_accounts(accounts: &[Account], now: Timestamp) {
    let accounts: Vec<_> = accounts.iter().map(|account| AccountReport::new(account, now)).collect();
    let service = Service::Telegram.as_str();
    for state in AccountReport::STATES {
        let number = accounts.iter().filter(|account| account.state() == state).count();
        gauge!("convoke_accounts", "service" => service, "state" => state).set(float(number as u64));
    }
    for account in accounts {
        let name = account.name.as_str();
        of_account("convoke_account_cooldown_seconds", name, account.cooldown_seconds.unwrap_or(0));
        of_account("convoke_account_groups", name, account.groups.into());
        of_account("convoke_account_held", name, account.held.into());
        if let Some(lag) = account.feed_lag_seconds {
            of_account("convoke_account_feed_lag_seconds", name, lag);
        }
    }
}

fn of_creations(accounts: &[Account], choices: &[(AccountId, u32)], limits: AccountLimits) {
    for account in accounts {
        let left = limits.creations_left(account, choices);
        of_account("convoke_account_creations_left", &account.name, left.into());
    }
}

fn of_connections(connections: Connections) {
    let state = |state: &'static str| gauge!("db_client_connections", "db_client_connection_state" => state);
    state("used").set(float(connections.used as u64));
    state("idle").set(float(connections.idle as u64));
    gauge!("db_client_connection_max").set(float(connections.max as u64));
    gauge!("db_client_connection_pending_requests").set(float(connections.waiting as u64));
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus knows no other numbers")]
const fn float(number: u64) -> f64 {
    number as f64
}
