//! A Telegram on loopback, to try the service with where there is no account: it prints the settings with which Convoke uses
//! it, and then does what is typed.
//!
//! ```sh
//! cargo run -p convoke-telegram-test-server --example telegram
//! ```

use std::{
    cell::RefCell,
    collections::HashMap,
    io::{self, BufRead as _},
};

use convoke_telegram_test_server::{Fault, GroupId, TestServer, UserId};

const HELP: &str = "join NAME LINK | add GROUP BY NAME | remove GROUP BY NAME | leave GROUP NAME | rename GROUP BY TITLE\n\
    delete GROUP | silence GROUP | refuse METHOD CODE ERROR | lose METHOD | cut | groups | calls";

fn main() -> io::Result<()> {
    let telegram = Telegram { server: TestServer::start(), people: RefCell::default() };
    let owner = telegram.server.new_user("Convoke", "", "convoke");
    telegram.people.borrow_mut().insert("convoke".to_owned(), owner);
    println!("export CONVOKE__TELEGRAM__API_ID=1 CONVOKE__TELEGRAM__API_HASH=0123456789abcdef0123456789abcdef");
    println!("export CONVOKE__TELEGRAM__SESSION={}\n{HELP}", telegram.server.session(owner));
    for line in io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        match telegram.obey(&words) {
            Some(told) => println!("{told}"),
            None => println!("{HELP}"),
        }
    }
    Ok(())
}

struct Telegram {
    server: TestServer,
    people: RefCell<HashMap<String, UserId>>,
}

impl Telegram {
    /// Does what is typed; nothing, if it is not understood.
    fn obey(&self, words: &[&str]) -> Option<String> {
        let done = match *words {
            ["join", name, link] => self.server.join(self.person(name), link),
            ["add", group, by, name] => self.server.add(self.group(group)?, self.person(by), self.person(name)),
            ["remove", group, by, name] => self.server.remove(self.group(group)?, self.person(by), self.person(name)),
            ["leave", group, name] => self.server.leave(self.group(group)?, self.person(name)),
            ["rename", group, by, ref title @ ..] => {
                self.server.rename(self.group(group)?, self.person(by), &title.join(" "))
            }
            ["delete", group] => self.server.delete(self.group(group)?),
            ["silence", group] => {
                self.server.silence(self.group(group)?, true);
                Ok(())
            }
            ["refuse", method, code, error] => {
                self.server.script(method, 1, Fault::refuse(code.parse().ok()?, error));
                Ok(())
            }
            ["lose", method] => {
                self.server.script(method, 1, Fault::LoseAnswer);
                Ok(())
            }
            ["cut"] => {
                self.server.cut_connections();
                Ok(())
            }
            ["groups"] => return Some(format!("{:#?}", self.server.groups())),
            ["calls"] => return Some(format!("{:#?}", self.server.calls())),
            _ => return None,
        };
        Some(done.map_or_else(|refusal| format!("refused: {}", refusal.name), |()| "done".to_owned()))
    }

    /// The person of this name, who comes into being when first named.
    fn person(&self, name: &str) -> UserId {
        let mut people = self.people.borrow_mut();
        *people.entry(name.to_owned()).or_insert_with(|| self.server.new_user(name, "", name))
    }

    /// The newest group whose title begins with this word.
    fn group(&self, word: &str) -> Option<GroupId> {
        self.server.groups().into_iter().rev().find(|group| group.title.starts_with(word)).map(|group| group.id)
    }
}
