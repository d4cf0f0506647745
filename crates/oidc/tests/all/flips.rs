//! Good tokens with one bit changed.

use convoke_domain::Environment as _;
use convoke_test_support::{
    TestEnvironment,
    jwt::{SigningKey, claims},
};

use crate::support::{ISSUER, NOW, issuer, key_set, verify};

#[test]
fn ten_thousand_flipped_bits_open_nothing() {
    let environment = TestEnvironment::new();
    let keys = ["RS256", "PS256", "ES256", "ES384", "EdDSA"].map(|algorithm| SigningKey::new(algorithm, algorithm));
    let (issuer, set) = (issuer(ISSUER), key_set(&keys.each_ref()));
    let tokens = keys.map(|key| key.token(&key.header(), &claims(ISSUER, NOW)));
    for token in &tokens {
        verify(token, &issuer, &set).unwrap();
    }
    let mut flips = 0;
    while flips < 10_000 {
        let mut chance = [0; 5];
        environment.fill_random(&mut chance);
        let [which, bit, place @ ..] = chance;
        let mut bytes = tokens[usize::from(which) % tokens.len()].clone().into_bytes();
        let place = place.iter().fold(0, |place, byte| place * 256 + usize::from(*byte)) % bytes.len();
        bytes[place] ^= 1 << (bit % 8);
        // A header of HTTP holds other bytes too, but none that is no text reaches the token's reader.
        let Ok(text) = String::from_utf8(bytes) else { continue };
        assert!(verify(&text, &issuer, &set).is_err(), "bit {} of byte {place}: {text}", bit % 8);
        flips += 1;
    }
}
