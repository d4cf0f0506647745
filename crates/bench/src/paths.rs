//! The hot paths, walked so many times in one process with the embedded database: `cargo xtask check instructions` counts
//! the instructions of it, which are nearly the same on a busy machine and on an idle one.

use std::sync::Arc;

use actix_web::{App, body::to_bytes, middleware::from_fn, rt::System, test};
use clap::ValueEnum;
use convoke_api::{ApiSettings, ApiState, Lifecycle};
use convoke_domain::{EventSource, Scope, Service, Timestamp, UserProperties};
use convoke_provider::{CreatedGroup, Lane, ProviderEvent, ProviderEventKind, SeenPerson};
use convoke_store::{Claim, Migrate, OpenOptions, Outcome, Store};
use convoke_test_support::TestEnvironment;

use crate::{
    Failure,
    bench::{CHAT, CHATS},
};

/// What is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum HotPath {
    /// One chat: authorise, find, answer.
    Detail,
    /// A page of 20: read the query, find, put documents together.
    List,
    /// A registration: read and check the body, render, write.
    Register,
    /// Somebody joins: bring the record up to date, render, write.
    Join,
}

/// How many chats there are before anything is counted.
const KNOWN: u32 = 100;

/// Walks a path so many times, on one thread, so that as little as possible is left to chance.
pub fn walk(path: HotPath, times: usize) -> Result<(), Failure> {
    System::new().block_on(walk_here(path, times))
}

async fn walk_here(path: HotPath, times: usize) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let environment = Arc::new(TestEnvironment::new());
    let url = format!("sqlite://{}", folder.path().join("convoke.db").display()).parse()?;
    let options = OpenOptions { url, migrate: Migrate::Auto, serve: false };
    let store = convoke_store::open(&options, environment.clone()).await?;
    let scopes = Scope::ALL.to_vec();
    let (token, kept) = convoke_api::mint(&*environment, "bench".parse()?, "bench".to_owned(), scopes, None);
    store.create_token(&kept).await?;
    let authorization = ("Authorization", format!("Bearer {}", token.expose()));
    let lifecycle = Arc::new(Lifecycle::new());
    let state = Arc::new(ApiState::new(store.clone(), environment, ApiSettings::default(), lifecycle));
    let app = App::new().wrap(from_fn(convoke_api::frame)).configure(convoke_api::configure(state));
    let app = test::init_service(app).await;

    let get = |path: &str| test::TestRequest::get().uri(path).insert_header(authorization.clone()).to_request();
    let register = || {
        let json = ("Content-Type", "application/json");
        let request = test::TestRequest::post().uri(CHATS).insert_header(authorization.clone());
        request.insert_header(json).set_payload(CHAT).to_request()
    };
    let mut chat = String::new();
    for _ in 0..KNOWN {
        let answer = test::call_service(&app, register()).await;
        let location = answer.headers().get("Location").ok_or("a registration without a location")?;
        location.to_str()?.clone_into(&mut chat);
    }
    let groups = make_groups(&*store).await?;
    for number in 0..times {
        let request = match path {
            HotPath::Detail => get(&chat),
            HotPath::List => get(CHATS),
            HotPath::Register => register(),
            HotPath::Join => {
                let event = join(&groups, number);
                store.record_events(Service::Sandbox, std::slice::from_ref(&event), event.at).await?;
                continue;
            }
        };
        let answer = test::call_service(&app, request).await;
        if !answer.status().is_success() {
            return Err(format!("{path:?}: {}", answer.status()).into());
        }
        to_bytes(answer.into_body()).await.map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Makes the group of every chat.
async fn make_groups(store: &dyn Store) -> Result<Vec<CreatedGroup>, Failure> {
    let lanes = vec![Lane::of(Service::Sandbox)];
    let (now, lease_until) = (instant(0), instant(1_000_000));
    let claim = Claim { lanes, owner: "bench".to_owned(), limit: KNOWN, now, lease_until };
    let mut groups = Vec::new();
    for operation in store.claim_operations(&claim).await? {
        let owner = SeenPerson { external_id: "convoke".to_owned(), properties: UserProperties::default() };
        let group = CreatedGroup { provider_chat_id: format!("group-{}", groups.len()), owner, made_at: instant(0) };
        let made = Outcome::ChatMade { group: group.clone(), invitation: "/sandbox/group".to_owned() };
        store.finish_attempt(&operation.lease, made, instant(0)).await?;
        groups.push(group);
    }
    Ok(groups)
}

/// Somebody comes into one group after the other, and once they were everywhere somebody else, so that records grow slowly.
fn join(groups: &[CreatedGroup], number: usize) -> ProviderEvent {
    let person = format!("person-{}", number / groups.len());
    let person = SeenPerson { external_id: person, properties: UserProperties::default() };
    ProviderEvent {
        provider_chat_id: groups[number % groups.len()].provider_chat_id.clone(),
        key: format!("event-{number}"),
        source: EventSource::Log,
        at: instant(i64::try_from(number).unwrap_or_default() + 1),
        kind: ProviderEventKind::Joined { person, invited_by: None },
    }
}

/// So many milliseconds behind everything that was registered.
const fn instant(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_900_000_000_000 + millis)
}
