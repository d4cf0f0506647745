//! Lists of chats: what is asked for and what a page holds.

use convoke_domain::{Chat, ChatFilter, Direction, PageSize, SortKey};
use serde::Deserialize;

/// Which chats, in what order, how many at a time. The default is all of them, the newest first, 20 at a time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListChats {
    /// Which chats.
    pub filter: ChatFilter,
    /// In what order: each field once. A walk has an order of its own and passes this over.
    pub sort: Vec<SortKey>,
    /// The page to begin with, from 0. A walk passes this over.
    pub page: u32,
    /// How many chats come in one answer.
    pub size: PageSize,
}

impl ListChats {
    /// The query that asks for a page.
    pub(crate) fn page_query(&self) -> Vec<(&'static str, String)> {
        let mut pairs = vec![("page", self.page.to_string())];
        for key in &self.sort {
            let direction = match key.direction {
                Direction::Ascending => "asc",
                Direction::Descending => "desc",
            };
            pairs.push(("sort", format!("{},{direction}", key.field.as_str())));
        }
        pairs.extend(self.common_query());
        pairs
    }

    /// The query that begins a walk.
    pub(crate) fn walk_query(&self) -> Vec<(&'static str, String)> {
        let mut pairs = vec![("cursor", String::new())];
        pairs.extend(self.common_query());
        pairs
    }

    fn common_query(&self) -> Vec<(&'static str, String)> {
        let filter = &self.filter;
        let mut pairs = vec![("size", self.size.get().to_string())];
        pairs.extend(filter.is_active.map(|is_active| ("isActive", is_active.to_string())));
        pairs.extend(filter.ids.iter().map(|id| ("id", id.to_string())));
        pairs.extend(filter.registered_from.map(|at| ("fromDate", at.to_string())));
        pairs.extend(filter.registered_to.map(|at| ("toDate", at.to_string())));
        pairs
    }
}

/// A page of chats, or the next chats of a walk.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ChatPage {
    /// The chats.
    pub records: Vec<Chat>,
    /// Which page it is, and of how many.
    #[serde(rename = "_metadata")]
    pub metadata: ListMetadata,
    /// Where other pages are.
    #[serde(rename = "_links")]
    pub links: ListLinks,
}

/// Which page it is, and of how many.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ListMetadata {
    /// The page, from 0; not in a walk.
    pub current_page: Option<u32>,
    /// How many pages there are; not in a walk.
    pub total_pages: Option<u64>,
    /// How many chats are on a page.
    pub page_size: u32,
    /// How many chats match; not in a walk.
    pub total_records: Option<u64>,
}

/// Where other pages are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ListLinks {
    /// This page.
    #[serde(rename = "self")]
    pub this: Link,
    /// The first page; not in a walk.
    pub first: Option<Link>,
    /// The last page; not in a walk.
    pub last: Option<Link>,
    /// The next page, or the next chats of the walk; not on the last one.
    pub next: Option<Link>,
    /// The page before; not on the first one.
    pub prev: Option<Link>,
}

/// A link.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Link {
    /// A path of the service, with its query.
    pub href: String,
}

impl Link {
    /// Its query. That alone is followed: wherever a link may point, the token stays with the service.
    pub(crate) fn query(&self) -> &str {
        self.href.split_once('?').map_or("", |(_, query)| query)
    }
}

#[cfg(test)]
mod tests {
    use convoke_domain::{SortField, Timestamp};

    use super::*;

    #[test]
    fn everything_that_is_asked_for_is_in_the_query() {
        let id = "9a983789-1709-4543-aa31-a02867680017".parse().unwrap();
        let asked = ListChats {
            filter: ChatFilter {
                is_active: Some(true),
                ids: vec![id],
                registered_from: Some(Timestamp::from_millis(0)),
                registered_to: Some(Timestamp::from_millis(1)),
            },
            sort: vec![
                SortKey { field: SortField::Title, direction: Direction::Ascending },
                SortKey { field: SortField::RegisteredAt, direction: Direction::Descending },
            ],
            page: 3,
            size: PageSize::new(7).unwrap(),
        };
        let joined = |pairs: Vec<(&str, String)>| {
            pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
        };
        let filter =
            format!("size=7&isActive=true&id={id}&fromDate=1970-01-01T00:00:00.000Z&toDate=1970-01-01T00:00:00.001Z");
        assert_eq!(joined(asked.page_query()), format!("page=3&sort=title,asc&sort=registeredAt,desc&{filter}"));
        assert_eq!(joined(asked.walk_query()), format!("cursor=&{filter}"));
        assert_eq!(joined(ListChats::default().page_query()), "page=0&size=20");
    }

    #[test]
    fn of_a_link_only_the_query_counts() {
        let link = |href: &str| Link { href: href.to_owned() };
        assert_eq!(link("https://elsewhere/x?page=1&size=2").query(), "page=1&size=2");
        assert_eq!(link("/api/v1/private/chats").query(), "");
    }
}
