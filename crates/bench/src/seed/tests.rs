//! What is seeded is what the service would have written.

use std::sync::Arc;

use convoke_domain::ChatQuery;
use convoke_store::{Migrate, PostgresStore, Reads as _, SystemRepository as _};
use convoke_test_support::{TestEnvironment, connect, create_database};
use secrecy::SecretString;

use super::{Form, TenantSeed, seed};

async fn filled(form: Form) -> (convoke_test_support::TestDatabase, PostgresStore) {
    let database = create_database(None).await;
    let tenants = [("a", 700), ("b", 6_500)].map(|(name, chats)| TenantSeed { tenant: name.parse().unwrap(), chats });
    seed(database.url(), &tenants, form).await.unwrap();
    let url = SecretString::from(database.url().to_owned());
    let store = PostgresStore::open(&url, Migrate::Off, Arc::new(TestEnvironment::new())).await.unwrap();
    (database, store)
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_finds_nothing_in_what_is_seeded() {
    let (database, store) = filled(Form::Full).await;
    let report = store.examine().await.unwrap();
    assert_eq!(report.chats, 7_200);
    assert_eq!(report.findings, []);
    let client = connect(database.url()).await.unwrap();
    let mean = "select avg(jsonb_array_length(document::jsonb -> 'title'))::float8, \
        avg(jsonb_array_length(document::jsonb -> 'participants'))::float8, \
        (select count(*)::float8 / count(distinct (tenant_id, chat_id, person_id)) from participations) \
        from chats where status in ('active', 'closed')";
    let row = client.query_one(mean, &[]).await.unwrap();
    for (column, wanted) in [(0, 1.3), (1, 5.0), (2, 1.2)] {
        let found: f64 = row.get(column);
        assert!((found / wanted - 1.0).abs() < 0.03, "{found} instead of {wanted}");
    }
    assert!(seed(database.url(), &[], Form::Full).await.is_err(), "only an empty database is filled");
}

#[tokio::test(flavor = "multi_thread")]
async fn thin_chats_are_counted_and_indexes_are_as_they_were() {
    let (database, store) = filled(Form::Thin).await;
    let page = store.list_chats(&"b".parse().unwrap(), &ChatQuery::default()).await.unwrap();
    let chats: Vec<serde_json::Value> = serde_json::from_str(&format!("[{}]", page.documents)).unwrap();
    assert_eq!((page.total, chats.len()), (6_500, 20));
    let untouched = create_database(None).await;
    let url = SecretString::from(untouched.url().to_owned());
    PostgresStore::open(&url, Migrate::Auto, Arc::new(TestEnvironment::new())).await.unwrap();
    let mut schemas = Vec::new();
    for url in [database.url(), untouched.url()] {
        let all = "select pg_get_indexdef(indexrelid) from pg_index \
            where indrelid::regclass::text not like 'pg\\_%' and not indrelid::regclass::text like 'information%' \
            union all select conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) \
            from pg_constraint where connamespace = 'public'::regnamespace \
            union all select relname || coalesce(array_to_string(reloptions, ','), '') from pg_class \
            where relnamespace = 'public'::regnamespace order by 1";
        let rows = connect(url).await.unwrap().query(all, &[]).await.unwrap();
        schemas.push(rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>());
    }
    assert!(schemas[0].len() > 30);
    assert_eq!(schemas[0], schemas[1]);
}
