//! The groups of the sandbox, and the one way in which they change.

use std::{
    collections::VecDeque,
    fmt,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use convoke_domain::{ChatStatus, Environment, ParticipantId, TenantId};
use convoke_provider::{CreateChat, ProviderEvent, SandboxGroup, SandboxStorage};

use crate::{Action, Fault, GroupState, Moment, Newcomer, OWNER_USERNAME, Refusal, SandboxError};

/// How often a change is tried again when somebody else, in another process, changed the group meanwhile.
const MAX_ATTEMPTS: u32 = 20;

/// How many groups can be changed at once in this process, roughly.
const LOCKS: usize = 64;

/// How the sandbox behaves.
#[derive(Debug, Clone, Default)]
pub struct SandboxSettings {
    /// How long each call of the provider takes at least.
    pub delay: Duration,
    /// How its first calls go wrong, one after the other.
    pub faults: Vec<Fault>,
}

/// The messenger that lives in the service. It holds nothing but its settings: any number of them, in any number of
/// processes, may stand on the same storage.
pub struct Sandbox {
    pub(crate) storage: Arc<dyn SandboxStorage>,
    pub(crate) environment: Arc<dyn Environment>,
    pub(crate) delay: Duration,
    faults: Mutex<VecDeque<Fault>>,
    /// Those who change one group in this process wait for each other here, so that a crowd at one link does not
    /// exhaust its attempts against itself. Between processes the version decides.
    locks: [tokio::sync::Mutex<()>; LOCKS],
}

/// A group, as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What its link ends in.
    pub code: String,
    /// Whose chat it is.
    pub tenant: TenantId,
    /// Where its chat stands in the record.
    pub chat_status: ChatStatus,
    /// How often it was changed.
    pub version: i64,
    /// What it holds.
    pub state: GroupState,
}

impl Group {
    /// Whether nothing can be done in it: it was closed, or its chat is over in the record.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.state.is_closed() || matches!(self.chat_status, ChatStatus::Closed | ChatStatus::Failed)
    }
}

impl TryFrom<SandboxGroup> for Group {
    type Error = SandboxError;

    fn try_from(kept: SandboxGroup) -> Result<Self, SandboxError> {
        let state = serde_json::from_str(&kept.state)?;
        Ok(Self { code: kept.code, tenant: kept.tenant, chat_status: kept.chat_status, version: kept.version, state })
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox").field("delay", &self.delay).field("faults", &self.faults).finish_non_exhaustive()
    }
}

impl Sandbox {
    /// A sandbox over this storage.
    #[must_use]
    pub fn new(storage: Arc<dyn SandboxStorage>, environment: Arc<dyn Environment>, settings: SandboxSettings) -> Self {
        Self {
            storage,
            environment,
            delay: settings.delay,
            faults: Mutex::new(settings.faults.into()),
            locks: std::array::from_fn(|_| tokio::sync::Mutex::default()),
        }
    }

    /// Has a later call of the provider go wrong, after those that are to go wrong already.
    pub fn add_fault(&self, fault: Fault) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).push_back(fault);
    }

    /// How this call goes wrong, if it does.
    pub(crate) fn take_fault(&self) -> Option<Fault> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// The group of this code.
    ///
    /// # Errors
    /// [`SandboxError::Storage`] or [`SandboxError::Unreadable`].
    pub async fn find_group(&self, code: &str) -> Result<Option<Group>, SandboxError> {
        // What can't be a code is not looked up.
        if !is_code(code) {
            return Ok(None);
        }
        self.storage.find_group(code).await?.map(Group::try_from).transpose()
    }

    /// Lets somebody act in a group. Returns what happened, if anything did.
    ///
    /// # Errors
    /// See [`SandboxError`].
    pub async fn act(&self, group: &Group, action: &Action) -> Result<Option<ProviderEvent>, SandboxError> {
        match action {
            Action::Join { username, firstname, lastname, invited_by } => {
                let newcomer = Newcomer {
                    participant_id: self.participant_id(group, username).await?,
                    username: username.clone(),
                    firstname: firstname.clone(),
                    lastname: lastname.clone(),
                    invited_by: *invited_by,
                };
                self.change_unless_over(&group.code, |state, moment| state.join(&newcomer, moment)).await
            }
            Action::Leave { participant } => {
                self.change_unless_over(&group.code, |state, moment| state.leave(*participant, moment)).await
            }
            Action::Rename { participant, title } => {
                let rename =
                    |state: &mut GroupState, moment: Moment<'_>| state.rename(*participant, title.as_str(), moment);
                self.change_unless_over(&group.code, rename).await
            }
            Action::Close { participant } => {
                self.change_unless_over(&group.code, |state, moment| state.close(*participant, moment)).await
            }
        }
    }

    /// The id of whoever wants to come in. One that is not known yet is made, but not for a group that is over: nobody
    /// leaves traces there.
    async fn participant_id(&self, group: &Group, username: &str) -> Result<ParticipantId, SandboxError> {
        if group.is_over() {
            return Err(Refusal::Closed.into());
        }
        let known = group.state.members.iter().find(|member| member.username == username);
        match known {
            Some(member) => Ok(member.participant_id),
            None => Ok(self.storage.participant_id(&group.tenant, username).await?),
        }
    }

    async fn change_unless_over(
        &self,
        code: &str,
        change: impl Fn(&mut GroupState, Moment<'_>) -> Result<Option<ProviderEvent>, Refusal>,
    ) -> Result<Option<ProviderEvent>, SandboxError> {
        let change = |group: &mut Group, moment: Moment<'_>| {
            if group.is_over() { Err(Refusal::Closed) } else { change(&mut group.state, moment) }
        };
        self.change(code, change).await
    }

    /// Loads a group, changes it, and saves it with what happened; again from the start if it was changed meanwhile.
    pub(crate) async fn change(
        &self,
        code: &str,
        change: impl Fn(&mut Group, Moment<'_>) -> Result<Option<ProviderEvent>, Refusal>,
    ) -> Result<Option<ProviderEvent>, SandboxError> {
        let _turn = self.lock_of(code).lock().await;
        for attempt in 1..=MAX_ATTEMPTS {
            let mut group = self.find_group(code).await?.ok_or(SandboxError::NoSuchGroup)?;
            let version = group.version;
            let moment = Moment { code, version: version + 1, now: self.environment.now() };
            let Some(event) = change(&mut group, moment)? else { return Ok(None) };
            let (state, told) = (serde_json::to_string(&group.state)?, serde_json::to_string(&event)?);
            if self.storage.save_group(code, version, state, vec![told]).await? {
                return Ok(Some(event));
            }
            // A little more patience each time, so that whoever is ahead gets through.
            tokio::time::sleep(Duration::from_millis(attempt.into())).await;
        }
        Err(SandboxError::Busy)
    }

    fn lock_of(&self, code: &str) -> &tokio::sync::Mutex<()> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(code);
        let place = usize::try_from(hash % LOCKS as u64).unwrap_or(0);
        &self.locks[place]
    }

    /// A new group for this chat, and who made it.
    pub(crate) async fn new_group(&self, request: &CreateChat) -> Result<GroupState, SandboxError> {
        let owner = self.storage.participant_id(&request.tenant, OWNER_USERNAME).await?;
        let now = self.environment.now();
        Ok(GroupState::new(request.title.clone(), request.description.clone(), owner, now))
    }

    /// A code that nobody guesses: 128 random bits.
    pub(crate) fn new_code(&self) -> String {
        let mut bytes = [0; 16];
        self.environment.fill_random(&mut bytes);
        format!("{:032x}", u128::from_be_bytes(bytes))
    }
}

fn is_code(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
