//! Tokens of OpenID Connect issuers: JWTs, proved by keys that the issuer publishes.
//!
//! Two halves that don't know each other. What a token says and whether it holds is decided without any I/O, from the
//! text of the token, the settings, the keys and the time: [`Token::read`], [`Token::check`], [`Claimed::prove`]. Where
//! keys come from, and when they are asked for, is [`Issuers`].
//!
//! Refused is whatever an RFC forbids or leaves to us and nobody needs: `tests/all/hostile.rs` lists it, each with the
//! rule that it breaks.

mod address;
mod algorithm;
mod claims;
mod fetch;
mod issuer;
mod issuers;
mod json;
mod keys;
mod refusal;
mod token;

pub use address::{Address, AddressError};
pub use fetch::{HttpSource, KeySource, Published, SourceError};
pub use issuer::Issuer;
pub use issuers::{Issuers, Login, VerifyError};
pub use keys::{KeySet, KeySetError};
pub use refusal::Refusal;
pub use token::{Claimed, Principal, Token, Unproven};
