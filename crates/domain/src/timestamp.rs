//! Instants, in the one precision and form of the contract.

use std::{fmt, str::FromStr};

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, TimeDelta, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Mistake, MistakeCode};

/// An instant in whole milliseconds, UTC: what the contract shows, and what is kept and compared, so that a value
/// read from an answer works as a filter. Written as `2024-12-11T08:54:03.000Z`.
///
/// ```
/// use convoke_domain::Timestamp;
///
/// let at: Timestamp = "2024-12-11T09:54:03.1239+01:00".parse()?;
/// assert_eq!(at.to_string(), "2024-12-11T08:54:03.123Z");
/// # Ok::<(), convoke_domain::Mistake>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The first instant that RFC 3339 can write.
    ///
    /// ```
    /// use convoke_domain::Timestamp;
    ///
    /// assert_eq!(Timestamp::MIN.to_string(), "0000-01-01T00:00:00.000Z");
    /// ```
    pub const MIN: Self = Self(-62_167_219_200_000);
    /// The last instant that RFC 3339 can write.
    ///
    /// ```
    /// use convoke_domain::Timestamp;
    ///
    /// assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999Z");
    /// ```
    pub const MAX: Self = Self(253_402_300_799_999);

    /// From milliseconds since the Unix epoch; what RFC 3339 can't write becomes its nearest neighbour that it can.
    ///
    /// ```
    /// use convoke_domain::Timestamp;
    ///
    /// assert_eq!(Timestamp::from_millis(1_733_907_243_000).to_string(), "2024-12-11T08:54:03.000Z");
    /// assert_eq!(Timestamp::from_millis(i64::MAX), Timestamp::MAX);
    /// ```
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        if millis < Self::MIN.0 {
            Self::MIN
        } else if millis > Self::MAX.0 {
            Self::MAX
        } else {
            Self(millis)
        }
    }

    /// Milliseconds since the Unix epoch.
    ///
    /// ```
    /// use convoke_domain::Timestamp;
    ///
    /// assert_eq!("1970-01-01T00:00:01Z".parse::<Timestamp>()?.as_millis(), 1000);
    /// # Ok::<(), convoke_domain::Mistake>(())
    /// ```
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This instant, later by a duration (earlier never: durations are not negative).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use convoke_domain::Timestamp;
    ///
    /// assert_eq!(Timestamp::from_millis(1000).plus(Duration::from_secs(2)).as_millis(), 3000);
    /// ```
    #[must_use]
    pub fn plus(self, duration: std::time::Duration) -> Self {
        Self::from_millis(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This instant, earlier by a duration.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use convoke_domain::Timestamp;
    ///
    /// assert_eq!(Timestamp::from_millis(1000).minus(Duration::from_secs(2)).as_millis(), -1000);
    /// ```
    #[must_use]
    pub fn minus(self, duration: std::time::Duration) -> Self {
        Self::from_millis(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this is; nothing if it is not after it.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use convoke_domain::Timestamp;
    ///
    /// let (earlier, later) = (Timestamp::from_millis(1000), Timestamp::from_millis(3000));
    /// assert_eq!(later.since(earlier), Duration::from_secs(2));
    /// assert_eq!(earlier.since(later), Duration::ZERO);
    /// ```
    #[must_use]
    pub fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_millis(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }

    /// The lower bound that `text` means: an instant as it is, a date as its first instant.
    ///
    /// # Errors
    /// `invalidFormat` if it is neither a date-time nor a date.
    ///
    /// ```
    /// use convoke_domain::Timestamp;
    ///
    /// assert_eq!(Timestamp::parse_from_bound("2024-12-11")?.to_string(), "2024-12-11T00:00:00.000Z");
    /// # Ok::<(), convoke_domain::Mistake>(())
    /// ```
    pub fn parse_from_bound(text: &str) -> Result<Self, Mistake> {
        parse_date(text).map_or_else(|| text.parse(), |date| Ok(date.and_time(NaiveTime::MIN).and_utc().into()))
    }

    /// The upper bound that `text` means: an instant as it is, a date as its last millisecond.
    ///
    /// # Errors
    /// `invalidFormat` if it is neither a date-time nor a date.
    ///
    /// ```
    /// use convoke_domain::Timestamp;
    ///
    /// assert_eq!(Timestamp::parse_to_bound("2024-12-11")?.to_string(), "2024-12-11T23:59:59.999Z");
    /// # Ok::<(), convoke_domain::Mistake>(())
    /// ```
    pub fn parse_to_bound(text: &str) -> Result<Self, Mistake> {
        const DAY: TimeDelta = TimeDelta::milliseconds(86_400_000 - 1);
        parse_date(text).map_or_else(|| text.parse(), |date| Ok((date.and_time(NaiveTime::MIN).and_utc() + DAY).into()))
    }
}

fn invalid() -> Mistake {
    Mistake::new(
        MistakeCode::InvalidFormat,
        "must be an RFC 3339 date-time like 2024-12-11T08:54:03.000Z (a '+' in a query is written %2B), or a date like 2024-12-11",
    )
}

/// Whether `text` has the shape of `pattern`, where `0` stands for a digit and everything else for itself.
fn has_shape(text: &[u8], pattern: &[u8]) -> bool {
    text.len() == pattern.len()
        && text.iter().zip(pattern).all(|(b, p)| if *p == b'0' { b.is_ascii_digit() } else { b == p })
}

fn parse_date(text: &str) -> Option<NaiveDate> {
    has_shape(text.as_bytes(), b"0000-00-00").then(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok())?
}

impl FromStr for Timestamp {
    type Err = Mistake;

    /// Reads an RFC 3339 date-time; without a zone it is UTC, and what is finer than a millisecond is cut.
    fn from_str(text: &str) -> Result<Self, Mistake> {
        // chrono is more generous than RFC 3339 (blanks, signs, short years), so the shape is looked at first.
        let shaped = text.len() >= 19
            && text.is_ascii()
            && has_shape(&text.as_bytes()[..10], b"0000-00-00")
            && matches!(text.as_bytes()[10], b'T' | b't')
            && has_shape(&text.as_bytes()[11..19], b"00:00:00");
        if !shaped {
            return Err(invalid());
        }
        let rest = &text[19..];
        let zone = rest.strip_prefix('.').map_or(Some(rest), |fraction| {
            let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
            (digits > 0).then(|| &fraction[digits..])
        });
        let parsed = match zone {
            Some("") => {
                NaiveDateTime::parse_from_str(&text.replace('t', "T"), "%Y-%m-%dT%H:%M:%S%.f").map(|t| t.and_utc())
            }
            Some(z)
                if matches!(z, "Z" | "z")
                    || has_shape(z.as_bytes(), b"+00:00")
                    || has_shape(z.as_bytes(), b"-00:00") =>
            {
                DateTime::parse_from_rfc3339(&text.to_ascii_uppercase()).map(|t| t.to_utc())
            }
            _ => return Err(invalid()),
        };
        parsed.map(Self::from).map_err(|_| invalid())
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(instant: DateTime<Utc>) -> Self {
        Self::from_millis(instant.timestamp_millis())
    }
}

impl From<Timestamp> for DateTime<Utc> {
    fn from(timestamp: Timestamp) -> Self {
        DateTime::from_timestamp_millis(timestamp.0).expect("a timestamp lies within what RFC 3339 can write")
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&DateTime::from(*self).to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "openapi")]
mod openapi {
    use utoipa::openapi::{KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat, schema::Type};

    impl utoipa::PartialSchema for super::Timestamp {
        fn schema() -> RefOr<Schema> {
            ObjectBuilder::new()
                .schema_type(Type::String)
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
                .description(Some("An instant: RFC 3339, UTC, in milliseconds."))
                .examples(["2024-12-11T08:54:03.000Z"])
                .into()
        }
    }

    impl utoipa::ToSchema for super::Timestamp {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        text.parse::<Timestamp>().unwrap().to_string()
    }

    #[test]
    fn is_written_in_milliseconds_utc() {
        assert_eq!(shown("2024-12-11T08:54:03"), "2024-12-11T08:54:03.000Z");
        assert_eq!(shown("2024-12-11t08:54:03z"), "2024-12-11T08:54:03.000Z");
        assert_eq!(shown("2024-12-11T08:54:03.0019999Z"), "2024-12-11T08:54:03.001Z");
        assert_eq!(shown("2024-12-11T08:54:03.5+02:00"), "2024-12-11T06:54:03.500Z");
        assert_eq!(shown("1969-12-31T23:59:59.9999Z"), "1969-12-31T23:59:59.999Z");
        assert_eq!(shown("0000-01-01T00:00:00+01:00"), "0000-01-01T00:00:00.000Z");
    }

    #[test]
    fn a_date_is_its_first_or_last_instant() {
        assert_eq!(Timestamp::parse_from_bound("2024-02-29").unwrap().to_string(), "2024-02-29T00:00:00.000Z");
        assert_eq!(Timestamp::parse_to_bound("2024-02-29").unwrap().to_string(), "2024-02-29T23:59:59.999Z");
        assert_eq!(Timestamp::parse_to_bound("9999-12-31").unwrap(), Timestamp::MAX);
        assert_eq!(Timestamp::parse_to_bound("2024-02-29T01:00:00Z").unwrap().to_string(), "2024-02-29T01:00:00.000Z");
    }

    #[test]
    fn anything_else_is_a_mistake() {
        for wrong in [
            "",
            "2024-12-11T08:54:03 02:00",
            "2024-12-11 08:54:03Z",
            "2024-13-01",
            "2024-02-30",
            "24-12-11",
            "2024-12-11T08:54Z",
            "2024-12-11T25:00:00Z",
            "2024-12-11T08:54:03.Z",
            "2024-12-11T08:54:03+0200",
            "+2024-12-11",
            "2024-12-11T08:54:03ZZ",
            "now",
            "1733907243",
        ] {
            assert_eq!(Timestamp::parse_from_bound(wrong).unwrap_err().code, MistakeCode::InvalidFormat, "{wrong}");
        }
    }
}
