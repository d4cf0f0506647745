//! PostgreSQL is stopped as a crash stops it, is away for a while, and falls silent, under load.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use convoke_test_support::Process;
use tokio::time::sleep;

use crate::{
    Failure,
    api::{Api, status_of},
    database,
    outcome::{Outcome, median_and_most},
    proof,
    proxy::{Mode, Proxy},
    setting::Setting,
    watch::Watch,
    writers::Writers,
};

/// The longest pause of a writer between two registrations.
const PAUSE: Duration = Duration::from_millis(20);
/// How long the service may take to be well again before it is given up.
const PATIENCE: Duration = Duration::from_secs(30);
/// By how many MB memory may grow while the database is away: what has been read once, and buffers.
const GROWTH: f64 = 30.0;

/// Runs it.
pub async fn run(setting: &Setting) -> Result<Outcome, Failure> {
    let folder = tempfile::tempdir()?;
    let cluster = database::postgres()?;
    let (proxy, program) = Proxy::between(setting, folder.path(), &cluster).await?;
    let token = program.token("torture")?;
    let mut service = program.serve("all", "log")?;
    service.until_ready()?;
    let api = Api::new(&service.address, &token)?;
    let writers = Arc::new(Writers::start(setting, &api, PAUSE));
    let watch = Watch::start(setting, &api, &service.admin, &writers);
    sleep(Duration::from_secs(3)).await;
    let (before, _) = service.memory().ok_or("the memory of a process is not told")?;

    let mut chance = setting.chance(0);
    let mut well_again = Vec::new();
    let stops = setting.scale(20, 2);
    for _ in 0..stops {
        cluster.stop()?;
        sleep(Duration::from_millis(chance.below(2_000))).await;
        cluster.start_again()?;
        well_again.push(until_well(&writers, &service).await?);
        sleep(Duration::from_millis(200 + chance.below(1_000))).await;
    }
    let away = Duration::from_secs(setting.scale(60, 10));
    cluster.stop()?;
    sleep(away).await;
    cluster.start_again()?;
    well_again.push(until_well(&writers, &service).await?);
    for _ in 0..setting.scale(5, 1) {
        proxy.set(Mode::BlackHole);
        sleep(Duration::from_secs(setting.scale(12, 6))).await;
        proxy.set(Mode::Forward);
        well_again.push(until_well(&writers, &service).await?);
    }
    let (after, _) = service.memory().ok_or("the memory of a process is not told")?;
    let seen = watch.stop().await?;
    let ledger = Arc::into_inner(writers).ok_or("somebody still looks at the writers")?.stop().await?;

    let mut outcome = Outcome::new();
    proof::nothing_is_lost(&mut outcome, &api, &program, &ledger).await?;
    outcome.promise("registrations are answered, if by 503", answered(&ledger), ledger.unanswered == 0);
    let promised = setting.scale(2.5, 5.0);
    let (took, status) = ledger.slowest;
    let slowest = took.max(seen.slowest).as_secs_f64();
    let reached = format!(
        "slowest registration {:.2} s ({status}), slowest read {:.2} s",
        took.as_secs_f64(),
        seen.slowest.as_secs_f64()
    );
    outcome.promise(format!("answers come within {promised} s"), reached, slowest <= promised);
    outcome.never("a read is answered neither 200 nor 503 with `Retry-After` (never 401)", &seen.wrong);
    outcome.promise("reads", format!("{} answered 200, {} answered 503", seen.read, seen.refused), seen.read > 0);
    outcome.never(format!("`/livez`, asked {} times, is not 200", seen.lives), &seen.not_alive);
    let (median, most) = median_and_most(&well_again);
    let promised = setting.scale(3.0, 10.0);
    outcome.promise(
        format!("{stops} stops, {} s away, silence: well again within {promised} s", away.as_secs()),
        format!("median {median:.2} s, most {most:.2} s"),
        most <= promised,
    );
    outcome.promise(
        format!("memory grows by less than {GROWTH} MB"),
        format!("{before:.0} MB before, {after:.0} MB after"),
        after - before < GROWTH,
    );
    Ok(outcome)
}

fn answered(ledger: &crate::writers::Ledger) -> String {
    format!("{} answered 503, {} not answered", ledger.refused, ledger.unanswered)
}

/// Waits until the service is ready and a registration was answered 202 again; says how many seconds that took.
async fn until_well(writers: &Writers, service: &Process) -> Result<f64, Failure> {
    let returned = Instant::now();
    loop {
        let last = writers.ledger().last_kept;
        if last.is_some_and(|last| last > returned) && matches!(status_of(&service.admin, "/readyz").await, Ok(200)) {
            return Ok(returned.elapsed().as_secs_f64());
        }
        if returned.elapsed() > PATIENCE {
            return Err("the service is not well again".into());
        }
        sleep(Duration::from_millis(10)).await;
    }
}
