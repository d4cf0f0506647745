//! The listeners: bound before anything is announced.

use std::net::{SocketAddr, TcpListener};

use tokio::net::TcpSocket;

use crate::{
    failure::Failure,
    settings::{Layers, Settings},
};

/// How many connections may wait to be taken.
const BACKLOG: u32 = 1024;

/// Binds the listeners, each once.
pub struct Listening<'a> {
    layers: &'a Layers,
    settings: &'a Settings,
    admin: Option<Bound>,
}

/// A listener and where it listens.
pub struct Bound {
    /// It.
    pub listener: TcpListener,
    /// Where: with the port that it was given if it asked for any.
    pub address: SocketAddr,
}

impl<'a> Listening<'a> {
    /// Nothing is bound yet.
    pub const fn new(layers: &'a Layers, settings: &'a Settings) -> Self {
        Self { layers, settings, admin: None }
    }

    /// The admin listener, which may be asked for again.
    pub fn admin(&mut self) -> Result<Bound, Failure> {
        let bound = match self.admin.take() {
            Some(bound) => bound,
            None => self.bind("admin.bind", self.settings.admin.bind)?,
        };
        let again = bound.listener.try_clone().map_err(|error| Failure::new(format!("admin.bind: {error}")))?;
        let address = bound.address;
        self.admin = Some(bound);
        Ok(Bound { listener: again, address })
    }

    /// The public listener.
    pub fn public(&self) -> Result<Bound, Failure> {
        self.bind("server.bind", self.settings.server.bind)
    }

    fn bind(&self, key: &str, address: SocketAddr) -> Result<Bound, Failure> {
        bind(address).map_err(|error| {
            let name = self.layers.name_of_key(key);
            Failure::new(format!("{name}: {address} can't be listened on: {error}"))
        })
    }
}

fn bind(address: SocketAddr) -> std::io::Result<Bound> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart need not wait until the connections of the last run are forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?.into_std()?;
    let address = listener.local_addr()?;
    Ok(Bound { listener, address })
}
