//! `convoke healthcheck`: for containers, which have nothing else in them that could ask.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use crate::{commands::print, failure::Failure, settings::Settings};

/// How long the service may take to take the connection, and then to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks the admin listener of the service that runs with these settings.
pub fn check_health(settings: &Settings, live: bool) -> Result<(), Failure> {
    let path = if live { "/livez" } else { "/readyz" };
    let address = reachable(settings.admin.bind);
    let answer = get(address, path).map_err(|error| Failure::new(format!("http://{address}{path}: {error}")))?;
    match answer.split(' ').nth(1) {
        Some("200") => print("ok\n"),
        Some(status) if answer.starts_with("HTTP/1.1 ") => {
            let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
            Err(Failure::new(format!("http://{address}{path} answers {status}: {body}")))
        }
        _ => Err(Failure::new(format!("http://{address}{path} does not speak HTTP"))),
    }
}

/// Where a listener is reached from its own machine.
fn reachable(bind: SocketAddr) -> SocketAddr {
    let ip = match bind.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, bind.port())
}

fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    // An answer is small; more than that is none of ours.
    stream.take(64 * 1024).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_every_address_is_reached_by_loopback() {
        let reached = |bind: &str| reachable(bind.parse().unwrap()).to_string();
        assert_eq!(reached("0.0.0.0:1"), "127.0.0.1:1");
        assert_eq!(reached("[::]:1"), "[::1]:1");
        assert_eq!(reached("10.0.0.1:1"), "10.0.0.1:1");
    }
}
