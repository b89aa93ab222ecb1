//! The browser's side: its files, what every answer carries, and who may ask.

use std::io::{Read, Write};
use std::net::TcpStream;

use flate2::read::GzDecoder;

use crate::server::Server;

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
fn every_answer_is_guarded() {
    let server = Server::start();
    for path in ["/", "/client-0123.js", "/api/cases", "/api/cases/nobody", "/api/nothing"] {
        let answer = server.get(path);
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
        assert!(
            answer.header("content-security-policy").contains("script-src 'self' 'wasm-unsafe-eval' 'sha256-"),
            "{path}"
        );
    }
    assert_eq!(server.get("/api/cases").header("cache-control"), "no-store");
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
