//! The wire to Telegram under one auth key: calls that end in time, and sockets that are known to be closed.

use std::{
    io,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use grammers_client::{
    Client, InvocationError, SenderPool,
    sender::{ConnectionParams, NoRetries, SenderPoolHandle},
    tl::RemoteCall,
};
use grammers_session::{Session, updates::UpdatesLike};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    TelegramSettings,
    call::{Failure, not_sent},
    session::ConnectionSession,
};

/// How many updates may wait for their reader. What comes when it is full is dropped, and costs a fetch of the
/// difference later.
const UPDATES: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// The wire. Dropping it closes it, but only [`Self::close`] tells when that is done.
pub(crate) struct Wire {
    pub client: Client,
    pub session: Arc<ConnectionSession>,
    handle: SenderPoolHandle,
    /// Where updates go, for what grammers does not tell: that we gave up a socket.
    told: mpsc::Sender<UpdatesLike>,
    call_timeout: Duration,
    /// Whether the last call was without an answer.
    is_silent: AtomicBool,
    stop: CancellationToken,
    ended: CancellationToken,
}

impl Wire {
    /// A wire; it connects at the first call. The receiver gets whatever Telegram tells by itself.
    ///
    /// It runs on a thread of its own: once that has ended, its runtime and with it every socket is gone, whatever
    /// they were doing. grammers itself does not tell when the last socket is closed, nor can it be stopped while it
    /// waits for a connection.
    ///
    /// # Errors
    /// If the system has no more threads or files.
    pub fn open(
        session: Arc<ConnectionSession>,
        use_ipv6: bool,
        settings: &TelegramSettings,
    ) -> io::Result<(Self, mpsc::Receiver<UpdatesLike>)> {
        let SenderPool { runner, handle, mut updates } =
            SenderPool::with_configuration(session.clone(), settings.api_id, parameters(use_ipv6));
        let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
        let (told, receiver) = mpsc::channel(UPDATES.get());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("telegram".to_owned()).spawn({
            let (stop, ended, told) = (stop.clone(), ended.clone().drop_guard(), told.clone());
            move || {
                // Also when grammers panics, the guard goes after the runtime.
                let _ended = ended;
                let runtime = runtime;
                let passing_on = async {
                    while let Some(update) = updates.recv().await {
                        let _ = told.try_send(update);
                    }
                };
                runtime.block_on(async {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        _ = async { tokio::join!(runner.run(), passing_on) } => {}
                    }
                });
            }
        })?;
        let wire = Self {
            handle: handle.thin.clone(),
            told,
            client: Client::new(handle),
            session,
            call_timeout: settings.call_timeout,
            is_silent: AtomicBool::new(false),
            stop,
            ended,
        };
        Ok((wire, receiver))
    }

    /// Calls, once: nothing is sent again.
    pub async fn call<R: RemoteCall>(&self, request: &R) -> Result<R::Return, Failure> {
        self.in_time(self.client.invoke(request)).await
    }

    /// Waits for what the client does, but not for ever.
    pub async fn in_time<T>(&self, doing: impl Future<Output = Result<T, InvocationError>>) -> Result<T, Failure> {
        let Ok(answer) = tokio::time::timeout(self.call_timeout, doing).await else {
            self.give_up_socket();
            return Err(Failure::Unknown(format!("no answer within {} s", self.call_timeout.as_secs_f32())));
        };
        self.is_silent.store(false, Ordering::Relaxed);
        answer.map_err(Failure::from)
    }

    /// A socket that does not answer may never do so again; the next call opens another one. Where that does not answer
    /// either, grammers may be waiting for a connection still, and would go on doing so: then the wire ends.
    fn give_up_socket(&self) {
        if self.is_silent.swap(true, Ordering::Relaxed) {
            self.stop.cancel();
        } else if let Ok(dc_id) = self.session.home_dc_id() {
            self.handle.disconnect_from_dc(dc_id);
            // Whoever reads updates is to look for those that went to that socket.
            let _ = self.told.try_send(UpdatesLike::ConnectionClosed);
        }
    }

    /// Goes on at another data centre, as Telegram told.
    pub async fn move_to(&self, dc_id: i32) -> Result<(), Failure> {
        let before = self.session.home_dc_id().map_err(not_sent)?;
        self.session.set_home_dc_id(dc_id).await.map_err(not_sent)?;
        self.handle.disconnect_from_dc(before);
        Ok(())
    }

    /// Returns once the wire has ended: because it was closed, or because it broke.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Closes the wire; once this returns, there is no socket any more.
    pub async fn close(&self) {
        self.stop.cancel();
        self.ended.cancelled().await;
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What Telegram shows its user of this session, in the list of devices. Nothing is retried: one lost answer to a
/// creation made two groups that way.
fn parameters(use_ipv6: bool) -> ConnectionParams {
    ConnectionParams {
        device_model: "Convoke".to_owned(),
        system_version: std::env::consts::OS.to_owned(),
        app_version: env!("CARGO_PKG_VERSION").to_owned(),
        system_lang_code: "en".to_owned(),
        lang_code: "en".to_owned(),
        use_ipv6,
        retry_policy: Box::new(NoRetries),
        updates_channel_capacity: UPDATES,
        __non_exhaustive: (),
    }
}
