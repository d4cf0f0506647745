//! The server's side of `MTProto` 2.0 with a key that both sides have: packets are opened and sealed, containers and packed
//! requests are taken apart. <https://core.telegram.org/mtproto/description>

use std::io::Read;

use flate2::read::GzDecoder;
use grammers_crypto::{AuthKey, DequeBuffer, aes};
use grammers_tl_types::{Cursor, Deserializable, Serializable};
use sha2::{Digest, Sha256};

const CONTAINER: u32 = 0x73f1_f8dc;
const GZIP_PACKED: u32 = 0x3072_cfa1;
const RPC_RESULT: u32 = 0xf35c_6d01;

/// Which way a packet goes: the keys of the two ways are taken from different parts of the auth key.
#[derive(Clone, Copy)]
enum Way {
    ToServer = 0,
    ToClient = 8,
}

/// What a client sent in one packet.
pub struct Packet {
    pub session_id: i64,
    pub messages: Vec<Message>,
}

/// One message of a client: a call, or something of the protocol's own.
pub struct Message {
    pub id: i64,
    pub body: Vec<u8>,
}

/// A packet that can't be read.
#[derive(Debug)]
pub struct Unreadable;

impl From<grammers_tl_types::deserialize::Error> for Unreadable {
    fn from(_: grammers_tl_types::deserialize::Error) -> Self {
        Self
    }
}

/// Which auth key a packet names; zero means none yet.
pub fn key_id(packet: &[u8]) -> Option<[u8; 8]> {
    packet.get(..8)?.try_into().ok()
}

/// The first 64 bits of a key's hash, as packets name it.
pub fn key_id_of(key: &[u8; 256]) -> [u8; 8] {
    let mut sealed = DequeBuffer::with_capacity(64, 64);
    grammers_crypto::encrypt_data_v2(&mut sealed, &AuthKey::from_bytes(*key));
    sealed[..8].try_into().expect("a packet starts with the id of its key")
}

/// Opens a client's packet.
pub fn open(packet: &mut [u8], key: &[u8; 256]) -> Result<Packet, Unreadable> {
    if packet.len() < 40 || !(packet.len() - 24).is_multiple_of(16) {
        return Err(Unreadable);
    }
    let message_key: [u8; 16] = packet[8..24].try_into().map_err(|_| Unreadable)?;
    let (aes_key, iv) = aes_key(key, message_key, Way::ToServer);
    let plain = &mut packet[24..];
    aes::ige_decrypt(plain, &aes_key, &iv);
    if message_key != message_key_of(key, plain, Way::ToServer) {
        return Err(Unreadable);
    }
    let mut cursor = Cursor::from_slice(plain);
    let _salt = i64::deserialize(&mut cursor)?;
    let session_id = i64::deserialize(&mut cursor)?;
    let mut messages = Vec::new();
    unfold(message(&mut cursor)?, &mut messages)?;
    Ok(Packet { session_id, messages })
}

/// Seals one message for a client.
pub fn seal(body: &[u8], session_id: i64, id: i64, sequence: i32, key: &[u8; 256]) -> DequeBuffer<u8> {
    let mut plain = Vec::with_capacity(body.len() + 64);
    0i64.serialize(&mut plain);
    session_id.serialize(&mut plain);
    id.serialize(&mut plain);
    sequence.serialize(&mut plain);
    i32::try_from(body.len()).expect("a message is shorter than 2 GiB").serialize(&mut plain);
    plain.extend(body);
    // 12 to 1024 bytes of padding, up to a multiple of 16. The tests' server needs no random ones.
    plain.resize((plain.len() + 12).next_multiple_of(16), 0);

    let message_key = message_key_of(key, &plain, Way::ToClient);
    let (aes_key, iv) = aes_key(key, message_key, Way::ToClient);
    aes::ige_encrypt(&mut plain, &aes_key, &iv);
    let mut sealed = DequeBuffer::with_capacity(plain.len() + 4, 64);
    sealed.extend(plain);
    sealed.extend_front(&message_key);
    sealed.extend_front(&key_id_of(key));
    sealed
}

/// The answer to a call.
pub fn rpc_result(call: i64, result: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(result.len() + 12);
    RPC_RESULT.serialize(&mut body);
    call.serialize(&mut body);
    body.extend(result);
    body
}

fn message(cursor: &mut Cursor) -> Result<Message, Unreadable> {
    let id = i64::deserialize(cursor)?;
    let _sequence = i32::deserialize(cursor)?;
    let length = i32::deserialize(cursor)?;
    let mut body = vec![0; usize::try_from(length).map_err(|_| Unreadable)?.min(1 << 21)];
    cursor.read_exact(&mut body)?;
    Ok(Message { id, body })
}

/// Takes containers and packed messages apart.
fn unfold(outer: Message, into: &mut Vec<Message>) -> Result<(), Unreadable> {
    let mut cursor = Cursor::from_slice(&outer.body);
    match u32::deserialize(&mut cursor)? {
        CONTAINER => {
            for _ in 0..i32::deserialize(&mut cursor)? {
                unfold(message(&mut cursor)?, into)?;
            }
        }
        GZIP_PACKED => {
            let packed = Vec::<u8>::deserialize(&mut cursor)?;
            let mut body = Vec::new();
            GzDecoder::new(&packed[..]).read_to_end(&mut body).map_err(|_| Unreadable)?;
            unfold(Message { id: outer.id, body }, into)?;
        }
        _ => into.push(outer),
    }
    Ok(())
}

fn message_key_of(key: &[u8; 256], plain: &[u8], way: Way) -> [u8; 16] {
    let x = way as usize;
    let large = sha256(&[&key[88 + x..88 + x + 32], plain]);
    large[8..24].try_into().expect("16 bytes of 32")
}

/// Key and initialisation vector of one message.
fn aes_key(key: &[u8; 256], message_key: [u8; 16], way: Way) -> ([u8; 32], [u8; 32]) {
    let x = way as usize;
    let a = sha256(&[&message_key, &key[x..x + 36]]);
    let b = sha256(&[&key[40 + x..40 + x + 36], &message_key]);
    let mix = |first: &[u8; 32], second: &[u8; 32]| {
        let mut mixed = [0; 32];
        mixed[..8].copy_from_slice(&first[..8]);
        mixed[8..24].copy_from_slice(&second[8..24]);
        mixed[24..].copy_from_slice(&first[24..]);
        mixed
    };
    (mix(&a, &b), mix(&b, &a))
}

/// The hash of several pieces, one after the other.
pub fn sha256(pieces: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for piece in pieces {
        hash.update(piece);
    }
    hash.finalize().into()
}
