//! The service as a process, started as it is shipped: with the settings that are given to it, and no others.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// How long the service may take to be ready.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long an answer about its health may take.
const HEALTH_PATIENCE: Duration = Duration::from_secs(10);

/// A program, the folder that it is started in, and its settings.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    folder: PathBuf,
    settings: Vec<(String, String)>,
}

impl Program {
    /// The program at `path`, started in `folder`.
    #[must_use]
    pub fn new(path: &Path, folder: &Path) -> Self {
        Self { path: path.to_owned(), folder: folder.to_owned(), settings: Vec::new() }
    }

    /// The same with a setting, such as `CONVOKE__DATABASE__URL`, in place of the one that it had.
    #[must_use]
    pub fn with(mut self, variable: &str, value: &str) -> Self {
        self.settings.retain(|(name, _)| name != variable);
        self.settings.push((variable.to_owned(), value.to_owned()));
        self
    }

    /// The same listening always where it listens the first time, so that its clients find it again.
    ///
    /// # Errors
    /// If no port is free.
    pub fn at_fixed_addresses(self) -> io::Result<Self> {
        let (address, admin) = (free_address()?, free_address()?);
        Ok(self.with("CONVOKE__SERVER__BIND", &address).with("CONVOKE__ADMIN__BIND", &admin))
    }

    /// The folder that it is started in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// It with these words behind it: settings that are in our own environment do not reach it.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CONVOKE")) {
            command.env_remove(name);
        }
        command.args(words).current_dir(&self.folder).stdin(Stdio::null());
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs it to its end and gives what it prints.
    ///
    /// # Errors
    /// What it said, if it did not succeed.
    pub fn told(&self, words: &[&str]) -> Result<String, String> {
        let output = self.command(words).output().map_err(|error| format!("{}: {error}", self.path.display()))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        let said = [output.stdout, output.stderr].concat();
        Err(format!("convoke {}: {}", words.join(" "), String::from_utf8_lossy(&said).trim()))
    }

    /// A token that reads and writes the chats of a tenant.
    ///
    /// # Errors
    /// What the program said.
    pub fn token(&self, tenant: &str) -> Result<String, String> {
        let scopes = "chats:read,chats:write";
        self.told(&["token", "create", "--tenant", tenant, "--subject", "ann", "--scope", scopes])
    }

    /// Starts the service in this role (`all`, `api` or `worker`), with its log in a file of this name in the folder;
    /// it may not be ready yet. It listens where its settings say, else on ports that were free a moment ago.
    ///
    /// # Errors
    /// Why it could not be started.
    pub fn serve(&self, role: &str, log: &str) -> io::Result<Process> {
        self.wrapped_serve(&[], role, log)
    }

    /// The same under another program, such as `strace -f`.
    ///
    /// # Errors
    /// Why it could not be started.
    pub fn wrapped_serve(&self, wrapper: &[&str], role: &str, log: &str) -> io::Result<Process> {
        let set = |variable: &str| self.settings.iter().find(|(name, _)| name == variable).map(|(_, value)| value);
        let place = |variable: &str| set(variable).map_or_else(free_address, |value| Ok(value.clone()));
        let (address, admin) = (place("CONVOKE__SERVER__BIND")?, place("CONVOKE__ADMIN__BIND")?);
        let here = self.clone().with("CONVOKE__SERVER__BIND", &address).with("CONVOKE__ADMIN__BIND", &admin);
        let mut command = here.command(&["serve", "--role", role]);
        if let [outer, words @ ..] = wrapper {
            let inner = std::mem::replace(&mut command, Command::new(outer));
            command.args(words).arg(inner.get_program()).args(inner.get_args());
            command.current_dir(&self.folder).stdin(Stdio::null());
            for (name, value) in inner.get_envs() {
                match value {
                    Some(value) => command.env(name, value),
                    None => command.env_remove(name),
                };
            }
        }
        let log = self.folder.join(log);
        let file = File::options().create(true).append(true).open(&log)?;
        let begun = Instant::now();
        let child = command.stdout(Stdio::null()).stderr(file).spawn()?;
        Ok(Process { child, begun, address, admin, log })
    }
}

