//! Pages for people about problems.

use askama::Template;

use crate::problem::{Problem, ProblemKind};

/// What the pages may load: their one style sheet.
pub(crate) const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// The style sheet: a file of its own, so that no style within a page has to be allowed.
pub(crate) const STYLE: &str = include_str!("../templates/problem.css");

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    title: &'a str,
    status: u16,
    slug: &'a str,
    meaning: &'a str,
    remedy: &'a str,
    retryable: bool,
    /// Whether it explains the kind, or tells a visitor of a case.
    explains: bool,
}

/// The page that explains a kind of problem.
pub(crate) fn about(kind: ProblemKind) -> String {
    let entry = kind.entry();
    render(kind, entry.meaning, true)
}

/// The page for somebody who has run into a problem in the browser.
pub(crate) fn for_visitor(problem: &Problem) -> String {
    render(problem.kind, problem.detail(), false)
}

fn render(kind: ProblemKind, meaning: &str, explains: bool) -> String {
    let entry = kind.entry();
    let page = ProblemPage {
        title: entry.title,
        status: entry.status,
        slug: entry.slug,
        meaning,
        remedy: entry.remedy,
        retryable: entry.retryable,
        explains,
    };
    page.render().expect("writing to a string can't fail")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_page() {
        for kind in ProblemKind::ALL.iter().copied() {
            let page = about(kind);
            assert!(page.contains(kind.entry().slug) && page.contains(&kind.entry().status.to_string()));
            assert!(page.starts_with("<!DOCTYPE html>"));
            assert!(!page.contains('`'), "what is code is shown as code: {page}");
        }
    }

    #[test]
    fn everything_is_escaped() {
        let page = for_visitor(&Problem::new(ProblemKind::NotFound, "`<script>` <script>&\""));
        assert!(!page.contains("<script>") && page.contains("<code>&#60;script&#62;</code> &#60;"), "{page}");
    }
}
