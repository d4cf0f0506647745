//! What a connection remembers: data centres and their keys, people and groups it can speak of, how far updates came.
//!
//! All of it is in memory, for grammers asks at every call. Only what an account needs to speak of others is kept, and
//! that behind the back of the updates: nobody waits for the database. How far updates came is kept by the feed, with
//! its events.

use std::{
    collections::{HashMap, HashSet},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use convoke_provider::{AccountId, AccountStorage, StorageError};
use grammers_session::{
    BoxFuture, Session, SessionData,
    types::{ChannelState, DcOption, PeerId, PeerInfo, UpdateState, UpdatesState},
};
use tokio::sync::Notify;

use crate::StringSession;

/// The memory of one connection.
pub(crate) struct ConnectionSession {
    /// The data centres that the session brought: their addresses and keys stay as they were given.
    brought: HashMap<i32, DcOption>,
    memory: Mutex<Memory>,
    /// Where peers are kept, and for which account; nowhere during a login.
    kept: Option<(Arc<dyn AccountStorage>, AccountId)>,
    /// Told whenever there is something to be kept.
    changed: Notify,
}

struct Memory {
    home_dc: i32,
    dc_options: HashMap<i32, DcOption>,
    peers: HashMap<PeerId, PeerInfo>,
    own: Option<PeerId>,
    /// Peers that are not kept as they are now.
    unsaved: HashSet<PeerId>,
    updates: UpdatesState,
}

/// Why a session does not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The data centre did not know the key that the session brought, and gave another one that opens nothing.
    #[error("the key of the session is not known any more")]
    KeyRefused,
}

impl ConnectionSession {
    /// The memory of an account that is logged in.
    pub fn of_account(brought: &StringSession, storage: Arc<dyn AccountStorage>, account: AccountId) -> Self {
        Self::new(std::slice::from_ref(brought), Some((storage, account)))
    }

    /// The memory of a login, which begins at the first of these data centres, or else at Telegram's usual one.
    pub fn of_login(brought: &[StringSession]) -> Self {
        Self::new(brought, None)
    }

    fn new(brought: &[StringSession], kept: Option<(Arc<dyn AccountStorage>, AccountId)>) -> Self {
        let SessionData { home_dc, mut dc_options, .. } = SessionData::default();
        let home_dc = brought.first().map_or(home_dc, |first| first.dc_id.into());
        let brought: HashMap<_, _> =
            brought.iter().map(|session| (i32::from(session.dc_id), option_of(session))).collect();
        dc_options.extend(brought.clone());
        let memory = Memory {
            home_dc,
            dc_options,
            peers: HashMap::new(),
            own: None,
            unsaved: HashSet::new(),
            updates: UpdatesState::default(),
        };
        Self { brought, memory: Mutex::new(memory), kept, changed: Notify::new() }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The home data centre and its key, as they are handed around; `None` before there is a key.
    pub fn to_string_session(&self) -> Option<StringSession> {
        let memory = self.memory();
        let option = memory.dc_options.get(&memory.home_dc)?;
        let address = match self.brought.get(&option.id) {
            Some(brought) if brought.ipv4.ip().is_unspecified() => SocketAddr::V6(brought.ipv6),
            _ => SocketAddr::V4(option.ipv4),
        };
        let auth_key = Box::new(option.auth_key?);
        Some(StringSession { dc_id: u8::try_from(option.id).ok()?, address, auth_key })
    }

    /// Returns once there are peers to be kept.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Keeps the peers that came since the last time.
    pub async fn save_peers(&self) -> Result<(), StorageError> {
        let Some((storage, account)) = &self.kept else { return Ok(()) };
        let unsaved: Vec<PeerInfo> = {
            let mut memory = self.memory();
            let ids = std::mem::take(&mut memory.unsaved);
            ids.iter().filter_map(|id| memory.peers.get(id).cloned()).collect()
        };
        if unsaved.is_empty() {
            return Ok(());
        }
        let peers = unsaved.iter().filter_map(|peer| Some((name_of(id_of(peer)?)?, serde_json::to_string(peer).ok()?)));
        let saved = storage.save_peers(*account, peers.collect()).await;
        if saved.is_err() {
            self.memory().unsaved.extend(unsaved.iter().filter_map(id_of));
        }
        saved
    }

    fn remember(&self, peers: Vec<PeerInfo>) {
        let mut memory = self.memory();
        for peer in peers {
            let Some(id) = id_of(&peer) else { continue };
            if matches!(peer, PeerInfo::User { is_self: Some(true), .. }) {
                memory.own = Some(id);
            }
            let known = memory.peers.get(&id);
            let mut extended = known.cloned().unwrap_or_else(|| peer.clone());
            extended.extend_info(&peer);
            if known != Some(&extended) {
                memory.peers.insert(id, extended);
                memory.unsaved.insert(id);
            }
        }
        if !memory.unsaved.is_empty() {
            self.changed.notify_one();
        }
    }

    async fn find_peer(&self, id: PeerId) -> Result<Option<PeerInfo>, SessionError> {
        let id = {
            let memory = self.memory();
            let id = if id == PeerId::self_user() { memory.own } else { Some(id) };
            let Some(id) = id else { return Ok(None) };
            if let Some(peer) = memory.peers.get(&id) {
                return Ok(Some(peer.clone()));
            }
            id
        };
        let (Some((storage, account)), Some(name)) = (&self.kept, name_of(id)) else { return Ok(None) };
        let Some(text) = storage.find_peer(*account, &name).await? else { return Ok(None) };
        // What an older release kept and this one can't read is as good as unknown.
        let Ok(peer) = serde_json::from_str::<PeerInfo>(&text) else { return Ok(None) };
        self.memory().peers.entry(id).or_insert_with(|| peer.clone());
        Ok(Some(peer))
    }
}

/// The id of a peer, unless it is outside of what Telegram gives out: then grammers would panic.
fn id_of(peer: &PeerInfo) -> Option<PeerId> {
    match peer {
        PeerInfo::User { id, .. } => PeerId::user(*id),
        PeerInfo::Chat { id } => PeerId::chat(*id),
        PeerInfo::Channel { id, .. } => PeerId::channel(*id),
    }
}

/// The name under which a peer is kept.
fn name_of(id: PeerId) -> Option<String> {
    id.bot_api_dialog_id().map(|id| id.to_string())
}

/// A data centre as grammers wants it: with two addresses, of which only that of the session's kind is used.
fn option_of(session: &StringSession) -> DcOption {
    let port = session.address.port();
    let (ipv4, ipv6) = match session.address {
        SocketAddr::V4(address) => (address, SocketAddrV6::new(address.ip().to_ipv6_mapped(), port, 0, 0)),
        SocketAddr::V6(address) => (SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port), address),
    };
    DcOption { id: session.dc_id.into(), ipv4, ipv6, auth_key: Some(*session.auth_key) }
}

