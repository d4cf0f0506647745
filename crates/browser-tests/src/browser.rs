//! Chromium without a window, cut off from everything but this machine, and what it tells about itself.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Instant,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::{ChromiumLikeCapabilities as _, LoggingPrefsLogLevel, prelude::*};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::{sleep, timeout},
};

use crate::{
    Failure, Outcome,
    service::{PATIENCE, PAUSE},
};

/// How Chromium is started. Names lead nowhere but to this machine and no proxy is asked, so that a page that needs the
/// outside fails; Chromium's own errands are off, so that every request is one of a page.
const ARGUMENTS: &[&str] = &[
    "--headless",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    // It does not run as root otherwise, as in a container; it only ever sees our own pages.
    "--no-sandbox",
];

/// What a page is shown on.
#[derive(Clone, Copy)]
pub enum Screen {
    Desktop,
    Phone,
}

impl Screen {
    /// Width and height in CSS pixels.
    fn size(self) -> (i64, i64) {
        match self {
            Self::Desktop => (1280, 900),
            Self::Phone => (390, 844),
        }
    }
}

pub struct Browser {
    pub driver: WebDriver,
    axe: String,
    screenshots: PathBuf,
    _profile: TempDir,
    _chromedriver: Child,
}

impl Browser {
    pub async fn start(axe: &Path, screenshots: &Path) -> Result<Self, Failure> {
        let axe = fs::read_to_string(axe).map_err(|error| format!("{}: {error}", axe.display()))?;
        fs::create_dir_all(screenshots)?;
        let (chromedriver, port) = start_chromedriver().await?;
        let profile = tempfile::tempdir()?;
        let mut capabilities = DesiredCapabilities::chrome();
        for argument in ARGUMENTS {
            capabilities.add_arg(argument)?;
        }
        capabilities.add_arg(&format!("--user-data-dir={}", profile.path().display()))?;
        if let Some(chromium) =
            ["/usr/bin/chromium", "/usr/bin/chromium-browser"].iter().find(|p| Path::new(p).exists())
        {
            capabilities.set_binary(chromium)?;
        }
        capabilities.set_logging_prefs("browser", LoggingPrefsLogLevel::All)?;
        capabilities.set_logging_prefs("performance", LoggingPrefsLogLevel::All)?;
        let driver = WebDriver::new(format!("http://127.0.0.1:{port}"), capabilities).await?;
        let screenshots = screenshots.to_owned();
        let browser = Self { driver, axe, screenshots, _profile: profile, _chromedriver: chromedriver };
        // The page that a browser begins with is Chromium's own affair.
        browser.open("about:blank").await?;
        browser.requests().await?;
        browser.show_on(Screen::Desktop).await?;
        Ok(browser)
    }

    pub async fn close(self) -> Outcome {
        Ok(self.driver.quit().await?)
    }

    /// Lets pages think that they are on such a screen.
    pub async fn show_on(&self, screen: Screen) -> Outcome {
        let (width, height) = screen.size();
        self.set_size(width, height, matches!(screen, Screen::Phone)).await
    }

