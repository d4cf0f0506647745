//! `convoke token create`, `list` and `revoke`.

use convoke_domain::{Environment as _, Timestamp};
use convoke_store::{Store, StoredToken};

use crate::{
    audit,
    command_line::{NewTokenArguments, TokenCommand},
    commands::{open, print},
    environment::SystemEnvironment,
    failure::Failure,
    settings::{Layers, Settings},
    table::table,
};

/// Does what is asked for with tokens.
pub async fn token(layers: &Layers, settings: &Settings, command: TokenCommand) -> Result<(), Failure> {
    let store = open(layers, settings, settings.database.migrate.0).await?;
    match command {
        TokenCommand::Create(arguments) => create(&*store, arguments).await,
        TokenCommand::List => print(&shown(&store.list_tokens().await?)),
        TokenCommand::Revoke { id } => {
            if store.revoke_token(id, SystemEnvironment.now()).await? {
                audit::token_revoked(id);
                print(&format!("The token {id} is revoked.\n"))
            } else {
                Err(Failure::new(format!("there is no token {id}; `convoke token list` shows those that there are")))
            }
        }
    }
}

async fn create(store: &dyn Store, arguments: NewTokenArguments) -> Result<(), Failure> {
    let mut scopes = arguments.scopes;
    scopes.sort();
    scopes.dedup();
    let (plain, kept) =
        convoke_api::mint(&SystemEnvironment, arguments.tenant, arguments.subject, scopes, arguments.ttl);
    store.create_token(&kept).await?;
    audit::token_created(&kept);
    print(&format!("{}\n", plain.expose()))
}

const HEADINGS: [&str; 7] = ["id", "tenant", "subject", "scopes", "created", "ends", "revoked"];

/// The tokens as a table; without their secrets, which nobody knows any more.
fn shown(tokens: &[StoredToken]) -> String {
    table(HEADINGS, tokens.iter().map(row))
}

fn row(stored: &StoredToken) -> [String; HEADINGS.len()] {
    let token = &stored.token;
    let instant = |at: Option<Timestamp>, none: &str| at.map_or_else(|| none.to_owned(), |at| at.to_string());
    let scopes: Vec<_> = token.scopes.iter().map(ToString::to_string).collect();
    [
        token.id.to_string(),
        token.tenant.to_string(),
        token.subject.clone(),
        if scopes.is_empty() { "-".to_owned() } else { scopes.join(",") },
        token.created_at.to_string(),
        instant(token.expires_at, "never"),
        instant(stored.revoked_at, "-"),
    ]
}

#[cfg(test)]
mod tests {
    use convoke_domain::Scope;

    use super::*;

    #[test]
    fn a_table_has_its_columns_under_each_other() {
        let tenant = "acme".parse().unwrap();
        let (plain, kept) =
            convoke_api::mint(&SystemEnvironment, tenant, "billing service".to_owned(), Scope::ALL.to_vec(), None);
        let text = shown(&[StoredToken { token: kept.clone(), revoked_at: None }]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[1].starts_with(&kept.id.to_string()));
        for (heading, cell) in [("tenant", "acme"), ("subject", "billing"), ("scopes", "chats:read,chats:write")] {
            assert_eq!(lines[0].find(heading), lines[1].find(cell), "{text}");
        }
        assert!(!text.contains(plain.expose()) && !text.contains(&kept.prefix));
    }
}
