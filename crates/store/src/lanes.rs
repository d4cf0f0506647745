//! Lanes: whose turn it is in them, and to which of them an operation belongs that no account can drive.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use convoke_provider::Lane;

use crate::{Claim, ClaimedOperation};

/// The tenants that were served last, so that the next claim begins behind them.
#[derive(Debug, Clone, Default)]
pub struct LastServed {
    /// In lanes that are claimed together.
    pub together: String,
    /// In lanes of which one operation is claimed at a time.
    alone: HashMap<String, String>,
    /// Of those lanes, the one that was served last.
    lane: String,
}

impl LastServed {
    /// Lanes of which one operation is claimed at a time, those behind the one that was served last first: where more of
    /// them have work than may be claimed, each gets its turn.
    pub fn in_turn<'a>(&self, mut lanes: Vec<&'a Lane>) -> Vec<&'a Lane> {
        lanes.sort_by(|one, other| (one.name <= self.lane, &one.name).cmp(&(other.name <= self.lane, &other.name)));
        lanes
    }

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
        let mut lanes = Vec::new();
        for operation in claimed {
            let tenant = operation.lease.tenant.as_str().to_owned();
            if let Some(lane) = claim.lanes.iter().find(|lane| lane.one_at_a_time && lane.name == operation.lane) {
                last.alone.insert(operation.lane.clone(), tenant);
                lanes.push(lane);
            } else {
                last.together = tenant;
            }
        }
        if let Some(lane) = last.in_turn(lanes).last() {
            last.lane.clone_from(&lane.name);
        }
    }
}

/// The lane of the service whose account this lane is of.
pub fn services_own(lane: &str) -> &str {
    lane.split_once(':').map_or(lane, |(service, _)| service)
}
