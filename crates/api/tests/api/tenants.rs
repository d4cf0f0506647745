//! Three tenants do at random what can be done, at the same time, on one service. Nothing of one is ever in what another
//! is answered: no text, no id, no number in a total.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use convoke_domain::{Environment as _, EventSource, Scope, Service};
use convoke_provider::{CreatedGroup, Lane, ProviderEvent, ProviderEventKind};
use convoke_store::{Claim, Outcome, Work};
use convoke_test_support::TestEnvironment;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::service::{Answer, Backend, TestService, person};

const TENANTS: [&str; 3] = ["acme", "globex", "initech"];
/// How many sequences there are, in all.
const SEQUENCES: usize = 10_000;
const PRIVATE: &str = "/api/v1/private";
/// Chosen by all tenants for chats of theirs, so they give nobody away.
const SHARED: [&str; 3] = [
    "4f0c3f2e-8a57-4d0e-9f0b-6a3f5d1c2e41",
    "4f0c3f2e-8a57-4d0e-9f0b-6a3f5d1c2e42",
    "4f0c3f2e-8a57-4d0e-9f0b-6a3f5d1c2e43",
];

/// What the tenants know of, each of its own; who does something with another's takes it from here.
#[derive(Default)]
struct Known {
    /// Whose each id is that anybody was ever answered.
    owners: HashMap<String, usize>,
    chats: [Vec<String>; 3],
    participants: [Vec<String>; 3],
    operations: [Vec<String>; 3],
    cursors: [Vec<String>; 3],
}

struct World {
    service: TestService,
    tokens: [String; 3],
    known: Mutex<Known>,
    /// Held while somebody does the worker's work.
    working: tokio::sync::Mutex<()>,
}

/// One tenant at work.
struct Tenant {
    world: Arc<World>,
    /// Its place among the three.
    number: usize,
    chance: TestEnvironment,
    /// How many chats it has registered.
    chats: usize,
    /// Which of the shared ids it has used.
    shared: [bool; 3],
}

async fn nothing_of_one_is_ever_anothers(backend: Backend) {
    let service = TestService::start(backend).await;
    let mut tokens = [const { String::new() }; 3];
    for (token, tenant) in tokens.iter_mut().zip(TENANTS) {
        *token = service.new_token_of(tenant, &format!("{tenant}-subject"), &Scope::ALL).await;
    }
    let world = Arc::new(World { service, tokens, known: Mutex::default(), working: tokio::sync::Mutex::default() });
    let at_work = [0, 1, 2].map(|number| {
        let chance = TestEnvironment::seeded(u64::try_from(number).unwrap() + 1);
        let mut tenant = Tenant { world: world.clone(), number, chance, chats: 0, shared: [false; 3] };
        tokio::spawn(async move {
            for _ in 0..=SEQUENCES / 3 {
                for _ in 0..=tenant.below(3) {
                    tenant.does_something().await;
                }
            }
            tenant.chats
        })
    });
    for (tenant, at_work) in TENANTS.iter().zip(at_work) {
        assert!(at_work.await.unwrap() > 100, "{tenant} has registered few chats");
    }
    let known = world.known.lock().unwrap();
    for of_tenants in [&known.chats, &known.participants, &known.operations, &known.cursors] {
        assert!(of_tenants.iter().all(|ids| ids.len() > 20), "{:?}", of_tenants.each_ref().map(Vec::len));
    }
}

impl Tenant {
    /// A number below this one.
    fn below(&self, end: usize) -> usize {
        let mut chance = [0; 8];
        self.chance.fill_random(&mut chance);
        usize::try_from(u64::from_le_bytes(chance) % u64::try_from(end).unwrap()).unwrap()
    }

    /// One of these ids: the tenant's own, another's, or nobody's.
    fn some(&self, of: impl Fn(&Known) -> &[Vec<String>; 3]) -> String {
        let known = self.world.known.lock().unwrap();
        let owner = if self.below(2) == 0 { self.number } else { self.below(3) };
        let ids = &of(&known)[owner];
        // The last ones are those that something goes on with.
        let near = ids.len().min(50);
        if near == 0 || self.below(20) == 0 {
            return self.chance.new_uuid().to_string();
        }
        ids[ids.len() - 1 - self.below(near)].clone()
    }

