//! Two-step verification: a password, proven without being sent. <https://core.telegram.org/api/srp>

use grammers_crypto::two_factor_auth::calculate_2fa;
use grammers_tl_types as tl;
use tl::functions::auth::CheckPassword;

use super::Answer;
use super::login::{authorized, half_way};
use crate::refusal::Refusal;
use crate::world::{Caller, World};

/// The safe prime that Telegram uses, as clients check that it is one.
const PRIME: &str = "\
    c71caeb9c6b1c9048e6c522f70f13f73980d40238e3e21c14934d037563d930f48198a0aa7c14058229493d22530f4db\
    fa336f6e0ac925139543aed44cce7c3720fd51f69458705ac68cd4fe6b6b13abdc9746512969328454f18faf8c595f64\
    2477fe96bb2a941d5bcd1d4ac8cc49880708fa9b378e3c4f3a9060bee67cf9a4a4a695811051907e162753b56b0f6b41\
    0dba74d8a84b2a14b3144e0ef1284754fd17ed950d5965b4b9dd46582db1178d169c6bc465b0d6ff9ca3928fef5b9ae4\
    e418fc15e83ebea0f87fa9ff5eed70050ded2849f47bf959d956850ce929851f0d8115f635b105ee2e4e15d04b2454bf\
    6f4fadf034b10403119cd8e3b92fcc5b";

const GENERATOR: i32 = 3;
const SALTS: [&[u8]; 2] = [b"the first salt", b"the second salt"];
const SRP_ID: i64 = 1;

/// What a server gives away of its own secret; any number will do.
const PUBLIC: [u8; 256] = [0x42; 256];

/// The chance that a client is given: grammers makes its whole secret of it, so the server knows the proof to expect.
const RANDOM: [u8; 256] = [0x17; 256];

pub fn get_password(world: &World, caller: Caller) -> Answer<tl::enums::account::Password> {
    half_way(world, caller)?;
    let algorithm = tl::types::PasswordKdfAlgoSha256Sha256Pbkdf2Hmacsha512iter100000Sha256ModPow {
        salt1: SALTS[0].to_vec(),
        salt2: SALTS[1].to_vec(),
        g: GENERATOR,
        p: prime(),
    };
    Ok(tl::enums::account::Password::Password(tl::types::account::Password {
        has_recovery: false,
        has_secure_values: false,
        has_password: true,
        current_algo: Some(algorithm.into()),
        srp_b: Some(PUBLIC.to_vec()),
        srp_id: Some(SRP_ID),
        hint: Some("the usual one".to_owned()),
        email_unconfirmed_pattern: None,
        new_algo: tl::enums::PasswordKdfAlgo::Unknown,
        new_secure_algo: tl::enums::SecurePasswordKdfAlgo::Unknown,
        secure_random: RANDOM.to_vec(),
        pending_reset_date: None,
        login_email_pattern: None,
    }))
}

pub fn check_password(
    world: &mut World,
    caller: Caller,
    call: &CheckPassword,
) -> Answer<tl::enums::auth::Authorization> {
    let user = half_way(world, caller)?;
    let password = world.people.get(&user).and_then(|person| person.password.clone()).unwrap_or_default();
    let tl::enums::InputCheckPasswordSrp::Srp(proof) = &call.password else {
        return Err(Refusal::bad("PASSWORD_HASH_INVALID"));
    };
    let (public, random) = (PUBLIC.to_vec(), RANDOM.to_vec());
    let (m1, a) = calculate_2fa(SALTS[0], SALTS[1], &prime(), &GENERATOR, public, random, password);
    if (proof.srp_id, &proof.a[..], &proof.m1[..]) != (SRP_ID, &a[..], &m1[..]) {
        return Err(Refusal::bad("PASSWORD_HASH_INVALID"));
    }
    Ok(authorized(world, caller, user))
}

fn prime() -> Vec<u8> {
    let digits = PRIME.as_bytes().chunks(2).map(|pair| str::from_utf8(pair).expect("hexadecimal digits"));
    digits.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal digits")).collect()
}
