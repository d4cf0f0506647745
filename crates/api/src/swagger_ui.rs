//! Swagger UI: its files as they come, but for the page, and with a log-in where an issuer lets people in.
//!
//! The OpenAPI document is the same in every installation, so it knows nothing of issuers. What Swagger UI is given
//! instead, if there is one, is the same document with the log-in as a second way to get a token.

use std::{collections::HashMap, sync::Arc};

use actix_web::{HttpResponse, get, http::header, web};
use convoke_domain::Scope;
use convoke_oidc::Login;
use serde_json::{Value, json};
use utoipa_swagger_ui::{Config, oauth};

use crate::{
    problem::{Problem, ProblemKind},
    state::ApiState,
};

/// Swagger UI's page, with a title and a language of our own.
const PAGE: &str = include_str!("../templates/swagger-ui.html");
/// What mends Swagger UI's own style, and the controls that it leaves without a name.
const STYLE: &str = include_str!("../templates/swagger-ui.css");
const SCRIPT: &str = include_str!("../templates/swagger-ui.js");

/// The document with a log-in, below Swagger UI's own path.
const DOCUMENT: &str = "/swagger-ui/openapi.json";
/// What the log-in is called in it.
const SCHEME: &str = "login";

#[get("/swagger-ui/{file:.*}")]
pub(crate) async fn swagger_ui(path: web::Path<String>, state: web::Data<ApiState>) -> Result<HttpResponse, Problem> {
    let login = state.settings.issuers.login();
    let (content_type, bytes) = match (path.as_str(), &login) {
        ("" | "index.html", _) => ("text/html; charset=utf-8".to_owned(), PAGE.into()),
        ("convoke.css", _) => ("text/css; charset=utf-8".to_owned(), STYLE.into()),
        ("convoke.js", _) => ("text/javascript; charset=utf-8".to_owned(), SCRIPT.into()),
        ("openapi.json", Some(login)) => ("application/json".to_owned(), document(&state.openapi_json, login)?),
        (path, login) => vendored(path, config(login.as_ref()))?,
    };
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_SECURITY_POLICY, policy(login.as_ref())))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .content_type(content_type)
        .body(bytes))
}

/// Swagger UI loads its own files and asks its own service, and the issuer for a token if there is a log-in, and nothing
/// else; its style sheet has small pictures within. No script and no style is allowed in the page itself
/// (`crates/browser-tests` sees to it that this is enough).
fn policy(login: Option<&Login>) -> String {
    let issuer = login.map(|login| format!(" {}", login.token_endpoint.origin())).unwrap_or_default();
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'{issuer}; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

fn config(login: Option<&Login>) -> Config<'static> {
    let config = match login {
        None => Config::new(["/openapi.json"]),
        Some(login) => {
            let scopes = Scope::ALL.iter().map(|scope| scope.as_str().to_owned()).collect();
            let audience = HashMap::from([("audience".to_owned(), login.audience.clone())]);
            let oauth = oauth::Config::new()
                .client_id(&login.client)
                .scopes(scopes)
                // Some issuers make a token for this service only if they are asked for one.
                .additional_query_string_params(audience)
                .use_pkce_with_authorization_code_grant(true);
            Config::with_oauth_config([DOCUMENT], oauth)
        }
    };
    config
        // The public validator would be asked about every document that is not on localhost.
        .validator_url("none")
        // Without the bar on top, which asks for the address of a document.
        .use_base_layout()
        .display_operation_id(true)
        .display_request_duration(true)
        .try_it_out_enabled(true)
}

/// The document, with the log-in beside the token wherever one is asked for.
fn document(json: &[u8], login: &Login) -> Result<web::Bytes, Problem> {
    let mut document: Value = serde_json::from_slice(json).map_err(|_| Problem::internal())?;
    let scopes: serde_json::Map<_, _> = Scope::ALL.iter().map(|scope| (scope.to_string(), json!(""))).collect();
    document["components"]["securitySchemes"][SCHEME] = json!({
        "type": "oauth2",
        "description": "Log in where this installation has its tokens from.",
        "flows": {"authorizationCode": {
            "authorizationUrl": login.authorization_endpoint.as_str(),
            "tokenUrl": login.token_endpoint.as_str(),
            "scopes": scopes,
        }},
    });
    let paths = document["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut());
    for operation in paths.filter_map(Value::as_object_mut).flat_map(|item| item.values_mut()) {
        let Some(ways) = operation.get_mut("security").and_then(Value::as_array_mut) else { continue };
        let same: Vec<_> =
            ways.iter().filter_map(|way| way.get("bearer")).map(|scopes| json!({ SCHEME: scopes })).collect();
        ways.extend(same);
    }
    Ok(document.to_string().into())
}

/// A file of Swagger UI as it comes: its type and what is in it.
fn vendored(path: &str, config: Config<'static>) -> Result<(String, web::Bytes), Problem> {
    let file = utoipa_swagger_ui::serve(path, Arc::new(config)).map_err(|error| {
        tracing::error!(%error, "Swagger UI can't be served");
        Problem::internal()
    })?;
    let file = file.ok_or_else(|| Problem::new(ProblemKind::NotFound, "There is nothing under this path."))?;
    Ok((file.content_type, file.bytes.into_owned().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_in_is_beside_every_token() {
        let login = Login {
            client: "swagger".to_owned(),
            audience: "convoke".to_owned(),
            authorization_endpoint: "https://login.example.org/authorize".parse().unwrap(),
            token_endpoint: "https://login.example.org/token".parse().unwrap(),
        };
        let plain = crate::openapi_json();
        let with: Value = serde_json::from_slice(&document(plain.as_bytes(), &login).unwrap()).unwrap();
        let flow = &with["components"]["securitySchemes"]["login"]["flows"]["authorizationCode"];
        assert_eq!(flow["tokenUrl"], "https://login.example.org/token");
        let security = &with["paths"]["/api/v1/private/chats"]["post"]["security"];
        assert_eq!(security, &json!([{"bearer": ["chats:write"]}, {"login": ["chats:write"]}]));
        assert_eq!(with["paths"]["/openapi.json"]["get"]["security"], json!([{}]));
        assert!(policy(Some(&login)).contains("connect-src 'self' https://login.example.org;"));
        assert!(policy(None).contains("connect-src 'self';"));
    }
}
