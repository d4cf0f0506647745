//! Tokens, honest and forged; issuers that rotate their keys, are away, or never come.

mod fetching;
mod flips;
mod good;
mod hostile;
mod rotation;
mod support;
