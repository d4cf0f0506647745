//! Logging in and out, as the command line does it: by phone number, by a link that another device scans, or with a
//! session that was made elsewhere. What comes of it is an account that is kept, its session sealed.

use std::{io, sync::Arc, time::Duration};

use async_trait::async_trait;
use convoke_domain::{Environment, Service, TenantId};
use convoke_provider::{Account, AccountId, AccountStorage, NewAccount, ProviderError, SeenPerson, StorageError};
use data_encoding::BASE64URL_NOPAD;
use grammers_client::{SignInError, client::PasswordToken, tl};
use grammers_session::updates::UpdatesLike;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::mpsc;

use crate::{
    SecretsKey, StringSession, StringSessionError, TelegramSettings, call::Failure, connection::own_user,
    session::ConnectionSession, wire::Wire,
};

/// How often a code or a password may be mistyped.
const TRIES: u32 = 3;

/// How long a link is shown at most before another one is asked for.
const LONGEST_LINK: Duration = Duration::from_secs(30);

/// What Telegram says where an account has a password besides.
const PASSWORD_NEEDED: &str = "SESSION_PASSWORD_NEEDED";

/// Whom a login talks to. What is answered is not shown again.
#[async_trait]
pub trait LoginPrompt: Send {
    /// The phone number, with its country's.
    async fn phone(&mut self) -> io::Result<String>;

    /// The code that Telegram sent to the number, or to the person's other devices.
    async fn code(&mut self) -> io::Result<SecretString>;

    /// The password, for which the person left themselves a hint.
    async fn password(&mut self, hint: Option<&str>) -> io::Result<SecretString>;

    /// Shows a link (`tg://login?token=…`) that another device is to scan, in place of the one before.
    async fn show_link(&mut self, link: &str) -> io::Result<()>;
}

/// What an account is to be called, and whose groups it makes.
#[derive(Debug, Clone)]
pub struct AccountName {
    /// What operators call it.
    pub name: String,
    /// Whose groups it makes; empty: everybody's.
    pub tenants: Vec<TenantId>,
}

/// An account that is logged in, and kept.
#[derive(Debug, Clone)]
pub struct LoggedIn {
    /// Its id.
    pub account: AccountId,
    /// Who it is on Telegram.
    pub user: SeenPerson,
}

/// An account that is kept no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoggedOut {
    /// Telegram knows its session no more.
    AtTelegram,
    /// Telegram was not reached, or did not want to: the session is to be ended in the list of devices.
    HereOnly,
}

