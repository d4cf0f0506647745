//! The keys that an issuer publishes (RFC 7517).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RsaPublicKeyComponents, UnparsedPublicKey,
    VerificationAlgorithm,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::algorithm::Algorithm;

/// How many keys of a set are looked at: an issuer has a handful.
const MOST_KEYS: usize = 100;
/// The least length of an RSA modulus, in bytes (RFC 7518, section 3.3).
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// The keys of an issuer by which signatures are verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySet(Vec<Key>);

/// What was read is no set of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the issuer's keys are no JSON Web Key Set with a key that can be used")]
pub struct KeySetError;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    id: Option<String>,
    /// The only algorithm that it is meant for, if that is said.
    algorithm: Option<Algorithm>,
    material: Material,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// What came of the attempt to verify a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A key of the issuer made it.
    Good,
    /// The key that it names did not make it.
    Wrong,
    /// The key that it names is for another algorithm.
    OtherAlgorithm,
    /// There is no such key.
    NoSuchKey,
}

impl KeySet {
    /// Reads a JSON Web Key Set. Keys that are for something else than verifying, or of a kind that we don't know, are
    /// left out (RFC 7517, section 5).
    ///
    /// # Errors
    /// If it is no set, or there is no key left.
    pub fn read(json: &[u8]) -> Result<Self, KeySetError> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Map<String, Value>>,
        }
        let set: Set = serde_json::from_slice(json).map_err(|_| KeySetError)?;
        let keys: Vec<_> = set.keys.iter().take(MOST_KEYS).filter_map(Key::read).collect();
        if keys.is_empty() { Err(KeySetError) } else { Ok(Self(keys)) }
    }

    /// Verifies a signature. A token need not name its key (RFC 7515, section 4.1.4): then any may have made it.
    pub(crate) fn verify(&self, id: Option<&str>, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> Verdict {
        let named = || self.0.iter().filter(|key| id.is_none_or(|id| key.id.as_deref() == Some(id)));
        if named().any(|key| key.is_for(algorithm) && key.verifies(algorithm, message, signature)) {
            Verdict::Good
        } else if id.is_none() || named().next().is_none() {
            Verdict::NoSuchKey
        } else if named().any(|key| key.is_for(algorithm)) {
            Verdict::Wrong
        } else {
            Verdict::OtherAlgorithm
        }
    }
}

impl Key {
    fn read(members: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
        let is_to_verify = members.get("use").is_none_or(|purpose| purpose == "sig")
            && members.get("key_ops").is_none_or(|operations| {
                operations.as_array().is_some_and(|operations| operations.iter().any(|one| one == "verify"))
            });
        if !is_to_verify {
            return None;
        }
        let algorithm = match members.get("alg") {
            None => None,
            Some(name) => Some(Algorithm::named(name.as_str()?)?),
        };
        let material = match (text("kty")?, text("crv")) {
            ("RSA", None) => {
                let (n, e) = (without_zeros(bytes("n")?), without_zeros(bytes("e")?));
                RSA_BYTES.contains(&n.len()).then_some(Material::Rsa { n, e })?
            }
            ("EC", Some("P-256")) => Material::P256(point(&bytes("x")?, &bytes("y")?, 32)?),
            ("EC", Some("P-384")) => Material::P384(point(&bytes("x")?, &bytes("y")?, 48)?),
            ("OKP", Some("Ed25519")) => Material::Ed25519(bytes("x").filter(|x| x.len() == 32)?),
            _ => return None,
        };
        Some(Self { id: text("kid").map(str::to_owned), algorithm, material })
    }

    /// Whether it may be used so: an algorithm goes with one kind of key, and a key may be for one algorithm alone.
    fn is_for(&self, algorithm: Algorithm) -> bool {
        let fits = match self.material {
            Material::Rsa { .. } => algorithm.of_rsa().is_some(),
            Material::P256(_) => algorithm == Algorithm::Es256,
            Material::P384(_) => algorithm == Algorithm::Es384,
            Material::Ed25519(_) => algorithm == Algorithm::Ed25519,
        };
        fits && self.algorithm.is_none_or(|only| only == algorithm)
    }

    fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let by = |verification: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(verification, key).verify(message, signature).is_ok()
        };
        match &self.material {
            Material::Rsa { n, e } => algorithm.of_rsa().is_some_and(|parameters| {
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).is_ok()
            }),
            Material::P256(point) => by(&ECDSA_P256_SHA256_FIXED, point),
            Material::P384(point) => by(&ECDSA_P384_SHA384_FIXED, point),
            Material::Ed25519(key) => by(&ED25519, key),
        }
    }
}

/// A number without the zeros before it, which some issuers write.
fn without_zeros(number: Vec<u8>) -> Vec<u8> {
    number.into_iter().skip_while(|byte| *byte == 0).collect()
}

/// A point on a curve, uncompressed (SEC 1, section 2.3.3). Whether it is on the curve is seen when it is used.
fn point(x: &[u8], y: &[u8], length: usize) -> Option<Vec<u8>> {
    let has_length = x.len() == length && y.len() == length;
    has_length.then(|| [&[4], x, y].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<usize, KeySetError> {
        KeySet::read(json.as_bytes()).map(|keys| keys.0.len())
    }

    #[test]
    fn what_is_not_for_verifying_is_left_out() {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let key = |more: &str| format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"{more}}}"#);
        let set = |keys: &[String]| format!(r#"{{"keys":[{}]}}"#, keys.join(","));
        assert_eq!(read(&set(&[key("")])), Ok(1));
        assert_eq!(read(&set(&[key(r#","use":"sig","key_ops":["verify"],"alg":"EdDSA","more":1"#)])), Ok(1));
        for other in [
            key(r#","use":"enc""#),
            key(r#","key_ops":["sign"]"#),
            key(r#","alg":"HS256""#),
            key(r#","alg":1"#),
            r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ"}"#.to_owned(),
            r#"{"kty":"OKP","crv":"Ed25519","x":"11qY"}"#.to_owned(),
            r#"{"kty":"RSA","n":"sXch","e":"AQAB"}"#.to_owned(),
            r#"{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"}"#.to_owned(),
            "{}".to_owned(),
        ] {
            assert_eq!(read(&set(&[other.clone(), key("")])), Ok(1), "{other}");
            assert_eq!(read(&set(&[other])), Err(KeySetError));
        }
    }

    #[test]
    fn what_is_no_set_is_an_error() {
        for json in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[]}"#, r#"{"keys":[1]}"#] {
            assert_eq!(read(json), Err(KeySetError), "{json}");
        }
    }
}
