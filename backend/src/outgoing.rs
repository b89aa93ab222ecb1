//! The one way out to other machines: no redirect is followed and no proxy of the environment used, since both would
//! take scans and passwords elsewhere; certificates are checked against the system's authorities or those that are
//! named.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ureq::Agent;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, TlsProvider, parse_pem};

/// How long another machine may take to take up a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Where systems keep the authorities that they trust, as OpenSSL looks for them.
const TRUSTED: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// PEM texts that say who is who.
#[derive(Debug, Default)]
pub(crate) struct Tls {
    /// Whom to trust; the system's authorities if there is none.
    pub(crate) authorities: Option<Vec<u8>>,
    /// This server's own certificate and its key.
    pub(crate) pair: Option<(Vec<u8>, Vec<u8>)>,
}

/// How long the other end may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Until it answers.
    pub(crate) answer: Duration,
    /// Between two pieces, while it sends or takes in.
    pub(crate) silence: Duration,
}

/// A way to where addresses begin like `base`.
///
/// # Errors
/// If the certificates cannot be read.
pub(crate) fn agent(base: &str, tls: Tls, patience: Patience) -> Result<Agent> {
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .user_agent(concat!("i3Deep/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(Some(CONNECT_LIMIT))
        .timeout_recv_response(Some(patience.answer))
        .timeout_per_read(Some(patience.silence))
        .timeout_per_write(Some(patience.silence));
    if base.starts_with("https:") {
        config = config.https_only(true).tls_config(tls.config()?);
    }
    Ok(config.build().into())
}

/// Whether an address's host is this very machine, so that nobody is in between.
pub(crate) fn is_here(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let name = if host.starts_with('[') { host.split(']').next() } else { host.split(':').next() };
    let name = name.unwrap_or_default().trim_start_matches('[');
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Why there is no answer, without the address, in which patients may stand.
pub(crate) fn why_away(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => "it took too long".to_owned(),
        ureq::Error::HostNotFound => "its name is not known".to_owned(),
        ureq::Error::ConnectionFailed => "no connection".to_owned(),
        ureq::Error::Io(error) => match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(error) => format!("encryption: {error}"),
            None => error.kind().to_string(),
        },
        ureq::Error::Rustls(error) => format!("encryption: {error}"),
        _ => "the connection failed".to_owned(),
    }
}

impl Tls {
    fn config(self) -> Result<TlsConfig> {
        let authorities = match self.authorities {
            Some(pem) => pem,
            None => {
                let found = TRUSTED.iter().find_map(|file| std::fs::read(file).ok());
                found.context("this system keeps no list of authorities where it is looked for; name a file of them")?
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_its_names() {
        fn check(url: &str, expected: bool) {
            assert_eq!(is_here(url), expected, "{url}");
        }
        check("http://localhost:8080/path", true);
        check("http://127.0.0.1", true);
        check("http://[::1]:90/", true);
        check("http://127.0.0.1.evil.example", false);
        check("http://evil.example/127.0.0.1", false);
        check("http://10.0.0.5", false);
    }
}
