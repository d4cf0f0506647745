//! Who asks, and what they may do.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use actix_web::{
    Error, HttpMessage, HttpRequest,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{self, HeaderMap, HeaderValue},
    middleware::Next,
};
use convoke_domain::{Scope, TenantId, Timestamp};
use subtle::ConstantTimeEq;
use tokio::time::Instant;

use crate::{
    problem::{Problem, ProblemKind},
    state::ApiState,
    token,
};

/// Who holds a verified token, and what it allows.
#[derive(Debug)]
pub(crate) struct Caller {
    /// Whose resources it opens.
    pub tenant: TenantId,
    /// Who holds it.
    pub subject: String,
    scopes: Vec<Scope>,
    expires_at: Option<Timestamp>,
}

impl Caller {
    /// The caller of a private operation that needs this scope.
    pub fn with_scope(request: &HttpRequest, scope: Scope) -> Result<Arc<Self>, Problem> {
        let caller = Self::of(request).expect("everything private is behind `authenticate`");
        if caller.scopes.contains(&scope) {
            return Ok(caller);
        }
        let challenge = format!("Bearer realm=\"convoke\", error=\"insufficient_scope\", scope=\"{scope}\"");
        let challenge = HeaderValue::from_str(&challenge).expect("a scope's name makes a header value");
        Err(Problem::new(ProblemKind::Forbidden, format!("The token lacks the scope {scope}."))
            .with_header(header::WWW_AUTHENTICATE, challenge))
    }

    /// The caller, if the request has come past [`authenticate`].
    pub fn of(request: &HttpRequest) -> Option<Arc<Self>> {
        request.extensions().get::<Arc<Self>>().cloned()
    }
}

/// Stands before everything private: lets through who has a valid token, and answers 401 to everybody else, whatever
/// they ask for.
pub(crate) async fn authenticate(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let state = ApiState::of(request.request()).clone();
    match verify(&state, request.headers()).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.call(request).await.map(ServiceResponse::map_into_boxed_body)
        }
        Err(problem) => Ok(request.error_response(problem)),
    }
}

async fn verify(state: &ApiState, headers: &HeaderMap) -> Result<Arc<Caller>, Problem> {
    let token = match bearer(headers) {
        Credentials::Token(token) => token,
        Credentials::None => {
            let detail = "The request carries no token.";
            return Err(unauthorized(detail, "Bearer realm=\"convoke\""));
        }
        Credentials::Malformed => return Err(invalid_token()),
    };
    let prefix = token::prefix_of(token).ok_or_else(invalid_token)?;
    let hash = token::hash(token);
    let now = Instant::now();
    let known = if let Some(known) = state.tokens.get(&hash, now) {
        known
    } else {
        let found = find(state, prefix, &hash).await?;
        state.tokens.put(hash, found.clone(), now);
        found
    };
    let valid = known.caller().filter(|caller| caller.expires_at.is_none_or(|end| state.environment.now() < end));
    valid.ok_or_else(invalid_token)
}

/// Looks a token up; revoked ones are as if there were none.
async fn find(state: &ApiState, prefix: &str, hash: &[u8; 32]) -> Result<Verdict, Problem> {
    let stored = state.store.find_token(prefix).await?;
    let matching = stored.filter(|stored| stored.revoked_at.is_none() && bool::from(stored.token.hash.ct_eq(hash)));
    Ok(matching.map_or(Verdict::Bad, |stored| {
        let token = stored.token;
        let (tenant, subject) = (token.tenant, token.subject);
        Verdict::Good(Arc::new(Caller { tenant, subject, scopes: token.scopes, expires_at: token.expires_at }))
    }))
}

enum Credentials<'a> {
    None,
    Malformed,
    Token(&'a str),
}

/// The token of the header `Authorization` (RFC 6750, section 2.1). Another scheme is as if no token was sent.
fn bearer(headers: &HeaderMap) -> Credentials<'_> {
    let mut sent = headers.get_all(header::AUTHORIZATION);
    let Some(value) = sent.next() else { return Credentials::None };
    if sent.next().is_some() {
        return Credentials::Malformed;
    }
    let Ok(value) = value.to_str() else { return Credentials::Malformed };
    let (scheme, token) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Credentials::None;
    }
    match token.trim() {
        "" => Credentials::Malformed,
        token => Credentials::Token(token),
    }
}

