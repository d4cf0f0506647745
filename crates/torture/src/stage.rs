//! The service and its clients on a core each, so that neither takes from the other: the service, its database (SQLite)
//! and all it does on the first, load on the second.

use std::path::Path;

use convoke_test_support::{Process, Program};
use rustix::thread::{CpuSet, sched_getaffinity};
use tempfile::TempDir;

use crate::{
    Failure,
    api::{Api, ask},
    open_loop::{self, Answers, Stream, get},
    setting::Setting,
};

/// Chats of each tenant: enough for a list to be full, few enough for all to be in memory.
const CHATS: usize = 100;
/// How many ask when it is measured what can be done.
const CLIENTS: usize = 64;
/// How long it takes to answer once on every connection when more comes than can be done, in seconds: longer than any may
/// wait for its turn, so that some have to be refused.
const SECONDS_FOR_ALL: f64 = 0.5;

/// A running service with chats of some tenants.
pub struct Stage {
    program: Program,
    pub process: Process,
    load_core: usize,
    _folder: TempDir,
}

/// Who asks, and for what.
#[derive(Debug, Clone)]
pub struct Tenant {
    pub token: String,
    chats: Vec<String>,
}

impl Stage {
    /// Starts the service, with these settings beside those of every torture.
    pub fn start(setting: &Setting, settings: &[(&str, &str)]) -> Result<Self, Failure> {
        let (service_core, load_core) = cores()?;
        let folder = tempfile::tempdir()?;
        let database = format!("sqlite://{}", folder.path().join("convoke.db").display());
        let mut program = setting.program(folder.path(), &database);
        for (name, value) in settings {
            program = program.with(name, value);
        }
        let wrapper = ["taskset", "--cpu-list", &service_core.to_string()];
        let mut process = program.wrapped_serve(&wrapper, "all", "log")?;
        process.until_ready()?;
        Ok(Self { program, process, load_core, _folder: folder })
    }

    /// The folder that it runs in.
    pub fn folder(&self) -> &Path {
        self.program.folder()
    }

    /// A tenant of this name with its chats.
    pub async fn tenant(&self, name: &str) -> Result<Tenant, Failure> {
        let token = self.program.token(name)?;
        let api = Api::new(&self.process.address, &token)?;
        let mut chats = Vec::new();
        for number in 0..CHATS {
            let answer = ask(api.register(&format!("chat {number}"))).await?;
            let id = answer.body["id"].as_str().ok_or_else(|| format!("{}: {}", answer.status, answer.body))?;
            chats.push(id.to_owned());
        }
        Ok(Tenant { token, chats })
    }

    /// How many requests a second are answered when every client asks as soon as it is answered.
    pub fn capacity(&self, tenant: &Tenant, seconds: f64) -> Result<f64, Failure> {
        let answers = self.load(seconds, &[(tenant, None, CLIENTS)])?;
        let [answers] = answers.as_slice() else { return Err("one stream, one answer".into()) };
        match answers.failed.first() {
            Some(failed) => Err(format!("{} of all requests failed: {failed}", answers.failed.len()).into()),
            None => Ok(answers.goodput()),
        }
    }

    /// Over how many connections more comes than this capacity, in requests a second.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a capacity is neither so large nor negative"
    )]
    pub fn connections(capacity: f64) -> usize {
        (capacity * SECONDS_FOR_ALL) as usize
    }

    /// Load of several tenants at once: of each, how many requests a second, and over how many connections at most.
    pub fn load(&self, seconds: f64, of: &[(&Tenant, Option<f64>, usize)]) -> Result<Vec<Answers>, Failure> {
        let stream = |(tenant, rate, connections): &(&Tenant, _, _)| Stream {
            requests: tenant.requests(),
            rate: *rate,
            connections: *connections,
        };
        open_loop::send(&self.process.address, self.load_core, seconds, of.iter().map(stream).collect())
    }
}

/// The core of the service, and that of the load: the first two that this process may use.
fn cores() -> Result<(usize, usize), Failure> {
    let ours = sched_getaffinity(None)?;
    let mut cores = (0..CpuSet::MAX_CPU).filter(|core| ours.is_set(*core));
    cores.next().zip(cores.next()).ok_or_else(|| "service and load need a core each".into())
}

impl Tenant {
    /// What its clients ask for: lists and single chats in turn.
    fn requests(&self) -> Vec<Vec<u8>> {
        let private = "/api/v1/private";
        let list = |page: usize| get(&format!("{private}/chats?size=20&page={}", page % (CHATS / 20)), &self.token);
        let chat = |id: &String| get(&format!("{private}/chats/{id}"), &self.token);
        self.chats.iter().enumerate().flat_map(|(place, id)| [list(place), chat(id)]).collect()
    }
}