    async fn does_something(&mut self) {
        match self.below(12) {
            0..3 => self.registers().await,
            3..6 => self.lists().await,
            6 => {
                let path = format!("{PRIVATE}/chats/{}", self.some(|known| &known.chats));
                self.asks(Method::GET, &path).await;
            }
            7 => {
                let path = format!("{PRIVATE}/chats/{}/invitation", self.some(|known| &known.chats));
                self.asks(Method::GET, &path).await;
            }
            8 => {
                let path = format!("{PRIVATE}/operations/{}", self.some(|known| &known.operations));
                self.asks(Method::GET, &path).await;
            }
            9 => {
                let (chat, person) = (self.some(|known| &known.chats), self.some(|known| &known.participants));
                self.asks(Method::DELETE, &format!("{PRIVATE}/chats/{chat}/participants/{person}")).await;
            }
            10 => self.walks().await,
            _ => self.works().await,
        }
    }

    /// Registers a chat, perhaps under a key or an id that others use too.
    async fn registers(&mut self) {
        let tenant = TENANTS[self.number];
        let mut body = json!({"title": format!("{tenant} {}", self.below(5)), "description": format!("of {tenant}")});
        let mut request = self.request(Method::POST, &format!("{PRIVATE}/chats"));
        match self.below(6) {
            0 => {
                // One body for each key, so that a repeat is one.
                let key = self.below(5);
                body = json!({"title": format!("{tenant} keyed {key}")});
                request = request.header("idempotency-key", format!("key-{key}"));
            }
            1 => {
                let which = self.below(SHARED.len());
                body = json!({"title": format!("{tenant} shared"), "id": SHARED[which]});
                let answer = self.sends(request.json(&body), "").await;
                assert_eq!(answer.status, 202, "{}", answer.text);
                self.chats += usize::from(!self.shared[which]);
                self.shared[which] = true;
                return;
            }
            _ => {}
        }
        let answer = self.sends(request.json(&body), "").await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        self.chats += usize::from(answer.header("idempotency-replayed").is_empty());
    }

    /// Asks for a list, of which the total is known if nothing is filtered.
    async fn lists(&self) {
        let sort = ["registeredAt,desc", "title", "createdBy", "service,desc", "isActive", "updatedAt", "id"];
        let mut query =
            format!("size={}&page={}&sort={}", 1 + self.below(20), self.below(4), sort[self.below(sort.len())]);
        let is_filtered = self.below(2) == 0;
        if is_filtered {
            let filter = match self.below(3) {
                0 => format!("&isActive={}", self.below(2) == 0),
                1 => "&fromDate=2024-01-01".to_owned(),
                _ => format!("&id={}&id={}", self.some(|known| &known.chats), self.some(|known| &known.chats)),
            };
            query.push_str(&filter);
        }
        let list = self.asks(Method::GET, &format!("{PRIVATE}/chats?{query}")).await.json();
        let total = &list["_metadata"]["totalRecords"];
        if is_filtered {
            assert!(total.as_u64().unwrap() <= self.chats as u64, "{query}: {list}");
        } else {
            assert_eq!(total, self.chats, "{query}");
        }
    }

    /// A step of a walk, perhaps from where another tenant is on its own.
    async fn walks(&self) {
        let cursor = if self.below(3) == 0 { String::new() } else { self.some(|known| &known.cursors) };
        let path = format!("{PRIVATE}/chats?cursor={cursor}&size={}", 1 + self.below(5));
        let answer = self.asks(Method::GET, &path).await;
        if answer.status == 200
            && let Some(next) = answer.json()["_links"]["next"]["href"].as_str()
            && let Some(cursor) = next.split(['?', '&']).find_map(|part| part.strip_prefix("cursor="))
        {
            self.world.known.lock().unwrap().cursors[self.number].push(cursor.to_owned());
        }
    }

