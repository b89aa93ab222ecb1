//! Who is let in, and what is theirs.

use std::os::unix::process::CommandExt;
use std::process::Command;

use serde_json::{Value, json};
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use crate::scans::Nifti;
use crate::server::{Answer, BUNDLE, Server, eventually, models};

pub(crate) const PASSWORD: &str = "correct horse battery";

/// A server that asks everybody, and its first administrator's cookie.
pub(crate) fn asking(more: &[&str]) -> (Server, String) {
    let server = Server::start_with(&models(), &[&["--accounts"], more].concat());
    let invitation = server.said().split("invitation=").nth(1).unwrap().trim().to_owned();
    let body = json!({ "name": "admin", "password": PASSWORD, "invitation": invitation });
    let answer = server.send("POST", "/api/session", &[], Some(&body));
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let again = server.send(
        "POST",
        "/api/session",
        &[],
        Some(&json!({ "name": "second", "password": PASSWORD, "invitation": invitation })),
    );
    assert_eq!(again.refusal(403).0, "not_allowed", "the link is good for one use");
    (server, cookie(&answer))
}

fn cookie(answer: &Answer) -> String {
    answer.header("set-cookie").split(';').next().unwrap().to_owned()
}

fn sign_in(server: &Server, name: &str, password: &str) -> Answer {
    server.send("POST", "/api/session", &[], Some(&json!({ "name": name, "password": password })))
}

/// Makes an account and signs in with it.
pub(crate) fn person(server: &Server, admin: &str, name: &str, role: &str) -> String {
    let made = server.send(
        "POST",
        &format!("/api/people/{name}"),
        &[("cookie", admin)],
        Some(&json!({ "role": role, "password": PASSWORD })),
    );
    assert_eq!(made.status, 201, "{}", String::from_utf8_lossy(&made.body));
    cookie(&sign_in(server, name, PASSWORD))
}

pub(crate) fn case_of(server: &Server, cookie: &str) -> (String, i64) {
    let answer = server.upload_as(&[("cookie", cookie)], BUNDLE, &[&Nifti::generated().packed()]);
    let case: Value = answer.json();
    (case["id"].as_str().unwrap().to_owned(), case["job"]["id"].as_i64().unwrap())
}

/// What is answered to whoever asks; the last two are nothing where nobody else signs people in.
const OPEN: [&str; 7] = [
    "GET /api/health",
    "GET /api/ready",
    "POST /api/session",
    "GET /api/session/ways",
    "GET /api/openapi.json",
    "GET /api/session/provider",
    "GET /api/session/provider/back",
];

#[test]
fn every_route_asks_who_one_is_and_keeps_what_is_not_ones_own() {
    let (server, admin) = asking(&[]);
    let (anna, bert) = (person(&server, &admin, "anna", "annotator"), person(&server, &admin, "bert", "annotator"));
    let carla = person(&server, &admin, "carla", "reviewer");
    let (case, job) = case_of(&server, &anna);
    let document: Value = server.get("/api/openapi.json").json();
    let mut checked = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            let method = method.to_uppercase();
            let open = OPEN.contains(&format!("{method} {path}").as_str());
            let id = if path.contains("/jobs/") { job.to_string() } else { case.clone() };
            let place =
                path.replace("{id}", &id).replace("{axis}", "axial").replace("{index}", "3").replace("{channel}", "0");
            let place =
                place.replace("{version}", "presegmentation").replace("{name}", "nobody").replace("{slab}", "0");
            let ask = |headers: &[(&str, &str)]| server.send(&method, &place, headers, None);
            if !open {
                assert_eq!(ask(&[]).refusal(401).0, "sign_in_needed", "{method} {place}");
                assert_eq!(ask(&[("cookie", "i3deep=guess")]).status, 401, "{method} {place}");
                assert_eq!(ask(&[("authorization", "Bearer guess")]).status, 401, "{method} {place}");
                checked += 1;
            }
            if path.contains("/cases/{id}") || path.contains("/jobs/{id}") || path.contains("/bin/{id}") {
                let for_reviewers = ["PUT /people", "PUT /review", "POST /readings"]
                    .iter()
                    .any(|rule| rule.split_once(' ').is_some_and(|(verb, end)| verb == method && place.ends_with(end)));
                let expected = if for_reviewers { 403 } else { 404 };
                assert_eq!(ask(&[("cookie", &bert)]).status, expected, "{method} {place} for a stranger");
            }
            if path.starts_with("/api/people") {
                assert_eq!(ask(&[("cookie", &anna)]).refusal(403).0, "not_allowed", "{method} {place}");
            }
        }
    }
    assert!(checked > 20, "{checked} routes");

    let see = |cookie: &str| server.send("GET", &format!("/api/cases/{case}"), &[("cookie", cookie)], None).status;
    let list = |cookie: &str| server.send("GET", "/api/cases", &[("cookie", cookie)], None).json::<Vec<Value>>().len();
    assert_eq!((see(&anna), see(&bert), see(&carla), see(&admin)), (200, 404, 200, 200));
    assert_eq!((list(&anna), list(&bert), list(&carla), list(&admin)), (1, 0, 1, 1));
    let given = server.send("PUT", &format!("/api/cases/{case}/people"), &[("cookie", &carla)], Some(&json!(["bert"])));
    assert_eq!(given.json::<Vec<String>>(), ["bert"]);
    assert_eq!((see(&bert), list(&bert)), (200, 1));

    let metrics = |cookie: &str| server.send("GET", "/api/metrics", &[("cookie", cookie)], None);
    assert_eq!((metrics(&anna).status, metrics(&carla).status), (403, 403));
    let told = String::from_utf8(metrics(&admin).body).unwrap();
    assert!(told.contains("i3deep_cases 1\n") && told.contains("i3deep_jobs{kind=\"presegment\""), "{told}");
    assert!(!told.contains(&case) && !told.contains("anna"), "{told}");
    assert!(!server.log().contains("JANE") && !server.log().contains("correct horse"), "{}", server.log());
}

