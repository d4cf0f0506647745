//! What all answers have in common: their headers, their request id, and the form of refusals.

use actix_web::{
    Error, HttpMessage, HttpRequest, HttpResponse,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{
        ConnectionType, StatusCode,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
    middleware::Next,
    web,
};

use super::{Shared, problem::Problem, view};

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Nothing but the own style sheet and icon is loaded, no script runs, forms post here only, nobody frames the page.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                                       base-uri 'none'; frame-ancestors 'none'";

/// The name of a request, in its answer and in logs.
#[derive(Debug, Clone)]
struct RequestId(String);

/// Names the request, and puts on the answer what every answer has.
pub(super) async fn finish(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let id = sent_request_id(request.headers()).unwrap_or_else(|| new_request_id(&request));
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.call(request).await?;
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::try_from(id) {
        headers.insert(X_REQUEST_ID.clone(), id);
    }
    let same_for_all = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        // Not `no-referrer`: with it browsers send `Origin: null` with the page's own forms (Fetch standard, "append a
        // request Origin header"), which are refused as cross-site posts then.
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("x-robots-tag"), "noindex, nofollow"),
    ];
    for (name, value) in same_for_all {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    Ok(response)
}

/// The request id that was sent, if it is one and has 1–64 visible ASCII characters.
fn sent_request_id(headers: &HeaderMap) -> Option<String> {
    let mut all_sent = headers.get_all(&X_REQUEST_ID);
    let sent = all_sent.next()?.as_bytes();
    let is_valid = all_sent.next().is_none() && (1..=64).contains(&sent.len()) && sent.iter().all(u8::is_ascii_graphic);
    is_valid.then(|| String::from_utf8_lossy(sent).into_owned())
}

fn new_request_id(request: &ServiceRequest) -> String {
    let shared = request.app_data::<web::Data<Shared>>();
    shared.map_or_else(String::new, |shared| shared.sandbox.environment.new_uuid().to_string())
}

/// An HTML page.
pub(super) fn html(status: StatusCode, body: String) -> HttpResponse {
    HttpResponse::build(status).content_type("text/html; charset=utf-8").body(body)
}

/// Says what is wrong: as a page, or as `application/problem+json` (RFC 9457) to those who ask for JSON.
pub(super) fn refuse(request: &HttpRequest, problem: &Problem) -> HttpResponse {
    let id = request.extensions().get::<RequestId>().map_or_else(String::new, |id| id.0.clone());
    if let Some(cause) = problem.cause() {
        tracing::warn!(request_id = id, code = problem.kind().slug, cause, "a request to the sandbox failed");
    }
    // `/sandbox` itself lies outside: pages begin below it.
    let mut response = if asks_for_json(request.headers()) || request.match_info().as_str() == "/sandbox" {
        let body = problem.to_json(request.path(), &id);
        HttpResponse::build(problem.kind().status).content_type("application/problem+json").body(body)
    } else {
        let prefix = request.app_data::<web::Data<Shared>>().map_or("", |shared| shared.public_url.prefix());
        html(problem.kind().status, view::problem_page(problem, prefix, &id))
    };
    if problem.closes_connection() {
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    for (name, value) in problem.headers() {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whether `Accept` names JSON, and likes it no less than HTML.
fn asks_for_json(headers: &HeaderMap) -> bool {
    let (mut json, mut html) = (0.0, 0.0);
    let ranges = headers.get_all(header::ACCEPT).filter_map(|value| value.to_str().ok());
    for range in ranges.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let best = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "application/json" | "application/problem+json" => &mut json,
            "text/html" | "application/xhtml+xml" => &mut html,
            _ => continue,
        };
        let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let quality = quality.map_or(1.0, |text| text.trim().parse::<f32>().unwrap_or(0.0));
        *best = quality.max(*best);
    }
    json > 0.0 && json >= html
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(accept: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_str(accept).unwrap());
        asks_for_json(&headers)
    }

    #[test]
    fn json_is_for_those_who_ask_for_it() {
        for accept in [
            "application/json",
            "application/problem+json",
            "Application/JSON; q=0.3, */*",
            "text/html;q=0.5, application/json",
        ] {
            assert!(asks(accept), "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "application/json;q=0",
            "text/html, application/json;q=0.9",
        ] {
            assert!(!asks(accept), "{accept}");
        }
        assert!(!asks_for_json(&HeaderMap::new()));
    }
}
