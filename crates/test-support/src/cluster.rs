//! A PostgreSQL of our own in a temporary folder, gone when we are.

use std::{
    fmt::Write as _,
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
};

use crate::{
    postgres_programs::{HOW_TO_INSTALL, find_programs, other_user},
    program::free_address,
};

/// How a cluster is set up.
#[derive(Debug, Clone, Default)]
pub struct ClusterOptions {
    /// Whether a commit is on disk when it is answered. Without it a cluster is much faster, but loses its last commits
    /// when it is stopped.
    pub durable: bool,
    /// The certificate and its private key, both PEM, with which it takes TLS connections beside plain ones.
    pub certificate: Option<(String, String)>,
    /// More settings, as in `postgresql.conf`.
    pub settings: Vec<(String, String)>,
}

/// A running PostgreSQL cluster in a temporary folder, on a port of its own of the loopback interface. The superuser is
/// `postgres`, without a password; text is UTF-8 and sorts by code point.
///
/// It is stopped and removed when this value is dropped, and also when the process ends in any other way, be it by
/// `kill -9`: a watcher process waits for that.
#[derive(Debug)]
pub struct Cluster {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    run_as: Option<(u32, u32)>,
    watcher: Child,
    /// The watcher reads the other end: when this one is closed, by us or by the death of our process, it acts.
    alive: Option<ChildStdin>,
}

impl Cluster {
    /// Makes a cluster and starts it.
    ///
    /// # Errors
    /// One line that says what is missing or, if PostgreSQL did not start, what it said.
    pub fn start(options: &ClusterOptions) -> Result<Self, String> {
        let mut cluster = Self::empty()?;
        cluster.initialise(options)?;
        cluster.start_on_a_free_port()?;
        Ok(cluster)
    }

    /// Makes a standby: a copy that follows this cluster, and can be read.
    ///
    /// # Errors
    /// What PostgreSQL said.
    pub fn standby(&self) -> Result<Self, String> {
        let mut standby = Self::empty()?;
        let source = format!("--port={}", self.port);
        standby.run(
            "pg_basebackup",
            &[
                "--pgdata=data",
                "--host=127.0.0.1",
                &source,
                "--username=postgres",
                "--checkpoint=fast",
                "--wal-method=stream",
                "--write-recovery-conf",
                "--no-sync",
            ],
        )?;
        // The copied settings name the other one's folder.
        standby.set(&format!("unix_socket_directories = '{}'\n", sockets(&standby.folder)))?;
        standby.start_on_a_free_port()?;
        Ok(standby)
    }

    /// Makes the folder, and the watcher that removes it.
    fn empty() -> Result<Self, String> {
        let programs = find_programs().ok_or(HOW_TO_INSTALL)?;
        let folder =
            tempfile::Builder::new().prefix("convoke-postgres-").tempdir().map_err(told("temporary folder"))?;
        let our_uid = fs::metadata(folder.path()).map_err(told("temporary folder"))?.uid();
        let run_as = other_user(our_uid)?;
        if let Some((uid, gid)) = run_as {
            chown(folder.path(), Some(uid), Some(gid)).map_err(told("temporary folder"))?;
        }
        let mut watcher = start_watcher(&programs, folder.path(), run_as).map_err(told("sh"))?;
        // From here on the watcher removes the folder.
        let folder = folder.keep();
        let alive = watcher.stdin.take();
        Ok(Self { programs, folder, port: 0, run_as, watcher, alive })
    }

    /// The URL of its maintenance database.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// The port that it listens on, at 127.0.0.1.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Makes a standby a cluster of its own, which takes writes.
    ///
    /// # Errors
    /// What PostgreSQL said.
    pub fn promote(&self) -> Result<(), String> {
        self.run("pg_ctl", &["promote", "--wait", "--pgdata=data"])
    }

    /// Stops it as a crash would: what was not written is lost, and connections break.
    ///
    /// # Errors
    /// What PostgreSQL said.
    pub fn stop(&self) -> Result<(), String> {
        self.run("pg_ctl", &["stop", "--mode=immediate", "--wait", "--pgdata=data"])
    }

    /// Starts it again after [`Cluster::stop`], on the port that it had.
    ///
    /// # Errors
    /// What PostgreSQL said.
    pub fn start_again(&self) -> Result<(), String> {
        let port = format!("--options=-p {}", self.port);
        self.run("pg_ctl", &["start", "--wait", "--timeout=120", "--pgdata=data", "--log=log", &port])
    }

