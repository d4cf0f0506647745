//! A group that grows to ten thousand: what a join costs then, beside what it cost at first.

use std::{sync::Arc, time::Instant};

use convoke_domain::{EventSource, Service, Timestamp, UserProperties};
use convoke_provider::{ProviderEvent, ProviderEventKind, SeenPerson};
use convoke_store::{Migrate, PostgresStore, SystemRepository as _};
use convoke_test_support::TestEnvironment;
use secrecy::SecretString;

use super::{Bench, ratio};
use crate::{Failure, figures::Figures, service::TENANT};

/// How many join at once, and how many batches there are.
const AT_ONCE: u64 = 100;
const BATCHES: u64 = 100;
/// How many batches at the end are taken for the last one: it alone would be chance.
const LAST: usize = 3;

pub async fn measure(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
    let url = SecretString::from(bench.cluster.url());
    let store = PostgresStore::open(&url, Migrate::Off, Arc::new(TestEnvironment::real_time())).await?;
    let find = "select provider_chat_id, id::text from chats where tenant_id = $1 and is_active limit $2";
    let chats = bench.sql.query(find, &[&TENANT, &i64::try_from(bench.rounds)?]).await?;
    let (mut last, mut first) = (Vec::new(), Vec::new());
    for chat in chats {
        let group: String = chat.get(0);
        let mut times = Vec::new();
        for batch in 0..BATCHES {
            let events: Vec<ProviderEvent> = (0..AT_ONCE).map(|place| join(&group, batch * AT_ONCE + place)).collect();
            let at = events[events.len() - 1].at;
            let begun = Instant::now();
            store.record_events(Service::Sandbox, &events, at).await?;
            times.push(begun.elapsed().as_secs_f64() * 1e3 / AT_ONCE as f64);
            // As the worker does: these tables were looked at while they were empty.
            store.refresh_statistics().await?;
        }
        let members =
            "select jsonb_array_length(document::jsonb -> 'participants')::bigint from chats where id = $1::text::uuid";
        let members: i64 = bench.sql.query_one(members, &[&chat.get::<_, String>(1)]).await?.get(0);
        if members < i64::try_from(AT_ONCE * BATCHES)? {
            return Err(format!("only {members} have joined").into());
        }
        last.push(times[times.len() - LAST..].iter().sum::<f64>() / LAST as f64);
        first.push(times[0]);
    }
    let what = "one of the last joins of ten thousand, beside one of the first hundred";
    figures.put("50", ratio(what, "ms", (last, first), 20.0, 3.0));
    Ok(())
}

fn join(group: &str, number: u64) -> ProviderEvent {
    // Behind everything that was seeded.
    let at = Timestamp::from_millis(1_900_000_000_000 + i64::try_from(number).unwrap_or_default());
    let properties = UserProperties { firstname: Some("Ada".to_owned()), ..UserProperties::default() };
    let person = SeenPerson { external_id: format!("{group}-{number}"), properties };
    ProviderEvent {
        provider_chat_id: group.to_owned(),
        key: format!("join-{number}"),
        source: EventSource::Log,
        at,
        kind: ProviderEventKind::Joined { person, invited_by: None },
    }
}
