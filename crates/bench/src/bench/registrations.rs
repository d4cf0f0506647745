//! Registrations on PostgreSQL, each on disk when it is answered: beside `pgbench` that commits the same statement one at
//! a time.

use super::{Bench, CHAT, CHATS, in_turn, ratio};
use crate::{
    Failure,
    figures::{Figure, Figures, Spread},
    limit::{self, Script},
    load::{PERCENTILES, Question},
    report,
    service::TENANT,
};

const CLIENTS: u32 = 32;
/// How often a lone registration is repeated in a round.
const LONE: usize = 300;

pub async fn measure(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
    // The API alone: what follows from a registration is measured by itself, and would share the machine here.
    let service = bench.program.serve("api")?;
    service.client()?.post(CHATS, CHAT)?;
    let statement = limit::last_statement(&bench.sql, "with input as %").await?;
    let same = Script::new(&with_values(&statement)?);
    let bare = Script::new(&bare_insert());
    let question = Question::Post(CHATS, CHAT);
    let load = || bench.load.run(&service.address, &service.token, &question, CLIENTS, bench.seconds);
    let points = PERCENTILES.iter().copied().zip(load()?.percentiles).collect();
    figures.draw(report::PERCENTILES, "registration, 32 clients", points);

    let measured =
        in_turn(bench.rounds, || Ok(load()?.rate), || Ok(bench.limit.run(&same, CLIENTS, bench.seconds)?.rate))?;
    let what = "registrations, 32 clients, beside the same statement committed one at a time by as many";
    figures.put("30", ratio(what, "a second", measured, 1.5, 2.2));

    let mut client = service.client()?;
    let mut lone = || {
        let times: Result<Vec<f64>, Failure> =
            (0..LONE).map(|_| Ok(client.post(CHATS, CHAT)?.time.as_secs_f64() * 1e3)).collect();
        Ok(Spread::of(&times?).median)
    };
    let measured = in_turn(bench.rounds, &mut lone, || Ok(bench.limit.run(&bare, 1, bench.seconds.min(4))?.latency))?;
    let what = "one lone registration, beside a bare insert of the chat with its commit";
    figures.put("31", ratio(what, "ms", measured, 1.5, 1.2));
    let measured = in_turn(bench.rounds, &mut lone, || Ok(bench.limit.run(&same, 1, bench.seconds.min(4))?.latency))?;
    let what = "one lone registration, beside the same statement with its commit";
    figures.put("32", Figure { target: None, ..ratio(what, "ms", measured, 1.0, 1.0) });
    Ok(())
}

/// What stands for each argument of the statement that writes registrations: one row, new every time.
const VALUES: [&str; 21] = [
    "array[':tenant']", // tenant_id, see `with_values`
    "array[gen_random_uuid()]",
    "array['sandbox']",
    "array['Kick-off of the summer party']",
    "array[null::text]",
    "array['ada']",
    "array[(extract(epoch from clock_timestamp()) * 1000)::bigint]",
    "array[sha256('x')]",
    "array[gen_random_uuid()]",
    DOCUMENT,
    EVENT,
    "array[null::text]",
    "array[null::text]",
    "array[null::bytea]",
    "array[null::text]",
    "'provisioning'",
    "1",
    "'convoke' || chr(58) || 'registered'",
    "'convoke'",
    "'createChat'",
    "'pending'",
];
const DOCUMENT: &str = r#"array['{"id":"9a983789-1709-4543-aa31-a02867680017","isActive":false,"status":"provisioning","service":"sandbox","registeredAt":"2026-11-23T02.37.59.000Z","updatedAt":"2026-11-23T02.37.59.000Z","createdBy":"ada","title":[{"value":"Kick-off of the summer party","contentType":"text/plain","capturedAt":"2026-11-23T02.37.59.000Z"}],"participants":[]}']"#;
const EVENT: &str =
    r#"array['{"type":"registered","service":"sandbox","title":"Kick-off of the summer party","createdBy":"ada"}']"#;

/// The statement with a value for each argument.
fn with_values(statement: &str) -> Result<String, Failure> {
    if !statement.contains("$21") || statement.contains("$22") {
        return Err(format!("the statement of registrations has not {} arguments any more", VALUES.len()).into());
    }
    let mut text = statement.to_owned();
    // From the last one, so that `$2` is not taken for the beginning of `$21`.
    for (place, value) in VALUES.iter().enumerate().rev() {
        text = text.replace(&format!("${}", place + 1), &value.replace(":tenant", TENANT));
    }
    // `pgbench` takes a colon and a letter or digit for a variable.
    Ok(text.replace(":false", ": false"))
}

fn bare_insert() -> String {
    let document = DOCUMENT.trim_start_matches("array[").trim_end_matches(']').replace(":false", ": false");
    format!(
        "insert into chats (tenant_id, id, service, status, is_active, title, created_by, registered_at, updated_at, \
        last_event_at, version, registration_hash, operation_id, document, document_version) \
        values ('{TENANT}', gen_random_uuid(), 'sandbox', 'provisioning', false, 'Kick-off of the summer party', 'ada', \
        1795400000000, 1795400000000, 1795400000000, 0, sha256('x'), gen_random_uuid(), {document}, 1)"
    )
}
