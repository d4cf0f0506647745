//! Exact totals and any page without counting: how many chats were registered in each span of time.
//!
//! A day's count is always kept; a span of more than [`SPLIT_ABOVE`] chats is split into those of the next level. A total is
//! then a sum over spans plus what is counted at the two edges, and a page is found by adding up spans until the one is
//! reached in which it begins: only inside that one rows are skipped. [`PagePlan`] does the arithmetic and asks its driver
//! for what it needs; every answer must come from one snapshot.

use convoke_domain::{ChatQuery, Direction, Timestamp};

/// A span of more chats than this is split.
pub const SPLIT_ABOVE: i64 = 5_000;

/// How many rows a page may skip without the spans being asked.
pub const PLAIN_OFFSET: u64 = 1_000;

/// How fine a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// All time.
    All = 0,
    /// A day, UTC.
    Day = 1,
    /// An hour.
    Hour = 2,
    /// A minute.
    Minute = 3,
    /// A second; it is not split.
    Second = 4,
}

impl Level {
    /// Every level, the widest first.
    pub const ALL: [Self; 5] = [Self::All, Self::Day, Self::Hour, Self::Minute, Self::Second];

    /// How long a span is, in milliseconds; of all time there is one.
    pub const fn width(self) -> i64 {
        match self {
            Self::All => i64::MAX,
            Self::Day => 86_400_000,
            Self::Hour => 3_600_000,
            Self::Minute => 60_000,
            Self::Second => 1_000,
        }
    }

    /// The level into which this one is split.
    pub const fn finer(self) -> Option<Self> {
        match self {
            Self::All => Some(Self::Day),
            Self::Day => Some(Self::Hour),
            Self::Hour => Some(Self::Minute),
            Self::Minute => Some(Self::Second),
            Self::Second => None,
        }
    }

    /// Where the span begins in which `millis` lies; 0 for all time.
    pub const fn start_of(self, millis: i64) -> i64 {
        match self {
            Self::All => 0,
            _ => millis - millis.rem_euclid(self.width()),
        }
    }
}

/// How many chats there are, by whether they are active.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Active ones.
    pub active: i64,
    /// All others.
    pub inactive: i64,
}

impl Counts {
    /// The change when a chat that was active or not (or was not there) becomes active or not.
    pub fn change(before: Option<bool>, after: bool) -> Self {
        let one = |is_active: bool| Self { active: i64::from(is_active), inactive: i64::from(!is_active) };
        let (new, old) = (one(after), before.map_or(Self::default(), one));
        Self { active: new.active - old.active, inactive: new.inactive - old.inactive }
    }

    /// Both together.
    pub const fn all(self) -> i64 {
        self.active + self.inactive
    }

    /// As many as a filter lets through.
    pub const fn matching(self, is_active: Option<bool>) -> i64 {
        match is_active {
            None => self.all(),
            Some(true) => self.active,
            Some(false) => self.inactive,
        }
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.active += other.active;
        self.inactive += other.inactive;
    }
}

/// A kept span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Where it begins, in milliseconds since the epoch.
    pub start: i64,
    /// How many chats were registered in it.
    pub counts: Counts,
    /// Whether those of the next level are kept too.
    pub is_split: bool,
}

/// A change that is not in the kept spans yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delta {
    /// When the chat was registered, in milliseconds since the epoch.
    pub registered_at: i64,
    /// What changes.
    pub counts: Counts,
}

/// What a plan needs next, or its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The kept spans of this level that begin within these bounds, both inclusive; answered by [`PagePlan::spans`].
    Spans {
        /// The level.
        level: Level,
        /// From.
        from: i64,
        /// To.
        to: i64,
    },
    /// How many chats match that were registered within these bounds, both inclusive; answered by [`PagePlan::counted`].
    Count {
        /// From.
        from: i64,
        /// To.
        to: i64,
    },
    /// Where the page is.
    Done(PagePlace),
}

/// Where a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PagePlace {
    /// How many chats match in all.
    pub total: u64,
    /// The registration from which on, in the order of the list, rows are to be read; both bounds inclusive.
    pub from: i64,
    /// The upper bound.
    pub to: i64,
    /// How many of them come before the page.
    pub skip: u64,
}

/// A stretch of time, and how many chats match in it.
#[derive(Debug, Clone, Copy)]
struct Piece {
    from: i64,
    to: i64,
    count: i64,
    finer: Option<Level>,
}

/// Finds a page in the order of registration.
#[derive(Debug)]
pub struct PagePlan {
    is_active: Option<bool>,
    direction: Direction,
    low: i64,
    high: i64,
    skip: u64,
    deltas: Vec<Delta>,
    pieces: Vec<Piece>,
    to_ask: Vec<Step>,
    total: Option<u64>,
}

