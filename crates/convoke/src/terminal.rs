//! Asking whoever sits at the terminal.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    os::fd::AsFd,
};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use secrecy::SecretString;
use tokio::task::spawn_blocking;

/// Asks, and reads one line. The question goes to standard error: standard output belongs to what a command gives.
pub async fn ask(question: &str) -> io::Result<String> {
    let _ = write!(io::stderr(), "{question}: ").and_then(|()| io::stderr().flush());
    // Whoever types takes their time; meanwhile everything else goes on.
    spawn_blocking(read_line).await.map_err(io::Error::other)?
}

/// The same, and the terminal does not show what is typed.
pub async fn ask_secretly(question: &str) -> io::Result<SecretString> {
    // Held here, not where it is read: if nobody waits for the answer any more, the terminal is as it was before.
    let quiet = Quiet::new(io::stdin());
    let answer = ask(question).await;
    if quiet.is_some() {
        // The line feed was not shown either.
        let _ = writeln!(io::stderr());
    }
    Ok(answer?.into())
}

fn read_line() -> io::Result<String> {
    let mut line = String::new();
    if io::stdin().lock().read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim().to_owned())
}

/// A terminal that does not show what is typed, until this is dropped.
struct Quiet<T: AsFd> {
    terminal: T,
    before: Termios,
}

impl<T: AsFd> Quiet<T> {
    /// Nothing, if it is no terminal.
    fn new(terminal: T) -> Option<Self> {
        if !terminal.as_fd().is_terminal() {
            return None;
        }
        let before = tcgetattr(&terminal).ok()?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&terminal, OptionalActions::Flush, &quiet).ok()?;
        Some(Self { terminal, before })
    }
}

impl<T: AsFd> Drop for Quiet<T> {
    fn drop(&mut self) {
        // There is nobody left to tell.
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::*;

    #[test]
    fn a_terminal_is_quiet_for_as_long_as_somebody_is_asked() {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let controller = openpt(flags).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap();
        let terminal = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let shows = || tcgetattr(&terminal).unwrap().local_modes.contains(LocalModes::ECHO);
        assert!(shows());
        let quiet = Quiet::new(&terminal).unwrap();
        assert!(!shows());
        drop(quiet);
        assert!(shows());
        assert!(Quiet::new(&tempfile::tempfile().unwrap()).is_none());
    }
}
