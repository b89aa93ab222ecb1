//! The one door to a PACS: requests to its base address and to no other. Redirects are not followed, and proxies of the
//! environment not used: both would take scans and passwords elsewhere.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use shared::api::route::push_encoded;
use ureq::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use ureq::http::{HeaderValue, Request, Response, StatusCode};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, TlsProvider, parse_pem};
use ureq::{Agent, AsSendBody, Body};

use super::PacsError;

/// How long a PACS may take to take up a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long it may think before it answers.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// How long it may be silent while it sends or takes in.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);
/// Largest answer in words.
const WORDS_LIMIT_BYTES: u64 = 64 << 20;
/// Where systems keep the authorities that they trust, as OpenSSL looks for them.
const TRUSTED: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// PEM texts that say who is who.
pub(super) struct Tls {
    /// Whom to trust; the system's authorities if there is none.
    pub(super) authorities: Option<Vec<u8>>,
    /// This server's own certificate and its key.
    pub(super) pair: Option<(Vec<u8>, Vec<u8>)>,
}

/// What a PACS answers to what is passed on to it.
pub struct Passed {
    /// 200, or one of those that say that there is nothing.
    pub status: u16,
    /// Media type.
    pub kind: String,
    /// To be read as it comes.
    pub body: Box<dyn Read + Send>,
}

/// A way to one PACS.
pub(super) struct Web {
    name: String,
    base: String,
    agent: Agent,
    authorization: Option<HeaderValue>,
}

impl std::fmt::Debug for Web {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Web to {}", self.base)
    }
}

