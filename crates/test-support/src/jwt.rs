//! Tokens of an issuer, as it makes them and as others forge them, and the issuer itself, on this machine.

mod hostile;
mod issuer;
mod signing;

pub use hostile::{Hostile, hostile_tokens};
pub use issuer::{LoopbackIssuer, claims};
pub use signing::SigningKey;
