//! Batches of writes of which something goes wrong: everybody in them gets their own right answer.

use std::collections::BTreeSet;

use convoke_domain::EventSource;
use convoke_provider::{ProviderEvent, ProviderEventKind};

use super::*;
use crate::{IdempotencyKey, postgres::pipeline::Over};

#[tokio::test]
async fn one_bad_row_in_a_batch_harms_nobody_else() {
    let (_database, environment, store) = new_store().await;
    execute(
        &store,
        "create function refuse() returns trigger language plpgsql as $$ \
            begin raise exception 'not this one'; end $$; \
        create trigger refuse before insert on chats for each row when (new.title = 'bad') execute function refuse()",
    )
    .await;
    let acme = tenant("acme");
    let titles: Vec<&str> = (0..40).map(|n| if n % 10 == 3 { "bad" } else { "good" }).collect();
    let all = titles.iter().map(|title| store.register_chat(&acme, new_chat(&environment, title)));
    for (title, outcome) in titles.iter().zip(futures_util::future::join_all(all).await) {
        assert_eq!(outcome.is_ok(), *title == "good", "{title}: {outcome:?}");
    }
    assert_eq!(store.list_chats(&acme, &ChatQuery::default()).await.unwrap().total, 36);
    assert_eq!(store.examine().await.unwrap().findings, []);
}

