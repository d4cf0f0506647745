//! Fills an empty PostgreSQL database with chats as they would be after two years, faster than registering them.
//!
//! Everything happens in one transaction: constraints and indexes are taken away, rows are copied in, and both are made
//! again as they were, so that an interrupted run leaves an empty database. What the service computes by itself, the
//! counts, is left to the service's own code.

mod bar;
mod chats;
mod copy;
mod indexes;

use std::{sync::Arc, time::Instant};

use convoke_domain::{TenantId, Timestamp};
use convoke_store::{Migrate, PostgresStore, SystemRepository as _};
use convoke_test_support::{TestEnvironment, connect};
use secrecy::SecretString;
use tokio::{sync::mpsc, task};
use tokio_postgres::Client;

use crate::Failure;
use chats::Chats;
use copy::{Chunk, copy_in};

pub use chats::{CROWDED_DAY, FIRST_DAY};

/// How much is written of a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Everything, as the service would have written it.
    Full,
    /// The chat with its whole document, but neither its events nor its stays: all that reading needs, a third of the
    /// disk.
    WithoutEvents,
    /// The chat with a short document; for very many.
    Thin,
}

/// A tenant and how many chats it gets.
pub struct TenantSeed {
    pub tenant: TenantId,
    pub chats: u64,
}

/// How many chats are written at once.
const CHUNK: usize = 5_000;

/// How many days' counts are rolled up at once.
const DAYS_AT_ONCE: usize = 40;

/// Fills the database at `url`, which gets its schema if it has none.
pub async fn seed(url: &str, tenants: &[TenantSeed], form: Form) -> Result<(), Failure> {
    let begun = Instant::now();
    let secret = SecretString::from(url.to_owned());
    let store = PostgresStore::open(&secret, Migrate::Auto, Arc::new(TestEnvironment::real_time())).await?;
    let mut client = connect(url).await?;
    if client.query_one("select exists (select from chats)", &[]).await?.get(0) {
        return Err("the database has chats already: only an empty one is filled".into());
    }
    let transaction = client.transaction().await?;
    let taken = indexes::take_away(transaction.client()).await?;
    // What is written here is hardly ever written again.
    transaction.batch_execute("alter table chats set (fillfactor = 100)").await?;
    let mut by_day = Vec::new();
    let bar = bar::of_chats(tenants.iter().map(|seed| seed.chats).sum());
    for (place, seed) in tenants.iter().enumerate() {
        let mut chunks = generate(place as u64, seed, form);
        while let Some(chunk) = chunks.recv().await {
            copy_in(transaction.client(), &chunk).await?;
            bar.inc(chunk.chats());
            by_day.extend(chunk.by_day().map(|(at, active, inactive)| (seed.tenant.clone(), at, active, inactive)));
        }
    }
    bar.finish_and_clear();
    let copied = begun.elapsed();
    let bar = bar::of_the_rest("indexes and counts");
    indexes::make_again(transaction.client(), &taken).await?;
    transaction.batch_execute("alter table chats set (fillfactor = 85)").await?;
    transaction.commit().await?;
    client.batch_execute("vacuum (analyze) chats").await?;
    count(&client, &store, &by_day).await?;
    client.batch_execute("vacuum (analyze)").await?;
    client.batch_execute("checkpoint").await?;
    bar.finish_and_clear();

    let (chats, seconds) = (tenants.iter().map(|seed| seed.chats).sum::<u64>(), begun.elapsed().as_secs_f64());
    eprintln!(
        "seed: {chats} chats in {seconds:.1} s ({:.0} a second), of it {:.1} s for the rows",
        chats as f64 / seconds,
        copied.as_secs_f64(),
    );
    Ok(())
}

/// Makes rows on a thread of its own, while PostgreSQL reads those made before.
fn generate(place: u64, seed: &TenantSeed, form: Form) -> mpsc::Receiver<Chunk> {
    let (give, chunks) = mpsc::channel(2);
    let (tenant, number) = (seed.tenant.clone(), seed.chats);
    task::spawn_blocking(move || {
        let chats = Chats::new(tenant, place, number);
        for begin in (0..number).step_by(CHUNK) {
            let mut chunk = Chunk::default();
            if begin == 0 && form == Form::Full {
                chats.people().for_each(|person| chunk.push_person(&chats.tenant, &person));
            }
            for place in begin..number.min(begin + CHUNK as u64) {
                match form {
                    Form::Thin => chunk.push_thin(&chats.tenant, &chats.thin(place)),
                    Form::Full | Form::WithoutEvents => chunk.push(&chats.tenant, &chats.chat(place), form),
                }
            }
            if give.blocking_send(chunk).is_err() {
                return;
            }
        }
    });
    chunks
}

/// Leaves a change of the counts for every day, as a writer would, and has the service add them up.
async fn count(
    client: &Client,
    store: &PostgresStore,
    by_day: &[(TenantId, Timestamp, i64, i64)],
) -> Result<(), Failure> {
    const INSERT: &str = "insert into chat_count_deltas (tenant_id, id, registered_at, active, inactive) \
        select tenant_id, gen_random_uuid(), at, sum(active), sum(inactive) \
        from unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[]) as change (tenant_id, at, active, inactive) \
        group by tenant_id, at";
    let mut days: Vec<(&str, i64)> = by_day.iter().map(|(tenant, at, ..)| (tenant.as_str(), at.as_millis())).collect();
    days.sort_unstable();
    days.dedup();
    for days in days.chunks(DAYS_AT_ONCE) {
        let (first, last) = (days[0], days[days.len() - 1]);
        let of_these = |change: &&(TenantId, Timestamp, i64, i64)| {
            (first..=last).contains(&(change.0.as_str(), change.1.as_millis()))
        };
        let changes: Vec<_> = by_day.iter().filter(of_these).collect();
        let tenants: Vec<&str> = changes.iter().map(|change| change.0.as_str()).collect();
        let ats: Vec<i64> = changes.iter().map(|change| change.1.as_millis()).collect();
        let active: Vec<i64> = changes.iter().map(|change| change.2).collect();
        let inactive: Vec<i64> = changes.iter().map(|change| change.3).collect();
        client.execute(INSERT, &[&tenants, &ats, &active, &inactive]).await?;
        while store.roll_up_counts().await? > 0 {}
    }
    Ok(())
}

#[cfg(test)]
mod tests;
