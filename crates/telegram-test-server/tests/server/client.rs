//! A client of grammers' own.

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use convoke_telegram_test_server::TestServer;
use grammers_client::sender::{ConnectionParams, NoRetries, SenderPool, UpdatesConfiguration};
use grammers_client::session::storages::MemorySession;
use grammers_client::session::types::{DcOption, PeerId, PeerInfo};
use grammers_client::session::{Session, SessionData};
use grammers_client::{Client, InvocationError, tl};

/// A client that is connected under a session string, and the stream of its updates.
pub struct Connected {
    pub client: Client,
    pub session: Arc<MemorySession>,
    pub updates: grammers_client::client::UpdateStream,
    runner: tokio::task::JoinHandle<()>,
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.runner.abort();
    }
}

/// What a session string says.
fn read(session: &str) -> DcOption {
    let bytes = base64::engine::general_purpose::URL_SAFE.decode(&session[1..]).expect("base64");
    let address = std::net::Ipv4Addr::new(bytes[1], bytes[2], bytes[3], bytes[4]);
    let ipv4 = SocketAddrV4::new(address, u16::from_be_bytes([bytes[5], bytes[6]]));
    let ipv6 = std::net::SocketAddrV6::new(address.to_ipv6_mapped(), ipv4.port(), 0, 0);
    DcOption { id: i32::from(bytes[0]), ipv4, ipv6, auth_key: Some(bytes[7..].try_into().expect("256 bytes")) }
}

/// Connects as whoever is logged in with this session.
pub async fn connect(session: &str) -> Connected {
    connect_with(remembered(read(session))).await
}

/// Connects with the key of this session to another address.
pub async fn connect_to(session: &str, address: SocketAddrV4) -> Connected {
    connect_with(remembered(DcOption { ipv4: address, ..read(session) })).await
}

fn remembered(option: DcOption) -> Arc<MemorySession> {
    // Without knowing itself the stream of updates never asks for its first state.
    let itself = PeerInfo::User { id: 1, auth: None, bot: Some(false), is_self: Some(true) };
    Arc::new(MemorySession::from(SessionData {
        home_dc: option.id,
        dc_options: [(option.id, option)].into(),
        peer_infos: [(PeerId::self_user(), itself)].into(),
        ..SessionData::default()
    }))
}

/// Connects with what an earlier connection remembered.
pub async fn connect_with(session: Arc<MemorySession>) -> Connected {
    let parameters = ConnectionParams { retry_policy: Box::new(NoRetries), ..ConnectionParams::default() };
    let SenderPool { runner, handle, updates } = SenderPool::with_configuration(session.clone(), 1, parameters);
    let client = Client::new(handle);
    let runner = tokio::spawn(runner.run());
    // The first call connects; whether it is refused is up to the test.
    let _ = client.get_me().await;
    let updates = client.stream_updates(updates, UpdatesConfiguration { catch_up: true }).await.expect("a stream");
    Connected { client, session, updates, runner }
}

impl Connected {
    /// Makes a group and gives how it is named from now on.
    pub async fn create(&self, title: &str, about: &str) -> Result<tl::types::InputChannel, InvocationError> {
        let updates = self.client.invoke(&create(title, about)).await?;
        let tl::enums::Updates::Updates(updates) = updates else { panic!("plain updates") };
        let Some(tl::enums::Chat::Channel(channel)) = updates.chats.into_iter().next() else { panic!("the group") };
        assert!(channel.megagroup && channel.creator && channel.title == title);
        Ok(tl::types::InputChannel { channel_id: channel.id, access_hash: channel.access_hash.expect("a hash") })
    }

    /// An invitation link of a group.
    pub async fn link(&self, channel: &tl::types::InputChannel) -> Result<String, InvocationError> {
        let export = tl::functions::messages::ExportChatInvite {
            legacy_revoke_permanent: false,
            request_needed: false,
            peer: peer(channel),
            expire_date: None,
            usage_limit: None,
            title: None,
            subscription_pricing: None,
        };
        match self.client.invoke(&export).await? {
            tl::enums::ExportedChatInvite::ChatInviteExported(invite) => Ok(invite.link),
            tl::enums::ExportedChatInvite::ChatInvitePublicJoinRequests => panic!("a link of its own"),
        }
    }

    /// Calls until there is an answer: a connection that broke is made again.
    pub async fn ask<R: tl::RemoteCall>(&self, call: &R) -> R::Return {
        let asking = async {
            loop {
                match self.client.invoke(call).await {
                    Ok(answer) => return answer,
                    Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), asking).await.expect("an answer")
    }

    /// The newest entries of a group's admin log, newest first.
    pub async fn log(&self, channel: &tl::types::InputChannel, limit: i32) -> Vec<tl::types::ChannelAdminLogEvent> {
        let call = tl::functions::channels::GetAdminLog {
            channel: channel.clone().into(),
            q: String::new(),
            events_filter: None,
            admins: None,
            max_id: 0,
            min_id: 0,
            limit,
        };
        let tl::enums::channels::AdminLogResults::Results(log) = self.client.invoke(&call).await.expect("the log");
        log.events.into_iter().map(|tl::enums::ChannelAdminLogEvent::Event(event)| event).collect()
    }

    /// The next service message of a group; what else is told is passed over.
    pub async fn next_action(&mut self) -> (i32, tl::enums::MessageAction) {
        let next = async {
            loop {
                // The stream mends a broken connection when it is asked again.
                let Ok((update, ..)) = self.updates.next_raw().await else {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    continue;
                };
                if let tl::enums::Update::NewChannelMessage(update) = update
                    && let tl::enums::Message::Service(message) = update.message
                {
                    return (message.id, message.action);
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), next).await.expect("the message comes")
    }

    pub async fn pts(&self, channel: &tl::types::InputChannel) -> Option<i32> {
        self.updates.sync_update_state().await.expect("memory");
        let state = self.session.updates_state().await.expect("memory");
        state.channels.iter().find(|known| known.id == channel.channel_id).map(|known| known.pts)
    }
}

pub fn create(title: &str, about: &str) -> tl::functions::channels::CreateChannel {
    tl::functions::channels::CreateChannel {
        broadcast: false,
        megagroup: true,
        for_import: false,
        forum: false,
        title: title.to_owned(),
        about: about.to_owned(),
        geo_point: None,
        address: None,
        ttl_period: None,
    }
}

pub fn peer(channel: &tl::types::InputChannel) -> tl::enums::InputPeer {
    tl::enums::InputPeer::Channel(tl::types::InputPeerChannel {
        channel_id: channel.channel_id,
        access_hash: channel.access_hash,
    })
}

/// The code and name of a refusal.
pub fn refusal<T: std::fmt::Debug>(result: Result<T, InvocationError>) -> (i32, String) {
    match result {
        Err(InvocationError::Rpc(error)) => (error.code, error.name),
        other => panic!("a refusal, not {other:?}"),
    }
}

/// Waits until something is so, for at most ten seconds.
pub async fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..2000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never so: {what}");
}

/// A server with one account, and a client that is connected as it.
pub async fn one_account() -> (TestServer, Connected, convoke_telegram_test_server::UserId, String) {
    let server = TestServer::start();
    let owner = server.new_user("Owner", "", "owner");
    let session = server.session(owner);
    let connected = connect(&session).await;
    (server, connected, owner, session)
}