    async fn set_size(&self, width: i64, height: i64, mobile: bool) -> Outcome {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile});
        self.driver.cdp().send_raw("Emulation.setDeviceMetricsOverride", size).await?;
        Ok(())
    }

    /// Whether pages think that light, or darkness, is preferred.
    pub async fn prefer(&self, scheme: &str) -> Outcome {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.driver.cdp().send_raw("Emulation.setEmulatedMedia", features).await?;
        Ok(())
    }

    pub async fn open(&self, url: &str) -> Outcome {
        Ok(self.driver.goto(url).await?)
    }

    /// The first element that is there and shown, waited for.
    pub async fn find(&self, css: &str) -> Result<WebElement, Failure> {
        let query = self.driver.query(By::Css(css)).and_displayed().wait(PATIENCE, PAUSE);
        Ok(query.first().await.map_err(|error| format!("{css} is not to be seen: {error}"))?)
    }

    pub async fn click(&self, css: &str) -> Outcome {
        let element = self.find(css).await?;
        element.scroll_into_view().await?;
        Ok(element.click().await?)
    }

    /// Types into a field, in place of what is in it.
    pub async fn fill(&self, css: &str, text: &str) -> Outcome {
        let field = self.find(css).await?;
        field.scroll_into_view().await?;
        field.click().await?;
        field.send_keys(Key::Control + "a").await?;
        Ok(field.send_keys(text).await?)
    }

    /// Sends the form that a button belongs to, and waits for the page that comes next.
    pub async fn send(&self, button: &str) -> Outcome {
        let element = self.find(button).await?;
        self.driver.execute("window.before = true", vec![]).await?;
        element.scroll_into_view().await?;
        element.click().await?;
        self.until("the next page", "return !window.before && document.readyState === 'complete'").await
    }

    /// Waits until a script says `true`.
    pub async fn until(&self, what: &str, script: &str) -> Outcome {
        let begun = Instant::now();
        // Between two pages there may be nowhere to run it.
        while !self.driver.execute(script, vec![]).await.is_ok_and(|answer| answer.json() == &Value::Bool(true)) {
            if begun.elapsed() > PATIENCE {
                return Err(format!("waited in vain for {what}").into());
            }
            sleep(PAUSE).await;
        }
        Ok(())
    }

    /// The text that is to be seen on the page.
    pub async fn text(&self) -> Result<String, Failure> {
        Ok(self.find("body").await?.text().await?)
    }

    /// Fails unless the page shows this text.
    pub async fn assert_shows(&self, text: &str) -> Outcome {
        let shown = self.text().await?;
        if shown.contains(text) { Ok(()) } else { Err(format!("`{text}` is not on the page:\n{shown}").into()) }
    }

    /// Fails if the page is wider than the screen.
    pub async fn assert_fits(&self) -> Outcome {
        let script = "const e = document.documentElement; return [e.scrollWidth, e.clientWidth]";
        let widths = self.driver.execute(script, vec![]).await?.json().clone();
        if widths[0].as_i64() > widths[1].as_i64() {
            return Err(format!("the page is {} px wide, the screen {}", widths[0], widths[1]).into());
        }
        Ok(())
    }

    /// Keeps a picture of what is on the screen.
    pub async fn picture(&self, name: &str) -> Outcome {
        Ok(self.driver.screenshot(&self.screenshots.join(format!("{name}.png"))).await?)
    }

    /// Keeps a picture of the whole page, however long it is.
    pub async fn picture_of_all(&self, name: &str, screen: Screen) -> Outcome {
        let height = self.driver.execute("return document.documentElement.scrollHeight", vec![]).await?;
        let (width, at_least) = screen.size();
        let height = height.json().as_i64().unwrap_or(at_least).clamp(at_least, 8000);
        self.set_size(width, height, matches!(screen, Screen::Phone)).await?;
        self.picture(name).await?;
        self.show_on(screen).await
    }

    /// What axe-core finds on the page under the rules of WCAG 2.2, A and AA: a list of violations. `WebDriver` runs it
    /// from outside the page, so a Content-Security-Policy does not stand against it.
    pub async fn axe_violations(&self) -> Result<Vec<Value>, Failure> {
        self.driver.execute(format!("{}; window.axe = axe", self.axe), vec![]).await?;
        let script = "const done = arguments[arguments.length - 1]; \
            const rules = {type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']}; \
            axe.run(document, {runOnly: rules, resultTypes: ['violations']}) \
                .then(found => done(found.violations), error => done([{id: 'axe', help: String(error), nodes: []}]))";
        let found = self.driver.execute_async(script, vec![]).await?;
        found.json().as_array().cloned().ok_or_else(|| "axe-core gives no list".into())
    }

    /// The errors and warnings in the console since the last look.
    pub async fn complaints(&self) -> Result<Vec<String>, Failure> {
        let entries = self.driver.get_log("browser").await?;
        let bad = entries.into_iter().filter(|entry| ["SEVERE", "WARNING"].contains(&entry.level.as_str()));
        Ok(bad.map(|entry| entry.message).collect())
    }

    /// The addresses that were asked for since the last look.
    pub async fn requests(&self) -> Result<Vec<String>, Failure> {
        let entries = self.driver.get_log("performance").await?;
        let mut addresses = Vec::new();
        for entry in entries {
            let event: Value = serde_json::from_str(&entry.message)?;
            let (method, parameters) = (&event["message"]["method"], &event["message"]["params"]);
            let address = match method.as_str() {
                Some("Network.requestWillBeSent") => &parameters["request"]["url"],
                Some("Network.webSocketCreated" | "Network.webTransportCreated") => &parameters["url"],
                _ => continue,
            };
            addresses.push(address.as_str().unwrap_or_default().to_owned());
        }
        Ok(addresses)
    }

    /// Fails if anything but `url` was asked for since the last look, or the console has an error or a warning.
    pub async fn assert_quiet(&self, url: &str) -> Outcome {
        self.assert_quiet_but(url, &[]).await
    }

    /// The same, but for complaints that contain one of the `known` texts.
    pub async fn assert_quiet_but(&self, url: &str, known: &[&str]) -> Outcome {
        let own = format!("{url}/");
        let is_ours = |address: &String| address.starts_with(&own) || address.starts_with("data:");
        let requests = self.requests().await?;
        if requests.is_empty() {
            return Err("the log of requests is empty: nothing is looked at".into());
        }
        let foreign: Vec<_> = requests.into_iter().filter(|address| !is_ours(address)).collect();
        let mut complaints = self.complaints().await?;
        complaints.retain(|complaint| !known.iter().any(|text| complaint.contains(text)));
        if foreign.is_empty() && complaints.is_empty() {
            return Ok(());
        }
        Err(format!("foreign requests: {foreign:#?}\nin the console: {complaints:#?}").into())
    }
}

/// Starts chromedriver on a port that it chooses.
async fn start_chromedriver() -> Result<(Child, u16), Failure> {
    let mut command = Command::new("chromedriver");
    command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| format!("chromedriver: {error}"))?;
    let output = child.stdout.take().ok_or("chromedriver has no output")?;
    let mut lines = BufReader::new(output).lines();
    let port = async {
        while let Some(line) = lines.next_line().await? {
            if let Some((_, rest)) = line.split_once("started successfully on port ") {
                return Ok::<_, Failure>(rest.trim_end_matches('.').parse()?);
            }
        }
        Err("chromedriver ended before it listened".into())
    };
    let port = timeout(PATIENCE, port).await.map_err(|_| "chromedriver does not start")??;
    // It goes on printing; a full pipe would stop it.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok((child, port))
}
