//! Telethon's form of a session: `1`, then data centre, IPv4 address, port and auth key in URL-safe base64.

use std::net::SocketAddrV4;

/// The data centre that the server says it is.
pub const DATA_CENTRE: u8 = 2;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A session with this server and key.
pub fn write(address: SocketAddrV4, key: &[u8; 256]) -> String {
    let mut bytes = vec![DATA_CENTRE];
    bytes.extend(address.ip().octets());
    bytes.extend(address.port().to_be_bytes());
    bytes.extend(key);
    let mut text = String::from("1");
    for group in bytes.chunks(3) {
        let value =
            group.iter().chain([0; 2].iter()).take(3).fold(0usize, |value, byte| value << 8 | usize::from(*byte));
        for at in 0..4 {
            let letter = if at <= group.len() { ALPHABET[value >> (18 - 6 * at) & 63] } else { b'=' };
            text.push(char::from(letter));
        }
    }
    text
}

/// The key in a session string that this server wrote.
pub fn key(session: &str) -> Option<[u8; 256]> {
    let letters = session.strip_prefix('1')?.trim_end_matches('=');
    let mut bytes = Vec::new();
    let (mut value, mut bits) = (0u32, 0);
    for letter in letters.bytes() {
        let six = ALPHABET.iter().position(|other| *other == letter)?;
        value = value << 6 | u32::try_from(six).ok()?;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(value.checked_shr(bits)?.to_le_bytes()[0]);
        }
    }
    bytes.get(7..)?.try_into().ok()
}
