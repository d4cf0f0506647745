//! Misbehaviour on demand, so that tests see what happens when a messenger does not do as it is told.

use std::{str::FromStr, time::Duration};

use serde::Deserialize;

/// How the sandbox misbehaves at one call (`contract.md`, "The sandbox provider"). Read from text:
/// `retryAfter:SECONDS`, `lostAnswer` or `reject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Fault {
    /// Nothing is done, and the caller is told to come back after this time.
    RetryAfter(Duration),
    /// It is done, but the caller is not told.
    LostAnswer,
    /// Nothing is done, and the caller is told that it never will be.
    Reject,
}

/// A text that names no fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no fault: write retryAfter:SECONDS, lostAnswer or reject")]
pub struct FaultSyntaxError(String);

impl FromStr for Fault {
    type Err = FaultSyntaxError;

    fn from_str(text: &str) -> Result<Self, FaultSyntaxError> {
        match text.split_once(':') {
            None if text == "lostAnswer" => Ok(Self::LostAnswer),
            None if text == "reject" => Ok(Self::Reject),
            // Digits only: `parse` would take a sign too.
            Some(("retryAfter", seconds)) if seconds.bytes().all(|b| b.is_ascii_digit()) => seconds
                .parse::<u32>()
                .map(|seconds| Self::RetryAfter(Duration::from_secs(seconds.into())))
                .map_err(|_| FaultSyntaxError(text.to_owned())),
            _ => Err(FaultSyntaxError(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Fault {
    type Error = FaultSyntaxError;

    fn try_from(text: String) -> Result<Self, FaultSyntaxError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_from_text() {
        assert_eq!("lostAnswer".parse(), Ok(Fault::LostAnswer));
        assert_eq!("reject".parse(), Ok(Fault::Reject));
        assert_eq!("retryAfter:30".parse(), Ok(Fault::RetryAfter(Duration::from_secs(30))));
        for wrong in
            ["", "Reject", "retryAfter", "retryAfter:", "retryAfter:-1", "retryAfter:+1", "retryAfter:1s", "reject:1"]
        {
            let error = wrong.parse::<Fault>().unwrap_err().to_string();
            assert!(error.contains(wrong) && error.contains("retryAfter:SECONDS"), "{error}");
        }
    }
}