impl Web {
    /// To a PACS whose addresses begin so.
    pub(super) fn open(name: String, base: String, authorization: Option<String>, tls: Tls) -> Result<Self> {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .user_agent(concat!("i3Deep/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT_LIMIT))
            .timeout_recv_response(Some(ANSWER_LIMIT))
            .timeout_per_read(Some(SILENCE_LIMIT))
            .timeout_per_write(Some(SILENCE_LIMIT));
        if base.starts_with("https:") {
            config = config.https_only(true).tls_config(tls.config()?);
        }
        let authorization = match authorization {
            None => None,
            Some(text) => {
                let mut value =
                    HeaderValue::from_str(&text).context("the secret has characters that no header takes")?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        Ok(Self { name, base, agent: config.build().into(), authorization })
    }

    /// JSON of an address; nothing where there is nothing.
    pub(super) fn find(&self, path: &str, query: &[(&str, &str)]) -> Result<Vec<Value>, PacsError> {
        let mut response = self.run("GET", path, query, "application/dicom+json", ())?;
        match response.status() {
            StatusCode::NO_CONTENT | StatusCode::NOT_FOUND => Ok(Vec::new()),
            StatusCode::OK => {
                let body = response.body_mut().with_config().limit(WORDS_LIMIT_BYTES).reader();
                serde_json::from_reader(body).map_err(|_| self.odd("it is no list in JSON"))
            }
            status => Err(self.refused(status)),
        }
    }

    /// The bytes of an address, with their media type; nothing if the PACS has them in no form that is accepted.
    pub(super) fn fetch(&self, path: &str, accept: &str) -> Result<Option<(String, impl Read + use<>)>, PacsError> {
        let response = self.run("GET", path, &[], accept, ())?;
        match response.status() {
            StatusCode::OK => {
                let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
                let kind = kind.unwrap_or_default().to_owned();
                Ok(Some((kind, response.into_body().into_with_config().limit(u64::MAX).reader())))
            }
            StatusCode::NOT_ACCEPTABLE => Ok(None),
            StatusCode::NOT_FOUND | StatusCode::GONE => Err(self.not_there()),
            status => Err(self.refused(status)),
        }
    }

    /// An answer as it is; where it says no more than that there is nothing, its words are not.
    pub(super) fn pass(&self, path: &str, query: &[(&str, &str)], accept: &str) -> Result<Passed, PacsError> {
        let response = self.run("GET", path, query, accept, ())?;
        let status = response.status();
        match status {
            StatusCode::OK => {
                let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
                let kind = kind.unwrap_or("application/octet-stream").to_owned();
                let body = Box::new(response.into_body().into_with_config().limit(u64::MAX).reader());
                Ok(Passed { status: status.as_u16(), kind, body })
            }
            StatusCode::NO_CONTENT | StatusCode::NOT_FOUND | StatusCode::NOT_ACCEPTABLE => {
                Ok(Passed { status: status.as_u16(), kind: "text/plain".to_owned(), body: Box::new(std::io::empty()) })
            }
            status => Err(self.refused(status)),
        }
    }

    /// Sends bytes, with their length said before them; the status, and what is said in JSON.
    pub(super) fn send(&self, path: &str, kind: &str, bytes: &[u8]) -> Result<(StatusCode, Value), PacsError> {
        let mut request = self.request("POST", path, &[], "application/dicom+json")?;
        let kind = HeaderValue::from_str(kind).map_err(|_| self.odd("a media type"))?;
        request.headers_mut().insert(CONTENT_TYPE, kind);
        let (head, ()) = request.into_parts();
        let response = self.agent.run(Request::from_parts(head, bytes));
        let mut response = response.map_err(|error| self.away(&error))?;
        let body = response.body_mut().with_config().limit(WORDS_LIMIT_BYTES).read_to_vec();
        let said = body.ok().and_then(|body| serde_json::from_slice(&body).ok()).unwrap_or_default();
        Ok((response.status(), said))
    }

    fn run(
        &self,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        accept: &str,
        body: impl AsSendBody,
    ) -> Result<Response<Body>, PacsError> {
        let (head, ()) = self.request(method, path, query, accept)?.into_parts();
        self.agent.run(Request::from_parts(head, body)).map_err(|error| self.away(&error))
    }

    fn request(
        &self,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        accept: &str,
    ) -> Result<Request<()>, PacsError> {
        let mut address = format!("{}{path}", self.base);
        for (number, (key, value)) in query.iter().enumerate() {
            address += if number == 0 { "?" } else { "&" };
            address += key;
            address.push('=');
            // A wildcard is one only as it stands.
            for (number, part) in value.split('*').enumerate() {
                address += if number == 0 { "" } else { "*" };
                push_encoded(&mut address, part);
            }
        }
        let mut request = Request::builder().method(method).uri(address).header(ACCEPT, accept);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        request.body(()).map_err(|_| self.odd("its address cannot be written"))
    }

    /// A status that the protocol has not for this.
    pub(super) fn refused(&self, status: StatusCode) -> PacsError {
        let source_name = self.name.clone();
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                PacsError::NotLetIn { source_name, status: status.as_u16() }
            }
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => PacsError::Away { source_name, why: format!("HTTP {}", status.as_u16()) },
            _ => PacsError::Odd { source_name, why: format!("HTTP {}", status.as_u16()) },
        }
    }

    /// An answer that is none.
    pub(super) fn odd(&self, why: &str) -> PacsError {
        PacsError::Odd { source_name: self.name.clone(), why: why.to_owned() }
    }

    /// It took nothing.
    pub(super) fn not_stored(&self, why: impl Into<String>) -> PacsError {
        PacsError::NotStored { source_name: self.name.clone(), why: why.into() }
    }

    /// It has nothing of the kind.
    pub(super) fn not_there(&self) -> PacsError {
        PacsError::NotThere(self.name.clone())
    }

    /// A connection that broke while it was read from.
    pub(super) fn cut_off(&self) -> PacsError {
        PacsError::Away { source_name: self.name.clone(), why: "the connection broke".to_owned() }
    }

    /// No answer: why, without the address, in which patients may stand.
    fn away(&self, error: &ureq::Error) -> PacsError {
        let why = match error {
            ureq::Error::Timeout(_) => "it took too long".to_owned(),
            ureq::Error::HostNotFound => "its name is not known".to_owned(),
            ureq::Error::ConnectionFailed => "no connection".to_owned(),
            ureq::Error::Io(error) => match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                Some(error) => format!("encryption: {error}"),
                None => error.kind().to_string(),
            },
            ureq::Error::Rustls(error) => format!("encryption: {error}"),
            _ => "the connection failed".to_owned(),
        };
        PacsError::Away { source_name: self.name.clone(), why }
    }
}

impl Tls {
    fn config(self) -> Result<TlsConfig> {
        let authorities = match self.authorities {
            Some(pem) => pem,
            None => {
                let found = TRUSTED.iter().find_map(|file| std::fs::read(file).ok());
                found.context("this system keeps no list of authorities where it is looked for; give ca_file")?
            }
        };
        let authorities = certificates(&authorities)?;
        let client = self.pair.map(|(certificate, key)| own(&certificate, &key)).transpose()?;
        Ok(TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(RootCerts::Specific(Arc::new(authorities)))
            .client_cert(client)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build())
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate<'static>>> {
    let found = parse_pem(pem).collect::<Result<Vec<_>, _>>().context("no certificates (PEM)")?;
    let certificate = |item| match item {
        PemItem::Certificate(certificate) => Some(certificate),
        _ => None,
    };
    let certificates: Vec<_> = found.into_iter().filter_map(certificate).collect();
    ensure!(!certificates.is_empty(), "no certificate (PEM) in it");
    Ok(certificates)
}

fn own(certificate: &[u8], key: &[u8]) -> Result<ClientCert> {
    let key = PrivateKey::from_pem(key).context("no private key (PEM) in key_file")?;
    Ok(ClientCert::new_with_certs(&certificates(certificate)?, key))
}
