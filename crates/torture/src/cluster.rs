//! A PostgreSQL of three nodes under Patroni whose primary crashes, whose machines die, and that changes over under load:
//! nothing that was acknowledged is lost, and writes are back soon.

mod load;
mod patroni;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use tokio::time::sleep;

use crate::{
    Failure,
    api::Api,
    database,
    outcome::{Outcome, median_and_most},
    setting::Setting,
};

use self::{
    load::{Load, Told},
    patroni::Patroni,
};

const WRITERS: u64 = 8;
const READERS: u64 = 4;
/// How long the clients go on undisturbed before and after something happens.
const QUIET: Duration = Duration::from_secs(3);
/// How long a machine stays dead.
const DEAD_FOR: Duration = Duration::from_secs(40);

/// What happens to the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Crash,
    DeadNode,
    SwitchOver,
}

impl Event {
    const ALL: [Self; 3] = [Self::Crash, Self::DeadNode, Self::SwitchOver];

    const fn name(self) -> &'static str {
        match self {
            Self::Crash => "a crash of the primary's PostgreSQL",
            Self::DeadNode => "a dead node",
            Self::SwitchOver => "a switch-over",
        }
    }

    /// Within how many seconds writes have to be back.
    const fn promised(self) -> f64 {
        match self {
            Self::Crash => 10.0,
            Self::DeadNode => 30.0,
            Self::SwitchOver => 5.0,
        }
    }

    /// How often it happens: in the full edition, in the small one.
    const fn times(self) -> (usize, usize) {
        match self {
            Self::Crash | Self::SwitchOver => (10, 1),
            Self::DeadNode => (3, 1),
        }
    }
}

/// Runs it.
pub async fn run(setting: &Setting) -> Result<Outcome, Failure> {
    let mut cluster = Patroni::start().await?;
    let folder = tempfile::tempdir()?;
    let url = |parameters: &str| format!("postgres://postgres@{}/postgres{parameters}", cluster.hosts());
    let program = setting
        .program(folder.path(), &url(""))
        .with("CONVOKE__DATABASE__READ_URL", &url("?load_balance_hosts=random"));
    let database = url("?target_session_attrs=read-write");
    let mut processes = Vec::new();
    for number in 0..2 {
        let mut process = program.serve("all", &format!("log-{number}"))?;
        process.until_ready()?;
        processes.push(process);
    }
    let token = program.token("torture")?;
    let apis: Vec<_> = processes.iter().map(|process| Api::new(&process.address, &token)).collect::<Result<_, _>>()?;
    let load = Load::start(&apis, WRITERS, READERS, |place| setting.chance(place));

    let mut gaps: BTreeMap<Event, Vec<f64>> = BTreeMap::new();
    for event in Event::ALL {
        let (full, small) = event.times();
        for round in 0..setting.scale(full, small) {
            sleep(QUIET).await;
            let begun = Instant::now();
            happen(&mut cluster, event, round).await.map_err(|failure| format!("{}: {failure}", event.name()))?;
            cluster.until_whole().await?;
            sleep(QUIET).await;
            let gap = load.told(|told| told.longest_gap(begun)).as_secs_f64();
            eprintln!("{} {}: {gap:.1} s without a write", event.name(), round + 1);
            gaps.entry(event).or_default().push(gap);
        }
    }
    let told = load.stop().await?;
    let mut outcome = Outcome::new();
    for (event, gaps) in gaps {
        let (median, most) = median_and_most(&gaps);
        let promised = event.promised();
        outcome.promise(
            format!("writes are back within {promised:.0} s of {}", event.name()),
            format!("{} times: median {median:.1} s, most {most:.1} s", gaps.len()),
            most <= promised,
        );
    }
    let kept = kept(&database).await?;
    judge(&mut outcome, &told, &kept);
    let examined = program.told(&["doctor"]);
    outcome.promise(
        "the doctor finds nothing",
        examined.as_ref().map_or_else(Clone::clone, |_| "nothing".to_owned()),
        examined.is_ok(),
    );
    Ok(outcome)
}

/// Lets something happen to the primary.
async fn happen(cluster: &mut Patroni, event: Event, round: usize) -> Result<(), Failure> {
    match event {
        Event::Crash => cluster.crash_primary().await,
        Event::SwitchOver => cluster.switch_over().await,
        Event::DeadNode => {
            // A frozen machine keeps its connections and says nothing; one that ends at once breaks them.
            let node = cluster.lose_primary(round % 3 != 2).await?;
            sleep(DEAD_FOR).await;
            cluster.bring_back(node)
        }
    }
}

/// The chats that the database holds, by id: their titles.
async fn kept(database: &str) -> Result<BTreeMap<String, String>, Failure> {
    let rows = database::connect(database).await?.query("select id::text, title from chats", &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

fn judge(outcome: &mut Outcome, told: &Told, kept: &BTreeMap<String, String>) {
    let lost: Vec<String> =
        told.registered.iter().map(|(id, _)| id).filter(|id| !kept.contains_key(*id)).cloned().collect();
    outcome.promise(
        "no acknowledged registration is lost",
        format!("{} of {} are lost", lost.len(), told.registered.len()),
        lost.is_empty() && !told.registered.is_empty(),
    );
    let titles: BTreeSet<&String> = kept.values().collect();
    outcome.promise(
        "none is there twice, whatever was asked again",
        format!("{} chats, {} titles", kept.len(), titles.len()),
        kept.len() == titles.len(),
    );
    outcome.never("an answer is anything but what it should be, or 503 with Retry-After", &told.wrong);
    let (right, unavailable) = (told.number(202) + told.number(200), told.number(503));
    let positions = told.registered.iter().filter(|(_, position)| position.is_some()).count();
    outcome.promise(
        "the service answers all the time",
        format!(
            "{right} as asked ({positions} with a position), {unavailable} with 503; the slowest after {:.1} s",
            told.slowest.as_secs_f64()
        ),
        right > 0,
    );
}
