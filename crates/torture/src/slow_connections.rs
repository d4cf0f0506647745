//! Thousands of connections that are slow on purpose: others are answered meanwhile as ever, and those are closed in their
//! time.

use std::{
    fs::File,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::{
    Failure,
    api::ask,
    outcome::Outcome,
    setting::Setting,
    stage::{Stage, Tenant},
};

/// Between two probes.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a body has to arrive, and how much later that may be noticed.
const BODY: Duration = Duration::from_secs(10);
const NOTICED: Duration = Duration::from_secs(3);

/// Runs it.
pub async fn run(setting: &Setting) -> Result<Outcome, Failure> {
    let stage = Stage::start(setting, &[])?;
    let (tenant, slow_tenant) = (stage.tenant("probe").await?, stage.tenant("slow").await?);
    let connections = setting.scale(10_000, 1_000);
    // Within which a probe has to be answered, in milliseconds; a machine that builds meanwhile is slower.
    let promised = setting.scale(250.0, 1_000.0);
    let mut outcome = Outcome::new();
    let memory = stage.process.memory();
    for (shape, options, seconds) in [
        ("headers", &["-H", "-i", "2"][..], setting.scale(30, 5)),
        ("bodies", &["-B", "-i", "2", "-s", "8192", "-t", "POST"], setting.scale(30, 13)),
        ("readers", &["-X", "-w", "1", "-y", "8", "-n", "5", "-z", "1", "-k", "3"], setting.scale(30, 5)),
    ] {
        let mut slow = Slow::start(&stage, &slow_tenant, shape, options, connections, Duration::from_secs(seconds))?;
        let (mut public, mut admin, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
        let mut most = 0;
        let late_body =
            (shape == "bodies").then(|| tokio::spawn(late_body(stage.process.address.clone(), tenant.token.clone())));
        while slow.goes_on()? {
            for (url, latencies) in [
                (format!("http://{}/readyz", stage.process.admin), &mut admin),
                (format!("http://{}/api/v1/private/chats?size=1", stage.process.address), &mut public),
            ] {
                // A new connection each time, as probes do it.
                let client = reqwest::Client::builder().no_proxy().build()?;
                let asked = Instant::now();
                match ask(client.get(url).bearer_auth(&tenant.token)).await {
                    Ok(answer) if answer.status == 200 => latencies.push(asked.elapsed().as_secs_f64() * 1e3),
                    Ok(answer) => wrong.push(format!("{} {}", answer.status, answer.body)),
                    Err(failure) => wrong.push(failure.to_string()),
                }
            }
            most = most.max(open_files(stage.process.id())?);
            sleep(PAUSE).await;
        }
        let longest = |latencies: &[f64]| latencies.iter().copied().fold(0.0, f64::max);
        for (who, latencies) in [("/readyz", &admin), ("a list", &public)] {
            let reached = format!("{} probes, {:.0} ms at most", latencies.len(), longest(latencies));
            let is_kept = !latencies.is_empty() && longest(latencies) <= promised;
            let promise = format!("{who} is answered within {promised} ms beside {connections} slow {shape}");
            outcome.promise(promise, reached, is_kept);
        }
        let were_there = format!("{most} files open at most");
        // They come one after the other, and the first are closed before the last are there.
        outcome.promise(format!("many slow {shape} were there at once"), were_there, most >= connections / 5);
        outcome.never(format!("a probe fails beside slow {shape}"), &wrong);
        if let Some(late_body) = late_body {
            let (status, after) = late_body.await??;
            outcome.promise(
                format!("a body that does not arrive is answered 400 after {} s", BODY.as_secs()),
                format!("{status} after {:.1} s", after.as_secs_f64()),
                status == 400 && after < BODY + NOTICED,
            );
        }
    }
    // Those that were cut off leave no file open; the longest time of all is that of an idle connection.
    let begun = Instant::now();
    while open_files(stage.process.id())? > 200 && begun.elapsed() < Duration::from_secs(90) {
        sleep(Duration::from_millis(200)).await;
    }
    let left = open_files(stage.process.id())?;
    outcome.promise("all of them are closed in the end", format!("{left} files open"), left <= 200);
    if let Some(((before, _), (_, most))) = memory.zip(stage.process.memory()) {
        let grown = most - before;
        let each = grown * 1024.0 / connections as f64;
        let promise =
            format!("{connections} of them take less than 256 KB of memory each, answers that nobody reads included");
        outcome.promise(promise, format!("{grown:.0} MB, {each:.0} KB each"), each < 256.0);
    }
    Ok(outcome)
}

/// The program that is slow on purpose.
struct Slow {
    child: Child,
    end: Instant,
}

impl Slow {
    fn start(
        stage: &Stage,
        tenant: &Tenant,
        shape: &str,
        options: &[&str],
        connections: usize,
        time: Duration,
    ) -> Result<Self, Failure> {
        let (connections, rate) = (connections.to_string(), (connections / 3).to_string());
        let url = format!("http://{}/api/v1/private/chats?size=200", stage.process.address);
        let url = if shape == "bodies" { url.replace("?size=200", "") } else { url };
        // It has no option for the header, but takes any text for a cookie.
        let cookie = format!("a=b\r\nAuthorization: Bearer {}", tenant.token);
        let log = File::create(stage.folder().join(shape))?;
        let mut command = Command::new("slowhttptest");
        command.args(options).args(["-c", &connections, "-r", &rate, "-l", &time.as_secs().to_string()]);
        command.args(["-f", "application/json", "-j", &cookie, "-u", &url]);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().map_err(|error| format!("slowhttptest: {error}"))?;
        Ok(Self { child, end: Instant::now() + time })
    }

    /// Whether its time is not over yet.
    fn goes_on(&mut self) -> Result<bool, Failure> {
        if Instant::now() >= self.end {
            self.child.kill()?;
            self.child.wait()?;
            return Ok(false);
        }
        Ok(self.child.try_wait()?.is_none())
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Begins a body and does not end it: the status of the answer, and after what time it came.
async fn late_body(address: String, token: String) -> Result<(u16, Duration), Failure> {
    let mut stream = TcpStream::connect(address).await?;
    let head = format!(
        "POST /api/v1/private/chats HTTP/1.1\r\nHost: torture\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
    );
    let begun = Instant::now();
    stream.write_all(head.as_bytes()).await?;
    let mut status = [0; 12];
    timeout(3 * BODY, stream.read_exact(&mut status)).await??;
    let status = std::str::from_utf8(&status)?.get(9..12).unwrap_or_default().parse()?;
    Ok((status, begun.elapsed()))
}

/// How many files and sockets a process has open.
fn open_files(process: u32) -> Result<usize, Failure> {
    Ok(std::fs::read_dir(format!("/proc/{process}/fd"))?.count())
}