#[test]
fn another_protocol_keeps_what_is_not_ones_own() {
    const FORM: &str = "--x\r\nContent-Disposition: form-data; name=\"params\"\r\n\r\n{}\r\n--x--\r\n";
    let (server, admin) = asking(&[]);
    let (anna, bert) = (person(&server, &admin, "anna", "annotator"), person(&server, &admin, "bert", "annotator"));
    let (case, _) = case_of(&server, &anna);
    eventually("segmentation", || {
        let detail = server.send("GET", &format!("/api/cases/{case}"), &[("cookie", &anna)], None).json::<Value>();
        (detail["summary"]["job"]["state"] == "done").then_some(())
    });
    let ask = |method: &str, path: &str, cookie: Option<&str>| {
        let mut headers = vec![("content-type", "multipart/form-data; boundary=x")];
        headers.extend(cookie.map(|cookie| ("cookie", cookie)));
        let place = format!("/monailabel/{BUNDLE}{}", path.replace("CASE", &case));
        match method {
            "GET" | "HEAD" | "DELETE" => server.request(method, &place, &headers[1..]),
            _ => server.send_text(method, &place, &headers, FORM.to_owned()),
        }
    };
    for (method, path) in [
        ("GET", "/datastore/image?image=CASE"),
        ("HEAD", "/datastore/image?image=CASE"),
        ("GET", "/datastore/image/info?image=CASE"),
        ("GET", "/datastore/label?label=CASE&tag=original"),
        ("HEAD", "/datastore/label?label=CASE&tag=original"),
        ("PUT", "/datastore/label?image=CASE&tag=final"),
        ("GET", "/session/CASE"),
        ("DELETE", "/session/CASE"),
        ("POST", "/infer/segmentation?image=CASE"),
        ("POST", "/infer/refinement?session_id=CASE"),
    ] {
        assert_eq!(ask(method, path, None).status, 401, "{method} {path}");
        assert_eq!(ask(method, path, Some("i3deep=guess")).status, 401, "{method} {path}");
        assert_eq!(ask(method, path, Some(&bert)).status, 404, "{method} {path} for a stranger");
        let own = ask(method, path, Some(&anna)).status;
        assert!(![401, 403, 404].contains(&own), "{method} {path} for its owner: {own}");
    }
    let listed = |cookie: &str| String::from_utf8(ask("GET", "/datastore/?output=all", Some(cookie)).body).unwrap();
    assert!(listed(&anna).contains(&case) && !listed(&bert).contains(&case), "{}", listed(&bert));
    assert_eq!(ask("POST", "/activelearning/first", Some(&bert)).json::<Value>(), json!({}));
}

#[test]
fn nobody_revokes_anothers_key_or_empties_anothers_bin() {
    let (server, admin) = asking(&[]);
    let (anna, bert) = (person(&server, &admin, "anna", "annotator"), person(&server, &admin, "bert", "annotator"));
    let ask = |method: &str, path: &str, cookie: &str| server.send(method, path, &[("cookie", cookie)], None);
    let made = server.send("POST", "/api/keys", &[("cookie", &anna)], Some(&json!({ "label": "annas" })));
    let key = made.json::<Value>()["info"]["id"].clone();
    for cookie in [&bert, &admin] {
        assert_eq!(ask("DELETE", &format!("/api/keys/{key}"), cookie).status, 404);
        assert!(!String::from_utf8_lossy(&ask("GET", "/api/keys", cookie).body).contains("annas"));
    }
    let (case, _) = case_of(&server, &anna);
    assert_eq!(ask("DELETE", &format!("/api/cases/{case}"), &anna).status, 204);
    assert_eq!(ask("GET", "/api/bin", &bert).json::<Vec<Value>>(), Vec::<Value>::new());
    for (method, path) in [("POST", "restore"), ("DELETE", "")] {
        let place = format!("/api/bin/{case}/{path}");
        assert_eq!(ask(method, place.trim_end_matches('/'), &bert).status, 404, "{method} {place}");
    }
    assert_eq!(ask("POST", &format!("/api/bin/{case}/restore"), &anna).status, 200);
    assert_eq!(ask("DELETE", &format!("/api/keys/{key}"), &anna).status, 204);
}

