//! Logging in and out.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use async_trait::async_trait;
use convoke_domain::Service;
use convoke_provider::ProviderError;
use convoke_telegram::{AccountName, LoggedOut, Login, LoginError, LoginPrompt, TelegramSettings};
use convoke_telegram_test_server::{TestServer, UserId};
use data_encoding::BASE64URL_NOPAD;
use secrecy::SecretString;

use crate::{
    discretion,
    world::{ACCOUNT, World, key, settings, until},
};

/// Somebody who logs in, with wrong answers first.
struct Somebody {
    telegram: TestServer,
    user: UserId,
    wrong_codes: u32,
    passwords: VecDeque<&'static str>,
    links: u32,
    /// The codes that were given.
    codes: Vec<String>,
}

impl Somebody {
    fn new(world: &World, user: UserId) -> Self {
        Self {
            telegram: world.telegram.clone(),
            user,
            wrong_codes: 0,
            passwords: VecDeque::new(),
            links: 0,
            codes: Vec::new(),
        }
    }
}

#[async_trait]
impl LoginPrompt for Somebody {
    async fn phone(&mut self) -> io::Result<String> {
        Ok(self.telegram.phone(self.user))
    }

    async fn code(&mut self) -> io::Result<SecretString> {
        if self.wrong_codes > 0 {
            self.wrong_codes -= 1;
            return Ok("00".to_owned().into());
        }
        let code = self.telegram.login_code(&self.telegram.phone(self.user)).expect("a code was sent");
        self.codes.push(code.clone());
        Ok(format!(" {code}\n").into())
    }

    async fn password(&mut self, _: Option<&str>) -> io::Result<SecretString> {
        let password = self.passwords.pop_front().ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(password.to_owned().into())
    }

    async fn show_link(&mut self, link: &str) -> io::Result<()> {
        self.links += 1;
        let token = link.strip_prefix("tg://login?token=").expect("a link that apps open");
        let token = BASE64URL_NOPAD.decode(token.as_bytes()).unwrap();
        assert!(self.telegram.accept_login_token(self.user, &token));
        Ok(())
    }
}

fn login(world: &World) -> Login {
    let environment = Arc::new(world.environment.clone());
    let start = world.telegram.new_key().parse().unwrap();
    // Passwords are slow to compute.
    let settings = TelegramSettings { call_timeout: Duration::from_mins(1), ..settings() };
    Login::new(world.store.clone(), environment, settings, key()).starting_at(vec![start])
}

fn second() -> AccountName {
    AccountName { name: "second".to_owned(), tenants: vec!["acme".parse().unwrap()] }
}

/// What was logged in is connected by the service.
async fn is_connected(world: &World) {
    let running = world.begin(settings());
    let account = world.account("second").await;
    until("it is connected", async || running.telegram.connected().contains(&account.id)).await;
    running.stop().await;
}

#[tokio::test]
async fn by_a_code_that_is_mistyped_first() {
    let world = World::new().await;
    let ada = world.telegram.new_user("Ada", "", "ada");
    let mut somebody = Somebody { wrong_codes: 2, ..Somebody::new(&world, ada) };
    let logged_in = login(&world).by_phone(&second(), &mut somebody).await.unwrap();
    assert_eq!(logged_in.user.external_id, ada.0.to_string());
    assert_eq!(logged_in.user.properties.username.as_deref(), Some("ada"));
    assert_eq!(world.account("second").await.tenants, second().tenants);
    is_connected(&world).await;

    let mut somebody = Somebody { wrong_codes: 3, ..Somebody::new(&world, ada) };
    let error = login(&world).by_phone(&second(), &mut somebody).await.unwrap_err();
    assert!(matches!(error, LoginError::WrongCode), "{error:?}");
}

#[tokio::test]
async fn by_a_code_and_a_password() {
    let world = World::new().await;
    let ada = world.telegram.new_user("Ada", "", "ada");
    world.telegram.set_password(ada, "right");
    let passwords = VecDeque::from(["wrong", "right"]);
    let mut somebody = Somebody { passwords, ..Somebody::new(&world, ada) };
    login(&world).by_phone(&second(), &mut somebody).await.unwrap();
    is_connected(&world).await;
    let passwords = VecDeque::from(["wrong"; 3]);
    let mut somebody = Somebody { passwords, ..Somebody::new(&world, ada) };
    let error = login(&world).by_phone(&second(), &mut somebody).await.unwrap_err();
    assert!(matches!(error, LoginError::WrongPassword), "{error:?}");
}

