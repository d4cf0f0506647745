//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use convoke_domain::{OperationId, OperationStatus, Scope, TenantId};

use crate::failure::Failure;

/// Registers chats on a messenger and keeps a lasting record of who was in them. Without a command: serve.
#[derive(Debug, Parser)]
#[command(name = "convoke", version)]
pub struct CommandLine {
    /// What is to be done.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What goes with `serve`, for when it is left out.
    #[command(flatten)]
    serve: ServeArguments,
    /// The file with the settings [default: convoke.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Sets a setting, above the file and the environment, such as server.bind=127.0.0.1:9000; may be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = key_and_value)]
    pub set: Vec<(String, String)>,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the HTTP API and the workers
    Serve(ServeArguments),
    /// Brings the schema of the database up to date
    Migrate,
    /// Creates, lists and revokes tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// Looks at the work that waits, runs or has ended, has it tried again, and calls it off
    #[command(subcommand)]
    Operations(OperationsCommand),
    /// Brings in accounts of Telegram, tells how they are, and lets them go
    #[command(subcommand)]
    Telegram(TelegramCommand),
    /// Prints the OpenAPI document
    Openapi,
    /// Prints the reference of all metrics, as Markdown: docs/metrics.md
    Metrics,
    /// Prints the script by which a shell completes the commands
    Completions {
        /// Which shell's
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Writes the manual pages of all commands
    Man {
        /// The folder into which they are written; it is made if it is not there
        folder: PathBuf,
    },
    /// Looks at the settings
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Copies the SQLite database, as it is at this moment, to a file; whoever serves it goes on
    Backup {
        /// The file, which is not to be there yet; - for standard output
        file: PathBuf,
        /// Take the place of a file that is there already
        #[arg(long)]
        replace: bool,
    },
    /// Rebuilds the records from what is known and reports every difference; changes nothing
    Doctor {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Asks the running service whether it can answer; exits with 0 if so
    Healthcheck {
        /// Ask only whether the process lives
        #[arg(long)]
        live: bool,
    },
}

impl Default for Command {
    fn default() -> Self {
        Self::Serve(ServeArguments { role: None })
    }
}

/// What goes with `serve`.
#[derive(Debug, Args)]
pub struct ServeArguments {
    /// Which part of the service this process is [default: all]
    #[arg(long, value_enum)]
    role: Option<Role>,
}

/// Which part of the service a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// The API and the worker.
    All,
    /// The HTTP API alone.
    Api,
    /// The worker alone.
    Worker,
}

impl Role {
    /// Its name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Api => "api",
            Self::Worker => "worker",
        }
    }

    /// Whether the process answers requests.
    pub const fn answers(self) -> bool {
        matches!(self, Self::All | Self::Api)
    }

    /// Whether the process carries out operations.
    pub const fn works(self) -> bool {
        matches!(self, Self::All | Self::Worker)
    }
}

/// What is to be done with tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Creates a token and prints it: nothing shows it again
    Create(NewTokenArguments),
    /// Lists all tokens, never their secrets
    List,
    /// Revokes a token, which is felt within seconds
    Revoke {
        /// The id that `token list` shows
        #[arg(value_parser = id)]
        id: convoke_domain::TokenId,
    },
}

/// What a new token is to be.
#[derive(Debug, Args)]
pub struct NewTokenArguments {
    /// Whose chats it opens
    #[arg(long, value_parser = tenant)]
    pub tenant: TenantId,
    /// Who holds it: the creator of chats that are registered without one
    #[arg(long, value_parser = subject)]
    pub subject: String,
    /// What it allows: chats:read, chats:write; may be repeated
    #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',', value_parser = scope)]
    pub scopes: Vec<Scope>,
    /// When it ends, such as 30d [default: never]
    #[arg(long, value_parser = ttl)]
    pub ttl: Option<std::time::Duration>,
}

