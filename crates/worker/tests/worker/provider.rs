//! The sandbox, interrupted at one of its calls.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use convoke_domain::{Service, Timestamp};
use convoke_provider::{Checkpoint, CreateChat, CreatedGroup, EventBatch, Provider, ProviderError, ProviderEvent};
use convoke_sandbox::Sandbox;
use tokio::sync::Notify;

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruption {
    /// It is not carried out, and the caller does not learn that.
    LostRequest,
    /// It is carried out, and the caller does not learn that.
    LostAnswer,
    /// The caller panics before it is carried out.
    PanicBefore,
    /// The caller panics after it was carried out.
    PanicAfter,
    /// The process comes to its end before it is carried out.
    CrashBefore,
    /// The process comes to its end after it was carried out.
    CrashAfter,
}

impl Interruption {
    pub const ALL: [Self; 6] =
        [Self::LostRequest, Self::LostAnswer, Self::PanicBefore, Self::PanicAfter, Self::CrashBefore, Self::CrashAfter];
}

/// The sandbox, some calls of which are interrupted.
#[derive(Debug)]
pub struct Interrupted {
    sandbox: Sandbox,
    interruptions: Vec<(u32, Interruption)>,
    calls: AtomicU32,
    /// How many groups were really made.
    pub groups_made: Arc<AtomicU32>,
    /// Told when the process is to come to its end.
    pub crashed: Arc<Notify>,
}

impl Interrupted {
    /// Interrupts the calls of these numbers, from 1.
    pub fn new(sandbox: Sandbox, interruptions: Vec<(u32, Interruption)>, groups_made: Arc<AtomicU32>) -> Self {
        Self { sandbox, interruptions, calls: AtomicU32::new(0), groups_made, crashed: Arc::default() }
    }

    async fn call<T>(&self, call: impl Future<Output = Result<T, ProviderError>>) -> Result<T, ProviderError> {
        use Interruption::{CrashAfter, CrashBefore, LostAnswer, LostRequest, PanicAfter, PanicBefore};
        let number = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let Some((_, how)) = self.interruptions.iter().find(|(at_call, _)| *at_call == number) else {
            return call.await;
        };
        if matches!(how, LostAnswer | PanicAfter | CrashAfter) {
            call.await?;
        }
        match how {
            LostRequest | LostAnswer => Err(ProviderError::Unknown("the connection broke".into())),
            PanicBefore | PanicAfter => panic!("interrupted by the test"),
            CrashBefore | CrashAfter => {
                self.crashed.notify_one();
                pending().await
            }
        }
    }
}

#[async_trait]
impl Provider for Interrupted {
    fn service(&self) -> Service {
        self.sandbox.service()
    }

    fn settle_time(&self) -> Duration {
        self.sandbox.settle_time()
    }

    async fn create_chat(&self, request: &CreateChat) -> Result<CreatedGroup, ProviderError> {
        let create = async {
            // Counted at the call, for the sandbox itself keeps one group of a chat at most, and others do not.
            self.groups_made.fetch_add(1, Ordering::SeqCst);
            self.sandbox.create_chat(request).await
        };
        self.call(create).await
    }

    async fn find_created(
        &self,
        request: &CreateChat,
        since: Timestamp,
    ) -> Result<Option<CreatedGroup>, ProviderError> {
        self.call(self.sandbox.find_created(request, since)).await
    }

    async fn invitation(&self, provider_chat_id: &str) -> Result<String, ProviderError> {
        self.call(self.sandbox.invitation(provider_chat_id)).await
    }

    async fn remove_participant(&self, group: &str, person: &str) -> Result<Vec<ProviderEvent>, ProviderError> {
        self.call(self.sandbox.remove_participant(group, person)).await
    }

    async fn next_events(&self) -> Result<EventBatch, ProviderError> {
        self.sandbox.next_events().await
    }

    async fn acknowledge(&self, checkpoint: Checkpoint) -> Result<(), ProviderError> {
        self.sandbox.acknowledge(checkpoint).await
    }
}
