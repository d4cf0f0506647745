//! Questions about many chats: which of them, in what order, which page.

use std::{fmt, num::NonZeroU32, str::FromStr};

use crate::{ChatId, Mistake, MistakeCode, Timestamp};

/// How many chats are on a page: 1–200, 20 where nothing is said (`contract.md`, `size`).
///
/// ```
/// use convoke_domain::PageSize;
///
/// assert_eq!(PageSize::default().get(), 20);
/// assert_eq!("50".parse(), PageSize::new(50));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSize(NonZeroU32);

impl PageSize {
    /// The largest page.
    ///
    /// ```
    /// use convoke_domain::PageSize;
    ///
    /// assert!(PageSize::new(PageSize::MAX).is_ok());
    /// ```
    pub const MAX: u32 = 200;
    /// The size where nothing is said.
    ///
    /// ```
    /// use convoke_domain::PageSize;
    ///
    /// assert_eq!(PageSize::default().get(), PageSize::DEFAULT);
    /// ```
    pub const DEFAULT: u32 = 20;

    /// Takes a size between 1 and [`Self::MAX`].
    ///
    /// # Errors
    /// `outOfRange`.
    ///
    /// ```
    /// use convoke_domain::{MistakeCode, PageSize};
    ///
    /// assert_eq!(PageSize::new(0).unwrap_err().code, MistakeCode::OutOfRange);
    /// ```
    pub fn new(size: u32) -> Result<Self, Mistake> {
        NonZeroU32::new(size).filter(|size| size.get() <= Self::MAX).map(Self).ok_or_else(Self::out_of_range)
    }

    /// The number of chats.
    ///
    /// ```
    /// use convoke_domain::PageSize;
    ///
    /// assert_eq!(PageSize::new(50)?.get(), 50);
    /// # Ok::<(), convoke_domain::Mistake>(())
    /// ```
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    fn out_of_range() -> Mistake {
        Mistake::new(MistakeCode::OutOfRange, format!("must be between 1 and {}", Self::MAX))
    }
}

impl Default for PageSize {
    fn default() -> Self {
        Self(NonZeroU32::new(Self::DEFAULT).expect("the default is not 0"))
    }
}

impl FromStr for PageSize {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        parse_number(text, Self::out_of_range).and_then(Self::new)
    }
}

/// The number of a page, from 0 to 2147483647 (`contract.md`, `page`).
///
/// ```
/// use convoke_domain::PageNumber;
///
/// assert_eq!(PageNumber::default(), "0".parse()?);
/// # Ok::<(), convoke_domain::Mistake>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PageNumber(u32);

impl PageNumber {
    /// The last number there is.
    ///
    /// ```
    /// use convoke_domain::PageNumber;
    ///
    /// assert_eq!("2147483647".parse::<PageNumber>()?.get(), PageNumber::MAX);
    /// # Ok::<(), convoke_domain::Mistake>(())
    /// ```
    pub const MAX: u32 = 2_147_483_647;

    /// The number.
    ///
    /// ```
    /// use convoke_domain::PageNumber;
    ///
    /// assert_eq!("7".parse::<PageNumber>()?.get(), 7);
    /// # Ok::<(), convoke_domain::Mistake>(())
    /// ```
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    fn out_of_range() -> Mistake {
        Mistake::new(MistakeCode::OutOfRange, format!("must be between 0 and {}", Self::MAX))
    }
}

impl FromStr for PageNumber {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        let number = parse_number(text, Self::out_of_range)?;
        if number > Self::MAX { Err(Self::out_of_range()) } else { Ok(Self(number)) }
    }
}

/// Reads digits, perhaps behind a minus: what is no number at all is another mistake than one that is out of range.
fn parse_number(text: &str, out_of_range: fn() -> Mistake) -> Result<u32, Mistake> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Mistake::new(MistakeCode::InvalidFormat, "must be a whole number in decimal digits"));
    }
    text.parse().map_err(|_| out_of_range())
}