fn invalid_token() -> Problem {
    let challenge = "Bearer realm=\"convoke\", error=\"invalid_token\"";
    unauthorized("The token is unknown, has ended or was revoked.", challenge)
}

fn unauthorized(detail: &'static str, challenge: &'static str) -> Problem {
    Problem::new(ProblemKind::Unauthorized, detail)
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
}

/// What was found out about a token.
#[derive(Debug, Clone)]
enum Verdict {
    /// It is kept and was not revoked; whether it has ended is looked at every time.
    Good(Arc<Caller>),
    /// There is none such, or it was revoked.
    Bad,
}

impl Verdict {
    fn caller(self) -> Option<Arc<Caller>> {
        match self {
            Self::Good(caller) => Some(caller),
            Self::Bad => None,
        }
    }
}

/// What was found out about tokens within the last few seconds, misses included. Keys are hashes: the cache holds no
/// secret.
#[derive(Debug, Default)]
pub(crate) struct TokenCache(Mutex<HashMap<[u8; 32], Cached>>);

#[derive(Debug)]
struct Cached {
    since: Instant,
    verdict: Verdict,
}

impl TokenCache {
    /// How long what was found out is believed: a revocation is felt within that.
    const LIFETIME: Duration = Duration::from_secs(3);
    /// How many are kept, so that a client that tries many can't fill the memory.
    const CAPACITY: usize = 10_000;

    fn get(&self, hash: &[u8; 32], now: Instant) -> Option<Verdict> {
        let cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cached = cache.get(hash)?;
        (now.duration_since(cached.since) < Self::LIFETIME).then(|| cached.verdict.clone())
    }

    /// Keeps what was found out about a token that was looked up at `since`.
    fn put(&self, hash: [u8; 32], verdict: Verdict, since: Instant) {
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= Self::CAPACITY {
            cache.retain(|_, cached| since.duration_since(cached.since) < Self::LIFETIME);
        }
        if cache.len() >= Self::CAPACITY {
            // Whoever tries that many makes misses: let those go, the verified ones stay.
            cache.retain(|_, cached| matches!(cached.verdict, Verdict::Good(_)));
        }
        if cache.len() < Self::CAPACITY {
            cache.insert(hash, Cached { since, verdict });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller() -> Arc<Caller> {
        Arc::new(Caller {
            tenant: "acme".parse().unwrap(),
            subject: "ann".to_owned(),
            scopes: vec![],
            expires_at: None,
        })
    }

    fn token_of(values: &[&str]) -> Result<String, bool> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        match bearer(&headers) {
            Credentials::Token(token) => Ok(token.to_owned()),
            Credentials::Malformed => Err(true),
            Credentials::None => Err(false),
        }
    }

    #[test]
    fn the_scheme_is_read_in_any_case() {
        for sent in ["Bearer x", "bearer x", "BEARER   x "] {
            assert_eq!(token_of(&[sent]), Ok("x".to_owned()), "{sent}");
        }
        assert_eq!(token_of(&[]), Err(false));
        assert_eq!(token_of(&["Basic eDp5"]), Err(false));
        assert_eq!(token_of(&["Bearer"]), Err(true));
        assert_eq!(token_of(&["Bearer x", "Bearer x"]), Err(true));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_found_out_is_forgotten_after_three_seconds() {
        let cache = TokenCache::default();
        cache.put([1; 32], Verdict::Good(caller()), Instant::now());
        cache.put([2; 32], Verdict::Bad, Instant::now());
        tokio::time::advance(Duration::from_millis(2_999)).await;
        assert!(matches!(cache.get(&[1; 32], Instant::now()), Some(Verdict::Good(_))));
        assert!(matches!(cache.get(&[2; 32], Instant::now()), Some(Verdict::Bad)));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(cache.get(&[1; 32], Instant::now()).is_none());
        assert!(cache.get(&[2; 32], Instant::now()).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_misses_does_not_drive_out_who_is_known() {
        let cache = TokenCache::default();
        cache.put([255; 32], Verdict::Good(caller()), Instant::now());
        for number in 0..3 * u64::try_from(TokenCache::CAPACITY).unwrap() {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&number.to_le_bytes());
            cache.put(hash, Verdict::Bad, Instant::now());
        }
        assert!(cache.0.lock().unwrap().len() <= TokenCache::CAPACITY);
        assert!(matches!(cache.get(&[255; 32], Instant::now()), Some(Verdict::Good(_))));
    }
}
