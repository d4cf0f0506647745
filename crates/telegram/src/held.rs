//! The accounts that this process holds.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use convoke_provider::{AccountId, ProviderError};
use tokio::sync::mpsc;

use crate::{call::RECONNECT, connection::Connection};

/// The accounts that this process holds, and how each of them is here.
#[derive(Default)]
pub(crate) struct HeldAccounts(RwLock<BTreeMap<AccountId, Held>>);

/// How a held account is.
#[derive(Clone)]
pub(crate) enum Held {
    /// It is not connected, but may be soon.
    Connecting,
    /// It can be used.
    Connected {
        connection: Arc<Connection>,
        /// Takes the names of groups whose descriptions are to be rid of their marks.
        names: mpsc::UnboundedSender<String>,
    },
    /// It can't be used, for this reason.
    Unusable(String),
}

impl HeldAccounts {
    pub fn set(&self, account: AccountId, held: Held) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(account, held);
    }

    pub fn remove(&self, account: AccountId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&account);
    }

    /// The accounts that are held, however they are.
    pub fn ids(&self) -> Vec<AccountId> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// Those that are connected.
    pub fn connected(&self) -> Vec<AccountId> {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        held.iter().filter(|(_, held)| matches!(held, Held::Connected { .. })).map(|(id, _)| *id).collect()
    }

    /// The account's connection.
    ///
    /// # Errors
    /// If there is none: when to ask again, or why there is none.
    pub fn connection(
        &self,
        account: AccountId,
    ) -> Result<(Arc<Connection>, mpsc::UnboundedSender<String>), ProviderError> {
        match self.0.read().unwrap_or_else(PoisonError::into_inner).get(&account) {
            Some(Held::Connected { connection, names }) => Ok((connection.clone(), names.clone())),
            Some(Held::Unusable(reason)) => Err(ProviderError::AccountUnusable(reason.clone())),
            Some(Held::Connecting) | None => Err(ProviderError::RetryAfter(RECONNECT)),
        }
    }
}
