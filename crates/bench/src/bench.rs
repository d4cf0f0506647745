//! Measures the service beside what limits it: both in turn, in the same minutes, several times.

mod detail;
mod joins;
mod lists;
mod operations;
mod pages;
mod process;
mod registrations;
mod sqlite;

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use clap::ValueEnum;
use convoke_test_support::{Cluster, ClusterOptions, connect};
use tempfile::TempDir;
use tokio_postgres::Client;

use crate::{
    Failure,
    figures::{Figure, Figures, Target},
    limit::Limit,
    load::Load,
    report,
    seed::{self, Form, TenantSeed},
    service::{Program, TENANT},
};

/// How much is measured.
#[derive(Debug, clap::Args)]
pub struct BenchArguments {
    /// The service's program
    #[arg(long)]
    program: PathBuf,
    /// Where the figures are kept between two runs
    #[arg(long)]
    figures: PathBuf,
    /// The page that is written; plots lie beside it, in its folder `performance`
    #[arg(long)]
    page: PathBuf,
    /// Few chats and short rounds: in under five minutes
    #[arg(long)]
    quick: bool,
    /// Only these parts [default: all]
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// How many chats there are in the usual parts [default: 1,000,000; quick: 100,000]
    #[arg(long)]
    chats: Option<u64>,
    /// How many thin chats there are in the part `pages` [default: 10,000,000; quick: 100,000]
    #[arg(long)]
    thin_chats: Option<u64>,
    /// How long each measurement takes, in seconds [default: 8; quick: 2]
    #[arg(long)]
    seconds: Option<u32>,
    /// How often each is repeated [default: 5; quick: 2]
    #[arg(long)]
    rounds: Option<usize>,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// One chat: rate, the ceiling of HTTP, plots.
    Detail,
    /// The list and its orders.
    Lists,
    /// Memory, and the start.
    Process,
    /// Registrations on PostgreSQL.
    Registrations,
    /// From registered to active.
    Operations,
    /// A group that grows.
    Joins,
    /// Any page of very many chats.
    Pages,
    /// The embedded database.
    Sqlite,
}

/// A running PostgreSQL with the chats of one part, and how long to measure.
pub struct Bench {
    pub seconds: u32,
    pub rounds: usize,
    pub program: Program,
    pub load: Load,
    pub limit: Limit,
    pub sql: Client,
    pub cluster: Cluster,
    _folder: TempDir,
}

/// The settings that PostgreSQL has beside its defaults; the page names them.
pub const SETTINGS: &[(&str, &str)] = &[
    ("shared_buffers", "1GB"),
    ("max_wal_size", "1GB"),
    ("wal_level", "minimal"),
    ("max_wal_senders", "0"),
    ("track_activity_query_size", "16kB"),
];

/// Measures, and writes the page.
pub async fn run(arguments: &BenchArguments) -> Result<(), Failure> {
    let begun = Instant::now();
    let mut figures = Figures::read(&arguments.figures)?;
    let wanted = |parts: &[Part]| arguments.only.is_empty() || parts.iter().any(|part| arguments.only.contains(part));
    let quick = arguments.quick;
    let chats = arguments.chats.unwrap_or(if quick { 100_000 } else { 1_000_000 });
    if wanted(&[Part::Detail, Part::Lists, Part::Process, Part::Registrations, Part::Operations, Part::Joins]) {
        let tenants = [TenantSeed { tenant: TENANT.parse()?, chats }];
        let bench = Bench::start(arguments, &tenants, Form::WithoutEvents).await?;
        if wanted(&[Part::Detail]) {
            detail::measure(&bench, &mut figures).await?;
            figures.write(&arguments.figures)?;
        }
        if wanted(&[Part::Lists]) {
            lists::measure(&bench, &mut figures).await?;
            figures.write(&arguments.figures)?;
        }
        if wanted(&[Part::Process]) {
            process::measure(&bench, &mut figures).await?;
            figures.write(&arguments.figures)?;
        }
        if wanted(&[Part::Joins]) {
            joins::measure(&bench, &mut figures).await?;
            figures.write(&arguments.figures)?;
        }
        if wanted(&[Part::Registrations]) {
            registrations::measure(&bench, &mut figures).await?;
            figures.write(&arguments.figures)?;
        }
        if wanted(&[Part::Operations]) {
            operations::measure(&bench, &mut figures).await?;
            figures.write(&arguments.figures)?;
        }
    }
    if wanted(&[Part::Sqlite]) {
        sqlite::measure(arguments, &mut figures)?;
        figures.write(&arguments.figures)?;
    }
    if wanted(&[Part::Pages]) {
        let chats = arguments.thin_chats.unwrap_or(if quick { 100_000 } else { 10_000_000 });
        let bench = Bench::start(arguments, &pages::tenants(chats)?, Form::Thin).await?;
        pages::measure(&bench, &mut figures, chats)?;
        figures.write(&arguments.figures)?;
    }
    report::write(&figures, &arguments.page)?;
    eprintln!("bench: done in {:.0} s; {}", begun.elapsed().as_secs_f32(), arguments.page.display());
    Ok(())
}

