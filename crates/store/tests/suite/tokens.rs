//! Bearer tokens, by their hash.

use convoke_domain::{Environment, Scope, Timestamp, TokenId};
use convoke_store::{NewToken, StoredToken};

use crate::world::{World, second, tenant};

fn token(world: &World, prefix: &str, created_at: Timestamp) -> NewToken {
    NewToken {
        id: TokenId(world.environment.new_uuid()),
        tenant: tenant("acme"),
        subject: "María Pérez".to_owned(),
        scopes: vec![Scope::ChatsRead, Scope::ChatsWrite],
        prefix: prefix.to_owned(),
        hash: std::array::from_fn(|place| u8::try_from(255 - place).unwrap()),
        created_at,
        expires_at: None,
    }
}

fn assert_same(kept: &NewToken, token: &NewToken) {
    assert_eq!((kept.id, &kept.tenant, &kept.subject), (token.id, &token.tenant, &token.subject));
    assert_eq!((&kept.scopes, &kept.prefix, kept.hash), (&token.scopes, &token.prefix, token.hash));
    assert_eq!((kept.created_at, kept.expires_at), (token.created_at, token.expires_at));
}

async fn find(world: &World, prefix: &str) -> Option<StoredToken> {
    world.store.find_token(prefix).await.expect("an answer")
}

pub async fn a_token_is_found_by_its_prefix(world: &mut World) {
    let lasting = token(world, "aaaa", second(0));
    let expired = NewToken { expires_at: Some(second(1)), scopes: Vec::new(), ..token(world, "bbbb", second(0)) };
    world.store.create_token(&lasting).await.unwrap();
    world.store.create_token(&expired).await.unwrap();
    world.reopen().await;
    for expected in [&lasting, &expired] {
        let found = find(world, &expected.prefix).await.expect("it is kept");
        assert_same(&found.token, expected);
        assert_eq!(found.revoked_at, None);
    }
    for unknown in ["", "aaa", "aaaaa", "AAAA", "a%"] {
        assert!(find(world, unknown).await.is_none(), "{unknown}");
    }
}

pub async fn tokens_are_listed_newest_first(world: &World) {
    assert!(world.store.list_tokens().await.unwrap().is_empty());
    let tokens = [token(world, "b", second(2)), token(world, "a", second(3)), token(world, "c", second(1))];
    for token in &tokens {
        world.store.create_token(token).await.unwrap();
    }
    world.store.revoke_token(tokens[0].id, second(5)).await.unwrap();
    let listed = world.store.list_tokens().await.unwrap();
    let shown: Vec<_> = listed.iter().map(|stored| (stored.token.prefix.as_str(), stored.revoked_at)).collect();
    assert_eq!(shown, [("a", None), ("b", Some(second(5))), ("c", None)]);
}

pub async fn a_revoked_token_stays_revoked_as_it_was(world: &World) {
    let (one, other) = (token(world, "one", second(0)), token(world, "other", second(0)));
    world.store.create_token(&one).await.unwrap();
    world.store.create_token(&other).await.unwrap();
    assert!(!world.store.revoke_token(TokenId(world.environment.new_uuid()), second(1)).await.unwrap());
    assert!(world.store.revoke_token(one.id, second(1)).await.unwrap());
    assert!(world.store.revoke_token(one.id, second(2)).await.unwrap(), "it is there");
    let found = find(world, "one").await.expect("revoked ones are found too");
    assert_same(&found.token, &one);
    assert_eq!(found.revoked_at, Some(second(1)));
    assert_eq!(find(world, "other").await.unwrap().revoked_at, None);
}

pub async fn a_prefix_is_one_tokens(world: &World) {
    let first = token(world, "same", second(0));
    world.store.create_token(&first).await.unwrap();
    assert!(world.store.create_token(&token(world, "same", second(1))).await.is_err());
    assert_same(&find(world, "same").await.unwrap().token, &first);
}
