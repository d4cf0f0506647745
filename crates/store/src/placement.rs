//! Which account makes a chat's group: decided here, from what either database has read.

use std::{collections::BTreeSet, time::Duration};

use convoke_domain::{TenantId, Timestamp};
use convoke_provider::{AccountCondition, AccountId, AccountState, NewPlacement, Placement};

/// For how long a placement counts in its account's budget.
pub const WINDOW: Duration = Duration::from_hours(24);

/// When a tenant asks again that leaves what there is to others.
const ASK_AGAIN: Duration = Duration::from_mins(1);

/// Since when a placement counts in its account's budget. One whose group is not made yet goes on counting, however long ago
/// it was: the group may be made at any time.
pub fn counts_since(placed_at: Timestamp, now: Timestamp) -> Timestamp {
    if placed_at.plus(WINDOW) > now { placed_at } else { now.minus(WINDOW).plus(ASK_AGAIN) }
}

/// An account, as far as the choice goes.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its id.
    pub id: AccountId,
    /// Its name, by which ties are broken.
    pub name: String,
    /// Whose groups it makes; empty: everybody's.
    pub tenants: Vec<TenantId>,
    /// How it is.
    pub state: AccountState,
    /// How many other chats that are neither closed nor failed are placed on it.
    pub groups: u32,
    /// For whom it was chosen, other chats alone, and since when that counts: groups that were made in the last 24 hours, and
    /// those that are to be made.
    pub placements: Vec<(TenantId, Timestamp)>,
}

impl Candidate {
    fn serves(&self, tenant: &TenantId) -> bool {
        self.tenants.is_empty() || self.tenants.contains(tenant)
    }

    fn has_room(&self, capacity: u32) -> bool {
        self.state.condition == AccountCondition::Usable && self.groups < capacity
    }

    fn takes_calls(&self, now: Timestamp) -> bool {
        self.state.cooldown_until.is_none_or(|until| until <= now)
    }

    /// How often it was chosen in the last 24 hours.
    fn used(&self, now: Timestamp) -> usize {
        self.placements.iter().filter(|(_, at)| at.plus(WINDOW) > now).count()
    }

    /// How many more groups it may be chosen for at this instant.
    fn left(&self, asked: &NewPlacement) -> usize {
        if !self.has_room(asked.capacity) || !self.takes_calls(asked.now) {
            return 0;
        }
        let of_budget = (asked.budget as usize).saturating_sub(self.used(asked.now));
        of_budget.min((asked.capacity - self.groups) as usize)
    }

    /// When placements leave its budget, in order.
    fn returns(&self, now: Timestamp) -> Vec<Timestamp> {
        let mut returns: Vec<Timestamp> =
            self.placements.iter().map(|(_, at)| at.plus(WINDOW)).filter(|returns_at| *returns_at > now).collect();
        returns.sort_unstable();
        returns
    }

    /// When it may be chosen again, if it has room but can't be chosen now.
    fn opens_at(&self, asked: &NewPlacement) -> Timestamp {
        let returns = self.returns(asked.now);
        let in_budget = match returns.len().checked_sub(asked.budget as usize) {
            Some(beyond) => returns.get(beyond).copied().unwrap_or(Timestamp::MAX),
            None => asked.now,
        };
        in_budget.max(self.state.cooldown_until.unwrap_or(asked.now))
    }
}

/// Chooses. `chosen` is the account that was chosen for this chat before; `waiting` are the tenants whose
/// chats wait for an account.
pub fn choose(
    asked: &NewPlacement,
    accounts: &[Candidate],
    chosen: Option<AccountId>,
    waiting: &BTreeSet<TenantId>,
) -> Placement {
    let capable: Vec<&Candidate> =
        accounts.iter().filter(|account| account.serves(&asked.tenant) && account.has_room(asked.capacity)).collect();
    if let Some(account) = capable.iter().find(|account| Some(account.id) == chosen && account.takes_calls(asked.now)) {
        return Placement::On(account.id);
    }
    if capable.is_empty() || asked.budget == 0 {
        return Placement::Nowhere(why_none(asked, accounts).to_owned());
    }
    let mut open: Vec<&Candidate> = capable.iter().copied().filter(|account| account.left(asked) > 0).collect();
    if open.is_empty() {
        let opens_at = capable.iter().map(|account| account.opens_at(asked)).min();
        return Placement::NotBefore(opens_at.unwrap_or(asked.now));
    }
    open.sort_by_key(|account| (account.groups, account.used(asked.now), &account.name));
    let fair = Sharing::new(asked, accounts, waiting);
    match open.iter().find(|account| fair.may_take_from(account.id)) {
        Some(account) => Placement::On(account.id),
        None => Placement::NotBefore(ask_again_at(asked, &capable)),
    }
}

