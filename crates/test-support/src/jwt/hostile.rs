//! Tokens that nobody may accept, each made from a good one by one change, with the rule that it breaks.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use convoke_domain::Timestamp;
use ring::hmac;
use serde_json::{Value, json};

use super::{
    issuer::claims,
    signing::{SigningKey, sign, signed_with, unsigned},
};

/// A token that nobody may accept.
#[derive(Debug, Clone)]
pub struct Hostile {
    /// What was done to it.
    pub name: String,
    /// The rule that it breaks.
    pub rule: &'static str,
    /// The token.
    pub text: String,
}

/// Hostile tokens against an issuer that publishes these two keys (an RSA one and one for ES256) and tokens whose
/// audience is `convoke`, at this time.
#[must_use]
pub fn hostile_tokens(issuer: &str, rsa: &SigningKey, curve: &SigningKey, now: Timestamp) -> Vec<Hostile> {
    let mut forge = Forge { claims: claims(issuer, now), rsa, curve, tokens: Vec::new() };
    forge.forms();
    forge.texts();
    forge.algorithms();
    forge.signatures();
    forge.headers();
    forge.key_ids();
    forge.times(now.as_millis().div_euclid(1_000));
    forge.issuers(issuer);
    forge.audiences();
    forge.people();
    forge.tokens
}

struct Forge<'a> {
    claims: Value,
    rsa: &'a SigningKey,
    curve: &'a SigningKey,
    tokens: Vec<Hostile>,
}