/// Why nobody was logged in or out. The texts hold no secrets.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// Nothing was answered.
    #[error("there is no answer")]
    Prompt(#[from] io::Error),
    /// The session is none.
    #[error(transparent)]
    Session(#[from] StringSessionError),
    /// The code was wrong, again and again.
    #[error("the code is wrong")]
    WrongCode,
    /// The password was wrong, again and again.
    #[error("the password is wrong")]
    WrongPassword,
    /// The number is nobody's.
    #[error("nobody has this number on Telegram yet: sign up with an app first")]
    SignUpRequired,
    /// The account is somebody else's.
    #[error("an account of this name is kept already, of another Telegram user: {0}")]
    AnotherUser(String),
    /// The user is an account already: two would use up what Telegram allows one, and in two places.
    #[error("this Telegram user is kept already, as the account {0}: use that name, or log that account out first")]
    AnotherName(String),
    /// There is no such account.
    #[error("there is no account of this name")]
    NoSuchAccount,
    /// Telegram did not do it.
    #[error(transparent)]
    Telegram(ProviderError),
    /// The database did not do it.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<Failure> for LoginError {
    fn from(failure: Failure) -> Self {
        Self::Telegram(failure.into())
    }
}

/// Logs accounts in and out.
pub struct Login {
    storage: Arc<dyn AccountStorage>,
    environment: Arc<dyn Environment>,
    settings: TelegramSettings,
    secrets_key: SecretsKey,
    start: Vec<StringSession>,
}

impl Login {
    /// Logins whose sessions are sealed with this key.
    #[must_use]
    pub fn new(
        storage: Arc<dyn AccountStorage>,
        environment: Arc<dyn Environment>,
        settings: TelegramSettings,
        secrets_key: SecretsKey,
    ) -> Self {
        Self { storage, environment, settings, secrets_key, start: Vec::new() }
    }

    /// Begins at the first of these data centres, with keys that are agreed already but not logged in, rather than at
    /// Telegram's usual one.
    #[must_use]
    pub fn starting_at(self, start: Vec<StringSession>) -> Self {
        Self { start, ..self }
    }

    /// Logs in with a phone number, the code that is sent to it, and the password if there is one.
    ///
    /// # Errors
    /// See [`LoginError`].
    pub async fn by_phone(&self, name: &AccountName, prompt: &mut dyn LoginPrompt) -> Result<LoggedIn, LoginError> {
        let (wire, _updates) = self.open(&self.start)?;
        let done = self.phone(&wire, prompt).await;
        self.finish(name, wire, done).await
    }

    /// Logs in by a link that a device scans on which the person is logged in.
    ///
    /// # Errors
    /// See [`LoginError`].
    pub async fn by_link(&self, name: &AccountName, prompt: &mut dyn LoginPrompt) -> Result<LoggedIn, LoginError> {
        let (wire, mut updates) = self.open(&self.start)?;
        let done = self.link(&wire, &mut updates, prompt).await;
        self.finish(name, wire, done).await
    }

    /// Takes a session that was made elsewhere, once Telegram says whose it is. It must not be used elsewhere any more.
    ///
    /// # Errors
    /// See [`LoginError`].
    pub async fn import(&self, name: &AccountName, session: &SecretString) -> Result<LoggedIn, LoginError> {
        let session: StringSession = session.expose_secret().parse()?;
        let (wire, _updates) = self.open(&[session])?;
        self.finish(name, wire, Ok(())).await
    }

    /// Ends the account's session at Telegram as well as can be, and deletes the account.
    ///
    /// # Errors
    /// See [`LoginError`].
    pub async fn log_out(&self, name: &str) -> Result<LoggedOut, LoginError> {
        let accounts = self.storage.list_accounts(Service::Telegram).await?;
        let account = accounts.into_iter().find(|account| account.name == name).ok_or(LoginError::NoSuchAccount)?;
        let opened = account.secret.and_then(|sealed| self.secrets_key.open(Service::Telegram, name, &sealed).ok());
        let session = opened.and_then(|text| String::from_utf8(text).ok()?.parse::<StringSession>().ok());
        let mut logged_out = LoggedOut::HereOnly;
        if let Some(session) = session {
            let (wire, _updates) = self.open(&[session])?;
            match wire.call(&tl::functions::auth::LogOut {}).await {
                Ok(_) | Err(Failure::SessionGone(_)) => logged_out = LoggedOut::AtTelegram,
                Err(failure) => tracing::warn!(?failure, "Telegram did not end the session"),
            }
            wire.close().await;
        }
        self.storage.delete_account(Service::Telegram, name).await?;
        Ok(logged_out)
    }

    fn open(&self, start: &[StringSession]) -> Result<(Wire, mpsc::Receiver<UpdatesLike>), LoginError> {
        let use_ipv6 = start.first().is_some_and(|first| first.address.is_ipv6());
        let session = Arc::new(ConnectionSession::of_login(start));
        Ok(Wire::open(session, use_ipv6, &self.settings)?)
    }

    /// Finds out who logged in and keeps the account, unless the login failed. The wire is closed either way.
    async fn finish(
        &self,
        name: &AccountName,
        wire: Wire,
        done: Result<(), LoginError>,
    ) -> Result<LoggedIn, LoginError> {
        let found = match done {
            Ok(()) => own_user(&wire).await.map_err(LoginError::from),
            Err(error) => Err(error),
        };
        let session = wire.session.to_string_session();
        wire.close().await;
        let user = found?;
        let session = session.ok_or_else(|| Failure::SessionGone("there is no session".to_owned()))?;
        let accounts = self.storage.list_accounts(Service::Telegram).await?;
        for Account { name: known, state, .. } in accounts {
            match state.external_id {
                Some(kept) if known == name.name && kept != user.external_id => {
                    return Err(LoginError::AnotherUser(kept));
                }
                Some(kept) if known != name.name && kept == user.external_id => {
                    return Err(LoginError::AnotherName(known));
                }
                _ => {}
            }
        }
        let text = session.to_text();
        let text = text.expose_secret().as_bytes();
        let secret = self.secrets_key.seal(Service::Telegram, &name.name, text, &*self.environment);
        let account = NewAccount {
            service: Service::Telegram,
            name: name.name.clone(),
            tenants: name.tenants.clone(),
            secret: Some(secret),
        };
        let account = self.storage.save_account(account).await?;
        self.storage.save_account_user(account, &user.external_id).await?;
        Ok(LoggedIn { account, user })
    }

    async fn phone(&self, wire: &Wire, prompt: &mut dyn LoginPrompt) -> Result<(), LoginError> {
        let phone_number = prompt.phone().await?;
        let sent = match self.send_code(wire, &phone_number).await {
            Err(Failure::Elsewhere(dc_id)) => {
                wire.move_to(dc_id).await?;
                self.send_code(wire, &phone_number).await?
            }
            sent => sent?,
        };
        let phone_code_hash = match sent {
            tl::enums::auth::SentCode::Code(sent) => sent.phone_code_hash,
            tl::enums::auth::SentCode::Success(_) => return Ok(()),
            tl::enums::auth::SentCode::PaymentRequired(_) => {
                return Err(Failure::Rejected("Telegram wants to be paid for the code".to_owned()).into());
            }
        };
        for _ in 0..TRIES {
            let code = prompt.code().await?;
            let call = tl::functions::auth::SignIn {
                phone_number: phone_number.clone(),
                phone_code_hash: phone_code_hash.clone(),
                phone_code: Some(code.expose_secret().trim().to_owned()),
                email_verification: None,
            };
            match wire.call(&call).await {
                Ok(tl::enums::auth::Authorization::Authorization(_)) => return Ok(()),
                Ok(tl::enums::auth::Authorization::SignUpRequired(_)) => return Err(LoginError::SignUpRequired),
                Err(failure) if failure.is(PASSWORD_NEEDED) => return password(wire, prompt).await,
                Err(failure) if failure.is("PHONE_CODE_INVALID") || failure.is("PHONE_CODE_EMPTY") => {}
                Err(failure) if failure.is("PHONE_NUMBER_UNOCCUPIED") => return Err(LoginError::SignUpRequired),
                Err(failure) => return Err(failure.into()),
            }
        }
        Err(LoginError::WrongCode)
    }

    async fn send_code(&self, wire: &Wire, phone_number: &str) -> Result<tl::enums::auth::SentCode, Failure> {
        let settings = tl::types::CodeSettings {
            allow_flashcall: false,
            current_number: false,
            allow_app_hash: false,
            allow_missed_call: false,
            allow_firebase: false,
            unknown_number: false,
            logout_tokens: None,
            token: None,
            app_sandbox: None,
        };
        let call = tl::functions::auth::SendCode {
            phone_number: phone_number.to_owned(),
            api_id: self.settings.api_id,
            api_hash: self.settings.api_hash.expose_secret().to_owned(),
            settings: settings.into(),
        };
        wire.call(&call).await
    }

    /// A token is shown until another device accepts it; Telegram tells that by an update, and gives another token
    /// before the first one runs out.
    async fn link(
        &self,
        wire: &Wire,
        updates: &mut mpsc::Receiver<UpdatesLike>,
        prompt: &mut dyn LoginPrompt,
    ) -> Result<(), LoginError> {
        let mut shown = Vec::new();
        loop {
            let call = tl::functions::auth::ExportLoginToken {
                api_id: self.settings.api_id,
                api_hash: self.settings.api_hash.expose_secret().to_owned(),
                except_ids: Vec::new(),
            };
            let token = match wire.call(&call).await {
                Ok(tl::enums::auth::LoginToken::MigrateTo(to)) => {
                    wire.move_to(to.dc_id).await?;
                    wire.call(&tl::functions::auth::ImportLoginToken { token: to.token }).await
                }
                token => token,
            };
            match token {
                Ok(tl::enums::auth::LoginToken::Success(_)) => return Ok(()),
                Ok(tl::enums::auth::LoginToken::Token(token)) => {
                    if token.token != shown {
                        let link = format!("tg://login?token={}", BASE64URL_NOPAD.encode(&token.token));
                        prompt.show_link(&link).await?;
                        shown = token.token;
                    }
                    self.wait_for_scan(updates, token.expires).await;
                }
                Ok(tl::enums::auth::LoginToken::MigrateTo(to)) => return Err(Failure::Elsewhere(to.dc_id).into()),
                Err(failure) if failure.is(PASSWORD_NEEDED) => return password(wire, prompt).await,
                Err(failure) => return Err(failure.into()),
            }
        }
    }

    /// Returns once a device has scanned the token, or when it may be time for another one: at `expires`, in seconds of
    /// Telegram's clock.
    async fn wait_for_scan(&self, updates: &mut mpsc::Receiver<UpdatesLike>, expires: i32) {
        let now = self.environment.now().as_millis() / 1000;
        let left = u64::try_from(i64::from(expires) - now).unwrap_or_default();
        let left = Duration::from_secs(left).clamp(Duration::from_secs(1), LONGEST_LINK);
        let scanned = async {
            while let Some(update) = updates.recv().await {
                if tells_of_scan(&update) {
                    return;
                }
            }
            // The wire is gone: the next call says so.
        };
        let _ = tokio::time::timeout(left, scanned).await;
    }
}

fn tells_of_scan(told: &UpdatesLike) -> bool {
    let is_it = |update: &tl::enums::Update| matches!(update, tl::enums::Update::LoginToken);
    match told {
        UpdatesLike::Updates(tl::enums::Updates::UpdateShort(short)) => is_it(&short.update),
        UpdatesLike::Updates(tl::enums::Updates::Updates(several)) => several.updates.iter().any(is_it),
        UpdatesLike::Updates(tl::enums::Updates::Combined(several)) => several.updates.iter().any(is_it),
        _ => false,
    }
}

async fn password(wire: &Wire, prompt: &mut dyn LoginPrompt) -> Result<(), LoginError> {
    for _ in 0..TRIES {
        let tl::enums::account::Password::Password(asked) = wire.call(&tl::functions::account::GetPassword {}).await?;
        // grammers takes these for granted.
        if asked.current_algo.is_none() || asked.srp_b.is_none() || asked.srp_id.is_none() {
            return Err(Failure::Unknown("Telegram asks for a password that it does not have".to_owned()).into());
        }
        let given = prompt.password(asked.hint.as_deref()).await?;
        let checking = async {
            match wire.client.check_password(PasswordToken::new(asked), given.expose_secret().as_bytes()).await {
                Ok(_) => Ok(true),
                Err(SignInError::Other(error)) => Err(error),
                Err(_) => Ok(false),
            }
        };
        if wire.in_time(checking).await? {
            return Ok(());
        }
    }
    Err(LoginError::WrongPassword)
}
