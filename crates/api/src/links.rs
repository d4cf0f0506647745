//! Links from one page of a list to others, in the body (`_links`) and in the header `Link` (RFC 8288).

use actix_web::http::header::HeaderValue;
use serde::{Serialize, Serializer, ser::SerializeMap};

/// The longest header `Link`: clients and proxies take 8 or 16 KiB for all headers of an answer, some of them 4.
pub(crate) const MAX_HEADER_BYTES: usize = 4096;

/// What the header may leave out, the least needed first: not `next`, nor `self`, which it is promised to begin with.
const LEFT_OUT: [&str; 3] = ["last", "first", "prev"];

/// The links of an answer, in the order in which they are shown.
#[derive(Debug, Default)]
pub(crate) struct Links(Vec<(&'static str, String)>);

impl Links {
    /// Adds a link of this relation.
    pub fn add(&mut self, relation: &'static str, href: String) {
        self.0.push((relation, href));
    }

    /// The value of the header `Link`, with as many of the links as it has room for; nothing if `self` and `next` are too
    /// long for it.
    pub fn header_value(&self) -> Option<HeaderValue> {
        let value = (0..=LEFT_OUT.len())
            .map(|count| self.written_without(&LEFT_OUT[..count]))
            .find(|value| value.len() <= MAX_HEADER_BYTES)?;
        Some(HeaderValue::from_str(&value).expect("links hold visible ASCII only"))
    }

    fn written_without(&self, relations: &[&str]) -> String {
        let links = self.0.iter().filter(|(relation, _)| !relations.contains(relation));
        let links: Vec<_> = links.map(|(relation, href)| format!("<{href}>; rel=\"{relation}\"")).collect();
        links.join(", ")
    }
}

impl Serialize for Links {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Link<'a> {
            href: &'a str,
        }

        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (relation, href) in &self.0 {
            map.serialize_entry(relation, &Link { href })?;
        }
        map.end()
    }
}

/// A path with these parts of a query.
pub(crate) fn href<'a>(path: &str, parts: impl IntoIterator<Item = &'a str>) -> String {
    let parts: Vec<_> = parts.into_iter().collect();
    if parts.is_empty() { path.to_owned() } else { format!("{path}?{}", parts.join("&")) }
}
