//! Waiting for what outlives a request.

use std::time::Duration;

use convoke_domain::{Chat, ChatId, ChatStatus, OperationId};
use tokio::time::{Instant, sleep_until};

use crate::{Client, Error, NewChat, Operation, Registration, SendOptions};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The pauses between two looks: growing, and none beyond the end of the patience.
struct Pauses {
    next: Duration,
    /// Nothing if it is further away than an instant can be.
    end: Option<Instant>,
}

impl Pauses {
    fn within(patience: Duration) -> Self {
        Self { next: FIRST_PAUSE, end: Instant::now().checked_add(patience) }
    }

    /// Pauses; says whether there is patience for another look.
    async fn pause(&mut self) -> bool {
        let now = Instant::now();
        let left = self.end.map_or(LONGEST_PAUSE, |end| end.saturating_duration_since(now));
        if left.is_zero() {
            return false;
        }
        sleep_until(now + self.next.min(left)).await;
        self.next = (self.next * 2).min(LONGEST_PAUSE);
        true
    }
}

impl Client {
    /// Registers a chat and waits until people can join it: the service waits first (`Prefer: wait`), then this client looks
    /// from time to time. `patience` is for the chat to be made; repeated requests can take somewhat longer.
    ///
    /// # Errors
    /// As [`register_chat`](Self::register_chat); [`Error::ChatEnded`] if the chat could not be made;
    /// [`Error::StillProvisioning`] if it takes longer: the registration holds, and
    /// [`wait_until_ready`](Self::wait_until_ready) waits on.
    pub async fn register_and_wait(&self, chat: &NewChat, patience: Duration) -> Result<Chat, Error> {
        let pauses = Pauses::within(patience);
        let options = SendOptions { wait: Some(patience), ..SendOptions::default() };
        match self.register_chat_with(chat, &options).await? {
            Registration::Active(chat) => Ok(*chat),
            Registration::Accepted(accepted) => self.ready(accepted.id, Some(accepted.operation_id), pauses).await,
        }
    }

    /// Waits until people can join a chat.
    ///
    /// # Errors
    /// As [`get_chat`](Self::get_chat); [`Error::ChatEnded`] if the chat could not be made or has been closed;
    /// [`Error::StillProvisioning`] if it takes longer.
    pub async fn wait_until_ready(&self, id: ChatId, patience: Duration) -> Result<Chat, Error> {
        self.ready(id, None, Pauses::within(patience)).await
    }

    /// Waits until an operation has ended, and gives it as it is then: it may have [failed](Operation::error).
    ///
    /// # Errors
    /// As [`get_operation`](Self::get_operation); [`Error::StillRunning`] if it takes longer.
    pub async fn wait_for_operation(&self, id: OperationId, patience: Duration) -> Result<Operation, Error> {
        let mut pauses = Pauses::within(patience);
        loop {
            let operation = self.get_operation(id).await?;
            if operation.has_ended() {
                return Ok(operation);
            }
            if !pauses.pause().await {
                return Err(Error::StillRunning(id));
            }
        }
    }

    async fn ready(&self, id: ChatId, operation: Option<OperationId>, mut pauses: Pauses) -> Result<Chat, Error> {
        loop {
            let chat = self.get_chat(id).await?.value;
            match chat.status {
                ChatStatus::Active => return Ok(chat),
                ChatStatus::Provisioning => {}
                status @ (ChatStatus::Closed | ChatStatus::Failed) => {
                    return Err(self.ended(id, status, operation).await);
                }
            }
            if !pauses.pause().await {
                return Err(Error::StillProvisioning(id));
            }
        }
    }

    /// Why a chat is not ready and never will be. That it is so counts for more than the reason: if the operation can't be
    /// read, there is none.
    async fn ended(&self, id: ChatId, status: ChatStatus, operation: Option<OperationId>) -> Error {
        let problem = match operation {
            Some(operation) => self.get_operation(operation).await.ok().and_then(|operation| operation.error),
            None => None,
        };
        Error::ChatEnded { id, status, problem: problem.map(Box::new) }
    }
}