#[test]
fn sessions_are_new_and_end() {
    let (server, admin) = asking(&[]);
    let me = |cookie: &str| server.send("GET", "/api/session", &[("cookie", cookie)], None).status;
    let answer = server.send(
        "POST",
        "/api/session",
        &[("cookie", &admin)],
        Some(&json!({ "name": "admin", "password": PASSWORD })),
    );
    let fresh = cookie(&answer);
    for flag in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(answer.header("set-cookie").contains(flag), "{}", answer.header("set-cookie"));
    }
    assert_ne!(fresh, admin, "a session that somebody else has put into the browser is not taken over");
    assert_eq!((me(&admin), me(&fresh)), (401, 200));
    assert_eq!(server.send("DELETE", "/api/session", &[("cookie", &fresh)], None).status, 204);
    assert_eq!(me(&fresh), 401);

    let admin = cookie(&sign_in(&server, "admin", PASSWORD));
    let anna = person(&server, &admin, "anna", "annotator");
    let change = |body: Value| server.send("PUT", "/api/people/anna", &[("cookie", &admin)], Some(&body)).status;
    assert_eq!(change(json!({ "role": "annotator", "disabled": true })), 200);
    assert_eq!((me(&anna), sign_in(&server, "anna", PASSWORD).refusal(401).0.as_str()), (401, "wrong_password"));
    let last = server.send("PUT", "/api/people/admin", &[("cookie", &admin)], Some(&json!({ "role": "annotator" })));
    assert_eq!(last.refusal(409).0, "not_now", "somebody has to be able to let others in");
    let server = server.killed_and_restarted();
    assert_eq!(
        server.send("GET", "/api/session", &[("cookie", &admin)], None).status,
        401,
        "its port is another, so its cookie's name is"
    );
    assert_eq!(server.get("/api/cases").refusal(401).0, "sign_in_needed", "accounts are asked for once there are some");
}

#[test]
fn sessions_end_by_themselves() {
    let (server, admin) = asking(&[]);
    let carla = person(&server, &admin, "carla", "reviewer");
    let me = |cookie: &str| server.send("GET", "/api/session", &[("cookie", cookie)], None).status;
    // As if so much time had passed since: 8 hours without use, 7 days at the most.
    let hours_ago = |column: &str, hours: i64, less_s: i64| {
        let back = hours * 3600 - less_s;
        change_database(&server, format!("UPDATE sessions SET {column} = {column} - {back} WHERE person = 'carla'"));
    };
    hours_ago("seen_s", 8, 30);
    assert_eq!(me(&carla), 200, "in time, and used from now on");
    hours_ago("seen_s", 8, 30);
    assert_eq!(me(&carla), 200);
    hours_ago("seen_s", 8, -1);
    assert_eq!((me(&carla), me(&admin)), (401, 200));
    let carla = cookie(&sign_in(&server, "carla", PASSWORD));
    hours_ago("begun_s", 7 * 24, 30);
    assert_eq!(me(&carla), 200);
    hours_ago("begun_s", 7 * 24, -1);
    assert_eq!(me(&carla), 401, "however much it is used");
    // Whoever puts a word of their own into a browser before somebody signs in has nothing.
    let planted = format!("{}=planted-by-somebody", admin.split('=').next().unwrap());
    let body = json!({ "name": "carla", "password": PASSWORD });
    let fresh = cookie(&server.send("POST", "/api/session", &[("cookie", &planted)], Some(&body)));
    assert_ne!(fresh, planted);
    assert_eq!((me(&planted), me(&fresh)), (401, 200));
}

fn change_database(server: &Server, statement: String) {
    let file = SqliteConnectOptions::new().filename(server.data().join("i3deep.sqlite"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = SqliteConnection::connect_with(&file).await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    });
}

