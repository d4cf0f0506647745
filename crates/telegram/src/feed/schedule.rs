//! When each group's admin log and list of members are to be read.
//!
//! Service messages are not told of every group, nor from its first minutes on; the log goes back 48 hours. So a young
//! group's log is read every minute, and later after a quarter of the time for which nothing happened: often while much
//! happens, rarely, but well within the 48 hours, in a group that sleeps.

use std::time::Duration;

use convoke_domain::Timestamp;

use crate::{group_state::GroupState, settings::TelegramSettings};

/// How long a group is young: for about ten minutes Telegram tells no service messages of a new one.
const YOUNG: Duration = Duration::from_mins(15);

/// How long after a service message the log is read, which several messages share, and by when it should have it.
const AFTER_MESSAGE: Duration = Duration::from_secs(1);

/// How long after a reading that failed the next one is tried at first.
const AGAIN: Duration = Duration::from_secs(30);

/// How often is often enough.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Between readings of a young group's log, and the shortest time between readings of any.
    pub young_log: Duration,
    /// The longest time between readings of a log.
    pub log: Duration,
    /// Between readings of a list of members.
    pub members: Duration,
    /// Between the two looks after which a group counts as gone.
    pub missing: Duration,
}

impl From<&TelegramSettings> for Pace {
    fn from(settings: &TelegramSettings) -> Self {
        Self {
            young_log: settings.young_log_interval,
            log: settings.log_interval.max(settings.young_log_interval),
            members: settings.members_interval,
            missing: settings.missing_time,
        }
    }
}

/// What is to be read of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reading {
    /// Whether it is there at all, for the second time.
    Presence,
    /// Its admin log.
    Log,
    /// Its list of members.
    Members,
}

/// When a group is to be read next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    log_at: Timestamp,
    /// Before this the log is not read, whatever happens.
    log_not_before: Timestamp,
    members_at: Timestamp,
    presence_at: Option<Timestamp>,
    /// When the newest thing that is known of happened.
    last_news: Timestamp,
    failures: u32,
}

impl Schedule {
    /// Of a group that begins to be watched: its log is read at once.
    pub fn new(state: &GroupState, now: Timestamp, pace: &Pace) -> Self {
        Self {
            log_at: now,
            log_not_before: now,
            members_at: state.members_read_at.unwrap_or(state.made_at).plus(pace.members),
            presence_at: state.missing_since.map(|since| since.plus(pace.missing)),
            last_news: state.made_at,
            failures: 0,
        }
    }

    /// What is to be read next, and from when on. A group that may be gone is not read.
    pub fn next(&self) -> (Timestamp, Reading) {
        match self.presence_at {
            Some(at) => (at, Reading::Presence),
            None if self.log_at <= self.members_at => (self.log_at, Reading::Log),
            None => (self.members_at, Reading::Members),
        }
    }

    /// Something happened that the stream told, and that the log tells too.
    pub fn told(&mut self, now: Timestamp, pace: &Pace) {
        self.last_news = self.last_news.max(now);
        self.read_log_at(now.plus(AFTER_MESSAGE.min(pace.young_log)));
    }

    /// Updates may have been lost: the log is read at once.
    pub fn doubted(&mut self, now: Timestamp) {
        self.read_log_at(now);
    }

    /// Reads the log then, unless it is read before.
    fn read_log_at(&mut self, at: Timestamp) {
        self.log_at = self.log_at.min(at.max(self.log_not_before));
    }

    /// The log was read; the newest of what it had to tell is from then.
    pub fn log_read(&mut self, made_at: Timestamp, newest: Option<Timestamp>, now: Timestamp, pace: &Pace) {
        self.failures = 0;
        self.last_news = self.last_news.max(newest.unwrap_or(self.last_news));
        let wait = if now.since(made_at) < YOUNG { pace.young_log } else { now.since(self.last_news) / 4 };
        self.log_at = now.plus(wait.clamp(pace.young_log, pace.log));
    }

    /// The list of members was compared.
    pub fn members_read(&mut self, now: Timestamp, pace: &Pace) {
        self.failures = 0;
        self.members_at = now.plus(pace.members);
    }

    /// A reading failed, and is tried again: each time later, and as late as a log may be read.
    pub fn failed(&mut self, reading: Reading, now: Timestamp, pace: &Pace) {
        let wait = AGAIN.min(pace.young_log).saturating_mul(1 << self.failures.min(16)).min(pace.log);
        self.failures = self.failures.saturating_add(1);
        let again = now.plus(wait);
        match reading {
            Reading::Presence => self.presence_at = Some(again),
            Reading::Log => self.log_at = again,
            Reading::Members => self.members_at = again,
        }
    }

    /// A reading that Telegram refuses is not tried again soon, whatever happens.
    pub fn refused(&mut self, reading: Reading, now: Timestamp, pace: &Pace) {
        self.failures = u32::MAX;
        self.failed(reading, now, pace);
        if reading == Reading::Log {
            self.log_not_before = self.log_at;
        }
    }

    /// The group could not be found: a second look decides.
    pub fn missing(&mut self, since: Timestamp, pace: &Pace) {
        self.presence_at = Some(since.plus(pace.missing));
    }

