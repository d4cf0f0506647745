//! The tour in README.md is run as it is written there, by a shell, against a service that was just started.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::Value;

use super::support::{Api, Place};

/// Ends what a block prints.
const END: &str = "--- end of block ---";
const CHAT: &str = "4f0c3f2e-8a57-4d0e-9f0b-6a3f5d1c2e4a";

/// A shell that runs one block after the other, as the reader's terminal does.
struct Terminal {
    shell: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Terminal {
    fn open(folder: &Path) -> Self {
        let mut command = Command::new("sh");
        command.args(["-eu"]).current_dir(folder).env("NO_PROXY", "127.0.0.1");
        let mut shell = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (shell.stdin.take().unwrap(), shell.stdout.take().unwrap());
        Self { shell, input, output: BufReader::new(output) }
    }

    /// Runs a block; gives the lines that it printed.
    fn run(&mut self, block: &str) -> Vec<String> {
        write!(self.input, "{block}\necho; echo '{END}'\n").unwrap();
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            let read = self.output.read_line(&mut line).unwrap();
            assert!(read > 0, "the shell ended in the middle of:\n{block}\nafter {lines:?}");
            match line.trim_end() {
                END => return lines,
                "" => {}
                line => lines.push(line.to_owned()),
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

/// What is printed may be several documents, one behind the other.
fn documents(lines: &[String]) -> Vec<Value> {
    let text = lines.concat();
    serde_json::Deserializer::from_str(&text).into_iter().collect::<Result<_, _>>().unwrap_or_else(|_| panic!("{text}"))
}

fn blocks() -> Vec<String> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let (_, tour) = readme.split_once("\n## Five minutes\n").expect("README.md has a tour");
    let (tour, _) = tour.split_once("\n## ").unwrap();
    let blocks = tour.split("\n```sh\n").skip(1).map(|rest| rest.split_once("\n```").unwrap().0.to_owned());
    blocks.collect()
}

/// The block with the token and the address that hold here.
fn with_our_values(block: &str, place: &Place, token: &str) -> String {
    let lines = block.lines().map(|line| match line.split_once('=') {
        Some(("TOKEN", _)) => format!("TOKEN={token}"),
        Some(("BASE", default)) => {
            assert_eq!(default, "http://127.0.0.1:8080", "the tour begins with the default address");
            format!("BASE=http://{}", place.public)
        }
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

async fn grace_is_known(api: &Api) {
    api.until(&format!("/chats/{CHAT}"), |record| record["participants"][1]["participations"][0].is_object()).await;
}

#[tokio::test]
async fn the_tour_in_the_readme_works_as_it_is_written() {
    let has_curl = Command::new("curl").arg("--version").output().is_ok_and(|output| output.status.success());
    assert!(has_curl, "the tour needs curl: `apt-get install curl` installs it");
    let place = Place::new();
    let service = place.start();
    let token = service.first_token();
    let api = service.api(&token);
    let mut terminal = Terminal::open(place.path());
    let [values, register, invite, join, look, list, remove] = <[String; 7]>::try_from(blocks()).unwrap();

    assert_eq!(terminal.run(&with_our_values(&values, &place, &token)), [""; 0]);
    let chat = documents(&terminal.run(&register)).remove(0);
    assert_eq!((chat["id"].as_str(), chat["isActive"].as_bool()), (Some(CHAT), Some(true)), "{chat}");
    let link = terminal.run(&invite).concat();
    assert!(link.starts_with(&format!("http://{}/sandbox/", place.public)), "{link}");
    assert_eq!(terminal.run(&join), [""; 0]);
    // A reader takes longer than a test.
    grace_is_known(&api).await;
    let record = documents(&terminal.run(&look)).remove(0);
    assert_eq!(record["participants"][1]["userProperties"]["firstname"], "Grace", "{record}");
    let lists = documents(&terminal.run(&list));
    assert!(lists.len() == 2 && lists.iter().all(|list| list["records"][0]["id"] == CHAT), "{lists:?}");
    assert!(lists[0]["_links"]["last"]["href"].is_string() && lists[1]["_links"]["self"]["href"].is_string());
    let operation = documents(&terminal.run(&remove)).remove(0);
    assert_eq!((operation["type"].as_str(), operation["chatId"].as_str()), (Some("removeParticipant"), Some(CHAT)));
    let is_removed = |record: &Value| record["participants"][1]["participations"][0]["endReason"] == "removed";
    api.until(&format!("/chats/{CHAT}"), is_removed).await;
}
