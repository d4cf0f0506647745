//! Many clients at once: `wrk`, which takes little of the machine that it shares with what is measured.

use std::{fs, path::PathBuf, process::Command};

use crate::Failure;

/// What each client does, again and again.
pub enum Question<'a> {
    /// Asks for these paths, one after the other.
    Get(&'a [String]),
    /// Sends this JSON to this path.
    Post(&'a str, &'a str),
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// Answers a second.
    pub rate: f64,
    /// Latencies in milliseconds: of 50, 90, 99 and 99.9 % of the questions at most.
    pub percentiles: [f64; 4],
}

/// The percentiles that are looked at.
pub const PERCENTILES: [f64; 4] = [50.0, 90.0, 99.0, 99.9];

const SCRIPT: &str = r#"
local requests, next = {}, 0
function init(args)
  local token, body = args[1], args[3]
  local headers = { ["Authorization"] = "Bearer " .. token }
  if body then headers["Content-Type"] = "application/json" end
  for path in io.lines(args[2]) do
    requests[#requests + 1] = wrk.format(body and "POST" or "GET", path, headers, body)
  end
end
function request()
  next = next % #requests + 1
  return requests[next]
end
function done(summary, latency, requests)
  local e = summary.errors
  print(string.format("RESULT %d %d %d %d %d %d %d", summary.requests, summary.duration,
    e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), latency:percentile(99.9)))
end
"#;

/// The load generator.
pub struct Load {
    folder: PathBuf,
}

impl Load {
    /// Keeps its files in `folder`.
    pub fn new(folder: PathBuf) -> Result<Self, Failure> {
        fs::write(folder.join("wrk.lua"), SCRIPT)?;
        Ok(Self { folder })
    }

    /// Has `connections` clients ask for `seconds`. An answer that is no success is a failure of the whole.
    pub fn run(
        &self,
        address: &str,
        token: &str,
        question: &Question<'_>,
        connections: u32,
        seconds: u32,
    ) -> Result<Outcome, Failure> {
        let paths = self.folder.join("paths");
        let (text, body) = match question {
            Question::Get(paths) => (paths.join("\n"), None),
            Question::Post(path, body) => ((*path).to_owned(), Some(*body)),
        };
        fs::write(&paths, text)?;
        let mut command = Command::new("wrk");
        command.args(["--threads", "1", "--connections", &connections.to_string()]);
        command.args(["--duration", &format!("{seconds}s"), "--timeout", "10s", "--script"]);
        command.arg(self.folder.join("wrk.lua")).arg(format!("http://{address}")).args(["--", token]).arg(&paths);
        command.args(body);
        let output = command.output().map_err(|error| format!("wrk: {error}"))?;
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let result = told.lines().find_map(|line| line.strip_prefix("RESULT "));
        let numbers: Vec<f64> = result.unwrap_or_default().split(' ').map_while(|number| number.parse().ok()).collect();
        let [requests, micros, errors, percentiles @ ..] = numbers.as_slice() else {
            return Err(format!("wrk: {told}{}", String::from_utf8_lossy(&output.stderr)).into());
        };
        if *errors > 0.0 {
            return Err(format!("{errors} of {requests} questions were not answered as they should").into());
        }
        let percentiles: [f64; 4] = percentiles.try_into().map_err(|_| format!("wrk: {told}"))?;
        Ok(Outcome { rate: requests / (micros / 1e6), percentiles: percentiles.map(|micros| micros / 1e3) })
    }
}
