//! The part of the service that works: the worker, and the messengers that it drives.

use std::sync::Arc;

use convoke_provider::Provider;
use convoke_sandbox::Sandbox;
use convoke_store::{Retention, Store};
use convoke_telegram::Telegram;
use convoke_worker::{Worker, WorkerSettings};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{environment::SystemEnvironment, settings::Settings};

/// What works, until it is told to stop.
pub struct Work {
    worker: Task,
    telegram: Option<Task>,
}

/// Something that goes on until it is told to stop.
struct Task {
    handle: JoinHandle<()>,
    stop: CancellationToken,
}

impl Task {
    fn start<F: Future<Output = ()> + Send + 'static>(run: impl FnOnce(CancellationToken) -> F) -> Self {
        let stop = CancellationToken::new();
        Self { handle: tokio::spawn(run(stop.clone())), stop }
    }

    async fn stop(self) {
        self.stop.cancel();
        let _ = self.handle.await;
    }
}

impl Work {
    /// Begins to work, with the messengers that there are; `traces` says whether it is traced.
    pub fn start(
        store: Arc<dyn Store>,
        sandbox: Option<Arc<Sandbox>>,
        telegram: Option<Arc<Telegram>>,
        settings: &Settings,
        traces: bool,
    ) -> Self {
        let mut providers: Vec<Arc<dyn Provider>> = Vec::new();
        providers.extend(sandbox.map(|sandbox| sandbox as Arc<dyn Provider>));
        providers.extend(telegram.clone().map(|telegram| telegram as Arc<dyn Provider>));
        let retention = Retention {
            operations: settings.retention.operations.0,
            idempotency_keys: settings.retention.idempotency_keys.0,
        };
        let settings = WorkerSettings { retention, traces, ..WorkerSettings::default() };
        let worker = Worker::new(store, providers, Arc::new(SystemEnvironment), settings);
        Self {
            worker: Task::start(|stop| async move { worker.run(stop).await }),
            telegram: telegram.map(|telegram| Task::start(|stop| async move { telegram.run(stop).await })),
        }
    }

    /// Returns when something has ended that was not told to: what it was.
    pub async fn broken(&mut self) -> &'static str {
        let telegram = async {
            match &mut self.telegram {
                Some(telegram) => drop((&mut telegram.handle).await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = &mut self.worker.handle => "the worker",
            () = telegram => "Telegram",
        }
    }

    /// Ends, each part once nobody needs it any more: operations first, then the connections that they went over and the
    /// leases of accounts.
    pub async fn stop(self) {
        self.worker.stop().await;
        if let Some(telegram) = self.telegram {
            telegram.stop().await;
        }
    }
}
