//! What a start tells on standard output, as plain text, and the first token.

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use convoke_domain::{Scope, TenantId};
use convoke_store::{Store, StoreError};
use tokio::time::sleep;

use crate::{audit, environment::SystemEnvironment, settings::PublicUrl};

/// Whose the first token is.
const TENANT: &str = "default";
/// Who holds it.
const SUBJECT: &str = "first-token";

/// How long until it is looked again whether the schema is there.
const SCHEMA_PAUSE: Duration = Duration::from_millis(500);

/// Tells where the service listens; if it `may_have_token` and has none, makes the first one and tells how to begin.
pub async fn announce(
    store: &Arc<dyn Store>,
    may_have_token: bool,
    address: SocketAddr,
    url: &PublicUrl,
    swagger_ui: bool,
) {
    let swagger = if swagger_ui { format!("Swagger UI: {}/swagger-ui/\n", url.as_str()) } else { String::new() };
    print(&format!("Convoke listens on http://{address}\n{swagger}"));
    if !may_have_token {
        return;
    }
    match first_token(&**store).await {
        Ok(token) => welcome(token.as_deref(), url),
        Err(error) => {
            // Where migrations are somebody else's job, the schema may come later.
            tracing::warn!(%error, "the first token waits for the database");
            let (store, url) = (store.clone(), url.clone());
            tokio::spawn(async move {
                loop {
                    sleep(SCHEMA_PAUSE).await;
                    if let Ok(token) = first_token(&*store).await {
                        return welcome(token.as_deref(), &url);
                    }
                }
            });
        }
    }
}

/// Makes the first token, if there is none of any kind.
async fn first_token(store: &dyn Store) -> Result<Option<String>, StoreError> {
    if !store.list_tokens().await?.is_empty() {
        return Ok(None);
    }
    let tenant: TenantId = TENANT.parse().expect("it is the name of a tenant");
    let (plain, kept) = convoke_api::mint(&SystemEnvironment, tenant, SUBJECT.to_owned(), Scope::ALL.to_vec(), None);
    store.create_token(&kept).await?;
    audit::token_created(&kept);
    Ok(Some(plain.expose().to_owned()))
}

fn welcome(token: Option<&str>, url: &PublicUrl) {
    if let Some(token) = token {
        print(&welcome_text(token, url));
    }
}

/// Writes to standard output. Nobody may be listening: the service runs all the same.
fn print(text: &str) {
    let mut output = io::stdout().lock();
    let _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
}

fn welcome_text(token: &str, url: &PublicUrl) -> String {
    format!(
        "Token: {token}\n\
         \n\
         The token opens everything of the tenant `{TENANT}` and is not shown again. Register a chat with it:\n\
         \n\
         curl {} \\\n  \
         -H 'Authorization: Bearer {token}' \\\n  \
         -H 'Content-Type: application/json' \\\n  \
         -d '{{\"title\": \"My first chat\"}}'\n\
         \n",
        quoted(&format!("{}/api/v1/private/chats", url.as_str()))
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
        let text = welcome_text("cvk_x_y", &url);
        assert!(text.starts_with("Token: cvk_x_y\n"), "{text}");
        let command = "\ncurl http://127.0.0.1:8080/api/v1/private/chats \\\n  -H 'Authorization: Bearer cvk_x_y' \\\n  \
                       -H 'Content-Type: application/json' \\\n  -d '{\"title\": \"My first chat\"}'\n";
        assert!(text.contains(command), "{text}");
    }

    #[test]
    fn a_url_is_one_word() {
        assert_eq!(quoted("http://localhost:1/a"), "http://localhost:1/a");
        assert_eq!(quoted("http://[::1]:1/a"), "'http://[::1]:1/a'");
    }
}
