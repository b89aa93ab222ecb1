//! What others ask for at the same time costs nobody the server: slow senders, readers that do not read, bodies without
//! end.

use std::io::Write;
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::scans::Nifti;
use crate::server::{BUNDLE, Server, eventually};

/// How long a sender may be silent, and a second for a busy machine's sake.
const DROPPED_WITHIN: Duration = Duration::from_secs(20);

#[test]
fn the_head_alone_can_be_asked_for() {
    let server = Server::start();
    let case = upload(&server, &Nifti::generated());
    for path in [
        "/",
        "/api/cases",
        "/api/health",
        "/api/events",
        &format!("/api/cases/{case}"),
        &format!("/api/cases/{case}/image/0"),
    ] {
        let head = server.request("HEAD", path, &[]);
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        assert_eq!(head.header("x-content-type-options"), "nosniff", "{path}");
    }
    assert_eq!(server.request("HEAD", "/api/cases/nobody", &[]).status, 404);
}

#[test]
fn what_is_too_large_is_said_to_be() {
    let server = Server::start();
    let (code, message) =
        server.put("/api/cases/any/corrections/axial/5", &json!({ "runs": "x".repeat(9 << 20) })).refusal(413);
    assert_eq!(code, "too_large");
    assert!(message.contains("8 MiB"), "{message}");
}

#[test]
fn slow_senders_are_dropped_and_nobody_waits_for_them() {
    let server = Server::start();
    let mut slow: Vec<TcpStream> =
        (0..50).map(|_| begin(&server, "PUT /api/cases/any/corrections/axial/5", 1000)).collect();
    let begun = Instant::now();
    let mut slowest = Duration::ZERO;
    let mut dropped = 0;
    while dropped < slow.len() && begun.elapsed() < DROPPED_WITHIN {
        for stream in &mut slow {
            // Fails once the server has hung up.
            let _ = stream.write_all(b" ");
        }
        let asked = Instant::now();
        assert_eq!(server.get("/api/health").status, 200);
        slowest = slowest.max(asked.elapsed());
        sleep(Duration::from_secs(1));
        dropped = slow.iter().filter(|stream| is_answered(stream)).count();
    }
    assert_eq!(dropped, slow.len(), "after {:?}", begun.elapsed());
    assert!(slowest < Duration::from_millis(500), "somebody else waited {slowest:?}");
}

#[test]
fn bodies_without_end_share_what_memory_there_is() {
    let server = Server::start();
    server.get("/api/health");
    let before = server.memory_mib();
    let piece = vec![b' '; 1 << 20];
    let mut unfinished: Vec<TcpStream> =
        (0..40).map(|_| begin(&server, "PUT /api/cases/any/corrections/axial/5", 8 << 20)).collect();
    for stream in &mut unfinished {
        for _ in 0..7 {
            // Fails where the server has said no.
            let _ = stream.write_all(&piece);
        }
    }
    sleep(Duration::from_secs(1));
    let now = server.memory_mib();
    // 280 MiB were sent.
    assert!(now < before + 160, "{before} MiB, then {now} MiB");
    let answered = unfinished.iter().filter(|stream| is_answered(stream)).count();
    assert!(answered > 20, "only {answered} were told that there is no room");
    drop(unfinished);
    eventually("room again", || {
        (server.put("/api/cases/any/corrections/axial/5", &json!({})).status == 400).then_some(())
    });
}

#[test]
fn readers_that_do_not_read_take_no_memory() {
    let server = Server::start();
    let small = Nifti::generated();
    let large = Nifti { dim: [3, 256, 256, 96, 1, 1, 1, 1], voxels: small.voxels.repeat(256), ..small };
    let case = upload(&server, &large);
    let job = server.get(&format!("/api/cases/{case}")).json::<Value>()["summary"]["job"]["id"].as_i64().unwrap();
    server.request("POST", &format!("/api/jobs/{job}/cancel"), &[]);
    let before = server.memory_mib();
    let readers: Vec<TcpStream> = (0..60)
        .map(|_| {
            let mut stream = TcpStream::connect(address(&server)).unwrap();
            write!(stream, "GET /api/cases/{case}/image/0 HTTP/1.1\r\nHost: {}\r\n\r\n", address(&server)).unwrap();
            stream
        })
        .collect();
    sleep(Duration::from_secs(2));
    let now = server.memory_mib();
    // 12 MiB each, if they were held.
    assert!(now < before + 100, "{before} MiB, then {now} MiB for {} readers", readers.len());
    assert_eq!(server.get(&format!("/api/cases/{case}/image/0")).body.len(), 2 * 256 * 256 * 96);
}

