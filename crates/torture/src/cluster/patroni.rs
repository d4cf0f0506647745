//! Three nodes of PostgreSQL under Patroni, with etcd, on loopback addresses, in a temporary folder. All of it ends and is
//! removed when it is dropped, and also if this process ends in any other way: a watcher waits for that.

use std::{
    fs,
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    time::{Duration, Instant},
};

use convoke_test_support::{HOW_TO_INSTALL, find_programs, free_address_at, unprivileged_user};
use rustix::{
    io::Errno,
    process::{Pid, Signal, kill_process},
};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::Failure;

const NODES: usize = 3;
/// How long the nodes may take to stand as they should: one that was dead may have to copy the database anew.
const PATIENCE: Duration = Duration::from_mins(3);
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(250);

/// The cluster.
pub struct Patroni {
    folder: PathBuf,
    /// The user and group that everything runs as, if not as who we are: PostgreSQL does not run as root.
    run_as: Option<(u32, u32)>,
    nodes: Vec<Node>,
    etcd: Option<Child>,
    /// Grows whenever another node takes over.
    timeline: u64,
    client: reqwest::Client,
    watcher: Child,
    /// The watcher reads the other end.
    alive: Option<ChildStdin>,
}

/// A machine: Patroni and the PostgreSQL that it looks after.
struct Node {
    name: String,
    folder: PathBuf,
    /// Where PostgreSQL listens.
    database: String,
    /// Where Patroni is asked.
    api: String,
    patroni: Option<Child>,
}

/// Ends everything whose number is in a file below the folder, then removes that. What is frozen would not notice that
/// its parent has ended.
const WATCHER: &str = r#"
    trap "" HUP INT TERM
    cat >/dev/null
    cd "$1" || exit
    for pid in $(cat pid */pid */frozen 2>/dev/null; head -q -n 1 */data/postmaster.pid 2>/dev/null); do kill -9 "$pid" 2>/dev/null; done
    cd / && sleep 1 && rm -rf "$1"
"#;

