//! Clients as others make them from openapi/openapi.json: by openapi-generator for Python and for TypeScript, and by
//! openapi-typescript for openapi-fetch. They are compiled and used against a running service; how, is in
//! openapi/clients/, with the versions of all that takes part. What is installed and made lies below target/.

use std::{
    env, fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use crate::{
    Failure, node,
    process::{finish, finish_quietly},
    python, repository,
};

const DOCUMENT: &str = "openapi/openapi.json";
/// What is checked in for this.
const SOURCES: &str = "openapi/clients";
const REQUIREMENTS: &str = "requirements.txt";
const FOLDER: &str = "target/clients";
/// How long the service may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

pub fn run() -> Result<(), Failure> {
    let node = node::provide()?;
    let folder = repository::root().join(FOLDER);
    let python = python::provide(&Path::new(SOURCES).join(REQUIREMENTS), &folder.join("venv"))?;
    let typescript = folder.join("typescript");
    node::install_packages(Path::new(SOURCES), &typescript)?;

    let python_client = make_python(&python, &folder.join("python"))?;
    make_typescript(&python, &node, &typescript)?;

    finish(repository::cargo().args(["build", "--locked", "-p", "convoke"]), "the build")?;
    let service = Service::start(&folder.join("service"))?;
    service.is_used_by("Python, openapi-generator", Command::new(&python).arg(&python_client))?;
    for (name, script) in [
        ("TypeScript, openapi-fetch", "use_openapi_fetch.js"),
        ("TypeScript, typescript-fetch", "use_typescript_fetch.js"),
    ] {
        service.is_used_by(name, Command::new(&node).arg(typescript.join("built").join(script)))?;
    }
    Ok(())
}

/// Makes the client for Python and compiles all of it; gives the script that uses it, beside it.
fn make_python(python: &Path, folder: &Path) -> Result<PathBuf, Failure> {
    generate(python, "python", folder, &["--additional-properties=packageName=convoke_generated"])?;
    copy("use_python.py", folder)?;
    let compile = ["-m", "compileall", "-q", "convoke_generated", "use_python.py"];
    finish(Command::new(python).args(compile).current_dir(folder), "compiling the Python client")?;
    Ok(folder.join("use_python.py"))
}

/// Makes both clients for TypeScript and compiles them with the scripts that use them.
fn make_typescript(python: &Path, node: &Path, folder: &Path) -> Result<(), Failure> {
    generate(python, "typescript-fetch", &folder.join("fetch"), &[])?;
    let document = repository::root().join(DOCUMENT);
    let tool = |name: &str| {
        let mut command = Command::new(node);
        command.arg(folder.join("node_modules/.bin").join(name)).current_dir(folder);
        command
    };
    let mut types = tool("openapi-typescript");
    finish_quietly(types.arg(document).args(["--output", "convoke.ts"]), "openapi-typescript")?;
    for file in ["tsconfig.json", "help.ts", "use_openapi_fetch.ts", "use_typescript_fetch.ts"] {
        copy(file, folder)?;
    }
    remove(&folder.join("built"))?;
    finish(&mut tool("tsc"), "compiling the TypeScript clients")
}

/// Runs openapi-generator, into a folder that holds nothing else.
fn generate(python: &Path, generator: &str, folder: &Path, more: &[&str]) -> Result<(), Failure> {
    remove(folder)?;
    let mut command = Command::new(python.with_file_name("openapi-generator-cli"));
    command.args(["generate", "--generator-name", generator]).args(more);
    command.arg("--input-spec").arg(repository::root().join(DOCUMENT)).arg("--output").arg(folder);
    command.args(["--global-property", "apiDocs=false,apiTests=false,modelDocs=false,modelTests=false"]);
    finish_quietly(&mut command, &format!("openapi-generator for {generator}"))
}

/// The service that the clients are used against; it ends when this is dropped.
struct Service {
    child: Child,
    url: String,
    token: String,
}

impl Service {
    /// Starts the program in an empty folder, as somebody does who tries it out, but for ports of its own.
    fn start(folder: &Path) -> Result<Self, Failure> {
        let target = repository::metadata()?.target_directory.into_std_path_buf();
        let program = target.join("debug").join(format!("convoke{}", env::consts::EXE_SUFFIX));
        let (public, admin) = (free_address()?, free_address()?);
        remove(folder)?;
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let (stdout, stderr) = (folder.join("stdout"), folder.join("stderr"));
        let file = |path: &Path| fs::File::create(path).map_err(|error| format!("{}: {error}", path.display()));
        let mut command = Command::new(&program);
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CONVOKE")) {
            command.env_remove(name);
        }
        command.env("CONVOKE__SERVER__BIND", &public).env("CONVOKE__ADMIN__BIND", &admin).current_dir(folder);
        command.stdin(Stdio::null()).stdout(file(&stdout)?).stderr(file(&stderr)?);
        let child = command.spawn().map_err(|error| format!("{}: {error}", program.display()))?;
        let mut service = Self { child, url: format!("http://{public}"), token: String::new() };
        service.token = printed_token(&stdout).ok_or_else(|| {
            format!("the service prints no token: {}", fs::read_to_string(&stderr).unwrap_or_default().trim())
        })?;
        Ok(service)
    }

    /// Runs a script that is given the service's URL and a token.
    fn is_used_by(&self, name: &str, script: &mut Command) -> Result<(), Failure> {
        let begun = Instant::now();
        finish(script.args([&self.url, &self.token]), &format!("the client for {name}"))?;
        eprintln!("client for {name}: ok ({:.1} s)", begun.elapsed().as_secs_f32());
        Ok(())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for the token that the service prints once it can be used.
fn printed_token(stdout: &Path) -> Option<String> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let printed = fs::read_to_string(stdout).unwrap_or_default();
        // What is behind the last line feed may be half a line.
        let (whole, _) = printed.rsplit_once('\n').unwrap_or_default();
        if let Some(token) = whole.lines().find_map(|line| line.strip_prefix("Token: ")) {
            return Some(token.to_owned());
        }
        sleep(Duration::from_millis(20));
    }
    None
}

/// An address that nobody listens on.
fn free_address() -> Result<String, Failure> {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    address.map(|address| address.to_string()).map_err(|error| error.to_string())
}

/// Copies a file of openapi/clients/ into the folder.
fn copy(file: &str, folder: &Path) -> Result<(), Failure> {
    let from = repository::root().join(SOURCES).join(file);
    fs::copy(from, folder.join(file)).map(drop).map_err(|error| format!("{SOURCES}/{file}: {error}"))
}

/// Removes a folder, if it is there.
fn remove(folder: &Path) -> Result<(), Failure> {
    if !folder.exists() {
        return Ok(());
    }
    fs::remove_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))
}
