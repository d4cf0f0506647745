//! What `convoke config check` says of Telegram: whether it can be used, as far as settings and accounts tell.

use std::time::Duration;

use convoke_api::AccountReport;
use convoke_domain::{Environment as _, Service};
use convoke_provider::Account;
use convoke_store::{DatabaseUrl, Migrate};
use tokio::time::timeout;

use crate::{
    commands::open,
    environment::SystemEnvironment,
    secrets,
    settings::{Layers, Settings},
};

/// How long the database may take to tell of the accounts.
const PATIENCE: Duration = Duration::from_secs(3);

/// Sentences about Telegram; none if it is not configured.
pub async fn findings(layers: &Layers, settings: &Settings) -> Vec<String> {
    if settings.telegram.application().is_none() {
        return Vec::new();
    }
    let accounts = timeout(PATIENCE, accounts(layers, settings)).await.ok().flatten();
    let has_key = settings.secrets.key.is_some() || secrets::own_file(settings).is_some();
    told(accounts.as_deref(), settings.telegram.session.is_some(), has_key)
}

/// Those that the database has; nothing if it does not tell, or is not there: looking at settings makes none.
async fn accounts(layers: &Layers, settings: &Settings) -> Option<Vec<Account>> {
    if let DatabaseUrl::Sqlite(path) = &settings.database.url
        && !path.exists()
    {
        return Some(Vec::new());
    }
    let store = open(layers, settings, Migrate::Off).await.ok()?;
    store.list_accounts(Service::Telegram).await.ok()
}

fn told(accounts: Option<&[Account]>, has_session: bool, has_key: bool) -> Vec<String> {
    let mut sentences = Vec::new();
    let Some(accounts) = accounts else {
        return vec!["But Telegram: its accounts are not known, for the database does not tell.".to_owned()];
    };
    if accounts.is_empty() && !has_session {
        sentences.push(
            "But Telegram: there are no accounts; `convoke telegram login --name NAME` brings one in.".to_owned(),
        );
    }
    if !has_key && (!has_session || accounts.iter().any(|account| account.secret.is_some())) {
        sentences.push("But Telegram: without secrets.key no account can be kept, or opened.".to_owned());
    }
    let now = SystemEnvironment.now();
    sentences.extend(accounts.iter().map(|account| of_account(&AccountReport::new(account, now))));
    sentences
}

fn of_account(report: &AccountReport) -> String {
    let name = &report.name;
    match (&report.reason, report.cooldown_seconds) {
        (Some(reason), _) => format!("But Telegram: the account {name} is {}: {reason}.", report.condition),
        (None, Some(seconds)) => {
            let left = humantime::format_duration(Duration::from_secs(seconds));
            format!("Telegram: the account {name} is {}, but takes no calls for {left}.", report.condition)
        }
        (None, None) => format!("Telegram: the account {name} is {}.", report.condition),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said() {
        assert!(told(None, true, true)[0].contains("not known"));
        assert!(told(Some(&[]), false, true)[0].contains("there are no accounts"));
        assert_eq!(told(Some(&[]), true, false), Vec::<String>::new());
        assert!(told(Some(&[]), false, false)[1].contains("secrets.key"));
    }
}
