//! Which names people were last told under, so that only news is told.

use std::collections::HashMap;

use convoke_domain::{EventSource, UserProperties};
use convoke_provider::{ProviderEvent, ProviderEventKind};

use super::people::People;

/// How many names are remembered. What is forgotten is told again at the next reading of a list.
const LIMIT: usize = 100_000;

/// What was told of people's names since the process was started.
#[derive(Debug, Default)]
pub struct Names {
    told: HashMap<(i64, i64), UserProperties>,
}

/// How what is seen stands to what was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// Nothing was told yet, as far as this process remembers.
    First,
    /// The same was told.
    Same,
    /// Something else was told.
    Changed,
}

impl Names {
    /// Remembers that somebody was told under these names in the group of this channel.
    pub fn see(&mut self, channel: i64, person: i64, names: &UserProperties) -> Sight {
        if self.told.len() >= LIMIT {
            self.told.clear();
        }
        let Some(known) = self.told.get_mut(&(channel, person)) else {
            self.told.insert((channel, person), names.clone());
            return Sight::First;
        };
        if known.learn(names) { Sight::Changed } else { Sight::Same }
    }

    /// Remembers the names under which events told of people who came in. The log is read later than the stream tells,
    /// but at one instant the record believes the stream's names: what the log says is remembered of others only.
    pub fn heed(&mut self, channel: i64, told: &[ProviderEvent], people: &People) {
        for event in told {
            if let ProviderEventKind::Joined { person, .. } = &event.kind
                && let Ok(id) = person.external_id.parse()
                && let Some(names) = people.names(id)
                && (event.source == EventSource::Stream || !self.told.contains_key(&(channel, id)))
            {
                self.see(channel, id, names);
            }
        }
    }

    /// Those of the people who were told under other names in this group, in the order of their ids.
    pub fn changed(&mut self, channel: i64, people: &People) -> Vec<i64> {
        let known = people.whole().filter(|(person, _)| self.told.contains_key(&(channel, *person)));
        let known: Vec<_> = known.collect();
        let mut changed: Vec<i64> = known
            .into_iter()
            .filter(|(person, names)| self.see(channel, *person, names) == Sight::Changed)
            .map(|(person, _)| person)
            .collect();
        changed.sort_unstable();
        changed
    }

    /// Forgets a group.
    pub fn forget(&mut self, channel: i64) {
        self.told.retain(|(of, _), _| *of != channel);
    }
}

#[cfg(test)]
mod tests {
    use convoke_domain::Timestamp;

    use super::*;
    use crate::feed::{
        events::event,
        samples::{GROUP, named, user},
    };

    fn people(name: &str) -> People {
        People::new(&[named(7, name), named(8, "Ben")])
    }

    #[test]
    fn a_change_is_news_once() {
        let mut names = Names::default();
        let see = |names: &mut Names, name| names.see(1, 7, &people(name).person(7).properties);
        assert_eq!(see(&mut names, "Ada"), Sight::First);
        assert_eq!(see(&mut names, "Ada"), Sight::Same);
        assert_eq!(see(&mut names, "Adele"), Sight::Changed);
        assert_eq!(see(&mut names, "Adele"), Sight::Same);
        assert_eq!(names.see(1, 7, &UserProperties::default()), Sight::Same, "what is left empty says nothing");
        assert_eq!(names.see(2, 7, &people("Ada").person(7).properties), Sight::First, "another group");
        names.forget(1);
        assert_eq!(see(&mut names, "Ada"), Sight::First);
        assert_eq!(names.see(2, 7, &people("Ada").person(7).properties), Sight::Same);
    }

    #[test]
    fn the_stream_is_believed_more_than_the_log() {
        let mut names = Names::default();
        let told = |source, people: &People| {
            let kind = ProviderEventKind::Joined { person: people.person(7), invited_by: None };
            vec![event(GROUP, "key".to_owned(), source, Timestamp::from_millis(0), kind)]
        };
        let (early, late) = (people("Ada"), people("Adele"));
        names.heed(1, &told(EventSource::Stream, &early), &early);
        names.heed(1, &told(EventSource::Log, &late), &late);
        assert_eq!(names.changed(1, &late), [7], "the record has the earlier name still");
        names.heed(2, &told(EventSource::Log, &late), &late);
        assert_eq!(names.changed(2, &late), [0; 0]);
    }

    #[test]
    fn only_those_who_were_told_before_can_have_changed() {
        let mut names = Names::default();
        assert_eq!(names.changed(1, &people("Ada")), [0; 0]);
        names.see(1, 7, &people("Ada").person(7).properties);
        assert_eq!(names.changed(1, &people("Ada")), [0; 0]);
        assert_eq!(names.changed(1, &people("Adele")), [7]);
        assert_eq!(names.changed(1, &people("Adele")), [0; 0]);
        let mut part = user(7);
        (part.min, part.first_name) = (true, Some("A.".into()));
        assert_eq!(names.changed(1, &People::new(&[part.into()])), [0; 0], "shown in part");
    }
}
