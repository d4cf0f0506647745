//! HAProxy in front of replicas of the service: it asks each of them whether it is ready, and sends no request twice.

use std::{
    fmt::Write as _,
    fs::{self, File},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use convoke_test_support::free_address;
use tokio::time::sleep;

use crate::Failure;

/// How often each replica is asked whether it is ready. One answer of 503 is enough.
pub const ASKED_EVERY: Duration = Duration::from_millis(100);
/// How long it may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running HAProxy; it is killed when this is dropped.
pub struct HaProxy {
    child: Child,
    /// Where it listens: host and port.
    pub address: String,
}

impl HaProxy {
    /// Starts it in front of replicas: where each of them answers requests, and where it says whether it is ready.
    pub async fn start(folder: &Path, replicas: &[(String, String)]) -> Result<Self, Failure> {
        let address = free_address()?;
        let configuration = folder.join("haproxy.cfg");
        fs::write(&configuration, configuration_of(&address, replicas)?)?;
        let log = File::create(folder.join("haproxy.log"))?;
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(configuration).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut proxy = Self { child: command.spawn()?, address };
        let begun = Instant::now();
        while TcpStream::connect(&proxy.address).is_err() {
            if begun.elapsed() > PATIENCE || proxy.child.try_wait()?.is_some() {
                let said = fs::read_to_string(folder.join("haproxy.log"))?;
                return Err(format!("HAProxy does not start: {said}").into());
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(proxy)
    }
}

impl Drop for HaProxy {
    fn drop(&mut self) {
        // Nothing is lost with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configuration_of(address: &str, replicas: &[(String, String)]) -> Result<String, Failure> {
    let every = ASKED_EVERY.as_millis();
    // Only where no connection comes about is another replica tried: what was sent is never sent again.
    let mut text = format!(
        "defaults\n  mode http\n  timeout connect 2s\n  timeout client 120s\n  timeout server 60s\n  \
         timeout http-keep-alive 120s\n  retries 3\n  retry-on conn-failure\n  option redispatch\n\
         frontend way-in\n  bind {address}\n  default_backend replicas\n\
         backend replicas\n  balance roundrobin\n  option httpchk GET /readyz\n  http-check expect status 200\n"
    );
    for (place, (replica, admin)) in replicas.iter().enumerate() {
        let port = admin.rsplit(':').next().ok_or("an address without a port")?;
        writeln!(text, "  server replica{place} {replica} check port {port} inter {every}ms fall 1 rise 1")?;
    }
    Ok(text)
}
