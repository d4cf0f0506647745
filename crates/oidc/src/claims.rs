//! What a token says about who holds it (RFC 7519, section 4).

use std::time::Duration;

use convoke_domain::{Scope, TenantId, Timestamp};
use serde_json::{Map, Value};

use crate::{issuer::Issuer, refusal::Refusal, token::Principal};

/// By how much an issuer's clock may be ahead of ours.
pub const LEEWAY: Duration = Duration::from_secs(5);

/// The longest subject, in characters (OpenID Connect Core, section 2).
const LONGEST_SUBJECT: usize = 255;

/// Claims by which a token is something else than an access token that its bearer may use: the hashes of an ID token
/// (OpenID Connect Core, section 3.3.2.11), the events of a security event or logout token (RFC 8417, section 2.2),
/// the key that the sender has to have as well (RFC 7800, section 3.1).
const OF_OTHERS: [&str; 5] = ["at_hash", "c_hash", "s_hash", "events", "cnf"];

/// Reads from the claims who it is, if they hold for this issuer, at this time.
pub fn check(claims: &Map<String, Value>, issuer: &Issuer, now: Timestamp) -> Result<Principal, Refusal> {
    if claims.get("iss").and_then(Value::as_str) != Some(issuer.address.as_str()) {
        return Err(Refusal::Issuer);
    }
    if OF_OTHERS.iter().any(|name| claims.contains_key(*name)) {
        return Err(Refusal::Claim("it is no access token of its bearer"));
    }
    if !claims.get("aud").is_some_and(|audience| is_for(audience, &issuer.audience)) {
        return Err(Refusal::Claim("aud is somebody else"));
    }
    let expires_at = claims.get("exp").and_then(instant).ok_or(Refusal::Claim("exp is no time"))?;
    if expires_at <= now {
        return Err(Refusal::Claim("exp is over"));
    }
    for (name, refusal) in [("nbf", "nbf is not yet"), ("iat", "iat is not yet")] {
        let Some(value) = claims.get(name) else { continue };
        if instant(value).is_none_or(|at| at > now.plus(LEEWAY)) {
            return Err(Refusal::Claim(refusal));
        }
    }
    let tenant = tenant(claims, issuer)?;
    let (subject, scopes) = (subject(claims)?, scopes(claims.get(&issuer.scope_claim))?);
    Ok(Principal { issuer: issuer.address.to_string(), tenant, subject, scopes, expires_at })
}

/// When it was issued, if it says so.
pub fn issued_at(claims: &Map<String, Value>) -> Option<Timestamp> {
    claims.get("iat").and_then(instant)
}

/// A `NumericDate` (RFC 7519, section 2): seconds since 1970 as a JSON number, perhaps with a fraction.
fn instant(value: &Value) -> Option<Timestamp> {
    let since_epoch = Duration::try_from_secs_f64(value.as_f64()?).ok()?;
    let at = Timestamp::from_millis(0).plus(since_epoch);
    (at < Timestamp::MAX).then_some(at)
}

/// `aud` is one text or a list of them (RFC 7519, section 4.1.3).
fn is_for(audience: &Value, us: &str) -> bool {
    match audience {
        Value::String(one) => one == us,
        Value::Array(several) => several.iter().all(Value::is_string) && several.iter().any(|one| one == us),
        _ => false,
    }
}

fn tenant(claims: &Map<String, Value>, issuer: &Issuer) -> Result<TenantId, Refusal> {
    let named = claims.get(&issuer.tenant_claim).and_then(Value::as_str);
    let tenant: TenantId =
        named.and_then(|name| name.parse().ok()).ok_or(Refusal::Claim("the tenant's claim names none"))?;
    if issuer.tenants.is_empty() || issuer.tenants.contains(&tenant) {
        return Ok(tenant);
    }
    Err(Refusal::Claim("the issuer does not speak for the tenant"))
}

fn subject(claims: &Map<String, Value>) -> Result<String, Refusal> {
    let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
    let fits = (1..=LONGEST_SUBJECT).contains(&subject.chars().count()) && !subject.chars().any(char::is_control);
    if fits { Ok(subject.to_owned()) } else { Err(Refusal::Claim("sub is no subject")) }
}

/// The scopes that are ours; those of others, such as `openid`, mean nothing here. Without the claim there are none.
fn scopes(claim: Option<&Value>) -> Result<Vec<Scope>, Refusal> {
    let mut scopes: Vec<Scope> = match claim {
        None => Vec::new(),
        Some(Value::String(text)) => text.split(' ').filter_map(|scope| scope.parse().ok()).collect(),
        Some(Value::Array(list)) if list.iter().all(Value::is_string) => {
            list.iter().filter_map(|scope| scope.as_str()?.parse().ok()).collect()
        }
        Some(_) => return Err(Refusal::Claim("the scopes' claim is no text and no list")),
    };
    scopes.sort();
    scopes.dedup();
    Ok(scopes)
}
