//! Keys that change, issuers that are away: with a clock that is put forward.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use convoke_domain::Environment;
use convoke_oidc::{Issuers, KeySource, Principal, Published, Refusal, SourceError, VerifyError};
use convoke_test_support::{
    TestEnvironment,
    jwt::{SigningKey, claims},
};
use tokio::time::{advance, timeout};

use crate::support::{ISSUER, issuer, key_set};

/// An issuer of which a test decides what it answers.
#[derive(Debug, Clone, Default)]
struct Told(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    keys: Vec<Arc<SigningKey>>,
    asked: usize,
    is_away: bool,
    /// How long it takes to answer.
    pause: Duration,
}

#[async_trait]
impl KeySource for Told {
    async fn fetch(&self) -> Result<Published, SourceError> {
        let pause = {
            let mut state = self.0.lock().unwrap();
            state.asked += 1;
            state.pause
        };
        tokio::time::sleep(pause).await;
        let state = self.0.lock().unwrap();
        if state.is_away {
            return Err(SourceError::new("away"));
        }
        let keys: Vec<&SigningKey> = state.keys.iter().map(AsRef::as_ref).collect();
        Ok(Published { keys: key_set(&keys), authorization_endpoint: None, token_endpoint: None })
    }
}

struct World {
    issuer: Told,
    issuers: Arc<Issuers>,
    environment: TestEnvironment,
}

impl World {
    /// An issuer that publishes this key, or is away from the beginning.
    async fn new(key: Option<&Arc<SigningKey>>) -> Self {
        let told = Told::default();
        told.0.lock().unwrap().is_away = key.is_none();
        told.0.lock().unwrap().keys = key.into_iter().cloned().collect();
        let environment = TestEnvironment::new();
        let shared: Arc<dyn Environment> = Arc::new(environment.clone());
        let source: Box<dyn KeySource> = Box::new(told.clone());
        let issuers = Arc::new(Issuers::watch([(issuer(ISSUER), source)], &shared));
        // The background asks first.
        tokio::time::sleep(Duration::from_millis(1)).await;
        Self { issuer: told, issuers, environment }
    }

    fn now_publishes(&self, keys: &[&Arc<SigningKey>]) {
        self.issuer.0.lock().unwrap().keys = keys.iter().map(|key| (*key).clone()).collect();
    }

    fn set_away(&self, is_away: bool) {
        self.issuer.0.lock().unwrap().is_away = is_away;
    }

    fn asked(&self) -> usize {
        self.issuer.0.lock().unwrap().asked
    }

