//! Clients as others make them from openapi/openapi.json: by openapi-generator for Python and for TypeScript, and by
//! openapi-typescript for openapi-fetch. They are compiled and used against a running service; how, is in
//! openapi/clients/, with the versions of all that takes part. What is installed and made lies below target/.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use convoke_test_support::Program;

use crate::{
    Failure, node,
    process::{finish, finish_quietly},
    python,
    repository::{self, Profile, build},
};

const DOCUMENT: &str = "openapi/openapi.json";
/// What is checked in for this.
const SOURCES: &str = "openapi/clients";
const REQUIREMENTS: &str = "requirements.txt";
const FOLDER: &str = "target/clients";

pub fn run() -> Result<(), Failure> {
    let node = node::provide()?;
    let folder = repository::root().join(FOLDER);
    let python = python::provide(&Path::new(SOURCES).join(REQUIREMENTS), &folder.join("venv"))?;
    let typescript = folder.join("typescript");
    node::install_packages(Path::new(SOURCES), &typescript)?;

    let python_client = make_python(&python, &folder.join("python"))?;
    make_typescript(&python, &node, &typescript)?;

    // In an empty folder, as somebody starts it who tries it out, but for ports of its own.
    let place = folder.join("service");
    remove(&place)?;
    fs::create_dir_all(&place).map_err(|error| format!("{}: {error}", place.display()))?;
    let program = Program::new(&build("convoke", Profile::Dev)?, &place);
    let mut service = program.serve("all", "log").map_err(|error| format!("the service: {error}"))?;
    service.until_ready()?;
    let words = [format!("http://{}", service.address), program.token("default")?];
    let is_used_by = |name: &str, script: &mut Command| {
        let begun = Instant::now();
        finish(script.args(&words), &format!("the client for {name}"))?;
        eprintln!("client for {name}: ok ({:.1} s)", begun.elapsed().as_secs_f32());
        Ok::<(), Failure>(())
    };
    is_used_by("Python, openapi-generator", Command::new(&python).arg(&python_client))?;
    for (name, script) in [
        ("TypeScript, openapi-fetch", "use_openapi_fetch.js"),
        ("TypeScript, typescript-fetch", "use_typescript_fetch.js"),
    ] {
        is_used_by(name, Command::new(&node).arg(typescript.join("built").join(script)))?;
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
