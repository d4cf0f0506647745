//! What only SQLite's own side can tell: whether the tables are those that are written down, and whether what is asked often
//! is read off an index.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use convoke_domain::{
    ChatFilter, ChatId, ChatQuery, ChatTitle, Environment, OperationId, PageSize, ParticipantId, Service, Sort,
    SortKey, TenantId, Timestamp, UserProperties,
};
use convoke_provider::{
    AccountGroup, AccountState, CreatedGroup, FeedState, Lane, NewAccount, NewPlacement, ProviderEvent,
    ProviderEventKind, SeenPerson,
};
use convoke_test_support::TestEnvironment;
use diesel::{
    QueryableByName, SqliteConnection,
    connection::{Instrumentation, InstrumentationEvent},
    prelude::*,
    sql_types::{Integer, Text},
};
use tempfile::TempDir;

use super::{
    accounts, apply_migrations, events, groups, list, operations, register, removal,
    threads::{self, Writing},
    tokens,
};
use crate::{Claim, IdempotencyKey, Lease, NewChat, NewRemoval, Outcome, lanes::LastServed};

mod totals;

/// A migrated database, for as long as the folder is held.
fn database() -> (TempDir, SqliteConnection) {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("convoke.db");
    apply_migrations(&path, &()).expect("the schema");
    (folder, threads::connect(&path).expect("a connection"))
}

/// A column: its name, its type, whether it may be absent, and its place in the primary key.
type Column = (String, String, bool, Option<usize>);

#[derive(QueryableByName)]
struct TableRow {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct ColumnRow {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Integer)]
    not_null: i32,
    #[diesel(sql_type = Integer)]
    key_place: i32,
}

fn tables_of_the_database(connection: &mut SqliteConnection) -> BTreeMap<String, Vec<Column>> {
    let names = "select name from sqlite_schema where type = 'table' and name not like '\\_\\_diesel%' escape '\\'";
    let names: Vec<TableRow> = diesel::sql_query(names).load(connection).expect("the tables");
    let columns_of = "select name, type as kind, \"notnull\" as not_null, pk as key_place from pragma_table_info(?)";
    let mut tables = BTreeMap::new();
    for table in names {
        let columns: Vec<ColumnRow> =
            diesel::sql_query(columns_of).bind::<Text, _>(&table.name).load(connection).expect("the columns");
        let column = |row: ColumnRow| {
            let key_place = usize::try_from(row.key_place).ok().filter(|place| *place > 0);
            (row.name, row.kind, row.not_null == 0, key_place)
        };
        tables.insert(table.name, columns.into_iter().map(column).collect());
    }
    tables
}

/// The tables as `schema.rs` writes them down.
fn tables_of_the_schema(source: &str) -> BTreeMap<String, Vec<Column>> {
    let mut tables = BTreeMap::new();
    for definition in source.split("diesel::table! {").skip(1) {
        let mut lines = definition.lines().map(str::trim).filter(|line| !line.is_empty());
        let head = lines.next().expect("the table's name").strip_suffix(" {").expect("the columns follow");
        let (name, key) = head.split_once(" (").expect("the primary key");
        let key: Vec<&str> = key.strip_suffix(')').expect("the end of the key").split(", ").collect();
        let column = |line: &str| {
            let (name, kind) = line.strip_suffix(',').expect("a column").split_once(" -> ").expect("its type");
            let inner = kind.strip_prefix("Nullable<").and_then(|kind| kind.strip_suffix('>'));
            let kind = match inner.unwrap_or(kind) {
                "Text" => "TEXT",
                "Binary" => "BLOB",
                "BigInt" => "bigint",
                "Integer" => "INTEGER",
                "SmallInt" => "smallint",
                "Bool" => "boolean",
                other => panic!("{other} is new here: say what SQLite calls it"),
            };
            let key_place = key.iter().position(|column| *column == name).map(|place| place + 1);
            (name.to_owned(), kind.to_ascii_lowercase(), inner.is_some(), key_place)
        };
        tables.insert(name.to_owned(), lines.take_while(|line| *line != "}").map(column).collect());
    }
    tables
}

#[test]
fn the_tables_are_those_that_are_written_down() {
    let (_folder, mut connection) = database();
    let mut migrated = tables_of_the_database(&mut connection);
    for (_, kind, ..) in migrated.values_mut().flatten() {
        kind.make_ascii_lowercase();
    }
    let written = tables_of_the_schema(include_str!("schema.rs"));
    assert!(written.contains_key("chats") && written.values().all(|columns| columns.len() > 2));
    assert_eq!(written, migrated);
}

