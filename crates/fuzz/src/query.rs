//! The query of a list.

use convoke_api::parsers;

/// Whatever is asked for, the link to the answer asks for the same.
pub fn list(data: &[u8]) {
    let Some(text) = crate::text(data) else { return };
    // Some number of pages, the same one for the same text.
    let pages = text.len() as u64;
    match parsers::list(text, pages) {
        Ok((question, links)) => {
            for (relation, link) in links.as_object().expect("links are an object") {
                let href = link["href"].as_str().expect("a link has an address");
                assert!(href.bytes().all(|byte| byte.is_ascii_graphic()), "{href}");
                let (_, query) = href.split_once('?').expect("the address has a query");
                let (linked, _) = parsers::list(query, pages).expect("what a link asks for is no mistake");
                assert!(relation != "self" || linked == question, "{href} asks for {linked:?} instead of {question:?}");
            }
        }
        Err(problem) => crate::assert_refusal(&problem),
    }
}
