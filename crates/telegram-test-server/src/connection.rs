//! One connection of a client: packets in, answers and updates out.

use std::time::Duration;

use grammers_crypto::DequeBuffer;
use grammers_mtproto::transport::{Error, Full, Transport};
use grammers_tl_types::{self as tl, Cursor, Deserializable, Identifiable, Serializable};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{self, UnboundedSender};

use crate::methods;
use crate::refusal::Refusal;
use crate::script::Fault;
use crate::wire::{self, Message, Packet};
use crate::world::{Caller, ConnectionId, KeyId, Shared, message_id};

/// What goes to a client.
pub enum Outgoing {
    /// The answer to the call with this message id.
    Answer { call: i64, result: Vec<u8> },
    /// Updates, or anything else that nobody asked for.
    Push(Vec<u8>),
    /// The end of the connection.
    Cut,
}

/// Serves one client until either side has had enough.
pub async fn serve(stream: TcpStream, world: Shared) {
    let id = world.lock().new_connection_id();
    let (outgoing, mut to_send) = mpsc::unbounded_channel();
    let mut connection =
        Connection { id, world: world.clone(), stream, transport: Full::new(), session: None, outgoing };
    let mut received = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let goes_on = tokio::select! {
            read = connection.stream.read(&mut chunk) => match read {
                Ok(0) | Err(_) => false,
                Ok(length) => {
                    received.extend_from_slice(&chunk[..length]);
                    connection.take_packets(&mut received).await
                }
            },
            message = to_send.recv() => match message {
                Some(Outgoing::Answer { call, result }) => connection.send(&wire::rpc_result(call, &result), 1).await,
                Some(Outgoing::Push(body)) => connection.send(&body, 3).await,
                Some(Outgoing::Cut) | None => false,
            },
        };
        if !goes_on {
            break;
        }
    }
    world.lock().disconnected(id);
}

struct Connection {
    id: ConnectionId,
    world: Shared,
    stream: TcpStream,
    transport: Full,
    session: Option<Session>,
    outgoing: UnboundedSender<Outgoing>,
}

/// What the first packet of a connection told.
struct Session {
    key_id: KeyId,
    key: [u8; 256],
    id: i64,
    last_message: i64,
    sequence: i32,
}

impl Connection {
    /// Handles every whole packet of the buffer; false means that the connection is over.
    async fn take_packets(&mut self, received: &mut Vec<u8>) -> bool {
        loop {
            if received.is_empty() {
                return true;
            }
            match self.transport.unpack(received) {
                Ok(offset) => {
                    let mut packet = received[offset.data_range].to_vec();
                    received.drain(..offset.next_offset);
                    if !self.packet(&mut packet).await {
                        return false;
                    }
                }
                Err(Error::MissingBytes) => return true,
                Err(_) => return false,
            }
        }
    }

    async fn packet(&mut self, packet: &mut [u8]) -> bool {
        let Some(key_id) = wire::key_id(packet) else { return false };
        let Some(key) = self.world.lock().key(key_id) else {
            // The transport's own error, in place of a packet's length: no such auth key. Handshakes end here too.
            let _ = self.stream.write_all(&(-404i32).to_le_bytes()).await;
            return false;
        };
        let Ok(Packet { session_id, messages }) = wire::open(packet, &key) else { return false };
        if self.session.is_none() && !self.begin(key_id, key, session_id, messages.first()).await {
            return false;
        }
        for message in messages {
            if !self.message(message).await {
                return false;
            }
        }
        true
    }

    async fn begin(&mut self, key_id: KeyId, key: [u8; 256], session_id: i64, first: Option<&Message>) -> bool {
        // A client that closed one connection and opened the next has one: let the end of the old one be seen first.
        for _ in 0..3 {
            if self.world.lock().has_connections(key_id) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        self.world.lock().connected(self.id, key_id, self.outgoing.clone());
        let last_message = message_id();
        self.session = Some(Session { key_id, key, id: session_id, last_message, sequence: 0 });
        let created = tl::enums::NewSession::Created(tl::types::NewSessionCreated {
            first_msg_id: first.map_or(0, |message| message.id),
            unique_id: session_id,
            server_salt: 0,
        });
        self.send(&created.to_bytes(), 3).await
    }

    /// Sends one message; `kind` is what its id is modulo 4: 1 for an answer, 3 for a notification.
    async fn send(&mut self, body: &[u8], kind: i64) -> bool {
        let Some(session) = &mut self.session else { return false };
        session.last_message += 4;
        let id = (session.last_message & !3) | kind;
        let mut packet: DequeBuffer<u8> = wire::seal(body, session.id, id, session.sequence * 2 + 1, &session.key);
        session.sequence += 1;
        self.transport.pack(&mut packet);
        self.stream.write_all(packet.as_ref()).await.is_ok()
    }

    async fn message(&mut self, message: Message) -> bool {
        let mut cursor = Cursor::from_slice(&message.body);
        match u32::deserialize(&mut cursor) {
            Ok(tl::types::MsgsAck::CONSTRUCTOR_ID) => true,
            Ok(tl::functions::Ping::CONSTRUCTOR_ID | tl::functions::PingDelayDisconnect::CONSTRUCTOR_ID) => {
                let Ok(ping_id) = i64::deserialize(&mut cursor) else { return false };
                let pong = tl::enums::Pong::Pong(tl::types::Pong { msg_id: message.id, ping_id });
                self.send(&pong.to_bytes(), 1).await
            }
            Ok(_) => self.call(&message),
            Err(_) => false,
        }
    }

    /// Makes a call, as the script has it; false means that the connection is cut.
    fn call(&mut self, message: &Message) -> bool {
        let Some(session) = &self.session else { return false };
        let Ok(body) = methods::bare(&message.body) else { return false };
        let caller = Caller { connection: self.id, key: session.key_id };
        let answer = Answer { world: self.world.clone(), caller, call: message.id, body, to: self.outgoing.clone() };
        let fault = self.world.lock().called(caller, methods::name(&answer.body));
        match fault {
            None => answer.give(),
            Some(Fault::Refuse(refusal)) => answer.send(Err(refusal)),
            Some(Fault::LoseAnswer) => drop(answer.execute()),
            Some(Fault::CutAfter) => {
                drop(answer.execute());
                return false;
            }
            Some(Fault::CutBefore) => return false,
            Some(Fault::Silent) => {}
            Some(Fault::AnswerLate(delay)) => {
                let result = answer.execute();
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    answer.send(result);
                });
            }
            Some(Fault::ExecuteLate(delay)) => {
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    answer.give();
                });
            }
        }
        true
    }
}

/// A call that is being answered.
struct Answer {
    world: Shared,
    caller: Caller,
    call: i64,
    body: Vec<u8>,
    to: UnboundedSender<Outgoing>,
}

impl Answer {
    /// Executes and answers under one lock, so that an answer never comes after the update that follows it.
    fn give(&self) {
        let mut world = self.world.lock();
        let result = methods::execute(&mut world, self.caller, &self.body);
        self.send(result);
    }

    fn execute(&self) -> Result<Vec<u8>, Refusal> {
        methods::execute(&mut self.world.lock(), self.caller, &self.body)
    }

    fn send(&self, result: Result<Vec<u8>, Refusal>) {
        let result = result.unwrap_or_else(|refusal| refusal.to_bytes());
        // Nobody there any more: the connection is gone, and the answer with it.
        let _ = self.to.send(Outgoing::Answer { call: self.call, result });
    }
}