impl Patroni {
    /// Builds it, and waits until all three nodes stand as they should.
    pub async fn start() -> Result<Self, Failure> {
        let programs = find_programs().ok_or(HOW_TO_INSTALL)?;
        let run_as = unprivileged_user()?;
        let folder = tempfile::Builder::new().prefix("convoke-patroni-").tempdir()?.keep();
        let mut command = Command::new("sh");
        command.args(["-c", WATCHER, "sh"]).arg(&folder).stdin(Stdio::piped()).process_group(0);
        let mut watcher = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let alive = watcher.stdin.take();
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_mins(1)).build()?;
        let mut cluster = Self { folder, run_as, nodes: Vec::new(), etcd: None, timeline: 0, client, watcher, alive };
        own(&cluster.folder, run_as)?;
        let etcd = cluster.start_etcd()?;
        for number in 1..=NODES {
            let host = format!("127.0.0.{}", 10 + number);
            let node = Node {
                name: format!("node{number}"),
                folder: cluster.folder.join(format!("node{number}")),
                database: free_address_at(&host)?,
                api: free_address_at(&host)?,
                patroni: None,
            };
            make_folder(&node.folder, run_as)?;
            fs::write(node.folder.join("patroni.yml"), settings(&node, &etcd, &programs).to_string())?;
            cluster.nodes.push(node);
        }
        for number in 0..NODES {
            cluster.start_node(number)?;
        }
        cluster.until_whole().await?;
        Ok(cluster)
    }

    /// The part of a URL that names all hosts.
    pub fn hosts(&self) -> String {
        self.nodes.iter().map(|node| node.database.as_str()).collect::<Vec<_>>().join(",")
    }

    /// Ends the primary's PostgreSQL as a crash does; its Patroni lives.
    pub async fn crash_primary(&self) -> Result<(), Failure> {
        let node = &self.nodes[self.primary().await?];
        send(Signal::KILL, &[node.postmaster()?])
    }

    /// Freezes everything on the primary's machine, as if that were gone, or ends it at once; gives the machine.
    pub async fn lose_primary(&mut self, freezes: bool) -> Result<usize, Failure> {
        let number = self.primary().await?;
        let node = &self.nodes[number];
        let processes = node.processes();
        if freezes {
            let numbers: Vec<String> = processes.iter().map(Pid::to_string).collect();
            fs::write(node.frozen(), numbers.join("\n"))?;
        }
        send(if freezes { Signal::STOP } else { Signal::KILL }, &processes)?;
        Ok(number)
    }

    /// What was left of a lost machine ends, and it starts anew.
    pub fn bring_back(&mut self, number: usize) -> Result<(), Failure> {
        let node = &mut self.nodes[number];
        send(Signal::KILL, &node.processes())?;
        if let Some(mut patroni) = node.patroni.take() {
            patroni.kill()?;
            patroni.wait()?;
        }
        // It was not frozen, if there is no file; these numbers may soon be those of others.
        let _ = fs::remove_file(node.frozen());
        self.start_node(number)
    }

    /// Has another node take over, in an orderly way.
    pub async fn switch_over(&self) -> Result<(), Failure> {
        let node = &self.nodes[self.primary().await?];
        let request = self.client.post(format!("http://{}/switchover", node.api)).json(&json!({"leader": node.name}));
        let answer = request.send().await?;
        let status = answer.status();
        let said = answer.text().await?;
        if status.is_success() { Ok(()) } else { Err(format!("no switch-over: {status} {said}").into()) }
    }

    /// Waits until another node has taken over, and there are two standbys that follow it, of which one confirms its
    /// commits.
    pub async fn until_whole(&mut self) -> Result<(), Failure> {
        let end = Instant::now() + PATIENCE;
        loop {
            let members = self.members().await;
            let timelines: Vec<_> = members.iter().map(|member| member["timeline"].as_u64().unwrap_or(0)).collect();
            let count = |role: &str| members.iter().filter(|member| member["role"] == role).count();
            let is_running = |member: &Value| {
                let state = member["state"].as_str().unwrap_or_default();
                state == "running" || state == "streaming"
            };
            if members.len() == NODES
                && members.iter().all(is_running)
                && timelines.iter().all(|timeline| *timeline == timelines[0] && *timeline > self.timeline)
                && (count("leader"), count("sync_standby"), count("replica")) == (1, 1, 1)
            {
                self.timeline = timelines[0];
                return Ok(());
            }
            if Instant::now() > end {
                return Err(format!("the cluster is not whole: {members:?}; see {}", self.keep_logs()).into());
            }
            sleep(ASK_AGAIN_AFTER).await;
        }
    }

    /// The node that is the primary.
    async fn primary(&self) -> Result<usize, Failure> {
        let members = self.members().await;
        let leader = members.iter().find(|member| member["role"] == "leader").map(|member| &member["name"]);
        let number = self.nodes.iter().position(|node| leader.is_some_and(|name| *name == node.name));
        number.ok_or_else(|| format!("there is no primary: {members:?}").into())
    }

    /// The nodes, as the first one tells that answers.
    async fn members(&self) -> Vec<Value> {
        for node in &self.nodes {
            let asked = self.client.get(format!("http://{}/cluster", node.api)).timeout(Duration::from_secs(2));
            if let Ok(answer) = asked.send().await
                && let Ok(Value::Object(mut cluster)) = answer.json().await
                && let Some(Value::Array(members)) = cluster.remove("members")
            {
                return members;
            }
        }
        Vec::new()
    }

    fn start_etcd(&mut self) -> Result<String, Failure> {
        let (for_clients, for_peers) = (free_address_at("127.0.0.10")?, free_address_at("127.0.0.10")?);
        let (clients, peers) = (format!("http://{for_clients}"), format!("http://{for_peers}"));
        let mut command = Command::new("etcd");
        command.args(["--name=etcd", "--data-dir=etcd", "--logger=zap", "--log-level=error"]);
        command.args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
        command.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
        command.args(["--initial-cluster", &format!("etcd={peers}")]);
        let child = self.spawn(&mut command, &self.folder)?;
        self.etcd = Some(child);
        Ok(for_clients)
    }

    fn start_node(&mut self, number: usize) -> Result<(), Failure> {
        let mut command = Command::new("patroni");
        command.arg("patroni.yml");
        let child = self.spawn(&mut command, &self.nodes[number].folder)?;
        self.nodes[number].patroni = Some(child);
        Ok(())
    }

    /// Starts something in a folder, with its number and its log there.
    fn spawn(&self, command: &mut Command, folder: &Path) -> Result<Child, Failure> {
        let log = fs::File::options().create(true).append(true).open(folder.join("log"))?;
        command.current_dir(folder).env("HOME", folder).stdin(Stdio::null()).process_group(0);
        command.stdout(log.try_clone()?).stderr(log);
        if let Some((uid, gid)) = self.run_as {
            command.uid(uid).gid(gid);
        }
        let program = command.get_program().to_owned();
        let child = command.spawn().map_err(|error| format!("{}: {error}", program.display()))?;
        fs::write(folder.join("pid"), format!("{}\n", child.id()))?;
        Ok(child)
    }

    /// Takes the logs aside, for the folder goes with the cluster.
    fn keep_logs(&self) -> String {
        let kept = std::env::temp_dir().join(format!("convoke-torture-cluster-{}", std::process::id()));
        let _ = fs::create_dir_all(&kept);
        for node in &self.nodes {
            let _ = fs::copy(node.folder.join("log"), kept.join(&node.name));
        }
        kept.display().to_string()
    }
}

