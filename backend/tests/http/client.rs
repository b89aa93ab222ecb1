//! The browser's side: its files, what every answer carries, and who may ask.

use std::io::{Read, Write};
use std::net::TcpStream;

use flate2::read::GzDecoder;
use serde_json::Value;

use crate::scans::Nifti;
use crate::server::{BUNDLE, Server, models};

#[test]
fn the_client_is_served_for_every_path_of_its_own() {
    let server = Server::start();
    for path in ["/", "/case/0123", "/index.html"] {
        let page = server.get(path);
        assert_eq!((page.status, page.header("cache-control")), (200, "no-cache"), "{path}");
        assert!(page.body.starts_with(b"<script"), "{path}");
    }
    assert_eq!(server.get("/client-0123.js").header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(server.get("/api/nothing").refusal(404).0, "no_such_route");
}

#[test]
fn files_are_compressed_once_for_whoever_takes_that() {
    let server = Server::start();
    let plain = server.request("GET", "/client-0123.js", &[("accept-encoding", "identity")]);
    assert_eq!(plain.header("content-encoding"), "");
    for _ in 0..2 {
        let packed = server.request("GET", "/client-0123.js", &[("accept-encoding", "gzip, br")]);
        assert_eq!((packed.header("content-encoding"), packed.header("vary")), ("gzip", "accept-encoding"));
        assert_eq!(packed.header("cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(packed.header("content-type"), plain.header("content-type"));
        let mut unpacked = Vec::new();
        GzDecoder::new(&packed.body[..]).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, plain.body);
    }
}

#[test]
fn what_the_build_has_compressed_is_served_to_whoever_takes_that() {
    let server = Server::start();
    let check = |accepts: &str, encoding: &str, begins: &[u8]| {
        let answer = server.request("GET", "/client-4567.wasm", &[("accept-encoding", accepts)]);
        assert_eq!((answer.status, answer.header("content-encoding")), (200, encoding), "{accepts}");
        assert!(answer.body.starts_with(begins), "{accepts}: {:?}", answer.body);
        assert_eq!(answer.header("content-type"), "application/wasm", "{accepts}");
        assert_eq!(answer.header("vary"), if encoding.is_empty() { "" } else { "accept-encoding" }, "{accepts}");
        assert_eq!(answer.header("cache-control"), "public, max-age=31536000, immutable", "{accepts}");
    };
    check("gzip, deflate, br, zstd", "br", b"\x1b\x05\x00\xf8\x25\x00\x82\x90\x58\x01");
    check("gzip, deflate", "gzip", b"\x1f\x8b");
    check("identity", "", b"module");
}

#[test]
fn every_answer_is_guarded() {
    let server = Server::start();
    let case =
        server.upload(BUNDLE, &[&Nifti::generated().packed()]).json::<Value>()["id"].as_str().unwrap().to_owned();
    let ask = |method: &str, path: &str, headers: &[(&str, &str)]| {
        let answer = server.request_once_by(method, &path.replace("CASE", &case), headers);
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), value, "{name} of {method} {path}");
        }
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("script-src 'self' 'wasm-unsafe-eval' 'sha256-"), "{method} {path}: {policy}");
        assert_eq!(answer.header("access-control-allow-origin"), "", "{method} {path}");
        (answer.status, answer.header("cache-control").to_owned())
    };
    // Pages and files of the client.
    assert_eq!(ask("GET", "/", &[]), (200, "no-cache".to_owned()));
    assert_eq!(ask("GET", "/case/0123", &[]), (200, "no-cache".to_owned()));
    assert_eq!(ask("GET", "/client-0123.js", &[]).0, 200);
    assert_eq!(ask("HEAD", "/client-0123.js", &[]).0, 200);
    // Answers about patients, in words, as voxels, as pictures, as a stream, by another protocol.
    for (method, path, status) in [
        ("GET", "/api/cases", 200),
        ("GET", "/api/cases/CASE", 200),
        ("GET", "/api/cases/CASE/image/0", 200),
        ("HEAD", "/api/cases/CASE/image/0", 200),
        ("GET", "/api/cases/CASE/thumbnail", 200),
        ("HEAD", "/api/events", 200),
        ("GET", "/api/openapi.json", 200),
        ("GET", "/monailabel/phantom/info/", 200),
        ("GET", "/monailabel/phantom/datastore/image?image=CASE", 200),
        // Refusals.
        ("GET", "/api/cases/nobody", 404),
        ("GET", "/api/nothing", 404),
        ("GET", "/api/session/provider", 404),
        ("PUT", "/api/cases/CASE/corrections/axial/5", 400),
        ("DELETE", "/api/cases", 404),
        ("GET", "/monailabel/phantom/nothing", 404),
    ] {
        assert_eq!(ask(method, path, &[]), (status, "no-store".to_owned()), "{method} {path}");
    }
    assert_eq!(ask("GET", "/api/cases", &[("host", "evil.example")]), (403, "no-store".to_owned()));
    assert_eq!(ask("DELETE", "/api/cases/CASE", &[("origin", "https://evil.example")]).0, 403);
    assert_eq!(ask("GET", "/?token=guess", &[]).0, 303);
}

