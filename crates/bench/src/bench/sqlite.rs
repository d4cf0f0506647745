//! The embedded database: registrations beside the same rows written by a bare loop, in a transaction each or many in one,
//! and reading beside a bare loop.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection;

use super::{BenchArguments, CHAT, CHATS, in_turn, path_of, ratio};
use crate::{
    Failure,
    figures::{Figure, Figures},
    load::{Load, Question},
    service::{Service, TENANT},
};

const CLIENTS: u32 = 32;
/// About as many registrations as the service puts into one transaction then.
const GROUP: u32 = 24;
/// As many threads read in the bare loop as in the service.
const READERS: usize = 4;
const IDS: u32 = 20_000;

pub fn measure(arguments: &BenchArguments, figures: &mut Figures) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("convoke.db");
    let program = arguments.program(format!("sqlite://{}", file.display()), folder.path());
    let load = Load::new(folder.path().to_owned())?;
    let (seconds, rounds) = (arguments.seconds(), arguments.rounds());

    // The API alone, as on PostgreSQL.
    let service = program.serve("api")?;
    let register =
        || Ok(load.run(&service.address, &service.token, &Question::Post(CHATS, CHAT), CLIENTS, seconds)?.rate);
    register()?;
    let measured = in_turn(rounds, register, || write(&file, 1, seconds))?;
    let what = "SQLite: registrations, 32 clients, beside the same rows in a transaction each";
    figures.put("80", ratio(what, "a second", measured, 5.0, 7.0));
    let measured = in_turn(rounds, register, || write(&file, GROUP, seconds))?;
    let what = format!("SQLite: registrations, 32 clients, beside the same rows, {GROUP} in a transaction");
    figures.put("81", Figure { target: None, ..ratio(&what, "a second", measured, 1.0, 1.0) });

    let ids = ids(&file)?;
    let paths: Vec<String> = ids.iter().map(|id| path_of(&id.to_string())).collect();
    let read = |service: &Service| {
        Ok(load.run(&service.address, &service.token, &Question::Get(&paths), CLIENTS, seconds)?.rate)
    };
    read(&service)?;
    let measured = in_turn(rounds, || read(&service), || bare_loop(&file, &ids, seconds))?;
    let what = format!("SQLite: one chat, 32 clients, beside the same statement in a bare loop on {READERS} threads");
    figures.put("82", ratio(&what, "a second", measured, 0.6, 0.8));
    Ok(())
}

/// A connection with the settings of the service's own.
fn connect(file: &Path) -> Result<Connection, Failure> {
    let connection = Connection::open(file)?;
    connection.execute_batch(
        "pragma busy_timeout = 10000; pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on; \
        pragma cache_size = -8000; pragma wal_autocheckpoint = 4000;",
    )?;
    Ok(connection)
}

fn ids(file: &Path) -> Result<Vec<uuid::Uuid>, Failure> {
    let connection = connect(file)?;
    let mut find = connection.prepare("select id from chats order by random() limit ?1")?;
    let rows = find.query_map([IDS], |row| row.get::<_, Vec<u8>>(0))?;
    rows.map(|id| Ok(uuid::Uuid::from_slice(&id?)?)).collect()
}

/// Writes what a registration writes, again and again, so many of them in a transaction; how many a second.
fn write(file: &Path, group: u32, seconds: u32) -> Result<f64, Failure> {
    let mut connection = connect(file)?;
    let model: Vec<u8> = connection.query_row("select id from chats limit 1", [], |row| row.get(0))?;
    // By its own id: of a chat it would have to be looked for among all operations.
    let the_operation = format!("id = (select operation_id from chats where tenant_id = '{TENANT}' and id = ?1)");
    // As the service makes them, each behind the one before.
    let operation = "cast(unhex(printf('%012x', unixepoch('subsec') * 1000)) || randomblob(10) as blob)";
    let copies = [
        again(&connection, "chats", &[("id", "?2"), ("provider_chat_id", "null")], "id = ?1")?,
        again(&connection, "chat_events", &[("chat_id", "?2")], "chat_id = ?1")?,
        again(&connection, "operations", &[("id", operation), ("chat_id", "?2")], &the_operation)?,
    ];
    let count = "update chat_counts set inactive = inactive + ?3 where tenant_id = ?1 and level = ?2 and \
        bucket_start = (select max(bucket_start) from chat_counts where tenant_id = ?1 and level = ?2)";
    let begun = Instant::now();
    let mut written = 0.0;
    while begun.elapsed() < Duration::from_secs(seconds.into()) {
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        for _ in 0..group {
            let id: Vec<u8> = transaction.prepare_cached("select randomblob(16)")?.query_row([], |row| row.get(0))?;
            for copy in &copies {
                transaction.prepare_cached(copy)?.execute((&model, &id))?;
            }
        }
        for level in [0, 1] {
            transaction.prepare_cached(count)?.execute((TENANT, level, group))?;
        }
        transaction.commit()?;
        written += f64::from(group);
    }
    Ok(written / begun.elapsed().as_secs_f64())
}

/// A statement that writes a row of the chat `?1`, found by this condition, again: with some columns replaced, whatever
/// columns there are.
fn again(connection: &Connection, table: &str, replaced: &[(&str, &str)], condition: &str) -> Result<String, Failure> {
    let mut columns = connection.prepare(&format!("select name from pragma_table_info('{table}')"))?;
    let columns: Vec<String> = columns.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let value = |column: &String| {
        let found = replaced.iter().find(|(name, _)| name == column);
        found.map_or_else(|| column.clone(), |(_, value)| (*value).to_owned())
    };
    let values: Vec<String> = columns.iter().map(value).collect();
    Ok(format!(
        "insert into {table} ({}) select {} from {table} where tenant_id = '{TENANT}' and {condition} limit 1",
        columns.join(", "),
        values.join(", ")
    ))
}

/// Reads chats on as many threads as the service does, and does nothing else.
fn bare_loop(file: &Path, ids: &[uuid::Uuid], seconds: u32) -> Result<f64, Failure> {
    const READ: &str = "select status, version, document, document_version from chats where tenant_id = ?1 and id = ?2";
    let (read, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let begun = Instant::now();
    let one = |first: usize| -> Result<(), Failure> {
        let connection = connect(file)?;
        let mut statement = connection.prepare(READ)?;
        let mut place = first;
        while !is_over.load(Ordering::Relaxed) {
            let id = ids[place % ids.len()].as_bytes().as_slice();
            statement.query_row((TENANT, id), |row| row.get::<_, String>(2))?;
            place += 1;
        }
        read.fetch_add((place - first) as u64, Ordering::Relaxed);
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..READERS).map(|n| scope.spawn(move || one(n * 4_999))).collect();
        thread::sleep(Duration::from_secs(seconds.into()));
        is_over.store(true, Ordering::Relaxed);
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a reader panicked")?)
    })?;
    Ok(read.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64())
}