impl Session for ConnectionSession {
    type Error = SessionError;

    fn home_dc_id(&self) -> Result<i32, SessionError> {
        Ok(self.memory().home_dc)
    }

    fn set_home_dc_id(&self, dc_id: i32) -> BoxFuture<'_, Result<(), SessionError>> {
        self.memory().home_dc = dc_id;
        Box::pin(async { Ok(()) })
    }

    fn dc_option(&self, dc_id: i32) -> Result<Option<DcOption>, SessionError> {
        Ok(self.memory().dc_options.get(&dc_id).cloned())
    }

    /// Takes addresses from the data centre's own list, but not for one that the session brought: the session was made
    /// there, and it may be a way round, or a test's.
    fn set_dc_option(&self, option: &DcOption) -> BoxFuture<'_, Result<(), SessionError>> {
        let set = match self.brought.get(&option.id) {
            Some(brought) if option.auth_key.is_some() && option.auth_key != brought.auth_key => {
                Err(SessionError::KeyRefused)
            }
            Some(_) => Ok(()),
            None => {
                self.memory().dc_options.insert(option.id, option.clone());
                Ok(())
            }
        };
        Box::pin(async { set })
    }

    fn peer(&self, id: PeerId) -> BoxFuture<'_, Result<Option<PeerInfo>, SessionError>> {
        Box::pin(self.find_peer(id))
    }

    fn cache_peer(&self, peer: PeerInfo) -> BoxFuture<'_, Result<(), SessionError>> {
        self.cache_peers(vec![peer])
    }

    fn cache_peers(&self, peers: Vec<PeerInfo>) -> BoxFuture<'_, Result<(), SessionError>> {
        self.remember(peers);
        Box::pin(async { Ok(()) })
    }

    fn updates_state(&self) -> BoxFuture<'_, Result<UpdatesState, SessionError>> {
        let state = self.memory().updates.clone();
        Box::pin(async { Ok(state) })
    }

    fn set_update_state(&self, update: UpdateState) -> BoxFuture<'_, Result<(), SessionError>> {
        let state = &mut self.memory().updates;
        match update {
            UpdateState::All(all) => *state = all,
            UpdateState::Primary { pts, date, seq } => (state.pts, state.date, state.seq) = (pts, date, seq),
            UpdateState::Secondary { qts } => state.qts = qts,
            UpdateState::Channel { id, pts } => {
                state.channels.retain(|channel| channel.id != id);
                state.channels.push(ChannelState { id, pts });
            }
        }
        Box::pin(async { Ok(()) })
    }
}

