//! What `strace -f -y` writes down, as a sequence of beginnings and ends of system calls.

use std::collections::HashMap;

/// A system call that begins or ends, in the order in which it was seen.
#[derive(Debug, PartialEq, Eq)]
pub enum Moment<'a> {
    /// It begins: the thread, its name, and its arguments as far as they are known.
    Begins { thread: &'a str, name: &'a str, arguments: &'a str },
    /// It ends well or badly; the same thread's last beginning of this name belongs to it.
    Ends { thread: &'a str, is_well: bool },
}

/// The moments of a line: none (a signal, an exit), one, or beginning and end at once.
pub fn moments(line: &str) -> Vec<Moment<'_>> {
    let Some((thread, rest)) = line.split_once(char::is_whitespace) else { return Vec::new() };
    let rest = rest.trim_start();
    if let Some(resumed) = rest.strip_prefix("<... ") {
        return if resumed.contains(" resumed>") { vec![end(thread, resumed)] } else { Vec::new() };
    }
    let Some((name, arguments)) = rest.split_once('(') else { return Vec::new() };
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Vec::new();
    }
    let begins = Moment::Begins { thread, name, arguments };
    if arguments.trim_end().ends_with("<unfinished ...>") { vec![begins] } else { vec![begins, end(thread, arguments)] }
}

fn end<'a>(thread: &'a str, text: &str) -> Moment<'a> {
    let result = text.rsplit_once(" = ").map(|(_, result)| result).unwrap_or_default();
    Moment::Ends { thread, is_well: !result.is_empty() && !result.starts_with(['-', '?']) }
}

/// What the trace says of the order of writing, syncing and answering.
#[derive(Debug, Default)]
pub struct Order {
    /// What was written to the log of the database, and in which state that is.
    written: HashMap<String, Written>,
    /// What each thread is at.
    at: HashMap<String, Call>,
    /// How many answers were looked at.
    pub answers: usize,
    /// How often the log was synced.
    pub syncs: usize,
    /// Answers that left before what they acknowledge was on disk.
    pub too_early: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    /// The call that writes it has not ended.
    Being,
    /// It is in the file, but perhaps not on disk.
    Unsynced,
    /// It is on disk.
    Synced,
}

/// A call that matters and has not ended.
#[derive(Debug)]
enum Call {
    /// Writes these into the log.
    Write(Vec<String>),
    /// Syncs the log: these were in it when it began.
    Sync(Vec<String>),
}

impl Order {
    /// Takes in a line of the trace. `ids` gives the ids of chats that a text tells of.
    pub fn line(&mut self, line: &str, ids: impl Fn(&str) -> Vec<String>) {
        for moment in moments(line) {
            match moment {
                Moment::Begins { thread, name, arguments } => self.begins(thread, name, arguments, &ids),
                Moment::Ends { thread, is_well } => self.ends(thread, is_well),
            }
        }
    }

    fn begins(&mut self, thread: &str, name: &str, arguments: &str, ids: &impl Fn(&str) -> Vec<String>) {
        // `-y` says which file it is: `pwrite64(9</folder/torture.db-wal>, …`.
        let is_log = arguments.split_once('>').is_some_and(|(file, _)| file.ends_with("-wal"));
        match name {
            "pwrite64" | "pwritev" | "write" | "writev" if is_log => {
                let ids = ids(arguments);
                for id in &ids {
                    // The first time matters: later writes, of the same page, do not undo what is on disk.
                    self.written.entry(id.clone()).or_insert(Written::Being);
                }
                self.at.insert(thread.to_owned(), Call::Write(ids));
            }
            "fsync" | "fdatasync" if is_log => {
                let unsynced = self.written.iter().filter(|(_, state)| **state == Written::Unsynced);
                let ids = unsynced.map(|(id, _)| id.clone()).collect();
                self.at.insert(thread.to_owned(), Call::Sync(ids));
            }
            "write" | "writev" | "sendto" | "sendmsg" if arguments.contains("HTTP/1.1 202") => {
                for id in ids(arguments) {
                    self.answers += 1;
                    let state = self.written.get(&id);
                    if state != Some(&Written::Synced) {
                        self.too_early.push(format!("{id}: {state:?}"));
                    }
                }
            }
            _ => {}
        }
    }

    fn ends(&mut self, thread: &str, is_well: bool) {
        let (ids, state) = match self.at.remove(thread) {
            Some(Call::Write(ids)) => (ids, Written::Unsynced),
            Some(Call::Sync(ids)) if is_well => {
                self.syncs += 1;
                (ids, Written::Synced)
            }
            _ => return,
        };
        for id in ids {
            if self.written.get(&id) != Some(&Written::Synced) {
                self.written.insert(id, state);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(lines: &[&str]) -> Order {
        let mut order = Order::default();
        for line in lines {
            order.line(line, |text| if text.contains("chat-1") { vec!["chat-1".to_owned()] } else { Vec::new() });
        }
        order
    }

    const WRITE: &str = r#"7  pwrite64(9</db-wal>, "..chat-1..", 4096, 56) = 4096"#;
    const SYNC: &str = "7  fdatasync(9</db-wal>) = 0";
    const ANSWER: &str = r#"8  sendto(12<TCP:[1]>, "HTTP/1.1 202 Accepted\r\n\r\nchat-1", 30, 0, NULL, 0) = 30"#;

    #[test]
    fn an_answer_after_the_sync_is_right() {
        let order = order(&[WRITE, SYNC, ANSWER, "8  +++ exited with 0 +++", "8  --- SIGCHLD {} ---"]);
        assert_eq!((order.answers, order.syncs), (1, 1));
        assert!(order.too_early.is_empty());
    }

    #[test]
    fn an_answer_before_the_sync_is_seen() {
        for lines in [
            &[WRITE, ANSWER, SYNC][..],
            &[SYNC, WRITE, ANSWER],
            &[ANSWER],
            &[WRITE, "7  fdatasync(9</db-wal>) = -1 EIO (Input/output error)", ANSWER],
            &[WRITE, "7  fdatasync(9</db-wal> <unfinished ...>", ANSWER, "7  <... fdatasync resumed>) = 0"],
            &[WRITE, "7  fdatasync(10</db>) = 0", ANSWER],
            // The sync began before the write had ended.
            &[
                r#"6  pwrite64(9</db-wal>, "chat-1", 4096, 56 <unfinished ...>"#,
                SYNC,
                "6  <... pwrite64 resumed>) = 4096",
                ANSWER,
            ],
        ] {
            assert_eq!(order(lines).too_early.len(), 1, "{lines:?}");
        }
    }

    #[test]
    fn a_call_that_is_interrupted_in_the_trace_is_put_together() {
        let lines = [
            WRITE,
            "7  fdatasync(9</db-wal> <unfinished ...>",
            "8  write(3</log>, \"x\", 1) = 1",
            "7  <... fdatasync resumed>) = 0",
            ANSWER,
        ];
        assert_eq!(order(&lines).too_early.len(), 0);
    }
}
