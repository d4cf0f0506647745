//! Links from one page of a list to others, in the body (`_links`) and in the header `Link` (RFC 8288).

use actix_web::http::header::HeaderValue;
use serde::{Serialize, Serializer, ser::SerializeMap};

/// The links of an answer, in the order in which they are shown.
#[derive(Debug, Default)]
pub(crate) struct Links(Vec<(&'static str, String)>);

impl Links {
    /// Adds a link of this relation.
    pub fn add(&mut self, relation: &'static str, href: String) {
        self.0.push((relation, href));
    }

    /// The value of the header `Link`.
    pub fn header_value(&self) -> HeaderValue {
        let links: Vec<_> = self.0.iter().map(|(relation, href)| format!("<{href}>; rel=\"{relation}\"")).collect();
        HeaderValue::from_str(&links.join(", ")).expect("links hold visible ASCII only")
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
