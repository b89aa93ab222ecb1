//! Who reaches the server from elsewhere, and how: encrypted and with an account, or not at all.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;

use crate::people::PASSWORD;
use crate::server::{Server, models};

const HOST: &str = "seg.hospital.example";

/// A certificate of one's own and its key, as files.
struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    _folder: tempfile::TempDir,
}

impl Certificate {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed([HOST.to_owned()]).unwrap();
        let (chain, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
        std::fs::write(&chain, cert.pem()).unwrap();
        std::fs::write(&key, signing_key.serialize_pem()).unwrap();
        Self { chain, key, _folder: folder }
    }

    fn arguments(&self) -> [&str; 4] {
        ["--tls-certificate", text(&self.chain), "--tls-key", text(&self.key)]
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What a client that trusts this certificate and no other is answered.
fn ask(trusted: &Certificate, port: u16, request: &str) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&trusted.chain).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connection = ClientConnection::new(Arc::new(config), ServerName::try_from(HOST).unwrap()).unwrap();
    let mut stream = StreamOwned::new(connection, TcpStream::connect(("127.0.0.1", port))?);
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        // A server that is done may close without the last word of TLS.
        Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => Err(error),
        _ => Ok(String::from_utf8_lossy(&answer).into_owned()),
    }
}

fn port(server: &Server) -> u16 {
    server.url().rsplit(':').next().unwrap().parse().unwrap()
}

