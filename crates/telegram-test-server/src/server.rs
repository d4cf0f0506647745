//! The server as tests hold it: started, stopped, its clock moved, its accounts made.

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::connection;
use crate::world::{GroupId, Person, Shared, UserId, World};

/// As much of Telegram as the connector needs, on a port of this machine; clones are handles to the same one. It runs on
/// a thread of its own, so that a test may block, and ends with its last handle.
#[derive(Clone)]
pub struct TestServer {
    shared: Shared,
    address: SocketAddrV4,
    _end: Arc<oneshot::Sender<()>>,
}

impl TestServer {
    /// Starts one on a free port.
    ///
    /// # Panics
    /// If the machine gives no port or thread.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        listener.set_nonblocking(true).expect("a listener can be non-blocking");
        let shared = Shared::default();
        let (end, ended) = oneshot::channel();
        let world = shared.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
        std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, world) => {}
                    _ = ended => {}
                }
            });
        });
        Self { shared, address: SocketAddrV4::new(Ipv4Addr::LOCALHOST, port), _end: Arc::new(end) }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddrV4 {
        self.address
    }

    /// Cuts every connection and serves no new one; what is known stays, and so does the port.
    pub fn stop(&self) {
        let mut world = self.world();
        world.settings.running = false;
        world.cut_connections(None);
    }

    /// Serves again after [`Self::stop`].
    pub fn restart(&self) {
        self.world().settings.running = true;
    }

    /// Cuts every connection that is open now.
    pub fn cut_connections(&self) {
        self.world().cut_connections(None);
    }

    /// Cuts the connections of one user.
    pub fn cut_connections_of(&self, user: UserId) {
        self.world().cut_connections(Some(user));
    }

    /// Now, in Unix seconds by the server's clock.
    #[must_use]
    pub fn now(&self) -> i32 {
        self.world().now()
    }

    /// Moves the server's clock forward.
    pub fn advance(&self, by: Duration) {
        self.world().clock.advance(by);
    }

    /// Moves the server's clock back, so that what happens next happened some time ago.
    pub fn set_back(&self, by: Duration) {
        self.world().clock.set_back(by);
    }

    /// Somebody new; names may be empty. A phone number is made up.
    #[must_use]
    pub fn new_user(&self, first: &str, last: &str, username: &str) -> UserId {
        let mut world = self.world();
        let id = UserId(world.new_id());
        let phone = format!("99966{}", id.0);
        let person = Person {
            first: first.to_owned(),
            last: last.to_owned(),
            username: username.to_owned(),
            phone,
            password: None,
        };
        world.people.insert(id, person);
        id
    }

    /// A session of this user, with a key of its own, as a Telethon string.
    #[must_use]
    pub fn session(&self, user: UserId) -> String {
        self.world().new_key(Some(user), self.address)
    }

    /// A session with a key that nobody is logged in with yet.
    #[must_use]
    pub fn new_key(&self) -> String {
        self.world().new_key(None, self.address)
    }

    /// Ends the logins of this user: their keys are not registered any more.
    pub fn end_sessions(&self, user: UserId) {
        for key in self.world().keys.values_mut().filter(|key| key.user == Some(user)) {
            key.user = None;
        }
    }

    /// The phone number of this user, with its `+`.
    #[must_use]
    pub fn phone(&self, user: UserId) -> String {
        self.world().people.get(&user).map(|person| format!("+{}", person.phone)).unwrap_or_default()
    }

    /// Makes this user's logins need a password.
    pub fn set_password(&self, user: UserId, password: &str) {
        if let Some(person) = self.world().people.get_mut(&user) {
            person.password = Some(password.to_owned());
        }
    }

    /// The code that was sent to this phone number last, if one was that is not used yet.
    #[must_use]
    pub fn login_code(&self, phone: &str) -> Option<String> {
        let digits: String = phone.chars().filter(char::is_ascii_digit).collect();
        self.world().login.codes.get(&digits).cloned()
    }

    /// This user scans a login token (the bytes of the QR code's link) and accepts it; false if nobody shows it.
    #[must_use]
    pub fn accept_login_token(&self, user: UserId, token: &[u8]) -> bool {
        let mut world = self.world();
        let shown = world.login.tokens.values_mut().find(|shown| shown.bytes == token);
        shown.map(|shown| shown.accepted_by = Some(user)).is_some()
    }

    /// A user may be in this many groups; the next creation is refused with `CHANNELS_TOO_MUCH`.
    pub fn limit_groups(&self, most: usize) {
        self.world().settings.most_groups = Some(most);
    }

    /// From now on a group has an invitation from the start, as `channels.getFullChannel` shows it.
    pub fn invite_from_start(&self) {
        self.world().settings.invite_from_start = true;
    }

    /// From now on a key's second connection at the same time is refused with `AUTH_KEY_DUPLICATED`.
    pub fn refuse_duplicates(&self) {
        self.world().settings.duplicates_refused = true;
    }

    /// A difference that is more than so many events behind is "too long".
    pub fn too_long_after(&self, events: usize) {
        self.world().settings.too_long = events;
    }

    /// From now on `help.getConfig` announces this address of a data centre.
    pub fn announce(&self, data_centre: i32, address: SocketAddrV4) {
        self.world().settings.data_centres.push((data_centre, address));
    }

    /// Whether comings and goings of this group are silent: no service message, no update, the admin log alone.
    pub fn silence(&self, group: GroupId, silent: bool) {
        if let Some(group) = self.world().groups.get_mut(&group) {
            group.silent = silent;
        }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.shared.lock()
    }
}

async fn accept(listener: TcpListener, world: Shared) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("the runtime takes the listener");
    loop {
        // A connection that is gone before it was accepted is nothing to us.
        let Ok((stream, _)) = listener.accept().await else { continue };
        if world.lock().settings.running {
            tokio::spawn(connection::serve(stream, world.clone()));
        }
    }
}
