//! The audit log: what happened that concerns security, who did it, from where. One line each, under a target of its
//! own, to which the log adds the time (`docs/logging.md`). Never a secret: of a token its prefix.

use std::net::IpAddr;

use actix_web::{HttpRequest, http::header::HeaderMap};
use convoke_domain::{ChatId, OperationId, ParticipantId, Scope};

use crate::{
    auth::{Caller, Proof},
    frame::request_id,
    state::ApiState,
};

/// Under which these lines are, whatever writes them.
pub const AUDIT_TARGET: &str = "convoke::audit";

/// Somebody was not let in.
pub(crate) fn log_in_failed(request: &HttpRequest, reason: &str, prefix: Option<&str>) {
    tracing::info!(
        target: AUDIT_TARGET,
        event = "log-in-failed",
        reason,
        token = prefix,
        remote = remote(request),
        request_id = request_id(request).as_str(),
        "a log-in failed"
    );
}

/// Somebody who is known asked for what their token does not allow.
pub(crate) fn scope_refused(request: &HttpRequest, caller: &Caller, scope: Scope) {
    let who = Who::of(caller);
    tracing::info!(
        target: AUDIT_TARGET,
        event = "scope-refused",
        scope = scope.as_str(),
        tenant = who.tenant,
        subject = who.subject,
        token = who.token,
        issuer = who.issuer,
        remote = remote(request),
        request_id = request_id(request).as_str(),
        "a scope was refused"
    );
}

/// Somebody had a participant removed.
pub(crate) fn removal_requested(
    request: &HttpRequest,
    caller: &Caller,
    chat: ChatId,
    participant: ParticipantId,
    operation: OperationId,
) {
    let who = Who::of(caller);
    tracing::info!(
        target: AUDIT_TARGET,
        event = "removal-requested",
        %chat,
        %participant,
        %operation,
        tenant = who.tenant,
        subject = who.subject,
        token = who.token,
        issuer = who.issuer,
        remote = remote(request),
        request_id = request_id(request).as_str(),
        "a removal was asked for"
    );
}

/// A caller, as the log knows them.
struct Who<'a> {
    tenant: &'a str,
    subject: &'a str,
    token: Option<&'a str>,
    issuer: Option<&'a str>,
}

impl<'a> Who<'a> {
    fn of(caller: &'a Caller) -> Self {
        let (token, issuer) = match &caller.proof {
            Proof::Token(prefix) => (Some(prefix.as_str()), None),
            Proof::Issuer(issuer) => (None, Some(issuer.as_str())),
        };
        Self { tenant: caller.tenant.as_str(), subject: &caller.subject, token, issuer }
    }
}

/// The address that a request comes from.
fn remote(request: &HttpRequest) -> Option<String> {
    let proxies = ApiState::of(request).settings.trusted_proxies;
    let peer = request.peer_addr().map(|address| address.ip());
    address(request.headers(), peer, proxies).map(|address| address.to_string())
}

/// The peer's address; behind proxies, the one that the outermost of them saw. Each adds the address of whoever it was
/// asked by to the end of `X-Forwarded-For`; what stands before comes from the client, who may write anything.
fn address(headers: &HeaderMap, peer: Option<IpAddr>, proxies: u8) -> Option<IpAddr> {
    let Some(place) = usize::from(proxies).checked_sub(1) else { return peer };
    let lines: Vec<_> = headers.get_all("x-forwarded-for").filter_map(|line| line.to_str().ok()).collect();
    let forwarded = lines.iter().rev().flat_map(|line| line.rsplit(',')).nth(place);
    forwarded.and_then(|address| address.trim().parse().ok()).or(peer)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn only_what_trusted_proxies_have_added_counts() {
        let mut headers = HeaderMap::new();
        for line in ["203.0.113.9, 198.51.100.1", "2001:db8::7 , 192.0.2.2"] {
            headers.append(HeaderName::from_static("x-forwarded-for"), HeaderValue::from_static(line));
        }
        let peer = Some(IpAddr::from([10, 0, 0, 1]));
        let of = |proxies| address(&headers, peer, proxies).map(|address| address.to_string()).unwrap_or_default();
        assert_eq!(of(0), "10.0.0.1");
        assert_eq!(of(1), "192.0.2.2");
        assert_eq!(of(2), "2001:db8::7");
        assert_eq!(of(4), "203.0.113.9");
        assert_eq!(of(5), "10.0.0.1", "there are not as many");
        assert_eq!(address(&HeaderMap::new(), peer, 1), peer);
        assert_eq!(address(&HeaderMap::new(), None, 1), None);
    }
}