#[test]
fn with_a_certificate_everything_is_encrypted() {
    let (own, other) = (Certificate::new(), Certificate::new());
    let everywhere = ["--bind", "0.0.0.0:0", "--accounts", "--host", HOST];
    let server = Server::start_with(&models(), &[&everywhere[..], &own.arguments()].concat());
    let port = port(&server);
    assert_eq!(server.url(), format!("https://{HOST}:{port}"));
    let get = |path: &str, host: &str| {
        ask(&own, port, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).unwrap()
    };
    let health = get("/api/health", HOST);
    assert!(health.starts_with("HTTP/1.1 200 "), "{health}");
    assert!(health.contains("strict-transport-security: max-age=31536000"), "{health}");
    assert!(get("/api/cases", HOST).starts_with("HTTP/1.1 401 "));
    for host in ["evil.example", "127.0.0.1", &format!("127.0.0.1:{port}"), "localhost"] {
        assert!(get("/api/health", host).starts_with("HTTP/1.1 403 "), "{host}: DNS may be made to lead here");
    }
    // Signing in gives a cookie that browsers send back encrypted only.
    let invitation = server.said().split("invitation=").nth(1).unwrap().trim().to_owned();
    let body = json!({ "name": "admin", "password": PASSWORD, "invitation": invitation }).to_string();
    let signed_in = ask(
        &own,
        port,
        &format!(
            "POST /api/session HTTP/1.1\r\nHost: {HOST}:{port}\r\nOrigin: https://{HOST}:{port}\r\n\
             Connection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ),
    );
    let signed_in = signed_in.unwrap();
    assert!(signed_in.starts_with("HTTP/1.1 200 "), "{signed_in}");
    let cookie = signed_in.lines().find(|line| line.starts_with("set-cookie: ")).unwrap();
    assert!(cookie.starts_with("set-cookie: __Host-i3deep-") && cookie.contains("; Secure"), "{cookie}");

    assert!(ask(&other, port, "GET / HTTP/1.1\r\n\r\n").is_err(), "whoever is in between has no such certificate");
    let mut plain = TcpStream::connect(("127.0.0.1", port)).unwrap();
    // The server may shut the connection at the first bytes that are no TLS, before the last are written.
    let _ = plain.write_all(format!("GET /api/health HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes());
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn elsewhere_it_listens_only_encrypted_and_with_accounts() {
    let own = Certificate::new();
    let data = tempfile::tempdir().unwrap();
    let check = |arguments: &[&str], says: &str| {
        let serve = ["serve", "--data", text(data.path())];
        let output = Command::new(env!("CARGO_BIN_EXE_i3deep")).args(serve).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty(), "it says that it is ready");
    };
    let everywhere = ["--bind", "0.0.0.0:0"];
    let tls = own.arguments();
    check(&everywhere, "add --accounts");
    check(&[&everywhere[..], &tls].concat(), "add --accounts");
    check(&[&everywhere[..], &["--accounts", "--host", HOST]].concat(), "add --tls-certificate");
    check(&[&everywhere[..], &["--accounts"], &tls].concat(), "say with --host");
    let other = Certificate::new();
    let mixed = ["--accounts", "--host", HOST, tls[0], tls[1], tls[2], text(&other.key)];
    check(&[&everywhere[..], &mixed].concat(), "do not belong together");
    let none = ["--tls-certificate", text(&own.key), "--tls-key", text(&own.key)];
    check(&[&everywhere[..], &["--accounts", "--host", HOST], &none].concat(), "certificate");
}

/// What `curl` is told where only the server is, with further arguments: the status, then the headers.
fn ask_within(server: &Server, path: &str, more: &[&str]) -> (u16, String) {
    let mut curl = Command::new("nsenter");
    let ids = server.id().to_string();
    curl.args(["--target", &ids, "--user", "--net", "--preserve-credentials", "curl", "--silent", "--insecure"])
        .args(["--max-time", "20", "--output", "/dev/null", "--dump-header", "-", "--write-out", "\n%{http_code}"])
        .args(more)
        .arg(format!("https://10.77.0.1:8443{path}"));
    let output = curl.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let status = said.rsplit('\n').next().unwrap().parse().unwrap_or_else(|_| {
        panic!("{said}{}{}", String::from_utf8_lossy(&output.stderr), server.log());
    });
    (status, said.to_lowercase())
}

#[test]
#[cfg_attr(not(may_listen), ignore = "this user may not give a network namespace an address")]
fn at_an_address_of_its_own_it_answers_under_its_own_name_alone() {
    const ADDRESSED: &str = "ip link set lo up && ip addr add 10.77.0.1/24 dev lo && exec \"$@\"";
    let own = Certificate::new();
    let mut within = Command::new("unshare");
    within.args(["--map-root-user", "--net", "sh", "-c", ADDRESSED, "sh", env!("CARGO_BIN_EXE_i3deep")]);
    let arguments = [&["--bind", "10.77.0.1:8443", "--accounts", "--host", HOST][..], &own.arguments()].concat();
    let server = Server::start_within(within, &arguments);
    let check = |more: &[&str], expected: u16| {
        let (status, headers) = ask_within(&server, "/api/cases", more);
        assert_eq!(status, expected, "{more:?}");
        for header in ["strict-transport-security: ", "content-security-policy: ", "x-frame-options: deny"] {
            assert!(headers.contains(header), "{more:?}: {headers}");
        }
    };
    let named = format!("Host: {HOST}:8443");
    check(&["--header", &named], 401);
    // A name that DNS was made to lead here, and what a browser says of a page there.
    check(&["--header", "Host: evil.example:8443"], 403);
    check(&[], 403);
    check(&["--header", "Host: localhost:8443"], 403);
    check(&["--header", "Host: evil.example", "--header", &format!("X-Forwarded-Host: {HOST}")], 403);
    let delete = ["--request", "DELETE", "--header", &named, "--header"];
    check(&[&delete[..], &["Origin: https://evil.example"]].concat(), 403);
    check(&[&delete[..], &["Origin: null"]].concat(), 403);
    check(&[&delete[..], &["Sec-Fetch-Site: cross-site"]].concat(), 403);
    let (_, asked) = ask_within(&server, "/api/cases", &["--header", &named, "--header", "X-Remote-User: admin"]);
    assert!(asked.contains(" 401"), "nobody here is a proxy: {asked}");
}