/// A field that a list can be sorted by.
///
/// ```
/// use convoke_domain::{SortField, SortKey};
///
/// let key: SortKey = "title".parse()?;
/// assert_eq!(key.field, SortField::Title);
/// # Ok::<(), convoke_domain::Mistake>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SortField {
    /// When the registration was accepted.
    RegisteredAt,
    /// When the record last changed.
    UpdatedAt,
    /// The current title, by code point.
    Title,
    /// By code point; absent before present.
    CreatedBy,
    /// The name of the service.
    Service,
    /// `false` before `true`.
    IsActive,
    /// The chat's id.
    Id,
}

impl SortField {
    /// Every field there is.
    ///
    /// ```
    /// use convoke_domain::SortField;
    ///
    /// assert!(SortField::ALL.iter().any(|field| field.as_str() == "createdBy"));
    /// ```
    pub const ALL: [Self; 7] =
        [Self::RegisteredAt, Self::UpdatedAt, Self::Title, Self::CreatedBy, Self::Service, Self::IsActive, Self::Id];

    /// Its name in the contract.
    ///
    /// ```
    /// use convoke_domain::SortField;
    ///
    /// assert_eq!(SortField::RegisteredAt.as_str(), "registeredAt");
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RegisteredAt => "registeredAt",
            Self::UpdatedAt => "updatedAt",
            Self::Title => "title",
            Self::CreatedBy => "createdBy",
            Self::Service => "service",
            Self::IsActive => "isActive",
            Self::Id => "id",
        }
    }
}

/// Upwards or downwards.
///
/// ```
/// use convoke_domain::{Direction, SortKey};
///
/// assert_eq!("title".parse::<SortKey>()?.direction, Direction::Ascending);
/// # Ok::<(), convoke_domain::Mistake>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

/// One key of an order.
///
/// ```
/// use convoke_domain::{Direction, SortField, SortKey};
///
/// let key: SortKey = "updatedAt,desc".parse()?;
/// assert_eq!(key, SortKey { field: SortField::UpdatedAt, direction: Direction::Descending });
/// # Ok::<(), convoke_domain::Mistake>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SortKey {
    /// What is compared.
    pub field: SortField,
    /// Which way.
    pub direction: Direction,
}

impl FromStr for SortKey {
    type Err = Mistake;

    /// Reads `field`, `field,asc` or `field,desc`.
    fn from_str(text: &str) -> Result<Self, Mistake> {
        let (name, direction) = text.split_once(',').map_or((text, None), |(name, rest)| (name, Some(rest)));
        let field = SortField::ALL.into_iter().find(|field| field.as_str() == name).ok_or_else(|| {
            let allowed = SortField::ALL.map(SortField::as_str).join(", ");
            Mistake::new(MistakeCode::Unknown, format!("'{name}' is no field to sort by; allowed are: {allowed}"))
        })?;
        let direction = match direction {
            None | Some("asc") => Direction::Ascending,
            Some("desc") => Direction::Descending,
            Some(other) => {
                let detail = format!("'{other}' is no direction; allowed are: asc, desc");
                return Err(Mistake::new(MistakeCode::InvalidFormat, detail));
            }
        };
        Ok(Self { field, direction })
    }
}

/// The order of a list: each field at most once, and `id` always last, so that it is total.
///
/// ```
/// use convoke_domain::{Sort, SortField};
///
/// let sort = Sort::new(&["title".parse()?])?;
/// let fields: Vec<_> = sort.keys().iter().map(|key| key.field).collect();
/// assert_eq!(fields, [SortField::Title, SortField::Id]);
/// # Ok::<(), convoke_domain::Mistake>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort(Vec<SortKey>);

impl Sort {
    /// The order by these keys; without any, by `registeredAt` downwards. `id` is the last tie-breaker, in the direction
    /// of the last key.
    ///
    /// # Errors
    /// `duplicate` if a field comes twice.
    ///
    /// ```
    /// use convoke_domain::{MistakeCode, Sort};
    ///
    /// let twice = ["title".parse()?, "title,desc".parse()?];
    /// assert_eq!(Sort::new(&twice).unwrap_err().code, MistakeCode::Duplicate);
    /// # Ok::<(), convoke_domain::Mistake>(())
    /// ```
    pub fn new(keys: &[SortKey]) -> Result<Self, Mistake> {
        let mut total: Vec<SortKey> = Vec::with_capacity(keys.len() + 1);
        for key in keys {
            if total.iter().any(|earlier| earlier.field == key.field) {
                let detail = format!("sorts by '{}' more than once", key.field.as_str());
                return Err(Mistake::new(MistakeCode::Duplicate, detail));
            }
            total.push(*key);
        }
        if total.is_empty() {
            total.push(SortKey { field: SortField::RegisteredAt, direction: Direction::Descending });
        }
        // What stands behind an id can't matter any more, for ids differ.
        if let Some(place) = total.iter().position(|key| key.field == SortField::Id) {
            total.truncate(place + 1);
        } else if let Some(last) = total.last().copied() {
            total.push(SortKey { field: SortField::Id, direction: last.direction });
        }
        Ok(Self(total))
    }

