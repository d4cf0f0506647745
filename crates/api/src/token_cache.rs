//! What was found out about tokens a moment ago, so that not every request asks the store or verifies a signature.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::auth::Caller;

/// What was found out about a token.
#[derive(Debug, Clone)]
pub(crate) enum Verdict {
    /// It is kept and was not revoked; whether it has ended is looked at every time.
    Good(Arc<Caller>),
    /// There is none such, or it was revoked.
    Bad,
}

impl Verdict {
    /// Who holds it.
    pub fn caller(self) -> Option<Arc<Caller>> {
        match self {
            Self::Good(caller) => Some(caller),
            Self::Bad => None,
        }
    }
}

/// What was found out about tokens within the last few seconds, misses included. Keys are hashes: the cache holds no
/// secret.
#[derive(Debug, Default)]
pub(crate) struct TokenCache(Mutex<HashMap<[u8; 32], Cached>>);

#[derive(Debug)]
struct Cached {
    since: Instant,
    verdict: Verdict,
}

impl TokenCache {
    /// How long what was found out is believed: a revocation is felt within that.
    const LIFETIME: Duration = Duration::from_secs(3);
    /// How many are kept, so that a client that tries many can't fill the memory.
    const CAPACITY: usize = 10_000;

    /// What was found out, if that is recent enough.
    pub fn get(&self, hash: &[u8; 32], now: Instant) -> Option<Verdict> {
        let cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cached = cache.get(hash)?;
        (now.duration_since(cached.since) < Self::LIFETIME).then(|| cached.verdict.clone())
    }

    /// Keeps what was found out about a token that was looked up at `since`.
    pub fn put(&self, hash: [u8; 32], verdict: Verdict, since: Instant) {
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= Self::CAPACITY {
            cache.retain(|_, cached| since.duration_since(cached.since) < Self::LIFETIME);
        }
        if cache.len() >= Self::CAPACITY {
            // Whoever tries that many makes misses: let those go, the verified ones stay.
            cache.retain(|_, cached| matches!(cached.verdict, Verdict::Good(_)));
        }
        if cache.len() < Self::CAPACITY {
            cache.insert(hash, Cached { since, verdict });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Proof;

    fn caller() -> Arc<Caller> {
        Arc::new(Caller {
            tenant: "acme".parse().unwrap(),
            subject: "ann".to_owned(),
            proof: Proof::Token("abc".to_owned()),
            limit: None,
            scopes: vec![],
            expires_at: None,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_found_out_is_forgotten_after_three_seconds() {
        let cache = TokenCache::default();
        cache.put([1; 32], Verdict::Good(caller()), Instant::now());
        cache.put([2; 32], Verdict::Bad, Instant::now());
        tokio::time::advance(Duration::from_millis(2_999)).await;
        assert!(matches!(cache.get(&[1; 32], Instant::now()), Some(Verdict::Good(_))));
        assert!(matches!(cache.get(&[2; 32], Instant::now()), Some(Verdict::Bad)));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(cache.get(&[1; 32], Instant::now()).is_none());
        assert!(cache.get(&[2; 32], Instant::now()).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_misses_does_not_drive_out_who_is_known() {
        let cache = TokenCache::default();
        cache.put([255; 32], Verdict::Good(caller()), Instant::now());
        for number in 0..3 * u64::try_from(TokenCache::CAPACITY).unwrap() {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&number.to_le_bytes());
            cache.put(hash, Verdict::Bad, Instant::now());
        }
        assert!(cache.0.lock().unwrap().len() <= TokenCache::CAPACITY);
        assert!(matches!(cache.get(&[255; 32], Instant::now()), Some(Verdict::Good(_))));
    }
}
