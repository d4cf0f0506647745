//! Stands between the service and its database, and does what networks do at their worst.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use convoke_test_support::{Cluster, Program};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Notify,
    task::JoinHandle,
    time::sleep,
};

use crate::{Failure, setting::Setting};

/// What it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Mode {
    /// Forwards everything.
    Forward,
    /// Takes everything, and lets nothing through in either direction.
    BlackHole,
    /// Lets through what the service says, but not what the database answers.
    SwallowAnswers,
}

/// A proxy; it ends when this is dropped.
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    listening: JoinHandle<()>,
}

struct Shared {
    mode: AtomicU8,
    target: String,
    /// Told when all connections are to end.
    cut: Notify,
}

impl Shared {
    fn is(&self, mode: Mode) -> bool {
        self.mode.load(Ordering::SeqCst) == mode as u8
    }
}

impl Proxy {
    /// Starts one in front of this PostgreSQL, and gives the service, in this folder, that knows no other way to it.
    pub async fn between(setting: &Setting, folder: &Path, cluster: &Cluster) -> Result<(Self, Program), Failure> {
        let database = cluster.url();
        let proxy = Self::start(&database).await?;
        let program = setting.program(folder, &proxy.url(&database)).at_fixed_addresses()?;
        Ok((proxy, program))
    }

    async fn start(database: &str) -> Result<Self, Failure> {
        let target = host_of(database).ok_or("no host in the database's URL")?.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { mode: AtomicU8::new(Mode::Forward as u8), target, cut: Notify::new() });
        let listening = tokio::spawn(listen(listener, Arc::clone(&shared)));
        Ok(Self { shared, address, listening })
    }

    /// The database's URL, through this.
    fn url(&self, database: &str) -> String {
        host_of(database).map_or_else(String::new, |host| database.replacen(host, &self.address.to_string(), 1))
    }

    /// From now on it does this.
    pub fn set(&self, mode: Mode) {
        self.shared.mode.store(mode as u8, Ordering::SeqCst);
    }

    /// Ends all connections.
    pub fn cut(&self) {
        self.shared.cut.notify_waiters();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
        self.cut();
    }
}

fn host_of(database: &str) -> Option<&str> {
    database.split_once('@')?.1.split('/').next()
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((service, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            // Whatever ends a connection ends it for both.
            let cut = shared.cut.notified();
            tokio::select! {
                () = cut => {}
                () = connect(service, &shared) => {}
            }
        });
    }
}

async fn connect(service: TcpStream, shared: &Shared) {
    // Who connects into a black hole is accepted by nobody but us.
    until_heard(shared, |shared| !shared.is(Mode::BlackHole)).await;
    let Ok(database) = TcpStream::connect(&shared.target).await else { return };
    let ((from_service, to_service), (from_database, to_database)) = (service.into_split(), database.into_split());
    tokio::select! {
        () = forward(from_service, to_database, shared, |shared| !shared.is(Mode::BlackHole), false) => {}
        () = forward(from_database, to_service, shared, |shared| shared.is(Mode::Forward), true) => {}
    }
}

/// Copies from here to there. What is not let through waits, or is lost.
async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    shared: &Shared,
    is_let_through: fn(&Shared) -> bool,
    may_be_lost: bool,
) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if may_be_lost && shared.is(Mode::SwallowAnswers) {
            // Whoever lost a part of the answers would not understand the rest.
            until_heard(shared, |_| false).await;
        }
        until_heard(shared, is_let_through).await;
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

async fn until_heard(shared: &Shared, is_let_through: fn(&Shared) -> bool) {
    while !is_let_through(shared) {
        sleep(Duration::from_millis(5)).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    async fn echo() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        address
    }

    async fn answers(stream: &mut TcpStream) -> bool {
        stream.write_all(b"x").await.unwrap();
        let answered = timeout(Duration::from_millis(300), stream.read_u8()).await;
        answered.is_ok_and(|byte| byte.is_ok())
    }

    #[tokio::test]
    async fn it_forwards_swallows_and_cuts() {
        let database = format!("postgres://me@{}/db", echo().await);
        let proxy = Proxy::start(&database).await.unwrap();
        let url = proxy.url(&database);
        let address = host_of(&url).unwrap();
        assert_ne!(url, database);

        let mut one = TcpStream::connect(address).await.unwrap();
        assert!(answers(&mut one).await);
        proxy.set(Mode::BlackHole);
        assert!(!answers(&mut one).await);
        proxy.set(Mode::Forward);
        assert!(answers(&mut one).await);
        proxy.set(Mode::SwallowAnswers);
        assert!(!answers(&mut one).await);
        proxy.set(Mode::Forward);
        assert!(!answers(&mut one).await, "what lost an answer stays without answers");
        proxy.cut();
        assert_eq!(timeout(Duration::from_secs(5), one.read(&mut [0; 9])).await.unwrap().unwrap_or(0), 0);
        assert!(answers(&mut TcpStream::connect(address).await.unwrap()).await);
    }
}