/// A running service; it is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    begun: Instant,
    /// Where the API is: host and port.
    pub address: String,
    /// Where `/livez`, `/readyz` and `/metrics` are.
    pub admin: String,
    log: PathBuf,
}

impl Process {
    /// Its number; of the program around it, if there is one.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that it wrote into its log.
    ///
    /// # Errors
    /// If the file is not there.
    pub fn log(&self) -> io::Result<String> {
        fs::read_to_string(&self.log)
    }

    /// Waits until it is ready, and says how long that took from its start.
    ///
    /// # Errors
    /// What its log says, if it ended or took longer than a minute.
    pub fn until_ready(&mut self) -> Result<Duration, String> {
        while self.health("/readyz") != Some(200) {
            if self.begun.elapsed() > PATIENCE || self.has_ended() {
                return Err(format!("the service does not start: {}", self.log().unwrap_or_default()));
            }
            sleep(Duration::from_millis(1));
        }
        Ok(self.begun.elapsed())
    }

    /// The status of `/livez` or `/readyz`, if there is an answer.
    #[must_use]
    pub fn health(&self, path: &str) -> Option<u16> {
        ask_status(&self.admin, path).ok()
    }

    /// Whether it has come to its end.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// The code that it ended with, if it has come to its end by itself.
    pub fn exit_code(&mut self) -> Option<i32> {
        self.child.try_wait().ok().flatten().and_then(|status| status.code())
    }

    /// Sends it a signal, such as [`Signal::STOP`] or [`Signal::TERM`].
    ///
    /// # Errors
    /// If it is not there any more.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// Ends it as `kill -9` does, and waits until it is gone.
    ///
    /// # Errors
    /// What the system says.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// How much memory it has, in MB: now, and at most so far. None where the system does not tell.
    #[must_use]
    pub fn memory(&self) -> Option<(f64, f64)> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).ok()?;
        let megabytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
        };
        megabytes("VmRSS:").zip(megabytes("VmHWM:"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Whatever it held is gone with it.
        let _ = self.kill();
    }
}

/// An address of the loopback interface that nobody listens on, now, and that this process was not given before.
///
/// Its port is below those that systems give to connections, so that nothing takes it while a service that is being
/// restarted is away: not even a client that connects to it, which then would speak with itself.
///
/// # Errors
/// If there is none.
pub fn free_address() -> io::Result<String> {
    free_address_at("127.0.0.1")
}

/// The same at another host of this machine, such as `127.0.0.2`.
///
/// # Errors
/// If there is none.
pub fn free_address_at(host: &str) -> io::Result<String> {
    // Whoever was given a port may not listen on it yet.
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut last = io::Error::other("no port is free");
    for _ in 0..50 {
        let mut chance = [0; 2];
        getrandom::fill(&mut chance).map_err(|error| io::Error::other(error.to_string()))?;
        let port = 10_000 + u16::from_le_bytes(chance) % 22_000;
        match TcpListener::bind((host, port)) {
            Ok(listener) if GIVEN.lock().unwrap_or_else(PoisonError::into_inner).insert(port) => {
                return Ok(listener.local_addr()?.to_string());
            }
            Ok(_) => {}
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The status that `address` answers a GET of `path` with.
///
/// # Errors
/// If nobody answers, or something else than HTTP.
pub fn ask_status(address: &str, path: &str) -> io::Result<u16> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(HEALTH_PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.ok_or_else(|| io::Error::other("no HTTP"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_is_given_twice() {
        let given: BTreeSet<String> = (0..500).map(|_| free_address().unwrap()).collect();
        assert_eq!(given.len(), 500);
    }
}