    /// Lets time go by, for clocks of both kinds.
    async fn pass(&self, duration: Duration) {
        self.environment.advance(duration);
        advance(duration).await;
        // Whatever that has made due is done.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    /// A token that was issued now.
    fn token(&self, key: &SigningKey) -> String {
        key.token(&key.header(), &claims(ISSUER, self.environment.now()))
    }

    async fn verify(&self, token: &str) -> Result<Principal, VerifyError> {
        self.issuers.verify(token, self.environment.now()).await
    }
}

fn key(id: &str) -> Arc<SigningKey> {
    Arc::new(SigningKey::new(id, "ES256"))
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_found_when_a_token_names_it() {
    let (old, new) = (key("old"), key("new"));
    let world = World::new(Some(&old)).await;
    let old_token = world.token(&old);
    world.verify(&old_token).await.unwrap();
    world.now_publishes(&[&old, &new]);
    world.verify(&world.token(&new)).await.unwrap();
    world.verify(&old_token).await.unwrap();
    assert_eq!(world.asked(), 2);
    // Once the old key is withdrawn, and that is known, its tokens are worth nothing.
    world.now_publishes(&[&new]);
    world.pass(Duration::from_mins(5)).await;
    assert_eq!(world.verify(&old_token).await, Err(Refusal::Key.into()));
}

#[tokio::test(start_paused = true)]
async fn unknown_keys_are_asked_for_once_in_thirty_seconds() {
    let world = World::new(Some(&key("ours"))).await;
    let token = world.token(&key("made-up"));
    world.pass(Duration::from_secs(10)).await;
    for _ in 0..100 {
        assert_eq!(world.verify(&token).await, Err(Refusal::Key.into()));
    }
    assert_eq!(world.asked(), 2, "once at the start, once for the key");
    world.pass(Duration::from_secs(30)).await;
    for number in 0..100 {
        // Issued before the issuer was asked, so it would have been published by now.
        let older = key(&format!("made-up-{number}"));
        let mut claims = claims(ISSUER, world.environment.now());
        claims["iat"] = (claims["iat"].as_i64().unwrap() - 60).into();
        assert_eq!(world.verify(&older.token(&older.header(), &claims)).await, Err(Refusal::Key.into()));
    }
    assert_eq!(world.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_rotation_right_after_a_made_up_key_gets_no_401() {
    let (old, new) = (key("old"), key("new"));
    let world = World::new(Some(&old)).await;
    assert_eq!(world.verify(&world.token(&key("made-up"))).await, Err(Refusal::Key.into()));
    world.pass(Duration::from_secs(10)).await;
    world.now_publishes(&[&new]);
    let token = world.token(&new);
    // Nobody may ask again yet, so nobody can tell: try again later.
    assert_eq!(world.verify(&token).await, Err(VerifyError::Unavailable));
    world.pass(Duration::from_secs(20)).await;
    world.verify(&token).await.unwrap();
    assert_eq!(world.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn many_who_name_a_new_key_at_once_ask_once() {
    let (old, new) = (key("old"), key("new"));
    let world = World::new(Some(&old)).await;
    world.now_publishes(&[&old, &new]);
    world.issuer.0.lock().unwrap().pause = Duration::from_secs(1);
    let token = Arc::new(world.token(&new));
    let mut asking = VecDeque::new();
    for _ in 0..100 {
        let (issuers, token, now) = (world.issuers.clone(), token.clone(), world.environment.now());
        asking.push_back(tokio::spawn(async move { issuers.verify(&token, now).await }));
    }
    for task in asking {
        task.await.unwrap().unwrap();
    }
    assert_eq!(world.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_asks_and_leaves_keeps_the_answer_from_nobody() {
    let (old, new) = (key("old"), key("new"));
    let world = World::new(Some(&old)).await;
    world.now_publishes(&[&old, &new]);
    world.issuer.0.lock().unwrap().pause = Duration::from_secs(1);
    let made_up = world.token(&key("made-up"));
    let left = timeout(Duration::from_millis(500), world.verify(&made_up)).await;
    assert!(left.is_err(), "the issuer has not answered yet");
    assert_eq!(world.asked(), 2);
    world.verify(&world.token(&new)).await.unwrap();
    assert_eq!(world.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_before_any_key_is_known_has_it_asked_once_too() {
    let ours = key("ours");
    let world = World::new(None).await;
    // The background asks again after a second, and then not for two.
    world.pass(Duration::from_secs(1)).await;
    world.pass(Duration::from_secs(1)).await;
    assert_eq!(world.asked(), 2);
    world.now_publishes(&[&ours]);
    world.set_away(false);
    world.issuer.0.lock().unwrap().pause = Duration::from_secs(5);
    let token = world.token(&ours);
    for _ in 0..10 {
        assert!(timeout(Duration::from_millis(50), world.verify(&token)).await.is_err());
    }
    assert_eq!(world.asked(), 3);
    world.verify(&token).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_issuer_may_be_away_for_an_hour() {
    let ours = key("ours");
    let world = World::new(Some(&ours)).await;
    world.set_away(true);
    for _ in 0..60 {
        world.pass(Duration::from_mins(1)).await;
        world.verify(&world.token(&ours)).await.unwrap();
    }
    // A key that came into use meanwhile can't be told from one that is made up.
    let new = key("new");
    let token = world.token(&new);
    assert_eq!(world.verify(&token).await, Err(VerifyError::Unavailable));
    world.now_publishes(&[&ours, &new]);
    world.set_away(false);
    world.pass(Duration::from_secs(31)).await;
    world.verify(&token).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn keys_are_not_believed_for_ever() {
    let ours = key("ours");
    let world = World::new(Some(&ours)).await;
    world.set_away(true);
    world.pass(Duration::from_hours(25)).await;
    assert_eq!(world.verify(&world.token(&ours)).await, Err(VerifyError::Unavailable));
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_never_came_is_no_reason_for_401() {
    let ours = key("ours");
    let world = World::new(None).await;
    let token = world.token(&ours);
    for _ in 0..10 {
        assert_eq!(world.verify(&token).await, Err(VerifyError::Unavailable));
    }
    assert_eq!(world.asked(), 1, "nobody asks an issuer that has just not answered");
    // What won't do whatever the issuer says is refused all the same.
    let mut claims = claims(ISSUER, world.environment.now());
    claims["aud"] = "other".into();
    let other = ours.token(&ours.header(), &claims);
    assert_eq!(world.verify(&other).await, Err(Refusal::Claim("aud is somebody else").into()));
    world.now_publishes(&[&ours]);
    world.set_away(false);
    world.pass(Duration::from_secs(2)).await;
    world.verify(&token).await.unwrap();
}
