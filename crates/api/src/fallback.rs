//! What no route takes: a path that is not known, or a method that its path does not have.

use actix_web::{
    HttpRequest,
    http::header::{self, HeaderValue},
};
use utoipa::openapi::{OpenApi, PathItem};

use crate::{
    problem::{Problem, ProblemKind},
    state::{ApiSettings, ApiState},
};

/// Every path that there is, with the value of `Allow` for each. The paths come from the OpenAPI document, so there is
/// no second list of them.
#[derive(Debug)]
pub(crate) struct KnownPaths(Vec<(String, String)>);

impl KnownPaths {
    /// The paths of this document, and those that it does not tell of.
    pub fn new(openapi: &OpenApi, settings: &ApiSettings) -> Self {
        let mut paths: Vec<_> =
            openapi.paths.paths.iter().map(|(path, item)| (path.clone(), allowed(item).join(", "))).collect();
        let mut pages = vec!["/"];
        if settings.swagger_ui {
            pages.extend(["/swagger-ui", "/swagger-ui/", "/swagger-ui/{file}"]);
        }
        paths.extend(pages.into_iter().map(|path| (path.to_owned(), "GET, HEAD".to_owned())));
        Self(paths)
    }

    fn allow(&self, path: &str) -> Option<&str> {
        self.0.iter().find(|(template, _)| matches(template, path)).map(|(_, allow)| allow.as_str())
    }
}

fn allowed(item: &PathItem) -> Vec<&'static str> {
    let operations = [
        (item.delete.is_some(), "DELETE"),
        (item.get.is_some(), "GET"),
        (item.get.is_some(), "HEAD"),
        (item.patch.is_some(), "PATCH"),
        (item.post.is_some(), "POST"),
        (item.put.is_some(), "PUT"),
    ];
    operations.into_iter().filter_map(|(known, method)| known.then_some(method)).collect()
}

/// Whether a path has the shape of a template, where `{…}` stands for one segment that is not empty.
fn matches(template: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given)) if wanted == given => {}
            (Some(wanted), Some(given)) if wanted.starts_with('{') && !given.is_empty() => {}
            _ => return false,
        }
    }
}

/// Answers what no route takes.
pub(crate) async fn fallback(request: HttpRequest) -> Result<actix_web::HttpResponse, Problem> {
    let Some(allow) = ApiState::of(&request).known_paths.allow(request.match_info().as_str()) else {
        return Err(Problem::new(ProblemKind::NotFound, "There is nothing under this path."));
    };
    let detail = format!("This path takes {allow} only.");
    let allow = HeaderValue::from_str(allow).expect("names of methods make a header value");
    Err(Problem::new(ProblemKind::MethodNotAllowed, detail).with_header(header::ALLOW, allow))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_paths_tell_their_methods() {
        let paths = KnownPaths::new(&crate::openapi(), &ApiSettings::default());
        let chat = "/api/v1/private/chats/9a983789-1709-4543-aa31-a02867680017";
        assert_eq!(paths.allow("/api/v1/private/chats"), Some("GET, HEAD, POST"));
        assert_eq!(paths.allow(chat), Some("GET, HEAD"));
        assert_eq!(paths.allow(&format!("{chat}/participants/x")), Some("DELETE"));
        assert_eq!(paths.allow("/problems/not-found"), Some("GET, HEAD"));
        assert_eq!(paths.allow("/swagger-ui/index.html"), Some("GET, HEAD"));
        for unknown in
            ["/api/v1/private", "/api/v1/private/", "/problems/", "/x", &format!("{chat}/"), "/api/v1/private/chats//"]
        {
            assert_eq!(paths.allow(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn without_swagger_ui_its_paths_are_not_known() {
        let settings = ApiSettings { swagger_ui: false, ..ApiSettings::default() };
        assert_eq!(KnownPaths::new(&crate::openapi(), &settings).allow("/swagger-ui/"), None);
    }
}
