//! A token on its way from a text that somebody sent to somebody who is known: each step a type of its own, so that none
//! can be left out.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use convoke_domain::{Scope, TenantId, Timestamp};
use serde_json::{Map, Value};

use crate::{
    algorithm::Algorithm,
    claims,
    issuer::Issuer,
    json,
    keys::{KeySet, Verdict},
    refusal::Refusal,
};

/// The longest token that is read, in bytes. Those of issuers that list all groups of a person have some thousand.
const LONGEST: usize = 8 * 1024;
/// The longest name of a key, in bytes.
const LONGEST_KEY_ID: usize = 256;

/// The types of token that are taken (RFC 9068, section 4; many issuers still write the general one). A token has to say
/// that it is one of these: others, such as `logout+jwt`, have the same form and mean something else (RFC 8725, section
/// 3.11).
const TYPES: [&str; 3] = ["at+jwt", "application/at+jwt", "JWT"];

/// Members of the header that are refused: extensions that have to be understood, keys that the token brings along or has
/// fetched (RFC 8725, section 3.10), and what only encrypted or nested tokens have.
const REFUSED: [&str; 9] = ["crit", "b64", "jku", "jwk", "x5u", "x5c", "zip", "enc", "cty"];

/// Who holds a token, proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Who says so.
    pub issuer: String,
    /// Whose resources it opens.
    pub tenant: TenantId,
    /// Who holds it, as the issuer calls them.
    pub subject: String,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A text that has the form of a signed JWT. Nothing that it says is believed.
#[derive(Debug)]
pub struct Token<'a> {
    algorithm: Algorithm,
    key_id: Option<String>,
    claims: Map<String, Value>,
    signed: &'a str,
    signature: Vec<u8>,
}

/// A token whose claims would do, if its issuer has made it.
#[derive(Debug)]
pub struct Claimed<'a> {
    token: Token<'a>,
    principal: Principal,
}

/// Why a claim is not proved.
#[derive(Debug)]
pub enum Unproven<'a> {
    /// The issuer has not made it.
    Refused(Refusal),
    /// It names a key that is not among those that are known.
    UnknownKey(Box<Claimed<'a>>),
}

impl<'a> Token<'a> {
    /// Reads the compact form of a signed JWT (RFC 7515, section 7.1).
    ///
    /// # Errors
    /// If it has another form, or its header asks for what we don't do.
    pub fn read(text: &'a str) -> Result<Self, Refusal> {
        if text.len() > LONGEST {
            return Err(Refusal::TooLong);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Refusal::Malformed("it has no parts"))?;
        let (header, payload) = signed.split_once('.').ok_or(Refusal::Malformed("it has two parts"))?;
        if payload.contains('.') {
            return Err(Refusal::Malformed("it has more than three parts"));
        }
        let object = |part| json::object(&URL_SAFE_NO_PAD.decode(part).ok()?);
        let header = object(header).ok_or(Refusal::Malformed("its header is no JSON object"))?;
        let (algorithm, key_id) = read_header(&header)?;
        let claims = object(payload).ok_or(Refusal::Malformed("its claims are no JSON object"))?;
        let signature =
            URL_SAFE_NO_PAD.decode(signature).map_err(|_| Refusal::Malformed("its signature is no base64"))?;
        Ok(Self { algorithm, key_id, claims, signed, signature })
    }

    /// Who has made it, as it says.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }

    /// Looks at its claims.
    ///
    /// # Errors
    /// If they would not do even if the issuer has made it.
    pub fn check(self, issuer: &Issuer, now: Timestamp) -> Result<Claimed<'a>, Refusal> {
        let principal = claims::check(&self.claims, issuer, now)?;
        Ok(Claimed { token: self, principal })
    }
}

impl<'a> Claimed<'a> {
    /// Verifies that the issuer has made it, by the issuer's keys.
    ///
    /// # Errors
    /// If it has not, or if that can't be told because the key is not among them.
    pub fn prove(self, keys: &KeySet) -> Result<Principal, Unproven<'a>> {
        let Token { algorithm, key_id, signed, signature, .. } = &self.token;
        match keys.verify(key_id.as_deref(), *algorithm, signed.as_bytes(), signature) {
            Verdict::Good => Ok(self.principal),
            Verdict::Wrong => Err(Unproven::Refused(Refusal::Signature)),
            Verdict::OtherAlgorithm => Err(Unproven::Refused(Refusal::Algorithm)),
            Verdict::NoSuchKey => Err(Unproven::UnknownKey(Box::new(self))),
        }
    }

    /// Whether it says that it was issued before this.
    #[must_use]
    pub fn is_older_than(&self, at: Timestamp) -> bool {
        claims::issued_at(&self.token.claims).is_some_and(|issued_at| issued_at.plus(claims::LEEWAY) < at)
    }
}

fn read_header(header: &Map<String, Value>) -> Result<(Algorithm, Option<String>), Refusal> {
    if REFUSED.iter().any(|name| header.contains_key(*name)) {
        return Err(Refusal::Header("it asks for an extension, or brings keys along"));
    }
    let algorithm = header.get("alg").and_then(Value::as_str).and_then(Algorithm::named).ok_or(Refusal::Algorithm)?;
    let kind = header.get("typ").and_then(Value::as_str).unwrap_or_default();
    if !TYPES.iter().any(|known| known.eq_ignore_ascii_case(kind)) {
        return Err(Refusal::Header("typ is not that of an access token"));
    }
    let key_id = match header.get("kid") {
        None => None,
        Some(Value::String(id)) if is_key_id(id) => Some(id.clone()),
        Some(_) => return Err(Refusal::Header("kid is no name of a key")),
    };
    Ok((algorithm, key_id))
}

/// What issuers call their keys: hashes, UUIDs, dates, at times a URL. It is compared and nothing else; but what can't be
/// one is not worth asking the issuer for.
fn is_key_id(id: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=:@#".contains(&byte);
    (1..=LONGEST_KEY_ID).contains(&id.len()) && id.bytes().all(is_letter) && !id.contains("..")
}