    /// Does what a worker does, for whoever waits for it; then somebody joins each new group, under a name that is the
    /// same everywhere and under one that is the tenant's.
    async fn works(&self) {
        let _alone = self.world.working.lock().await;
        let (store, environment) = (&self.world.service.store, &self.world.service.environment);
        let now = environment.now();
        let lanes = vec![Lane::of(Service::Sandbox)];
        let lease_until = now.plus(std::time::Duration::from_secs(30));
        let claim = Claim { lanes, owner: "test".to_owned(), limit: 100, now, lease_until };
        for operation in store.claim_operations(&claim).await.unwrap() {
            let (lease, tenant) = (&operation.lease, operation.lease.tenant.to_string());
            let group = format!("{tenant}-group-{}", lease.operation_id);
            let outcome = match operation.work {
                Work::CreateChat { .. } => {
                    let group = CreatedGroup { provider_chat_id: group.clone(), owner: person("owner"), made_at: now };
                    Outcome::ChatMade { invitation: format!("/sandbox/{}", group.provider_chat_id), group }
                }
                Work::RemoveParticipant { .. } => Outcome::ParticipantRemoved { events: Vec::new() },
            };
            assert!(store.finish_attempt(lease, outcome, environment.now()).await.unwrap());
            for name in ["everywhere".to_owned(), format!("{tenant}-person")] {
                let at = environment.now();
                let kind = ProviderEventKind::Joined { person: person(&name), invited_by: None };
                let key = format!("{:020}", at.as_millis());
                let event = ProviderEvent { provider_chat_id: group.clone(), key, source: EventSource::Log, at, kind };
                store.record_events(Service::Sandbox, &[event], at).await.unwrap();
            }
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.world.service.plain(method, path).bearer_auth(&self.world.tokens[self.number])
    }

    async fn asks(&self, method: Method, path: &str) -> Answer {
        self.sends(self.request(method, path), path).await
    }

    /// Sends a request; looks through all of the answer, but for the path that was asked for.
    async fn sends(&self, request: RequestBuilder, path: &str) -> Answer {
        let answer = Answer::of(request.header("x-request-id", TENANTS[self.number])).await;
        assert!(answer.status < 500, "{path}: {}", answer.text);
        let head = answer.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
        let told = head.chain([answer.text.clone()]).collect::<Vec<_>>().join("\n");
        for other in TENANTS.iter().filter(|other| **other != TENANTS[self.number]) {
            assert!(!told.contains(other), "{path} tells {} of {other}: {told}", TENANTS[self.number]);
        }
        self.learns(&told, path, &answer);
        answer
    }

    /// Notes every id in an answer as the tenant's own, and sees that none is another's.
    fn learns(&self, told: &str, path: &str, answer: &Answer) {
        let mut known = self.world.known.lock().unwrap();
        for id in ids_in(told).filter(|id| !path.contains(id) && !SHARED.contains(id)) {
            let owner = *known.owners.entry(id.to_owned()).or_insert(self.number);
            assert_eq!(TENANTS[owner], TENANTS[self.number], "{path} tells {id}: {told}");
        }
        let Ok(body) = serde_json::from_str::<Value>(&answer.text) else { return };
        if let (Some(chat), Some(operation)) = (body["id"].as_str(), body["operationId"].as_str()) {
            known.chats[self.number].push(chat.to_owned());
            known.operations[self.number].push(operation.to_owned());
        }
        for participant in body["participants"].as_array().into_iter().flatten() {
            known.participants[self.number].extend(participant["id"].as_str().map(str::to_owned));
        }
    }
}

/// Everything in a text that has the form of a UUID.
fn ids_in(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_ascii_hexdigit() && c != '-');
    words.filter(|word| word.len() == 36 && word.split('-').map(str::len).eq([8, 4, 4, 4, 12]))
}

on_both!(nothing_of_one_is_ever_anothers);