impl PagePlan {
    /// A plan for `query`, if its order and filter are such that spans help. `deltas` are the changes that are not in
    /// the kept spans.
    pub fn new(query: &ChatQuery, deltas: Vec<Delta>) -> Option<Self> {
        if !query.filter.ids.is_empty() {
            return None;
        }
        let direction = query.sort.by_registration()?;
        let low = query.filter.registered_from.unwrap_or(Timestamp::MIN).as_millis();
        let high = query.filter.registered_to.unwrap_or(Timestamp::MAX).as_millis();
        let mut plan = Self {
            is_active: query.filter.is_active,
            direction,
            low,
            high,
            skip: query.offset(),
            deltas,
            pieces: Vec::new(),
            to_ask: Vec::new(),
            total: None,
        };
        plan.open(Level::Day, low, high);
        Some(plan)
    }

    /// What is needed next.
    pub fn step(&mut self) -> Step {
        loop {
            if let Some(question) = self.to_ask.last() {
                return question.clone();
            }
            let total = *self.total.get_or_insert_with(|| {
                u64::try_from(self.pieces.iter().map(|piece| piece.count).sum::<i64>()).unwrap_or(0)
            });
            self.pieces.sort_by_key(|piece| piece.from);
            if self.direction == Direction::Descending {
                self.pieces.reverse();
            }
            let mut skip = self.skip;
            let place = std::mem::take(&mut self.pieces).into_iter().find(|piece| {
                let count = u64::try_from(piece.count).unwrap_or(0);
                let is_here = skip < count;
                if !is_here {
                    skip -= count;
                }
                is_here
            });
            match place {
                Some(Piece { from, to, finer: Some(level), .. }) => {
                    self.skip = skip;
                    self.open(level, from, to);
                }
                Some(Piece { from, to, .. }) => {
                    let (from, to) = match self.direction {
                        Direction::Ascending => (from, self.high),
                        Direction::Descending => (self.low, to),
                    };
                    return Step::Done(PagePlace { total, from, to, skip });
                }
                None => return Step::Done(PagePlace { total, from: 0, to: -1, skip: 0 }),
            }
        }
    }

    /// Answers [`Step::Spans`].
    pub fn spans(&mut self, kept: Vec<Bucket>) {
        let Some(Step::Spans { level, from, to }) = self.to_ask.pop() else { return };
        let finer_level = level.finer();
        for bucket in self.with_deltas(level, from, to, kept) {
            let end = bucket.start.saturating_add(level.width() - 1);
            let (piece_from, piece_to) = (bucket.start.max(self.low), end.min(self.high));
            let is_whole = (piece_from, piece_to) == (bucket.start, end);
            let finer = finer_level.filter(|_| bucket.is_split);
            match finer {
                _ if is_whole => {
                    let count = bucket.counts.matching(self.is_active);
                    self.pieces.push(Piece { from: piece_from, to: piece_to, count, finer });
                }
                Some(level) => self.open(level, piece_from, piece_to),
                None => self.to_ask.push(Step::Count { from: piece_from, to: piece_to }),
            }
        }
    }

    /// Answers [`Step::Count`].
    pub fn counted(&mut self, count: i64) {
        if let Some(Step::Count { from, to }) = self.to_ask.pop() {
            self.pieces.push(Piece { from, to, count, finer: None });
        }
    }

    fn open(&mut self, level: Level, from: i64, to: i64) {
        if from <= to {
            self.to_ask.push(Step::Spans { level, from: level.start_of(from), to });
        }
    }