#[tokio::test]
async fn what_is_typed_is_not_logged() {
    const PASSWORD: &str = "correct horse battery staple";
    discretion::listen();
    let world = World::new().await;
    let ada = world.telegram.new_user("Ada", "", "ada");
    world.telegram.set_password(ada, PASSWORD);
    let passwords = VecDeque::from(["wrong horse", PASSWORD]);
    let mut somebody = Somebody { passwords, ..Somebody::new(&world, ada) };
    login(&world).by_phone(&second(), &mut somebody).await.unwrap();
    is_connected(&world).await;
    let log = discretion::log();
    assert!(log.contains("DEBUG"), "the log is verbose: {log}");
    // Five digits alone are in many a number; a text is logged in quotes.
    let code = format!("\"{}\"", somebody.codes[0]);
    let phone = world.telegram.phone(ada);
    for secret in [PASSWORD, "wrong horse", &code, phone.trim_start_matches('+')] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

#[tokio::test]
async fn by_a_link_that_is_scanned() {
    let world = World::new().await;
    let ada = world.telegram.new_user("Ada", "", "ada");
    let mut somebody = Somebody::new(&world, ada);
    let logged_in = login(&world).by_link(&second(), &mut somebody).await.unwrap();
    assert_eq!(logged_in.user.external_id, ada.0.to_string());
    assert_eq!(somebody.links, 1);
    is_connected(&world).await;
}

#[tokio::test]
async fn by_a_link_and_a_password() {
    let world = World::new().await;
    let ada = world.telegram.new_user("Ada", "", "ada");
    world.telegram.set_password(ada, "right");
    let mut somebody = Somebody { passwords: VecDeque::from(["right"]), ..Somebody::new(&world, ada) };
    login(&world).by_link(&second(), &mut somebody).await.unwrap();
    is_connected(&world).await;
}

#[tokio::test]
async fn with_a_session_made_elsewhere() {
    let world = World::new().await;
    let ada = world.telegram.new_user("Ada", "", "ada");
    let session = world.telegram.session(ada);
    login(&world).import(&second(), &session.clone().into()).await.unwrap();
    let kept = world.account("second").await.secret.unwrap();
    assert!(!String::from_utf8_lossy(&kept).contains(&session[1..20]), "it is sealed");
    is_connected(&world).await;

    let nobody = world.telegram.new_key();
    let error = login(&world).import(&second(), &nobody.into()).await.unwrap_err();
    assert!(matches!(error, LoginError::Telegram(ProviderError::AccountUnusable(_))), "{error:?}");
    let error = login(&world).import(&second(), &"secret".to_owned().into()).await.unwrap_err();
    assert!(matches!(error, LoginError::Session(_)), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("secret"));
}

#[tokio::test]
async fn an_account_stays_the_same_users() {
    let world = World::new().await;
    world.start().await.stop().await;
    let ada = world.telegram.new_user("Ada", "", "ada");
    let name = AccountName { name: ACCOUNT.to_owned(), tenants: Vec::new() };
    let error = login(&world).import(&name, &world.telegram.session(ada).into()).await.unwrap_err();
    assert!(matches!(error, LoginError::AnotherUser(_)), "{error:?}");
}

#[tokio::test]
async fn a_user_is_one_account() {
    let world = World::new().await;
    let ada = world.telegram.new_user("Ada", "", "ada");
    let session = world.telegram.session(ada);
    login(&world).import(&second(), &session.clone().into()).await.unwrap();
    assert_eq!(world.account("second").await.state.external_id, Some(ada.0.to_string()), "before it is ever held");
    let third = AccountName { name: "third".to_owned(), tenants: Vec::new() };
    for session in [session, world.telegram.session(ada)] {
        let error = login(&world).import(&third, &session.into()).await.unwrap_err();
        assert!(matches!(&error, LoginError::AnotherName(name) if name == "second"), "{error:?}");
    }
    login(&world).import(&second(), &world.telegram.session(ada).into()).await.unwrap();
    assert_eq!(world.store.list_accounts(Service::Telegram).await.unwrap().len(), 2);
}

#[tokio::test]
async fn logging_out_ends_the_session_and_deletes_the_account() {
    let world = World::new().await;
    assert_eq!(login(&world).log_out(ACCOUNT).await.unwrap(), LoggedOut::AtTelegram);
    assert_eq!(world.telegram.key(&world.session).user, None);
    assert!(world.store.list_accounts(Service::Telegram).await.unwrap().is_empty());
    let error = login(&world).log_out(ACCOUNT).await.unwrap_err();
    assert!(matches!(error, LoginError::NoSuchAccount), "{error:?}");

    world.save_account(ACCOUNT, &world.telegram.session(world.owner)).await;
    world.telegram.stop();
    assert_eq!(login(&world).log_out(ACCOUNT).await.unwrap(), LoggedOut::HereOnly);
    assert!(world.store.list_accounts(Service::Telegram).await.unwrap().is_empty());
}