    /// The keys, the last of which is `id`.
    ///
    /// ```
    /// use convoke_domain::Sort;
    ///
    /// assert_eq!(Sort::default().keys(), ["registeredAt,desc".parse()?, "id,desc".parse()?]);
    /// # Ok::<(), convoke_domain::Mistake>(())
    /// ```
    #[must_use]
    pub fn keys(&self) -> &[SortKey] {
        &self.0
    }

    /// The direction if the order is that of registration, in which any page of a long list is found without counting.
    ///
    /// ```
    /// use convoke_domain::{Direction, Sort};
    ///
    /// assert_eq!(Sort::default().by_registration(), Some(Direction::Descending));
    /// assert_eq!(Sort::new(&["title".parse()?])?.by_registration(), None);
    /// # Ok::<(), convoke_domain::Mistake>(())
    /// ```
    #[must_use]
    pub fn by_registration(&self) -> Option<Direction> {
        match self.0[..] {
            [SortKey { field: SortField::RegisteredAt, direction: first }, SortKey { direction: second, .. }]
                if first == second =>
            {
                Some(first)
            }
            _ => None,
        }
    }
}

impl Default for Sort {
    fn default() -> Self {
        Self::new(&[]).expect("no keys hold no field twice")
    }
}

/// Which chats: those that meet everything that is said.
///
/// ```
/// use convoke_domain::{ChatFilter, Timestamp};
///
/// let of_that_day = ChatFilter {
///     registered_from: Some(Timestamp::parse_from_bound("2024-12-11")?),
///     registered_to: Some(Timestamp::parse_to_bound("2024-12-11")?),
///     ..ChatFilter::default()
/// };
/// assert_eq!(of_that_day.is_active, None);
/// # Ok::<(), convoke_domain::Mistake>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChatFilter {
    /// Only active ones, or only others.
    pub is_active: Option<bool>,
    /// Only these; an empty list says nothing.
    pub ids: Vec<ChatId>,
    /// Only those registered at this instant or later.
    pub registered_from: Option<Timestamp>,
    /// Only those registered at this instant or earlier.
    pub registered_to: Option<Timestamp>,
}

impl ChatFilter {
    /// How many ids may be named.
    ///
    /// ```
    /// use convoke_domain::ChatFilter;
    ///
    /// assert_eq!(ChatFilter::MAX_IDS, 200);
    /// ```
    pub const MAX_IDS: usize = 200;
}

/// A page of a list.
///
/// ```
/// use convoke_domain::{ChatFilter, ChatQuery};
///
/// let active = ChatQuery {
///     filter: ChatFilter { is_active: Some(true), ..ChatFilter::default() },
///     ..ChatQuery::default()
/// };
/// assert_eq!(active.size.get(), 20);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChatQuery {
    /// Which chats.
    pub filter: ChatFilter,
    /// In what order.
    pub sort: Sort,
    /// Which page.
    pub page: PageNumber,
    /// How many on a page.
    pub size: PageSize,
}

impl ChatQuery {
    /// How many chats come before the page.
    ///
    /// ```
    /// use convoke_domain::ChatQuery;
    ///
    /// let query = ChatQuery { page: "3".parse()?, size: "50".parse()?, ..ChatQuery::default() };
    /// assert_eq!(query.offset(), 150);
    /// # Ok::<(), convoke_domain::Mistake>(())
    /// ```
    #[must_use]
    pub fn offset(&self) -> u64 {
        u64::from(self.page.get()) * u64::from(self.size.get())
    }
}

