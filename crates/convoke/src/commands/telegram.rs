//! `convoke telegram login`, `import`, `status` and `logout`. They work beside a running `serve`, which takes a new account
//! within seconds.

mod check;
mod prompt;
mod qr_code;
mod status;

use std::{
    io::{self, Read as _},
    sync::Arc,
};

use convoke_domain::{Environment as _, Service};
use convoke_store::Store;
use convoke_telegram::{AccountName, LoggedIn, LoggedOut, Login, SecretsKey, TelegramSettings};
use secrecy::SecretString;

use crate::{
    command_line::{AccountArguments, TelegramCommand},
    commands::{open, print},
    environment::SystemEnvironment,
    failure::Failure,
    secrets,
    settings::{Layers, Settings},
};
use prompt::Prompt;

pub use check::findings;

/// Under which name commands would hold accounts; they hold none.
const OWNER: &str = "command";

/// Does what is asked for with accounts.
pub async fn telegram(layers: &Layers, settings: &Settings, command: TelegramCommand) -> Result<(), Failure> {
    let named = match &command {
        TelegramCommand::Login { account, .. } | TelegramCommand::Import { account } => Some(&account.name),
        TelegramCommand::Logout { name } => Some(name),
        TelegramCommand::Status { .. } => None,
    };
    // The service would save it anew at its next start, with that session.
    if settings.telegram.session.is_some() && named.is_some_and(|name| name == TelegramSettings::CONFIGURED_ACCOUNT) {
        let name = layers.name_of_key("telegram.session");
        return Err(Failure::usage(format!(
            "{name} is still set, and gives this account its session: take it away first"
        )));
    }
    match command {
        TelegramCommand::Login { account, qr } => {
            let login = login(layers, settings).await?;
            let account = name_of(account);
            let mut prompt = Prompt::default();
            let logging_in = async {
                if qr {
                    login.by_link(&account, &mut prompt).await
                } else {
                    login.by_phone(&account, &mut prompt).await
                }
            };
            let logged_in = tokio::select! {
                logged_in = logging_in => logged_in.map_err(failed)?,
                // Taken here, so that the terminal is left as it was.
                _ = tokio::signal::ctrl_c() => return Err(Failure::new("interrupted")),
            };
            tell_kept(&account, &logged_in)
        }
        TelegramCommand::Import { account } => {
            let login = login(layers, settings).await?;
            let account = name_of(account);
            let session = session_on_standard_input()?;
            tell_kept(&account, &login.import(&account, &session).await.map_err(failed)?)
        }
        TelegramCommand::Status { json } => {
            let store = open(layers, settings, settings.database.migrate.0).await?;
            let accounts = store.list_accounts(Service::Telegram).await.map_err(failed)?;
            let now = SystemEnvironment.now();
            let choices = store.count_choices(Service::Telegram, now).await.map_err(failed)?;
            print(&status::status(&accounts, &choices, settings.telegram.account_limits(), now, json))
        }
        TelegramCommand::Logout { name } => log_out(layers, settings, &name).await,
    }
}

/// What logs accounts in: an application, a database, and a key to seal sessions with.
async fn login(layers: &Layers, settings: &Settings) -> Result<Login, Failure> {
    let connector = connector(settings)?;
    let store = open(layers, settings, settings.database.migrate.0).await?;
    let key = secrets::key(settings, &*store, &SystemEnvironment).await?;
    let key = key.ok_or_else(|| {
        let name = layers.name_of_key("secrets.key");
        Failure::usage(format!(
            "{name}: on PostgreSQL, sessions are sealed with a key that every process is given; `openssl rand -base64 32` \
             makes one"
        ))
    })?;
    Ok(login_with(store, connector, key))
}

fn login_with(store: Arc<dyn Store>, connector: TelegramSettings, key: SecretsKey) -> Login {
    Login::new(store, Arc::new(SystemEnvironment), connector, key)
}

fn connector(settings: &Settings) -> Result<TelegramSettings, Failure> {
    settings.telegram.connector(OWNER.to_owned()).ok_or_else(|| {
        Failure::usage(
            "telegram.api_id and telegram.api_hash must be set: Telegram gives both at https://my.telegram.org, under API \
             development tools",
        )
    })
}

fn name_of(account: AccountArguments) -> AccountName {
    AccountName { name: account.name, tenants: account.tenants }
}

fn session_on_standard_input() -> Result<SecretString, Failure> {
    /// More than a session has.
    const MOST: u64 = 64 * 1024;
    let mut text = String::new();
    let read = io::stdin().lock().take(MOST).read_to_string(&mut text);
    read.map_err(|error| Failure::new(format!("standard input can't be read: {error}")))?;
    Ok(text.into())
}

fn tell_kept(account: &AccountName, logged_in: &LoggedIn) -> Result<(), Failure> {
    let user = &logged_in.user.external_id;
    print(&format!("The account {} is kept: it is the user {user} of Telegram.\n", account.name))
}

async fn log_out(layers: &Layers, settings: &Settings, name: &str) -> Result<(), Failure> {
    let store = open(layers, settings, settings.database.migrate.0).await?;
    let no_such =
        || Failure::new(format!("there is no account {name}; `convoke telegram status` shows those that there are"));
    let accounts = store.list_accounts(Service::Telegram).await.map_err(failed)?;
    if !accounts.iter().any(|account| account.name == name) {
        return Err(no_such());
    }
    // An account whose session can't be opened any more can be forgotten all the same.
    let logged_out = match (secrets::existing_key(settings)?, connector(settings)) {
        (Some(key), Ok(connector)) => login_with(store, connector, key).log_out(name).await.map_err(failed)?,
        _ if store.delete_account(Service::Telegram, name).await.map_err(failed)? => LoggedOut::HereOnly,
        _ => return Err(no_such()),
    };
    print(&match logged_out {
        LoggedOut::AtTelegram => format!("The account {name} is logged out and forgotten.\n"),
        LoggedOut::HereOnly => format!(
            "The account {name} is forgotten. Its session at Telegram may still be good: end it in an app of the account, \
             under Settings, Devices.\n"
        ),
    })
}

/// What Telegram or the database said; its words hold no secrets.
fn failed(error: impl std::error::Error) -> Failure {
    Failure::new(error.to_string())
}
