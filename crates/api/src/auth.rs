//! Who asks, and what they may do.

use std::sync::Arc;

use actix_web::{
    Error, HttpMessage, HttpRequest,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{self, HeaderMap, HeaderValue},
    middleware::Next,
};
use convoke_domain::{Scope, TenantId, Timestamp};
use convoke_oidc::VerifyError;
use convoke_store::having_spent;
use subtle::ConstantTimeEq;
use tokio::time::Instant;

use crate::{
    audit,
    problem::{Problem, ProblemKind},
    rate_limit::TenantLimit,
    requests::TokenCheck,
    state::ApiState,
    token,
    token_cache::Verdict,
};

/// Who holds a verified token, and what it allows.
#[derive(Debug)]
pub(crate) struct Caller {
    /// Whose resources it opens.
    pub tenant: TenantId,
    /// Who holds it.
    pub subject: String,
    /// By what it was verified.
    pub proof: Proof,
    /// What the tenant may do at most, if that is limited.
    pub limit: Option<Arc<TenantLimit>>,
    pub(crate) scopes: Vec<Scope>,
    pub(crate) expires_at: Option<Timestamp>,
}

/// By what a token was verified.
#[derive(Debug, Hash)]
pub(crate) enum Proof {
    /// The store holds the hash of one with this prefix.
    Token(String),
    /// This issuer has signed it.
    Issuer(String),
}

impl Caller {
    /// The caller of a private operation that needs this scope.
    pub fn with_scope(request: &HttpRequest, scope: Scope) -> Result<Arc<Self>, Problem> {
        let caller = Self::of(request).expect("everything private is behind `authenticate`");
        if caller.scopes.contains(&scope) {
            return Ok(caller);
        }
        audit::scope_refused(request, &caller, scope);
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

/// Stands before everything private: lets through who has a valid token and is admitted, and answers 401 to everybody
/// else, whatever they ask for.
pub(crate) async fn authenticate(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let state = ApiState::of(request.request()).clone();
    let begun = Instant::now();
    let problem = match verify(&state, request.headers()).await {
        Ok(caller) => {
            TokenCheck::Accepted.count();
            request.extensions_mut().insert(caller.clone());
            match state.admission.admit(request.request(), &caller).await {
                Ok(()) => {
                    // The time in line counts like the look-up: who waits does so for the answer, whatever is in its way.
                    let rest = having_spent(begun.elapsed(), next.call(request));
                    return rest.await.map(ServiceResponse::map_into_boxed_body);
                }
                Err(problem) => problem,
            }
        }
        Err(NotIn::Refused(refusal)) => {
            TokenCheck::Refused.count();
            audit::log_in_failed(request.request(), &refusal.reason, refusal.prefix.as_deref());
            refusal.problem()
        }
        Err(NotIn::Unknown(problem)) => {
            TokenCheck::Undecided.count();
            problem
        }
    };
    Ok(request.error_response(problem))
}

/// Why somebody is not let in.
enum NotIn {
    /// The token is no good.
    Refused(Refusal),
    /// Whether it is any good can't be told right now.
    Unknown(Problem),
}

/// Why a token is no good: for the audit log. Whoever sent it learns only that it is not.
struct Refusal {
    reason: String,
    /// That of a token of ours.
    prefix: Option<String>,
    was_sent: bool,
}

impl Refusal {
    fn because(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), prefix: None, was_sent: true }
    }

    fn problem(&self) -> Problem {
        let (detail, challenge) = if self.was_sent {
            let challenge = "Bearer realm=\"convoke\", error=\"invalid_token\"";
            ("The token is unknown, has ended or was revoked.", challenge)
        } else {
            ("The request carries no token.", "Bearer realm=\"convoke\"")
        };
        Problem::new(ProblemKind::Unauthorized, detail)
            .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }
}

impl From<Refusal> for NotIn {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

async fn verify(state: &ApiState, headers: &HeaderMap) -> Result<Arc<Caller>, NotIn> {
    let token = match bearer(headers) {
        Credentials::Token(token) => token,
        Credentials::None => {
            return Err(Refusal { was_sent: false, ..Refusal::because("no token was sent") }.into());
        }
        Credentials::Malformed => return Err(Refusal::because("the header is malformed").into()),
    };
    let prefix = token::prefix_of(token);
    let hash = token::hash(token);
    let now = Instant::now();
    let known = match (state.tokens.get(&hash, now), prefix) {
        (Some(known), _) => known,
        (None, Some(prefix)) => {
            let found = find(state, prefix, &hash).await.map_err(NotIn::Unknown)?;
            state.tokens.put(hash, found.clone(), now);
            found
        }
        (None, None) => {
            let proved = of_issuer(state, token).await?;
            state.tokens.put(hash, proved.clone(), now);
            proved
        }
    };
    let refused = |reason: &str| Refusal { prefix: prefix.map(str::to_owned), ..Refusal::because(reason) };
    let caller = known.caller().ok_or_else(|| refused("the token is not known, or was revoked"))?;
    if caller.expires_at.is_some_and(|end| end <= state.environment.now()) {
        return Err(refused("the token has ended").into());
    }
    Ok(caller)
}

/// Looks a token of ours up; revoked ones are as if there were none.
async fn find(state: &ApiState, prefix: &str, hash: &[u8; 32]) -> Result<Verdict, Problem> {
    let stored = state.store.find_token(prefix).await?;
    let matching = stored.filter(|stored| stored.revoked_at.is_none() && bool::from(stored.token.hash.ct_eq(hash)));
    Ok(matching.map_or(Verdict::Bad, |stored| {
        let token = stored.token;
        Verdict::Good(Arc::new(Caller {
            limit: limit_of(state, &token.tenant),
            tenant: token.tenant,
            subject: token.subject,
            proof: Proof::Token(token.prefix),
            scopes: token.scopes,
            expires_at: token.expires_at,
        }))
    }))
}

fn limit_of(state: &ApiState, tenant: &TenantId) -> Option<Arc<TenantLimit>> {
    state.admission.rate_limits.as_ref().map(|limits| limits.of(tenant))
}

/// Verifies a token that is none of ours: one of an issuer that is trusted, or nothing.
async fn of_issuer(state: &ApiState, token: &str) -> Result<Verdict, NotIn> {
    let issuers = &state.settings.issuers;
    if issuers.is_empty() {
        return Err(Refusal::because("the token has not the form of one").into());
    }
    match issuers.verify(token, state.environment.now()).await {
        Ok(principal) => Ok(Verdict::Good(Arc::new(Caller {
            limit: limit_of(state, &principal.tenant),
            tenant: principal.tenant,
            subject: principal.subject,
            proof: Proof::Issuer(principal.issuer),
            scopes: principal.scopes,
            expires_at: Some(principal.expires_at),
        }))),
        Err(VerifyError::Refused(refusal)) => Err(Refusal::because(refusal.to_string()).into()),
        Err(VerifyError::Unavailable) => {
            Err(NotIn::Unknown(Problem::new(ProblemKind::ServiceUnavailable, "The service can't answer right now.")))
        }
    }
}

/// What a request shows of itself.
#[derive(Debug)]
pub(crate) enum Credentials<'a> {
    /// Nothing, or of another scheme.
    None,
    /// Something that is no token.
    Malformed,
    /// A token.
    Token(&'a str),
}

/// The token of the header `Authorization` (RFC 6750, section 2.1). Another scheme is as if no token was sent.
pub(crate) fn bearer(headers: &HeaderMap) -> Credentials<'_> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
