//! The pages of the service in a real browser: Swagger UI, the invitation page and the pages of problems are used as a
//! person would use them, while nothing may leave the machine, no error may reach the console, and no barrier may be in
//! the way. `cargo xtask browser` installs what it needs and runs it; it is a program and not a test of cargo's, so that
//! `cargo xtask test` needs no browser.

mod accessibility;
mod browser;
mod guards;
mod invitation;
mod issuer;
mod problem_pages;
mod service;
mod swagger_ui;

use std::{env, path::PathBuf, process::ExitCode, time::Instant};

use browser::Browser;
use service::Service;

/// What went wrong, for people.
type Failure = Box<dyn std::error::Error + Send + Sync>;
type Outcome = Result<(), Failure>;

/// What the programs and files are that a run needs: `convoke-browser-tests CONVOKE AXE SCREENSHOTS [NODE ISSUER]`.
struct Arguments {
    /// The program that is tried.
    convoke: PathBuf,
    /// The script of axe-core.
    axe: PathBuf,
    /// The folder for screenshots.
    screenshots: PathBuf,
    /// Node.js, and the script of an issuer that it is to run: then logging in there is all that is tried.
    issuer: Option<(PathBuf, PathBuf)>,
}

impl Arguments {
    fn read() -> Option<Self> {
        let mut words = env::args_os().skip(1).map(PathBuf::from);
        let (convoke, axe, screenshots) = (words.next()?, words.next()?, words.next()?);
        let arguments = Self { convoke, axe, screenshots, issuer: words.next().zip(words.next()) };
        words.next().is_none().then_some(arguments)
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let Some(arguments) = Arguments::read() else {
        eprintln!(
            "usage: convoke-browser-tests CONVOKE AXE SCREENSHOTS [NODE ISSUER]; `cargo xtask browser` and `oidc` know them"
        );
        return ExitCode::FAILURE;
    };
    match run(&arguments).await {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("browser: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Runs everything; gives how many failed.
async fn run(arguments: &Arguments) -> Result<usize, Failure> {
    let browser = Browser::start(&arguments.axe, &arguments.screenshots).await?;
    let mut tally = Tally::default();
    if let Some((node, script)) = &arguments.issuer {
        tally.count("logging in at an issuer", issuer::run(&arguments.convoke, node, script, &browser).await);
        browser.close().await?;
        return Ok(tally.failed);
    }
    let service = Service::start(&arguments.convoke)?;
    // One after the other: they share the browser. The guards come first, for the rest relies on them.
    tally.count("the guards see what they are to see", guards::see(&browser, &service).await);
    tally.count("Swagger UI is explored", swagger_ui::explore(&browser, &service).await);
    tally.count("the invitation page on a desktop", invitation::on_a_desktop(&browser, &service).await);
    tally.count("the invitation page on a phone", invitation::on_a_phone(&browser, &service).await);
    tally.count("a chat is closed", invitation::closed(&browser, &service).await);
    tally.count("the page of a problem's type", problem_pages::of_a_type(&browser, &service).await);
    tally.count("the page for a visitor who is lost", problem_pages::for_a_visitor(&browser, &service).await);
    browser.close().await?;
    println!("\n{} passed, {} failed", tally.passed, tally.failed);
    Ok(tally.failed)
}

struct Tally {
    passed: usize,
    failed: usize,
    begun: Instant,
}

impl Default for Tally {
    fn default() -> Self {
        Self { passed: 0, failed: 0, begun: Instant::now() }
    }
}

impl Tally {
    fn count(&mut self, name: &str, outcome: Outcome) {
        let seconds = self.begun.elapsed().as_secs_f32();
        self.begun = Instant::now();
        match outcome {
            Ok(()) => {
                self.passed += 1;
                println!("{name} ... ok ({seconds:.1} s)");
            }
            Err(failure) => {
                self.failed += 1;
                println!("{name} ... FAILED ({seconds:.1} s)\n    {}", failure.to_string().replace('\n', "\n    "));
            }
        }
    }
}
