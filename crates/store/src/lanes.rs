//! Lanes: whose turn it is in them, and to which of them an operation belongs that no account can drive.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use crate::{Claim, ClaimedOperation};

/// The tenants that were served last, so that the next claim begins behind them.
#[derive(Debug, Clone, Default)]
pub struct LastServed {
    /// In lanes that are claimed together.
    pub together: String,
    /// In lanes of which one operation is claimed at a time.
    alone: HashMap<String, String>,
}

impl LastServed {
    /// The one in this lane, of which one operation is claimed at a time.
    pub fn in_lane(&self, lane: &str) -> &str {
        self.alone.get(lane).map_or("", String::as_str)
    }
}

/// Whose turn it is, as far as this process has served.
#[derive(Debug, Default)]
pub struct Turns(Mutex<LastServed>);

impl Turns {
    /// Who was served last.
    pub fn last_served(&self) -> LastServed {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says what was claimed, in this order.
    pub fn served(&self, claim: &Claim, claimed: &[ClaimedOperation]) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for operation in claimed {
            let tenant = operation.lease.tenant.as_str().to_owned();
            if claim.lanes.iter().any(|lane| lane.one_at_a_time && lane.name == operation.lane) {
                last.alone.insert(operation.lane.clone(), tenant);
            } else {
                last.together = tenant;
            }
        }
    }
}

/// The lane of the service whose account this lane is of.
pub fn services_own(lane: &str) -> &str {
    lane.split_once(':').map_or(lane, |(service, _)| service)
}
