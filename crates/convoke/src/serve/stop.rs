//! The orderly stop.

use std::{sync::Arc, time::Duration};

use convoke_api::Lifecycle;
use tokio::time::{sleep, timeout};

use super::{
    servers::{Running, Servers},
    signals::Signals,
    work::Work,
};
use crate::failure::Failure;

/// How long requests and operations under way may take to end after the drain: with what comes before and after, the
/// process is gone within the 10 s of `contract.md`.
const PATIENCE: Duration = Duration::from_secs(8);

/// Waits for a signal to stop, then stops in order: not ready, drain, the end of requests and of work, and last the
/// listener for operators.
pub async fn wait_and_stop(
    signals: &mut Signals,
    mut servers: Servers,
    mut work: Option<Work>,
    lifecycle: &Arc<Lifecycle>,
    drain: Duration,
) -> Result<(), Failure> {
    // None of these ends by itself; should one, somebody had better start the process anew.
    let broken = tokio::select! {
        () = signals.next() => None,
        _ = &mut servers.admin.task => Some("the admin listener"),
        () = end_of_server(servers.public.as_mut()) => Some("the public listener"),
        broken = end_of_work(work.as_mut()) => Some(broken),
    };
    lifecycle.start_draining();
    if let Some(broken) = broken {
        return Err(Failure::new(format!("{broken} has ended unexpectedly; the log tells more")));
    }
    tracing::info!(drain = ?drain, "stopping");
    tokio::select! {
        () = sleep(drain) => {}
        // Whoever asks twice is in a hurry.
        () = signals.next() => tracing::info!("a second signal ends the drain"),
    }
    let requests = async {
        if let Some(public) = &servers.public {
            public.handle.stop(true).await;
        }
    };
    let work = async {
        if let Some(work) = work {
            work.stop().await;
        }
    };
    if timeout(PATIENCE, async { tokio::join!(requests, work) }).await.is_err() {
        tracing::warn!("not everything has ended in time; leases end by themselves");
    }
    servers.admin.handle.stop(false).await;
    tracing::info!("stopped");
    Ok(())
}

async fn end_of_server(server: Option<&mut Running>) {
    match server {
        Some(server) => drop((&mut server.task).await),
        None => std::future::pending().await,
    }
}

async fn end_of_work(work: Option<&mut Work>) -> &'static str {
    match work {
        Some(work) => work.broken().await,
        None => std::future::pending().await,
    }
}