/// When there may be more for everybody, or a minute later, when others may have had theirs.
fn ask_again_at(asked: &NewPlacement, capable: &[&Candidate]) -> Timestamp {
    let more_at = capable.iter().filter_map(|account| match account.left(asked) {
        0 => Some(account.opens_at(asked)),
        _ => account.returns(asked.now).first().copied(),
    });
    more_at.chain([asked.now.plus(ASK_AGAIN)]).min().unwrap_or(asked.now)
}

fn why_none(asked: &NewPlacement, accounts: &[Candidate]) -> &'static str {
    let serving: Vec<&Candidate> = accounts.iter().filter(|account| account.serves(&asked.tenant)).collect();
    let is_unusable = |account: &&Candidate| matches!(account.state.condition, AccountCondition::Unusable(_));
    if accounts.is_empty() {
        "there is no account"
    } else if serving.is_empty() {
        "no account makes groups of this tenant"
    } else if serving.iter().all(is_unusable) {
        "no account can be used"
    } else if serving.iter().any(is_unusable) {
        "every account that can be used is full"
    } else if serving.iter().any(|account| account.has_room(asked.capacity)) {
        "the budget of new groups is nothing"
    } else {
        "every account is full"
    }
}

/// What is left now, and who waits for one of it having had less than the tenant that asks.
struct Sharing<'a> {
    left: Vec<(&'a Candidate, usize)>,
    needier: Vec<&'a TenantId>,
}

impl<'a> Sharing<'a> {
    fn new(asked: &NewPlacement, accounts: &'a [Candidate], waiting: &'a BTreeSet<TenantId>) -> Self {
        let had = |tenant: &TenantId| {
            let placements = accounts.iter().flat_map(|account| &account.placements);
            placements.filter(|(of, at)| of == tenant && at.plus(WINDOW) > asked.now).count()
        };
        let own = had(&asked.tenant);
        Self {
            left: accounts.iter().map(|account| (account, account.left(asked))).collect(),
            needier: waiting.iter().filter(|other| **other != asked.tenant && had(other) < own).collect(),
        }
    }

    /// Whether as many of those who had less can be given one after this account was taken from as before.
    fn may_take_from(&self, id: AccountId) -> bool {
        let mut after = self.left.clone();
        for (account, left) in &mut after {
            *left -= usize::from(account.id == id);
        }
        self.number_served(&after) == self.number_served(&self.left)
    }

    /// To how many of those who had less one can be given of what is left, by accounts that serve them.
    fn number_served(&self, left: &[(&Candidate, usize)]) -> usize {
        let mut given: Vec<Vec<&TenantId>> = vec![Vec::new(); left.len()];
        self.needier.iter().filter(|tenant| give(tenant, left, &mut given, &mut vec![false; left.len()])).count()
    }
}

/// Gives one to the tenant, if need be by giving others one of another account instead (an augmenting path).
fn give<'a>(
    tenant: &'a TenantId,
    left: &[(&Candidate, usize)],
    given: &mut [Vec<&'a TenantId>],
    asked: &mut [bool],
) -> bool {
    for (place, (account, left_of_it)) in left.iter().enumerate() {
        if asked[place] || !account.serves(tenant) {
            continue;
        }
        asked[place] = true;
        if given[place].len() < *left_of_it {
            given[place].push(tenant);
            return true;
        }
        for number in 0..given[place].len() {
            let other = given[place][number];
            if give(other, left, given, asked) {
                given[place][number] = tenant;
                return true;
            }
        }
    }
    false
}

#[cfg(test)]
mod tests;