/// Keeps the text of every statement.
#[derive(Clone, Default)]
struct Statements(Arc<Mutex<BTreeSet<String>>>);

impl Instrumentation for Statements {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            let text = query.to_string();
            let statement = text.split(" -- binds").next().unwrap_or_default().to_owned();
            self.0.lock().expect("no panic").insert(statement);
        }
    }
}

#[test]
fn of_orders_without_end_none_stays_prepared() {
    let (_folder, mut connection) = database();
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keeps = Arc::clone(&kept);
    connection.set_instrumentation(move |event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::CacheQuery { sql, .. } = event {
            keeps.lock().expect("no panic").push(sql.to_owned());
        }
    });
    for fields in [&["title"][..], &["service", "title"], &["updatedAt,desc", "createdBy"]] {
        let fields: Vec<SortKey> = fields.iter().map(|field| field.parse().unwrap()).collect();
        let query = ChatQuery { sort: Sort::new(&fields).unwrap(), ..ChatQuery::default() };
        list::page(&mut connection, &"acme".parse().unwrap(), &query).unwrap();
    }
    let kept = kept.lock().expect("no panic");
    assert!(kept.iter().any(|statement| statement.contains("chat_counts")), "what is the same for all is kept");
    assert!(!kept.iter().any(|statement| statement.contains("ORDER BY")), "{kept:?}");
}

#[derive(QueryableByName)]
struct PlanRow {
    #[diesel(sql_type = Text)]
    detail: String,
}

const NOW: Timestamp = TestEnvironment::START;

/// Does everything that a request, a worker or the upkeep does often.
fn everyday(connection: &mut SqliteConnection) {
    let environment = TestEnvironment::new();
    let tenant: TenantId = "acme".parse().unwrap();
    let key = |key: &str| IdempotencyKey { key: key.to_owned(), route: "route".to_owned(), request_hash: [0; 32] };
    let chat = NewChat {
        id: ChatId(environment.new_uuid()),
        id_is_clients: true,
        service: Service::Sandbox,
        title: ChatTitle::new("Everyday", Service::Sandbox).unwrap(),
        created_by: None,
        description: None,
        operation_id: OperationId(environment.new_uuid()),
        at: NOW,
        idempotency: Some(key("registration")),
        origin: None,
    };
    for _ in 0..2 {
        Writing::run(connection, |writing| register::register(writing, &tenant, &chat)).unwrap();
    }
    let group = CreatedGroup { provider_chat_id: "group".to_owned(), owner: person("owner"), made_at: NOW };
    let lease = claim(connection);
    operations::extend(connection, std::slice::from_ref(&lease), NOW).unwrap();
    operations::save_progress(connection, &lease, Some("{}"), Some(&group), NOW).unwrap();
    let made = Outcome::ChatMade { group, invitation: String::new() };
    Writing::run(connection, |writing| operations::finish(writing, &environment, &lease, &made, NOW)).unwrap();

    let removed = take_in(connection, &environment, &tenant, chat.id, NOW.plus(Duration::from_secs(1)));
    let removal = NewRemoval {
        chat_id: chat.id,
        participant_id: removed,
        operation_id: OperationId(environment.new_uuid()),
        at: NOW,
        idempotency: Some(key("removal")),
        origin: None,
    };
    removal::request(connection, &tenant, &removal).unwrap();
    removal::request(connection, &tenant, &NewRemoval { idempotency: None, ..removal }).unwrap();
    let lease = claim(connection);
    let postponed = Outcome::Postponed { until: NOW, counts: true };
    Writing::run(connection, |writing| operations::finish(writing, &environment, &lease, &postponed, NOW)).unwrap();
    operations::sweep(connection, NOW).unwrap();
    with_an_account(connection, &environment, &tenant, chat.id);

    list::find(connection, &tenant, chat.id).unwrap();
    list::find_invitation(connection, &tenant, chat.id).unwrap();
    operations::find(connection, &tenant, chat.operation_id).unwrap();
    tokens::find(connection, "prefix").unwrap();
    for is_active in [None, Some(true)] {
        for page in ["0", "2000"] {
            let filter = ChatFilter { is_active, registered_from: Some(NOW), ..ChatFilter::default() };
            for filter in [ChatFilter { is_active, ..ChatFilter::default() }, filter] {
                let query = ChatQuery { filter, page: page.parse().unwrap(), ..ChatQuery::default() };
                list::page(connection, &tenant, &query).unwrap();
            }
        }
        let filter = ChatFilter { is_active, ..ChatFilter::default() };
        list::walk(connection, &tenant, &filter, None, PageSize::default()).unwrap();
        let by_title = Sort::new(&["title".parse().unwrap()]).unwrap();
        list::page(connection, &tenant, &ChatQuery { sort: by_title, ..ChatQuery::default() }).unwrap();
    }
}

