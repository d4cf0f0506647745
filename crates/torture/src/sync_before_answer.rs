//! On SQLite the log is synced to disk before a 202 leaves, as the operating system sees it.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
    time::Duration,
};

use futures_util::future::try_join_all;
use rustix::process::Signal;
use serde_json::json;
use tokio::time::sleep;

use crate::{
    Failure,
    api::{Api, ask},
    outcome::Outcome,
    setting::Setting,
    strace::Order,
};

/// How many register at once, so that some share a sync.
const AT_ONCE: u64 = 8;
/// The length of an id.
const ID: usize = 36;

/// Runs it.
pub async fn run(setting: &Setting) -> Result<Outcome, Failure> {
    let each = setting.scale(1_000, 160) / AT_ONCE;
    let folder = tempfile::tempdir()?;
    let program = setting.program(folder.path(), "sqlite://torture.db");
    let token = program.token("torture")?;
    let trace = folder.path().join("trace");
    let calls = "trace=fsync,fdatasync,pwrite64,pwritev,write,writev,sendto,sendmsg";
    let file = trace.to_string_lossy().into_owned();
    // Whole pages are told, so that it is seen what is on them; and strace stands beside the service, not above it.
    let strace = ["strace", "-D", "-f", "-y", "-s", "8192", "-e", calls, "-o", &file];
    let mut service = program.wrapped_serve(&strace, "all", "log")?;
    service.until_ready()?;
    let api = Api::new(&service.address, &token)?;
    let register = |place: u64| {
        let (api, mut chance) = (api.clone(), setting.chance(place));
        async move {
            let mut ids = Vec::new();
            for number in 0..each {
                let id = chance.id().to_string();
                let chat = json!({"title": format!("order {place} {number}"), "id": id});
                let answer = ask(api.post("/chats", &chat)).await?;
                if answer.status != 202 {
                    return Err(Failure::from(format!("{} {}", answer.status, answer.body)));
                }
                ids.push(id);
            }
            Ok(ids)
        }
    };
    let ids: BTreeSet<String> = try_join_all((0..AT_ONCE).map(register)).await?.into_iter().flatten().collect();
    service.signal(Signal::TERM)?;
    let order = read(&trace, service.id(), &ids).await?;

    let mut outcome = Outcome::new();
    let promise = format!("the answers of {} registrations are seen in the trace", ids.len());
    let reached = format!("{}, with {} syncs of the log", order.answers, order.syncs);
    outcome.promise(promise, reached, order.answers == ids.len() && order.syncs > 0);
    outcome.never("a 202 leaves before what it acknowledges is synced to disk", &order.too_early);
    Ok(outcome)
}

/// Reads the trace of this process, once it is whole.
async fn read(trace: &Path, process: u32, ids: &BTreeSet<String>) -> Result<Order, Failure> {
    let is_end = |line: &str| line.split_whitespace().next() == Some(&process.to_string()) && line.contains(" +++ ");
    for _ in 0..600 {
        sleep(Duration::from_millis(50)).await;
        let mut order = Order::default();
        let mut is_whole = false;
        for line in BufReader::new(File::open(trace)?).lines() {
            let line = line?;
            order.line(&line, |text| ids_in(text, ids));
            is_whole = is_end(&line);
        }
        if is_whole {
            return Ok(order);
        }
    }
    Err("the trace does not come to its end".into())
}

/// Those of these ids that a text tells of, each once.
fn ids_in(text: &str, ids: &BTreeSet<String>) -> Vec<String> {
    let found: BTreeSet<&str> = text
        .match_indices('-')
        // The first hyphen of an id is its ninth character.
        .filter_map(|(place, _)| text.get(place.checked_sub(8)?..)?.get(..ID))
        .filter(|part| ids.contains(*part))
        .collect();
    found.into_iter().map(str::to_owned).collect()
}
