//! Running the program in an empty folder, on ports of its own.

use std::{
    env, fs,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread::{sleep, spawn},
    time::{Duration, Instant},
};

use reqwest::{Client, RequestBuilder, StatusCode, redirect::Policy};
use rustix::{
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};
use serde_json::Value;
use tempfile::TempDir;

pub const PATIENCE: Duration = Duration::from_secs(30);

/// Where the program is started: empty at first, with settings in the environment that keep tests apart.
pub struct Place {
    folder: TempDir,
    logs: TempDir,
    pub public: String,
    pub admin: String,
    variables: Vec<(String, String)>,
}

impl Place {
    pub fn new() -> Self {
        let (public, admin) = (free_address(), free_address());
        let variables = [("CONVOKE__SERVER__BIND", &public), ("CONVOKE__ADMIN__BIND", &admin)]
            .map(|(name, value)| (name.to_owned(), value.clone()))
            .to_vec();
        Self { folder: tempfile::tempdir().unwrap(), logs: tempfile::tempdir().unwrap(), public, admin, variables }
    }

    /// A place whose database is at this URL.
    pub fn on(database_url: &str) -> Self {
        Self::new().with("CONVOKE__DATABASE__URL", database_url)
    }

    pub fn with(mut self, variable: &str, value: &str) -> Self {
        self.variables.retain(|(name, _)| name != variable);
        self.variables.push((variable.to_owned(), value.to_owned()));
        self
    }

    pub fn without(mut self, variable: &str) -> Self {
        self.variables.retain(|(name, _)| name != variable);
        self
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn write(&self, file: &str, text: &str) {
        fs::write(self.path().join(file), text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_convoke"));
        command.args(arguments).current_dir(self.path()).stdin(Stdio::null());
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CONVOKE")) {
            command.env_remove(name);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command to its end, with this on its standard input.
    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // It may have ended without reading any of it.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// Runs a command that is to succeed, and gives what it printed.
    pub fn told(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command to its end with a terminal as standard error; gives what it printed, and what the terminal was sent.
    pub fn run_at_terminal(&self, arguments: &[&str]) -> (String, String) {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap();
        let terminal = fs::File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let mut command = self.command(arguments);
        let child = command.env("TERM", "xterm").stdout(Stdio::piped()).stderr(terminal).spawn().unwrap();
        // It holds the terminal too, which ends when nobody holds it.
        drop(command);
        let reading = spawn(move || {
            let mut sent = Vec::new();
            // The end of a terminal is an error; what was sent before it is there.
            let _ = fs::File::from(controller).read_to_end(&mut sent);
            String::from_utf8(sent).unwrap()
        });
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{arguments:?}");
        (String::from_utf8(output.stdout).unwrap(), reading.join().unwrap())
    }

    /// Runs what is to be refused; gives the exit code and the one line that says why.
    pub fn refused(&self, arguments: &[&str]) -> (i32, String) {
        let mut child = self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let status = wait(&mut child).unwrap_or_else(|| panic!("{arguments:?} goes on"));
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!status.success(), "{arguments:?} is not refused");
        assert_eq!(said.lines().count(), 1, "{said}");
        (status.code().unwrap(), said.trim_end().to_owned())
    }

    /// Starts the service and waits until it is ready.
    pub fn start(&self) -> Service<'_> {
        let service = self.spawn(&[]);
        service.until_ready();
        service
    }

    /// Starts the service with these arguments.
    pub fn spawn(&self, arguments: &[&str]) -> Service<'_> {
        let (stdout, stderr) = (self.logs.path().join("stdout"), self.logs.path().join("stderr"));
        let file = |path: &PathBuf| fs::File::create(path).unwrap();
        let child = self.command(arguments).stdout(file(&stdout)).stderr(file(&stderr)).spawn().unwrap();
        Service { place: self, child, stdout, stderr }
    }

    /// A token with both scopes.
    pub fn token(&self) -> String {
        let scopes = ["--scope", "chats:read", "--scope", "chats:write"];
        let words = [&["token", "create", "--tenant", "acme", "--subject", "ann"][..], &scopes].concat();
        self.told(&words).trim_end().to_owned()
    }
}

/// The running service; killed when this is dropped.
pub struct Service<'a> {
    place: &'a Place,
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Service<'_> {
    pub fn stdout(&self) -> String {
        fs::read_to_string(&self.stdout).unwrap()
    }

    pub fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap()
    }

    /// Where its log is, after its end too.
    pub fn log(&self) -> PathBuf {
        self.stderr.clone()
    }

    pub fn until_ready(&self) {
        eventually("ready", || self.place.run(&["healthcheck"]).status.success(), || self.stderr());
    }

    /// The first token, as it was printed.
    pub fn first_token(&self) -> String {
        let printed = || self.stdout().lines().find_map(|line| line.strip_prefix("Token: ").map(str::to_owned));
        eventually("token", || printed().is_some(), || self.stdout());
        printed().unwrap()
    }

    pub fn signal(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// Waits for the end.
    pub fn end(mut self) -> ExitStatus {
        wait(&mut self.child).unwrap_or_else(|| panic!("does not end: {}", self.stderr()))
    }

    pub fn stop(self) {
        self.signal();
        let log = self.stderr.clone();
        assert!(self.end().success(), "{}", fs::read_to_string(log).unwrap());
    }

    /// Ends it as a crash would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn api(&self, token: &str) -> Api {
        Api { client: client(), base: format!("http://{}", self.place.public), token: token.to_owned() }
    }

    /// The typed client that other services use.
    pub fn typed(&self, token: &str) -> convoke_client::Client {
        let base = format!("http://{}", self.place.public);
        convoke_client::Client::builder(&base).token(token).http(Client::builder().no_proxy()).build().unwrap()
    }

    pub async fn admin(&self, path: &str) -> StatusCode {
        client().get(format!("http://{}{path}", self.place.admin)).send().await.unwrap().status()
    }
}

impl Drop for Service<'_> {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client with a token.
#[derive(Clone)]
pub struct Api {
    pub client: Client,
    base: String,
    token: String,
}

impl Api {
    pub fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(self.private(path)).bearer_auth(&self.token)
    }

    pub fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(self.private(path)).bearer_auth(&self.token)
    }

    pub fn delete(&self, path: &str) -> RequestBuilder {
        self.client.delete(self.private(path)).bearer_auth(&self.token)
    }

    fn private(&self, path: &str) -> String {
        format!("{}/api/v1/private{path}", self.base)
    }

    /// Registers a chat and gives its id.
    pub async fn register(&self, title: &str) -> String {
        let (status, answer) = answer(self.post("/chats").json(&serde_json::json!({"title": title}))).await;
        assert_eq!(status, 202, "{answer}");
        answer["id"].as_str().unwrap().to_owned()
    }

    /// Waits until what is at this path is as it should be, and gives it.
    pub async fn until(&self, path: &str, is_right: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let (_, value) = answer(self.get(path)).await;
            if is_right(&value) {
                return value;
            }
            assert!(begun.elapsed() < PATIENCE, "{path} stays {value}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Sends a request and gives status and body.
pub async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

pub fn client() -> Client {
    Client::builder().redirect(Policy::none()).no_proxy().timeout(PATIENCE).build().unwrap()
}

pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool, story: impl Fn() -> String) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "not {what}: {}", story());
        sleep(Duration::from_millis(20));
    }
}

fn wait(child: &mut Child) -> Option<ExitStatus> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    None
}

/// An address that nobody listens on.
pub fn free_address() -> String {
    convoke_test_support::free_address().unwrap()
}

/// A file of the repository, named from its root.
pub fn repository_file(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)).unwrap()
}