impl Drop for Patroni {
    fn drop(&mut self) {
        // The watcher ends everything; nobody can do anything about a failure here.
        drop(self.alive.take());
        let _ = self.watcher.wait();
        for child in self.nodes.iter_mut().filter_map(|node| node.patroni.as_mut()).chain(&mut self.etcd) {
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Node {
    /// The number of PostgreSQL's first process.
    fn postmaster(&self) -> Result<Pid, Failure> {
        let file = fs::read_to_string(self.folder.join("data/postmaster.pid"))?;
        file.lines().next().and_then(pid).ok_or_else(|| format!("no number in postmaster.pid: {file}").into())
    }

    /// Everything that runs on this machine, the parents first.
    fn processes(&self) -> Vec<Pid> {
        let mut found: Vec<Pid> = self.patroni.iter().map(Pid::from_child).chain(self.postmaster().ok()).collect();
        let mut place = 0;
        while let Some(parent) = found.get(place).copied() {
            // Linux lists the children of each thread of a process.
            for thread in fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten() {
                let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
                let children = children.split_whitespace().filter_map(pid);
                found.extend(children.filter(|child| !found.contains(child)).collect::<Vec<Pid>>());
            }
            place += 1;
        }
        found
    }

    /// Where the watcher reads what is frozen.
    fn frozen(&self) -> PathBuf {
        self.folder.join("frozen")
    }
}

/// How a node is set up. JSON is YAML too.
fn settings(node: &Node, etcd: &str, programs: &Path) -> Value {
    json!({
        "scope": "convoke",
        "name": node.name,
        "restapi": {"listen": node.api, "connect_address": node.api},
        "etcd3": {"hosts": etcd},
        "bootstrap": {
            "dcs": {
                // What is dead for so long is given up; what docs/postgresql.md advises.
                "ttl": 15,
                "loop_wait": 3,
                "retry_timeout": 5,
                "maximum_lag_on_failover": 1_048_576,
                // A PostgreSQL that crashed is not waited for.
                "primary_start_timeout": 0,
                "synchronous_mode": true,
                "synchronous_mode_strict": true,
                "postgresql": {
                    "use_pg_rewind": true,
                    "use_slots": true,
                    "parameters": {
                        "synchronous_commit": "on",
                        "max_connections": 200,
                        "shared_buffers": "32MB",
                        "wal_keep_size": "256MB",
                    },
                },
            },
            "initdb": [{"encoding": "UTF8"}, {"locale": "C"}, "data-checksums"],
            "pg_hba": [
                "local all all trust",
                "host all all 127.0.0.0/8 trust",
                "host replication all 127.0.0.0/8 trust",
            ],
        },
        "postgresql": {
            "listen": node.database,
            "connect_address": node.database,
            "data_dir": node.folder.join("data"),
            "bin_dir": programs,
            "pgpass": node.folder.join("pgpass"),
            "authentication": {
                "superuser": {"username": "postgres"},
                "replication": {"username": "replicator"},
                "rewind": {"username": "rewinder"},
            },
            "parameters": {"unix_socket_directories": node.folder},
        },
    })
}

fn pid(text: &str) -> Option<Pid> {
    text.trim().parse().ok().and_then(Pid::from_raw)
}

/// Sends a signal to each of these that is still there.
fn send(signal: Signal, processes: &[Pid]) -> Result<(), Failure> {
    for process in processes {
        match kill_process(*process, signal) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn make_folder(folder: &Path, run_as: Option<(u32, u32)>) -> Result<(), Failure> {
    fs::create_dir(folder)?;
    own(folder, run_as)
}

fn own(folder: &Path, run_as: Option<(u32, u32)>) -> Result<(), Failure> {
    match run_as {
        Some((uid, gid)) => Ok(chown(folder, Some(uid), Some(gid))?),
        None => Ok(()),
    }
}
