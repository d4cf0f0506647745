//! How the connector works.

use std::time::Duration;

use secrecy::SecretString;

/// How the connector works. The defaults are those of `telegram.md`.
#[derive(Debug, Clone)]
pub struct TelegramSettings {
    /// The application's id, from my.telegram.org.
    pub api_id: i32,
    /// ... and its hash.
    pub api_hash: SecretString,
    /// A session that the configuration gives: an account of the name [`Self::CONFIGURED_ACCOUNT`] that is not kept.
    pub session: Option<SecretString>,
    /// Under which name this process holds accounts.
    pub owner: String,
    /// How long an account is leased; it is extended three times in that time.
    pub lease: Duration,
    /// How many groups an account makes in 24 hours at most.
    pub creation_budget: u32,
    /// How many groups an account may have before it makes no more.
    pub capacity: u32,
    /// How long after an unknown outcome a group may still turn up.
    pub settle_time: Duration,
    /// How long one call may take.
    pub call_timeout: Duration,
    /// How long a group that can't be found any more is looked for again before it counts as gone.
    pub missing_time: Duration,
    /// How often the admin log of a young group is read.
    pub young_log_interval: Duration,
    /// How often the admin log of a quiet group is read at least.
    pub log_interval: Duration,
    /// How often the list of members is compared with the record.
    pub members_interval: Duration,
    /// How often it is looked for accounts to hold.
    pub accounts_interval: Duration,
}

impl TelegramSettings {
    /// The name of the account that the configuration gives.
    pub const CONFIGURED_ACCOUNT: &'static str = "configured";

    /// The defaults, for this application.
    #[must_use]
    pub fn new(api_id: i32, api_hash: SecretString, owner: String) -> Self {
        Self {
            api_id,
            api_hash,
            session: None,
            owner,
            lease: Duration::from_secs(30),
            creation_budget: 20,
            capacity: 500,
            settle_time: Duration::from_mins(1),
            call_timeout: Duration::from_secs(15),
            missing_time: Duration::from_mins(1),
            young_log_interval: Duration::from_mins(1),
            log_interval: Duration::from_hours(6),
            members_interval: Duration::from_hours(24),
            accounts_interval: Duration::from_secs(2),
        }
    }
}