/// How many of each kind are there at a time.
const MANY: usize = 500;

#[test]
#[ignore = "a measurement of a minute, for a quiet machine: cargo test --workspace --test http -- --ignored slow"]
fn with_hundreds_of_slow_clients_others_notice_nothing() {
    let server = Server::start();
    let small = Nifti::generated();
    let large = Nifti { dim: [3, 256, 256, 96, 1, 1, 1, 1], voxels: small.voxels.repeat(256), ..small };
    let case = upload(&server, &large);
    let job = server.get(&format!("/api/cases/{case}")).json::<Value>()["summary"]["job"]["id"].as_i64().unwrap();
    server.request("POST", &format!("/api/jobs/{job}/cancel"), &[]);
    let mut slow = Vec::new();
    for _ in 0..MANY {
        let host = address(&server);
        let mut head = TcpStream::connect(host).unwrap();
        write!(head, "GET /api/cases HTTP/1.1\r\nHost: {host}\r\n").unwrap();
        head.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let mut reader = TcpStream::connect(host).unwrap();
        write!(reader, "GET /api/cases/{case}/image/0 HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
        slow.push((head, begin(&server, "PUT /api/cases/any/corrections/axial/5", 1 << 20), reader));
    }
    // Heads and bodies go on, a byte a second, until the server has had enough of them; readers never read.
    let (begun, mut said) = (Instant::now(), Instant::now());
    let mut waits = Vec::new();
    while begun.elapsed() < Duration::from_secs(40) {
        if said.elapsed() > Duration::from_secs(1) {
            said = Instant::now();
            for (head, body, _) in &mut slow {
                // Fails where the server has hung up.
                let _ = (head.write_all(b"x"), body.write_all(b" "));
            }
        }
        for path in ["/api/health", "/api/cases", "/"] {
            let asked = Instant::now();
            assert_eq!(server.get(path).status, 200);
            waits.push((asked.elapsed(), path));
        }
        sleep(Duration::from_millis(10));
    }
    waits.sort();
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize].0;
    let left = slow.iter().filter(|(head, body, _)| !is_answered(head) || !is_answered(body)).count();
    println!(
        "{MANY} slow heads, bodies and readers each, {} requests beside them: median {:?}, p99 {:?}, slowest {:?} \
         ({}); {left} slow heads or bodies are left after {:?}; the server holds {} MiB",
        waits.len(),
        at(0.5),
        at(0.99),
        at(1.0),
        waits.last().unwrap().1,
        begun.elapsed(),
        server.memory_mib()
    );
    assert!(at(0.99) < Duration::from_millis(200), "p99 {:?}", at(0.99));
    assert_eq!(left, 0, "slow heads or bodies that were never dropped");
}

fn upload(server: &Server, scan: &Nifti) -> String {
    server.upload(BUNDLE, &[&scan.packed()]).json::<Value>()["id"].as_str().unwrap().to_owned()
}

fn address(server: &Server) -> &str {
    server.url().strip_prefix("http://").unwrap()
}

/// A request whose body has yet to come.
fn begin(server: &Server, line: &str, length: usize) -> TcpStream {
    let mut stream = TcpStream::connect(address(server)).unwrap();
    let host = address(server);
    write!(
        stream,
        "{line} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
    .unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    stream
}

/// Whether the server has answered or hung up.
fn is_answered(stream: &TcpStream) -> bool {
    match stream.peek(&mut [0; 64]) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
    }
}