    fn initialise(&self, options: &ClusterOptions) -> Result<(), String> {
        self.run(
            "initdb",
            &["--pgdata=data", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"],
        )?;
        self.set(&settings(options, &self.folder))?;
        if let Some((certificate, key)) = &options.certificate {
            self.write_secret("server.crt", certificate)?;
            self.write_secret("server.key", key)?;
        }
        Ok(())
    }

    /// Adds lines to `postgresql.conf`: of a setting, the last one counts.
    fn set(&self, lines: &str) -> Result<(), String> {
        let path = self.folder.join("data/postgresql.conf");
        let mut text = fs::read_to_string(&path).map_err(told("postgresql.conf"))?;
        text.push_str(lines);
        fs::write(&path, text).map_err(told("postgresql.conf"))
    }

    /// Writes a file that PostgreSQL takes only if nobody else can read it.
    fn write_secret(&self, name: &str, content: &str) -> Result<(), String> {
        let path = self.folder.join("data").join(name);
        fs::write(&path, content).map_err(told(name))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(told(name))?;
        match self.run_as {
            Some((uid, gid)) => chown(&path, Some(uid), Some(gid)).map_err(told(name)),
            None => Ok(()),
        }
    }

    /// Somebody may take a port between our asking for a free one and PostgreSQL's start: then another one is tried.
    fn start_on_a_free_port(&mut self) -> Result<(), String> {
        let mut outcome = Ok(());
        for _ in 0..5 {
            let address = free_address().map_err(told("loopback interface"))?;
            self.port = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or_default();
            outcome = self.start_again();
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<(), String> {
        let mut command = Command::new(self.programs.join(program));
        command.args(arguments).stdin(Stdio::null());
        settle(&mut command, &self.folder, self.run_as);
        let output = command.output().map_err(told(program))?;
        if output.status.success() {
            return Ok(());
        }
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("{program} failed: {} {}", said.trim(), log.lines().last().unwrap_or_default()))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Whoever drops it can do nothing about a failure, and the folder lies among the temporary ones.
        drop(self.alive.take());
        let _ = self.watcher.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Lets a command run in the cluster's folder, and as the user that PostgreSQL can run as.
fn settle(command: &mut Command, folder: &Path, run_as: Option<(u32, u32)>) {
    command.current_dir(folder);
    if let Some((uid, gid)) = run_as {
        command.uid(uid).gid(gid);
    }
}

/// Starts a process that waits until its standard input is closed, then stops the cluster and removes its folder. It is
/// in a process group of its own, so that Ctrl-C does not reach it.
fn start_watcher(programs: &Path, folder: &Path, run_as: Option<(u32, u32)>) -> std::io::Result<Child> {
    const SCRIPT: &str = r#"
        trap "" HUP INT TERM
        cat >/dev/null
        "$0" stop --mode=immediate --wait --pgdata="$1/data"
        cd / && rm -rf "$1"
    "#;
    let mut command = Command::new("sh");
    command.args(["-c", SCRIPT]).arg(programs.join("pg_ctl")).arg(folder);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    settle(&mut command, folder, run_as);
    command.spawn()
}

fn settings(options: &ClusterOptions, folder: &Path) -> String {
    let mut lines = "\nlisten_addresses = '127.0.0.1'\nmax_connections = 300\n".to_owned();
    let _ = writeln!(lines, "unix_socket_directories = '{}'", sockets(folder));
    if !options.durable {
        lines.push_str("fsync = off\nfull_page_writes = off\nsynchronous_commit = off\n");
    }
    if options.certificate.is_some() {
        lines.push_str("ssl = on\n");
    }
    for (name, value) in &options.settings {
        let _ = writeln!(lines, "{name} = '{}'", value.replace('\'', "''"));
    }
    lines
}

/// The folder for the socket. Its path has at most about 100 bytes; without one there is still TCP.
fn sockets(folder: &Path) -> &str {
    folder.to_str().filter(|path| path.len() < 80).unwrap_or_default()
}

fn told(what: &str) -> impl Fn(std::io::Error) -> String + '_ {
    move |error| format!("{what}: {error}")
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use tokio_postgres::Client;

    use super::*;

    async fn connect(url: &str) -> Client {
        crate::connect(url).await.unwrap()
    }

    #[tokio::test]
    async fn keeps_what_was_committed_over_a_crash_and_is_removed_at_the_end() {
        let options = ClusterOptions {
            durable: true,
            settings: vec![("application_name".to_owned(), "it's ours".to_owned())],
            ..ClusterOptions::default()
        };
        let cluster = Cluster::start(&options).unwrap();
        let client = connect(&cluster.url()).await;
        client.batch_execute("create table kept (value int); insert into kept values (7)").await.unwrap();
        cluster.stop().unwrap();
        cluster.start_again().unwrap();
        assert!(client.query_one("select 1", &[]).await.is_err(), "connections break");

        let client = connect(&cluster.url()).await;
        assert_eq!(client.query_one("select value from kept", &[]).await.unwrap().get::<_, i32>(0), 7);
        for (setting, value) in [("fsync", "on"), ("max_connections", "300"), ("application_name", "it's ours")] {
            let row = client.query_one("select current_setting($1)", &[&setting]).await.unwrap();
            assert_eq!(row.get::<_, String>(0), value, "{setting}");
        }
        let (url, folder) = (cluster.url(), cluster.folder.clone());
        drop(cluster);
        assert!(!folder.exists());
        assert!(crate::connect(&url).await.is_err());
    }

    #[tokio::test]
    async fn a_standby_follows_until_it_is_promoted() {
        let primary = Cluster::start(&ClusterOptions { durable: true, ..ClusterOptions::default() }).unwrap();
        let standby = primary.standby().unwrap();
        let client = connect(&primary.url()).await;
        client.batch_execute("create table kept (value int); insert into kept values (7)").await.unwrap();
        crate::catch_up(&primary, &standby).await;
        let copy = connect(&standby.url()).await;
        assert_eq!(copy.query_one("select value from kept", &[]).await.unwrap().get::<_, i32>(0), 7);
        assert!(copy.batch_execute("insert into kept values (8)").await.is_err());
        primary.stop().unwrap();
        standby.promote().unwrap();
        copy.batch_execute("insert into kept values (8)").await.unwrap();
    }

    #[test]
    fn the_watcher_removes_what_a_killed_process_leaves() {
        let mut cluster = Cluster::start(&ClusterOptions::default()).unwrap();
        // What the death of a process does.
        drop(cluster.alive.take());
        for _ in 0..600 {
            if !cluster.folder.exists() {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("{} is still there", cluster.folder.display());
    }
}
