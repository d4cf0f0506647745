//! The issuers whose tokens are taken: a list of tables in the file, the same as JSON in the environment and in flags.

use std::fmt;

use convoke_domain::TenantId;
use convoke_oidc::{Address, Issuer};
use serde::{
    Deserialize, Deserializer,
    de::{self, SeqAccess, Visitor},
};

/// An issuer as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    issuer: String,
    audience: String,
    #[serde(default = "default_tenant_claim", alias = "tenantClaim")]
    tenant_claim: String,
    #[serde(default = "default_scope_claim", alias = "scopeClaim")]
    scope_claim: String,
    #[serde(default)]
    tenants: Vec<String>,
    #[serde(alias = "swaggerUiClient")]
    swagger_ui_client: Option<String>,
}

fn default_tenant_claim() -> String {
    "tenant".to_owned()
}

fn default_scope_claim() -> String {
    "scope".to_owned()
}

/// Reads the list.
pub fn issuers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Issuer>, D::Error> {
    deserializer.deserialize_any(Issuers)
}

struct Issuers;

impl<'de> Visitor<'de> for Issuers {
    type Value = Vec<Issuer>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<Issuer>, E> {
        if text.trim().is_empty() {
            return Ok(Vec::new());
        }
        // What JSON's reader says of a place in the text would be the only thing that is told; that it is none, is enough.
        let written: Vec<Written> = serde_json::from_str(text)
            .map_err(|error| E::custom(if error.is_data() { error.to_string() } else { "it is no JSON".to_owned() }))?;
        read_all(written).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<Issuer>, A::Error> {
        let mut written = Vec::new();
        while let Some(one) = list.next_element()? {
            written.push(one);
        }
        read_all(written).map_err(de::Error::custom)
    }
}

fn read_all(written: Vec<Written>) -> Result<Vec<Issuer>, String> {
    let mut issuers: Vec<Issuer> = Vec::new();
    for one in written {
        let issuer = read(one)?;
        if issuers.iter().any(|known| known.address == issuer.address) {
            return Err(format!("{} comes twice", issuer.address));
        }
        issuers.push(issuer);
    }
    Ok(issuers)
}

fn read(written: Written) -> Result<Issuer, String> {
    // Without the address: it may hold a password.
    let address: Address = written.issuer.parse().map_err(|error| format!("{error}"))?;
    for (name, text) in [
        ("audience", Some(&written.audience)),
        ("tenant_claim", Some(&written.tenant_claim)),
        ("scope_claim", Some(&written.scope_claim)),
        ("swagger_ui_client", written.swagger_ui_client.as_ref()),
    ] {
        if text.is_some_and(|text| text.trim().is_empty()) {
            return Err(format!("{name} of {address} is empty"));
        }
    }
    let tenant = |name: &String| {
        name.parse::<TenantId>()
            .map_err(|mistake| format!("'{name}' among the tenants of {address} {}", mistake.detail))
    };
    Ok(Issuer {
        tenants: written.tenants.iter().map(tenant).collect::<Result<_, _>>()?,
        address,
        audience: written.audience,
        tenant_claim: written.tenant_claim,
        scope_claim: written.scope_claim,
        swagger_ui_client: written.swagger_ui_client,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_json(text: &str) -> Result<Vec<Issuer>, String> {
        Issuers.visit_str::<serde_json::Error>(text).map_err(|error| error.to_string())
    }

    #[test]
    fn claims_have_names_if_none_are_said() {
        let issuers = of_json(r#"[{"issuer": "https://h/a", "audience": "convoke"}]"#).unwrap();
        assert_eq!((issuers[0].tenant_claim.as_str(), issuers[0].scope_claim.as_str()), ("tenant", "scope"));
        assert_eq!(of_json(" "), Ok(Vec::new()));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, why) in [
            ("x", "it is no JSON"),
            ("[{}]", "missing field `issuer`"),
            (r#"[{"issuer": "https://h"}]"#, "missing field `audience`"),
            (r#"[{"issuer": "https://h", "audience": "a", "more": 1}]"#, "unknown field `more`"),
            (r#"[{"issuer": "http://h", "audience": "a"}]"#, "https"),
            (r#"[{"issuer": "https://h", "audience": " "}]"#, "audience of https://h is empty"),
            (r#"[{"issuer": "https://h", "audience": "a", "tenants": ["a b"]}]"#, "'a b' among the tenants"),
            (r#"[{"issuer": "https://h", "audience": "a"}, {"issuer": "https://h", "audience": "b"}]"#, "comes twice"),
        ] {
            let error = of_json(text).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        let error = of_json(r#"[{"issuer": "https://ann:secret@h", "audience": "a"}]"#).unwrap_err();
        assert!(!error.contains("secret"), "{error}");
    }
}