/// What is to be done with operations.
#[derive(Debug, Subcommand)]
pub enum OperationsCommand {
    /// Lists those that are open, waiting longest first; or, with --status, those that stand there: what has ended comes
    /// last ended first
    List {
        /// Whose [default: everybody's]
        #[arg(long, value_parser = tenant)]
        tenant: Option<TenantId>,
        /// Where they stand: pending, running, waitingForProvider, succeeded, failed [default: all that have not ended]
        #[arg(long, value_parser = status)]
        status: Option<OperationStatus>,
        /// How many at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Tells everything about one
    Show {
        /// The id that callers were given, and `operations list` shows
        #[arg(value_parser = operation)]
        id: OperationId,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Has one that failed tried again, from the first attempt; a chat that failed with it is provisioning again
    Retry {
        /// The id that callers were given, and `operations list` shows
        #[arg(value_parser = operation)]
        id: OperationId,
    },
    /// Calls one off of which nothing was begun: it fails, and with it the chat that was to be made
    Cancel {
        /// The id that callers were given, and `operations list` shows
        #[arg(value_parser = operation)]
        id: OperationId,
    },
}

/// What is to be done with accounts of Telegram.
#[derive(Debug, Subcommand)]
pub enum TelegramCommand {
    /// Logs an account in, by a code that Telegram sends or by a QR code, and keeps its session
    Login {
        /// Which account
        #[command(flatten)]
        account: AccountArguments,
        /// Show a QR code to be scanned by the account's phone
        #[arg(long)]
        qr: bool,
    },
    /// Keeps the session of an account that is logged in: a string session, as Telethon writes it, on standard input
    Import {
        /// Which account
        #[command(flatten)]
        account: AccountArguments,
    },
    /// Tells how every account is
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Logs an account out and forgets it; its groups stay on record and are fed no more
    Logout {
        /// What the account is called
        #[arg(long, value_parser = account_name)]
        name: String,
    },
}

/// An account and whose groups it makes.
#[derive(Debug, Args)]
pub struct AccountArguments {
    /// What the account is called; metrics show it, so no phone number
    #[arg(long, value_parser = account_name)]
    pub name: String,
    /// Whose groups it makes; may be repeated [default: everybody's]
    #[arg(long = "tenant", value_name = "TENANT", value_parser = tenant)]
    pub tenants: Vec<TenantId>,
}

/// What is to be done with the settings.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Says whether they are fine, or what is wrong
    Check,
    /// Shows every setting, its value and where that comes from; no passwords
    Print {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Prints the reference of all settings, as Markdown: docs/configuration.md
    Reference,
    /// Prints a file with every setting at its default: convoke.example.toml
    Example,
    /// Prints the JSON Schema of the file, for editors: docs/convoke.schema.json
    Schema,
}

impl CommandLine {
    /// Which part of the service this process is to be, wherever on the command line it is said.
    pub fn role(&self) -> Result<Role, Failure> {
        let role = match &self.command {
            None => self.serve.role,
            Some(Command::Serve(arguments)) => arguments.role.or(self.serve.role),
            Some(_) if self.serve.role.is_some() => return Err(Failure::usage("--role goes with serve only")),
            Some(_) => None,
        };
        Ok(role.unwrap_or(Role::All))
    }
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE, such as server.bind=127.0.0.1:9000")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn tenant(text: &str) -> Result<TenantId, String> {
    text.parse().map_err(|mistake: convoke_domain::Mistake| mistake.detail)
}

fn account_name(text: &str) -> Result<String, String> {
    const MAX_LENGTH: usize = 64;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    // A phone number, which others are not to see, begins otherwise.
    if !text.starts_with(|c: char| c.is_ascii_alphabetic()) || !text.chars().all(is_plain) {
        return Err("begins with a letter and goes on with letters, digits, '-', '_' and '.'".to_owned());
    }
    if text.len() > MAX_LENGTH {
        return Err(format!("must have at most {MAX_LENGTH} characters"));
    }
    Ok(text.to_owned())
}

fn scope(text: &str) -> Result<Scope, String> {
    text.parse().map_err(|mistake: convoke_domain::Mistake| mistake.detail)
}

fn status(text: &str) -> Result<OperationStatus, String> {
    let known = "is none of pending, running, waitingForProvider, succeeded, failed";
    OperationStatus::from_name(text).ok_or_else(|| known.to_owned())
}

fn operation(text: &str) -> Result<OperationId, String> {
    text.parse().map_err(|mistake: convoke_domain::Mistake| mistake.detail)
}

fn id(text: &str) -> Result<convoke_domain::TokenId, String> {
    text.parse().map_err(|mistake: convoke_domain::Mistake| format!("{}, as `token list` shows it", mistake.detail))
}

fn subject(text: &str) -> Result<String, String> {
    const MAX_LENGTH: usize = 255;
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err("a subject must have a name".to_owned());
    }
    if trimmed.chars().count() > MAX_LENGTH {
        return Err(format!("must have at most {MAX_LENGTH} characters"));
    }
    // It becomes the creator of chats, which holds none either.
    if text.chars().any(char::is_control) {
        return Err("may hold no control characters".to_owned());
    }
    Ok(trimmed.to_owned())
}

fn ttl(text: &str) -> Result<std::time::Duration, String> {
    match humantime::parse_duration(text) {
        Ok(ttl) if ttl.is_zero() => Err("would end at once".to_owned()),
        Ok(ttl) => Ok(ttl),
        Err(_) => Err("is no duration; write one such as 12h or 30d".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(words: &str) -> CommandLine {
        CommandLine::try_parse_from(words.split(' ')).unwrap()
    }

    #[test]
    fn it_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn no_command_is_serve() {
        assert_eq!(parse("convoke").role(), Ok(Role::All));
        assert!(matches!(parse("convoke").command.unwrap_or_default(), Command::Serve(_)));
        for words in ["convoke --role api", "convoke serve --role api", "convoke --role api serve"] {
            assert_eq!(parse(words).role(), Ok(Role::Api), "{words}");
        }
        assert!(parse("convoke --role api migrate").role().is_err());
    }

    #[test]
    fn the_file_and_flags_may_come_first_or_last() {
        for words in ["convoke --config x --set a.b=c=d migrate", "convoke migrate --set a.b=c=d --config x"] {
            let line = parse(words);
            assert_eq!(line.config, Some("x".into()));
            assert_eq!(line.set, [("a.b".to_owned(), "c=d".to_owned())]);
        }
    }

    #[test]
    fn accounts_have_plain_names_that_are_no_phone_numbers() {
        let Some(Command::Telegram(TelegramCommand::Login { account, qr })) =
            parse("convoke telegram login --name first --tenant a --tenant b --qr").command
        else {
            panic!("not understood");
        };
        assert!(qr && account.name == "first" && account.tenants.len() == 2);
        for wrong in ["", "+4915112345", "4915112345", "a b", "a\"b", &"x".repeat(65)] {
            assert!(account_name(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn tokens_are_told_what_they_are() {
        let Some(Command::Token(TokenCommand::Create(token))) =
            parse("convoke token create --tenant t --subject s --scope chats:read --scope chats:write --ttl 30d")
                .command
        else {
            panic!("not understood");
        };
        assert_eq!(token.scopes, Scope::ALL);
        assert_eq!(token.ttl, Some(std::time::Duration::from_hours(30 * 24)));
        for wrong in [
            "--tenant a/b --subject s",
            "--tenant t --subject s --scope chats:delete",
            "--tenant t --subject s --ttl 0s",
            "--tenant t --subject s --ttl 30",
            "--tenant t",
        ] {
            let words = format!("convoke token create {wrong}");
            assert!(CommandLine::try_parse_from(words.split(' ')).is_err(), "{wrong}");
        }
        assert!(subject(" \n").is_err() && subject("a\u{7}b").is_err() && subject(&"x".repeat(256)).is_err());
        assert_eq!(subject(" ann "), Ok("ann".to_owned()));
    }
}
