//! How new what is read has to be, where there are copies of the database that lag behind it.

use std::{fmt, str::FromStr};

use convoke_domain::{Mistake, MistakeCode};

/// A place in the database's history: whoever reads at or after it sees every commit before it. Clients get it as a text
/// that means nothing to them, and send it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(pub(crate) u64);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Position {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        let is_ours = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let position = u64::from_str_radix(text, 16).ok().filter(|_| is_ours);
        position.map(Self).ok_or_else(|| Mistake::new(MistakeCode::InvalidFormat, "is none that this service gave"))
    }
}

/// How new what is read has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// As new as it gets: from the database itself.
    Newest,
    /// At this position or after it.
    AtLeast(Position),
    /// Not older than replicas may be.
    Recent,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_was_written_and_in_no_other_form() {
        for position in [Position(0), Position(0x3_01e5_a8f0), Position(u64::MAX)] {
            assert_eq!(position.to_string().parse(), Ok(position));
        }
        for wrong in ["", "0/3000060", "000000000301E5A8", "301e5a8", "+00000000301e5a8", "00000000000301e5a8"] {
            assert!(wrong.parse::<Position>().is_err(), "{wrong}");
        }
    }
}
