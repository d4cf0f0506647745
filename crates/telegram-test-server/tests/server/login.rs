//! Logging in and out.

use std::net::{Ipv4Addr, SocketAddrV4};

use convoke_telegram_test_server::TestServer;
use grammers_client::session::Session;
use grammers_client::{SignInError, tl};

use crate::client::{connect, connect_to, one_account, refusal};

#[tokio::test]
async fn a_code_logs_in_and_logging_out_ends_it() {
    let server = TestServer::start();
    let ada = server.new_user("Ada", "Lovelace", "ada");
    let session = server.new_key();
    let connected = connect(&session).await;
    assert!(!connected.client.is_authorized().await.expect("told"));

    let phone = server.phone(ada);
    let token = connected.client.request_login_code(&phone, "hash").await.expect("a code");
    let wrong = connected.client.sign_in(&token, "00000").await;
    assert!(matches!(wrong, Err(SignInError::InvalidCode)));
    let code = server.login_code(&phone).expect("a code was sent");
    let me = connected.client.sign_in(&token, &code).await.expect("in");
    assert_eq!((me.first_name(), me.username()), (Some("Ada"), Some("ada")));
    assert_eq!((server.key(&session).user, server.login_code(&phone)), (Some(ada), None));

    connected.client.sign_out().await.expect("out");
    assert_eq!(refusal(connected.client.get_me().await), (401, "AUTH_KEY_UNREGISTERED".to_owned()));
}

#[tokio::test]
async fn a_password_is_asked_for_and_checked() {
    let server = TestServer::start();
    let ada = server.new_user("Ada", "", "");
    server.set_password(ada, "correct horse");
    let connected = connect(&server.new_key()).await;
    let phone = server.phone(ada);
    for (password, right) in [("wrong horse", false), ("correct horse", true)] {
        let token = connected.client.request_login_code(&phone, "hash").await.expect("a code");
        let code = server.login_code(&phone).expect("a code was sent");
        let Err(SignInError::PasswordRequired(token)) = connected.client.sign_in(&token, &code).await else {
            panic!("a password is needed")
        };
        assert_eq!(connected.client.check_password(token, password).await.is_ok(), right);
    }
}

#[tokio::test]
async fn a_shown_token_logs_in_once_it_is_accepted() {
    let server = TestServer::start();
    let ada = server.new_user("Ada", "", "");
    let connected = connect(&server.new_key()).await;
    let export = tl::functions::auth::ExportLoginToken { api_id: 1, api_hash: String::new(), except_ids: Vec::new() };
    let shown = connected.client.invoke(&export).await.expect("a token");
    let tl::enums::auth::LoginToken::Token(shown) = shown else { panic!("one to show") };
    assert!(!server.accept_login_token(ada, b"another"));
    assert!(server.accept_login_token(ada, &shown.token));
    let accepted = connected.client.invoke(&export).await.expect("in");
    assert!(matches!(accepted, tl::enums::auth::LoginToken::Success(_)));
    assert_eq!(connected.client.get_me().await.expect("myself").first_name(), Some("Ada"));
}

#[tokio::test]
async fn other_addresses_are_announced_only_when_told_to() {
    let (server, owner, id, _) = one_account().await;
    assert!(owner.session.dc_option(4).expect("memory").is_none());
    let elsewhere = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9);
    server.announce(4, elsewhere);
    let again = connect(&server.session(id)).await;
    assert_eq!(again.session.dc_option(4).expect("memory").expect("told").ipv4, elsewhere);
}

#[tokio::test]
async fn a_key_that_the_server_does_not_know_gets_nowhere() {
    let (other, server) = (TestServer::start(), TestServer::start());
    let stranger = server.session(server.new_user("Stranger", "", ""));
    // The same key, offered to the other server: it answers with the transport's 404, and serves no handshake.
    let moved = connect_to(&stranger, other.address()).await;
    assert!(moved.client.get_me().await.is_err());
    assert!(other.calls().is_empty());
}
