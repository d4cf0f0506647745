//! `ETag` and `If-None-Match` (RFC 9110, sections 8.8.3 and 13.1.2).

use actix_web::http::header::{self, HeaderMap, HeaderValue};
use convoke_store::{ChatDocument, DOCUMENT_VERSION};

use crate::prefer::split_outside_quotes;

/// The tag of a chat's representation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntityTag(String);

impl EntityTag {
    /// The tag of this document. The version of the form is part of it: a release that writes documents differently
    /// changes them all.
    pub fn of(document: &ChatDocument) -> Self {
        Self(format!("\"{DOCUMENT_VERSION}-{}\"", document.version))
    }

    /// The value of `ETag`.
    pub fn header_value(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).expect("digits make a header value")
    }

    /// Whether the client has this representation already. What is malformed is ignored.
    pub fn is_known_to(&self, headers: &HeaderMap) -> bool {
        let Ok(values) = headers.get_all(header::IF_NONE_MATCH).map(HeaderValue::to_str).collect::<Result<Vec<_>, _>>()
        else {
            return false;
        };
        let list = values.join(",");
        if list.trim() == "*" {
            return true;
        }
        let tags: Option<Vec<&str>> =
            split_outside_quotes(&list, ',').map(str::trim).filter(|tag| !tag.is_empty()).map(opaque).collect();
        tags.is_some_and(|tags| tags.contains(&self.0.as_str()))
    }
}

/// The tag itself, quotes included, of a strong or weak one; the comparison is the weak one.
fn opaque(tag: &str) -> Option<&str> {
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    let inner = tag.strip_prefix('"')?.strip_suffix('"')?;
    (tag.len() >= 2 && inner.bytes().all(|byte| byte == b'!' || (b'#'..=b'~').contains(&byte))).then_some(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(sent: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in sent {
            headers.append(header::IF_NONE_MATCH, HeaderValue::from_str(value).unwrap());
        }
        EntityTag("\"1-7\"".to_owned()).is_known_to(&headers)
    }

    #[test]
    fn lists_weak_tags_and_the_asterisk_are_understood() {
        for sent in ["\"1-7\"", "W/\"1-7\"", "*", " \"x\" , W/\"1-7\",", "\"a,b\",\"1-7\""] {
            assert!(known(&[sent]), "{sent}");
        }
        assert!(known(&["\"x\"", "\"1-7\""]));
        assert!(!known(&[]));
    }

    #[test]
    fn others_and_malformed_ones_are_not_known() {
        for sent in ["\"1-8\"", "1-7", "\"1-7", "\"1-7\", x", "w/\"1-7\"", "", "\"", "*, \"1-7\"x"] {
            assert!(!known(&[sent]), "{sent}");
        }
    }
}
