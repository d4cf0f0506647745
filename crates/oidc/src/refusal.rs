//! Why a token is refused.

/// Why a token is refused. For the log of the service: who sent the token learns only that it won't do. The words are
/// fixed, so that nothing of a token gets into them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is longer than any token that we take.
    #[error("the token is too long")]
    TooLong,
    /// It has not the form of a signed JWT (RFC 7515, section 7.1).
    #[error("the token is no signed JWT: {0}")]
    Malformed(&'static str),
    /// A member of its header is missing, wrong, or asks for what we don't do.
    #[error("the token's header won't do: {0}")]
    Header(&'static str),
    /// It is signed in a way that is not on the list of those that we take.
    #[error("the token's algorithm is not accepted")]
    Algorithm,
    /// No issuer of this name is configured.
    #[error("the token's issuer is not known")]
    Issuer,
    /// The issuer has no key of the name that the token gives.
    #[error("the token's key is not known")]
    Key,
    /// It was not signed by the issuer, or not as it is.
    #[error("the token's signature is wrong")]
    Signature,
    /// A claim is missing, wrong, or means that the token is for something else.
    #[error("the token's claims won't do: {0}")]
    Claim(&'static str),
}