#[tokio::test]
async fn one_bad_page_among_others_harms_nobody_else() {
    let (_database, environment, store) = new_store().await;
    let tenants = ["acme", "globex", "initech"].map(tenant);
    for tenant in &tenants {
        store.register_chat(tenant, new_chat(&environment, "x")).await.unwrap();
    }
    while store.roll_up_counts().await.unwrap() > 0 {}
    // More than a total can be.
    execute(&store, &format!("update chat_counts set active = {} where tenant_id = 'globex'", i64::MAX)).await;
    let first_page = ChatQuery::default();
    for _ in 0..5 {
        let pages = futures_util::future::join_all(
            (0..12).map(|number| store.list_chats(&tenants[number % tenants.len()], &first_page)),
        );
        for (number, page) in pages.await.into_iter().enumerate() {
            let is_bad = tenants[number % tenants.len()].as_str() == "globex";
            assert_eq!(page.map(|page| page.total).ok(), (!is_bad).then_some(1), "{number}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_goes_away_takes_nobodys_answer_along() {
    let (_database, environment, store) = new_store().await;
    let (store, acme) = (Arc::new(store), tenant("acme"));
    let waiting: Vec<_> = (0..200)
        .map(|number| {
            let (store, acme) = (store.clone(), acme.clone());
            let chat = new_chat(&environment, &format!("Chat {number}"));
            let id = chat.id;
            let patience = if number % 3 == 0 { Duration::from_micros(number * 7) } else { MINUTE };
            let register = async move { tokio::time::timeout(patience, store.register_chat(&acme, chat)).await };
            (number, id, tokio::spawn(register))
        })
        .collect();
    let mut answered = BTreeSet::new();
    for (number, id, registered) in waiting {
        match registered.await.unwrap() {
            Ok(registration) => {
                assert!(matches!(registration.unwrap(), Registration::New(chat) if chat.chat_id == id), "{number}");
                answered.insert(id.0);
            }
            Err(_) => assert_eq!(number % 3, 0, "{number} waited"),
        }
    }
    for id in &answered {
        assert!(store.find_chat(&acme, ChatId(*id)).await.unwrap().is_some());
    }
    // Those who went away may be there or not, but nothing else is.
    let total = store.list_chats(&acme, &ChatQuery::default()).await.unwrap().total;
    assert!((answered.len() as u64..=200).contains(&total), "{total}");
    assert_eq!(store.examine().await.unwrap().findings, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_connection_that_is_closed_amid_a_batch_leaves_nobody_with_a_wrong_answer() {
    const ROUNDS: usize = 20;
    let (database, environment, store) = new_store().await;
    let admin = open(database.url(), &environment, Migrate::Off).await.unwrap();
    let acme = tenant("acme");
    let (mut there, mut unknown) = (0, 0);
    for round in 0..ROUNDS {
        let chats: Vec<NewChat> = (0..60).map(|_| new_chat(&environment, "x")).collect();
        let registering =
            futures_util::future::join_all(chats.iter().map(|chat| store.register_chat(&acme, chat.clone())));
        let closing = async {
            sleep(Duration::from_micros(300 * round as u64)).await;
            let close = "select pg_terminate_backend(pid) from pg_stat_activity \
                where datname = current_database() and pid <> pg_backend_pid() and query like 'with input as%'";
            execute(&admin, close).await;
        };
        let (answers, ()) = futures_util::future::join(registering, closing).await;
        for (chat, answer) in chats.iter().zip(answers) {
            let found = find_patiently(&store, &acme, chat.id).await;
            match answer {
                Ok(Registration::New(accepted)) => {
                    assert_eq!(accepted.chat_id, chat.id);
                    assert!(found, "what was answered is there");
                    there += 1;
                }
                Ok(other) => panic!("{other:?}"),
                // It is not known whether it was committed.
                Err(StoreError::Unavailable(_)) => unknown += 1,
                Err(other) => panic!("{other}"),
            }
        }
    }
    assert!(there > 0 && unknown > 0, "connections were closed, and opened again: {there} there, {unknown} not known");
    let total = store.list_chats(&acme, &ChatQuery::default()).await.unwrap().total;
    assert!(total >= there && total <= there + unknown, "{total} of {there} and {unknown}");
    assert_eq!(store.examine().await.unwrap().findings, []);
}

#[tokio::test]
async fn what_is_done_for_many_is_planned_once() {
    /// After five times PostgreSQL keeps a plan, unless those for the arguments at hand have cost less; while the tables grow
    /// they have, for a few times more.
    const PLANNED_AGAIN: &str = "select statement from pg_prepared_statements where custom_plans > generic_plans + 5";
    const ROUNDS: usize = 60;
    use diesel::sql_types::Text;
    use futures_util::future::join_all;
    let (_database, environment, store) = new_store().await;
    let (acme, first_page) = (tenant("acme"), ChatQuery::default());
    for round in 0..ROUNDS {
        // Few at once, and not always as many.
        let new = |number| {
            let key = format!("{round} {number}");
            let idempotency = IdempotencyKey { key, route: "POST /chats".to_owned(), request_hash: [0; 32] };
            NewChat { idempotency: Some(idempotency), ..new_chat(&environment, "x") }
        };
        let chats: Vec<NewChat> = (0..2 + round % 3).map(new).collect();
        join_all(chats.iter().map(|chat| store.register_chat(&acme, chat.clone()))).await;
        join_all(chats.iter().map(|chat| store.register_chat(&acme, chat.clone()))).await;
        join_all(chats.iter().map(|chat| store.find_chat(&acme, chat.id))).await;
        join_all(chats.iter().map(|_| store.list_chats(&acme, &first_page))).await;
        let claimed = store.claim_operations(&claim(&environment, 10)).await.unwrap();
        assert_eq!(claimed.len(), chats.len());
        let leases: Vec<_> = claimed.iter().map(|claimed| claimed.lease.clone()).collect();
        assert_eq!(store.extend_leases(&leases, environment.now().plus(MINUTE)).await.unwrap(), []);
        let at = environment.now();
        let saved = leases.iter().map(|lease| store.save_progress(lease, Some("{}".to_owned()), None, at));
        for saved in join_all(saved).await {
            assert!(saved.unwrap());
        }
        let ends =
            claimed.iter().map(|claimed| store.finish_attempt(&claimed.lease, chat_made(claimed.chat_id, at), at));
        for ended in join_all(ends).await {
            assert!(ended.unwrap());
        }
        let joined = |number| {
            let person = SeenPerson { external_id: format!("{round} {number}"), properties: UserProperties::default() };
            ProviderEvent {
                provider_chat_id: chats[0].id.to_string(),
                key: person.external_id.clone(),
                source: EventSource::Log,
                at,
                kind: ProviderEventKind::Joined { person, invited_by: None },
            }
        };
        let joins: Vec<_> = (0..=round % 3).map(joined).collect();
        store.record_events(Service::Sandbox, &joins, at).await.unwrap();
    }
    let ask = async |queries: &AsyncPgConnection| {
        Ok(sql::Sql::<Text>::new(PLANNED_AGAIN).load::<String>(&mut &*queries).await?)
    };
    let mut again = Vec::new();
    for over in [Over::LookUps, Over::Pages] {
        again
            .extend(store.reads.ask_for_many(over, |shared| async move { ask(shared.queries()).await }).await.unwrap());
    }
    // All connections of the pool, at the same time.
    let all = (0..store.pool.connections().idle).map(|_| store.pool.once(MINUTE, |own| async move { ask(&own).await }));
    for found in join_all(all).await {
        again.extend(found.unwrap());
    }
    assert_eq!(again, Vec::<String>::new());
}

/// Reads have connections of their own, which are left alone; still they may be asked again.
async fn find_patiently(store: &PostgresStore, tenant: &TenantId, id: ChatId) -> bool {
    for _ in 0..50 {
        match store.find_chat(tenant, id).await {
            Ok(found) => return found.is_some(),
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
    panic!("the database does not come back");
}