/// What is done for a messenger with accounts.
fn with_an_account(
    connection: &mut SqliteConnection,
    environment: &TestEnvironment,
    tenant: &TenantId,
    chat_id: ChatId,
) {
    let service = Service::Sandbox;
    let account = NewAccount { service, name: "one".to_owned(), tenants: Vec::new(), secret: None };
    let id = accounts::save(connection, environment, &account).unwrap();
    let placement = NewPlacement { service, tenant: tenant.clone(), chat_id, now: NOW, budget: 9, capacity: 9 };
    groups::place(connection, &placement).unwrap();
    groups::find_placement(connection, tenant, chat_id).unwrap();
    let lease = accounts::lease(connection, id, "owner", NOW, NOW).unwrap().unwrap();
    accounts::extend(connection, &lease, NOW).unwrap();
    accounts::save_state(connection, &lease, &AccountState::default()).unwrap();
    let (provider_chat_id, state) = ("made".to_owned(), String::new());
    let group = AccountGroup { tenant: tenant.clone(), chat_id, provider_chat_id, state };
    groups::save(connection, &lease, &group, NOW).unwrap();
    let states = vec![("made".to_owned(), String::new())];
    accounts::save_feed(connection, &lease, &FeedState { feed: None, groups: states.clone(), at: NOW }).unwrap();
    accounts::save_peers(connection, id, &states).unwrap();
    accounts::find_peer(connection, id, "made").unwrap();
    groups::list(connection, id).unwrap();
    groups::find_account(connection, service, "made").unwrap();
    groups::members(connection, service, "made").unwrap();
    accounts::list(connection, service).unwrap();
}

fn person(name: &str) -> SeenPerson {
    SeenPerson { external_id: name.to_owned(), properties: UserProperties::default() }
}

fn claim(connection: &mut SqliteConnection) -> Lease {
    let claim = Claim {
        lanes: vec![
            Lane::of(Service::Sandbox),
            Lane::of(Service::Telegram),
            Lane { name: "telegram:account".to_owned(), one_at_a_time: true },
        ],
        owner: "owner".to_owned(),
        limit: 5,
        now: NOW,
        lease_until: NOW,
    };
    operations::claim(connection, &claim, &LastServed::default()).unwrap().remove(0).lease
}

/// Lets somebody join; returns who they are.
fn take_in(
    connection: &mut SqliteConnection,
    environment: &TestEnvironment,
    tenant: &TenantId,
    chat: ChatId,
    at: Timestamp,
) -> ParticipantId {
    let event = ProviderEvent {
        provider_chat_id: "group".to_owned(),
        key: "joined".to_owned(),
        source: convoke_domain::EventSource::Log,
        at,
        kind: ProviderEventKind::Joined { person: person("ana"), invited_by: None },
    };
    let take_in =
        |writing: &mut Writing<'_>| events::take_in(writing, environment, Service::Sandbox, "group", &[event], at);
    Writing::run(connection, take_in).unwrap();
    let found = list::find(connection, tenant, chat).unwrap().unwrap();
    crate::document::parse(&found.json).unwrap().participants[1].id
}

#[test]
fn what_is_asked_often_is_read_off_an_index() {
    let (_folder, mut connection) = database();
    let statements = Statements::default();
    connection.set_instrumentation(statements.clone());
    everyday(&mut connection);
    let statements = statements.0.lock().unwrap().clone();
    assert!(statements.len() > 30, "{statements:#?}");
    let mut explained = 0;
    for statement in statements.iter().filter(|statement| !statement.ends_with("SAVEPOINT")) {
        let plan = diesel::sql_query(format!("explain query plan {statement}")).load::<PlanRow>(&mut connection);
        for step in plan.unwrap_or_else(|error| panic!("{statement}: {error}")) {
            let detail = step.detail;
            // All of a table, or all of a tenant's rows by a key that was made for finding one of them.
            let walks = detail.starts_with("SCAN ") && !detail.contains("CONSTANT ROW");
            let walks = walks || detail.contains("_1 (tenant_id=?)") || detail.contains("_1 (tenant_id>?)");
            assert!(!walks, "{statement}: {detail}");
            // Only the first rows of a page are taken: none may wait for a sort of all.
            let sorts = statement.contains("LIMIT -1") && detail.contains("TEMP B-TREE");
            assert!(!sorts, "{statement}: {detail}");
            explained += usize::from(detail.starts_with("SEARCH "));
        }
    }
    assert!(explained > 20, "{explained} steps were looked at");
}