    /// It is there after all.
    pub fn found(&mut self) {
        self.presence_at = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MADE: Timestamp = Timestamp::from_millis(1_733_907_243_000);
    const PACE: Pace = Pace {
        young_log: Duration::from_mins(1),
        log: Duration::from_hours(6),
        members: Duration::from_hours(24),
        missing: Duration::from_mins(1),
    };

    fn schedule(now: Timestamp) -> Schedule {
        let state = GroupState { members_read_at: Some(now), ..GroupState::new(5, MADE) };
        Schedule::new(&state, now, &PACE)
    }

    fn after(time: Duration) -> Timestamp {
        MADE.plus(time)
    }

    /// When the log is read, from `begin` to `end`, if nothing happens.
    fn readings(mut schedule: Schedule, end: Timestamp) -> Vec<Timestamp> {
        let mut readings = Vec::new();
        while schedule.log_at <= end {
            let at = schedule.log_at;
            readings.push(at);
            schedule.log_read(MADE, None, at, &PACE);
        }
        readings
    }

    #[test]
    fn a_young_group_is_read_every_minute() {
        let expected: Vec<Timestamp> = (0..=15).map(|minute| after(Duration::from_mins(minute))).collect();
        assert_eq!(readings(schedule(MADE), after(Duration::from_mins(15))), expected);
    }

    #[test]
    fn a_quiet_group_is_read_more_and_more_rarely_but_well_within_what_the_log_keeps() {
        let readings = readings(schedule(MADE), after(Duration::from_hours(24 * 7)));
        let gaps: Vec<Duration> = readings.windows(2).map(|pair| pair[1].since(pair[0])).collect();
        assert!(gaps.windows(2).all(|pair| pair[0] <= pair[1]), "{gaps:?}");
        assert_eq!(gaps.last(), Some(&Duration::from_hours(6)));
        assert!(readings.len() < 80, "{} readings in a week", readings.len());
    }

    #[test]
    fn a_start_reads_at_once_whatever_there_was_before() {
        let now = after(Duration::from_hours(1000));
        assert_eq!(schedule(now).log_at, now);
        let mut schedule = schedule(now);
        schedule.log_read(MADE, None, now, &PACE);
        assert_eq!(schedule.log_at, now.plus(PACE.log), "a group that slept for weeks sleeps on");
    }

    #[test]
    fn what_the_log_tells_has_it_read_more_often() {
        let now = after(Duration::from_hours(1000));
        let mut schedule = schedule(now);
        schedule.log_read(MADE, Some(now.minus(Duration::from_mins(20))), now, &PACE);
        assert_eq!(schedule.log_at, now.plus(Duration::from_mins(5)));
        schedule.log_read(MADE, Some(now), now, &PACE);
        assert_eq!(schedule.log_at, now.plus(PACE.young_log), "but not all the time");
    }

    #[test]
    fn a_service_message_has_the_log_read_soon_and_many_share_a_reading() {
        let now = after(Duration::from_hours(1000));
        let mut schedule = schedule(now);
        schedule.log_read(MADE, None, now, &PACE);
        schedule.told(now.plus(Duration::from_secs(10)), &PACE);
        let due = now.plus(Duration::from_secs(11));
        assert_eq!(schedule.next(), (due, Reading::Log));
        schedule.told(now.plus(Duration::from_millis(10_500)), &PACE);
        assert_eq!(schedule.next(), (due, Reading::Log));
    }

    #[test]
    fn lost_updates_have_the_log_read_at_once() {
        let now = after(Duration::from_hours(1000));
        let mut schedule = schedule(now);
        schedule.log_read(MADE, None, now, &PACE);
        schedule.doubted(now.plus(Duration::from_secs(3)));
        assert_eq!(schedule.next(), (now.plus(Duration::from_secs(3)), Reading::Log));
    }

    #[test]
    fn members_are_compared_once_in_their_time() {
        let mut schedule = schedule(MADE);
        schedule.log_at = after(Duration::from_hours(24 * 30));
        assert_eq!(schedule.next(), (after(PACE.members), Reading::Members));
        schedule.members_read(after(Duration::from_hours(25)), &PACE);
        assert_eq!(schedule.next(), (after(Duration::from_hours(49)), Reading::Members));
        let read = GroupState { members_read_at: Some(after(Duration::from_hours(5))), ..GroupState::new(5, MADE) };
        let schedule = Schedule::new(&read, after(Duration::from_hours(6)), &PACE);
        assert_eq!(schedule.members_at, after(Duration::from_hours(29)), "a restart does not begin it anew");
    }

    #[test]
    fn failures_put_off_more_and_more_and_never_for_longer_than_a_log_may_wait() {
        let now = after(Duration::from_hours(1000));
        let mut schedule = schedule(now);
        let mut waits = Vec::new();
        for _ in 0..40 {
            schedule.failed(Reading::Log, now, &PACE);
            waits.push(schedule.log_at.since(now));
        }
        assert_eq!(waits[..3], [AGAIN, AGAIN * 2, AGAIN * 4]);
        assert_eq!(waits[39], PACE.log);
        schedule.log_read(MADE, None, now, &PACE);
        schedule.failed(Reading::Log, now, &PACE);
        assert_eq!(schedule.log_at.since(now), AGAIN, "it went well in between");
        schedule.refused(Reading::Log, now, &PACE);
        schedule.told(now, &PACE);
        schedule.doubted(now);
        assert_eq!(schedule.log_at.since(now), PACE.log, "whatever happens");
    }

    #[test]
    fn a_group_that_may_be_gone_is_looked_for_again_and_not_read_meanwhile() {
        let now = after(Duration::from_hours(1000));
        let mut schedule = schedule(now);
        schedule.missing(now, &PACE);
        assert_eq!(schedule.next(), (now.plus(PACE.missing), Reading::Presence));
        schedule.found();
        assert_eq!(schedule.next(), (now, Reading::Log));
        let gone = GroupState { missing_since: Some(now), ..GroupState::new(5, MADE) };
        let schedule = Schedule::new(&gone, now, &PACE);
        assert_eq!(schedule.next(), (now.plus(PACE.missing), Reading::Presence), "after a restart too");
    }
}