impl BenchArguments {
    fn seconds(&self) -> u32 {
        self.seconds.unwrap_or(if self.quick { 2 } else { 8 })
    }

    fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 2 } else { 5 })
    }

    fn program(&self, database: String, folder: &Path) -> Program {
        Program { path: self.program.clone(), database, folder: folder.to_owned() }
    }
}

impl Bench {
    async fn start(arguments: &BenchArguments, tenants: &[TenantSeed], form: Form) -> Result<Self, Failure> {
        let settings = SETTINGS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let cluster = Cluster::start(&ClusterOptions { durable: true, settings, ..ClusterOptions::default() })?;
        seed::seed(&cluster.url(), tenants, form).await?;
        let folder = tempfile::tempdir()?;
        Ok(Self {
            seconds: arguments.seconds(),
            rounds: arguments.rounds(),
            program: arguments.program(cluster.url(), folder.path()),
            load: Load::new(folder.path().to_owned())?,
            limit: Limit { database: cluster.url(), folder: folder.path().to_owned() },
            sql: connect(&cluster.url()).await?,
            cluster,
            _folder: folder,
        })
    }
}

/// Measures the service and its limit in turn.
pub fn in_turn(
    rounds: usize,
    mut service: impl FnMut() -> Result<f64, Failure>,
    mut limit: impl FnMut() -> Result<f64, Failure>,
) -> Result<(Vec<f64>, Vec<f64>), Failure> {
    let (mut services, mut limits) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        services.push(service()?);
        limits.push(limit()?);
    }
    Ok((services, limits))
}

/// A figure that is compared with its limit.
pub fn ratio(what: &str, unit: &str, measured: (Vec<f64>, Vec<f64>), reach: f64, beyond: f64) -> Figure {
    let (service, limit) = measured;
    let target = Some(Target { reach, beyond });
    Figure { what: what.to_owned(), unit: unit.to_owned(), service, limit, target }
}

/// A figure that stands for itself.
pub fn absolute(what: &str, unit: &str, measured: Vec<f64>, reach: f64, beyond: f64) -> Figure {
    let target = Some(Target { reach, beyond });
    Figure { what: what.to_owned(), unit: unit.to_owned(), service: measured, limit: Vec::new(), target }
}

/// The path of all chats.
pub const CHATS: &str = "/api/v1/private/chats";
/// A registration, as it is sent.
pub const CHAT: &str = r#"{"title": "Kick-off of the summer party", "createdBy": "ada", "service": "sandbox"}"#;

/// The path of a chat.
pub fn path_of(id: &str) -> String {
    format!("{CHATS}/{id}")
}

/// The median time of asking for each of these paths `times` times, one after the other, in milliseconds.
pub fn time_of(client: &mut crate::http::Client, paths: &[String], times: usize) -> Result<f64, Failure> {
    let mut all = Vec::new();
    for _ in 0..times {
        for path in paths {
            all.push(client.get(path)?.time.as_secs_f64() * 1e3);
        }
    }
    Ok(crate::figures::Spread::of(&all).median)
}
