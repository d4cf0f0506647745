//! The service as it is shipped, with everything switched on, in a folder of its own.

use std::{
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use crate::{Failure, http};

/// How long the service may take to be ready.
const PATIENCE: Duration = Duration::from_mins(1);

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
    child: Child,
    /// Where the API is: host and port.
    pub address: String,
    /// A token that may do everything.
    pub token: String,
    /// From its start until it said that it is ready.
    pub ready_after: Duration,
}

impl Program {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CONVOKE")) {
            command.env_remove(name);
        }
        command.current_dir(&self.folder).env("CONVOKE__DATABASE__URL", &self.database);
        command.env("CONVOKE__LOG__FORMAT", "json").stdin(Stdio::null());
        command
    }

    /// Runs it to its end and gives what it prints.
    fn told(&self, words: &[&str]) -> Result<String, Failure> {
        let output = self.command().args(words).output()?;
        if output.status.success() {
            Ok(String::from_utf8(output.stdout)?.trim().to_owned())
        } else {
            Err(format!("convoke {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim()).into())
        }
    }

    /// Starts it in this role (`all`, `api` or `worker`) and waits until it is ready.
    pub fn serve(&self, role: &str) -> Result<Service, Failure> {
        self.serve_to(role, TENANT)
    }

    /// The same with a token of another tenant.
    pub fn serve_to(&self, role: &str, tenant: &str) -> Result<Service, Failure> {
        let token = ["token", "create", "--tenant", tenant, "--subject", "bench", "--scope", "chats:read,chats:write"];
        let token = self.told(&token)?;
        let (address, admin) = (free_address()?, free_address()?);
        let log = self.folder.join("log");
        let mut command = self.command();
        command.args(["serve", "--role", role]);
        command.env("CONVOKE__SERVER__BIND", &address).env("CONVOKE__ADMIN__BIND", &admin);
        command.stdout(Stdio::null()).stderr(File::create(&log)?);
        let begun = Instant::now();
        let child = command.spawn()?;
        let mut service = Service { child, address, token, ready_after: Duration::ZERO };
        while !http::is_well(&admin, "/readyz") {
            if begun.elapsed() > PATIENCE || service.child.try_wait()?.is_some() {
                return Err(format!("the service does not start: {}", fs::read_to_string(&log)?).into());
            }
            sleep(Duration::from_millis(1));
        }
        service.ready_after = begun.elapsed();
        Ok(service)
    }
}

impl Service {
    /// A client of its own.
    pub fn client(&self) -> Result<http::Client, Failure> {
        http::Client::connect(&self.address, &self.token)
    }

    /// How much memory it has, in MB: now, and at most so far.
    pub fn memory(&self) -> Result<(f64, f64), Failure> {
        let status = fs::read_to_string(Path::new("/proc").join(self.child.id().to_string()).join("status"))?;
        let megabytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok())
                .map(|kilobytes| kilobytes / 1024.0)
        };
        megabytes("VmRSS:").zip(megabytes("VmHWM:")).ok_or_else(|| "the memory of a process is not told".into())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Whatever it held is gone with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address that nobody listens on.
pub fn free_address() -> std::io::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}
