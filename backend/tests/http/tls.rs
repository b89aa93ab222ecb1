//! A PACS that encrypts, and one that asks for this server's certificate: who is who is looked at before anything is
//! said.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::server::{Answer, Server, models};

/// An authority, and the folder that its certificates go to.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
    name: &'static str,
}

impl Authority {
    fn new(folder: &Path, name: &'static str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(folder.join(format!("{name}.pem")), issuer.pem()).unwrap();
        Self { issuer, folder: folder.to_owned(), name }
    }

    /// Makes a certificate for a name; it lies in `{who}.pem`, its key in `{who}.key`.
    fn certify(&self, who: &str, host: &str) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.folder.join(format!("{who}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.folder.join(format!("{who}.key")), key.serialize_pem()).unwrap();
    }

    fn trusted(&self) -> RootCertStore {
        let mut store = RootCertStore::empty();
        store.add(CertificateDer::from_pem_file(self.folder.join(format!("{}.pem", self.name))).unwrap()).unwrap();
        store
    }
}

/// A PACS with one study, behind TLS.
struct Pacs {
    port: u16,
    heard: Arc<AtomicUsize>,
}

impl Pacs {
    /// As `who` of the authority; asks for certificates of it, if it is to.
    fn start(authority: &Authority, who: &str, asks: bool) -> Self {
        let at = |ending: &str| authority.folder.join(format!("{who}.{ending}"));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let config = config.with_safe_default_protocol_versions().unwrap();
        let config = match asks {
            false => config.with_no_client_auth(),
            true => {
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authority.trusted()), provider);
                config.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let certificate = CertificateDer::from_pem_file(at("pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(at("key")).unwrap();
        let config = Arc::new(config.with_single_cert(vec![certificate], key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&heard);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, counted) = (Arc::clone(&config), Arc::clone(&counted));
                thread::spawn(move || answer(config, stream, &counted));
            }
        });
        Self { port, heard }
    }
}

/// Answers one request with a study; counts those that were understood.
fn answer(config: Arc<ServerConfig>, stream: TcpStream, heard: &AtomicUsize) {
    let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
    let (mut said, mut byte) = (Vec::new(), [0]);
    while !said.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => said.push(byte[0]),
            _ => return,
        }
    }
    heard.fetch_add(1, Ordering::SeqCst);
    let body = json!([{ "0020000D": { "vr": "UI", "Value": ["1.2.3"] } }]).to_string();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\nConnection: close\r\nContent-Length: ";
    let _ = stream.write_all(format!("{head}{}\r\n\r\n{body}", body.len()).as_bytes());
    stream.conn.send_close_notify();
    let _ = stream.flush();
}

#[test]
fn who_is_who_is_looked_at_before_anything_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let (hospital, other) = (Authority::new(folder.path(), "hospital"), Authority::new(folder.path(), "other"));
    hospital.certify("pacs", "localhost");
    hospital.certify("elsewhere", "pacs.elsewhere.example");
    hospital.certify("us", "i3deep");
    other.certify("stranger", "i3deep");
    let (open, strict) = (Pacs::start(&hospital, "pacs", false), Pacs::start(&hospital, "pacs", true));
    let elsewhere = Pacs::start(&hospital, "elsewhere", false);
    let mut sources = Vec::new();
    let mut source = |name: &str, pacs: &Pacs, authority: &str, own: Option<&str>| {
        let mut entry = json!({
            "name": name, "url": format!("https://localhost:{}/rs", pacs.port), "ca_file": format!("{authority}.pem"),
        });
        if let Some(own) = own {
            entry["certificate_file"] = json!(format!("{own}.pem"));
            entry["key_file"] = json!(format!("{own}.key"));
        }
        sources.push(entry);
    };
    source("open", &open, "hospital", None);
    source("strict", &strict, "hospital", Some("us"));
    source("untrusted", &open, "other", None);
    source("elsewhere", &elsewhere, "hospital", None);
    source("nobody", &strict, "hospital", None);
    source("stranger", &strict, "hospital", Some("stranger"));
    let file = folder.path().join("pacs.json");
    std::fs::write(&file, json!({ "sources": sources }).to_string()).unwrap();
    let server = Server::start_with(&models(), &["--pacs", file.to_str().unwrap()]);
    let find =
        |name: &str| -> Answer { server.post(&format!("/api/pacs/{name}/studies"), &json!({ "accession": "ACC-1" })) };
    for name in ["open", "strict"] {
        let answer = find(name);
        assert_eq!(answer.status, 200, "{name}: {}", String::from_utf8_lossy(&answer.body));
        assert_eq!(answer.json::<Value>()["studies"][0]["study"], "1.2.3");
    }
    let heard = || [&open, &strict, &elsewhere].map(|pacs| pacs.heard.load(Ordering::SeqCst));
    assert_eq!(heard(), [1, 1, 0]);
    for (name, says) in [("untrusted", "encryption"), ("elsewhere", "encryption"), ("nobody", ""), ("stranger", "")] {
        let (code, words) = find(name).refusal(502);
        assert_eq!(code, "pacs_away", "{name}: {words}");
        assert!(words.contains(&format!("the PACS {name} does not answer")) && words.contains(says), "{words}");
    }
    assert_eq!(heard(), [1, 1, 0], "nothing was said to whom it was not for");
    assert!(!server.log().contains("ACC-1"));
}
