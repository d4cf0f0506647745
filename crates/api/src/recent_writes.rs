//! Who wrote a moment ago: they are to see it, wherever they read.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::auth::Caller;

/// Those who wrote within the last few seconds. Two who have the same hash are taken for one: it does no harm.
#[derive(Debug, Default)]
pub(crate) struct RecentWrites {
    writers: Mutex<HashMap<u64, Instant>>,
    hasher: RandomState,
}

impl RecentWrites {
    /// For how long they read what is as new as it gets.
    const LIFETIME: Duration = Duration::from_secs(5);
    /// From how many on those are forgotten whose time is over.
    const MANY: usize = 10_000;

    /// The caller has written.
    pub fn note(&self, caller: &Caller, now: Instant) {
        let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        if writers.len() >= Self::MANY {
            writers.retain(|_, at| now.duration_since(*at) < Self::LIFETIME);
        }
        writers.insert(self.hash(caller), now);
    }

    /// Whether the caller wrote a moment ago.
    pub fn has(&self, caller: &Caller, now: Instant) -> bool {
        let writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        writers.get(&self.hash(caller)).is_some_and(|at| now.duration_since(*at) < Self::LIFETIME)
    }

    fn hash(&self, caller: &Caller) -> u64 {
        self.hasher.hash_one((&caller.proof, &caller.tenant, &caller.subject))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Proof;

    fn caller(prefix: &str) -> Caller {
        Caller {
            tenant: "acme".parse().unwrap(),
            subject: "ann".to_owned(),
            proof: Proof::Token(prefix.to_owned()),
            scopes: Vec::new(),
            expires_at: None,
            limit: None,
        }
    }

    #[test]
    fn a_write_is_remembered_for_five_seconds_of_this_token_alone() {
        let (writes, begin) = (RecentWrites::default(), Instant::now());
        let at = |millis| begin + Duration::from_millis(millis);
        assert!(!writes.has(&caller("a"), at(0)));
        writes.note(&caller("a"), at(0));
        assert!(writes.has(&caller("a"), at(4_999)) && !writes.has(&caller("b"), at(0)));
        assert!(!writes.has(&caller("a"), at(5_000)));
        writes.note(&caller("a"), at(6_000));
        assert!(writes.has(&caller("a"), at(10_000)));
    }

    #[test]
    fn what_is_over_takes_no_room() {
        let (writes, begin) = (RecentWrites::default(), Instant::now());
        for number in 0..3 * RecentWrites::MANY {
            writes.note(&caller(&number.to_string()), begin + Duration::from_millis(number as u64));
        }
        assert!(writes.writers.lock().unwrap().len() <= RecentWrites::MANY);
    }
}
