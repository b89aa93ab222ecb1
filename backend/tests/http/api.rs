//! The API describes itself.

use serde_json::Value;

use crate::server::Server;

#[test]
fn the_document_describes_what_the_server_answers() {
    let server = Server::start();
    let document: Value = server.get("/api/openapi.json").json();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() > 10, "{} paths", paths.len());
    for (path, operations) in paths {
        for method in operations.as_object().unwrap().keys().filter(|method| *method != "parameters") {
            if path == "/api/events" {
                continue;
            }
            let answer =
                server.request(&method.to_uppercase(), &path.replace("{axis}", "axial").replace(['{', '}'], ""), &[]);
            let said = String::from_utf8_lossy(&answer.body).into_owned();
            // What a route does not find is another matter than a route that is not there.
            assert!(
                !said.starts_with("{\"code\":\"no_such_route\"") || path.contains("{index}") || path.contains("{id}"),
                "{method} {path}: {said}"
            );
            assert!(answer.status < 500, "{method} {path}: {said}");
        }
    }
    let codes = document["components"]["schemas"]["ErrorCode"]["enum"].as_array().unwrap();
    assert!(codes.contains(&"stale_correction".into()) && codes.contains(&"not_now".into()), "{codes:?}");
}