/// Where a walk through the chats stands: behind this one, in the order of registration downwards.
///
/// ```
/// use convoke_domain::WalkPosition;
///
/// let position = WalkPosition {
///     registered_at: "2024-12-11T08:54:03Z".parse()?,
///     id: "9a983789-1709-4543-aa31-a02867680017".parse()?,
/// };
/// assert_eq!(position.to_string().parse::<WalkPosition>()?, position);
/// # Ok::<(), convoke_domain::Mistake>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalkPosition {
    /// When the last chat seen was registered.
    pub registered_at: Timestamp,
    /// The last chat seen.
    pub id: ChatId,
}

impl fmt::Display for WalkPosition {
    /// The cursor: opaque to clients.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}.{}", self.registered_at.as_millis(), self.id.0.as_simple())
    }
}

impl FromStr for WalkPosition {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        let read = || {
            let (millis, id) = text.split_once('.')?;
            let position = Self {
                registered_at: Timestamp::from_millis(i64::from_str_radix(millis, 16).ok()?),
                id: ChatId(uuid::Uuid::try_parse(id).ok()?),
            };
            // Exactly what was handed out, nothing that merely reads alike.
            (position.to_string() == text).then_some(position)
        };
        read().ok_or_else(|| Mistake::new(MistakeCode::InvalidFormat, "is no cursor of a 'next' link"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_pages_have_bounds() {
        assert_eq!("200".parse::<PageSize>().unwrap().get(), 200);
        for (text, code) in [
            ("0", MistakeCode::OutOfRange),
            ("201", MistakeCode::OutOfRange),
            ("-1", MistakeCode::OutOfRange),
            ("99999999999999999999", MistakeCode::OutOfRange),
            ("", MistakeCode::InvalidFormat),
            ("+5", MistakeCode::InvalidFormat),
            ("5.0", MistakeCode::InvalidFormat),
            ("٣", MistakeCode::InvalidFormat),
        ] {
            assert_eq!(text.parse::<PageSize>().unwrap_err().code, code, "{text}");
        }
        assert_eq!("2147483647".parse::<PageNumber>().unwrap().get(), PageNumber::MAX);
        assert_eq!("2147483648".parse::<PageNumber>().unwrap_err().code, MistakeCode::OutOfRange);
    }

    #[test]
    fn an_order_is_always_total() {
        let key = |text: &str| text.parse::<SortKey>().unwrap();
        assert_eq!(Sort::default().keys(), [key("registeredAt,desc"), key("id,desc")]);
        assert_eq!(Sort::new(&[key("title")]).unwrap().keys(), [key("title"), key("id,asc")]);
        assert_eq!(Sort::new(&[key("id,desc"), key("title")]).unwrap().keys(), [key("id,desc")]);
        assert_eq!(Sort::new(&[key("title"), key("title,desc")]).unwrap_err().code, MistakeCode::Duplicate);
        assert_eq!(Sort::new(&[key("registeredAt")]).unwrap().by_registration(), Some(Direction::Ascending));
        assert_eq!(Sort::new(&[key("registeredAt"), key("id,desc")]).unwrap().by_registration(), None);
        assert_eq!(Sort::new(&[key("title"), key("registeredAt")]).unwrap().by_registration(), None);
    }

    #[test]
    fn sort_keys_name_the_culprit_and_what_is_allowed() {
        let mistake = "name,asc".parse::<SortKey>().unwrap_err();
        assert_eq!(mistake.code, MistakeCode::Unknown);
        assert!(mistake.detail.contains("'name'") && mistake.detail.contains("registeredAt"));
        for wrong in ["title,ASC", "title,", "title,asc,desc", "title desc", "Title"] {
            assert!(wrong.parse::<SortKey>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_nothing_else_is() {
        let position = WalkPosition {
            registered_at: "2024-12-11T08:54:03Z".parse().unwrap(),
            id: "9a983789-1709-4543-aa31-a02867680017".parse().unwrap(),
        };
        let cursor = position.to_string();
        assert_eq!(cursor.parse::<WalkPosition>().unwrap(), position);
        for wrong in [
            "x",
            ".",
            "1.2",
            &cursor.to_uppercase(),
            &format!("0{cursor}"),
            &format!("+{cursor}"),
            &cursor[1..cursor.len() - 1],
        ] {
            assert!(wrong.parse::<WalkPosition>().is_err(), "{wrong}");
        }
    }
}
