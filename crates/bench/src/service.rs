//! The service as it is shipped, with everything switched on, in a folder of its own.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use convoke_test_support::Process;

use crate::{Failure, http};

/// Whose chats are read and written.
pub const TENANT: &str = "bench";

/// The program and the database that it is to serve.
#[derive(Clone)]
pub struct Program {
    pub path: PathBuf,
    pub database: String,
    pub folder: PathBuf,
}

/// A running service; it ends when this is dropped.
pub struct Service {
    process: Process,
    /// Where the API is: host and port.
    pub address: String,
    /// A token that may do everything.
    pub token: String,
    /// From its start until it said that it is ready.
    pub ready_after: Duration,
}

impl Program {
    /// Starts it in this role (`all`, `api` or `worker`) and waits until it is ready.
    pub fn serve(&self, role: &str) -> Result<Service, Failure> {
        self.serve_to(role, TENANT)
    }

    /// The same with a token of another tenant.
    pub fn serve_to(&self, role: &str, tenant: &str) -> Result<Service, Failure> {
        let program = convoke_test_support::Program::new(Path::new(&self.path), &self.folder);
        let program = program.with("CONVOKE__DATABASE__URL", &self.database).with("CONVOKE__LOG__FORMAT", "json");
        let token = program.token(tenant)?;
        let mut process = program.serve(role, "log")?;
        let ready_after = process.until_ready()?;
        Ok(Service { address: process.address.clone(), process, token, ready_after })
    }
}

impl Service {
    /// A client of its own.
    pub fn client(&self) -> Result<http::Client, Failure> {
        http::Client::connect(&self.address, &self.token)
    }

    /// How much memory it has, in MB: now, and at most so far.
    pub fn memory(&self) -> Result<(f64, f64), Failure> {
        self.process.memory().ok_or_else(|| "the memory of a process is not told".into())
    }
}
