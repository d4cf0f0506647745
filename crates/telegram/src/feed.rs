//! What happens in the groups, told to the record: by three sources, none of which tells everything.
//!
//! The stream of updates tells at once, the admin log tells what the stream left out, the list of members what neither
//! told. Each is read as far as its own counter, which is kept once what it told is recorded.

mod account;
pub(crate) mod events;
mod groups;
mod members;
mod names;
mod offer;
pub(crate) mod people;
mod readings;
#[cfg(test)]
pub(crate) mod samples;
mod schedule;
mod stream;
#[cfg(test)]
mod tests;
pub(crate) mod updates;

use std::{sync::Arc, time::Duration};

use convoke_provider::{Checkpoint, EventBatch, ProviderError};
use grammers_session::updates::UpdatesLike;
use tokio::sync::{Mutex, mpsc};
use tokio_util::task::AbortOnDropHandle;

use crate::{call::Failure, connection::Connection};
use account::{AccountFeed, Ended};
use offer::{Offer, Offers};

/// How long to wait before a feed that could not begin is begun again, at first.
const AGAIN: Duration = Duration::from_secs(1);

/// ... and at most.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// The feed of all accounts that are held here.
#[derive(Debug)]
pub(crate) struct Feed {
    offers: Offers,
}

impl Feed {
    /// The feed of no account yet.
    pub fn new() -> Self {
        Self { offers: Offers::new() }
    }

    /// Waits for something that happened and is not acknowledged. May be dropped at any point.
    pub async fn next(&self) -> EventBatch {
        self.offers.next().await
    }

    /// Says that a batch is recorded, which is kept.
    ///
    /// # Errors
    /// If the storage does not answer: then the batch is told again.
    pub async fn acknowledge(&self, checkpoint: &Checkpoint) -> Result<(), ProviderError> {
        self.offers.acknowledge(checkpoint).await
    }

    /// Finds out what happens to the account's groups, until the connection or its lease is gone. May be dropped.
    pub async fn run(&self, connection: Arc<Connection>) {
        let Some(incoming) = connection.take_updates() else { return };
        let incoming = Arc::new(Mutex::new(incoming));
        let (mut from_now_on, mut pause) = (false, AGAIN);
        loop {
            let following = follow(connection.clone(), self.offers.sender(), incoming.clone(), from_now_on);
            let following = AbortOnDropHandle::new(tokio::spawn(following));
            let ended = tokio::select! {
                () = connection.ended() => return,
                ended = following => ended,
            };
            match ended {
                Ok(Ok(Ended)) => return,
                Ok(Err(failure)) => {
                    tracing::warn!(?failure, "the feed of an account can't begin yet");
                    if let Failure::Wait(time) = failure {
                        pause = pause.max(time);
                    }
                }
                // grammers takes some things that Telegram never says for impossible.
                Err(error) => {
                    tracing::error!(%error, "the feed of an account broke off: it goes on from now, and reads all logs");
                    from_now_on = true;
                }
            }
            tokio::select! {
                () = connection.ended() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

async fn follow(
    connection: Arc<Connection>,
    offers: mpsc::Sender<Offer>,
    incoming: Arc<Mutex<mpsc::Receiver<UpdatesLike>>>,
    from_now_on: bool,
) -> Result<Ended, Failure> {
    let mut incoming = incoming.lock().await;
    let mut feed = AccountFeed::begin(connection, offers, from_now_on).await?;
    Ok(feed.run(&mut incoming).await)
}