    /// The kept spans with the changes that are not in them yet.
    fn with_deltas(&self, level: Level, from: i64, to: i64, kept: Vec<Bucket>) -> Vec<Bucket> {
        let mut spans: std::collections::BTreeMap<i64, Bucket> = kept.into_iter().map(|b| (b.start, b)).collect();
        for delta in &self.deltas {
            let start = level.start_of(delta.registered_at);
            if (from..=to).contains(&start) {
                let new = Bucket { start, counts: Counts::default(), is_split: false };
                spans.entry(start).or_insert(new).counts += delta.counts;
            }
        }
        spans.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use convoke_domain::{ChatFilter, PageSize, Sort, SortField, SortKey};

    use super::*;

    /// Every chat as (registered at, is active), spans kept as a store keeps them, and the same questions answered.
    struct Model {
        chats: Vec<(i64, bool)>,
        split_above: i64,
    }

    impl Model {
        fn counts(&self, from: i64, to: i64) -> Counts {
            let mut counts = Counts::default();
            for (_, is_active) in self.chats.iter().filter(|(at, _)| (from..=to).contains(at)) {
                counts += Counts::change(None, *is_active);
            }
            counts
        }

        fn spans(&self, level: Level, from: i64, to: i64) -> Vec<Bucket> {
            let starts: std::collections::BTreeSet<i64> =
                self.chats.iter().map(|(at, _)| level.start_of(*at)).collect();
            let of = |start| {
                let counts = self.counts(start, start + level.width() - 1);
                Bucket { start, counts, is_split: level != Level::Second && counts.all() > self.split_above }
            };
            starts.into_iter().filter(|start| (from..=to).contains(start)).map(of).collect()
        }

        fn page(&self, query: &ChatQuery) -> (u64, Vec<i64>, u64) {
            let mut plan = PagePlan::new(query, Vec::new()).unwrap();
            let place = loop {
                match plan.step() {
                    Step::Spans { level, from, to } => plan.spans(self.spans(level, from, to)),
                    Step::Count { from, to } => {
                        let count = self.counts(from, to).matching(query.filter.is_active);
                        plan.counted(count);
                    }
                    Step::Done(place) => break place,
                }
            };
            let mut rows: Vec<i64> = self.matching(query);
            rows.retain(|at| (place.from..=place.to).contains(at));
            let size = usize::try_from(query.size.get()).unwrap();
            let skip = usize::try_from(place.skip).unwrap();
            (place.total, rows.into_iter().skip(skip).take(size).collect(), place.skip)
        }

        fn matching(&self, query: &ChatQuery) -> Vec<i64> {
            let filter = &query.filter;
            let matches = |(at, is_active): &&(i64, bool)| {
                filter.is_active.is_none_or(|wanted| wanted == *is_active)
                    && filter.registered_from.is_none_or(|from| *at >= from.as_millis())
                    && filter.registered_to.is_none_or(|to| *at <= to.as_millis())
            };
            let mut rows: Vec<i64> = self.chats.iter().filter(matches).map(|(at, _)| *at).collect();
            rows.sort_unstable();
            if query.sort.by_registration() == Some(Direction::Descending) {
                rows.reverse();
            }
            rows
        }
    }

    #[test]
    fn any_page_of_any_filter_is_the_one_that_counting_finds() {
        let day = Level::Day.width();
        let mut chats = Vec::new();
        for number in 0..400_i64 {
            // Three days; the second one crowded into few seconds.
            let at =
                if number % 4 == 0 { number * day / 140 } else { day + 40_000_000 + (number * number * 37) % 90_000 };
            chats.push((at, number % 3 != 0));
        }
        let model = Model { chats, split_above: 5 };
        let bounds = [None, Some(0), Some(day), Some(day + 40_000_500), Some(day + 40_030_000), Some(2 * day + 1)];
        let orders = [Direction::Ascending, Direction::Descending];
        let mut looked_at = 0;
        for direction in orders {
            for is_active in [None, Some(true), Some(false)] {
                for from in bounds {
                    for to in bounds {
                        for page in 0..45 {
                            let query = ChatQuery {
                                filter: ChatFilter {
                                    is_active,
                                    ids: Vec::new(),
                                    registered_from: from.map(Timestamp::from_millis),
                                    registered_to: to.map(Timestamp::from_millis),
                                },
                                sort: Sort::new(&[SortKey { field: SortField::RegisteredAt, direction }]).unwrap(),
                                page: page.to_string().parse().unwrap(),
                                size: PageSize::new(9).unwrap(),
                            };
                            let rows = model.matching(&query);
                            let start = rows.len().min(usize::try_from(query.offset()).unwrap());
                            let expected: Vec<i64> = rows[start..].iter().take(9).copied().collect();
                            let (total, found, skip) = model.page(&query);
                            assert_eq!((total, &found), (rows.len() as u64, &expected), "{query:?}");
                            assert!(skip < 200, "a page skips rows of one span only");
                            looked_at += usize::from(!found.is_empty());
                        }
                    }
                }
            }
        }
        assert!(looked_at > 500);
    }

    #[test]
    fn changes_that_are_not_kept_yet_count() {
        let at = 3 * Level::Day.width() + 5;
        let kept =
            Bucket { start: Level::Day.start_of(at), counts: Counts { active: 2, inactive: 1 }, is_split: false };
        let deltas = vec![
            Delta { registered_at: at, counts: Counts::change(Some(false), true) },
            Delta { registered_at: at + Level::Day.width(), counts: Counts::change(None, false) },
        ];
        let mut plan = PagePlan::new(&ChatQuery::default(), deltas).unwrap();
        assert!(matches!(plan.step(), Step::Spans { level: Level::Day, .. }));
        plan.spans(vec![kept]);
        assert!(matches!(plan.step(), Step::Done(PagePlace { total: 4, .. })));
    }
}