#[test]
fn guessing_is_stopped() {
    let (server, _) = asking(&[]);
    let tried = (0..15).map(|n| sign_in(&server, "admin", &format!("guess number {n}")).status).collect::<Vec<_>>();
    assert_eq!(
        tried.iter().filter(|status| **status == 401).count(),
        9,
        "{tried:?}: the tenth was the administrator's own"
    );
    assert_eq!(sign_in(&server, "admin", PASSWORD).refusal(429).0, "busy");
    assert_eq!(sign_in(&server, "anna", PASSWORD).refusal(401).0, "wrong_password", "others may still try");
    let check = |name: &str, password: &str| {
        let body = json!({ "name": name, "password": password });
        assert_eq!(server.send("POST", "/api/session", &[], Some(&body)).status, 401, "{name}");
    };
    check("' OR 1=1 --", PASSWORD);
    check("", "");
}

#[test]
fn other_sites_cannot_use_a_session() {
    let (server, admin) = asking(&[]);
    let check = |headers: &[(&str, &str)], expected: u16| {
        let headers = [&[("cookie", admin.as_str())], headers].concat();
        assert_eq!(server.send("DELETE", "/api/cases/nobody", &headers, None).status, expected, "{headers:?}");
    };
    check(&[("origin", "https://evil.example")], 403);
    check(&[("origin", "http://127.0.0.1:1")], 403);
    check(&[("sec-fetch-site", "cross-site")], 403);
    check(&[("sec-fetch-site", "same-site")], 403);
    check(&[("origin", server.url()), ("sec-fetch-site", "same-origin")], 404);
}

#[test]
fn keys_are_for_programs_and_can_be_revoked() {
    let (server, admin) = asking(&[]);
    let made = server.send("POST", "/api/keys", &[("cookie", &admin)], Some(&json!({ "label": "pacs" })));
    let made: Value = made.json();
    let bearer = format!("Bearer {}", made["key"].as_str().unwrap());
    let cases = || server.send("GET", "/api/cases", &[("authorization", &bearer)], None).status;
    assert_eq!(cases(), 200);
    let listed = server.send("GET", "/api/keys", &[("cookie", &admin)], None);
    assert!(!String::from_utf8_lossy(&listed.body).contains(made["key"].as_str().unwrap()), "it is shown once");
    assert_eq!(
        server.send("DELETE", &format!("/api/keys/{}", made["info"]["id"]), &[("cookie", &admin)], None).status,
        204
    );
    assert_eq!(cases(), 401);
}

#[test]
fn only_a_declared_proxy_is_believed() {
    let check = |proxy: &str, expected: u16| {
        let (server, _) = asking(&["--proxy", proxy, "--proxy-user-header", "x-remote-user"]);
        assert_eq!(server.send("GET", "/api/cases", &[("x-remote-user", "admin")], None).status, expected, "{proxy}");
        assert_eq!(server.send("GET", "/api/cases", &[("x-remote-user", "nobody")], None).status, 401, "{proxy}");
    };
    check("127.0.0.1", 200);
    check("10.0.0.2", 401);
}

#[test]
#[cfg_attr(not(other_user), ignore = "this user may not start curl as another")]
fn another_user_of_this_machine_is_not_let_in() {
    let server = Server::start();
    let url = format!("{}/api/cases", server.url());
    let ask = |more: &[&str]| {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code}"]).args(more).uid(65534);
        String::from_utf8_lossy(&curl.output().unwrap().stdout).into_owned()
    };
    assert_eq!(ask(&[&url]), "401");
    assert_eq!(server.get("/api/cases").status, 200, "who started it is let in");
    let printed = server
        .said()
        .lines()
        .find_map(|line| line.strip_prefix("from another account of this machine: "))
        .unwrap()
        .to_owned();
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let jar = folder.path().join("cookies");
    let jar = jar.to_str().unwrap();
    assert_eq!(ask(&["--cookie-jar", jar, &printed]), "303");
    assert_eq!(ask(&["--cookie", jar, &url]), "200", "with the printed word");
    assert_eq!(ask(&[&format!("{}/?token=guess", server.url())]), "303");
    assert_eq!(ask(&[&url]), "401");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(server.data()).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn records_that_were_changed_are_found() {
    let (server, admin) = asking(&[]);
    case_of(&server, &admin);
    person(&server, &admin, "anna", "annotator");
    let verify = || {
        let output = Command::new(env!("CARGO_BIN_EXE_i3deep"))
            .args(["audit", "verify", "--data"])
            .arg(server.data())
            .output()
            .unwrap();
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (whole, said) = verify();
    assert!(whole && said.contains("records"), "{said}");
    let change = |statement: &str| change_database(&server, statement.to_owned());
    change("UPDATE audit SET actor = 'bert' WHERE number = 2");
    assert_eq!(
        verify(),
        (
            false,
            "error: record 2 does not follow from the one before it: it, or one before it, was altered, removed or put \
             in\n"
                .into()
        )
    );
    change("UPDATE audit SET actor = (SELECT actor FROM audit WHERE number = 1) WHERE number = 2");
    change("DELETE FROM audit WHERE number = 1");
    assert!(!verify().0, "a row is gone");
}
