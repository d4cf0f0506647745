//! Requests on their way: sent, repeated where that helps, answers and problems told apart.

use std::time::Duration;

use chrono::DateTime;
use reqwest::{
    Method, StatusCode, Url,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;

use crate::{Error, Problem, RetryPolicy, retry};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// The longest wait that the service takes (`contract.md`, `Prefer`).
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What every request goes through.
#[derive(Debug)]
pub(crate) struct Transport {
    http: reqwest::Client,
    base: Url,
    authorization: HeaderValue,
    timeout: Duration,
    retry: RetryPolicy,
}

/// A request, ready to be sent any number of times.
pub(crate) struct Call {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Option<Vec<u8>>,
    wait: Duration,
}

/// An answer that is no problem.
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    body: Vec<u8>,
}

impl Transport {
    pub fn new(
        http: reqwest::Client,
        base: Url,
        token: &SecretString,
        timeout: Duration,
        retry: RetryPolicy,
    ) -> Result<Self, Error> {
        let value = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()));
        let mut authorization = value.map_err(|_| Error::Settings("the token can't be sent in a header".to_owned()))?;
        // Its Debug form hides what it is.
        authorization.set_sensitive(true);
        Ok(Self { http, base, authorization, timeout, retry })
    }

    /// A request to what is at this path of the API, which is given in its segments.
    pub fn call(&self, method: Method, segments: &[&str]) -> Call {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["api", "v1", "private"]).extend(segments);
        }
        Call { method, url, headers: HeaderMap::new(), body: None, wait: Duration::ZERO }
    }

    /// Sends a request, and sends it again while that helps.
    pub async fn send(&self, call: &Call) -> Result<Answer, Error> {
        let mut attempt = 1;
        loop {
            let error = match self.send_once(call).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let Some(pause) = self.retry.pause_after(attempt, &error, retry::chance()) else { return Err(error) };
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    async fn send_once(&self, call: &Call) -> Result<Answer, Error> {
        let request = self.http.request(call.method.clone(), call.url.clone());
        let request = request
            .headers(call.headers.clone())
            .header(header::AUTHORIZATION, self.authorization.clone())
            .timeout(self.timeout.saturating_add(call.wait));
        let request = match &call.body {
            Some(json) => request.header(header::CONTENT_TYPE, "application/json").body(json.clone()),
            None => request,
        };
        let response = request.send().await.map_err(Error::NoAnswer)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.map_err(Error::NoAnswer)?.to_vec();
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            Ok(Answer { status, headers, body })
        } else {
            Err(failure(status.as_u16(), &headers, &body))
        }
    }
}

impl Call {
    /// Sends this as its body.
    pub fn json(mut self, json: Vec<u8>) -> Self {
        self.body = Some(json);
        self
    }

    /// Asks the service to wait with its answer, in whole seconds and no longer than it would.
    pub fn wait(mut self, wait: Option<Duration>) -> Self {
        let seconds = wait.unwrap_or_default().min(LONGEST_WAIT).as_secs();
        if let (true, Ok(value)) = (seconds > 0, HeaderValue::from_str(&format!("wait={seconds}"))) {
            self.headers.insert(PREFER, value);
            self.wait = Duration::from_secs(seconds);
        }
        self
    }

    /// Lets the service do this once, however often it is sent: under this key, or under one that nobody else has.
    ///
    /// # Errors
    /// [`Error::Settings`] if the key can't be sent, or there is no randomness to make one from.
    pub fn once(mut self, key: Option<&str>) -> Result<Self, Error> {
        let key = match key {
            Some(key) => key.to_owned(),
            None => random_key()?,
        };
        let value = HeaderValue::from_str(&key)
            .map_err(|_| Error::Settings("the idempotency key can't be sent in a header".to_owned()))?;
        self.headers.insert(IDEMPOTENCY_KEY, value);
        Ok(self)
    }

    /// Asks only for what is not this.
    pub fn unless(mut self, tag: HeaderValue) -> Self {
        self.headers.insert(header::IF_NONE_MATCH, tag);
        self
    }

