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
use super::client::OHIF_POLICY;
use super::error::Refusal;
use super::people::Access;

/// Refuses requests that another site makes in the expert's browser; adds security headers to every answer.
pub(super) async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let parts = request.app_data::<Data<Parts>>().cloned();
    let mut response = match parts.as_ref().and_then(|parts| foreign(&request, &parts.access)) {
        Some(refusal) => {
            let (request, payload) = request.into_parts();
            drop(payload);
            ServiceResponse::new(request, refusal.error_response()).map_into_boxed_body()
        }
        None => next.call(request).await?.map_into_boxed_body(),
    };
    let policy = match response.request().path().starts_with("/ohif/") {
        true => Some(OHIF_POLICY.to_owned()),
        false => parts.as_ref().map(|parts| parts.client.content_security_policy()),
    };
    let encrypted = parts.is_some_and(|parts| parts.access.encrypted);
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if let Some(policy) = policy.and_then(|policy| HeaderValue::from_str(&policy).ok()) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    if encrypted {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
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

/// A request that comes under another name than this server's (DNS rebinding), or from another site's pages.
fn foreign(request: &ServiceRequest, access: &Access) -> Option<Refusal> {
    let refuse = |why: &str| Some(Refusal::new(StatusCode::FORBIDDEN, ErrorCode::ForeignRequest, why));
    let host = named_host(request);
    if !answers_to(&access.hosts, &host) {
        return refuse(
            "this server does not answer under this name; open the address that it printed at its start, or allow the \
             name with --host",
        );
    }
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let text = |name| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    // Programs send neither of the two; browsers always send one, and no page can set them.
    let ours = match (text(header::ORIGIN), text(HeaderName::from_static("sec-fetch-site"))) {
        (Some(origin), _) => is_own_origin(origin, &host, access),
        (None, Some(site)) => ["same-origin", "none"].contains(&site),
        (None, None) => true,
    };
    if ours { None } else { refuse("this request comes from another site; use i3Deep's own pages") }
}

fn is_own_origin(origin: &str, host: &str, access: &Access) -> bool {
    let Some((_, authority)) = origin.split_once("://") else { return false };
    // A proxy may have put another host into the request than the browser did.
    authority == host || (access.proxy.is_some() && answers_to(&access.hosts, authority))
}

/// Whether a server with these names answers to this one; a loopback address stands for all of them.
fn answers_to(names: &[String], host: &str) -> bool {
    let Some(name) = host_name(host) else { return false };
    names.contains(&name) || (is_loopback(&name) && names.iter().any(|name| is_loopback(name)))
}

/// The host that the browser itself put into the request. A page may set `Forwarded` and `X-Forwarded-Host`, never
/// this.
fn named_host(request: &ServiceRequest) -> String {
    let header = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    header.or_else(|| request.uri().authority().map(|authority| authority.as_str())).unwrap_or_default().to_owned()
}

fn is_loopback(name: &str) -> bool {
    name == "localhost"
        || name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
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
    fn only_names_that_are_allowed_are_answered_to() {
        fn check_of(names: &[&str], host: &str, expected: bool) {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(answers_to(&names, host), expected, "{host} of {names:?}");
        }
        let check = |host: &str, expected: bool| check_of(&["127.0.0.1"], host, expected);
        check_of(&["seg.hospital.example"], "SEG.hospital.example", true);
        check_of(&["seg.hospital.example"], "seg.hospital.example:8443", true);
        check_of(&["seg.hospital.example"], "hospital.example", false);
        check_of(&["seg.hospital.example"], "127.0.0.1:8080", false);
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
