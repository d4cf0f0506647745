//! What can be wrong with a value that somebody sends.

use serde::{Deserialize, Serialize};

/// The kind of a mistake, as in `errors[].code` of the contract.
///
/// ```
/// use convoke_domain::MistakeCode;
///
/// assert_eq!(serde_json::to_value(MistakeCode::TooLong)?, "tooLong");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(utoipa::ToSchema),
    schema(description = "The kind of a mistake, as in `errors[].code` of the contract.")
)]
#[serde(rename_all = "camelCase")]
pub enum MistakeCode {
    /// A mandatory value is missing, or nothing is left of it once trimmed.
    Required,
    /// Longer than its limit.
    TooLong,
    /// Not of the form that is asked for.
    InvalidFormat,
    /// A character that the value may not hold.
    InvalidCharacter,
    /// A number, or a count of values, outside its bounds.
    OutOfRange,
    /// A name or value that is not known here.
    Unknown,
    /// Given more than once.
    Duplicate,
    /// Not possible together with something else in the request.
    NotAllowed,
}

/// One mistake: its kind, and a sentence for whoever made it.
///
/// ```
/// use convoke_domain::{MistakeCode, PageSize};
///
/// let mistake = "1000".parse::<PageSize>().unwrap_err();
/// assert_eq!(mistake.code, MistakeCode::OutOfRange);
/// assert_eq!(mistake.to_string(), "must be between 1 and 200");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Mistake {
    /// The kind.
    pub code: MistakeCode,
    /// What is wrong and what would be right, in a sentence.
    pub detail: String,
}

impl Mistake {
    /// A mistake of this kind, told in this sentence.
    ///
    /// ```
    /// use convoke_domain::{Mistake, MistakeCode};
    ///
    /// let mistake = Mistake::new(MistakeCode::Required, "must not be blank");
    /// assert_eq!(mistake.detail, "must not be blank");
    /// ```
    pub fn new(code: MistakeCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}
