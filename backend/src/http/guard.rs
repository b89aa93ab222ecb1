//! What every request must pass and every answer carries.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::uri::Authority;
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, ResponseError};

use shared::api::ErrorCode;

use super::Parts;
use super::error::Refusal;

/// Refuses requests that another site makes in the expert's browser; adds security headers to every answer.
pub(super) async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let parts = request.app_data::<Data<Parts>>().cloned();
    let loopback_only = parts.as_ref().is_some_and(|parts| parts.loopback_only);
    let mut response = match foreign(&request, loopback_only) {
        Some(refusal) => {
            let (request, payload) = request.into_parts();
            drop(payload);
            ServiceResponse::new(request, refusal.error_response()).map_into_boxed_body()
        }
        None => next.call(request).await?.map_into_boxed_body(),
    };
    let policy = parts.map(|parts| parts.client.content_security_policy());
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if let Some(policy) = policy.and_then(|policy| HeaderValue::from_str(&policy).ok()) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    // Patient data stays out of the browser's cache; the client's own files say otherwise themselves.
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    Ok(response)
}

const HEADERS: [(&str, &str); 5] = [
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("x-frame-options", "DENY"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// A request that does not come from our own pages (or from a program, which sends no `Origin`).
fn foreign(request: &ServiceRequest, loopback_only: bool) -> Option<Refusal> {
    let refuse = |why: &str| Some(Refusal::new(StatusCode::FORBIDDEN, ErrorCode::ForeignRequest, why));
    if loopback_only && !is_loopback(&named_host(request)) {
        return refuse("this server answers under its local address only; open http://127.0.0.1 with its port");
    }
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let origin = request.headers().get(header::ORIGIN)?.to_str().unwrap_or_default();
    match origin.split_once("://") {
        Some((_, authority)) if authority == request.connection_info().host() => None,
        _ => refuse("this request comes from another site; use i3Deep's own pages"),
    }
}

/// The host that the browser itself put into the request. A page may set `Forwarded` and `X-Forwarded-Host`, never this.
fn named_host(request: &ServiceRequest) -> String {
    let header = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    header.or_else(|| request.uri().authority().map(|authority| authority.as_str())).unwrap_or_default().to_owned()
}

fn is_loopback(host: &str) -> bool {
    let Some(name) = host_name(host) else { return false };
    name == "localhost" || name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The name in `name:port` or `name`, as RFC 3986 has it; nothing if it is anything else.
fn host_name(host: &str) -> Option<String> {
    let authority: Authority = host.parse().ok()?;
    let port = authority.port().map(|port| format!(":{port}")).unwrap_or_default();
    // Whatever else an authority may have (a user, a port that is none) does not belong into a Host.
    (authority.as_str() == format!("{}{port}", authority.host())).then(|| authority.host().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_local_names_are_local() {
        fn check(host: &str, expected: bool) {
            assert_eq!(is_loopback(host), expected, "{host}");
        }
        check("127.0.0.1:8080", true);
        check("127.0.0.1", true);
        check("localhost:8080", true);
        check("[::1]:8080", true);
        check("evil.example:8080", false);
        check("127.0.0.1.evil.example", false);
        check("10.0.0.5:8080", false);
        check("localhost:evil", false);
        check("evil.example@127.0.0.1:8080", false);
        check("127.0.0.1:8080/evil", false);
        check("", false);
    }
}
