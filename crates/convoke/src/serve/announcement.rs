//! What a start tells on standard output, as plain text, and the first token.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    net::SocketAddr,
};

use convoke_domain::{Scope, TenantId};
use convoke_store::Store;

use crate::{environment::SystemEnvironment, failure::Failure, settings::PublicUrl};

/// Whose the first token is.
const TENANT: &str = "default";
/// Who holds it.
const SUBJECT: &str = "first-token";

/// Tells where the service listens; if it `may_have_token` and has none, makes the first one and tells how to begin.
pub async fn announce(
    store: &dyn Store,
    may_have_token: bool,
    address: SocketAddr,
    url: &PublicUrl,
    swagger_ui: bool,
) -> Result<(), Failure> {
    let mut text = format!("Convoke listens on http://{address}\n");
    if may_have_token && store.list_tokens().await?.is_empty() {
        let token = first_token(store).await?;
        text.push_str(&welcome(&token, url, swagger_ui));
    } else if swagger_ui {
        // Writing to a string can't fail.
        let _ = writeln!(text, "Swagger UI: {}/swagger-ui/", url.as_str());
    }
    // Nobody may be listening: the service runs all the same.
    let mut output = io::stdout().lock();
    let _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
    Ok(())
}

async fn first_token(store: &dyn Store) -> Result<String, Failure> {
    let tenant: TenantId = TENANT.parse().expect("it is the name of a tenant");
    let (plain, kept) = convoke_api::mint(&SystemEnvironment, tenant, SUBJECT.to_owned(), Scope::ALL.to_vec(), None);
    store.create_token(&kept).await?;
    Ok(plain.expose().to_owned())
}

fn welcome(token: &str, url: &PublicUrl, swagger_ui: bool) -> String {
    let url = url.as_str();
    let explore = if swagger_ui { format!("Swagger UI: {url}/swagger-ui/\n") } else { String::new() };
    format!(
        "{explore}\
         Token: {token}\n\
         \n\
         The token opens everything of the tenant `{TENANT}` and is not shown again. Register a chat with it:\n\
         \n\
         curl {} \\\n  \
         -H 'Authorization: Bearer {token}' \\\n  \
         -H 'Content-Type: application/json' \\\n  \
         -d '{{\"title\": \"My first chat\"}}'\n\
         \n",
        quoted(&format!("{url}/api/v1/private/chats"))
    )
}

/// A URL as a word of the shell.
fn quoted(url: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ":/.-_~".contains(c);
    if url.chars().all(is_plain) { url.to_owned() } else { format!("'{}'", url.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_welcome_can_be_pasted() {
        let url = "http://127.0.0.1:8080".parse().unwrap();
        let text = welcome("cvk_x_y", &url, true);
        assert!(text.contains("\nToken: cvk_x_y\n"), "{text}");
        assert!(text.contains("Swagger UI: http://127.0.0.1:8080/swagger-ui/\n"), "{text}");
        let command = "\ncurl http://127.0.0.1:8080/api/v1/private/chats \\\n  -H 'Authorization: Bearer cvk_x_y' \\\n  \
                       -H 'Content-Type: application/json' \\\n  -d '{\"title\": \"My first chat\"}'\n";
        assert!(text.contains(command), "{text}");
        assert!(!welcome("cvk_x_y", &url, false).contains("Swagger"));
    }

    #[test]
    fn a_url_is_one_word() {
        assert_eq!(quoted("http://localhost:1/a"), "http://localhost:1/a");
        assert_eq!(quoted("http://[::1]:1/a"), "'http://[::1]:1/a'");
    }
}
