//! A provider, interrupted at one of its calls.

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
use convoke_provider::{
    Checkpoint, CreateChat, CreatedGroup, EventBatch, Lane, Provider, ProviderError, ProviderEvent, Work,
};
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

/// A provider, some calls of which are interrupted.
#[derive(Debug)]
pub struct Interrupted {
    provider: Arc<dyn Provider>,
    interruptions: Vec<(u32, Interruption)>,
    calls: AtomicU32,
    /// How many groups were really made.
    pub groups_made: Arc<AtomicU32>,
    /// Told when the process is to come to its end.
    pub crashed: Arc<Notify>,
    /// How often it still panics when it is asked what happened.
    pub feed_panics: AtomicU32,
}

impl Interrupted {
    /// Interrupts the calls to the sandbox of these numbers, from 1.
    pub fn new(sandbox: Sandbox, interruptions: Vec<(u32, Interruption)>, groups_made: Arc<AtomicU32>) -> Self {
        Self { groups_made, ..Self::over(Arc::new(sandbox), interruptions) }
    }

    /// Interrupts the calls of these numbers, from 1; that for a lane is one where there are several.
    pub fn over(provider: Arc<dyn Provider>, interruptions: Vec<(u32, Interruption)>) -> Self {
        let (calls, groups_made, crashed, feed_panics) = Default::default();
        Self { provider, interruptions, calls, groups_made, crashed, feed_panics }
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
        self.provider.service()
    }

    fn lanes(&self) -> Vec<Lane> {
        self.provider.lanes()
    }

    async fn lane_of(&self, work: Work<'_>) -> Result<Option<String>, ProviderError> {
        let find = self.provider.lane_of(work);
        if self.provider.lanes().len() > 1 { self.call(find).await } else { find.await }
    }

    fn settle_time(&self) -> Duration {
        self.provider.settle_time()
    }

    async fn create_chat(&self, request: &CreateChat) -> Result<CreatedGroup, ProviderError> {
        let create = async {
            // Counted at the call, for the sandbox itself keeps one group of a chat at most, and others do not.
            self.groups_made.fetch_add(1, Ordering::SeqCst);
            self.provider.create_chat(request).await
        };
        self.call(create).await
    }

    async fn find_created(
        &self,
        request: &CreateChat,
        since: Timestamp,
    ) -> Result<Option<CreatedGroup>, ProviderError> {
        self.call(self.provider.find_created(request, since)).await
    }

    async fn invitation(&self, provider_chat_id: &str) -> Result<String, ProviderError> {
        self.call(self.provider.invitation(provider_chat_id)).await
    }

    async fn remove_participant(&self, group: &str, person: &str) -> Result<Vec<ProviderEvent>, ProviderError> {
        self.call(self.provider.remove_participant(group, person)).await
    }

    async fn next_events(&self) -> Result<EventBatch, ProviderError> {
        let left = self.feed_panics.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        assert!(left.is_err(), "interrupted by the test");
        self.provider.next_events().await
    }

    async fn acknowledge(&self, checkpoint: Checkpoint) -> Result<(), ProviderError> {
        self.provider.acknowledge(checkpoint).await
    }
}
