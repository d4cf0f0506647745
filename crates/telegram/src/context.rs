//! What all parts of the connector work with.

use std::sync::Arc;

use convoke_domain::Environment;
use convoke_provider::AccountStorage;

use crate::{SecretsKey, TelegramSettings};

/// What all parts of the connector work with.
pub(crate) struct Context {
    /// Where accounts are kept.
    pub storage: Arc<dyn AccountStorage>,
    /// The clock, and chance.
    pub environment: Arc<dyn Environment>,
    /// How it works.
    pub settings: TelegramSettings,
    /// What opens the secrets of accounts; none: only the configured session is used.
    pub secrets_key: Option<SecretsKey>,
}