#[cfg(test)]
mod tests {
    use grammers_session::types::PeerAuth;

    use super::*;

    fn brought() -> StringSession {
        StringSession { dc_id: 2, address: "127.0.0.1:4001".parse().unwrap(), auth_key: Box::new([7; 256]) }
    }

    fn user(id: i64, hash: Option<i64>, is_self: bool) -> PeerInfo {
        PeerInfo::User { id, auth: hash.map(PeerAuth::from_hash), bot: Some(false), is_self: Some(is_self) }
    }

    #[tokio::test]
    async fn the_address_and_the_key_that_were_brought_stay() {
        let session = ConnectionSession::of_login(&[brought()]);
        assert_eq!(session.home_dc_id().unwrap(), 2);
        let option = session.dc_option(2).unwrap().unwrap();
        let from_config = DcOption { ipv4: "149.154.167.51:443".parse().unwrap(), ..option.clone() };
        session.set_dc_option(&from_config).await.unwrap();
        assert_eq!(session.dc_option(2).unwrap(), Some(option.clone()));
        let another_key = DcOption { auth_key: Some([8; 256]), ..option.clone() };
        let refused = session.set_dc_option(&another_key).await;
        assert!(matches!(refused, Err(SessionError::KeyRefused)), "{refused:?}");
        assert_eq!(session.dc_option(2).unwrap(), Some(option));
        assert_eq!(session.to_string_session(), Some(brought()));
    }

    #[tokio::test]
    async fn other_data_centres_take_the_addresses_they_are_told() {
        let session = ConnectionSession::of_login(&[brought()]);
        let option = session.dc_option(4).unwrap().expect("the usual ones are known");
        let told = DcOption { ipv4: "127.0.0.1:9".parse().unwrap(), auth_key: Some([9; 256]), ..option };
        session.set_dc_option(&told).await.unwrap();
        assert_eq!(session.dc_option(4).unwrap(), Some(told));
        session.set_home_dc_id(4).await.unwrap();
        let moved = session.to_string_session().unwrap();
        assert_eq!((moved.dc_id, moved.address.to_string(), moved.auth_key[0]), (4, "127.0.0.1:9".to_owned(), 9));
    }

    #[tokio::test]
    async fn a_session_with_ipv6_goes_there() {
        let address = "[::1]:4001".parse().unwrap();
        let session = ConnectionSession::of_login(&[StringSession { address, ..brought() }]);
        assert_eq!(SocketAddr::V6(session.dc_option(2).unwrap().unwrap().ipv6), address);
        assert_eq!(session.to_string_session().unwrap().address, address);
    }

    #[tokio::test]
    async fn nobody_is_logged_in_before_it_is_known_who() {
        let session = ConnectionSession::of_login(&[brought()]);
        session.cache_peer(user(5, Some(1), false)).await.unwrap();
        assert_eq!(session.peer(PeerId::self_user()).await.unwrap(), None);
        session.cache_peer(user(6, Some(2), true)).await.unwrap();
        assert_eq!(session.peer(PeerId::self_user()).await.unwrap(), Some(user(6, Some(2), true)));
    }

    #[tokio::test]
    async fn what_is_known_of_a_peer_is_not_forgotten_for_less() {
        let session = ConnectionSession::of_login(&[brought()]);
        session.cache_peer(user(5, Some(1), false)).await.unwrap();
        session.cache_peer(user(5, None, false)).await.unwrap();
        assert_eq!(session.peer(PeerId::user(5).unwrap()).await.unwrap(), Some(user(5, Some(1), false)));
    }

    #[tokio::test]
    async fn the_state_of_updates_is_remembered() {
        let session = ConnectionSession::of_login(&[brought()]);
        session.set_update_state(UpdateState::Primary { pts: 1, date: 2, seq: 3 }).await.unwrap();
        session.set_update_state(UpdateState::Secondary { qts: 4 }).await.unwrap();
        session.set_update_state(UpdateState::Channel { id: 9, pts: 5 }).await.unwrap();
        session.set_update_state(UpdateState::Channel { id: 9, pts: 6 }).await.unwrap();
        let channels = vec![ChannelState { id: 9, pts: 6 }];
        assert_eq!(session.updates_state().await.unwrap(), UpdatesState { pts: 1, qts: 4, date: 2, seq: 3, channels });
    }
}