#[test]
fn ohif_may_compile_what_it_writes_and_nothing_else_may() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("index.html"), "<p>OHIF</p>").unwrap();
    let sources = folder.path().join("pacs.json");
    std::fs::write(&sources, r#"{"sources": [{"name": "clinic", "url": "http://127.0.0.1:9"}]}"#).unwrap();
    let [ohif, sources] = [folder.path(), &sources].map(|path| path.to_str().unwrap());
    let server = Server::start_with(&models(), &["--pacs", sources, "--ohif", ohif]);
    let may = |path: &str| server.get(path).header("content-security-policy").contains("'unsafe-eval'");
    // It compiles its arrays when it makes them: without, it loads no DICOM SEG.
    assert!(may("/ohif/") && may("/ohif/segmentation"));
    for path in ["/", "/case/0123", "/api/cases", "/proxy/dicom/qido/studies", "/monailabel/phantom/info/"] {
        assert!(!may(path), "{path}");
    }
}

#[test]
fn no_address_leads_out_of_its_folder() {
    let server = Server::start();
    let secret = server.client().parent().unwrap().join("secret-beside-the-client");
    std::fs::write(&secret, "secret").unwrap();
    let name = "secret-beside-the-client";
    let address = server.url().strip_prefix("http://").unwrap();
    // Written as they are: clients and libraries would tidy these up.
    for path in [
        format!("/../{name}"),
        format!("/%2e%2e/{name}"),
        format!("/..%2f{name}"),
        format!("/%2e%2e%2f{name}"),
        format!("/..%5c{name}"),
        format!("/case/../../{name}"),
        format!("/%00/../{name}"),
        format!("//{}", secret.display()),
        secret.display().to_string(),
        "/api/cases/../../../../etc/passwd".to_owned(),
        "/api/cases/%2e%2e%2f%2e%2e%2fi3deep.sqlite/image/0".to_owned(),
        "/api/cases/x/segmentations/..%2f..%2f..%2fi3deep.sqlite/nifti".to_owned(),
        "/monailabel/..%2f..%2fphantom/info/".to_owned(),
        "/monailabel/phantom/datastore/image?image=..%2f..%2fi3deep.sqlite".to_owned(),
    ] {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer);
        let is_page = answer.starts_with("HTTP/1.1 200") && answer.contains("<script");
        assert!(is_page || answer.starts_with("HTTP/1.1 4"), "{path}: {answer}");
        assert!(!answer.contains("secret\r\n") && !answer.ends_with("secret"), "{path}: {answer}");
        assert!(!answer.contains("SQLite format") && !answer.contains("root:"), "{path}: {answer}");
    }
    std::fs::remove_file(secret).unwrap();
}

#[test]
fn other_sites_may_not_ask() {
    let server = Server::start();
    let check = |method: &str, headers: &[(&str, &str)], expected: u16| {
        assert_eq!(server.request(method, "/api/cases/nobody", headers).status, expected, "{method} {headers:?}");
    };
    check("DELETE", &[("origin", "https://evil.example")], 403);
    check("DELETE", &[("origin", "null")], 403);
    check("DELETE", &[("origin", server.url())], 404);
    check("DELETE", &[], 404);
    check("GET", &[("host", "evil.example")], 403);
    check("GET", &[("host", "localhost")], 404);
    check("GET", &[("host", "evil.example"), ("x-forwarded-host", "localhost")], 403);
    check("GET", &[("host", "evil.example"), ("forwarded", "host=localhost")], 403);
}

#[test]
fn events_begin_at_once() {
    let server = Server::start();
    let address = server.url().strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /api/events HTTP/1.1\r\nHost: {address}\r\nAccept-Encoding: gzip\r\n\r\n").unwrap();
    let mut heard = String::new();
    let mut buffer = [0; 1024];
    while !heard.contains("retry: 1000\n\n") {
        let n = stream.read(&mut buffer).unwrap();
        assert!(n > 0, "{heard}");
        heard.push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
    assert!(heard.contains("content-type: text/event-stream"), "{heard}");
}
