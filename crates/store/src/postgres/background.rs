//! A runtime of the store's own, on one thread. What serves every caller lives there: the connections of the pool, the
//! batches of registrations, the listener. So a caller's runtime may end (a worker thread of the HTTP server, a test)
//! without breaking a connection that somebody else uses.

use tokio::{runtime::Handle, sync::oneshot};

/// The runtime; it ends when this is dropped.
pub struct Background {
    handle: Handle,
    _running: oneshot::Sender<()>,
}

impl Background {
    pub fn start() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (running, dropped) = oneshot::channel::<()>();
        std::thread::Builder::new().name("convoke-postgres".to_owned()).spawn(move || {
            // An error is what it waits for: the other end was dropped.
            let _ = runtime.block_on(dropped);
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, _running: running })
    }

    pub const fn handle(&self) -> &Handle {
        &self.handle
    }
}