impl Forge<'_> {
    fn add(&mut self, rule: &'static str, name: impl Into<String>, text: String) {
        self.tokens.push(Hostile { name: name.into(), rule, text });
    }

    fn good(&self) -> String {
        self.rsa.token(&self.rsa.header(), &self.claims)
    }

    /// A good token with a member of its header set, or taken away.
    fn header(&mut self, rule: &'static str, name: &str, value: impl Into<Option<Value>>) {
        let value = value.into();
        let done = format!("header {name}: {value:?}");
        let header = changed(&self.rsa.header(), name, value);
        self.add(rule, done, self.rsa.token(&header, &self.claims));
    }

    /// A good token with a claim set, or taken away.
    fn claim(&mut self, rule: &'static str, name: &str, value: impl Into<Option<Value>>) {
        let value = value.into();
        let done = format!("claim {name}: {value:?}");
        let claims = changed(&self.claims, name, value);
        self.add(rule, done, self.rsa.token(&self.rsa.header(), &claims));
    }

    /// The compact form.
    fn forms(&mut self) {
        const RULE: &str = "RFC 7515, section 7.1";
        let good = self.good();
        let [header, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else { return };
        for (name, text) in [
            ("empty", String::new()),
            ("no parts", "x".to_owned()),
            ("dots alone", "..".to_owned()),
            ("header alone", header.to_owned()),
            ("two parts", format!("{header}.{payload}")),
            ("four parts", format!("{good}.{signature}")),
            ("a dot before", format!(".{good}")),
            ("a dot behind", format!("{good}.")),
            ("no header", format!(".{payload}.{signature}")),
            ("no payload", format!("{header}..{signature}")),
            ("parts in another order", format!("{payload}.{header}.{signature}")),
        ] {
            self.add(RULE, name, text);
        }
        self.add("RFC 7516, section 3.1", "five parts, as if encrypted", format!("{good}.{signature}.{signature}"));
        let general = json!({"payload": payload, "protected": header, "signature": signature});
        self.add("RFC 7519, section 7.2", "the JSON form", general.to_string().replace(' ', ""));
        self.add("RFC 7515, section 2", "padding", format!("{good}=="));
        self.add("RFC 7515, section 2", "padding within", format!("{header}=.{payload}.{signature}"));
        self.add("RFC 7515, section 2", "the other alphabet", format!("{header}.{payload}.+/{}", &signature[2..]));
        self.add("RFC 7515, section 2", "percent-encoded", good.replace('.', "%2E"));
        self.add("RFC 7515, section 2", "a line feed's escape within", format!("{header}.{payload}.\\n{signature}"));
        // The last letter of a signature of 256 bytes holds four bits: another letter with the same four, and a fifth.
        let last = signature.chars().last().unwrap_or('A');
        let spare = char::from(if last == 'Z' { b'a' } else { last as u8 + 1 });
        let bits = format!("{header}.{payload}.{}{spare}", &signature[..signature.len() - 1]);
        self.add("RFC 4648, section 3.5", "bits that nothing stands for", bits);
        let long = changed(&self.claims, "filler", Some("x".repeat(12 * 1024).into()));
        let long = self.rsa.token(&self.rsa.header(), &long);
        self.add("RFC 9110, section 5.4 (a limit of ours)", "16 KB, signed and all", long);
    }

    /// Header and claims as texts.
    fn texts(&mut self) {
        let (header, claims) = (self.rsa.header().to_string(), self.claims.to_string());
        let behind = |text: &str, more: &str| format!("{},{more}}}", text.trim_end_matches('}'));
        let headers: [(&str, &str, Vec<u8>); 8] = [
            ("RFC 7515, section 4", "alg twice", behind(&header, r#""alg":"none""#).into()),
            ("RFC 7515, section 4", "alg twice, once escaped", behind(&header, r#""\u0061lg":"none""#).into()),
            ("RFC 7515, section 5.2", "header is a list", format!("[{header}]").into()),
            ("RFC 7515, section 5.2", "header is a text", json!(header).to_string().into()),
            ("RFC 8259, section 2", "more behind the header", format!("{header}{{}}").into()),
            ("RFC 8259, section 8.1", "a byte order mark", format!("\u{feff}{header}").into()),
            (
                "RFC 8259, section 8.1",
                "no UTF-8",
                [&header.as_bytes()[..header.len() - 1], b",\"x\":\"\xff\"}"].concat(),
            ),
            (
                "RFC 8259, section 9",
                "deep",
                format!(r#"{{"x":{}1{},{}"#, "[".repeat(500), "]".repeat(500), &header[1..]).into(),
            ),
        ];
        for (rule, name, header) in headers {
            self.add(rule, name, sign(&header, claims.as_bytes(), self.rsa));
        }
        let texts = [
            ("RFC 7519, section 4", "exp twice", behind(&claims, r#""exp":99999999999"#)),
            ("RFC 7519, section 4", "tenant twice", behind(&claims, r#""tenant":"globex""#)),
            ("RFC 7519, section 4", "a name twice within a claim", behind(&claims, r#""act":{"sub":"a","sub":"b"}"#)),
            ("RFC 7519, section 7.2", "claims are a list", format!("[{claims}]")),
            ("RFC 7519, section 7.2", "claims are a text", json!(claims).to_string()),
            ("RFC 7519, section 7.2", "claims are no JSON", "ann of acme".to_owned()),
            ("RFC 7519, section 7.2", "claims are a token", self.good()),
            ("RFC 8259, section 2", "half the claims", claims[..claims.len() - 1].to_owned()),
            ("RFC 7519, section 4.1", "no claims", "{}".to_owned()),
        ];
        for (rule, name, claims) in texts {
            self.add(rule, name, sign(header.as_bytes(), claims.as_bytes(), self.rsa));
        }
    }

    /// What the header says of the algorithm.
    fn algorithms(&mut self) {
        let claims = self.claims.to_string();
        for none in ["none", "None", "NONE", "nOnE", ""] {
            let header = changed(&self.rsa.header(), "alg", Some(none.into())).to_string();
            let without = unsigned(header.as_bytes(), claims.as_bytes()) + ".";
            self.add("RFC 8725, section 3.2", format!("alg {none:?}, no signature"), without);
            self.add(
                "RFC 8725, section 3.2",
                format!("alg {none:?}, signed"),
                sign(header.as_bytes(), claims.as_bytes(), self.rsa),
            );
        }
        for value in [None, Some(Value::Null), Some(json!(256)), Some(json!(["RS256"])), Some(json!({"RS256": true}))] {
            self.header("RFC 7515, section 4.1.1", "alg", value);
        }
        for name in ["rs256", "RS256 ", "RS1", "ES256K", "ES512", "RSA-OAEP", "dir", "A128KW", "RS256\u{0}"] {
            self.header("RFC 8725, section 3.1", "alg", Some(name.into()));
        }
        // The public key as the secret of an HMAC, in every form in which somebody may hold it.
        let jwk = self.rsa.jwk();
        let modulus = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap_or_default()).unwrap_or_default();
        let secrets = [Vec::new(), modulus, jwk["n"].to_string().into(), jwk.to_string().into()];
        for (name, algorithm) in
            [("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)]
        {
            let header = changed(&self.rsa.header(), "alg", Some(name.into())).to_string();
            for (number, secret) in secrets.iter().enumerate() {
                let tag = |message: &[u8]| hmac::sign(&hmac::Key::new(algorithm, secret), message).as_ref().to_vec();
                let text = signed_with(header.as_bytes(), claims.as_bytes(), tag);
                self.add("RFC 8725, section 2.1", format!("{name} with the public key, form {number}"), text);
            }
        }
        for (signer, other) in [(self.rsa, self.curve), (self.curve, self.rsa)] {
            let header = changed(&signer.header(), "kid", Some(other.id.clone().into()));
            self.add(
                "RFC 8725, section 3.1",
                format!("{} by a key for {}", signer.algorithm, other.algorithm),
                signer.token(&header, &self.claims),
            );
            let header = changed(&signer.header(), "alg", Some(other.algorithm.into()));
            self.add(
                "RFC 8725, section 3.1",
                format!("{} said to be {}", signer.algorithm, other.algorithm),
                signer.token(&header, &self.claims),
            );
        }
        for name in ["PS256", "RS384", "RS512", "EdDSA", "ES384"] {
            self.header("RFC 7518, section 3.1", "alg", Some(name.into()));
        }
    }

    fn signatures(&mut self) {
        const RULE: &str = "RFC 7515, section 5.2";
        let good = self.good();
        let Some((signed, signature)) = good.rsplit_once('.') else { return };
        self.add(RULE, "no signature", format!("{signed}."));
        self.add(RULE, "half a signature", format!("{signed}.{}", &signature[..signature.len() / 2]));
        self.add(RULE, "the signature twice", format!("{signed}.{signature}{signature}"));
        let other = changed(&self.claims, "tenant", Some("globex".into()));
        let swapped = unsigned(self.rsa.header().to_string().as_bytes(), other.to_string().as_bytes());
        self.add(RULE, "the signature of another token", format!("{swapped}.{signature}"));
        let (header, claims) = (self.curve.header().to_string(), self.claims.to_string());
        let curve = |signature: Vec<u8>| signed_with(header.as_bytes(), claims.as_bytes(), |_| signature);
        let zeros = [curve(vec![0; 64]), curve([vec![0; 31], vec![1], vec![0; 32]].concat())];
        let full = [curve(vec![0xff; 64]), curve(Vec::new()), curve(vec![1; 63])];
        for (number, text) in zeros.into_iter().chain(full).enumerate() {
            self.add("RFC 7518, section 3.4", format!("a curve's signature of no meaning, {number}"), text);
        }
        let der = signed_with(header.as_bytes(), claims.as_bytes(), |message| der(&self.curve.signature(message)));
        self.add("RFC 7518, section 3.4", "a curve's signature as DER", der);
        let stranger = SigningKey::new(&self.curve.id, "ES256");
        self.add(RULE, "a stranger's key of the same name", stranger.token(&stranger.header(), &self.claims));
    }

    /// The other members of the header.
    fn headers(&mut self) {
        let stranger = SigningKey::new("stranger", "ES256");
        for (rule, name, value) in [
            ("RFC 8725, section 3.10", "jku", json!("https://stranger.example/keys")),
            ("RFC 8725, section 3.10", "x5u", json!("https://stranger.example/certificate")),
            ("RFC 7515, section 4.1.3", "jwk", stranger.jwk()),
            ("RFC 7515, section 4.1.6", "x5c", json!(["MIIB"])),
        ] {
            let header = changed(&stranger.header(), name, Some(value.clone()));
            self.add(rule, format!("a stranger's key, with {name}"), stranger.token(&header, &self.claims));
            let header = changed(
                &changed(&stranger.header(), name, Some(value.clone())),
                "kid",
                Some(self.curve.id.clone().into()),
            );
            self.add(rule, format!("a stranger's key, with {name} and our kid"), stranger.token(&header, &self.claims));
            self.header(rule, name, Some(value));
        }
        for value in [
            json!([]),
            json!(["exp"]),
            json!(["http://example.com/unknown"]),
            json!("exp"),
            json!(null),
            json!(["b64"]),
        ] {
            self.header("RFC 7515, section 4.1.11", "crit", Some(value));
        }
        self.header("RFC 7797, section 6", "b64", Some(json!(false)));
        self.header("RFC 7516, section 4.1.3", "zip", Some(json!("DEF")));
        self.header("RFC 7516, section 4.1.2", "enc", Some(json!("A128GCM")));
        self.header("RFC 8725, section 3.3", "cty", Some(json!("JWT")));
        for value in [
            None,
            Some(json!("logout+jwt")),
            Some(json!("dpop+jwt")),
            Some(json!("secevent+jwt")),
            Some(json!("JOSE")),
            Some(json!("")),
            Some(json!(1)),
            Some(json!(["at+jwt"])),
        ] {
            self.header("RFC 9068, section 4", "typ", value);
        }
    }

    fn key_ids(&mut self) {
        let rsa = self.rsa.id.clone();
        for value in [json!(1), json!(null), json!([rsa]), json!({"id": rsa}), json!(true)] {
            self.header("RFC 7515, section 4.1.4", "kid", Some(value));
        }
        for text in [
            "",
            "../../../../dev/null",
            "/etc/passwd/../../dev/null",
            "' or '1'='1",
            "x' union select 'key",
            "key|cat /etc/passwd",
            "$(id)",
            "key\u{0}",
            "key\nalg: none",
            "{{7*7}}",
            "<script>",
            "nobody's",
        ] {
            self.header("RFC 8725, section 3.10", "kid", Some(text.into()));
        }
        self.header("RFC 8725, section 3.10", "kid", Some("k".repeat(1_000).into()));
        self.header("RFC 8725, section 3.10", "kid", Some(format!(" {rsa}").into()));
    }

    fn times(&mut self, now: i64) {
        for value in [
            None,
            Some(json!(null)),
            Some(json!((now + 3_600).to_string())),
            Some(json!("never")),
            Some(json!(true)),
            Some(json!([now + 3_600])),
            Some(json!({"seconds": now + 3_600})),
            Some(json!(now - 1)),
            Some(json!(now)),
            Some(json!(now - 3_600)),
            Some(json!(0)),
            Some(json!(-1)),
            Some(json!(1e300)),
            Some(json!(u64::MAX)),
            Some(json!((now + 3_600) * 1_000)),
        ] {
            self.claim("RFC 7519, section 4.1.4", "exp", value);
        }
        for value in [json!(now + 3_600), json!(now + 60), json!("0"), json!(null), json!(-1), json!([]), json!(1e300)]
        {
            self.claim("RFC 7519, section 4.1.5", "nbf", Some(value));
        }
        for value in [json!(now + 3_600), json!("0"), json!(null)] {
            self.claim("RFC 7519, section 4.1.6", "iat", Some(value));
        }
    }

    fn issuers(&mut self, issuer: &str) {
        for value in [
            None,
            Some(json!(null)),
            Some(json!("")),
            Some(json!("https://stranger.example")),
            Some(json!(format!("{issuer}/"))),
            Some(json!(format!("{issuer}#"))),
            Some(json!(format!(" {issuer}"))),
            Some(json!(issuer.to_uppercase())),
            Some(json!([issuer])),
            Some(json!({"url": issuer})),
        ] {
            self.claim("RFC 8725, section 3.8", "iss", value);
        }
    }

    fn audiences(&mut self) {
        for value in [
            None,
            Some(json!(null)),
            Some(json!("")),
            Some(json!("other")),
            Some(json!("convoke2")),
            Some(json!("conv")),
            Some(json!("Convoke")),
            Some(json!("other convoke")),
            Some(json!([])),
            Some(json!(["other"])),
            Some(json!(["convoke", 1])),
            Some(json!([["convoke"]])),
            Some(json!({"convoke": true})),
            Some(json!(1)),
        ] {
            self.claim("RFC 8725, section 3.9", "aud", value);
        }
    }

    /// Whose it is, and what for.
    fn people(&mut self) {
        let long = "x".repeat(256);
        for value in [
            None,
            Some(json!(null)),
            Some(json!("")),
            Some(json!(7)),
            Some(json!(["ann"])),
            Some(json!(long)),
            Some(json!("ann\u{0}")),
        ] {
            self.claim("RFC 9068, section 2.2", "sub", value);
        }
        for value in [
            None,
            Some(json!(null)),
            Some(json!("")),
            Some(json!(7)),
            Some(json!(["acme"])),
            Some(json!({"acme": true})),
            Some(json!("acme globex")),
            Some(json!("../globex")),
            Some(json!("acme'--")),
            Some(json!("x".repeat(65))),
        ] {
            self.claim("RFC 7519, section 7.2 (a claim of ours)", "tenant", value);
        }
        for value in
            [json!(7), json!(true), json!({"chats:read": true}), json!([["chats:read"]]), json!(["chats:read", 1])]
        {
            self.claim("RFC 9068, section 2.2.3", "scope", Some(value));
        }
        self.claim("RFC 8725, section 3.12", "at_hash", Some(json!("77QmUPtjPfzWtF2AnpK9RQ")));
        self.claim("RFC 8725, section 3.12", "c_hash", Some(json!("77QmUPtjPfzWtF2AnpK9RQ")));
        let logout = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
        self.claim("RFC 8417, section 2.2", "events", Some(logout));
        self.claim("RFC 9449, section 7.1", "cnf", Some(json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"})));
        self.claim(
            "RFC 8705, section 3",
            "cnf",
            Some(json!({"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"})),
        );
    }
}

fn changed(object: &Value, name: &str, value: Option<Value>) -> Value {
    let mut object = object.clone();
    if let (Some(members), None) = (object.as_object_mut(), &value) {
        members.remove(name);
    } else if let Some(value) = value {
        object[name] = value;
    }
    object
}

/// A curve's signature in the form that certificates have it in (RFC 3279, section 2.2.3).
fn der(signature: &[u8]) -> Vec<u8> {
    let number = |bytes: &[u8]| {
        let bytes: Vec<u8> = [0].iter().chain(bytes).copied().collect();
        [&[2, u8::try_from(bytes.len()).unwrap_or_default()][..], &bytes].concat()
    };
    let (r, s) = signature.split_at(signature.len() / 2);
    let both = [number(r), number(s)].concat();
    [&[0x30, u8::try_from(both.len()).unwrap_or_default()][..], &both].concat()
}
