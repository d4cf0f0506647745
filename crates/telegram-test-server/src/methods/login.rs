//! Logging in: by a code, by a token that another device accepts (the QR code), with a password on top.

use std::collections::HashMap;

use grammers_tl_types as tl;
use tl::functions::auth::{SendCode, SignIn};

use super::Answer;
use crate::refusal::Refusal;
use crate::tl_form;
use crate::world::{Caller, KeyId, UserId, World};

/// Logins that are under way.
#[derive(Default)]
pub struct Logins {
    /// The code that was sent to a phone number last.
    pub codes: HashMap<String, String>,
    /// The token that was shown to a key, and who accepted it.
    pub tokens: HashMap<KeyId, Token>,
    /// Who still has to give a password.
    pub half: HashMap<KeyId, UserId>,
    made: u32,
}

/// A login token.
pub struct Token {
    pub bytes: Vec<u8>,
    pub accepted_by: Option<UserId>,
}

pub fn send_code(world: &mut World, call: &SendCode) -> Answer<tl::enums::auth::SentCode> {
    if !call.phone_number.trim_start_matches('+').bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(Refusal::bad("PHONE_NUMBER_INVALID"));
    }
    world.login.made += 1;
    let code = format!("{:05}", 10_000 + world.login.made);
    world.login.codes.insert(digits(&call.phone_number), code.clone());
    Ok(tl::enums::auth::SentCode::Code(tl::types::auth::SentCode {
        r#type: tl::enums::auth::SentCodeType::App(tl::types::auth::SentCodeTypeApp { length: 5 }),
        phone_code_hash: code_hash(&digits(&call.phone_number)),
        next_type: None,
        timeout: None,
    }))
}

pub fn sign_in(world: &mut World, caller: Caller, call: &SignIn) -> Answer<tl::enums::auth::Authorization> {
    let phone = digits(&call.phone_number);
    if call.phone_code_hash != code_hash(&phone) {
        return Err(Refusal::bad("PHONE_CODE_HASH_EMPTY"));
    }
    let sent = world.login.codes.get(&phone).ok_or_else(|| Refusal::bad("PHONE_CODE_EXPIRED"))?;
    if call.phone_code.as_ref() != Some(sent) {
        return Err(Refusal::bad("PHONE_CODE_INVALID"));
    }
    let found = world.people.iter().find(|(_, person)| digits(&person.phone) == phone);
    let Some(user) = found.map(|(id, _)| *id) else {
        return Ok(tl::enums::auth::Authorization::SignUpRequired(tl::types::auth::AuthorizationSignUpRequired {
            terms_of_service: None,
        }));
    };
    world.login.codes.remove(&phone);
    logged_in(world, caller, user)
}

pub fn export_login_token(world: &mut World, caller: Caller) -> Answer<tl::enums::auth::LoginToken> {
    use tl::enums::auth::LoginToken;
    if let Some(user) = world.login.tokens.get(&caller.key).and_then(|token| token.accepted_by) {
        world.login.tokens.remove(&caller.key);
        let authorization = logged_in(world, caller, user)?;
        return Ok(LoginToken::Success(tl::types::auth::LoginTokenSuccess { authorization }));
    }
    world.login.made += 1;
    let bytes = format!("token {}", world.login.made).into_bytes();
    world.login.tokens.insert(caller.key, Token { bytes: bytes.clone(), accepted_by: None });
    Ok(LoginToken::Token(tl::types::auth::LoginToken { expires: world.now() + 30, token: bytes }))
}

pub fn log_out(world: &mut World, caller: Caller) -> Answer<tl::enums::auth::LoggedOut> {
    world.user(caller)?;
    if let Some(key) = world.keys.get_mut(&caller.key) {
        key.user = None;
    }
    Ok(tl::enums::auth::LoggedOut::Out(tl::types::auth::LoggedOut { future_auth_token: None }))
}

/// Logs in, or asks for the password first.
fn logged_in(world: &mut World, caller: Caller, user: UserId) -> Answer<tl::enums::auth::Authorization> {
    if world.people.get(&user).is_some_and(|person| person.password.is_some()) {
        world.login.half.insert(caller.key, user);
        return Err(Refusal::new(401, "SESSION_PASSWORD_NEEDED"));
    }
    Ok(authorized(world, caller, user))
}

pub fn authorized(world: &mut World, caller: Caller, user: UserId) -> tl::enums::auth::Authorization {
    world.login.half.remove(&caller.key);
    if let Some(key) = world.keys.get_mut(&caller.key) {
        key.user = Some(user);
    }
    tl::enums::auth::Authorization::Authorization(tl::types::auth::Authorization {
        setup_password_required: false,
        otherwise_relogin_days: None,
        tmp_sessions: None,
        future_auth_token: None,
        user: tl_form::user(world, user, user),
    })
}

/// Who gave a code or token, and still has to give a password.
pub fn half_way(world: &World, caller: Caller) -> Answer<UserId> {
    let half = world.login.half.get(&caller.key).copied();
    half.ok_or_else(|| Refusal::new(401, "AUTH_KEY_UNREGISTERED"))
}

fn digits(phone: &str) -> String {
    phone.chars().filter(char::is_ascii_digit).collect()
}

fn code_hash(digits: &str) -> String {
    format!("hash of {digits}")
}
