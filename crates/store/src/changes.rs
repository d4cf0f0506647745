//! Who waits in this process for something to change, and is woken when it does. A hint only: whoever waits looks at
//! the database too, for another process may have changed it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use convoke_domain::ChatId;
use tokio::sync::Notify;

/// What can be waited for.
#[derive(Debug, Default)]
pub struct Changes {
    chats: Mutex<HashMap<ChatId, Weak<Notify>>>,
    /// There may be operations to be claimed.
    pub operations: Notify,
    /// There may be events of the sandbox to be taken in.
    pub sandbox_events: Notify,
}

impl Changes {
    /// Gives what is notified when the record of this chat changes, for as long as it is held. To miss nothing, take it
    /// before looking at the chat, and call `enable` on its `notified` future first.
    #[must_use]
    pub fn watch_chat(&self, id: ChatId) -> Arc<Notify> {
        let mut chats = self.chats.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watched) = chats.get(&id).and_then(Weak::upgrade) {
            return watched;
        }
        // Entries that nobody holds any more are cleared away now and then, so that the map stays small.
        if chats.len() >= 1024 && chats.len().is_power_of_two() {
            chats.retain(|_, watched| watched.strong_count() > 0);
        }
        let watched = Arc::new(Notify::new());
        chats.insert(id, Arc::downgrade(&watched));
        watched
    }

    /// Wakes whoever watches this chat.
    pub fn chat_changed(&self, id: ChatId) {
        let mut chats = self.chats.lock().unwrap_or_else(PoisonError::into_inner);
        match chats.get(&id).map(Weak::upgrade) {
            Some(Some(watched)) => watched.notify_waiters(),
            Some(None) => drop(chats.remove(&id)),
            None => {}
        }
    }
}