    /// Asks with this query, which is encoded here.
    pub fn query(mut self, pairs: &[(&str, String)]) -> Self {
        if !pairs.is_empty() {
            self.url.query_pairs_mut().extend_pairs(pairs);
        }
        self
    }

    /// Asks with this query, which is encoded already.
    pub fn raw_query(mut self, query: &str) -> Self {
        self.url.set_query(Some(query));
        self
    }
}

impl Answer {
    /// Its body, read as JSON.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| self.unexpected(&error.to_string()))
    }

    /// What is to be said if the answer is not as the contract has it.
    pub fn unexpected(&self, reason: &str) -> Error {
        Error::UnexpectedAnswer { status: self.status.as_u16(), reason: reason.to_owned(), retry_after: None }
    }
}

/// What an answer that is no success means.
fn failure(status: u16, headers: &HeaderMap, body: &[u8]) -> Error {
    let retry_after = retry_after(headers);
    match Problem::read(status, body) {
        Some(problem) => Error::Problem { problem: Box::new(problem), retry_after },
        None => Error::UnexpectedAnswer { status, reason: "its body is no problem".to_owned(), retry_after },
    }
}

/// How long `Retry-After` asks for (RFC 9110, section 10.2.3): seconds, or a date, which is measured from the answer's own
/// `Date`, so that clocks that differ do no harm.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok();
    let value = text(header::RETRY_AFTER)?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // Digits alone fail to parse only if there are too many of them.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let until = DateTime::parse_from_rfc2822(value).ok()?;
    let from = DateTime::parse_from_rfc2822(text(header::DATE)?).ok()?;
    Some((until - from).to_std().unwrap_or(Duration::ZERO))
}

/// A key that nobody else has: 128 bits of chance.
fn random_key() -> Result<String, Error> {
    let (high, low) = getrandom::u64()
        .and_then(|high| Ok((high, getrandom::u64()?)))
        .map_err(|error| Error::Settings(format!("there is no randomness for an idempotency key: {error}")))?;
    Ok(format!("{high:016x}{low:016x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let seconds = |pairs: &[_]| retry_after(&headers(pairs)).map(|pause| pause.as_secs());
        let date = (header::DATE, "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(seconds(&[(header::RETRY_AFTER, "7")]), Some(7));
        assert_eq!(seconds(&[(header::RETRY_AFTER, "99999999999999999999999")]), Some(u64::MAX));
        let later = (header::RETRY_AFTER, "Sun, 06 Nov 1994 08:50:37 GMT");
        assert_eq!(seconds(&[date.clone(), later.clone()]), Some(60));
        assert_eq!(seconds(&[date.clone(), (header::RETRY_AFTER, "Sun, 06 Nov 1994 08:00:00 GMT")]), Some(0));
        assert_eq!(seconds(&[later]), None, "from when?");
        assert_eq!(seconds(&[date, (header::RETRY_AFTER, "soon")]), None);
        assert_eq!(seconds(&[]), None);
    }

    #[test]
    fn the_base_may_have_a_path_and_a_slash_at_its_end() {
        for (base, url) in [
            ("http://h", "http://h/api/v1/private/chats"),
            ("http://h:1/", "http://h:1/api/v1/private/chats"),
            ("http://h/convoke", "http://h/convoke/api/v1/private/chats"),
            ("http://h/convoke/", "http://h/convoke/api/v1/private/chats"),
        ] {
            let token = SecretString::from("t");
            let base = Url::parse(base).unwrap();
            let transport =
                Transport::new(reqwest::Client::new(), base, &token, Duration::ZERO, RetryPolicy::never()).unwrap();
            assert_eq!(transport.call(Method::GET, &["chats"]).url.as_str(), url);
        }
    }

    #[test]
    fn keys_differ() {
        let (one, other) = (random_key().unwrap(), random_key().unwrap());
        assert_eq!(one.len(), 32);
        assert_ne!(one, other);
    }
}
