//! What has to be true in the end, however ill the service was treated.

use std::collections::HashMap;

use convoke_test_support::Program;

use crate::{Failure, api::Api, outcome::Outcome, writers::Ledger};

/// Compares what writers were told with what is there: nothing that was acknowledged is lost, nothing is there twice, the
/// total is that of the list, and the doctor finds nothing.
pub async fn nothing_is_lost(
    outcome: &mut Outcome,
    api: &Api,
    program: &Program,
    ledger: &Ledger,
) -> Result<(), Failure> {
    let total = api.total().await?;
    let chats = api.every_chat().await?;
    // The first title is that of the registration, whoever renamed the chat later.
    let mut ids: HashMap<&str, Vec<&str>> = HashMap::new();
    for chat in &chats {
        let (title, id) = (chat["title"][0]["value"].as_str(), chat["id"].as_str());
        ids.entry(title.unwrap_or_default()).or_default().push(id.unwrap_or_default());
    }
    let is_there = |title: &str, id: &String| ids.get(title).is_some_and(|there| there.contains(&id.as_str()));
    let lost: Vec<String> = ledger
        .kept
        .iter()
        .filter(|(title, id)| !is_there(title, id))
        .map(|(title, id)| format!("{title}: {id}"))
        .collect();
    let twice: Vec<String> = ids
        .iter()
        .filter(|(_, ids)| ids.len() > 1)
        .map(|(title, ids)| format!("{title}: {}", ids.join(", ")))
        .collect();
    let count = ledger.kept.len();
    outcome.promise("registrations were answered 202", format!("{count}"), count > 0);
    outcome.never("one of them is lost", &lost);
    outcome.never("one is there twice", &twice);
    outcome.never("an answer is none of 202 and 503 with `Retry-After`", &ledger.wrong);
    let listed = chats.len() as u64;
    outcome.promise("the total is that of the list", format!("{total} of {listed}"), total == listed);
    outcome_of_doctor(outcome, program);
    Ok(())
}

/// Documents, stays and counts agree with the events.
pub fn outcome_of_doctor(outcome: &mut Outcome, program: &Program) {
    let told = program.told(&["doctor"]);
    let is_well = told.is_ok();
    let (Ok(said) | Err(said)) = told;
    let last = said.lines().last().unwrap_or_default().to_owned();
    outcome.promise("documents, stays and counts agree with the events", last, is_well);
}
